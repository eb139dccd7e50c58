"""Whole runs of the tiny model: what they leave behind, how they end, and what they refuse."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from edu_align.config.metrics import RUN_METRICS
from edu_align.reports.stages import read_evaluation
from edu_align.runs.folder import read_record
from edu_align.training import run as run_module
from edu_align.training.callbacks import Recorder
from edu_align.training.run import objective
from edu_align.utils.errors import UserError

UNMEASURED = "evaluation.enabled=false"
FILES = {"config.yaml", "run.json", "metrics.jsonl", "samples.jsonl", "split.json", "evaluation.json", "README.md"}
FIELDS = {
    "state", "started", "seconds", "metrics", "versions", "data", "seed", "model", "base_model", "adapter", "trainer",
    "dataset", "init_from", "git", "machine",
}  # fmt: skip


@pytest.mark.parametrize("name", ["sft", "dpo", "sft_full"])
def test_the_folder_is_complete(runs: Callable[[str], Any], name: str) -> None:
    done = runs(name)
    names = {path.name for path in done.path.iterdir()}
    assert names >= FILES
    weights = done.path / ("model/model.safetensors" if name == "sft_full" else "adapter/adapter_model.safetensors")
    assert weights.stat().st_size > 0
    assert not list(done.path.rglob("*.bin"))
    assert OmegaConf.load(done.path / "config.yaml").trainer.max_steps == 3
    card = (done.path / "README.md").read_text(encoding="utf-8")
    assert "random:tiny" in card
    assert "| pair_accuracy_logp | " in card
    assert "total_flos" not in card  # what tells of the machine alone stays in run.json
    for told in re.findall(r"^\| `(\S+)` \|", card, re.MULTILINE):
        assert (done.path / told).exists()
    assert {"tokenizer.json", "tokenizer_config.json", "chat_template.jinja"} <= {
        f.name for f in weights.parent.iterdir()
    }
    assert f"{weights.parent.name}/tokenizer.json" in done.record["files"]


@pytest.mark.parametrize("name", ["sft", "dpo"])
def test_the_record_and_the_log_say_what_happened(runs: Callable[[str], Any], name: str) -> None:
    done = runs(name)
    record, history = read_record(done.path), done.folder.rows("metrics.jsonl")
    assert record.keys() >= FIELDS
    assert (record["state"], record["seed"], record["model"], record["adapter"]) == ("finished", 42, "tiny", "lora")
    assert record["versions"]["trl"]
    assert len(record["data"]["fingerprint"]) == 64
    metrics = record["metrics"]
    assert metrics["train/steps"] == 3
    assert metrics["train/shared_prefix_ratio"] >= 1
    assert metrics["train/tokens_per_second"] > 0
    assert metrics["train/peak_memory_gib"] > 0
    assert objective("train/loss", done.folder) == metrics["train/loss"]
    assert {"eval/loss", "before/pair_accuracy_logp", "eval/pair_accuracy_logp"} <= metrics.keys()
    assert [line["step"] for line in history if "loss" in line] == [1, 2, 3]
    assert any("eval_loss" in line for line in history)
    rewards = {"rewards/chosen", "rewards/rejected", "rewards/accuracies", "rewards/margins"}
    assert (rewards <= history[0].keys()) == (name == "dpo")


def test_the_evaluation_has_counts_intervals_and_baselines(runs: Callable[[str], Any]) -> None:
    results = read_evaluation(runs("sft").path)
    assert set(results) == {"before", "after"}
    for when, result in results.items():
        metric = result["pair_accuracy_logp"]
        assert metric["low"] <= metric["value"] <= metric["high"]
        assert metric["n"] > 0
        assert metric["clusters"] == 4
        rules = result["baselines"]["pair_accuracy"].keys()
        assert {"chance", "longer", "question_mark", "overlap"} <= rules
        assert "tutor_prior" not in rules  # the built-in corpus names the author after the quality of the reply
        assert result["human_turn_nll"]["n"] == 4
        assert ("pair_accuracy_implicit" in result) == (when == "after")


def test_replies_before_and_after_are_of_the_same_prompts(runs: Callable[[str], Any]) -> None:
    samples = runs("dpo").folder.rows("samples.jsonl")
    before, after = ([row for row in samples if row["when"] == when] for when in ("before", "after"))
    assert [row["id"] for row in before] == [row["id"] for row in after]
    assert len(before) == 2
    assert all(row["prompt"][-1]["role"] == "user" and row["reference_reply"] for row in samples)


def test_nothing_that_was_trained_on_is_measured(runs: Callable[[str], Any]) -> None:
    split = json.loads((runs("dpo_on_sft").path / "split.json").read_text())
    assert not set(split["records"]["train"]) & set(split["records"]["test"])
    assert split["training_groups"]
    assert runs("dpo_on_sft").record["init_from"] == str(runs("sft").path)


@pytest.mark.parametrize(
    ("error", "state"),
    [(RuntimeError("boom"), "failed"), pytest.param(KeyboardInterrupt(), "interrupted", marks=pytest.mark.slow)],
)
def test_a_run_that_ends_early_says_so(
    go: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, state: str
) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(Recorder, "on_step_end", stop)
    with pytest.raises(type(error)):
        go("trainer=sft", UNMEASURED, "run_name=cut")
    record = json.loads((tmp_path / "runs" / "cut" / "run.json").read_text())
    assert record["state"] == state
    assert record["error"].startswith(type(error).__name__)
    assert str(error) in record["error"]
    with pytest.raises(UserError, match=rf"that run is '{state}'"):
        go("trainer=sft", "init_from=cut")


def test_an_unknown_objective_lists_the_metrics(runs: Callable[[str], Any]) -> None:
    with pytest.raises(UserError, match=r"`objective=eval/nonsense` is no metric of this run.*train/loss"):
        objective("eval/nonsense", runs("sft").folder)


@pytest.mark.cases("A9")
def test_the_file_is_read_before_weights_are_looked_for(
    go: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def touched(*_: Any) -> None:
        raise AssertionError("weights were touched")

    monkeypatch.setattr(run_module, "locate", touched)
    file = tmp_path / "broken.txt"
    file.write_text("Dear all, here are the dialogues.\nYours")
    with pytest.raises(UserError, match="neither JSON nor a table: it begins with 'Dear all"):
        go("trainer=sft", "dataset=local", f"dataset.path={file}")


def test_an_unknown_layer_leaves_no_folder_behind(go: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="c_attn matches no linear layer"):
        go("trainer=sft", "adapter.target_modules=[c_attn]")
    assert not (tmp_path / "runs").exists()


def test_another_base_or_kind_of_adapter_is_no_continuation(
    go: Any, runs: Any, mistral_folder: Path, tmp_path: Path
) -> None:
    start = f"init_from={runs('sft').path}"
    with pytest.raises(UserError, match=r"trained on random:tiny:seed\d+, and this one loads folder:small-mistral"):
        go("trainer=dpo", start, "model=zephyr", f"model.path={mistral_folder}")
    with pytest.raises(UserError, match=r"trained adapter=lora, got adapter=full\. Use adapter=lora"):
        go("trainer=dpo", start, "adapter=full")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("trainer", ["sft", "dpo"])
def test_preview_prints_and_trains_nothing(go: Any, tmp_path: Path, capsys: Any, trainer: str) -> None:
    assert go(f"trainer={trainer}", "preview=2") is None
    out = capsys.readouterr().out
    blocks = 2 if trainer == "sft" else 4
    assert out.count("--- ") == blocks
    assert out.count("</s><<<" if trainer == "sft" else "</s>\n<<<") >= blocks  # DPO scores all of a reply
    assert out.count(">>>") == out.count("<<<")
    if trainer == "dpo":
        assert out.count(", chosen: ") == out.count(", rejected: ") == 2
    assert not (tmp_path / "runs").exists()


def test_a_mistral_from_a_folder_trains_with_zephyrs_template(train: Any, mistral_folder: Path) -> None:
    done = train("trainer=dpo", "model=zephyr", f"model.path={mistral_folder}", "run_name=mistral", UNMEASURED)
    assert done.record["base_model"].startswith("folder:small-mistral:")
    assert done.record["state"] == "finished"
    assert done.sharing.ratio > 1
    assert done.path.joinpath("adapter", "adapter_model.safetensors").is_file()
    assert not (done.path / "evaluation.json").exists()


@pytest.mark.cases("C3")
@pytest.mark.parametrize(
    ("word", "kept", "given"),
    [
        ("adapter.rank=2", "adapter.rank=4", "adapter.rank=2"),
        ("adapter.alpha=64", "adapter.alpha=8", "adapter.alpha=64"),
        ("adapter.dropout=0.5", "adapter.dropout=0.0", "adapter.dropout=0.5"),
        ("adapter.target_modules=[q_proj,v_proj]", "adapter.target_modules=[all-linear]", "adapter.target_modules=[q"),
    ],
)
def test_the_adapter_of_a_start_is_not_another_one(
    go: Any, runs: Callable[[str], Any], word: str, kept: str, given: str
) -> None:
    with pytest.raises(UserError) as caught:
        go("trainer=dpo", f"init_from={runs('sft').path}", word)
    assert f"the adapter goes on as it is, with {kept}, got {given}" in str(caught.value)
    assert f". Set {kept}, or" in str(caught.value)


@pytest.mark.cases("C3")
def test_stages_of_a_chain_with_other_adapters_are_refused_ahead() -> None:
    from edu_align.training.chain import stages

    with pytest.raises(UserError, match="stage zephyr_beta_dpo_qlora of `chain`: the adapter goes on as it is"):
        stages(["zephyr_beta_sft_qlora", "zephyr_beta_dpo_qlora"], ["tracking=off"])


@pytest.mark.cases("C8")
@pytest.mark.parametrize("name", ["sft", "dpo_on_sft"])
def test_what_a_run_measures_can_be_an_objective(runs: Callable[[str], Any], name: str) -> None:
    assert set(runs(name).record["metrics"]) <= set(RUN_METRICS)
