"""What a comparison holds: models with their stored results, and every number of theirs beside base and parent."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edu_align.evaluation.suite.results import MetricResult
from edu_align.evaluation.suite.run import BASE


@dataclass(frozen=True)
class Model:
    """One measured model. `run` is the folder that made it, None for a base model; `sft` is its parent's label, `rival`
    that of the first run that the comparison names.

    `key` names the model in the store of results; `record` is the run's run.json, empty for a base model.
    """

    label: str
    key: str
    results: dict[str, MetricResult]
    base: str = BASE
    sft: str | None = None
    run: Path | None = None
    record: dict[str, Any] = field(default_factory=dict)
    rival: str | None = None

    @property
    def references(self) -> list[str]:
        """Labels of the models that this one is compared with: its base, its parent, the first run named."""
        others = dict.fromkeys((self.base, self.sft, self.rival))
        return [label for label in others if label is not None and label != self.label]


@dataclass(frozen=True)
class Difference:
    """A paired difference; no interval where there is one group. `adjusted`: its p by Holm over the whole report."""

    value: float
    low: float | None
    high: float | None
    adjusted: float | None = None

    @property
    def excludes_0(self) -> bool:
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


@dataclass(frozen=True)
class Number:
    """One number of one model. `better`: "higher", "lower" or ""; `metric`: the stored result it is part of.

    `differences` are paired, by the label of the model that is subtracted.
    """

    metric: str
    name: str
    label: str
    value: float
    low: float | None
    high: float | None
    n: int
    groups: int
    unit: str
    better: str
    baselines: dict[str, float] = field(default_factory=dict)
    strongest: str | None = None
    to_strongest: Difference | None = None
    differences: dict[str, Difference] = field(default_factory=dict)

    @property
    def beats_strongest(self) -> bool | None:
        """Whether the interval lies on the better side of the strongest baseline; None where there is none to beat."""
        gap = self.to_strongest
        if gap is None or not self.better:
            return None
        if gap.low is None or gap.high is None:
            return False
        return gap.low > 0 if self.better == "higher" else gap.high < 0


@dataclass(frozen=True)
class Comparison:
    """Models measured on the same items of one split.

    `tests`: how many paired differences Holm's correction counts. `notes`: what the suite said when it measured.
    `reads`: how often each model was measured on the test split; `others`: further models that were.
    """

    name: str
    split: str
    models: tuple[Model, ...]
    numbers: tuple[Number, ...]
    confidence: float
    samples: int
    seed: int
    tests: int
    notes: tuple[str, ...] = ()
    reads: dict[str, int] = field(default_factory=dict)
    others: int = 0

    @property
    def labels(self) -> list[str]:
        return [model.label for model in self.models]

    def names(self) -> list[str]:
        """Names of all numbers, those of one metric beside each other."""
        metrics = dict.fromkeys(number.metric for number in self.numbers)
        return list(dict.fromkeys(n.name for metric in metrics for n in self.numbers if n.metric == metric))

    def of(self, name: str) -> dict[str, Number]:
        """The number of that name by model."""
        return {number.label: number for number in self.numbers if number.name == name}

    def numbers_of(self, model: Model) -> list[Number]:
        return [number for number in self.numbers if number.label == model.label]

    def model(self, label: str) -> Model:
        return next(model for model in self.models if model.label == label)

    @property
    def asked(self) -> list[Model]:
        """The runs that the comparison is about: those that no other one started from."""
        parents = {model.sft for model in self.models}
        return [model for model in self.models if model.run is not None and model.label not in parents]

    @property
    def level(self) -> float:
        return 1.0 - self.confidence
