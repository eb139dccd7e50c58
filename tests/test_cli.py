"""`edu-align <command>`: the list, what is handed on to which module, versions, and a command that is none."""

import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from edu_align import cli, launch
from edu_align.cli import COMMANDS, as_typed, listing
from edu_align.runs import environment

End = Callable[..., tuple[int, str, str]]


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> End:
    """`typed("train", "seed=1")`: exit code, stdout and stderr of that command line."""

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["edu-align", *words])
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        return code, *capsys.readouterr()

    return run


def test_alone_it_lists_every_command_in_a_line(typed: End) -> None:
    code, out, err = typed()
    assert (code, err) == (0, "")
    assert out == typed("--help")[1] == listing() + "\n"
    for command in COMMANDS:
        assert out.count(f"\n  {command} ") == 1
    assert max(map(len, out.splitlines())) <= 100


def test_every_command_gets_the_rest_of_the_words(typed: End, monkeypatch: pytest.MonkeyPatch) -> None:
    handed: list[Any] = []

    def stand_in(name: str) -> Any:
        return SimpleNamespace(__file__=f"{name}.py", main=lambda: handed.append(list(sys.argv)))

    monkeypatch.setattr(cli, "import_module", stand_in)
    assert typed("evaluate", "run=a", "evaluation.split=test")[0] == 0
    assert handed == [["edu_align.evaluate.py", "run=a", "evaluation.split=test"]]


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_explains_itself(typed: End, command: str) -> None:
    code, out, err = typed(command, "--help")
    assert (code, err) == (0, "")
    assert out.strip()


@pytest.mark.parametrize(
    ("name", "rest", "becomes"),
    [
        ("train", "seed=1", "seed=1"),
        ("preview", "trainer=dpo", "preview=3 trainer=dpo"),
        ("preview", "preview=9", "preview=9"),
        ("preview", "--help", "preview --help"),
        ("sweep", "trainer.beta=0.1,0.3", "-m trainer.beta=0.1,0.3"),
        ("sweep", "beta_lr --config-dir mine", "sweep=beta_lr --config-dir mine"),
        ("sweep", "-m seed=1,2", "-m seed=1,2"),
        ("sweep", "", "sweep --help"),
        ("sweep", "--help sweep.trials", "--help sweep.trials"),
    ],
)
def test_preview_and_sweep_are_ways_to_call_train(name: str, rest: str, becomes: str) -> None:
    assert as_typed(name, rest.split()) == ("train", becomes.split())


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["trian"], "`trian` is no command. Did you mean `train`?"),
        (["trainer=dpo", "seed=1"], "Did you mean `edu-align train trainer=dpo seed=1`?"),
    ],
)
def test_a_command_that_is_none_is_one_message(typed: End, words: list[str], meant: str) -> None:
    code, out, err = typed(*words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert meant in err


def test_versions_are_ours_and_those_of_what_it_stands_on(typed: End) -> None:
    out = typed("--version")[1]
    assert out.startswith(f"edu_align {environment.package_versions()['edu_align']} (torch 2")
    assert "trl 1." in out
    assert typed("train", "--version")[1] == typed("chat", "--version")[1] == out


def test_a_python_that_hydra_does_not_know_is_refused(typed: End, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "NEWEST_PYTHON", (3, 9))
    code, out, err = typed("train", "--cfg", "job")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "Hydra 1.3 runs on Python 3.10 to 3.9" in err
