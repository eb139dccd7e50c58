"""A setting cross-fitted on made rows: every pair scored once, by a model that never saw its question."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from edu_align.data.datamodule import trained_groups
from edu_align.data.dataset import load_records
from edu_align.evaluation.suite.pair_accuracy import pairs_over
from edu_align.evaluation.suite.results import MetricResult, Series
from edu_align.recipes import crossfit
from edu_align.recipes.crossfit import measure_folds, read_plan, run_crossfit, train_folds
from edu_align.recipes.crossfit_table import rows_of, table
from edu_align.utils.errors import Interrupted, UserError
from edu_align.utils.hashing import sha256
from tests.conftest import TINY

FOLDS = 3
NAME = "pair_accuracy_local"


def rows(first: int, count: int) -> str:
    """Questions with three scored replies each, a JSON line each."""
    found = [
        {"prompt": f"What is {n} + {n + 1}? I got {n * 2}.", "responses": [
            {"text": f"Count on from {n}. Where do you land?", "score": 8}, {"text": "Look at it again.", "score": 4},
            {"text": f"No. It is {2 * n + 1}.", "score": 1},
        ]}
        for n in range(first, first + count)
    ]  # fmt: skip
    return "\n".join(map(json.dumps, found)) + "\n"


def tiny(root: Path, file: str) -> list[str]:
    kept = [word for word in TINY if not word.startswith(("dataset", "evaluation.max_groups", "trainer.max_steps"))]
    data = ["dataset=local", f"dataset.path={root / file}", "dataset.max_train_records=8"]
    return [*kept, *data, "trainer.max_steps=1", f"outputs_root={root}", "data_root=null"]


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A DPO run that starts from an SFT run on other questions."""
    from edu_align.api import train

    root = tmp_path_factory.mktemp("crossfit")
    (root / "own.jsonl").write_text(rows(10, 24))
    (root / "other.jsonl").write_text(rows(70, 24))
    train(["trainer=sft", *tiny(root, "other.jsonl"), "evaluation.enabled=false", "run_name=start"])
    return ["trainer=dpo", "init_from=start", f"folds={FOLDS}", *tiny(root, "own.jsonl")]


@pytest.fixture(scope="module")
def done(words: list[str]) -> Path:
    """The results of a command that was stopped behind its first fold, and of the same command once more."""
    from edu_align.training import run as training

    trained, original = [], training.run

    def stopped(config: Any) -> Any:
        if trained:
            raise Interrupted(15)
        trained.append(original(config))
        return trained[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "run", stopped)
        with pytest.raises(Interrupted):
            run_crossfit(read_plan(words))
    before = trained[0].record["started"]
    folder = run_crossfit(read_plan(words))
    first = json.loads((folder / "results.json").read_text())["runs"][0]
    assert first == trained[0].path.name
    assert json.loads((trained[0].path / "run.json").read_text())["started"] == before
    return folder


def test_every_pair_is_scored_once_by_a_model_that_never_saw_its_question(words: list[str], done: Path) -> None:
    plan = read_plan(words)
    runs = train_folds(plan)
    measured = measure_folds(plan, runs)
    name = "pair_accuracy_local/implicit"
    label = list(measured.pooled)[-1]
    series = measured.pooled[label]["pair_accuracy_own"].measured[name]
    config = plan.config
    loaded = load_records(config.dataset, None, config.outputs_root, config.dataset.generation_seed, "preference")
    groups: list[Any] = [record for part in loaded.splits.values() for record in part]
    assert Counter(series.items) == Counter(pairs_over(groups, config.dataset.margin).items)
    for run, fold in zip(runs, measured.folds, strict=True):
        seen = trained_groups([run.path])
        own = fold[label]["pair_accuracy_own"]
        assert seen.isdisjoint(own.measured[name].groups)
        assert seen | set(own.measured[name].groups) >= {group.group for group in groups}
        assert set(own.baselines[name]) >= {"bag_of_words", "surface_logistic"}  # fitted on this fold's training part


def test_what_is_written(words: list[str], done: Path) -> None:
    found = json.loads((done / "results.json").read_text())
    assert found["folds"] == FOLDS == len(found["runs"]) == len(set(found["runs"]))
    assert found["models"] == ["base", "SFT", "DPO cross-fitted"]
    rows = {(row["label"], row["name"]): row for row in found["rows"]}
    row = rows["DPO cross-fitted", "pair_accuracy_local/implicit"]
    assert {"base", "SFT", "no dialogue", "rule bag_of_words", "rule surface_logistic"} <= set(row["minus"])
    assert row["minus"]["base"]["of"] == "base pair_accuracy_local/mean_logp"
    base = rows["base", "pair_accuracy_local/mean_logp"]
    assert row["minus"]["base"]["value"] == pytest.approx(row["value"] - base["value"])
    bag = row["baselines"]["bag_of_words"]["value"]
    assert row["minus"]["rule bag_of_words"]["value"] == pytest.approx(row["value"] - bag)
    assert len(row["folds"]) == FOLDS
    page = (done / "table.md").read_text()
    assert "| minus base | minus SFT | minus no dialogue |" in page
    assert "scored by the one of 3 models that never saw its question" in page
    assert "measured in no fold" not in page
    rests_on = json.loads((done / "sources.json").read_text())
    assert [run["name"] for run in rests_on["runs"]] == [*found["runs"], "start"]
    assert all(run["id"] for run in rests_on["runs"])
    files = {name: digest for data in rests_on["data"] for name, digest in data["files"].items()}
    root = done.parents[1]
    assert files == {name: sha256((root / name).read_bytes()) for name in ("own.jsonl", "other.jsonl")}
    assert rests_on["command"].startswith("python -m edu_align.crossfit trainer=dpo init_from=start folds=3 ")
    assert str(root) not in (done / "sources.json").read_text()
    assert len(rests_on["measured"]["own"]) == FOLDS


