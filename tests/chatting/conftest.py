"""What the tests of chatting share: tiny chat_models, and the programs as a user starts them."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests import children

ROOT = Path(__file__).resolve().parents[2]
TALKATIVE = "generation.repetition_penalty=1.2"
SHORT = {"generation.max_new_tokens": "12"}
Here = Callable[..., tuple[int, str, str]]


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    """`here(main, "run=sft", stdin="Hi\\n")`: a program in this process; its exit code, stdout and stderr."""

    def run(main: Callable[[], None], *arguments: str, stdin: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["program", *arguments])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        capsys.readouterr()
        try:
            main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        return code, *capsys.readouterr()

    return run


@pytest.fixture(scope="session")
def parrot(train: Callable[..., Any]) -> Path:
    """Folder of a tiny model that learned to write letters; the random one says nothing that can be seen."""
    steps = ["trainer.max_steps=40", "trainer.learning_rate=1e-2", "dataset.max_train_records=40"]
    unmeasured = "evaluation.enabled=false"
    return Path(train("trainer=sft", "adapter=full", "run_name=parrot", unmeasured, *steps).path) / "model"


@pytest.fixture(scope="session")
def talker(train: Callable[..., Any], parrot: Path) -> str:
    """Name of a tiny run whose adapter lies on the parrot."""
    base = [f"model.path={parrot}", "model.weights=pretrained", "trainer.max_steps=5", "trainer.learning_rate=1e-2"]
    train("trainer=sft", "run_name=talker", "evaluation.enabled=false", "adapter.alpha=16", *base)
    return "talker"


@pytest.fixture(scope="session")
def tutor_source(runs: Callable[[str], Any], talker: str, outputs: Path) -> Callable[..., Any]:
    """`tutor_source("sft", **overrides)`: a finished tiny run as a source; replies of 12 tokens."""
    from edu_align.chatting.source import run_source

    def source(name: str, **overrides: str) -> Any:
        if name != talker:
            runs(name)
        given = {key.replace("__", "."): value for key, value in overrides.items()}
        return run_source(name, SHORT | given, str(outputs))

    return source


@pytest.fixture(scope="session")
def pair(tutor_source: Callable[..., Any]) -> list[Any]:
    """The parrot and its tutor, which both write letters and differ."""
    from edu_align.chatting.model import load

    return load([tutor_source("talker", generation__repetition_penalty="1.2")], with_base=True)


def json_rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def command(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm"}


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`program("edu_align.chat", "run=x", stdin="Hi")`: the real program, in an empty folder."""

    return partial(children.program, cwd=tmp_path, env=environment(), timeout=120)
