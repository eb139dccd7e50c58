"""Which targets are met, from items whose answers are known."""

from functools import partial
from typing import Any

import pytest

from edu_align.evaluation.suite.results import MetricResult, Series
from edu_align.evaluation.suite.summarise import paired_difference, summarise
from edu_align.recipes.tutor import targets

GROUPS = [f"g{n}" for n in range(20)]
PAIRED = partial(paired_difference, seed=0, samples=200, confidence=0.95)


def series(value: float, spread: float = 0.0) -> Series:
    return Series.of([(group, group, value + spread * (n % 2 - 0.5), 1.0) for n, group in enumerate(GROUPS)])


def model(good: bool) -> dict[str, MetricResult]:
    def result(name: str, value: float, better: str = "higher", **rules: float) -> MetricResult:
        beside = {rule: series(value) for rule, value in rules.items()}
        return MetricResult("", "", {name: series(value, 0.1)}, {name: beside}, {}, {name: better})

    form = {"question_rate": series(0.6 if good else 0.1, 0.02), "words": series(15.0 if good else 60.0)}
    people = {"question_rate": {"human tutor": series(0.6, 0.5)}, "words": {"human tutor": series(15.0, 10.0)}}
    return {
        "pair_accuracy_balanced": result(
            "pair_accuracy_balanced/implicit", 0.8 if good else 0.5, surface_logistic=0.6, bag_of_words=0.9
        ),
        "effect": result("dialogue_effect/implicit", 0.2 if good else 0.0),
        "selection_score": result("selection_score/implicit", 7.5 if good else 6.0),
        "context_use": result("context_use/mean_logp", 0.9 if good else 0.2, idf_overlap=0.7),
        "leak": result("leak_rate", 0.05 if good else 0.4, "lower"),
        "form": MetricResult("form", "", form, people, {}, dict.fromkeys(form, "")),
        "human_nll": result("nats_per_token/mathdial", 2.0 if good else 3.0, "lower"),
        "retention": result("retention/likelihood", 0.7 if good else 0.5),
    }


@pytest.mark.parametrize(("good", "said"), [(True, "MET"), (False, "MISSED")])
def test_every_target_is_told(good: bool, said: str) -> None:
    base: dict[str, Any] = {name: result for name, result in model(True).items() if name in ("human_nll", "retention")}
    base["human_nll"] = MetricResult("human_nll", "", {"nats_per_token/mathdial": series(2.5)})
    results = {"base": base, "DPO": model(good)}
    lines = targets(summarise(results, 0, 200), results["DPO"], "DPO", PAIRED)
    assert len(lines) == 10
    assert [line.split(": ")[0] for line in lines] == [f"target {said}"] * 10
    assert any("minus the rule surface_logistic" in line for line in lines)
    assert any("between 10 and 20" in line for line in lines)


def test_what_was_not_measured_is_no_target() -> None:
    results = {"base": {}, "DPO": {name: value for name, value in model(True).items() if name == "leak"}}
    (line,) = targets(summarise(results, 0, 200), results["DPO"], "DPO", PAIRED)
    assert line.startswith("target MET: leak_rate 0.050 [")
