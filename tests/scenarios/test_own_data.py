"""A teacher's own table, all the way: train, chat, evaluate, report, export, with no key typed but what a run says.

The file is a semicolon CSV in German, as a spreadsheet saves it, and the columns are given their meaning by a mapping.
"""

import io
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edu_align import chat, evaluate, export, report, train

Teacher = Callable[..., str]
PROGRAMS = {"chat": chat, "evaluate": evaluate, "export": export, "report": report, "train": train}
SHORT = [
    "model=tiny", "hardware=cpu", "hardware.dtype=float32", "tracking=off", "trainer.max_steps=2", "adapter.rank=4",
    "adapter.alpha=8", "evaluation.max_groups=4", "evaluation.max_new_tokens=4", "evaluation.samples=2",
    "evaluation.bootstrap_samples=100",
]  # fmt: skip


@pytest.fixture
def teacher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Teacher:
    """`teacher("chat", "run=a", stdin="Hallo")`: the command in a folder of its own; what it says, without a fault."""
    monkeypatch.chdir(tmp_path)

    def type_(command: str, *words: str, stdin: str = "") -> str:
        monkeypatch.setattr(sys, "argv", [command, *words])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        capsys.readouterr()
        PROGRAMS[command].main()
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        assert "Warning" not in said.err
        return said.out

    return type_


def table(path: Path) -> None:
    """60 rows: a question, a reply that guides, and one that scolds."""
    lines = ["Frage;Gute Antwort;Schlechte Antwort"]
    for i in range(60):
        a, b = i + 3, 2 * i + 5
        lines.append(
            f'"Ist {a} + {b} = {a + b + 1}? Ich weiß es nicht; hilf mir.";'
            f'"Fast, größer als nötig! Wie viele Einer haben {a} und {b}?";"Nein; {a + b}."'
        )
    path.write_bytes(("\r\n".join(lines) + "\r\n").encode("utf-8-sig"))


def said_next(out: str, command: str) -> list[str]:
    """The words of the command that a run's end says."""
    line = next(line for line in out.splitlines() if line.startswith(f"    python -m edu_align.{command} "))
    return shlex.split(line)[3:]


@pytest.mark.parametrize(
    ("trainer", "columns"),
    [
        pytest.param("sft", '{prompt: Frage, completion: "Gute Antwort"}', marks=pytest.mark.slow),
        ("dpo", '{prompt: Frage, chosen: "Gute Antwort", rejected: "Schlechte Antwort"}'),
    ],
)
@pytest.mark.cases("C1", "C2")
def test_a_table_in_german_becomes_a_tutor(trainer: str, columns: str, teacher: Teacher, tmp_path: Path) -> None:
    table(tmp_path / "Gespräche 2024.csv")
    data = ["dataset=local", "dataset.path='Gespräche 2024.csv'", f"dataset.columns={columns}"]
    out = teacher("train", f"trainer={trainer}", *data, *SHORT, "run_name='mein Lauf'")
    assert "60 of 60 rows" in out
    assert " after training" in out
    assert said_next(out, "chat") == ["run=mein Lauf", "--compare"]
    assert teacher("chat", *said_next(out, "chat"), stdin="Ist 3 + 5 = 9?\n").count("mein Lauf: ") == 1
    measured = teacher("evaluate", *said_next(out, "evaluate"))
    assert ("human_turn_nll" if trainer == "sft" else "pair_accuracy_own") in measured
    page = Path("outputs/reports/mein Lauf/report.html")
    assert f"edu_align: report {page}" in teacher("report", *said_next(out, "report"))
    assert "Frage" in page.read_text() or "Einer" in page.read_text()
    assert "edu_align: exported to outputs/runs/mein Lauf/export" in teacher("export", *said_next(out, "export"))
    again = teacher("train", f"trainer={trainer}", *data, *SHORT, "run_name='mein Lauf'")
    assert "this run is finished already" in again
    assert f"page {page}" in again
