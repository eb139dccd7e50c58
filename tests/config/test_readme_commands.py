"""Every command that the documentation shows is one that the program takes."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from edu_align import chat, evaluate, export, generate, harness, report, tutorbench
from edu_align.config.arguments import key_values, parse, split_word
from edu_align.config.comments import conf_dir
from edu_align.config.text import hydra_words
from edu_align.iterating import plan
from edu_align.recipes.crossfit import read_plan

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = "train|plan|evaluate|report|chat|generate|export|tutorbench|harness|reproduce|verify|rounds|crossfit"
_COMMAND = re.compile(rf"-m edu_align\.({PROGRAMS})\b[^\n`]*")
_FLAGS_WITH_VALUE = ("--config-dir", "-cd", "--config-name", "-cn", "--cfg", "-c", "--package", "-p", "--info", "-i")


def pages() -> list[Path]:
    """README.md, the pages of docs/ and the experiments' own."""
    found = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "experiments").glob("*/README.md")]
    return sorted(found)


def documented() -> dict[str, str]:
    """`{command: where it stands first}` of every page, and of the experiments' first comments."""
    found: dict[str, str] = {}
    for page in pages():
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        for command in _COMMAND.finditer(text):
            found.setdefault(command.group().rstrip(), page.relative_to(ROOT).as_posix())
    for path in sorted((conf_dir() / "experiment").glob("*.yaml")):
        command = _COMMAND.search(path.read_text(encoding="utf-8"))
        assert command is not None, f"{path} does not open with its command"
        found.setdefault(command.group().rstrip(), path.relative_to(ROOT).as_posix())
    return found


def words_of(command: str, file: Path) -> list[str]:
    """The words behind `-m edu_align.<program>`. `<placeholders>` become a word, or `file` for a path."""
    command = re.sub(r"dataset\.path=\S+", f"dataset.path={file}", command.partition("#")[0])
    command = re.sub(r"<[^>\n]*>", "placeholder", command)
    command = re.sub(r"data_root=\S+", "data_root=null", command)
    words = shlex.split(command)[2:]
    for sign in ("&&", "|", ";", ">"):
        words = words[: words.index(sign)] if sign in words else words
    return words


def split(words: list[str]) -> tuple[list[str], bool]:
    """Hydra's overrides among the words, and whether it is a sweep."""
    overrides = []
    skip = False
    for word in words:
        if not skip and "=" in word and not word.startswith("--"):
            overrides.append(word)
        skip = word in _FLAGS_WITH_VALUE
    return overrides, "-m" in words or "--multirun" in words


TAKEN: dict[str, Callable[[list[str]], object]] = {
    "evaluate": lambda words: [evaluate._split(word) for word in words],
    "report": report.parse,
    "chat": lambda words: parse(words, chat.OWN, chat.FLAGS, several_runs=True),
    "generate": lambda words: parse(words, generate.OWN),
    "export": lambda words: parse(words, export.OWN, groups=export.GROUPS),
    "tutorbench": lambda words: [evaluate._split(word) for word in tutorbench.tasks_in(words)[1]],
    "harness": lambda words: parse(words, harness.OWN, groups=("model",)),
    "rounds": lambda words: parse(words, plan.OWN, groups=plan.GROUPS),
    "crossfit": read_plan,
    "reproduce": lambda words: [split_word(word, "") for word in words],
    "verify": lambda words: key_values(words, ("outputs_root",), "outputs_root"),
}


def test_there_are_commands_to_check() -> None:
    found = documented()
    assert sum(where.startswith("conf/experiment/") for where in found.values()) >= 2
    assert {command.split()[1].partition(".")[2] for command in found} >= {"train", "plan", *TAKEN} - {"reproduce"}


@pytest.mark.parametrize("command", documented())
def test_a_documented_command_is_taken(
    problems: Callable[..., list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    if "hardware.sharding=fsdp" in command:
        monkeypatch.setenv("WORLD_SIZE", "2")  # what torchrun and accelerate launch say
    file = tmp_path / "rows.jsonl"
    file.write_text("{}\n", encoding="utf-8")
    if "..." in command:
        pytest.skip(f"{documented()[command]}: an abbreviated command")
    program = command.split()[1].partition(".")[2]
    words = words_of(command, file)
    if program not in TAKEN:
        overrides, multirun = split(words)
        read = hydra_words(overrides, [conf_dir()], multirun)  # as `launch` does
        assert problems(*read, multirun=multirun) == []
    elif {"-h", "--help", "--cfg"}.isdisjoint(words):
        TAKEN[program](words)


def test_a_command_is_split_as_a_shell_does(tmp_path: Path) -> None:
    command = "-m edu_align.train -m 'trainer.beta=0.1,0.3' init_from=<the SFT run> --cfg job seed=1 | head a=b  # x=1"
    words = ["trainer.beta=0.1,0.3", "init_from=placeholder", "seed=1"]
    assert split(words_of(command, tmp_path)) == (words, True)


def test_a_documented_target_of_make_is_one() -> None:
    known = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for page in pages():
        text = page.read_text(encoding="utf-8")
        lines = re.findall(r"^make ([a-z-]+)(?: \w+=\S+)?$", text, re.MULTILINE)
        assert {*re.findall(r"`make ([a-z-]+)", text), *lines} <= known, page


def test_a_documented_benchmark_is_one() -> None:
    known = {path.stem for path in (ROOT / "benchmarks").glob("*.py")}
    for page in pages():
        assert set(re.findall(r"python -m benchmarks (\w+)", page.read_text(encoding="utf-8"))) <= known, page
