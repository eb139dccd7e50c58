"""A training that diverges: where it stops, what it names, and what it leaves."""

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from edu_align.runs.checkpoints import checkpoints, damage_of
from edu_align.runs.folder import read_record
from edu_align.sweeps.job import failed
from edu_align.training.divergence import MOST_SKIPPED, Diverged
from edu_align.utils.errors import UserError
from edu_align.utils.jsonl import read_rows
from tests.scenarios.poison import Backwards, poisoned

UNMEASURED = "evaluation.enabled=false"


@pytest.mark.parametrize(
    ("trainer", "words"),
    [
        ("sft", []),
        pytest.param("sft", ["adapter=full", "hardware.packing=off"], marks=pytest.mark.slow),
        pytest.param(
            "sft", ["hardware.per_device_batch_size=1", "trainer.max_grad_norm=100.0"], marks=pytest.mark.slow
        ),
        pytest.param("dpo", ["hardware.packing=off", "hardware.per_device_batch_size=2"], marks=pytest.mark.slow),
        ("dpo", ["adapter=full", "trainer.precompute_reference=false"]),
    ],
)
def test_a_learning_rate_that_is_too_high(trainer: str, words: list[str], go: Any, tmp_path: Path) -> None:
    rate = ["trainer.learning_rate=1e30", "trainer.save_steps=1", UNMEASURED]
    with pytest.raises(Diverged) as caught:
        go(f"trainer={trainer}", *words, *rate, "run_name=wild")
    error = caught.value
    assert error.exit_code == 1
    folder = tmp_path / "runs" / "wild"
    record = read_record(folder)
    assert record["state"] == "failed"
    assert record["error"] == f"Diverged: {error}"
    facts = record["diverged"]
    assert facts["learning_rate"] == 1e30
    assert facts["step"] == 2, "the first step is finite, and moves the weights too far"
    assert len(facts["rows"]) == 4
    for said in ("diverged at step 2", "1e+30", "trainer.learning_rate=0.0001", *facts["rows"]):
        assert said in str(error)
    assert ("trainer.max_grad_norm=1.0" in str(error)) == ("trainer.max_grad_norm=100.0" in words)
    assert facts["last_good_checkpoint"] is None
    assert not checkpoints(folder / "checkpoints"), "what step 1 kept gives nothing finite"
    assert not list(folder.glob("*/*model.safetensors"))


@pytest.mark.parametrize(
    ("what", "number", "words"),
    [
        ("loss", math.nan, ["trainer=sft"]),
        pytest.param(
            "loss",
            math.inf,
            ["trainer=sft", "adapter=full", "hardware.packing=off", "hardware.per_device_batch_size=4"],
            marks=pytest.mark.slow,
        ),
        pytest.param("loss", math.nan, ["trainer=sft", "hardware.per_device_batch_size=1"], marks=pytest.mark.slow),
        pytest.param("gradient", math.inf, ["trainer=sft", "hardware.packing=off"], marks=pytest.mark.slow),
        pytest.param("loss", math.nan, ["trainer=dpo", "hardware.packing=off"], marks=pytest.mark.slow),
        ("gradient", math.nan, ["trainer=dpo", "adapter=full"]),
    ],
)
def test_one_row_is_found_and_nothing_learned_from_it(
    what: str, number: float, words: list[str], go: Any, tmp_path: Path
) -> None:
    keep = [*words, UNMEASURED, "trainer.save_steps=1", "run_name=poisoned", "trainer.save_total_limit=9"]
    with poisoned(what, number, from_step=2) as names, pytest.raises(Diverged) as caught:
        go(*keep)
    folder = tmp_path / "runs" / "poisoned"
    facts = read_record(folder)["diverged"]
    assert facts["step"] == 3
    assert names
    assert facts["rows"] == names[:1]
    assert len(facts["rows_of_step"]) == 4 or "trainer=dpo" in words
    assert names[0] in str(caught.value)
    assert "Look at these rows first" in str(caught.value)
    assert ("the loss is" if what == "loss" else "the norm of the gradient is") in facts["what"]
    kept = checkpoints(folder / "checkpoints")
    assert sorted(kept) == [1, 2]
    assert facts["last_good_checkpoint"] == str(kept[2])
    assert not any(damage_of(path) for path in kept.values())
    for path in kept.values():
        assert all(torch.isfinite(value).all() for value in load_file(path / "trained.safetensors").values())
    assert [row["step"] for row in read_rows(folder / "metrics.jsonl") if "grad_norm" in row] == [1, 2]
    # With the row as it should be the same command goes on from there.
    done = go(*keep)
    assert done.record["state"] == "finished"
    assert "diverged" not in done.record
    assert "Diverged" in done.record["attempts"][-1]["error"]


