"""What a model replies to the suite's dialogues, and the metrics of it: `leak` and `form`, and on a run's own data
`leak_own` and `form_own`.

They share their replies: a subject keeps what it has answered, batch by batch.
"""

from dataclasses import replace

from edu_align.evaluation.suite.data import (
    Settings,
    SourceAbsentError,
    SuiteData,
    available,
    mathdial_dialogues,
    require_any,
    with_sample_note,
)
from edu_align.evaluation.suite.form import form_panel
from edu_align.evaluation.suite.leak import leak_rate, open_ones
from edu_align.evaluation.suite.prompts import (
    Generated,
    Prompt,
    chosen,
    generate,
    golds,
    of_dialogues,
    of_groups,
    one_a_dialogue,
)
from edu_align.evaluation.suite.results import MetricResult, Subject

OWN_PROMPTS = 60  # of a run's own dialogues, as many as of MathDial's


def leak(subject: Subject, data: SuiteData, settings: Settings) -> MetricResult:
    """Metric 4: share of replies to MRBench's and MathDial's dialogues that state an answer not stated there yet.

    Baselines: every tutor of MRBench, MathDial's teachers, and a constant reply. Lower is better, and 0 costs nothing.
    """
    return with_sample_note(leak_rate(answered(subject, data, settings)), data)


def form(subject: Subject, data: SuiteData, settings: Settings) -> MetricResult:
    """Metric 5: question rate, words, repetition, empties, role prefixes and unfinished ends of the same replies.

    Bridge's dialogues are among them. The baseline is the human tutor's own reply; its range is in the notes.
    """
    return with_sample_note(form_panel(answered(subject, data, settings)), data)


def answered(subject: Subject, data: SuiteData, settings: Settings) -> Generated:
    """Replies to every MRBench and Bridge dialogue, and to one tutor turn of each of MathDial's.

    Of MathDial's turns only those before the answer is stated are prompts, where there are such.
    """
    talks, groups = mathdial_dialogues(data), available(lambda: data.mrbench)
    known = golds([*groups, *talks, *available(lambda: data.mathdial_training), *available(lambda: data.gsm8k)])
    turns = of_dialogues(talks)
    still_open = {one.item for one in open_ones(turns)}
    first = {one.item.rpartition("#")[0] for one in turns if one.item in still_open}
    eligible = [one for one in turns if one.item in still_open or one.item.rpartition("#")[0] not in first]
    prompts = [*of_groups([*groups, *available(lambda: data.bridge)], known), *one_a_dialogue(eligible)]
    return generate(subject, require_any(prompts), settings.max_new_tokens)


def leak_own(subject: Subject, data: SuiteData, settings: Settings) -> MetricResult:
    """Metric 4 on the run's own held-out dialogues, where they name the answer (`gold_answer`).

    Share of replies that state an answer which the dialogue does not hold yet; baselines are the tutor's own turn there
    and a constant reply.
    """
    prompts = own_prompts(data)
    if not any(one.gold for one in prompts):
        raise SourceAbsentError("the run's own data names no `gold_answer`")
    found = leak_rate(generate(subject, prompts, settings.max_new_tokens))
    own = [name for name in found.measured if "/" in name]  # by source; their sum repeats the one source
    if not own:
        raise SourceAbsentError("every dialogue of the run's own data holds its answer already")
    return replace(
        found, metric="leak_own", measured={name: found.measured[name] for name in own},
        baselines={name: found.baselines[name] for name in own},
    )  # fmt: skip


def form_own(subject: Subject, data: SuiteData, settings: Settings) -> MetricResult:
    """Metric 5 on the run's own held-out dialogues, one turn of each; the baseline is the tutor's own turn there."""
    prompts = own_prompts(data)
    name = "_".join(sorted({one.source for one in prompts}))
    return form_panel(generate(subject, prompts, settings.max_new_tokens), "form_own", f"/{name}")


def own_prompts(data: SuiteData) -> list[Prompt]:
    """At most OWN_PROMPTS dialogues of the run's own data, those of the smallest content hash, up to one turn each."""
    turns = of_dialogues(data.own_conversations)
    if not turns:
        raise SourceAbsentError("no held-out dialogue of the run's own data has a turn to answer")
    return chosen(one_a_dialogue(turns), OWN_PROMPTS)
