"""The key=value words that the commands take, and how they refuse the rest before anything is loaded."""

import subprocess
import sys
from typing import Any

import pytest

from edu_align.chat import main as chat
from edu_align.config.arguments import key_of, key_values, parse, quoted
from edu_align.generate import main as generate
from edu_align.utils.errors import UserError
from tests.config.conftest import Here

OWN = ("input", "output", "seed", "compare", "outputs_root")


def test_words_are_sorted() -> None:
    words = parse(
        ["run=a", "b", "--compare", "generation.top_p=0.9", "hardware=cpu", "seed=3", "model.path=x"],
        OWN,
        {"--compare": "compare"},
        several_runs=True,
    )
    assert words.runs == ["a", "b"]
    assert words.own == {"compare": "true", "seed": "3"}
    assert words.overrides == {"generation.top_p": "0.9", "hardware": "cpu", "model.path": "x"}
    assert words.switch("compare")
    assert words.number("seed", 0, 0, 10) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--compair"], r"`--compair` is no flag\. Did you mean `--compare`"),
        (["my_run"], r"every argument is key=value, got 'my_run'\. Did you mean run=my_run"),
        (["run="], r"`run=` is empty"),
        (["run=a", "run=b"], r"one run at a time here"),
        (["run=a", "seed=1", "seed=2"], r"`seed` is given twice"),
        (["run=a", "model=zephyr"], r"`model=zephyr` beside run=a: a run has its own model"),
        (["run=a", "trainer.beta=1"], r"`trainer\.beta=1` cannot be set here"),
        (["run=a", "inputt=x"], r"`inputt=x` cannot be set here\. Did you mean `input`"),
        (["run=a", "model.weights=random"], r"`model\.weights=random` cannot be set here"),
    ],
)
def test_other_words_are_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse(arguments, OWN, {"--compare": "compare"})


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("-m", r"`-m` is no flag\. The only flag is --help"),
        ("beta_lr", r"every argument is key=value, got 'beta_lr'\. Did you mean sweep=beta_lr"),
        ("swep=a", r"`swep` is not a key here\. Did you mean `sweep`\? Keys: sweep \| last"),
        ("last=1", r"`last` is given twice"),
        ("sweep=", r"`sweep=` is empty"),
    ],
)
def test_words_without_runs(word: str, message: str) -> None:
    assert key_values(["last=0", "sweep=a=b"], ("sweep", "last"), "sweep") == {"last": "0", "sweep": "a=b"}
    with pytest.raises(UserError, match=message):
        key_values(["last=0", word], ("sweep", "last"), "sweep")


@pytest.mark.parametrize("value", ["a b", "it's", "a,b", "{x}", "runs/${seed}#1"])
def test_what_is_quoted_is_read_back_by_hydra(value: str) -> None:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    word = f"+init_from={quoted(value)}"
    assert OverridesParser.create().parse_override(word).value() == value
    assert key_of(word) == "init_from"


@pytest.mark.parametrize(
    ("main", "words", "message"),
    [
        (generate, "run=x output=o.jsonl", "`input` is missing"),
        (generate, "run=x input=i.txt", "`output` is missing"),
        (generate, "run=x input=i.txt output=o.csv", "`output` must end with .jsonl, got 'o.csv'"),
        (generate, "run=x input=o.jsonl output=o.jsonl", "`output` is the input file"),
        (generate, "run=x input=i.txt output=o.jsonl", "`run=x`: no run.json"),
        (chat, "run=nowhere", "`run=nowhere`: no run.json"),
        (chat, "generation.top_p=0.5", "`run` is missing"),
        (chat, "model=smollm2 --compare", "`compare=true` sets a tutor beside its base"),
        (chat, "run=a compare=perhaps", "`compare` must be true or false, got 'perhaps'"),
        (chat, "run=a b --compare --web", "the page compares two"),
        (chat, "run=a port=80", "`port` belongs to the page. Add --web"),
        (chat, "run=a --web port=http", "`port` must be a whole number from 1 to 65535, got 'http'"),
        (chat, "model=smollm generation.top_p=0.5", "`model=smollm` is not an option. Did you mean"),
        (chat, "model=tiny generation.top_p=2", "`generation.top_p` must be > 0 and <= 1, got 2"),
        (chat, "model=tiny generation.topp=1", "`generation.topp` is not a key. Did you mean `generation.top_p`"),
    ],
)
def test_a_mistake_of_chat_or_generate_is_one_message(here: Here, main: Any, words: str, message: str) -> None:
    code, out, err = here(*words.split(), main=main)
    assert (code, out) == (2, "")
    assert err.startswith("edu_align: error: ")
    assert message in err


@pytest.mark.parametrize(("main", "name"), [(chat, "edu_align.chat"), (generate, "edu_align.generate")])
def test_help_shows_the_commands(here: Here, main: Any, name: str) -> None:
    code, out, _ = here("--help", "nonsense", main=main)
    assert code == 0
    assert f"python -m {name} run=<run>" in out
    assert here(main=main)[1] == out


def test_mistakes_load_nothing_heavy() -> None:
    script = (
        "import sys\nfrom edu_align.chat import main\nsys.argv = ['chat', 'model=tiny', 'generation.top_p=2']\n"
        "try:\n    main()\nexcept SystemExit as error:\n    print(error.code)\n"
        "print([name for name in ('torch', 'transformers', 'peft', 'gradio') if name in sys.modules])\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert result.stdout == "2\n[]\n", result.stderr
