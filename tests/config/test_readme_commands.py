"""Every training command that the documentation shows composes."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from edu_align.config.compose import conf_dir

ROOT = Path(__file__).resolve().parents[2]
_COMMAND = re.compile(r"python -m edu_align\.train\b[^\n`]*")
_FLAGS_WITH_VALUE = ("--config-dir", "-cd", "--config-name", "-cn", "--cfg", "-c", "--package", "-p", "--info", "-i")


def documented() -> list[tuple[str, str]]:
    """`(where, command)` of every `python -m edu_align.train` in the READMEs and the experiments' first comments."""
    pages = [ROOT / "README.md", *sorted((ROOT / "experiments").glob("*/README.md"))]
    found = [
        (page.relative_to(ROOT).as_posix(), command.group())
        for page in pages
        if page.is_file()
        for command in _COMMAND.finditer(page.read_text(encoding="utf-8").replace("\\\n", " "))
    ]
    for path in sorted((conf_dir() / "experiment").glob("*.yaml")):
        command = _COMMAND.search(path.read_text(encoding="utf-8"))
        assert command is not None, f"{path} does not open with its command"
        found.append((path.relative_to(ROOT).as_posix(), command.group()))
    return found


def split(command: str, file: Path) -> tuple[list[str], bool]:
    """Overrides of a command and whether it is a sweep. `<placeholders>` become a word, or `file` for a path."""
    command = re.sub(r"dataset\.path=\S+", f"dataset.path={file}", command.partition("#")[0])
    command = re.sub(r"<[^>\n]*>", "placeholder", command)
    command = re.sub(r"data_root=\S+", "data_root=null", command)
    words = shlex.split(command)[3:]
    for sign in ("&&", "|", ";", ">"):
        words = words[: words.index(sign)] if sign in words else words
    overrides = []
    skip = False
    for word in words:
        if not skip and "=" in word and not word.startswith("--"):
            overrides.append(word)
        skip = word in _FLAGS_WITH_VALUE
    return overrides, "-m" in words or "--multirun" in words


def test_there_are_commands_to_check() -> None:
    wheres = [where for where, _ in documented()]
    assert sum(where.startswith("conf/experiment/") for where in wheres) >= 2


@pytest.mark.parametrize(("where", "command"), documented())
def test_a_documented_command_composes(
    problems: Callable[..., list[str]], tmp_path: Path, where: str, command: str
) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text("{}\n", encoding="utf-8")
    if "..." in command:
        pytest.skip(f"{where}: an abbreviated command")
    overrides, multirun = split(command, file)
    assert problems(*overrides, multirun=multirun) == []


def test_a_command_is_split_as_a_shell_does(tmp_path: Path) -> None:
    command = (
        "python -m edu_align.train -m 'trainer.beta=0.1,0.3' init_from=<the SFT run> --cfg job seed=1 | head a=b  # x=1"
    )
    assert split(command, tmp_path) == (["trainer.beta=0.1,0.3", "init_from=placeholder", "seed=1"], True)
