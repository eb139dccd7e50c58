"""Validation whose numbers do not depend on how the examples were batched, nor on how many processes there are.

transformers weighs a batch's loss by its rows, and TRL its metrics by batches, so that a short last batch, or a row
of few trained tokens, counts as much as others. Here every number is a sum over trained tokens (SFT), over
pairs (DPO), or over a reply's tokens where TRL's number is one a token, divided once.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from torch.utils.data import DataLoader
from transformers import Trainer

from edu_align.config.schema import Config
from edu_align.models.chat_template import IGNORED
from edu_align.training.micro_batches import ACROSS_PAIRS, SFT, Batch, MicroBatches, across_pairs, select_examples
from edu_align.utils.distributed import count

COMPARING = tuple(name for name in ACROSS_PAIRS if name != SFT)  # losses of a pass that are no sum over its pairs
Numbers = dict[str, float]
COUNTER = "num_tokens"  # TRL's count of trained tokens so far: no mean of anything


class Means:
    """Means over everything that was added, each by its own weights."""

    def __init__(self) -> None:
        self._sums: defaultdict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])

    def add(self, name: str, value: float, weight: float) -> None:
        if weight:
            self._sums[name][0] += value * weight
            self._sums[name][1] += weight

    def all(self) -> Numbers:
        return {name: total / weight for name, (total, weight) in self._sums.items()}


class Validation(Trainer):
    """Overrides `evaluation_loop`, `prediction_step` (in halves where memory runs out) and `get_eval_dataloader`: each
    of several processes validates on all examples, because those that are dealt out are filled up with some twice.
    """

    passes: MicroBatches
    _metrics: Any  # TRL's: {"eval": {name: numbers}}

    def __init__(self, *args: Any, **options: Any) -> None:
        self.losses, self.means = Means(), Means()
        super().__init__(*args, **options)

    def get_eval_dataloader(self, *args: Any) -> Any:
        dealt = super().get_eval_dataloader(*args)
        if count() == 1:
            return dealt
        return DataLoader(dealt.dataset, batch_size=self.args.eval_batch_size, collate_fn=dealt.collate_fn)

    def evaluation_loop(self, *args: Any, metric_key_prefix: str = "eval", **options: Any) -> Any:
        self.losses, self.means = Means(), Means()
        output = super().evaluation_loop(*args, metric_key_prefix=metric_key_prefix, **options)
        output.metrics[f"{metric_key_prefix}_loss"] = sum(self.losses.all().values())
        self._metrics["eval"].update({name: [value] for name, value in self.means.all().items()})
        return output

    def prediction_step(self, model: Any, inputs: Any, *args: Any, **options: Any) -> Any:
        one, noted, sides = super().prediction_step, self._metrics["eval"], self.passes.sides
        last: list[Any] = []

        def work(part: Sequence[int]) -> Sequence[int]:
            chosen = select_examples(inputs, part, sides)
            noted.clear()  # of the batch before, and of one that did not fit
            last[:] = one(model, chosen, *args, **options)[:1]
            numbers = {name: values[-1] for name, values in noted.items() if name != COUNTER}
            weights = weights_of(chosen, sides)
            for name, value, weight in self.loss_terms(float(last[0]), numbers, weights):
                self.losses.add(name, value, weight)
            for name, value in numbers.items():
                self.means.add(name, value, weights.get(name, weights["loss"]))
            return part

        self.passes.validation.run(work, range(self.passes.examples(inputs)))
        return last[0], None, None

    def loss_terms(self, loss: float, numbers: Numbers, weights: Numbers) -> list[tuple[str, float, float]]:
        """A pass's loss as terms of a name, a value and its weight, each a mean of its own."""
        return [("loss", loss, weights["loss"])]


def weights_of(batch: Batch, sides: int) -> Numbers:
    """What TRL's numbers of a pass are means over, by their names: trained tokens (SFT) or pairs (DPO) as `loss`, which
    stands for those that are not named, and tokens of the replies.
    """
    if sides == 1:
        return {"loss": float((batch["labels"][:, 1:] != IGNORED).sum())}
    chosen, rejected = (float(side.sum()) for side in batch["completion_mask"][:, 1:].chunk(2))
    return {
        "loss": len(batch["input_ids"]) / 2,
        "entropy": chosen + rejected,
        "logits/chosen": chosen,
        "logits/rejected": rejected,
        "mean_token_accuracy": chosen,
    }


def validation_batch(config: Config) -> int:
    """Examples that a process validates at once: what fits, or as many as a step has where the loss compares the pairs
    of a pass, because it would be another loss on another device otherwise.
    """
    trainer = config.trainer
    return trainer.batch_size if _compares_pairs(trainer) else config.hardware.eval_batch_size


def _compares_pairs(trainer: Any) -> bool:
    """With `ld_alpha` or `use_weighting` the SFT term is no plain mean over chosen tokens, see `loss_terms`."""
    if not across_pairs(trainer):
        return False
    weighed = trainer.args.get("ld_alpha") is not None or trainer.args.get("use_weighting")
    return bool(weighed) or trainer.loss_type in COMPARING
