"""What came out of a finished run, in its few main numbers: before and after training, beside the strongest baseline.

for number in main_numbers(run_folder):
    print(number.sentence())
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edu_align.reports.stages import Stage, baselines_of, metric_names, read_evaluation
from edu_align.runs.folder import read_record

# Metric of evaluation.json -> what it is in words, its unit, and which way is better.
WORDS = {
    "pair_accuracy_implicit": ("share of pairs that training moved the right way", "share", "higher"),
    "pair_accuracy_mean_logp": ("share of pairs whose better reply the model finds likelier", "share", "higher"),
    "human_turn_nll": ("surprise at the tutors' own turns", "nats a token", "lower"),
}
TALKS = ("human_turn_nll", "pair_accuracy_mean_logp")  # of a run that learned from conversations, most telling first
PREFERENCES = ("pair_accuracy_implicit", "pair_accuracy_mean_logp")


@dataclass(frozen=True)
class MainNumber:
    """One number of a run, measured on the same `n` items in `groups` independent groups before and after training.

    `before` and `after` are {value, low, high}; `low` and `high` are None where there is one group, `before` is None
    for what has no value then (an implicit reward compares the model with itself). `change` is the paired difference
    after - before. `strongest` is the trivial rule with the best value on the same items, `strongest_value` its value,
    and `beaten` says whether the whole interval of the difference to it lies on the better side; None without a rule.
    """

    name: str
    words: str
    unit: str
    better: str
    before: dict[str, Any] | None
    after: dict[str, Any]
    change: dict[str, Any] | None
    n: int
    groups: int
    strongest: str | None = None
    strongest_value: float | None = None
    beaten: bool | None = None

    def sentence(self) -> str:
        """All of it in one line for people."""
        start = f"{_cell(self.before)} before, " if self.before else ""
        parts = [f"{self.words}: {start}{_cell(self.after)} after training"]
        if self.change is not None:
            parts.append(f"changed by {_cell(self.change, '+')}{'' if _sure(self.change) else ', which shows nothing'}")
        if self.strongest is not None:
            said = "beats" if self.beaten else "not shown to beat"
            parts.append(f"{said} the rule {self.strongest!r} ({self.strongest_value:.3f})")
        counted = f"{self.n} items in {self.groups} groups"
        return f"{'; '.join(parts)} ({self.unit}, {self.better} is better; {counted})"


def main_numbers(run: Path) -> list[MainNumber]:
    """One or two numbers of the run in this folder, the most telling first; none where it was not evaluated."""
    if not (run / "evaluation.json").is_file():
        return []
    parts = read_evaluation(run)
    after = parts.get("after") or {}
    known = metric_names([Stage("after", after)])
    trainer = (read_record(run) or {}).get("trainer")
    return [_number(name, parts) for name in (TALKS if trainer == "sft" else PREFERENCES) if name in known]


def _number(name: str, parts: dict[str, dict[str, Any]]) -> MainNumber:
    words, unit, better = WORDS[name]
    before, after = parts.get("before", {}).get(name), parts["after"][name]
    strongest = after.get("strongest_baseline")
    rules = dict(baselines_of([Stage("after", parts["after"])], name))
    return MainNumber(
        name, words, unit, better, before, after, after.get("change"), after["n"], after["clusters"],
        strongest, rules.get(strongest), after.get("beats_baseline"),
    )  # fmt: skip


def _cell(entry: dict[str, Any], sign: str = "") -> str:
    ends = (
        "one group, no interval" if entry["low"] is None else f"{entry['low']:{sign}.3f} to {entry['high']:{sign}.3f}"
    )
    return f"{entry['value']:{sign}.3f} ({ends})"


def _sure(change: dict[str, Any]) -> bool:
    return change["low"] is not None and (change["low"] > 0 or change["high"] < 0)