@pytest.mark.parametrize(("every", "expected"), [(1, [1]), (5, [])])
def test_weights_that_are_not_finite_are_never_kept(
    go: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every: int, expected: list[int]
) -> None:
    original, steps = torch.optim.AdamW.step, []

    def step(self: Any, *given: Any, **options: Any) -> Any:
        result = original(self, *given, **options)
        steps.append(1)
        if len(steps) == 2:
            with torch.no_grad():
                self.param_groups[0]["params"][0].view(-1)[3] = math.nan
        return result

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    with pytest.raises(Diverged, match="step 2: a trained weight is not finite"):
        go("trainer=sft", UNMEASURED, f"trainer.save_steps={every}", "trainer.max_steps=2", "run_name=spoilt")
    assert sorted(checkpoints(tmp_path / "runs" / "spoilt" / "checkpoints")) == expected
    assert not list((tmp_path / "runs" / "spoilt").glob("adapter/*"))


@contextmanager
def scaled(scale: float, always: bool) -> Iterator[list[float]]:
    """In the block training uses a real gradient scaler that begins at `scale`; `always`: it overflows in every step.

    Yields the scales after each step.
    """
    import edu_align.training.session as session

    original, scales = session.trained_metrics, []

    def with_scaler(trainer: Any) -> Any:
        scaler = torch.amp.GradScaler("cpu", init_scale=scale)
        update = scaler.update

        def updated(*given: Any) -> None:
            update(*given)
            scales.append(scaler.get_scale())

        scaler.update = updated
        trainer.accelerator.scaler = scaler
        trainer.accelerator.unscale_gradients = lambda: scaler.unscale_(trainer.optimizer.optimizer)  # as for fp16
        compute, times = trainer.compute_loss, math.inf if always else 2.0**12
        trainer.compute_loss = lambda *given, **options: Backwards.apply(compute(*given, **options), times)
        return original(trainer)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "trained_metrics", with_scaler)
        yield scales


def test_a_scaler_that_skips_its_first_steps_is_no_divergence(train: Callable[..., Any]) -> None:
    words = ["trainer=sft", UNMEASURED, "trainer.max_steps=20", "dataset.max_train_records=4"]
    with scaled(2.0**127, always=False) as scales:
        done = train(*words, "run_name=scaled")
    assert done.record["state"] == "finished"
    assert scales[0] < 2.0**127
    assert scales[-1] == scales[-2], "it has found its scale"
    assert any(not torch.equal(done.before[name], done.after[name]) for name in done.trained)


def test_a_scaler_that_skips_every_step_is_one(go: Any, tmp_path: Path) -> None:
    words = ["trainer=sft", UNMEASURED, f"trainer.max_steps={MOST_SKIPPED + 5}", "trainer.batch_size=2"]
    with scaled(2.0**16, always=True), pytest.raises(Diverged, match=f"{MOST_SKIPPED} steps in a row"):
        go(*words, "run_name=skipped")
    assert read_record(tmp_path / "runs" / "skipped")["diverged"]["step"] == MOST_SKIPPED


def test_a_job_that_diverged_failed_by_itself(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "0.json"
    job = {"number": 0, "state": "running"}
    assert failed(path, job, Diverged("training diverged at step 2", {}), 1.0) == "failed"
    said = json.loads(path.read_text())
    assert (said["state"], said["error"], said["user_error"]) == ("failed", "training diverged at step 2", False)
    assert "Traceback" not in capsys.readouterr().err
    failed(path, job, UserError("no such file"), 1.0)
    assert json.loads(path.read_text())["user_error"] is True
