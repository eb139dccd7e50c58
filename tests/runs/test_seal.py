"""The seal of a finished run: each kind of damage is named by every reader, and can be accepted."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edu_align.reports.inspection import inspect
from edu_align.runs.folder import RunFolder, find_run
from edu_align.runs.seal import run_files, seal
from edu_align.utils.errors import UserError
from edu_align.utils.hashing import sha256

FACTS: dict[str, Any] = {
    "model": "tiny", "base_model": "b", "adapter": "lora", "trainer": "sft", "metrics": {}, "data": {},
}  # fmt: skip


def sealed(root: Path) -> Path:
    folder = RunFolder.create(root / "runs" / "mine", FACTS)
    (folder.path / "adapter").mkdir()
    for name in ("adapter/adapter_model.safetensors", "adapter/adapter_config.json", "config.yaml", "README.md"):
        (folder.path / name).write_text(f"content of {name}")
    folder.save(state="finished", files=seal(folder.path, run_files(folder.path)))
    return folder.path


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[3] ^= 1
    file.write_bytes(bytes(content))


DAMAGE: list[tuple[Callable[[Path], None], str]] = [
    (flip, "holds other bytes"),
    (lambda file: file.write_bytes(file.read_bytes()[:5]), "has another size"),
    (Path.unlink, "is gone"),
]


@pytest.mark.cases("D6")
@pytest.mark.parametrize(("damage", "said"), DAMAGE)
@pytest.mark.parametrize("name", ["adapter/adapter_model.safetensors", "adapter/adapter_config.json", "config.yaml"])
def test_damage_is_named_and_can_be_accepted(
    tmp_path: Path, damage: Callable[[Path], None], said: str, name: str
) -> None:
    folder = sealed(tmp_path)
    assert find_run("run", "mine", tmp_path).path == folder
    damage(folder / name)
    with pytest.raises(UserError, match=rf"{name} {said}.*accept_changed=true"):
        find_run("run", "mine", tmp_path)
    assert find_run("run", "mine", tmp_path, accept=True).path == folder
    assert [item.state for item in inspect(tmp_path, 0.0)] == ["damaged"]


def test_what_people_edit_is_not_sealed(tmp_path: Path) -> None:
    folder = sealed(tmp_path)
    (folder / "README.md").write_text("mine now")
    assert find_run("run", "mine", tmp_path).path == folder
    assert [item.state for item in inspect(tmp_path, 0.0)] == ["whole"]


@pytest.mark.cases("D18")
@pytest.mark.parametrize("content", [[], 3, {"state": "finished"}, {"state": "finished", **FACTS, "metrics": []}])
def test_a_record_that_is_none_is_one_message(tmp_path: Path, content: Any) -> None:
    folder = sealed(tmp_path)
    (folder / "run.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"run\.json"):
        find_run("run", "mine", tmp_path)
    assert [item.state for item in inspect(tmp_path, 0.0)] == ["unreadable"]


def test_the_command_ends_with_1_where_something_is_damaged(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edu_align.verify", f"outputs_root={tmp_path}"]
    folder = sealed(tmp_path)
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    flip(folder / "config.yaml")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, "config.yaml holds other bytes" in done.stdout) == (1, True)


def test_what_is_left_over_is_found(tmp_path: Path) -> None:
    folder = sealed(tmp_path)
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "before.json").write_text("12345")
    (folder / ".run.json.999999999.1").write_text("12")
    (folder / f".run.json.{os.getpid()}.1").write_text("of a process that lives")
    (tmp_path / "runs" / "begun").mkdir()
    shared = tmp_path / "cache" / "shared" / "rows"
    shared.mkdir(parents=True)
    (shared / f"k-{sha256('good')[:16]}.jsonl").write_text("good")
    (shared / f"k-{sha256('good')[:16]}.safetensors").write_text("bad")
    (tmp_path / "sweeps" / "beta").mkdir(parents=True)
    (tmp_path / "sweeps" / "beta" / "sweep.json").write_text("[]")
    found = {str(Path(item.what).relative_to(tmp_path)): (item.state, item.free) for item in inspect(tmp_path, 0.0)}
    assert found == {
        "runs/begun": ("left over", 0),
        "runs/mine": ("whole", 0),
        "runs/mine/checkpoints": ("left over", 5),
        "runs/mine/.run.json.999999999.1": ("left over", 2),
        f"cache/shared/rows/k-{sha256('good')[:16]}.safetensors": ("damaged", 0),
        "cache/shared": ("whole", 7),
        "sweeps/beta": ("damaged", 0),
    }
