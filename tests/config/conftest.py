"""What the tests of the config share."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edu_align.config.comments import conf_dir
from edu_align.config.precheck.command_line import check
from edu_align.config.precheck.files import Files
from edu_align.train import main as train

Here = Callable[..., tuple[int, str, str]]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _no_data_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """data_root comes from the environment: the same config everywhere."""
    monkeypatch.delenv("EDU_ALIGN_DATA", raising=False)


@pytest.fixture
def problems() -> Callable[..., list[str]]:
    """`problems("trainer.bata=1", multirun=False)`: what the strict check says of a command line."""

    def run(*overrides: str, multirun: bool = False, folder: Path | None = None, primary: str = "config") -> list[str]:
        return check(list(overrides), Files(conf_dir(), [folder] if folder else []), multirun, primary)

    return run


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    """`here("--cfg", "job")`: a program in this process; gives its exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, main: Callable[[], None] = train) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["program", *arguments])
        try:
            main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`program("trainer=dpo")`: `python -m edu_align.train trainer=dpo`, in an empty folder.

    `script` runs that file in the place of the module.
    """

    def run(
        *arguments: str, script: Path | None = None, python: tuple[str, ...] = ()
    ) -> subprocess.CompletedProcess[str]:
        start = [str(script)] if script else ["-m", "edu_align.train"]
        environment = {
            key: value for key, value in os.environ.items() if key not in ("EDU_ALIGN_DATA", "HYDRA_FULL_ERROR")
        }
        return subprocess.run(
            [sys.executable, *python, *start, *arguments],
            cwd=tmp_path,
            env={**environment, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )

    return run
