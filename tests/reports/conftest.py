"""The `report` command in this process."""

import sys
from pathlib import Path
from typing import Any

import pytest

from edu_align import report


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path) -> Any:
    """`say("sweep=x")`: run the program with tmp_path as outputs_root and return what it prints."""

    def go(*words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["report", *words, f"outputs_root={tmp_path}"])
        report.main()
        return capsys.readouterr().out

    return go


@pytest.fixture
def refused(say: Any, capsys: Any) -> Any:
    """`refused("sweep=x")`: the one line of a user error that the program ends with."""

    def go(*words: str) -> str:
        with pytest.raises(SystemExit) as ended:
            say(*words)
        assert ended.value.code == 2
        (line,) = capsys.readouterr().err.splitlines()
        return str(line)

    return go
