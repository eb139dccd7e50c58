"""Numbers of forward passes as sums over what they are means of, divided once: the same however a step is cut."""

from collections import defaultdict
from typing import Any

from edu_align.models.chat_template import IGNORED
from edu_align.utils.distributed import every

Numbers = dict[str, float]
Batch = dict[str, Any]  # as TRL collates it
COUNTER = "num_tokens"  # TRL's count of trained tokens so far: no mean of anything
MARGIN = "rewards/margins"
REPLIES = "mean_token_accuracy"  # TRL's number of a pass that is a mean over the tokens of its chosen replies


class Means:
    """Means over everything that was added, each by its own weights."""

    def __init__(self) -> None:
        self._sums: defaultdict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])

    def add(self, name: str, value: float, weight: float) -> None:
        if weight:
            self._sums[name][0] += value * weight
            self._sums[name][1] += weight

    def join(self) -> None:
        """Take in what was added in the other processes."""
        found = every({name: list(sums) for name, sums in self._sums.items()})
        self._sums.clear()
        for sums in found:
            for name, (total, weight) in sums.items():
                self._sums[name][0] += total
                self._sums[name][1] += weight

    def all(self) -> Numbers:
        """The means. A margin that no pass has a weight for (labelled replies) is that of the two means."""
        found = {name: total / weight for name, (total, weight) in self._sums.items()}
        sides = [found.get(f"rewards/{side}") for side in ("chosen", "rejected")]
        if MARGIN not in found and sides[0] is not None and sides[1] is not None:
            found[MARGIN] = sides[0] - sides[1]
        return found


def weights_of(batch: Batch, sides: int) -> Numbers:
    """What TRL's numbers of a pass are means over, by their names: trained tokens (SFT), pairs (DPO) or replies (KTO)
    as `loss`, which stands for those that are not named, and tokens of the replies. `sides`: rows of an example, 2 for
    DPO, 4 where each reply stands without its dialogue too (`pmi`).
    """
    if "label" in batch:
        return _weights_of_labels(batch)
    if "advantages" in batch:  # replies of GRPO: TRL's numbers of a pass are means over their tokens
        return {"loss": float(batch["completion_mask"].sum())}
    examples = len(batch["input_ids"]) / sides
    if sides == 1:
        return {"loss": float((batch["labels"][:, 1:] != IGNORED).sum()) if "labels" in batch else examples}
    if "completion_mask" not in batch:  # a method of somebody's own
        return {"loss": examples}
    chosen, rejected = (float(side.sum()) for side in batch["completion_mask"][: round(2 * examples), 1:].chunk(2))
    return {
        "loss": examples,
        "entropy": chosen + rejected,
        "logits/chosen": chosen,
        "logits/rejected": rejected,
        REPLIES: chosen,
    }


def _weights_of_labels(batch: Batch) -> Numbers:
    good, tokens = batch["label"].bool(), batch["completion_mask"][:, 1:].sum(dim=1)
    found: Numbers = {"loss": float(len(good)), "entropy": float(tokens.sum()), MARGIN: 0.0}
    for side, mine in (("chosen", good), ("rejected", ~good)):
        many = float(mine.sum())
        found |= {f"rewards/{side}": many, f"logps/{side}": many, f"logits/{side}": float(tokens[mine].sum())}
    return found
