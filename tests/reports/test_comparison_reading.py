"""`python -m edu_align.report runs=[...]` on stored results: what is read, and what is refused."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edu_align.evaluation.suite.results import MetricResult, Series
from edu_align.reports.comparison.models import Model
from edu_align.reports.comparison.reading import read_comparison
from edu_align.runs.folder import find_stored
from tests.reports.comparison_builders import compared, results, run_folder, series, store, three


def first(whole: Series, count: int) -> Series:
    return Series(*(part[:count] for part in (whole.items, whole.groups, whole.values, whole.weights)))


@pytest.fixture
def stored(tmp_path: Path) -> list[Model]:
    models = three(tmp_path)
    store(tmp_path, tmp_path / "runs" / "tutor-dpo", models)
    return models


def test_a_dpo_run_brings_its_base_and_parent(tmp_path: Path, stored: list[Model], say: Any) -> None:
    found = read_comparison(find_stored("runs", ["tutor-dpo"], tmp_path), tmp_path)
    assert {model.label: model.sft for model in found.models} == {"base": None, "SFT": None, "DPO": "SFT"}
    assert found.split == "test"
    assert found.model("SFT").run == tmp_path / "runs" / "tutor-sft"
    assert found.reads == {"base": 1, "SFT": 1, "DPO": 1}
    read, made = ({n.name: n.value for n in c.numbers if n.label == "DPO"} for c in (found, compared(stored)))
    assert read == made
    out = say("runs=[tutor-dpo]")
    written = tmp_path / "reports" / "tutor-dpo" / "report.html"
    assert f"edu_align: report {written}, with report.md" in out
    assert written.is_file()
    assert "pair_accuracy_balanced/mean_logp" in out
    assert "edu_align: retention left out: no gsm8k." in out


def test_what_was_stored_under_a_name_of_then_is_read_as_it_stands(tmp_path: Path) -> None:
    """human_turn_nll was called own_turn_nll until its run's number of the same value had the one name for both."""
    models = three(tmp_path)
    old = MetricResult(
        "own_turn_nll", "", {"own_turn_nll/local": series(0.5, 1)}, better={"own_turn_nll/local": "lower"}
    )
    store(
        tmp_path, tmp_path / "runs" / "tutor-dpo", [replace(model, results={"own_turn_nll": old}) for model in models]
    )
    found = read_comparison(find_stored("runs", ["tutor-dpo"], tmp_path), tmp_path)
    assert [number.name for number in found.numbers] == ["own_turn_nll/local"] * 3


def test_runs_that_share_a_base_are_shown_once_and_by_name(tmp_path: Path, stored: list[Model]) -> None:
    other = run_folder(tmp_path, "other-dpo", "dpo", tmp_path / "runs" / "tutor-sft", seed=3)
    store(tmp_path, other, [*stored[:2], Model("DPO", "smollm2-dddd", results(0.6, 400, True), run=other)])
    found = read_comparison(find_stored("runs", ["tutor-dpo", "other-dpo"], tmp_path), tmp_path)
    assert found.labels == ["base", "SFT", "tutor-dpo", "other-dpo"]
    assert (found.model("other-dpo").sft, found.others) == ("SFT", 0)
    assert read_comparison(find_stored("runs", ["tutor-dpo"], tmp_path), tmp_path).others == 1
    # Of the two that were asked for, the second is compared with the first, rewards too: they started from one model.
    assert found.model("tutor-dpo").rival is None
    for name in ("pair_accuracy/mean_logp", "pair_accuracy/implicit"):
        mine, theirs = (found.of(name)[label] for label in ("other-dpo", "tutor-dpo"))
        gap = mine.differences["tutor-dpo"]
        assert gap.value == pytest.approx(mine.value - theirs.value)
        assert gap.low is not None
        assert gap.low < gap.value
        assert gap.adjusted is not None
        assert "tutor-dpo" not in found.of(name)["SFT"].differences


def test_what_cannot_be_compared_is_refused(tmp_path: Path, stored: list[Model], refused: Any) -> None:
    def beside(name: str, number: int, **more: Any) -> None:
        run = run_folder(tmp_path, name, "sft", seed=number)
        made = [stored[0], Model("SFT", f"smollm2-{number}", more.pop("results", results(0.5, number)), run=run)]
        store(tmp_path, run, made, **more)

    run_folder(tmp_path, "new", "sft", seed=8)
    beside("on-validation", 5, split="validation")
    beside("longer", 6, max_new_tokens=200)
    less = results(0.5, 7)
    half = first(less["leak"].measured["leak_rate"], 100)
    beside("less", 7, results={**less, "leak": replace(less["leak"], measured={"leak_rate": half}, baselines={})})
    for words, said in (
        ("[tutor-dpp]", r"Did you mean `tutor-dpo`\?"),
        ("[tutor-dpo,new]", r"new: not evaluated yet.*edu_align\.evaluate run=.*runs/new evaluation\.split=test"),
        ("[tutor-dpo,on-validation]", "different splits.*tutor-dpo on test; on-validation on validation.*split=test"),
        ("[tutor-dpo] split=validation", "`split=validation`: not all runs were measured on it: tutor-dpo on test"),
        ("[tutor-dpo,longer]", r"measured differently for .*max_new_tokens 80 against 200"),
        ("[tutor-dpo,less]", "leak_rate was measured on other items: base on 200, .* on 100, of which 100"),
    ):
        assert re.search(said, refused(*f"runs={words}".split()))


def test_some_replies_alone_are_shown_without_a_difference(tmp_path: Path, stored: list[Model], say: Any) -> None:
    run, sums, name = run_folder(tmp_path, "sums", "sft", seed=8), series(0.5, 8, groups=4), "arithmetic_correct/seen"
    tuned = Model("SFT", "smollm2-8", results(0.5, 8), run=run)
    for model, counted in ((stored[0], sums), (tuned, first(sums, 5))):
        model.results["corpus"] = MetricResult("corpus", "exact", {name: counted}, {}, {}, {name: "higher"})
    store(tmp_path, run, [stored[0], tuned])
    say("runs=[sums]")
    found = read_comparison(find_stored("runs", ["sums"], tmp_path), tmp_path)
    shown = [number for number in found.numbers if number.name == name]
    assert [(number.n, number.differences) for number in shown] == [(20, {}), (5, {})]


def test_a_result_that_is_gone_or_broken_is_named(tmp_path: Path, stored: list[Model], refused: Any) -> None:
    file = tmp_path / "evaluations" / "smollm2-bbbb" / "test" / "leak-0.json"
    file.write_text(file.read_text()[:100])
    assert "leak-0.json is not a stored result" in refused("runs=[tutor-dpo]")
    file.unlink()
    assert "leak-0.json is gone. Evaluate it again: python -m edu_align.evaluate" in refused("runs=[tutor-dpo]")
