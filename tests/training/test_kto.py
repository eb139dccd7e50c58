"""A run of KTO as a user starts it: what its steps hold, what it says and leaves, and that a kill changes nothing."""

import json
from pathlib import Path
from typing import Any

import pytest

from edu_align.planning.plan import make_plan
from edu_align.training import session
from tests.killing import in_child, killed_at, outcome

SHORT = ["trainer=kto", "evaluation.enabled=false", "run_name=it"]


def test_a_run_learns_and_is_measured(runs: Any) -> None:
    done = runs("kto")
    metrics = done.record["metrics"]
    assert done.record["trainer"] == "kto"
    assert set(done.record["data"]["labels"]) == {"good", "bad"}
    assert {"train/loss", "eval/loss", "eval/kl", "eval/rewards/margins", "eval/pair_accuracy_implicit"} <= set(metrics)
    lines = [line for line in done.folder.rows("metrics.jsonl") if "loss" in line]
    assert lines[0]["loss"] == pytest.approx(0.5, abs=1e-6), "the model is its reference"
    assert all(line["kl"] >= 0 for line in lines)
    assert all({"rewards/chosen", "rewards/rejected", "rewards/margins"} <= set(line) for line in lines)
    assert "taught by KTO" in (done.path / "README.md").read_text()
    assert done.trained, "an adapter"


def test_it_goes_on_from_an_sft_run_whose_adapter_is_the_reference(runs: Any) -> None:
    done = runs("kto_on_sft")
    first = next(line for line in done.folder.rows("metrics.jsonl") if "loss" in line)
    assert first["loss"] == pytest.approx(0.5, abs=1e-6)
    assert Path(done.record["init_from"]).name == "sft"
    moved = {name: (done.after[name] - done.before[name]).abs().max() for name in done.trained}
    assert max(moved.values()) > 0


def test_a_longer_run_adds_the_references_that_a_shorter_one_lacks(go: Any) -> None:
    same = ["trainer=kto", "evaluation.enabled=false", "trainer.batch_size=4", "dataset.max_train_records=12"]
    same.append("hardware.eval_batch_size=4")
    for steps in (1, 2):
        done = go(*same, f"trainer.max_steps={steps}", f"run_name=of-{steps}")
        assert len([line for line in done.rows("metrics.jsonl") if "loss" in line]) == steps


def test_the_trainer_gets_steps_of_both_kinds(go: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    build = session.METHODS["kto"]

    def watched(*given: Any) -> Any:
        seen.append(build(*given))
        return seen[-1]

    monkeypatch.setitem(session.METHODS, "kto", watched)
    go(*SHORT, "trainer.batch_size=8", "hardware.per_device_batch_size=2", "dataset.max_train_records=40")
    (trainer,) = seen
    labels = trainer.train_dataset["label"]
    steps = [labels[i : i + 8] for i in range(0, 40, 8)]
    assert all(set(step) == {True, False} for step in steps), steps
    order = [row for batch in trainer.get_train_dataloader() for row in batch["row"].tolist()]
    assert order == list(range(40)), "TRL takes the rows as they stand"


def test_what_is_only_scored_comes_in_longer_passes(typed: Any) -> None:
    """Of twelve tokens each, with room for two in a pass that keeps activations."""
    from torch import arange, ones_like

    from edu_align.training.micro_batches import MicroBatches
    from edu_align.training.step_kl import StepKL

    config = typed("trainer=kto", "trainer.max_length=24", "hardware.per_device_batch_size=1")
    trainer: Any = StepKL.__new__(StepKL)
    trainer.passes = MicroBatches(config, by_tokens=True, sides=1)
    ids = arange(10 * 12).view(10, 12)
    batch = {"input_ids": ids, "attention_mask": ones_like(ids)}
    assert [len(part) for part in trainer.passes.parts(batch)] == [2] * 5
    assert [len(part) for part in trainer._parts(batch, 1)] == [8, 2]


@pytest.mark.parametrize("words", [[], pytest.param(["trainer.precompute_reference=false"], marks=pytest.mark.slow)])
def test_a_killed_run_ends_as_one_that_was_not(go: Any, words: list[str]) -> None:
    every = [*SHORT, "trainer.max_steps=4", "trainer.save_steps=2", "trainer.batch_size=4", *words]
    every += ["hardware.per_device_batch_size=1", "dataset.max_train_records=12", "trainer.eval_steps=2"]
    whole = go(*every, root="whole")
    with killed_at("on_step_end", 3):
        assert in_child(lambda: go(*every, root="cut")) == -9
    assert outcome(go(*every, root="cut").path) == outcome(whole.path)


@pytest.mark.slow
@pytest.mark.parametrize("words", [["adapter=full"], ["trainer.loss_type=apo_zero_unpaired"], ["hardware.packing=off"]])
def test_other_ways_to_train(go: Any, words: list[str]) -> None:
    done = go(*SHORT, "trainer.max_steps=2", *words)
    assert done.record["state"] == "finished"


@pytest.mark.slow
def test_a_file_of_thumbs_from_end_to_end(go: Any, tmp_path: Path) -> None:
    """No prompt has two replies: what is measured is the surprise at the good ones."""
    rows = [{"prompt": f"{i} + 3?", "reply": f"Try {i}.", "label": "up" if i % 3 else "down"} for i in range(60)]
    (tmp_path / "thumbs.jsonl").write_text("\n".join(map(json.dumps, rows)))
    words = ["trainer=kto", "dataset=local", f"dataset.path={tmp_path / 'thumbs.jsonl'}", "trainer.max_steps=2"]
    done = go(*words)
    assert "eval/human_turn_nll" in done.record["metrics"]
    assert "thumbs" not in done.record["metrics"]


def test_preview_shows_the_reply_that_is_trained(go: Any, capsys: Any) -> None:
    assert go(*SHORT, "preview=1") is None
    said = capsys.readouterr().out
    assert ", reply: " in said
    assert ">>>" in said


def test_a_plan_knows_labelled_replies(typed: Any) -> None:
    plan = make_plan(typed("trainer=kto"))
    assert "labelled replies, " in plan.describe()
    assert plan.work.total_tokens is not None
    dpo = make_plan(typed("trainer=dpo"))
    assert plan.work.tokens <= dpo.work.tokens, "a pass holds one reply an example"
