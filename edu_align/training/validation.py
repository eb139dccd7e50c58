"""Validation whose numbers do not depend on how the examples were batched, nor on how many processes there are.

transformers weighs a batch's loss by its rows, and TRL its metrics by batches, so that a short last batch, or a row
of few trained tokens, counts as much as others. Here every number is a sum over trained tokens (SFT), over
pairs (DPO), or over a reply's tokens where TRL's number is one a token, divided once.
"""

from collections.abc import Callable, Sequence
from typing import Any

from torch.utils.data import DataLoader
from transformers import Trainer

from edu_align.config.schema import COMPARING_LOSSES, Config, DPOTrainerConfig
from edu_align.training.batches import select_examples
from edu_align.training.means import COUNTER, Means, Numbers, weights_of
from edu_align.training.micro_batches import MicroBatches
from edu_align.training.sft_term import has_sft_term
from edu_align.utils.distributed import count


class Validation(Trainer):
    """Overrides `evaluation_loop`, `prediction_step` (in halves where memory runs out) and `get_eval_dataloader`: each
    of several processes validates on all examples, because those that are dealt out are filled up with some twice.
    """

    passes: MicroBatches
    measured: Callable[[], Numbers] | None = None  # numbers of ours that a validation has beside TRL's
    _metrics: Any  # TRL's: {"eval": {name: numbers}}

    def __init__(self, *args: Any, **options: Any) -> None:
        self.losses, self.means = Means(), Means()
        super().__init__(*args, **options)

    def get_eval_dataloader(self, *args: Any) -> Any:
        dealt = super().get_eval_dataloader(*args)
        if count() == 1:
            return dealt
        return DataLoader(dealt.dataset, batch_size=self.args.eval_batch_size, collate_fn=dealt.collate_fn)

    def evaluation_loop(self, *args: Any, **options: Any) -> Any:
        self.losses, self.means = Means(), Means()
        output: Any = super().evaluation_loop(*args, **options)
        prefix = options.get("metric_key_prefix", "eval")
        output.metrics[f"{prefix}_loss"] = sum(self.losses.all().values())
        ours = self.measured() if self.measured is not None else {}
        output.metrics.update({f"{prefix}_{name}": value for name, value in ours.items()})
        self._metrics["eval"].update({name: [value] for name, value in self.means.all().items()})
        return output

    def prediction_step(self, model: Any, inputs: Any, *args: Any, **options: Any) -> Any:
        one, noted, sides = super().prediction_step, self._metrics["eval"], self.passes.sides
        last: list[Any] = []

        def work(part: Sequence[int]) -> list[int]:
            chosen = select_examples(inputs, part, sides)
            noted.clear()  # of the batch before, and of one that did not fit
            last[:] = one(model, chosen, *args, **options)[:1]
            numbers = {name: values[-1] for name, values in noted.items() if name != COUNTER}
            weights = weights_of(chosen, sides)
            for name, value, weight in self.loss_terms(float(last[0]), numbers, weights):
                self.losses.add(name, value, weight)
            for name, value in numbers.items():
                self.means.add(name, value, weights.get(name, weights["loss"]))
            return list(part)

        every = range(self.passes.examples(inputs))
        if reads_whole_pass(self.passes.config.trainer):
            work(every)
        else:
            self.passes.validation.run(work, every)
        return last[0], None, None

    def loss_terms(self, loss: float, numbers: Numbers, weights: Numbers) -> list[tuple[str, float, float]]:
        """A pass's loss as terms of a name, a value and its weight, each a mean of its own."""
        return [("loss", loss, weights["loss"])]


def validation_batch(config: Config) -> int:
    """Examples that a process validates at once: what fits, or as many as a step has where the loss compares the pairs
    of a pass, because it would be another loss on another device otherwise.
    """
    return config.trainer.batch_size if reads_whole_pass(config.trainer) else config.hardware.eval_batch_size


def reads_whole_pass(trainer: Any) -> bool:
    """Whether a pass's loss is no sum over its pairs. With `ld_alpha` its SFT term cannot be told from the rest, see
    `DPOTrainer.loss_terms`.
    """
    if not isinstance(trainer, DPOTrainerConfig):
        return False
    weighed = has_sft_term(trainer) and trainer.args.get("ld_alpha") is not None
    return weighed or trainer.loss_type in COMPARING_LOSSES
