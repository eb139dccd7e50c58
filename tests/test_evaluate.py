"""A finished run is measured beside its base and its SFT parent, once, and what cannot be meant is refused."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edu_align.evaluate import _split, evaluate, evaluate_model, evaluate_runs, main
from edu_align.evaluation.suite.store import READS
from edu_align.evaluation.suite.subject import LoadedSubject
from edu_align.models.base_model import forget
from edu_align.utils.errors import SomeFailed, UserError

QUICK = {"evaluation.max_groups": "2", "evaluation.metrics": "[pair_accuracy_own,human_turn_nll]"}


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sources that are not there are found out at once."""
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("EDU_ALIGN_DATA", raising=False)


def test_a_run_stands_beside_its_parent_and_its_base(runs: Callable[[str], Any], outputs: Path, capsys: Any) -> None:
    observed = runs("dpo_on_sft")
    rows = evaluate(str(observed.path), dict(QUICK), outputs)
    by_name = {(row["name"], row["label"]): row for row in rows}
    implicit = {label for name, label in by_name if name == "pair_accuracy_edu_tutor/implicit"}
    assert implicit == {"SFT", "DPO"}  # the base has no reference
    from_base = [row for row in rows if row["name"] == "pair_accuracy_edu_tutor/implicit_from_base"]
    assert [row["label"] for row in from_base] == ["DPO"]  # SFT's reference is the base
    assert from_base[0]["difference_to_base"] is None
    dpo = by_name["pair_accuracy_edu_tutor/mean_logp", "DPO"]
    assert dpo["groups"] == 2
    assert dpo["difference_to_sft"]["n"] == dpo["difference_to_base"]["n"] == dpo["n"]
    assert "tutor_prior" not in dpo["baselines"]  # in the corpus the author of a reply is its quality
    assert {"chance", "longer", "surface_logistic", "bag_of_words"} <= dpo["baselines"].keys()
    assert "pair_accuracy_edu_tutor/mean_logp" in capsys.readouterr().out
    stored = json.loads((observed.path / "evaluation" / "test.json").read_text())["files"]
    assert list(stored) == ["base", "SFT", "DPO"]
    asked = {"pair_accuracy_own", "human_turn_nll"}
    assert set(stored["DPO"]) == asked
    assert all(asked <= set(metrics) for metrics in stored.values())  # other runs asked for more of these models


