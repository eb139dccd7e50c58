"""The key=value words of command lines, read and written. Nothing heavy is imported.

`train` and `plan` take the words of Hydra, which precheck/ reads; other commands those of `parse` or `key_values`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os.path import expanduser
from typing import Any

from edu_align.utils.errors import UserError
from edu_align.utils.words import did_you_mean, listed

# What may be set beside `run` or `model`. A finished run keeps everything else, so that it stays what was measured.
GROUPS = ("generation", "hardware")
KEYS = ("hardware", "model.path", "model.revision", "dataset.system_prompt")
MODEL_KEYS = (
    "model", "model.path", "model.revision", "model.tokenizer", "model.chat_template", "model.template_args",
    "model.template_date", "model.weights",
)  # fmt: skip


@dataclass(frozen=True)
class Words:
    """`runs` in their order, the program's `own` keys, and `overrides` of the config (dotted key -> value)."""

    runs: list[str] = field(default_factory=list)
    own: dict[str, str] = field(default_factory=dict)
    overrides: dict[str, str] = field(default_factory=dict)

    def switch(self, key: str) -> bool:
        """An own key that is true or false; false where it is not given."""
        value = self.own.get(key, "false").lower()
        if value not in ("true", "false"):
            raise UserError(f"`{key}` must be true or false, got {self.own[key]!r}.")
        return value == "true"

    def number(self, key: str, default: int, least: int, most: int) -> int:
        """An own key that is a whole number in [least, most]."""
        value = self.own.get(key)
        if value is None:
            return default
        if not value.isdecimal() or not least <= int(value) <= most:
            raise UserError(f"`{key}` must be a whole number from {least} to {most}, got {value!r}.")
        return int(value)


def split_word(word: str, hint: str) -> tuple[str, str]:
    """Key and value of `key=value`. Errors: no `=` in it; `hint` is what to write."""
    key, equals, value = word.partition("=")
    if not equals:
        raise UserError(f"every argument is key=value, got {word!r}. {hint}")
    return key, at_home(value)


def key_values(arguments: Sequence[str], keys: Sequence[str], first: str) -> dict[str, str]:
    """`{key: value}` of a command line without runs. Errors: a word that is none of `keys`, given twice, or empty.

    `first` is the key that a bare word was probably meant for.
    """
    words: dict[str, str] = {}
    for word in _with_the_machines(arguments, keys, ()):
        if word.startswith("-"):
            raise UserError(f"`{word}` is no flag. The only flag is --help; what is set is key=value.")
        key, value = split_word(word, f"Did you mean {first}={word}?")
        if key not in keys:
            raise UserError(f"`{key}` is not a key here.{did_you_mean(key, keys)} Keys: {listed(keys)}.")
        if key in words:
            raise UserError(f"`{key}` is given twice. Give it once.")
        if not value:
            raise UserError(f"`{key}=` is empty. Give {key}=<value> or leave it out.")
        words[key] = value
    return words


def run_names(text: str) -> list[str]:
    """`[a, b]` or `a,b` as names. Errors: none, or one twice."""
    names = [name.strip().strip("'\"") for name in text.removeprefix("[").removesuffix("]").split(",")]
    names = [at_home(name) for name in names if name]
    if not names:
        raise UserError(f"`runs={text}` names no run. Give runs=[<run>,<run>].")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"`runs={text}` names {twice[0]} twice. Name each run once.")
    return names


def at_home(value: Any) -> Any:
    """A path that begins with `~/` in the user's home folder; anything else as it is."""
    return expanduser(value) if isinstance(value, str) and value.startswith("~/") else value


def key_of(word: str) -> str:
    """The key of an override, without its sign: `+trainer.args.tf32=true` -> `trainer.args.tf32`."""
    return word.partition("=")[0].lstrip("+~")


def quoted(value: object, mark: str = "'") -> str:
    """A path or other text as the value of a Hydra override, whatever signs are in it."""
    # Backslashes count twice before a quotation mark, and only there.
    text = re.sub(rf"(\\*)({mark}|\Z)", lambda found: found[1] * 2 + (f"\\{mark}" if found[2] else ""), str(value))
    return f"{mark}{text}{mark}"


def parse(
    arguments: Sequence[str],
    own: Sequence[str],
    flags: Mapping[str, str] | None = None,
    several_runs: bool = False,
    groups: Sequence[str] = GROUPS,
) -> Words:
    """Sort the words of a command line. `flags` maps a flag to the own key that it sets to true; `groups` can be set.

    Errors: an unknown key or flag with the nearest valid one, a key that is given twice, a run beside a model.
    """
    words = Words()
    for word in _with_the_machines(arguments, own, groups):
        key, equals, value = word.partition("=")
        if word.startswith("-"):
            _flag(word, flags or {}, words)
        elif key == "run" or not equals:
            _run(word, value if equals else word, words, several_runs)
        elif key in words.own or key in words.overrides:
            raise UserError(f"`{key}` is given twice. Give it once.")
        elif key in own:
            words.own[key] = at_home(value)
        else:
            words.overrides[key] = value
    if words.runs and "model" in words.overrides:
        raise UserError(
            f"`model={words.overrides['model']}` beside run={words.runs[0]}: a run has its own model. Drop one of "
            "them; model.path says where the run's base model lies now."
        )
    for key in words.overrides:
        _check(key, words, own, groups)
    return words


def _with_the_machines(arguments: Sequence[str], own: Sequence[str], groups: Sequence[str]) -> list[str]:
    from edu_align.config.machine_settings import for_command

    return for_command(arguments, own, groups)


def _flag(word: str, flags: Mapping[str, str], words: Words) -> None:
    if word not in flags:
        known = ["--help", *flags]
        raise UserError(f"`{word}` is no flag.{did_you_mean(word, known)} Flags: {listed(known)}.")
    words.own[flags[word]] = "true"


def _run(word: str, name: str, words: Words, several: bool) -> None:
    if not name:
        raise UserError(
            "`run=` is empty. Give run=<folder of a finished run, its name under outputs_root/runs, or its id>."
        )
    if word == name and not words.runs:
        split_word(word, f"Did you mean run={word}?")
    if words.runs and not several:
        raise UserError(f"`{word}`: one run at a time here, and run={words.runs[0]} is given already.")
    words.runs.append(at_home(name))


def _check(key: str, words: Words, own: Sequence[str], groups: Sequence[str]) -> None:
    keys = [name for name in KEYS if "." in name or name in groups]
    allowed = [*keys, *(MODEL_KEYS if not words.runs else ())]
    group, dot, _ = key.partition(".")
    if key in allowed or (dot and group in groups):
        return
    from edu_align.config.keys import root_leaves

    known = ["run", *own, *allowed]
    hint = did_you_mean(key, [*known, *(name for name in root_leaves({}) if name.partition(".")[0] in groups)])
    raise UserError(
        f"`{key}={words.overrides[key]}` cannot be set here.{hint} What can: {listed(dict.fromkeys(known))}, and every "
        f"key of {listed(groups)}."
    )
