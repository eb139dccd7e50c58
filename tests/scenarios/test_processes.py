"""Several processes on one machine, joined over gloo as on a machine with several GPUs they are over NCCL."""

import json
import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from edu_align.utils.errors import UserError
from tests.children import program
from tests.conftest import TINY
from tests.killing import until

SHARED = [word for word in TINY if not word.startswith("evaluation.")]
KEYS = ("loss", "grad_norm", "learning_rate", "num_tokens", "epoch", "rewards/margins", "rewards/chosen", "eval_loss")


def launch(processes: int, *overrides: str, by: str = "torchrun") -> subprocess.CompletedProcess[str]:
    words, environment = command(processes, *overrides, by=by)
    return subprocess.run(words, capture_output=True, text=True, timeout=300, env=environment, check=False)


def launched(processes: int, *overrides: str, by: str = "torchrun") -> str:
    """What it prints. Errors: it fails."""
    done = launch(processes, *overrides, by=by)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def forked(processes: int, *overrides: str) -> list["subprocess.CompletedProcess[str]"]:
    """Processes with the environment that torchrun gives them, which need not import torch anew."""
    given = {**os.environ, "WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes), "MASTER_ADDR": "localhost"}
    given |= {"MASTER_PORT": str(free_port()), "OMP_NUM_THREADS": "1"}

    def one(rank: str) -> "subprocess.CompletedProcess[str]":
        return program("edu_align.train", *every(overrides), env={**given, "RANK": rank, "LOCAL_RANK": rank})

    with ThreadPoolExecutor(processes) as threads:
        return list(threads.map(one, map(str, range(processes))))


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return int(free.getsockname()[1])


def every(overrides: tuple[str, ...]) -> list[str]:
    shared = [word for word in SHARED if not ("adapter=full" in overrides and word.startswith("adapter."))]
    return [*shared, *overrides]


def command(processes: int, *overrides: str, by: str = "torchrun") -> tuple[list[str], dict[str, str]]:
    port = free_port()
    words = [sys.executable, "-m"]
    if by == "accelerate":  # without --multi_gpu it starts one process where there is no GPU
        words += ["accelerate.commands.launch", "--multi_gpu", f"--num-processes={processes}"]
        words += [f"--main-process-port={port}", "-m"]
    elif processes > 1:
        words += ["torch.distributed.run", f"--nproc-per-node={processes}", f"--master-port={port}", "-m"]
    clean = {name: value for name, value in os.environ.items() if name not in ("WORLD_SIZE", "RANK", "LOCAL_RANK")}
    return [*words, "edu_align.train", *every(overrides)], {**clean, "OMP_NUM_THREADS": "1"}


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def compare(one: Path, two: Path, short: int = 0) -> int:
    """Check that two runs logged the same numbers at the same steps, and return how many.

    `short`: a step that was filled up with rows seen before, of which TRL's rewards are means as well.
    """
    alone, together = lines(one), lines(two)
    assert len(alone) == len(together) >= 3
    compared = 0
    for a, b in zip(alone, together, strict=True):
        for key in KEYS:
            assert (key in a) == (key in b)
            if key in a and not (key.startswith("rewards") and a["step"] == short):
                assert b[key] == pytest.approx(a[key], rel=2e-4, abs=2e-6), (a["step"], key)
                compared += 1
    return compared


@pytest.mark.slow
@pytest.mark.cases("D9")
@pytest.mark.parametrize("trainer", ["sft", "dpo"])
def test_two_processes_train_as_one(trainer: str, tmp_path: Path) -> None:
    """The same effective batch gives the same losses, and one run folder that the first process wrote. Of eleven rows
    the last step has three, and one of four that are dealt out is a row seen before.
    """
    options = [
        f"trainer={trainer}", "trainer.batch_size=4", "hardware.per_device_batch_size=2", "evaluation.max_groups=4",
        "evaluation.samples=2", "evaluation.max_new_tokens=4", "evaluation.bootstrap_samples=100",
        f"outputs_root={tmp_path}", "dataset.max_train_records=11", "hardware.packing=off",
    ]  # fmt: skip
    options += ["trainer.sft_weight=1"] if trainer == "dpo" else []
    for processes in (1, 2):
        assert launched(processes, *options, f"run_name=by{processes}").count("measuring after training") == 1
    one, two = tmp_path / "runs/by1", tmp_path / "runs/by2"
    assert compare(one, two, short=3) >= 15
    records = [json.loads((folder / "run.json").read_text()) for folder in (one, two)]
    assert [record["processes"] for record in records] == [1, 2]
    assert [record["state"] for record in records] == ["finished", "finished"]
    for name in ("train/loss", "train/steps"):
        assert records[1]["metrics"][name] == pytest.approx(records[0]["metrics"][name], rel=2e-4)
    assert sorted(p.name for p in two.iterdir()) == sorted(p.name for p in one.iterdir())
    check_saved(one / "adapter/adapter_model.safetensors", two / "adapter/adapter_model.safetensors")


def check_saved(whole: Path, gathered: Path) -> None:
    """Every weight of the run in one process is in the gathered file, float32 and equal."""
    from safetensors.torch import load_file

    expected, found = load_file(whole), load_file(gathered)
    for name, value in expected.items():
        assert found[name].dtype == value.dtype
        assert found[name].allclose(value, rtol=1e-3, atol=2e-5), name
    for name in set(found) - set(expected):  # a tied head is written beside the embeddings that it equals
        assert name == "lm_head.weight"
        assert found[name].equal(found["model.embed_tokens.weight"])


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_two_processes_go_on_where_they_were_cut_off(tmp_path: Path, number: int) -> None:
    """SIGTERM, which torchrun passes on and all processes heed at one step; SIGKILL of one, which ends the others."""
    options = [
        "trainer=dpo", "hardware.per_device_batch_size=2", "trainer.max_steps=60", "trainer.save_steps=7",
        "trainer.logging_steps=3", "evaluation.enabled=false", "run_name=it",
    ]  # fmt: skip
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    launched(2, *options, f"outputs_root={whole}")
    words, environment = command(2, *options, f"outputs_root={cut}")
    folder = cut / "runs" / "it"
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(words, env=environment, **output) as torchrun:
        until(lambda: torchrun.poll() is not None or (folder / "checkpoints" / "checkpoint-7").exists())
        first = json.loads(next(folder.glob(".lock.*")).read_text())["pid"]
        os.kill(torchrun.pid if number == signal.SIGTERM else first, number)
        said = torchrun.communicate(timeout=120)[0]
    state = json.loads((folder / "run.json").read_text())["state"]
    assert state == ("interrupted" if number == signal.SIGTERM else "running"), said[-3000:]
    assert "going on from" in launched(2, *options, f"outputs_root={cut}")
    one, two = (place / "runs" / "it" for place in (whole, cut))
    for a, b in zip(lines(one), lines(two), strict=True):
        assert {key: a.get(key) for key in ("step", *KEYS)} == {key: b.get(key) for key in ("step", *KEYS)}
    weights = [(place / "adapter" / "adapter_model.safetensors").read_bytes() for place in (one, two)]
    assert weights[0] == weights[1]


def test_a_batch_that_cannot_be_dealt_out_is_an_error(tmp_path: Path) -> None:
    words = ["trainer=sft", "trainer.batch_size=3", "hardware.per_device_batch_size=1", f"outputs_root={tmp_path}"]
    done, other = forked(2, *words)
    assert done.returncode == other.returncode == 2
    assert "`trainer.batch_size=3` cannot be dealt out evenly to 2 processes" in done.stderr
    assert "trainer.batch_size=2 or 4" in done.stderr
    assert "Traceback" not in done.stderr + other.stderr
    assert not tmp_path.joinpath("runs").exists()


@pytest.mark.slow
def test_accelerate_launch_is_the_same_entry_point(tmp_path: Path) -> None:
    words = ["trainer=sft", "hardware.per_device_batch_size=2", "evaluation.enabled=false", "run_name=launched"]
    launched(2, *words, f"outputs_root={tmp_path}", by="accelerate")
    record = json.loads((tmp_path / "runs/launched/run.json").read_text())
    assert (record["state"], record["processes"], record["metrics"]["train/steps"]) == ("finished", 2, 3)


def test_sharding_by_accelerate_itself_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from edu_align.utils.distributed import join

    monkeypatch.setenv("WORLD_SIZE", "2")
    for name, value in (("RANK", "0"), ("MASTER_ADDR", "localhost"), ("MASTER_PORT", "29500")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(UserError, match=r"told to use FSDP.*hardware\.sharding=fsdp"):
        join("cpu")
