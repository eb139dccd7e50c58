"""The comparison as rows of cells, for the page, the Markdown and a terminal, and in sentences."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from edu_align.evaluation.suite.corpus import by_group
from edu_align.reports.comparison.models import Comparison, Difference, Model, Number
from edu_align.utils.tables import Rows, cell

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


NAMED = 4  # differences that a sentence names
MOST_COUNTS = 8  # rows of the table of changes, beyond which only the base models are compared with


def value_text(number: Number | None) -> str:
    """`0.612 [0.580, 0.644]`; a dash for what was not measured."""
    return cell(None if number is None else vars(number))


def difference_text(gap: Difference | None, better: str, level: float) -> str:
    """`+0.050 [+0.010, +0.090] * better`; a dash where there is nothing to compare with."""
    if gap is None:
        return "-"
    if gap.low is None or gap.high is None:
        return f"{gap.value:+.3f} [no interval]"
    text = f"{gap.value:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}]"
    return f"{text} {mark(gap, level)} {direction(gap, better)}".rstrip() if gap.excludes_0 else text


def mark(gap: Difference, level: float) -> str:
    """`*` where the interval excludes 0, `**` where that also holds after Holm's correction, else an empty text."""
    if not gap.excludes_0:
        return ""
    return "**" if gap.adjusted is not None and gap.adjusted <= level else "*"


def direction(gap: Difference, better: str) -> str:
    """`better` or `worse` for a difference whose interval excludes 0; empty where neither is, or nothing is shown."""
    if not better or not gap.excludes_0:
        return ""
    return "better" if (gap.value > 0) == (better == "higher") else "worse"


def strongest_text(number: Number) -> str:
    """`surface 0.650, not beaten`; every baseline where none is to beat."""
    if number.strongest is None:
        return ", ".join(f"{rule} {value:.3f}" for rule, value in number.baselines.items()) or "-"
    value = f"{number.strongest} {number.baselines[number.strongest]:.3f}"
    if number.beats_strongest is None:
        return value
    return f"{value}, {'beaten' if number.beats_strongest else 'not beaten'}"


def count_text(comparison: Comparison, name: str) -> str:
    """`n 120 (12 groups)`, the same for all models."""
    found = dict.fromkeys(f"{number.n} ({number.groups})" for number in comparison.of(name).values())
    return " / ".join(found)


def full_table(comparison: Comparison) -> Rows:
    """A row a number; columns: number, n, then value, differences and the strongest baseline for every model."""
    head = ["number", "n (groups)"]
    for model in comparison.models:
        head += [model.label, *(f"{model.label} - {other}" for other in model.references)]
        head.append(f"strongest baseline beside {model.label}")
    return [head, *(_full_row(comparison, name) for name in comparison.names())]


def _full_row(comparison: Comparison, name: str) -> list[str]:
    found, level = comparison.of(name), comparison.level
    first = next(iter(found.values()))
    notes = ", ".join(part for part in (first.unit, f"{first.better} is better" if first.better else "") if part)
    cells = [f"{name} ({notes})" if notes else name, count_text(comparison, name)]
    for model in comparison.models:
        number = found.get(model.label)
        gaps = number.differences if number else {}
        cells += [value_text(number), *(difference_text(gaps.get(o), first.better, level) for o in model.references)]
        cells.append(strongest_text(number) if number else "-")
    return cells


def terminal_table(comparison: Comparison) -> Rows:
    """As `full_table`, narrower: values without intervals, differences with their marks."""
    head = ["number", "n (groups)"]
    for model in comparison.models:
        head += [model.label, *(f"- {other}" for other in model.references)]
    rows = [[*head, "strongest baseline"]]
    for name in comparison.names():
        found = comparison.of(name)
        cells = [name, count_text(comparison, name)]
        for model in comparison.models:
            number = found.get(model.label)
            gaps = number.differences if number else {}
            cells.append("-" if number is None else f"{number.value:.3f}")
            cells += [_short(gaps.get(other), comparison.level) for other in model.references]
        rules = dict.fromkeys(
            f"{n.strongest} {n.baselines[n.strongest]:.3f}" for n in found.values() if n.strongest is not None
        )
        rows.append([*cells, " / ".join(rules) or "-"])
    return rows


