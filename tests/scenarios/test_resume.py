"""A run that is killed and started again ends as one that was never killed: to the bit, on a CPU in float32."""

import json
import os
import random
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers.trainer import safe_globals

from edu_align.runs.checkpoints import checkpoints
from edu_align.training import session
from edu_align.training.callbacks import Recorder
from edu_align.utils.jsonl import as_lines, read_rows
from tests.conftest import TINY
from tests.killing import in_child, killed_at, outcome, until

STEPS = ["trainer.max_steps=8", "trainer.save_steps=2"]  # 12 records in batches of 4: the third epoch is cut short
UNMEASURED = "evaluation.enabled=false"


def alone_and_killed(go: Any, steps: list[int], *words: str) -> None:
    """Hold a run that is killed at each of `steps` in turn against one that is not."""
    command = [*STEPS, *words, "run_name=it"]
    whole = go(*command, root="whole")
    for step in steps:
        with killed_at("on_step_end", step):
            assert in_child(lambda: go(*command, root="cut")) == -9
    resumed = go(*command, root="cut")
    assert [attempt["state"] for attempt in resumed.record["attempts"]] == ["killed"] * len(steps)
    assert outcome(resumed.path) == outcome(whole.path)
    assert not (resumed.path / "checkpoints").exists()


CASES = {
    "sft": ["trainer=sft"],
    "sft, logged every third step, dropout, accumulated": [
        "trainer=sft", "trainer.logging_steps=3", "adapter.dropout=0.2", "hardware.per_device_batch_size=2",
        "hardware.packing=off", "trainer.lr_scheduler=cosine",
    ],
    "dpo": ["trainer=dpo"],
    "dpo, its last six steps averaged": ["trainer=dpo", "trainer.average_last=0.75"],
}  # fmt: skip
SLOW = ("sft", "dpo, its last six steps averaged")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in CASES]
)
def test_killed_and_resumed(go: Any, name: str) -> None:
    alone_and_killed(go, [random.Random(name).randint(3, 7)], *CASES[name], UNMEASURED)


def test_dpo_on_an_adapter_keeps_its_reference_its_measurement_and_its_samples(go: Any, runs: Any) -> None:
    """Killed twice, measured before and after, with looks on the way: the reference stays the adapter it began with."""
    words = ["trainer=dpo", f"init_from={runs('sft').path}", "evaluation.samples_steps=3", "trainer.eval_steps=4"]
    alone_and_killed(go, [4, 7], *words)


@pytest.mark.cases("A15")
def test_line_breaks_that_are_no_newlines_are_text(go: Any, tmp_path: Path) -> None:
    """In a student's text, and so in samples.jsonl, which an interrupted run reads again."""
    breaks = "\u2028|\u2029|\x85|\x0b|\x0c|\x1c|\x1e|\r|\u0000"
    pairs = [{"prompt": f"What{breaks}is {i} + 3?", "chosen": f"Count{breaks}on.", "rejected": "5"} for i in range(40)]
    (tmp_path / "pairs.jsonl").write_text(as_lines(pairs), encoding="utf-8")
    words = [
        "trainer=sft",
        "dataset=local",
        f"dataset.path={tmp_path}/pairs.jsonl",
        "run_name=it",
        "trainer.max_steps=4",
    ]
    words += ["trainer.save_steps=2", "evaluation.samples_steps=2", "evaluation.max_groups=1", "evaluation.samples=1"]
    with killed_at("on_step_end", 3):
        assert in_child(lambda: go(*words)) == -9
    rows = read_rows(go(*words).path / "samples.jsonl")
    assert [row["when"] for row in rows] == ["before", "step_2", "after"]
    assert all("\u2028" in row["prompt"][-1]["content"] for row in rows)


