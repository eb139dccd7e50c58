"""Commands other than `train` on a disk that is full or read-only: needs root, to mount one."""

import shutil
import sys
import traceback
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from edu_align.training.run import run
from edu_align.utils.program import program
from tests.killing import in_child
from tests.scenarios.test_disks import fill, in_step_5, mounted, remount

FEW = ["evaluation.max_groups=2", "evaluation.metrics=[corpus]"]


def commands(place: Path, prompts: Path) -> dict[str, list[str]]:
    """What is typed, the module first."""
    root = f"outputs_root={place}"
    return {
        "evaluate": ["edu_align.evaluate", "run=sft", root, *FEW],
        "export": ["edu_align.export", "run=sft", root],
        "generate": ["edu_align.generate", "run=sft", root, f"input={prompts}", f"output={place}/replies.jsonl"],
        "report": ["edu_align.report", "runs=[sft]", "objective=eval/loss", root],
        "sweep": ["edu_align.train", "-m", "model=tiny", "seed=1,2", "tracking=off", root],
    }


def typed(words: list[str]) -> Callable[[], None]:
    def work() -> None:
        sys.argv = [words[0], *words[1:]]
        try:
            import_module(words[0]).main()
        except Exception:
            traceback.print_exc()
            raise

    return work


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    (tmp_path / "prompts.txt").write_text("2 + 3?\n")
    return tmp_path / "prompts.txt"


@pytest.fixture
def disk(runs: Any, tmp_path: Path) -> Iterator[Path]:
    with mounted(tmp_path / "disk") as place:
        shutil.copytree(runs("sft").path, place / "runs" / "sft", ignore=shutil.ignore_patterns("export"))
        yield place


def said_on(disk: Path, words: list[str], capfd: Any) -> str:
    """The one message of a command that the disk refuses. Errors: it ends otherwise, or leaves a part of something."""
    before = kept(disk)
    capfd.readouterr()
    code = in_child(typed(words))
    said = capfd.readouterr().err
    assert code == 2, said
    assert said.count("edu_align: error: ") == 1
    assert "Traceback" not in said
    assert before.items() <= kept(disk).items()
    assert not [path for path in disk.rglob(".*") if not path.name.startswith((".lock", ".clock"))]
    return said[said.index("edu_align: error: ") :]


def kept(disk: Path) -> dict[Path, bytes]:
    """What was finished before."""
    return {path: path.read_bytes() for path in (disk / "runs" / "sft").rglob("*") if path.is_file()}


@pytest.mark.cases("D12")
def test_every_command_on_a_full_disk(disk: Path, prompts: Path, capfd: Any) -> None:
    fill(disk, 0)
    for name, words in commands(disk, prompts).items():
        said = said_on(disk, words, capfd)
        assert "nothing more can be written (No space left on device" in said, (name, said)
        assert f"Make room there (0.0 MiB are free in {disk}" in said, (name, said)
        assert "Then give the same command again: it goes on from" in said, name


@pytest.mark.cases("D12")
def test_every_command_on_a_read_only_disk(disk: Path, prompts: Path, capfd: Any) -> None:
    remount(disk, "ro")
    for name, words in commands(disk, prompts).items():
        said = said_on(disk, words, capfd)
        assert "cannot be written (Read-only" in said or f"written (Read-only file system: {disk}/" in said, (
            name,
            said,
        )


@pytest.mark.cases("D12")
@pytest.mark.parametrize("left", [40_000, 100_000, 160_000, 220_000])
def test_an_export_that_breaks_off_leaves_nothing(disk: Path, prompts: Path, capfd: Any, left: int) -> None:
    """In the tokenizer's Rust, in safetensors', in the GGUF."""
    fill(disk, left)
    said = said_on(disk, commands(disk, prompts)["export"] + ["export.gguf=f32"], capfd)
    assert "nothing more can be written (No space left on device" in said
    assert not (disk / "runs" / "sft" / "export").exists()


@pytest.mark.cases("D20")
@pytest.mark.parametrize("what", [pytest.param("out", marks=pytest.mark.slow), "out/runs/it"])
def test_a_folder_that_is_removed_while_a_run_trains(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any, what: str
) -> None:
    words = ["trainer=sft", "trainer.max_steps=8", "evaluation.enabled=false", "run_name=it"]
    config = tiny(*words, f"outputs_root={tmp_path / 'out'}")
    with in_step_5(monkeypatch, lambda: shutil.rmtree(tmp_path / what)):
        assert in_child(program(lambda: run(config))) == 2
    said = capfd.readouterr().err
    line = f"edu_align: error: {tmp_path / what} is gone: it was removed while this command worked in it."
    assert line in said
    assert "Traceback" not in said
    assert not (tmp_path / "out" / "runs").exists() or not list((tmp_path / "out" / "runs").iterdir())
