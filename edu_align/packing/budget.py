"""A step's examples in as few forward passes as a budget of computed tokens allows.

    16 pairs of two prompts, budget 2,048 tokens:   one forward for the first prompt's 12 pairs, one for the 4 others

Examples per forward pass say little about memory once prompts are shared: twelve pairs of one dialogue are one path and
nine replies. So a packed trainer takes a step's examples at once, and this cuts them by what they cost, in their order.
The gradient is that of the whole step: each part's loss counts by its share of the examples (DPO) or of the trained
tokens (SFT, where TRL does it).
"""

from collections.abc import Iterable, Sequence
from typing import Any

Tokens = Sequence[int]


def parts_within(examples: Sequence[Sequence[Tokens]], budget: int) -> list[list[int]]:
    """Indices of the examples, cut where the next one would bring the distinct prefixes over `budget` tokens.

    An example is the sequences that are computed together for it: one conversation, or a chosen and a rejected row. One
    that is over the budget on its own gets a part of its own.
    """
    return [part for part, _ in _costed(examples, budget)]


def _costed(examples: Sequence[Sequence[Tokens]], budget: int) -> list[tuple[list[int], int]]:
    """The parts, and the tokens that each computes."""
    found: list[tuple[list[int], int]] = []
    prefixes = Prefixes()
    for index, sequences in enumerate(examples):
        prefixes.add(sequences)
        if found and prefixes.count <= budget:
            found[-1] = ([*found[-1][0], index], prefixes.count)
            continue
        prefixes = Prefixes()
        prefixes.add(sequences)
        found.append(([index], prefixes.count))
    return found


class Prefixes:
    """The distinct prefixes of the sequences added so far: how many tokens a forest computes for them."""

    def __init__(self) -> None:
        self.known: dict[tuple[int, int], int] = {}

    @property
    def count(self) -> int:
        return len(self.known)

    def add(self, sequences: Iterable[Tokens]) -> None:
        for sequence in sequences:
            node = -1
            for token in sequence:
                node = self.known.setdefault((node, token), len(self.known))


def first_look(examples: Sequence[Sequence[Tokens]], batch: int, budget: int) -> tuple[int, int]:
    """(real tokens of the examples, tokens computed for them), in steps of `batch` cut within `budget`."""
    asked = computed = 0
    for start in range(0, len(examples), batch):
        step = examples[start : start + batch]
        asked += sum(len(sequence) for sequences in step for sequence in sequences)
        computed += sum(cost for _, cost in _costed(step, budget))
    return asked, computed


def budgeted(trainer_class: type[Any], budget: int, sides: int) -> type[Any]:
    """`trainer_class` (TRL's) with training steps cut into forward passes of at most `budget` computed tokens.

    `sides`: rows of an example in a batch, 1 for SFT, 2 for DPO: its batches hold the chosen rows, then the rejected.
    For one process: several would have to make the same number of passes (see `arguments.cuts_by_tokens`).
    """

    class Budgeted(trainer_class):
        current_gradient_accumulation_steps: float
        _metrics: dict[str, dict[str, list[float]]]

        def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Any:
            count = len(inputs["input_ids"]) // sides
            parts = parts_within(_examples(inputs, sides), budget)
            whole = self.current_gradient_accumulation_steps
            loss = 0.0
            for part in parts:
                seen = {name: len(values) for name, values in self._metrics["train"].items()}
                self.current_gradient_accumulation_steps = whole * count / len(part)
                loss += super().training_step(model, _taken(inputs, part, sides, count), num_items_in_batch)
                _weigh(self._metrics["train"], seen, len(part))
            self.current_gradient_accumulation_steps = whole
            return loss

    Budgeted.__name__ = trainer_class.__name__
    return Budgeted


def _examples(inputs: Any, sides: int) -> list[list[Tokens]]:
    keep = inputs["attention_mask"].bool()
    rows = [row[real].tolist() for row, real in zip(inputs["input_ids"], keep, strict=True)]
    count = len(rows) // sides
    return [rows[i::count] for i in range(count)]


def _taken(inputs: Any, part: Sequence[int], sides: int, count: int) -> dict[str, Any]:
    """The batch with the examples in `part` only: tensors with a row a side, or a row an example."""
    if len(part) == count:
        return dict(inputs)
    rows = [side * count + i for side in range(sides) for i in part]

    def take(value: Any) -> Any:
        length = len(value) if hasattr(value, "shape") and value.dim() else 0
        return value[rows] if length == sides * count else value[list(part)] if length == count else value

    return {name: take(value) for name, value in inputs.items()}


def _weigh(metrics: dict[str, list[float]], seen: dict[str, int], examples: int) -> None:
    """Let what TRL noted of this part count once an example: it averages over the notes between two log lines."""
    for name, values in metrics.items():
        if len(values) == seen.get(name, 0) + 1:
            values.extend(values[-1:] * (examples - 1))
