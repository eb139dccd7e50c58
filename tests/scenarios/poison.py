"""Training rows that give a loss or a gradient that is not finite."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch


class Backwards(torch.autograd.Function):
    """The value as it is, and a gradient of `number`."""

    @staticmethod
    def forward(context: Any, value: torch.Tensor, number: float) -> torch.Tensor:
        context.number = number
        return value.clone()

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> Any:  # type: ignore[override]
        return gradient * context.number, None


@contextmanager
def poisoned(what: str, number: float, from_step: int = 0, place: int = 2) -> Iterator[list[str]]:
    """In the block the loss (or only its gradient) of one row becomes `number`: the one at `place` (from 0) of
    the step after `from_step`. Yields a list with the row's id, once it is known.
    """
    from edu_align.training.batches import sequences
    from edu_align.training.micro_batches import StepState

    ids: list[list[list[int]]] = []
    names: list[str] = []
    original = StepState.next

    def marking(self: StepState, trainer: Any, one: Any) -> Any:
        if trainer.state.global_step == from_step and not ids:
            examples = [each for batch in self.batches for each in sequences(batch, trainer.passes.sides)]
            rows = [row for batch in self.batches for row in batch["row"].tolist()]
            ids.append(examples[place])
            names.append(trainer.row_ids[rows[place]])
        if not hasattr(trainer, "poisoned"):
            trainer.poisoned = trainer.compute_loss
            trainer.compute_loss = lambda model, inputs, **options: bitter(trainer, model, inputs, options)
        return original(self, trainer, one)

    def bitter(trainer: Any, model: Any, inputs: Any, options: Any) -> Any:
        loss = trainer.poisoned(model, inputs, **options)
        if ids and ids[0] in sequences(inputs, trainer.passes.sides):
            return loss * number if what == "loss" else Backwards.apply(loss, number)
        return loss

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StepState, "next", marking)
        yield names
