"""The built-in corpus by misconception: where the mistake is found, located, and the answer leaked."""

from edu_align.comparison.models import Comparison
from edu_align.evaluation.suite.corpus import by_group
from edu_align.evaluation.tables import Rows

METRIC = "corpus"
MARKS = ("mistake_found", "mistake_located", "answer_leaked")
TITLE = "By misconception"
LEGEND = (
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
