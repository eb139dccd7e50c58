"""The suite's metrics by name, and which parts of the data each reads. A new metric is an import and a line here."""

from collections.abc import Callable, Sequence

from edu_align.evaluation.suite.context_use import context_use
from edu_align.evaluation.suite.corpus import corpus
from edu_align.evaluation.suite.data import PARTS, Settings, SuiteData
from edu_align.evaluation.suite.human_nll import human_nll, own_turn_nll
from edu_align.evaluation.suite.pair_accuracy import (
    pair_accuracy,
    pair_accuracy_balanced,
    pair_accuracy_bridge,
    pair_accuracy_own,
    selection_score,
)
from edu_align.evaluation.suite.replies import form, leak
from edu_align.evaluation.suite.results import MetricResult, Subject
from edu_align.evaluation.suite.retention import retention, retention_exact

METRICS: dict[str, Callable[[Subject, SuiteData, Settings], MetricResult]] = {
    "pair_accuracy_balanced": pair_accuracy_balanced,
    "pair_accuracy": pair_accuracy,
    "pair_accuracy_bridge": pair_accuracy_bridge,
    "selection_score": selection_score,
    "context_use": context_use,
    "pair_accuracy_own": pair_accuracy_own,
    "own_turn_nll": own_turn_nll,
    "leak": leak,
    "form": form,
    "human_nll": human_nll,
    "retention": retention,
    "retention_exact": retention_exact,
    "corpus": corpus,
}
ON_REQUEST = ("retention_exact",)  # measured only where `evaluation.metrics` names them: too slow, or for large models
_MRBENCH = ("mrbench", "mrbench_training")
READS: dict[str, tuple[str, ...]] = {
    "pair_accuracy_balanced": _MRBENCH,
    "pair_accuracy": _MRBENCH,
    "pair_accuracy_bridge": ("bridge", "bridge_training"),
    "selection_score": _MRBENCH,
    "context_use": _MRBENCH,
    "pair_accuracy_own": ("own", "own_training"),
    "own_turn_nll": ("own_conversations",),
    "leak": ("mrbench", "bridge", "mathdial", "mathdial_training", "gsm8k"),
    "form": ("mrbench", "bridge", "mathdial"),
    "human_nll": ("mrbench", "mrbench_training", "bridge", "bridge_training", "mathdial", "mathdial_training"),
    "retention": ("gsm8k",),
    "retention_exact": ("gsm8k",),
    "corpus": ("own_training",),
}


def reads(metric: str) -> tuple[str, ...]:
    """The parts of `SuiteData` whose content a stored result depends on; all of them where READS says nothing."""
    return READS.get(metric, PARTS)


def chosen_metrics(names: Sequence[str]) -> list[str]:
    """The metrics to measure; none named means all but those on request."""
    return list(names or [name for name in METRICS if name not in ON_REQUEST])
