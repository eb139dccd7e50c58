"""Sharded runs that are killed go on: with as many processes to the bit, with another number in the same arithmetic."""

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from edu_align.runs.checkpoints import checkpoints
from tests.killing import outcome, until
from tests.scenarios.test_processes import command
from torture.__main__ import sharded_table
from torture.kills import GONE_ON, NAMED, WORDS, sharded_configurations, torture
from torture.outcome import apart
from torture.process import Attempt, Kill, attempt, preload

SHORT = [
    *WORDS, NAMED, "trainer=sft", "adapter=full", "evaluation.enabled=false", "trainer.max_steps=3",
    "trainer.save_steps=1", "trainer.average_last=0.75", "trainer.eval_steps=1", "trainer.keep=best",
]  # fmt: skip
FSDP = "hardware.sharding=fsdp"


def trained(root: Path, *words: str, processes: int = 2, kill: Kill | None = None) -> Attempt:
    preload()
    sharded = [FSDP] if processes > 1 else []
    made = attempt("train", [*words, *sharded, f"outputs_root={root}"], root.with_suffix(".log"), kill, processes)
    assert made.killed is (kill is not None), made.said
    assert made.killed or made.code == 0, made.said
    return made


def went_on(made: Attempt) -> int:
    """The step of the checkpoint that it went on from."""
    found = GONE_ON.search(made.said)
    assert found is not None, made.said
    return int(found[1])


def test_one_of_two_is_killed_while_a_checkpoint_is_written(tmp_path: Path) -> None:
    """The one before is whole. Two processes go on with it to the same bytes; one process to the same numbers."""
    words = [word for word in SHORT if word != "trainer.average_last=0.75"]
    trained(tmp_path / "whole", *words)
    trained(tmp_path / "cut", *words, kill=Kill("checkpoint", 2, 0.0, rank=1))
    folder = tmp_path / "cut/runs/it"
    assert sorted(checkpoints(folder / "checkpoints")) == [1]
    for name in ("trained", "optimizer", "best"):
        assert len(list((folder / "checkpoints/checkpoint-1" / name).glob("*.safetensors"))) == 2
    shutil.copytree(tmp_path / "cut", tmp_path / "alone")
    assert went_on(trained(tmp_path / "cut", *words)) == 1
    assert outcome(folder) == outcome(tmp_path / "whole/runs/it")
    assert not (folder / "checkpoints").exists()
    assert went_on(trained(tmp_path / "alone", *words, processes=1)) == 1
    far = apart(tmp_path / "alone/runs/it", tmp_path / "whole/runs/it")
    assert far.loss < 1e-5
    assert far.weight < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("kept", ["trainer.average_last=0.75", "trainer.keep=best"])
def test_one_process_is_killed_and_two_share_what_it_left(tmp_path: Path, kept: str) -> None:
    words = [word for word in SHORT if not word.startswith(("trainer.average", "trainer.keep"))] + [kept]
    trained(tmp_path / "whole", *words)
    trained(tmp_path / "cut", *words, processes=1, kill=Kill("checkpoint", 3, 0.0))
    assert went_on(trained(tmp_path / "cut", *words)) == 2
    far = apart(tmp_path / "cut/runs/it", tmp_path / "whole/runs/it")
    assert far.loss < 1e-5
    assert far.weight < 1e-4


@pytest.mark.slow
def test_twenty_kills_at_random_moments(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    preload()
    tallies = torture(sharded_configurations(), 20, 7, tmp_path, lambda line: None)
    assert sum(tally.kills for tally in tallies) == 20
    assert sum(tally.differing for tally in tallies) == 0
    assert sum(tally.damaged for tally in tallies) == 0
    assert max(tally.apart.loss for tally in tallies) < 1e-5
    with capfd.disabled():
        print(f"\n{sharded_table(tallies)}")


@pytest.mark.slow
@pytest.mark.parametrize("adapter", ["lora", "full"])
def test_torchrun_restarts_what_was_killed(tmp_path: Path, adapter: str) -> None:
    """One command: torchrun starts all processes again where one dies, and they go on from the newest checkpoint."""
    options = [
        "trainer=dpo", f"adapter={adapter}", FSDP, "hardware.per_device_batch_size=2", "trainer.max_steps=30",
        "trainer.save_steps=5", "evaluation.enabled=false", "run_name=it",
    ]  # fmt: skip
    trained_alone, environment = command(2, *options, f"outputs_root={tmp_path / 'whole'}")
    subprocess.run(trained_alone, env=environment, check=True, capture_output=True, timeout=600)
    words, environment = command(2, *options, f"outputs_root={tmp_path / 'cut'}")
    words.insert(words.index("torch.distributed.run") + 1, "--max-restarts=1")
    folder = tmp_path / "cut/runs/it"
    with subprocess.Popen(
        words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as torchrun:
        until(lambda: torchrun.poll() is not None or (folder / "checkpoints/checkpoint-10").exists())
        os.kill(children_of(torchrun.pid)[-1], signal.SIGKILL)
        said = torchrun.communicate(timeout=600)[0]
    assert torchrun.returncode == 0, said[-3000:]
    assert GONE_ON.search(said), said[-3000:]
    assert len(json.loads((folder / "run.json").read_text())["attempts"]) == 1
    assert outcome(folder) == outcome(tmp_path / "whole/runs/it")


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
