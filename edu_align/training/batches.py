"""A batch as TRL collates it: the rows of its examples, all first sides before all second ones, padded on the right."""

from collections.abc import Callable, Sequence
from typing import Any

from edu_align.models.chat_template import IGNORED
from edu_align.packing.budget import Tokens
from edu_align.training.means import Batch
from edu_align.utils.distributed import count, every, rank
from edu_align.utils.memory import HalvingBatches


def select_examples(batch: Batch, part: Sequence[int], sides: int, trim: bool = False) -> Batch:
    """The batch with the examples in `part` only: tensors with a row a side, or a row an example.

    `trim`: without the columns that are padding now, on the right, as a collator would have made it of these examples.
    """
    many = len(batch["input_ids"]) // sides
    if len(part) == many:
        return dict(batch)
    rows = [side * many + i for side in range(sides) for i in part]

    def select(value: Any) -> Any:
        length = len(value) if hasattr(value, "shape") and value.dim() else 0
        return value[rows] if length == sides * many else value[list(part)] if length == many else value

    found = {name: select(value) for name, value in batch.items()}
    if not trim:
        return found
    padded = found["attention_mask"].shape
    width = int(found["attention_mask"].any(0).nonzero().max()) + 1
    return {
        name: value[:, :width] if getattr(value, "shape", None) == padded else value for name, value in found.items()
    }


def sequences(batch: Batch, sides: int) -> list[list[Tokens]]:
    """The sequences of each example, without padding."""
    keep = batch["attention_mask"].bool()
    rows = [row[real].tolist() for row, real in zip(batch["input_ids"], keep, strict=True)]
    many = len(rows) // sides
    return [rows[i::many] for i in range(many)]


def real_examples(last: int, filled: int) -> int:
    """How many of this process's last batch of `last` examples are no repetition: processes are dealt out in order."""
    return min(max(last - filled + (count() - 1 - rank()) * last, 0), last)


def whole_step(mine: Batch, sides: int) -> Batch:
    """The examples that all processes were dealt, in the order of the processes; each gives its own, perhaps none."""
    import torch

    device = mine["input_ids"].device
    given: list[Batch] = every({name: value.cpu() for name, value in mine.items() if isinstance(value, torch.Tensor)})
    return {name: _joined(name, [batch[name] for batch in given], sides).to(device) for name in given[0]}


def _joined(name: str, values: list[Any], sides: int) -> Any:
    """Rows of all, the first side of every example before the second, padded on the right to the longest."""
    import torch

    if values[0].dim() == 1:
        return torch.cat(values)
    width = max(value.shape[1] for value in values)
    filling = IGNORED if name == "labels" else 0
    padded = [torch.nn.functional.pad(value, (0, width - value.shape[1]), value=filling) for value in values]
    return torch.cat([part for side in zip(*(value.chunk(sides) for value in padded), strict=True) for part in side])


def reference_in_parts(
    one: Callable[[Batch], Any], batch: Batch, parts: Sequence[Sequence[int]], halving: HalvingBatches, sides: int = 2
) -> Any:
    """TRL's reference log-probabilities of the `sides` rows of each example (chosen and rejected), (B,) each: `one` of
    a part at a time, and of less where memory runs out.
    """
    import torch

    def work(part: Sequence[int]) -> list[Any]:
        return list(zip(*one(select_examples(batch, part, sides)), strict=True))

    every = zip(*(scores for part in parts for scores in halving.run(work, part)), strict=True)
    return tuple(torch.stack(side) for side in every)
