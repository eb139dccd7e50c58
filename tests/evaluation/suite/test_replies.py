"""The reply metrics over the suite's own data and a loaded subject, as `edu_align.evaluate` calls them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edu_align.data.questions import problem_key
from edu_align.evaluation.suite import subject as subject_module
from edu_align.evaluation.suite.data import Settings, SourceAbsentError, SuiteData
from edu_align.evaluation.suite.registry import METRICS, ON_REQUEST, chosen_metrics, reads
from edu_align.evaluation.suite.subject import LoadedSubject, Weights
from edu_align.evaluation.suite.summarise import summarise
from tests.evaluation.suite import real

FEW = Settings(max_new_tokens=4, max_groups=4, max_length=512)
PUBLIC = ("leak", "form", "human_nll", "retention", "retention_exact")


@pytest.fixture
def subject(typed: Callable[..., Any], tmp_path: Path) -> LoadedSubject:
    return LoadedSubject("base", Weights(typed("trainer=sft", f"outputs_root={tmp_path}")), FEW.max_length)


def data_of(subject: LoadedSubject, root: Path | None, seen: frozenset[str] = frozenset()) -> SuiteData:
    config = subject.weights.config
    return SuiteData(config.dataset, root, config.outputs_root, FEW, seen)


@real.needs_data
def test_every_metric_gives_rows_with_intervals_and_baselines(subject: LoadedSubject) -> None:
    data = data_of(subject, real.ROOT)
    results = {name: METRICS[name](subject, data, FEW) for name in (*PUBLIC, "corpus") if name not in ON_REQUEST}
    assert all(result.metric == name for name, result in results.items())
    rows = {row["name"]: row for row in summarise({"base": results}, seed=0, samples=50)}
    assert {"leak_rate", "words", "nats_per_byte/mathdial", "retention/likelihood", "mistake_found/seen"} <= set(rows)
    assert all(row["baselines"] and row["unit"] for row in rows.values())
    assert rows["words"]["n"] == 12, "four dialogues of each of three sources"
    assert rows["nats_per_token/bridge"]["n"] == 4
    assert rows["mistake_located"]["n"] == rows["retention/likelihood"]["n"] == 4
    assert rows["nats_per_byte/mathdial"]["value"] > 1
    assert rows["nats_per_token/mrbench"]["baselines"].keys() == {"unigram of tokens", "unigram of bytes"}


@real.needs_data
def test_leak_and_form_share_their_replies(subject: LoadedSubject, monkeypatch: pytest.MonkeyPatch) -> None:
    data = data_of(subject, real.ROOT)
    answered: list[int] = []
    answer = subject_module.answer

    def counted(*given: Any) -> Any:
        answered.append(len(given[3]))
        return answer(*given)

    monkeypatch.setattr(subject_module, "answer", counted)
    METRICS["form"](subject, data, FEW)
    assert sum(answered) in (11, 12), "one dialogue may be in Bridge and in MRBench, and is answered once"
    before = list(answered)
    METRICS["leak"](subject, data, FEW)
    assert answered == before


@real.needs_data
def test_no_problem_that_training_saw_is_asked(subject: LoadedSubject) -> None:
    def asked(*seen: str) -> tuple[str, ...]:
        data = data_of(subject, real.ROOT, frozenset(seen))
        return METRICS["retention"](subject, data, FEW).measured["retention/likelihood"].groups

    first = asked()
    assert first[0] not in asked(first[0])
    assert all(group.startswith(problem_key("")[:8]) for group in first)


def test_without_public_data_only_the_corpus_is_measured(
    subject: LoadedSubject, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("edu_align.data.download.TIMEOUT", 0.001)
    data = data_of(subject, tmp_path)
    for name in PUBLIC:
        with pytest.raises(SourceAbsentError):
            METRICS[name](subject, data, FEW)
    few = replace(FEW, max_groups=2)
    assert len(METRICS["corpus"](subject, data, few).measured["mistake_found"].items) == 2


def test_every_metric_says_what_it_reads_and_exact_match_is_on_request() -> None:
    assert not set(chosen_metrics([], ["mrbench"])) & {*ON_REQUEST, "corpus"}
    assert "corpus" in chosen_metrics([], ["local", "edu_tutor"])
    assert chosen_metrics(["corpus"], []) == ["corpus"]
    assert chosen_metrics(["retention_exact"], []) == ["retention_exact"]
    assert {reads(name) for name in PUBLIC}.isdisjoint({reads("no metric")})
