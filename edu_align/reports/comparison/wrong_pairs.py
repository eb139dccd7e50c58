"""The pairs that a model orders the other way round than people did, the furthest apart first."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edu_align.reports.comparison.models import Model
from edu_align.utils.tables import Rows

SHOWN = 10  # pairs of each model and number
TITLE = "Pairs ordered wrongly"
LEGEND = (
    "The model scores the rejected reply higher than the chosen one; those that are furthest apart come first. by: how "
    "much higher, in nats (of an implicit reward, before beta) or in nats a token (of mean_logp)."
)


@dataclass(frozen=True)
class WrongPairs:
    """`wrong` of `of` pairs of `number` are ordered wrongly by the model `label`; `rows` are the stored ones shown."""

    label: str
    number: str
    wrong: int
    of: int
    rows: tuple[dict[str, Any], ...]

    def title(self) -> str:
        """`DPO, pair_accuracy_local/implicit: 12 of 57 pairs, 10 shown`."""
        shown = f", {len(self.rows)} shown" if len(self.rows) < self.wrong else ""
        return f"{self.label}, {self.number}: {self.wrong} of {self.of} pairs{shown}"

    def table(self) -> Rows:
        """Head, then by how much, the dialogue, and both replies."""
        return [["by", "dialogue", "chosen", "rejected"], *(_cells(row) for row in self.rows)]


def wrong_pairs(models: Sequence[Model]) -> list[WrongPairs]:
    """Of every run, or of the base where there is none, the numbers that have such pairs."""
    trained = [model for model in models if model.run is not None] or list(models)
    return [found for model in trained for found in _of(model)]


def _of(model: Model) -> list[WrongPairs]:
    found = []
    for result in model.results.values():
        numbers = dict.fromkeys(str(row["number"]) for row in result.examples if "number" in row and "rejected" in row)
        for number in numbers:
            series = result.measured[number]
            values = [value for value, weight in zip(series.values, series.weights, strict=True) if weight]
            rows = tuple(row for row in result.examples if row.get("number") == number)[:SHOWN]
            found.append(WrongPairs(model.label, number, sum(value == 0.0 for value in values), len(values), rows))
    return found


def _cells(row: dict[str, Any]) -> list[str]:
    turns = "\n".join(f"{turn['role']}: {turn['content']}" for turn in row["prompt"])
    return [f"{row['apart']:.3f}", turns, str(row["chosen"]), str(row["rejected"])]
