"""`python -m edu_align.report runs=[...]` on stored results: what is read, and what is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edu_align.evaluation.suite.results import MetricResult
from edu_align.reports.comparison.models import Model
from edu_align.reports.comparison.reading import read_comparison
from edu_align.runs.folder import find_stored
from edu_align.utils.errors import UserError
from tests.reports.comparison_builders import compared, results, run_folder, series, store, three


@pytest.fixture
def stored(tmp_path: Path) -> list[Model]:
    models = three(tmp_path)
    store(tmp_path, tmp_path / "runs" / "tutor-dpo", models)
    return models


def test_a_dpo_run_brings_its_base_and_parent(tmp_path: Path, stored: list[Model], say: Any) -> None:
    found = read_comparison(find_stored("runs", ["tutor-dpo"], tmp_path), tmp_path)
    assert found.labels == ["base", "SFT", "DPO"]
    assert found.split == "test"
    assert found.model("DPO").sft == "SFT"
    assert found.model("SFT").run == tmp_path / "runs" / "tutor-sft"
    assert found.model("SFT").sft is None
    assert found.reads == {"base": 1, "SFT": 1, "DPO": 1}
    assert {n.name: n.value for n in found.numbers if n.label == "DPO"} == {
        n.name: n.value for n in compared(stored).numbers if n.label == "DPO"
    }
    out = say("runs=[tutor-dpo]")
    written = tmp_path / "reports" / "tutor-dpo" / "report.html"
    assert f"edu_align: report {written}, with report.md" in out
    assert written.is_file()
    assert "pair_accuracy_balanced/mean_logp" in out
    assert "edu_align: retention left out: no gsm8k." in out


def test_runs_that_share_a_base_are_shown_once_and_by_name(tmp_path: Path, stored: list[Model]) -> None:
    other = run_folder(tmp_path, "other-dpo", "dpo", tmp_path / "runs" / "tutor-sft", seed=3)
    store(tmp_path, other, [*stored[:2], Model("DPO", "smollm2-dddd", results(0.6, 400, True), run=other)])
    found = read_comparison(find_stored("runs", ["tutor-dpo", "other-dpo"], tmp_path), tmp_path)
    assert found.labels == ["base", "SFT", "tutor-dpo", "other-dpo"]
    assert {model.label: model.sft for model in found.models}["other-dpo"] == "SFT"
    assert found.others == 0
    alone = read_comparison(find_stored("runs", ["tutor-dpo"], tmp_path), tmp_path)
    assert alone.others == 1


def test_what_cannot_be_compared_is_refused(tmp_path: Path, stored: list[Model], say: Any) -> None:
    def beside(name: str, number: int, **more: Any) -> Path:
        run = run_folder(tmp_path, name, "sft", seed=number)
        made = [stored[0], Model("SFT", f"smollm2-{number}", more.pop("results", results(0.5, number)), run=run)]
        store(tmp_path, run, made, **more)
        return run

    with pytest.raises(UserError, match=r"Did you mean `tutor-dpo`\?"):
        say("runs=[tutor-dpp]")
    run_folder(tmp_path, "new", "sft", seed=8)
    with pytest.raises(
        UserError, match=r"new: not evaluated yet.*edu_align\.evaluate run=.*runs/new evaluation\.split=test"
    ):
        say("runs=[tutor-dpo,new]")
    beside("on-validation", 5, split="validation")
    with pytest.raises(
        UserError, match=r"different splits.*tutor-dpo on test; on-validation on validation.*split=test"
    ):
        say("runs=[tutor-dpo,on-validation]")
    with pytest.raises(UserError, match=r"`split=validation`: not all runs were measured on it: tutor-dpo on test"):
        say("runs=[tutor-dpo]", "split=validation")
    beside("longer", 6, max_new_tokens=200)
    with pytest.raises(UserError, match=r"measured differently for .*max_new_tokens 80 against 200"):
        say("runs=[tutor-dpo,longer]")


def test_what_counts_only_some_replies_is_shown_without_a_difference(
    tmp_path: Path, stored: list[Model], say: Any
) -> None:
    run, sums = run_folder(tmp_path, "sums", "sft", seed=8), series(0.5, 8, groups=4)
    few = type(sums)(*(part[:5] for part in (sums.items, sums.groups, sums.values, sums.weights)))
    models = []
    for model, counted in zip(
        (stored[0], Model("SFT", "smollm2-8", results(0.5, 8), run=run)), (sums, few), strict=True
    ):
        exact = MetricResult(
            "corpus", "exact", {"arithmetic_correct/seen": counted}, {}, {}, {"arithmetic_correct/seen": "higher"}
        )
        models.append(replace(model, results={**model.results, "corpus": exact}))
    store(tmp_path, run, models)
    say("runs=[sums]")
    found = read_comparison(find_stored("runs", ["sums"], tmp_path), tmp_path)
    shown = [number for number in found.numbers if number.name == "arithmetic_correct/seen"]
    assert [(number.n, number.differences) for number in shown] == [(20, {}), (5, {})]


def test_other_items_are_refused_by_name(tmp_path: Path, stored: list[Model], say: Any) -> None:
    run = run_folder(tmp_path, "less", "sft", seed=7)
    whole = results(0.5, 7)
    leak = whole["leak"].measured["leak_rate"]
    half = type(leak)(*(part[:100] for part in (leak.items, leak.groups, leak.values, leak.weights)))
    whole["leak"] = replace(whole["leak"], measured={"leak_rate": half}, baselines={})
    store(tmp_path, run, [stored[0], Model("SFT", "smollm2-7", whole, run=run)])
    with pytest.raises(UserError, match=r"leak_rate was measured on other items: base on 200, .* on 100, of which 100"):
        say("runs=[tutor-dpo,less]")


def test_a_result_that_is_gone_or_broken_is_named(tmp_path: Path, stored: list[Model], say: Any) -> None:
    file = tmp_path / "evaluations" / "smollm2-bbbb" / "test" / "leak-0.json"
    text = file.read_text()
    file.write_text(text[:100])
    with pytest.raises(UserError, match=r"leak-0\.json is not a stored result"):
        say("runs=[tutor-dpo]")
    file.unlink()
    with pytest.raises(UserError, match=r"leak-0\.json is gone\. Evaluate it again: python -m edu_align\.evaluate"):
        say("runs=[tutor-dpo]")
