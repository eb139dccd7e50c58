"""The built-in corpus's own metrics on generated replies: mistake found, mistake located, answer leaked, sums right.

Prompts are fresh dialogues. Misconceptions and wordings that training has shown and others are crossed and reported
apart: a model that is good on seen wordings only has learnt phrases. The corpus knows the right and the wrong answer
and the place of every mistake, so replies are read by rules; see `reply_text`.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from edu_align.evaluation.suite import reply_text
from edu_align.evaluation.suite.data import Settings, SuiteData, available
from edu_align.evaluation.suite.leak import CONSTANT
from edu_align.evaluation.suite.prompts import Generated, Prompt, generate
from edu_align.evaluation.suite.results import MetricResult, Series, Subject
from edu_align.records import ResponseGroup
from edu_align.tutoring import corpus as built_in
from edu_align.tutoring.dialogue import dialogue
from edu_align.tutoring.library import by_split
from edu_align.tutoring.replies import reply, usable
from edu_align.tutoring.splits import rank
from edu_align.tutoring.types import Case, Misconception

SOURCE = "edu_tutor"
CORPUS = (1500, 42)  # size and seed of the corpus whose problems a run of the presets trains on
EACH = 30  # prompts of each cell
SEED = 6  # of the suite's own draws; apart from the corpus's, so that its problems are new ones
# Cell -> the split that its misconceptions are of, and that of its wordings ("" stands for the measured split).
CELLS = {
    "held_out": ("", ""),
    "seen_phrasing": ("", "train"),
    "seen_misconception": ("train", ""),
    "seen": ("train",) * 2,
}
SHOWN = ("guiding", "agreeing")  # constructed replies that are kept beside each prompt
_TRIES = 60


@dataclass(frozen=True)
class Posed:
    """A prompt, and the case that it poses; `words`: the split whose wordings the student uses."""

    prompt: Prompt
    case: Case
    words: str


def corpus_prompts(split: str, trained: Iterable[ResponseGroup], each: int = EACH) -> list[Prompt]:
    """`each` prompts a cell of CELLS, see `posed`."""
    trained = list(trained)
    return [one.prompt for cell in CELLS for one in posed(cell, split, trained, each)]


def posed(cell: str, split: str, trained: Iterable[ResponseGroup], each: int = EACH) -> list[Posed]:
    """`each` prompts, shared out evenly over the misconceptions of a cell of CELLS; `split` is the measured one.

    Problems that a group of `trained` poses are drawn again, and left out where none other turns up. The prompts are
    the same on every machine. `others` holds a constructed guiding and agreeing reply, `meta` what `reply_text` needs.
    """
    known = _bare("\n".join(turn.content for group in trained for turn in group.prompt))
    misconceptions, words = (name or split for name in CELLS[cell])
    items = sorted(by_split()[misconceptions], key=lambda item: rank(item.id))
    found = []
    for place in range(each):
        item = items[place % len(items)]
        rng = Random(f"suite/{SEED}/{cell}/{item.id}/{place}")
        case = _new_case(item, known, rng)
        if case is not None:
            found.append(Posed(_asked(case, item, f"{cell}:{item.id}:{place}", cell, words, rng), case, words))
    return found


def trained_on(data: SuiteData) -> list[ResponseGroup]:
    """Groups of the corpus whose problems a measured run may have trained on."""
    every = [*built_in.load(*CORPUS), *available(lambda: data.own_training)]
    return [group for group in every if group.meta.get("split", "train") == "train"]


def _new_case(item: Misconception, known: str, rng: Random) -> Case | None:
    for _ in range(_TRIES):
        case = item.make(rng)
        if usable(case) and _bare(case.question) not in known:
            return case
    return None


def _bare(text: str) -> str:
    return text.lower().rstrip(".?!: ")


def _asked(case: Case, item: Misconception, name: str, cell: str, words: str, rng: Random) -> Prompt:
    meta = {
        "cell": cell,
        "misconception": item.id,
        "answer": case.answer,
        "wrong_answer": case.wrong_answer,
        "place": case.place,
        "wrong_place": case.wrong_place,
    }
    turns = dialogue(case, words, rng)
    others = {kind: reply(case, kind, words, rng).text for kind in SHOWN}
    return Prompt(f"{SOURCE}:{name}", f"misconception:{item.id}", SOURCE, turns, others=others, meta=meta)


Mark = Callable[[str, Prompt], bool | None]  # None: the reply or prompt does not count

MARKS: Mapping[str, tuple[Mark, str]] = {
    "mistake_found": (lambda text, one: reply_text.finds(text, one.text, one.meta), "higher"),
    "mistake_located": (lambda text, one: reply_text.locates(text, one.meta), "higher"),
    "answer_leaked": (lambda text, one: reply_text.reveals(text, one.text, one.meta), "lower"),
    "arithmetic_correct": (lambda text, one: reply_text.calculates(text, one.text), "higher"),
}
NOTES = (
    "held_out: misconceptions and wordings of the measured split; seen_phrasing, seen_misconception and seen have the "
    "one, the other or both from the training split. No problem is one that was trained on.",
    "Read off the text by rules: a mistake that is pointed at in words of the model's own counts as missed. "
    'Any objection counts as found ("Please recheck your work." scores 1), so read it beside mistake_located.',
    "answer_leaked leaves out dialogues that hold the answer; arithmetic_correct counts replies with an equation of "
    "their own only, so it is over other replies for each model, and differences are over those that two share.",
)


def corpus(subject: Subject, data: SuiteData, settings: Settings) -> MetricResult:
    """Mistake found and located, answer leaked, sums right, on fresh problems of the built-in corpus (no download).

    Misconceptions and wordings of the measured split and of the training split are crossed, and reported apart.
    """
    each = EACH if settings.max_groups is None else min(EACH, settings.max_groups)
    prompts = corpus_prompts(settings.split, trained_on(data), each)
    return corpus_metrics(generate(subject, prompts, settings.max_new_tokens))


def corpus_metrics(generated: Generated) -> MetricResult:
    """Each of MARKS over the corpus's prompts, by cell; "mistake_found" alone is that of the `held_out` cell.

    Baselines on the same prompts: a constant reply, a copy of the student's last turn, and the corpus's own guiding and
    agreeing replies, the first of which is what the corpus holds up as best.
    """
    measured, baselines, better = {}, {}, {}
    for cell in CELLS:
        part = [one for one in generated.prompts if one.source == SOURCE and one.meta["cell"] == cell]
        rules = {
            "constant reply": {one.item: CONSTANT for one in part},
            "copy of the student": {one.item: one.turns[-1].content for one in part},
            **{f"{kind} reply": {one.item: one.others[kind] for one in part} for kind in SHOWN},
        }
        for mark, (rule, direction) in MARKS.items():
            series = _series(part, generated.replies, rule)
            if series.items:
                name = mark if cell == "held_out" else f"{mark}/{cell}"
                measured[name], better[name] = series, direction
                ruled = {kind: _series(part, texts, rule) for kind, texts in rules.items()}
                baselines[name] = {kind: values for kind, values in ruled.items() if values.items}
    return MetricResult(
        "corpus",
        "What replies to fresh problems of the built-in corpus do, read off their text by exact rules.",
        measured,
        baselines,
        dict.fromkeys(measured, "share"),
        better,
        notes=NOTES,
        examples=tuple(
            generated.row(one) | {name: rule(generated.replies[one.item], one) for name, (rule, _) in MARKS.items()}
            for one in generated.prompts[:8]
            if one.source == SOURCE
        ),
    )


def by_group(series: Series) -> dict[str, tuple[float, float]]:
    """Cluster (here: misconception) -> weighted mean and total weight of its items; those of weight 0 are left out."""
    totals: defaultdict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for group, value, weight in zip(series.groups, series.values, series.weights, strict=True):
        totals[group][0] += value * weight
        totals[group][1] += weight
    return {group: (total / weight, weight) for group, (total, weight) in sorted(totals.items()) if weight}


def _series(prompts: Sequence[Prompt], texts: Mapping[str, str], rule: Mark) -> Series:
    """Those that count: two models are compared on the items that both have."""
    marks = [(one, rule(texts[one.item], one)) for one in prompts]
    return Series.of([(one.item, one.group, float(mark), 1.0) for one, mark in marks if mark is not None])
