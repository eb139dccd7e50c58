"""Text as it was typed: one reader for all programs of the keys whose type is text.

Hydra's grammar and YAML read 2024_01_15 and 4e2 as numbers, and stop at blanks, brackets, commas and umlauts. Here a
text key takes what stands behind its `=`. Only `null` is null. A value in quotes is what stands between them, and
`${key}` is the value of that key.
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, get_args

from edu_align.config.arguments import at_home, quoted
from edu_align.config.bounds import enumerations
from edu_align.config.keys import opened_by, root_leaves, stated, typed_keys
from edu_align.config.machine_settings import as_word
from edu_align.utils.errors import UserError

_OVERRIDE = re.compile(r"(\+{0,2})([\w./-]+)=(.+)", re.DOTALL)
_PLAIN = re.compile(r"[A-Za-z_/][\w./-]*", re.ASCII)  # Hydra reads it as text, but for _OTHER
_OTHER = ("true", "false", "null", "nan", "inf")
_QUOTED = re.compile(r"""(["'])(\\.|(?!\1)[^\\])*\1""", re.DOTALL)
_FUNCTION = re.compile(r"(choice|range|interval|glob|shuffle|sort|tag)\(.*\)", re.DOTALL)
_WHOLE = ("sweep.gpus",)  # texts whose commas part no values of a sweep
_NAMES = ("hardware.optimizer", "trainer.lr_scheduler")  # enumerations of another library
_SWITCHES = {"true": ("true", "on"), "false": ("false", "off")}  # YAML reads on and off as true and false


def is_text(key: str, typed: str = "") -> bool:
    """Whether a key takes one text; a key that takes a text or a list does where no list was `typed`."""
    kind = typed_keys().get(key)
    return kind in (str, str | None) or (kind is Any and not typed.startswith("[")) or _open_text(key)


def text_of(key: str, typed: str) -> str | None:
    """The text that was typed for a key, None for null. Errors: a word that seems to mean null."""
    if typed == "null":
        return None
    if _QUOTED.fullmatch(typed):
        from hydra.core.override_parser.overrides_parser import OverridesParser

        return str(OverridesParser.create().parse_override(f"text={typed}").value())
    if typed.lower() in ("none", "null") and typed.lower() not in _words(key):
        raise UserError(
            f"`{key}={typed}`: only null is no value. Write {key}=null for that, or for this very text "
            f"{as_argument(key, typed)}."
        )
    return str(meant(key, typed))


def meant(key: str, value: Any) -> Any:
    """`value` as a text key means it: a word of its enumeration for another spelling, a path of the user's home."""
    words, also = _words(key), _also().get(key, {})
    if not words or not isinstance(value, str | bool):
        return at_home(value)
    spellings = _SWITCHES.get(str(value).lower(), (str(value),))
    return next((also.get(each, each) for each in spellings if each in words or each in also), value)


def as_meant(config: Any) -> None:
    """`meant` for every text of an OmegaConf config, in place."""
    from omegaconf import OmegaConf

    for key, kind in typed_keys().items():
        group, _, name = key.rpartition(".")
        node = OmegaConf.select(config, group, throw_on_missing=False) if group else config
        value = node._get_node(name) if kind in (str, str | None) and node is not None and name in node else None
        if value is not None and value._value() != meant(key, value._value()):
            OmegaConf.update(config, key, meant(key, value._value()))


def as_argument(key: str, text: str) -> str:
    """`key=text` as it can be typed in a shell, for Hydra and for the other programs."""
    return shlex.quote(f"{key}=" + quoted(text, '"'))


def for_hydra(words: Sequence[str], several: bool) -> list[str]:
    """The words of a command line with every text in quotes where Hydra would read something else.

    With `several` commas part the values of a sweep. Errors: all words that seem to mean null, in one message.
    """
    found, wrong = [], []
    for word in words:
        try:
            found.append(_for_hydra(word, several))
        except UserError as error:
            wrong.append(str(error))
    if wrong:
        raise UserError("\n".join(wrong))
    return found


def hydra_words(words: Sequence[str], folders: Sequence[Path], several: bool) -> list[str]:
    """The words of a command line as Hydra reads what was meant by them, see `models_by_path` and `for_hydra`."""
    return for_hydra(models_by_path(words, folders), several)


def models_by_path(words: Sequence[str], folders: Sequence[Path]) -> list[str]:
    """The words, with `model.path=<hub id, folder or file>` for a `model=` of one that is no preset of `folders`."""

    def is_path(value: str) -> bool:
        presets = (folder / "model" / f"{value}.yaml" for folder in folders)
        named = "/" in value or value.endswith(".gguf")
        return named and "," not in value and not any(preset.is_file() for preset in presets)

    pairs = [(word, *word.partition("=")) for word in words]
    return [f"model.path={value}" if key == "model" and is_path(value) else word for word, key, _, value in pairs]


def no_text(key: str, value: Any) -> str:
    """The problem of a value in a YAML file for a text key, where YAML reads no text or a null is not meant."""
    if not is_text(key) or _words(key) or value is None or (typed_keys().get(key) is Any and isinstance(value, list)):
        return ""
    if not isinstance(value, str):
        return f'`{key}` must be text, and YAML reads {value!r} here. Put what you mean in quotes: "...".'
    return f"`{key}`: {value} is a text to YAML. Write null for no value." if value == "None" else ""


def _for_hydra(word: str, several: bool) -> str:
    parts = _OVERRIDE.fullmatch(word)
    if parts is None:
        return word
    sign, key, typed = parts.groups()
    if typed_keys().get(key) == list[str] or (typed_keys().get(key) is Any and typed.startswith("[")):
        inside = re.fullmatch(r"\[([^'\"\[\]{}()]+)\]", typed)
        items = [_quoted(item.strip()) for item in inside.group(1).split(",")] if inside else []
        return f"{sign}{key}=[{','.join(items)}]" if inside else word
    if not is_text(key, typed) or _QUOTED.fullmatch(typed) or _FUNCTION.fullmatch(typed):
        return word
    if "," in typed and (several or _words(key)) and key not in _WHOLE:
        if any(mark in typed for mark in "'\"[]{}"):
            return word  # Hydra's own signs: its grammar decides
        values = [text_of(key, value.strip()) for value in typed.split(",")]
        return f"{sign}{key}=" + ",".join("null" if value is None else _quoted(value) for value in values)
    return sign + override(key, text_of(key, typed))


def override(key: str, text: str | None) -> str:
    """`key=text` for Hydra, in quotes where it would read something else."""
    return f"{key}=" + ("null" if text is None else _quoted(text))


def words_of(settings: Mapping[str, Any]) -> list[str]:
    """Values as they stand in a YAML file, as words for Hydra."""
    return [
        override(key, value) if isinstance(value, str) and is_text(key) else as_word(key, value)
        for key, value in settings.items()
    ]


def _quoted(text: str) -> str:
    return text if _PLAIN.fullmatch(text) and text.lower() not in _OTHER else quoted(text)


def _open_text(key: str) -> bool:
    above = opened_by(key)
    return above is not None and get_args(root_leaves({}).get(above)) == (str, str)


@cache
def _all_words() -> dict[str, Sequence[str]]:
    return {**enumerations(), **dict.fromkeys(_NAMES, ("cosine", "adamw_torch"))}


def _words(key: str) -> Sequence[str]:
    return _all_words().get(key, ())


@cache
def _also() -> dict[str, dict[str, str]]:
    return stated("also")
