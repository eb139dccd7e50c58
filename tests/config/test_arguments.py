"""The key=value words that the commands take, and how they refuse the rest."""

import pytest

from edu_align.config.arguments import key_of, key_values, parse, quoted
from edu_align.utils.errors import UserError

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
