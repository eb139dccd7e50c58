"""What a model replies to the suite's dialogues, and the two metrics of it: `leak` and `form`.

They share their replies: a subject keeps what it has answered, batch by batch.
"""

from edu_align.evaluation.suite.data import (
    Settings,
    SuiteData,
    available,
    mathdial_dialogues,
    require_any,
    with_sample_note,
)
from edu_align.evaluation.suite.form import form_panel
from edu_align.evaluation.suite.leak import leak_rate, open_ones
from edu_align.evaluation.suite.prompts import Generated, generate, golds, of_dialogues, of_groups, one_a_dialogue
from edu_align.evaluation.suite.results import MetricResult, Subject


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
