"""The metrics of what a model writes, of what people wrote, and of retention, over the suite's data.

`leak`, `form` and `corpus` share their replies: a subject keeps what it has answered, batch by batch.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from edu_align.data.load import source_files
from edu_align.data.read import iter_rows
from edu_align.data.records import Conversation
from edu_align.data.text import problem_key
from edu_align.evaluation.suite import leak as leaking
from edu_align.evaluation.suite.corpus import corpus_metrics
from edu_align.evaluation.suite.corpus_prompts import EACH, corpus_prompts
from edu_align.evaluation.suite.data import Settings, SourceAbsentError, SuiteData
from edu_align.evaluation.suite.form import form_panel
from edu_align.evaluation.suite.generated import Generated, generate
from edu_align.evaluation.suite.human_nll import human_nll as turns_nll
from edu_align.evaluation.suite.items import MetricResult, Subject
from edu_align.evaluation.suite.perturbed import Problem, problems_of
from edu_align.evaluation.suite.prompts import Asked, digest, golds, of_dialogues, of_groups, one_a_dialogue
from edu_align.evaluation.suite.retention import MOST, exact_match
from edu_align.evaluation.suite.retention import retention as by_likelihood
from edu_align.tutoring import corpus as built_in

CORPUS = (1500, 42)  # size and seed of the corpus whose problems a run of the presets trains on
TALKS = 60  # dialogues of MathDial, the longest source
T = TypeVar("T")


def leak(subject: Subject, data: SuiteData, settings: Settings) -> MetricResult:
    """Metric 4: share of replies to MRBench's and MathDial's dialogues that state an answer not stated there yet.

    Baselines: every tutor of MRBench, MathDial's teachers, and a constant reply. Lower is better, and 0 costs nothing.
    """
    return _noted(leaking.leak_rate(answered(subject, data, settings)), data)


def form(subject: Subject, data: SuiteData, settings: Settings) -> MetricResult:
    """Metric 5: question rate, words, repetition, empties, role prefixes and unfinished ends of the same replies.

    Bridge's dialogues are among them. The baseline is the human tutor's own reply; its range is in the notes.
    """
    return _noted(form_panel(answered(subject, data, settings)), data)


def corpus(subject: Subject, data: SuiteData, settings: Settings) -> MetricResult:
    """Mistake found and located, answer leaked, sums right, on fresh problems of the built-in corpus (no download).

    Misconceptions and wordings of the measured split and of the training split are crossed, and reported apart.
    """
    trained = [*built_in.load(*CORPUS), *_part(lambda: data.own_training)]
    known = [group for group in trained if group.meta.get("split", "train") == "train"]
    each = EACH if settings.max_groups is None else min(EACH, settings.max_groups)
    return corpus_metrics(generate(subject, corpus_prompts(settings.split, known, each), settings.max_new_tokens))


def human_nll(subject: Subject, data: SuiteData, settings: Settings) -> MetricResult:
    """Metric 6: nats a token and nats a byte of what MathDial's teachers and Bridge's and MRBench's experts wrote.

    Turns of one dialogue follow each other, so that packing computes what they share once. Baselines are unigrams.
    """
    asked = [
        *of_dialogues(_talks(data)),
        *of_groups([*_part(lambda: data.mrbench), *_part(lambda: data.bridge)], {}),
    ]
    known = [
        *of_dialogues(_part(lambda: data.mathdial_training)),
        *of_groups([*_part(lambda: data.mrbench_training), *_part(lambda: data.bridge_training)], {}),
    ]
    return _noted(turns_nll(subject, _some(asked), [one.human for one in known if one.human]), data)


def retention(subject: Subject, data: SuiteData, settings: Settings) -> MetricResult:
    """Metric 8: share of GSM8K's test problems whose gold solution is likelier than three with a wrong last result.

    Problems whose question any run of the chain, or any source's training side, has seen are left out. Chance is 1/4.
    """
    return by_likelihood(subject, _problems(data), _most(settings))


def retention_exact(subject: Subject, data: SuiteData, settings: Settings) -> MetricResult:
    """Metric 8 for models that solve such problems: share of them whose final answer the model's solution reaches.

    On request only (`evaluation.metrics=[retention_exact]`): up to 256 tokens a problem, near 0 for small models.
    """
    return exact_match(subject, _problems(data), _most(settings))


def answered(subject: Subject, data: SuiteData, settings: Settings) -> Generated:
    """Replies to every MRBench and Bridge dialogue, and to one tutor turn of each of MathDial's.

    Of MathDial's turns those before the answer is said are asked, where there is one.
    """
    talks, groups = _talks(data), _part(lambda: data.mrbench)
    known = golds([*groups, *talks, *_part(lambda: data.mathdial_training), *_part(lambda: data.gsm8k)])
    turns = of_dialogues(talks)
    still_open = {one.item for one in leaking.open_ones(turns)}
    first = {one.item.rpartition("#")[0] for one in turns if one.item in still_open}
    eligible = [one for one in turns if one.item in still_open or one.item.rpartition("#")[0] not in first]
    asked = [*of_groups([*groups, *_part(lambda: data.bridge)], known), *one_a_dialogue(eligible)]
    return generate(subject, _some(asked), settings.max_new_tokens)


def _talks(data: SuiteData) -> list[Conversation]:
    """At most TALKS of MathDial's dialogues, by the hash of their text."""
    talks = {digest(talk.messages): talk for talk in _part(lambda: data.mathdial)}
    return [talks[key] for key in sorted(talks)[:TALKS]]


def _noted(result: MetricResult, data: SuiteData) -> MetricResult:
    """The result with a sentence on what was sampled."""
    every, used = len(_part(lambda: data.mathdial)), len(_talks(data))
    note = f"{used} of MathDial's {every} dialogues, those of the smallest content hash."
    return replace(result, notes=(note, *result.notes)) if used < every else result


def _problems(data: SuiteData) -> list[Problem]:
    """Those of the official test file whose question is in `data.gsm8k`, which leaves out all that training saw."""
    wanted = {problem_key(record.meta["problem"]) for record in data.gsm8k}
    files = source_files("gsm8k_socratic", data.data_root, data.outputs_root)
    rows = (row for file in files if file.stem.startswith("test") for row in iter_rows(file))
    return [one for one in problems_of(rows) if one.group in wanted]


def _most(settings: Settings) -> int:
    return MOST if settings.max_groups is None else min(MOST, settings.max_groups)


def _part(read: Callable[[], list[T]]) -> list[T]:
    """A part of the data, empty where its source is absent: the other sources are measured without it."""
    try:
        return read()
    except SourceAbsentError:
        return []


def _some(asked: Sequence[Asked]) -> Sequence[Asked]:
    if not asked:
        raise SourceAbsentError("none of MRBench, Bridge and MathDial is there")
    return asked
