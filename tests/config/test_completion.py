"""Completion: what a Tab offers, without internal names, and the scripts in a real bash and a real zsh."""

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from edu_align.cli import COMMANDS, OWN, _help_of, main
from edu_align.config.completion import candidates

ROOT = Path(__file__).resolve().parents[2]
EVERY = tuple({**COMMANDS, **OWN})


def offered(*words: str) -> list[str]:
    return candidates(list(words), EVERY, _help_of)


def test_commands_groups_keys_and_words_are_offered() -> None:
    assert offered("pr") == ["preview"]
    assert offered("") == [*EVERY]
    assert offered("train", "trai") == ["trainer.", "trainer="]
    assert offered("train", "trainer=") == [f"trainer={name}" for name in ("dpo", "grpo", "kto", "reward", "sft")]
    assert offered("plan", "trainer.be") == ["trainer.beta="]
    assert offered("train", "hardware.dtype=b") == ["hardware.dtype=bfloat16"]
    assert offered("sweep", "force=") == ["force=false", "force=true"]
    assert offered("train", "see") == ["seed="]
    assert offered("train", "--help", "trainer.be") == ["trainer.beta"]
    assert offered("train", "--cfg", "j") == ["job"]
    assert offered("train", "dataset.path=") == offered("train", "--config-dir", "") == [":files"]
    assert offered("chat", "--c") == ["--compare"]
    assert offered("chat", "run=a", "generation.temp") == ["generation.temperature="]
    assert offered("export", "export.gguf=q8") == ["export.gguf=q8_0"]
    assert offered("completion", "z") == ["zsh"]
    assert offered("nothing", "x") == []


def test_no_internal_name_is_offered() -> None:
    groups = [
        offered("train", f"{name}=") for name in ("model", "dataset", "trainer", "hardware", "adapter", "tracking")
    ]
    assert all(groups)
    assert not [
        name for found in [*groups, offered("train", "")] for name in found if "schema" in name or "hydra" in name
    ]


def test_runs_and_options_of_ones_own_are_offered(tmp_path: Path) -> None:
    (tmp_path / "runs" / "a").mkdir(parents=True)
    (tmp_path / "runs" / "a" / "run.json").write_text("{}", encoding="utf-8")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text("name: mine\n", encoding="utf-8")
    assert offered("chat", f"outputs_root={tmp_path}", "run=") == ["run=a"]
    assert offered("train", "--config-dir", str(tmp_path), "model=mi") == ["model=mine", "model=mistral"]


def test_it_answers_without_anything_heavy(tmp_path: Path) -> None:
    code = (
        "import sys; from edu_align.cli import main; sys.argv[1:] = ['completion', 'words', 'train', 'trainer.be'];"
        "main(); print([name for name in ('torch', 'hydra', 'omegaconf', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=_environment(tmp_path))
    assert (done.stdout, done.stderr) == ("trainer.beta=\n[]\n", "")


def _environment(folder: Path) -> dict[str, str]:
    """A PATH on which `edu-align` is this checkout's, whatever is installed."""
    command = folder / "bin" / "edu-align"
    command.parent.mkdir(exist_ok=True)
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m edu_align "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    path = f"{command.parent}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "TERM": "vt100", "HOME": str(folder), "PS1": "$ "}


@pytest.mark.parametrize(
    ("shell", "flags", "before"),
    [
        ("bash", ["--norc", "--noprofile", "-i"], ""),
        ("zsh", ["-f", "-i"], "autoload -U compinit; compinit -u -D; "),
    ],
)
def test_a_real_shell_completes(tmp_path: Path, shell: str, flags: list[str], before: str) -> None:
    """A line with a Tab at its end becomes the argument of `printf`: what it prints is the line as completed."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    (tmp_path / "rows.jsonl").write_text("", encoding="utf-8")
    terminal, inside = pty.openpty()
    process = subprocess.Popen(
        [shell, *flags], stdin=inside, stdout=inside, stderr=inside, cwd=tmp_path, env=_environment(tmp_path),
        start_new_session=True,
    )  # fmt: skip
    os.close(inside)
    try:
        _say(terminal, f'{before}eval "$(edu-align completion {shell})"; echo rea""dy\n', "ready\r")
        for typed, completed in (
            ("edu-align rep", "edu-align rep"),  # report and reproduce: nothing more is certain
            ("edu-align veri", "edu-align verify"),
            ("edu-align train trainer=d", "edu-align train trainer=dpo"),
            ("edu-align train seed=1 trainer.bet", "edu-align train seed=1 trainer.beta="),
            ("edu-align train trainer.loss_type=sigmoid_", "edu-align train trainer.loss_type=sigmoid_norm"),
            ("edu-align train dataset.path=ro", "edu-align train dataset.path=rows.jsonl"),
        ):
            # To the line's start, where it becomes words that are printed between marks.
            said = _say(terminal, f"{typed}\t", "", 0.2) + _say(
                terminal, "\x01printf '<%s>' \x05; echo en\"\"d\n", "end\r"
            )
            printed = "".join(f"<{word}>" for word in completed.split())
            assert printed in said, said
    finally:
        process.kill()
        process.wait()
        os.close(terminal)


def _say(terminal: int, text: str, until: str, seconds: float = 60.0) -> str:
    """Type a text, and read until `until` is there; without it for as long as the shell may take for a Tab."""
    os.write(terminal, text.encode())
    said, end = "", time.monotonic() + seconds
    while time.monotonic() < end and (not until or until not in said):
        if select.select([terminal], [], [], 0.1)[0]:
            said += os.read(terminal, 65536).decode(errors="replace")
    return said


def test_a_shell_that_is_not_known_is_one_message(capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.setattr(sys, "argv", ["edu-align", "completion", "bsh"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "Did you mean `bash`?" in capsys.readouterr().err