def marks_legend(comparison: Comparison) -> str:
    """What the marks say, and over how many tests."""
    percent, tests = f"{100 * comparison.confidence:g} %", comparison.tests
    return (
        f"Brackets are {percent} intervals from {comparison.samples} resamples of whole groups (seed "
        f"{comparison.seed}) or, where all groups are alike, exact ones over groups (Clopper and Pearson); differences "
        "are paired, item by item. * the interval of the difference excludes 0. "
        f"** its p also stays below {comparison.level:g} after Holm's correction over all {tests} differences "
        f"tested here. Of {tests} differences that are none, about {tests * comparison.level:.1f} "
        "would carry a * by chance."
    )


def beside_baselines(comparison: Comparison) -> list[str]:
    """`DPO: 14 of 16 numbers beat the strongest baseline beside them.` for every model."""
    lines = []
    for model in comparison.models:
        judged = [n for n in comparison.numbers_of(model) if n.beats_strongest is not None]
        if judged:
            won = sum(n.beats_strongest is True for n in judged)
            lines.append(f"{model.label}: {won} of {len(judged)} numbers beat the strongest baseline beside them.")
    return lines


def not_beaten(comparison: Comparison) -> list[str]:
    """A sentence a model: which of its numbers are not shown to beat the strongest baseline; none where all do."""
    lines = []
    for model in comparison.models:
        lost = [n for n in comparison.numbers_of(model) if n.beats_strongest is False]
        if lost:
            named = ", ".join(
                f"{n.name} {n.value:.3f} ({n.strongest} {n.baselines[str(n.strongest)]:.3f})" for n in lost
            )
            lines.append(f"{model.label}, not shown to beat the strongest baseline: {named}.")
    return lines


def changes(comparison: Comparison) -> list[str]:
    """A sentence a model and reference: how many numbers changed, and which of them for sure."""
    lines = []
    for model in comparison.models:
        for other in model.references:
            gaps = [(n, n.differences[other]) for n in comparison.numbers_of(model) if other in n.differences]
            if gaps:
                lines.append(_change(f"{model.label} against {other}", gaps, comparison.level))
    return lines


@dataclass(frozen=True)
class Counts:
    """How many numbers of `model` differ for sure from those of `other`, which way, and how many beat no plain rule."""

    model: Model
    other: str
    better: int
    worse: int
    different: int
    of: int
    unbeaten: int

    @property
    def unshown(self) -> int:
        return self.of - self.better - self.worse - self.different

    def sentence(self) -> str:
        """`Against base, DPO is better in 10 of 12 numbers and worse in 2; 3 beat no plain rule.`"""
        neither = f", only different in {self.different}" if self.different else ""
        unshown = f"no change is shown for {self.unshown}" if self.unshown else "each of them changed"
        lost = f", and {self.unbeaten} of its numbers beat no plain rule" if self.unbeaten else ""
        ways = f"better in {self.better} of {self.of} numbers, worse in {self.worse or 'none'}{neither}"
        return f"Against {self.other}, {self.model.label} is {ways}; {unshown}{lost}."


def counts(comparison: Comparison) -> list[Counts]:
    """What changed for sure, after correction for the number of tests, for every model and what it is compared with."""
    found = []
    for model in comparison.models:
        numbers = comparison.numbers_of(model)
        lost = sum(number.beats_strongest is False for number in numbers)
        for other in model.references:
            gaps = [(n.differences[other], n.better) for n in numbers if other in n.differences]
            ways = [direction(gap, better) for gap, better in gaps if mark(gap, comparison.level) == "**"]
            if gaps:
                better, worse, different = (ways.count(way) for way in ("better", "worse", ""))
                found.append(Counts(model, other, better, worse, different, len(gaps), lost))
    return found


