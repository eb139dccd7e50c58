"""The wheel holds all that the package reads, and works from any folder."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("edu_align", "hydra_plugins", "conf")
FILES = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "constraints.txt")
PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_the_pythons_that_are_named_are_those_that_it_runs_on() -> None:
    from edu_align.launch import NEWEST_PYTHON

    named = re.findall(r'"Programming Language :: Python :: (.*)"', PROJECT)
    assert named == ["3.10", "3.11", "3.12", f"3.{NEWEST_PYTHON[1]}"]
    assert f'requires-python = ">=3.10,<3.{NEWEST_PYTHON[1] + 1}"' in PROJECT


@pytest.mark.slow
def test_a_wheel_holds_what_is_read_and_works_elsewhere(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for folder in FOLDERS:
        copytree(ROOT / folder, source / folder, ignore=ignore_patterns("__pycache__"))
    for name in FILES:
        (source / name).write_bytes((ROOT / name).read_bytes())
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*build, "-w", str(tmp_path), str(source)], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    unpacked = tmp_path / "unpacked"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(unpacked)
    there = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file()}
    read = {path.relative_to(ROOT) for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file()}
    needed = {path.as_posix() for path in read if "__pycache__" not in path.parts}
    assert {f"edu_align/{name}" if name.startswith("conf/") else name for name in needed} <= there
    assert "edu-align = edu_align.cli:main" in next(unpacked.glob("*.dist-info/entry_points.txt")).read_text()

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(unpacked)}

    def run(*words: str) -> str:
        command = [sys.executable, "-P", "-m", "edu_align", *words]
        done = subprocess.run(command, cwd=elsewhere, env=environment, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    assert str(unpacked) in run("train", "--help", "trainer=dpo")
    assert run("train", "--cfg", "job", "-p", "model.name") == "smollm2\n"
    assert run("plan", "model=tiny", "tracking=off")
    assert "[missing]" not in run("--version")
    assert [path.name for path in elsewhere.iterdir() if path.name != "outputs"] == []
