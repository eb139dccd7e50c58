"""A batch as TRL collates it, taken apart: some of its examples, their token ids, and passes over a part at a time."""

from collections.abc import Callable, Sequence
from typing import Any

from edu_align.models.tokenizer import IGNORED
from edu_align.out_of_memory import Halves
from edu_align.packing.budget import Tokens

Batch = dict[str, Any]


def taken(batch: Batch, part: Sequence[int], sides: int, trim: bool = False) -> Batch:
    """The batch with the examples in `part` only: tensors with a row a side, or a row an example.

    `trim`: without the columns that are padding now, on the right, as a collator would have made it of these examples.
    """
    count = len(batch["input_ids"]) // sides
    if len(part) == count:
        return dict(batch)
    rows = [side * count + i for side in range(sides) for i in part]

    def take(value: Any) -> Any:
        length = len(value) if hasattr(value, "shape") and value.dim() else 0
        return value[rows] if length == sides * count else value[list(part)] if length == count else value

    found = {name: take(value) for name, value in batch.items()}
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
    count = len(rows) // sides
    return [rows[i::count] for i in range(count)]


def weigh(metrics: dict[str, list[float]], seen: dict[str, int], examples: int) -> None:
    """Let what TRL noted of this part count once an example: it averages over the notes between two log lines."""
    for name, values in metrics.items():
        if len(values) == seen.get(name, 0) + 1:
            values.extend(values[-1:] * (examples - 1))


def validated(one: Callable[[Batch], Any], batch: Batch, sides: int, halves: Halves) -> Any:
    """`one(batch)`, transformers' prediction_step: (loss, None, None); in parts where memory runs out.

    The parts' losses count by their trained tokens (SFT) or examples (DPO), so that the loss is that of the batch.
    """
    many = len(batch["input_ids"]) // sides
    whole: list[Any] = []

    def work(part: Sequence[int]) -> list[tuple[Any, float]]:
        chosen = taken(batch, part, sides)
        result = one(chosen)
        if len(part) == many:
            whole.append(result)
            return [(result[0], 1.0)] * many
        trained = int((chosen["labels"][:, 1:] != IGNORED).sum()) if "labels" in chosen else len(part)
        return [(result[0], trained / len(part))] * len(part)

    found = halves.run(work, range(many))
    if whole:
        return whole[0]
    return sum(loss * share for loss, share in found) / sum(share for _, share in found), None, None


def referenced(one: Callable[[Batch], Any], batch: Batch, parts: Sequence[Sequence[int]], halves: Halves) -> Any:
    """TRL's reference log-probabilities of chosen and rejected rows, (B,) each: `one` of a part at a time, and of less
    where memory runs out.
    """
    import torch

    def work(part: Sequence[int]) -> list[Any]:
        return list(zip(*one(taken(batch, part, 2)), strict=True))

    chosen, rejected = zip(*(scores for part in parts for scores in halves.run(work, part)), strict=True)
    return torch.stack(chosen), torch.stack(rejected)