def headline(comparison: Comparison) -> str:
    """What the runs that the comparison is about changed against their base, and what is not shown, in a sentence."""
    about = [each for each in counts(comparison) if each.model in comparison.asked and each.other == each.model.base]
    if len(about) == 1:
        return about[0].sentence()
    if not about:
        return "Nothing was compared: no run here stands beside its base model."
    better, worse, unshown = (_span(getattr(each, name) for each in about) for name in ("better", "worse", "unshown"))
    numbers = _span(each.of for each in about)
    return (
        f"Against {about[0].other}, {len(about)} runs are better in {better} of {numbers} numbers, worse in {worse}; "
        f"no change is shown for {unshown}."
    )


def _span(sizes: Iterable[int]) -> str:
    found = sorted(sizes)
    return f"{found[0]} to {found[-1]}" if found[0] < found[-1] else str(found[0] or "none")


def change_counts(comparison: Comparison) -> Rows:
    """The same as a table; [] where nothing was compared."""
    rows = [["", "better", "worse", "only different", "no change shown", "beat no plain rule"]]
    every = counts(comparison)
    for each in every if len(every) <= MOST_COUNTS else [each for each in every if each.other == each.model.base]:
        sizes = [each.better, each.worse, each.different, each.unshown, each.unbeaten]
        rows.append([f"{each.model.label} against {each.other}", *map(str, sizes)])
    return rows if len(rows) > 1 else []


def _change(title: str, gaps: list[tuple[Number, Difference]], level: float) -> str:
    shown = [(number, gap) for number, gap in gaps if gap.excludes_0]
    sure = [(number, gap) for number, gap in shown if mark(gap, level) == "**"]
    text = f"{title}: {len(shown)} of {len(gaps)} differences have an interval that excludes 0"
    if not shown:
        return f"{text}: no change is shown."
    parts = []
    for word, name in (("better", "better"), ("worse", "worse"), ("", "neither")):
        names = [f"{n.name} {gap.value:+.3f}" for n, gap in sure if direction(gap, n.better) == word]
        more = [f"and {len(names) - NAMED} more"] if len(names) > NAMED else []
        parts += [f"{len(names)} {name}: {', '.join([*names[:NAMED], *more])}"] if names else []
    after = f"{len(sure)} after correction for the number of tests"
    return f"{text}, {after}{' (' + '; '.join(parts) + ')' if parts else ''}."


def _short(gap: Difference | None, level: float) -> str:
    return "-" if gap is None else f"{gap.value:+.3f}{mark(gap, level)}"


METRIC = "corpus"
MARKS = ("mistake_found", "mistake_located", "answer_leaked")
MISCONCEPTIONS_TITLE = "By misconception"
MISCONCEPTIONS_LEGEND = (
    "Misconceptions that no training held, on fresh problems. Shares of replies in which the mistake is found / "
    "located / the answer is leaked; a few prompts each, so a row alone is an anecdote."
)


def by_misconception(comparison: Comparison) -> Rows:
    """Head, then a row a misconception and a cell a model; [] where the corpus was not measured."""
    shares = {
        model.label: [by_group(model.results[METRIC].measured[mark]) for mark in MARKS]
        for model in comparison.models
        if METRIC in model.results and set(MARKS) <= model.results[METRIC].measured.keys()
    }
    if not shares:
        return []
    first = next(iter(shares.values()))[0]
    rows = [["misconception", "prompts", *shares]]
    for name, (_, weight) in first.items():
        cells = [" / ".join(_share(mark, name) for mark in marks) for marks in shares.values()]
        rows.append([name, f"{weight:.0f}", *cells])
    return rows


def _share(mark: dict[str, tuple[float, float]], name: str) -> str:
    return f"{mark[name][0]:.2f}" if name in mark else "-"