def test_the_same_command_trains_and_measures_nothing_again(words: list[str], done: Path, capsys: Any) -> None:
    from edu_align.api import crossfit as from_python

    before = json.loads((done / "results.json").read_text())
    assert from_python(words) == before["rows"]
    printed = capsys.readouterr().out
    assert "training: step" not in printed
    assert "measuring base" not in printed
    assert json.loads((done / "results.json").read_text()) == before


def test_a_fold_is_not_measured_on_the_test_split(words: list[str], done: Path) -> None:
    from edu_align.api import evaluate

    run = json.loads((done / "results.json").read_text())["runs"][0]
    with pytest.raises(UserError, match="a run trains on questions of the test split"):
        evaluate(done.parents[1] / "runs" / run, ["evaluation.split=test"])
    card = (done.parents[1] / "runs" / run / "README.md").read_text()
    assert "questions of the test split too: this run is never to be compared on the test split" in card


def test_a_start_that_saw_the_questions_is_named(words: list[str], done: Path) -> None:
    """What the start trained on is measured in no fold, and said."""
    from edu_align.api import train

    rest = [word for word in words if not word.startswith(("trainer=", "init_from=", "folds="))]
    start = train(["trainer=sft", *rest, "evaluation.enabled=false"])
    seen = trained_groups([start.path])
    plan = read_plan([word if not word.startswith("init_from") else f"init_from={start.path}" for word in words])
    runs = train_folds(plan)
    measured = measure_folds(plan, runs)
    (series,) = {
        result["pair_accuracy_own"].measured["pair_accuracy_local/mean_logp"].groups
        for result in measured.pooled.values()
    }
    assert seen.isdisjoint(series)
    (note,) = [note for note in measured.notes if "measured in no fold" in note]
    records = load_records(plan.config.dataset, None, plan.config.outputs_root, 42, "preference").splits.values()
    assert note.startswith(f"{sum(record.group in seen for part in records for record in part)} held-out records")


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("folds=1", "`folds` must be a whole number >= 2, got '1'"),
        ("dataset.validation_fold=1", "the folds decide dataset.validation_fold"),
        ("evaluation.split=test", "the folds decide evaluation.split"),
        ("force=true", "force is not for it"),
        ("chain=[a,b]", "chain is not for it"),
        ("trainer.patience=2", "chooses by the validation part, which is the fold that is measured"),
        ("trainer.keep=best", "chooses by the validation part, which is the fold that is measured"),
        ("--multirun", "belongs to `edu_align.train`"),
        ("folds.x=1", "`folds.x`"),
    ],
)
def test_what_does_not_go_with_folds(word: str, said: str) -> None:
    with pytest.raises(UserError) as error:
        read_plan(["trainer=dpo", "model=tiny", "dataset=edu_tutor", "trainer.eval_steps=1", word])
    assert said in str(error.value)


def test_a_chain_of_experiments_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a chain"):
        read_plan(["experiment=tutor", f"data_root={tmp_path}"])


def test_metrics_are_those_of_the_sources() -> None:
    own = ["trainer=dpo", "model=tiny", "data_root=null"]
    assert read_plan([*own, "dataset=mrbench", "dataset.sources=[mrbench,cogtutorbugs]"]).metrics == [
        "pair_accuracy_balanced", "selection_score", "context_use", "diagnosis",
    ]  # fmt: skip
    assert read_plan([*own, "dataset=edu_tutor"]).metrics == [crossfit.OWN]
    assert read_plan([*own, "dataset=mrbench", "evaluation.metrics=[leak]"]).metrics == ["leak"]
    with pytest.raises(UserError, match="has no scored replies"):
        read_plan(["trainer=sft", "model=tiny", "data_root=null", "dataset=mathdial"])


def test_a_reward_is_compared_with_likelihoods() -> None:
    """The model is right on 3 of 4 questions, the base on 1, the rule on 2, and without the dialogue it is on 2."""
    items = [f"q{n}" for n in range(4)]

    def series(*right: float) -> Series:
        return Series.of([(item, item, value, 1.0) for item, value in zip(items, right, strict=True)])

    rule = {"acc/implicit": {"bag_of_words": series(1, 0, 1, 0)}, "acc/mean_logp": {}}
    base = MetricResult("acc", "", {"acc/mean_logp": series(1, 0, 0, 0)}, units={"acc/mean_logp": "share"})
    own = MetricResult(
        "acc", "", {"acc/implicit": series(1, 1, 1, 0), "acc_no_dialogue/implicit": series(1, 1, 0, 0)}, rule,
        units={"acc/implicit": "share"}, better={"acc/implicit": "higher"},
    )  # fmt: skip
    results = {"base": {"acc": base}, "DPO cross-fitted": {"acc": own}}
    rows = rows_of(results, [results], 0, 200, 0.95)
    (row,) = [row for row in rows if row["name"] == "acc/implicit"]
    assert {key: (gap["value"], gap["of"]) for key, gap in row["minus"].items()} == {
        "base": (0.5, "base acc/mean_logp"),
        "rule bag_of_words": (0.25, "bag_of_words"),
        "no dialogue": (0.25, "acc_no_dialogue/implicit"),
    }
    assert row["folds"] == [0.75]
    cells = table(rows, list(results))
    assert [line[0] for line in cells[1:]] == ["acc/mean_logp", "acc/implicit"]
    assert cells[0][-2:] == ["minus base", "minus no dialogue"]