@pytest.mark.slow
@pytest.mark.parametrize("packing", ["on", "off"])
@pytest.mark.parametrize("kind", ["lora", "full"])
@pytest.mark.parametrize("trainer", ["sft", "dpo"])
@pytest.mark.parametrize("seed", [1, 2])
def test_every_kind_is_killed_several_times(go: Any, trainer: str, kind: str, packing: str, seed: int) -> None:
    draw = random.Random(f"{trainer} {kind} {packing} {seed}")
    steps = sorted(draw.sample(range(1, 9), 3))
    alone_and_killed(go, steps, f"trainer={trainer}", f"adapter={kind}", f"hardware.packing={packing}")


@pytest.mark.slow
@pytest.mark.parametrize("live", ["true", "false"])
@pytest.mark.parametrize("kind", ["lora", "full"])
def test_every_reference_is_built_again(go: Any, runs: Any, kind: str, live: str) -> None:
    start = runs("sft" if kind == "lora" else "sft_full").path
    words = ["trainer=dpo", f"adapter={kind}", f"init_from={start}", f"trainer.precompute_reference={live}", UNMEASURED]
    alone_and_killed(go, [5], *words)


@pytest.mark.parametrize("moment", [pytest.param("validation_metrics", marks=pytest.mark.slow), "measure"])
def test_a_run_that_was_trained_is_not_trained_again(go: Any, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    """Killed after its last step, before the validation loss or in the measurement after training."""
    words = [*STEPS, "trainer=dpo", "run_name=it"]
    whole = go(*words, root="whole")
    with monkeypatch.context() as patch:
        patch.setattr(session, moment, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        assert in_child(lambda: go(*words, root="cut")) == -9
    stepped: list[int] = []
    monkeypatch.setattr(Recorder, "on_step_end", lambda self, args, state, *_, **__: stepped.append(state.global_step))
    resumed = go(*words, root="cut")
    assert stepped == []
    assert outcome(resumed.path) == outcome(whole.path)


def test_what_is_kept_is_bounded_and_numbers_only(go: Any, tmp_path: Path) -> None:
    words = [*STEPS, "trainer=sft", "trainer.save_total_limit=1", "run_name=it", UNMEASURED]
    with killed_at("on_step_end", 7):
        assert in_child(lambda: go(*words)) == -9
    place = tmp_path / "runs" / "it" / "checkpoints"
    assert [path.name for path in place.iterdir()] == ["checkpoint-6"]
    names = {path.name for path in (place / "checkpoint-6").iterdir()}
    assert names == {
        "trained.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json", "numbers_0.json",
        "progress.json", "manifest.json",
    }  # fmt: skip
    for file in ("optimizer.pt", "scheduler.pt", "rng_state.pth"):  # pickles of numbers, refused where they are more
        with safe_globals():
            torch.load(place / "checkpoint-6" / file, weights_only=True)


MORE = (signal.SIGHUP, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)


@pytest.mark.parametrize("number", [signal.SIGTERM, *(pytest.param(number, marks=pytest.mark.slow) for number in MORE)])
def test_a_signal_keeps_the_step_and_says_so(go: Any, tmp_path: Path, capfd: Any, number: int) -> None:
    words = ["trainer.max_steps=6", "trainer.save_steps=50", "trainer=sft", UNMEASURED, "run_name=it"]
    whole = go(*words, root="whole")
    capfd.readouterr()
    with killed_at("on_step_begin", 3, number):
        assert in_child(lambda: go(*words, root="cut")) == 128 + number
    folder = tmp_path / "cut" / "runs" / "it"
    record = json.loads((folder / "run.json").read_text())
    assert record["state"] == "interrupted"
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["checkpoint-4"]
    captured = capfd.readouterr()
    assert "Traceback" not in captured.out + captured.err
    assert "stopping at the end of this step; once more ends at once" in captured.err
    resumed = go(*words, root="cut")
    assert outcome(resumed.path) == outcome(whole.path)
    assert resumed.record["attempts"][0]["error"].startswith("Interrupted: asked to stop by SIG")


def test_the_second_signal_ends_at_once(go: Any, tmp_path: Path) -> None:
    with killed_at("on_step_begin", 3, signal.SIGINT), killed_at("on_step_end", 4, signal.SIGINT):
        assert in_child(lambda: go("trainer.max_steps=6", "trainer=sft", UNMEASURED, "run_name=it")) == 130
    assert not list((tmp_path / "runs" / "it").glob("checkpoints/*"))


def ended(outputs: Path, words: list[str], file: str, number: int) -> tuple[int, str]:
    """Exit code and output of the command line, sent a signal once that file of the run is there."""
    command = [sys.executable, "-m", "edu_align.train", *TINY, *words, f"outputs_root={outputs}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        until(lambda: process.poll() is not None or (outputs / "runs" / "it" / file).exists())
        process.send_signal(number)
        said = process.communicate()[0]
    return process.returncode, said


@pytest.mark.slow
def test_the_command_line_is_killed_and_goes_on(go: Any, tmp_path: Path, capfd: Any) -> None:
    """A process of its own, as a user starts it, killed from outside while it trains."""
    words = ["trainer=sft", UNMEASURED, "trainer.max_steps=2000", "trainer.save_steps=20", "run_name=it"]
    folder = tmp_path / "runs" / "it"
    assert ended(tmp_path, words, "checkpoints/checkpoint-40", signal.SIGKILL)[0] == -9
    assert json.loads((folder / "run.json").read_text())["state"] == "running"
    last = max(checkpoints(folder / "checkpoints"))
    capfd.readouterr()
    with killed_at("on_step_end", last + 5, signal.SIGTERM):  # when this step is kept already
        assert in_child(lambda: go(*words)) == 143
    said = capfd.readouterr().out
    assert "after an attempt that was killed" in said
    assert f"going on from {folder / 'checkpoints' / f'checkpoint-{last}'}" in said
    assert "asked to stop by SIGTERM; the same command goes on" in said
    steps = [json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert steps == list(range(1, last + 6))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_line_ends_with_the_signals_code(tmp_path: Path, number: int) -> None:
    words = ["trainer=sft", UNMEASURED, "trainer.max_steps=20000", "run_name=it"]
    folder = tmp_path / "runs" / "it"
    code, said = ended(tmp_path, words, "metrics.jsonl", number)
    assert code == 128 + number
    assert "the same command goes on with" in said
    assert "Traceback" not in said
    assert json.loads((folder / "run.json").read_text())["state"] == "interrupted"
    assert len(checkpoints(folder / "checkpoints")) == 1


def test_a_checkpoint_that_cannot_be_written_is_said_and_training_goes_on(go: Any, tmp_path: Path, capfd: Any) -> None:
    words = [*STEPS, "trainer=sft", "run_name=it", UNMEASURED]
    with killed_at("on_step_end", 1):
        assert in_child(lambda: go(*words)) == -9
    (tmp_path / "runs" / "it" / "checkpoints").write_text("a file where the folder belongs")
    assert go(*words).record["state"] == "finished"
    said = capfd.readouterr().out
    for step in (2, 4, 6, 8):
        assert re.search(rf"no checkpoint at step {step} \(.*Not a directory.*\)\. Training goes on without it", said)


@pytest.mark.slow
@pytest.mark.parametrize("packing", ["on", "off"])
def test_it_goes_on_with_another_device_batch(go: Any, packing: str) -> None:
    """The same run, up to the last digits: what fits on the device is not part of what a run is."""
    words = [*STEPS, "trainer=dpo", "run_name=it", UNMEASURED, f"hardware.packing={packing}"]
    whole = go(*words, root="whole")
    with killed_at("on_step_end", 5):
        assert in_child(lambda: go(*words, root="cut")) == -9
    resumed = go(*words, "hardware.per_device_batch_size=2", root="cut")
    assert resumed.record["attempts"][0]["state"] == "killed"
    one, two = ([row["loss"] for row in run.rows("metrics.jsonl") if "loss" in row] for run in (whole, resumed))
    assert two == pytest.approx(one, rel=1e-5)
    assert len(one) == 8