def test_what_is_stored_is_not_measured_again(
    runs: Callable[[str], Any], outputs: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    observed = runs("dpo_on_sft").path
    first = evaluate(str(observed), dict(QUICK), outputs)
    file = observed / "evaluation" / READS
    reads = file.read_text().splitlines()
    with monkeypatch.context() as patch:
        patch.setattr(LoadedSubject, "_model", property(lambda self: pytest.fail("the model was loaded")))
        assert evaluate(str(observed), dict(QUICK), outputs) == first
        sft = evaluate(str(runs("sft").path), dict(QUICK), outputs)  # its base and itself are there already
    assert {row["label"] for row in sft} == {"base", "SFT"}
    assert file.read_text().splitlines() == reads
    capsys.readouterr()
    again = QUICK | {"evaluation.max_groups": "3", "evaluation.metrics": "[human_turn_nll]"}
    evaluate(str(observed), again, outputs)
    assert "was measured on the test split before, 1 times" in capsys.readouterr().out
    evaluate(str(observed), again | {"evaluation.split": "validation"}, outputs)
    assert len(file.read_text().splitlines()) == len(reads) + 1


def test_the_suite_measures_what_training_measured(runs: Callable[[str], Any], outputs: Path) -> None:
    """The same items through another path: whole conversations there, one row a turn here."""
    observed = runs("sft")
    kept = json.loads((observed.path / "evaluation.json").read_text())
    own = {"evaluation.metrics": "[human_turn_nll,pair_accuracy_own]"}
    rows = {(row["name"], row["label"]): row for row in evaluate(str(observed.path), own, outputs)}
    for label, when in (("base", "before"), ("SFT", "after")):
        nll = rows["human_turn_nll/edu_tutor", label]
        assert nll["value"] == pytest.approx(kept[when]["human_turn_nll"]["value"], rel=1e-4)
        pairs = rows["pair_accuracy_edu_tutor/mean_logp", label]
        assert pairs["n"] == kept[when]["pair_accuracy_mean_logp"]["n"]
        assert pairs["value"] == pytest.approx(kept[when]["pair_accuracy_mean_logp"]["value"], abs=0.02)


def test_a_model_and_an_adapter_without_a_run(runs: Callable[[str], Any], outputs: Path, tmp_path: Path) -> None:
    adapter = runs("sft").path / "adapter"
    words = {"model": "tiny", "adapter": str(adapter), "dataset": "edu_tutor", "dataset.size": "60", "hardware": "cpu"}
    words |= {"hardware.dtype": "float32", "outputs_root": str(outputs), **QUICK}
    rows = evaluate_model(words)
    assert {row["label"] for row in rows} == {"base", "adapter"}
    run = evaluate(str(runs("sft").path), dict(QUICK), outputs)
    values = [{row["name"]: row["value"] for row in found if row["label"] != "base"} for found in (rows, run)]
    assert values[0] == values[1]
    with pytest.raises(UserError, match=r"`adapter=.*no adapter_config\.json"):
        evaluate_model({**words, "adapter": str(tmp_path)})
    wider = {"model.architecture.hidden_size": "48", "evaluation.metrics": "[human_turn_nll]"}
    with pytest.raises(UserError, match=r"`adapter=.*does not fit this base model"):
        evaluate_model({**words, **wider})


def test_results_lie_where_they_are_asked_for(runs: Callable[[str], Any], tmp_path: Path) -> None:
    shutil.copytree(runs("sft").path, tmp_path / "runs" / "moved")
    evaluate("moved", QUICK | {"evaluation.metrics": "[human_turn_nll]"}, tmp_path)
    assert len(list((tmp_path / "evaluations").glob("*/test/human_turn_nll-*.json"))) == 2
    index = tmp_path / "runs" / "moved" / "evaluation" / "test.json"
    assert json.loads(index.read_text())["files"].keys() == {"base", "SFT"}


@pytest.mark.parametrize("word", ["trainer.beta=1", "chain=[a]", "seed=3"])
def test_settings_of_a_finished_run_stay(word: str) -> None:
    with pytest.raises(UserError, match=r"a finished run keeps its settings"):
        _split(word)


def test_a_wrong_value_is_named(runs: Callable[[str], Any], outputs: Path) -> None:
    run = str(runs("sft").path)
    for key, value, said in (
        ("evaluation.max_groups", "many", r"evaluation\.max_groups=many"),
        ("evaluation.split", "train", r"evaluation\.split"),
        ("evaluation.splitt", "test", r"evaluation\.splitt"),
        ("evaluation.metrics", "[pair_acuracy]", r"'pair_acuracy' is no metric.*pair_accuracy"),
        ("evaluation.metrics", "[own_turn_nll]", r"Did you mean `human_turn_nll`"),  # what it was called
        ("model.weights", "random", r"a run has its own model"),
    ):
        with pytest.raises(UserError, match=said):
            evaluate(run, {key: value}, outputs)


def own_file(folder: Path, kind: str) -> str:
    """40 lessons of one's own: conversations that name their answer, chosen and rejected replies, or scored ones."""
    rows: list[dict[str, Any]] = []
    for i in range(40):
        asked, good, bad = f"How much is {i} + 4? I think {i}.", f"What comes after {i}?", "It is wrong."
        if kind == "talks":
            said = [("user", asked), ("assistant", good), ("user", "Hm."), ("assistant", "Use your fingers!")]
            turns = [{"role": role, "content": text} for role, text in said]
            rows.append({"messages": turns, **({"gold_answer": i + 4} if i % 2 else {})})
        elif kind == "pairs":
            rows.append({"prompt": asked, "chosen": good, "rejected": bad})
        else:
            scored = [{"text": good, "score": 5.0}, {"text": bad, "score": 4.8}, {"text": "Nice.", "score": 3.0}]
            rows.append({"prompt": asked, "responses": scored})
    file = folder / f"{kind}.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(file)


def closed(go: Callable[..., Any], folder: Path, kind: str, *words: str, **keys: str) -> tuple[Any, Any, str]:
    """Train on such a file, evaluate and report the run: names of the numbers, the rows, and the report's Markdown."""
    path = f"dataset.path={own_file(folder, kind)}"
    run = go("dataset=local", path, "trainer.max_steps=1", *words, f"run_name={kind}")
    rows = evaluate(kind, {"evaluation.max_groups": "4", "evaluation.max_new_tokens": "3", **keys}, folder)
    from edu_align.report import _compare

    _compare(kind, folder, None, folder / "report")
    return {(row["name"], row["label"]): row for row in rows}, run, (folder / "report" / "report.md").read_text()


@pytest.mark.cases("C1")
def test_a_run_on_conversations_of_ones_own_is_measured_on_them(go: Any, tmp_path: Path, capsys: Any) -> None:
    found, run, report = closed(go, tmp_path, "talks", "trainer=sft")
    nll = found["human_turn_nll/local", "SFT"]
    assert (nll["n"], nll["groups"], nll["strongest_baseline"]) == (8, 4, "unigram of tokens")
    assert nll["difference_to_base"]["n"] == 8
    kept = json.loads((run.path / "evaluation.json").read_text())["after"]["human_turn_nll"]
    assert nll["value"] == pytest.approx(kept["value"], rel=1e-4)  # each turn after those before it, scored once
    assert {name for name, _ in found} >= {f"{form}/local" for form in ("question_rate", "words", "empty")}
    leaks = found["leak_rate/local", "SFT"]
    assert 0 < leaks["n"] < 4  # the lessons that name an answer, as far as it does not stand in the dialogue
    assert not any(name.startswith(("mistake", "pair")) for name, _ in found)
    out = capsys.readouterr().out
    assert "pair_accuracy_own left out: the run's own data holds conversations and no scored replies" in out
    assert "corpus" not in out
    assert "## 4 replies side by side" in report
    assert "human_turn_nll/local" in report


@pytest.mark.cases("C2")
@pytest.mark.parametrize(
    ("kind", "words", "pairs"),
    [("pairs", ("dataset.margin=2",), 4), ("scored", (), 8)],
)
def test_a_run_on_pairs_of_ones_own_is_measured_on_them(
    go: Any, tmp_path: Path, capsys: Any, kind: str, words: tuple[str, ...], pairs: int
) -> None:
    keys = {} if kind == "pairs" else {"evaluation.metrics": "[pair_accuracy_own]"}
    found, _, report = closed(go, tmp_path, kind, "trainer=dpo", *words, **keys)
    for name in ("pair_accuracy_local/mean_logp", "pair_accuracy_local/implicit"):
        assert found[name, "DPO"]["n"] == pairs
    right = found["pair_accuracy_local/implicit", "DPO"]["value"]
    assert ("## Pairs ordered wrongly" in report) == (right < 1.0)
    assert "corpus" not in capsys.readouterr().out


def test_a_damaged_file_is_no_file_without_scores(go: Any, tmp_path: Path) -> None:
    go("trainer=sft", "dataset=local", f"dataset.path={own_file(tmp_path, 'talks')}", "run_name=gone")
    (tmp_path / "talks.jsonl").unlink()
    with pytest.raises(UserError, match=r"talks\.jsonl"):
        evaluate("gone", {"evaluation.metrics": "[pair_accuracy_own]"}, tmp_path)


@pytest.fixture
def loaded_bases(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was loaded as a process's shared base model, in order; empties the memory of an earlier test first."""
    from edu_align.models import base_model

    seen: list[Any] = []
    real = base_model.load_model

    def load(*given: Any, **named: Any) -> Any:
        seen.append(given[0].name)
        return real(*given, **named)

    base_model.forget()
    monkeypatch.setattr(base_model, "load_model", load)
    return seen


def moved(found: Path, root: Path, name: str) -> None:
    """A run that another test trained, under a root of one's own, with its start where that is there, too."""
    shutil.copytree(found, root / "runs" / name)
    file = root / "runs" / name / "run.json"
    record = json.loads(file.read_text())
    start = record["init_from"]
    if start is not None and (root / "runs" / Path(start).name).is_dir():
        record["init_from"] = str(root / "runs" / Path(start).name)
    file.write_text(json.dumps(record))


def test_runs_are_measured_in_one_go_as_each_alone(
    runs: Callable[[str], Any], tmp_path: Path, loaded_bases: list[Any], capsys: Any
) -> None:
    for root in (tmp_path / "alone", tmp_path / "together"):
        for name in ("sft", "dpo_on_sft", "dpo"):
            moved(runs(name).path, root, name)
    alone = {name: evaluate(name, dict(QUICK), tmp_path / "alone") for name in ("dpo_on_sft", "dpo", "sft")}
    capsys.readouterr()
    forget()
    loaded_bases.clear()
    rows = evaluate_runs(["dpo_on_sft", "dpo", "sft"], dict(QUICK), tmp_path / "together")
    assert len(loaded_bases) == 1
    said = capsys.readouterr().out
    assert said.count("measuring base: ") == said.count("measuring SFT: ") == 1
    assert "replies a second scored" in said
    assert {row["label"] for row in rows} == {"base", "SFT", "dpo_on_sft", "dpo"}
    as_alone = {
        "base": ("sft", "base"),
        "SFT": ("sft", "SFT"),
        "dpo_on_sft": ("dpo_on_sft", "DPO"),
        "dpo": ("dpo", "DPO"),
    }
    for row in rows:
        name, label = as_alone[row["label"]]
        assert {**row, "label": label} in alone[name], (row["label"], row["name"])
    assert (
        len(rows)
        == len({(row["name"], row["label"]) for row in rows})
        == sum(len([row for row in alone[name] if row["label"] == label]) for name, label in as_alone.values())
    )
    for name in alone:
        written = [
            json.loads((tmp_path / where / "runs" / name / "evaluation" / "test.json").read_text())["files"]
            for where in ("alone", "together")
        ]
        assert written[0] == written[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LoadedSubject, "_model", property(lambda self: pytest.fail("a model was loaded")))
        assert evaluate_runs(["dpo_on_sft", "dpo", "sft"], dict(QUICK), tmp_path / "together") == rows
    assert "a second" not in capsys.readouterr().out


def test_runs_of_two_bases_load_each_once(
    runs: Callable[[str], Any], go: Any, tmp_path: Path, loaded_bases: list[Any]
) -> None:
    """In whatever order they are named; the base is told apart in the table."""
    for name in ("sft", "dpo_on_sft"):
        moved(runs(name).path, tmp_path, name)
    go("trainer=sft", "model.architecture.hidden_size=48", "run_name=wide", "cache_gb=0")  # nothing is handed over
    forget()
    loaded_bases.clear()
    quick = QUICK | {"evaluation.metrics": "[human_turn_nll]"}
    rows = evaluate_runs(["sft", "wide", "dpo_on_sft"], quick, tmp_path)
    assert len(loaded_bases) == 2
    bases = [row for row in rows if row["label"].startswith("base tiny-")]
    assert len(bases) == 2
    by_label = {row["label"]: row for row in rows}
    assert by_label.keys() - {row["label"] for row in bases} == {"sft", "wide", "DPO"}
    gaps = {name: by_label[name]["difference_to_base"]["value"] for name in ("sft", "wide")}
    values = {round(by_label[name]["value"] - gap, 6) for name, gap in gaps.items()}
    assert values == {round(row["value"], 6) for row in bases}


def test_what_cannot_be_measured_leaves_the_others(
    runs: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    for name in ("sft", "dpo"):
        moved(runs(name).path, tmp_path, name)
    moved(runs("dpo").path, tmp_path, "cut_off")
    file = tmp_path / "runs" / "cut_off" / "run.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"state": "interrupted"}))
    words = [f"{key}={value}" for key, value in QUICK.items()]
    command = ["evaluate", "runs=[sft,cut_off,nowhere,dpo]", f"outputs_root={tmp_path}", *words]
    monkeypatch.setattr("sys.argv", command)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    found = capsys.readouterr()
    assert "error: 2 runs not measured:\n  - cut_off: `run=cut_off`: that run is 'interrupted'" in found.err
    assert "  - nowhere: `run=nowhere`: no run.json" in found.err
    assert {line.split()[1] for line in found.out.splitlines() if line.startswith("human_turn_nll/")} >= {"base", "SFT"}
    assert (tmp_path / "runs" / "dpo" / "evaluation" / "test.json").is_file()
    with pytest.raises(SomeFailed, match=r"1 run not measured:\n  - sft, dpo: .*splitt") as wrong:
        evaluate_runs(["sft", "dpo"], {"evaluation.splitt": "test"}, tmp_path)
    assert wrong.value.exit_code == 2


def test_a_fault_of_one_run_is_shown_and_the_others_are_measured(
    runs: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    from edu_align.evaluation.suite import run as suite_run

    for name in ("sft", "dpo"):
        moved(runs(name).path, tmp_path, name)
    real = suite_run.measure

    def measure(suite: Any, metrics: Any) -> Any:
        if suite.run.name == "dpo":
            raise ZeroDivisionError("a fault")
        return real(suite, metrics)

    monkeypatch.setattr(suite_run, "measure", measure)
    with pytest.raises(SomeFailed, match=r"dpo: ZeroDivisionError: a fault") as ended:
        evaluate_runs(["dpo", "sft"], dict(QUICK), tmp_path)
    assert ended.value.exit_code == 1
    found = capsys.readouterr()
    assert "Traceback" in found.err
    assert "SFT" in found.out


def test_results_on_other_records_stand_apart(runs: Callable[[str], Any], go: Any, tmp_path: Path) -> None:
    """Two runs of one base with data of their own: the base has a row for each, and differences stay on one's own."""
    moved(runs("sft").path, tmp_path, "sft")
    go("trainer=sft", "dataset=edu_tutor", "dataset.size=90", "run_name=more")
    quick = {"evaluation.metrics": "[human_turn_nll]"}
    rows = evaluate_runs(["sft", "more"], quick, tmp_path)
    names = {(row["name"], row["label"]): row for row in rows}
    other = "human_turn_nll/edu_tutor (data of more)"
    assert names.keys() == {
        ("human_turn_nll/edu_tutor", "base"), ("human_turn_nll/edu_tutor", "sft"), (other, "base"), (other, "more"),
    }  # fmt: skip
    assert names[other, "more"]["difference_to_base"]["n"] == names[other, "base"]["n"]
    rules = [names[name, "base"]["baselines"] for name in (other, "human_turn_nll/edu_tutor")]
    assert rules[0] != rules[1]  # fitted on another training part


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run=a", "runs=[b]"], "`run` beside `runs`"),
        (["model=tiny", "runs=[b]"], "`model` beside `runs`"),
        (["runs=[b]", "adapter=x"], "`adapter` goes with `model`"),
        (["runs=[]"], r"`runs=\[\]` names no run"),
        (["runs=[a,a]"], "names a twice"),
        (["evaluation.split=test"], "`run` is missing"),
    ],
)
def test_what_is_measured_is_named_once(words: list[str], said: str, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setattr("sys.argv", ["evaluate", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert re.search(said, capsys.readouterr().err)
