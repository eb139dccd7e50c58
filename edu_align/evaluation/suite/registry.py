"""The suite's metrics by name, and which parts of the data each reads. A new metric is an import and a line here."""

from collections.abc import Callable, Collection, Sequence

from edu_align.evaluation.suite.context_use import context_use
from edu_align.evaluation.suite.corpus import SOURCE, corpus
from edu_align.evaluation.suite.data import PARTS, Settings, SuiteData
from edu_align.evaluation.suite.diagnosis import diagnosis, feedback_pairs, leaves_right_alone, verdict_pairs
from edu_align.evaluation.suite.graded import graded
from edu_align.evaluation.suite.human_nll import human_nll, human_turn_nll
from edu_align.evaluation.suite.leak import leak_check
from edu_align.evaluation.suite.pair_accuracy import (
    Pairs,
    balanced_pairs,
    pair_accuracy,
    pair_accuracy_balanced,
    pair_accuracy_bridge,
    pair_accuracy_own,
    selection_score,
)
from edu_align.evaluation.suite.replies import form, form_own, leak, leak_own
from edu_align.evaluation.suite.results import MetricResult, Subject
from edu_align.evaluation.suite.retention import retention, retention_exact
from edu_align.evaluation.suite.socratic import socratic_questioning
from edu_align.evaluation.suite.steps import mistake_correction, mistake_step, solution_correctness
from edu_align.evaluation.suite.student import student, student_played
from edu_align.records import ResponseGroup

METRICS: dict[str, Callable[[Subject, SuiteData, Settings], MetricResult]] = {
    "pair_accuracy_balanced": pair_accuracy_balanced,
    "pair_accuracy": pair_accuracy,
    "pair_accuracy_bridge": pair_accuracy_bridge,
    "selection_score": selection_score,
    "context_use": context_use,
    "pair_accuracy_own": pair_accuracy_own,
    "human_turn_nll": human_turn_nll,
    "form_own": form_own,
    "leak_own": leak_own,
    "leak": leak,
    "form": form,
    "human_nll": human_nll,
    "retention": retention,
    "retention_exact": retention_exact,
    "corpus": corpus,
    "diagnosis": diagnosis,
    "leaves_right_alone": leaves_right_alone,
    "mistake_step": mistake_step,
    "solution_correctness": solution_correctness,
    "mistake_correction": mistake_correction,
    "leak_check": leak_check,
    "graded": graded,
    "socratic_questioning": socratic_questioning,
    "student": student,
    "student_played": student_played,
}
# Measured only where `evaluation.metrics` names them: slow, for large models, or of sources that few have.
ON_REQUEST = (
    "retention_exact", "diagnosis", "leaves_right_alone", "mistake_step", "solution_correctness", "mistake_correction",
    "leak_check", "graded", "socratic_questioning", "student_played",
)  # fmt: skip
# Whose notes are part of what they say, in a terminal, too.
NOTED = ("solution_correctness", "leak_check", "graded")
BUILT_IN = ("corpus", "student")  # measured where they are named, and for runs that trained on the built-in corpus
# Metrics whose weights depend on which pairs are measured together: the part of the data, and its pairs at a margin.
WEIGHED: dict[str, tuple[str, Callable[[Sequence[ResponseGroup], float], Pairs]]] = {
    "pair_accuracy_balanced": ("mrbench", balanced_pairs),
    "diagnosis": ("cogtutorbugs", feedback_pairs),
    "leaves_right_alone": ("semeval2013", verdict_pairs),
}
_MRBENCH = ("mrbench", "mrbench_training")
READS: dict[str, tuple[str, ...]] = {
    "pair_accuracy_balanced": _MRBENCH,
    "pair_accuracy": _MRBENCH,
    "pair_accuracy_bridge": ("bridge", "bridge_training"),
    "selection_score": _MRBENCH,
    "context_use": _MRBENCH,
    "pair_accuracy_own": ("own", "own_training"),
    "human_turn_nll": ("own_conversations", "own_conversations_training"),
    "form_own": ("own_conversations",),
    "leak_own": ("own_conversations",),
    "leak": ("mrbench", "bridge", "mathdial", "mathdial_training", "gsm8k"),
    "form": ("mrbench", "bridge", "mathdial"),
    "human_nll": ("mrbench", "mrbench_training", "bridge", "bridge_training", "mathdial", "mathdial_training"),
    "retention": ("gsm8k",),
    "retention_exact": ("gsm8k",),
    "corpus": ("own_training",),
    "diagnosis": ("cogtutorbugs",),
    "leaves_right_alone": ("semeval2013", "semeval2013_training"),
    "leak_check": ("mathchat",),
    "mistake_step": ("stepverify",),
    "solution_correctness": ("stepverify",),
    "mistake_correction": ("stepverify",),
    "graded": _MRBENCH,
    "socratic_questioning": ("gsm8k",),
    "student": ("own_training",),
    "student_played": ("mrbench", "mathdial", "mathdial_training", "gsm8k"),
}


def reads(metric: str) -> tuple[str, ...]:
    """The parts of `SuiteData` whose content a stored result depends on; all of them where READS says nothing."""
    return READS.get(metric, PARTS)


def chosen_metrics(names: Sequence[str], trained_on: Collection[str]) -> list[str]:
    """The metrics to measure; none named means all but those on request, as far as they are about such runs.

    `trained_on`: the sources that the measured runs were trained on.
    """
    unasked = ON_REQUEST if SOURCE in trained_on else (*ON_REQUEST, *BUILT_IN)
    return list(names or [name for name in METRICS if name not in unasked])
