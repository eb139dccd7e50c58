"""Rules on one key: the range of every number and the words of every enumeration, both read from the schemas."""

import math
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from edu_align.config.keys import stated
from edu_align.config.schema import GROUP_SCHEMAS
from edu_align.utils.words import did_you_mean, listed

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le,
}  # fmt: skip


def ranges(algorithm: str | None = None) -> dict[str, tuple[str, str]]:
    """`{key: (what it must be, a common value)}` of every number that has a range, with an `algorithm` by its trainer:
    two may have other ranges for one key.
    """
    one = GROUP_SCHEMAS["trainer"].get(f"{algorithm}_schema")
    return stated("bounds") | (stated("bounds", one, "trainer.") if one is not None else {})


def said_range(key: str) -> str:
    """What a number must be, trainer by trainer where they differ: `> 0 (dpo), >= 0 (grpo)`; "" without a range."""
    found: dict[str, list[str]] = {}
    for name, schema in GROUP_SCHEMAS["trainer"].items():
        if (rule := stated("bounds", schema, "trainer.").get(key)) is not None:
            found.setdefault(rule[0], []).append(name.removesuffix("_schema"))
    if len(found) < 2:
        return ranges()[key][0] if key in ranges() else ""
    return ", ".join(f"{rule} ({' | '.join(names)})" for rule, names in found.items())


def enumerations(algorithm: str | None = None) -> dict[str, Sequence[str]]:
    """`{key: its words}` of every enumeration. Trainers may have other words for one key: those of all, or of one."""
    schemas = GROUP_SCHEMAS["trainer"]
    one = schemas.get(f"{algorithm}_schema")
    found: dict[str, Sequence[str]] = {key: _words(words) for key, words in stated("words").items()}
    if one is not None:
        return found | {key: _words(words) for key, words in stated("words", one, "trainer.").items()}
    every = [stated("words", schema, "trainer.") for schema in schemas.values()]
    for key in dict.fromkeys(key for words in every for key in words):
        found[key] = list(dict.fromkeys(word for words in every for word in _words(words.get(key, ()))))
    return found


def _words(words: Any) -> Sequence[str]:
    return words() if callable(words) else words


def out_of_bounds(values: dict[str, Any]) -> Iterator[str]:
    """A problem for every number of `values` (dotted key to value) that is out of its range, or not finite."""
    for key, (rule, common) in ranges(values.get("trainer.algorithm")).items():
        value = values.get(key)
        if value is not None and not holds(value, rule):
            yield f"`{key}` must be {rule}, got {value}. A common value is {key}={common}."


def holds(value: float, rule: str) -> bool:
    """Whether a number satisfies a rule such as `">= 0 and < 0.5"`. NaN and infinity satisfy none."""
    clauses = [clause.split() for clause in rule.split(" and ")]
    return math.isfinite(value) and all(_OPERATORS[sign](value, float(limit)) for sign, limit in clauses)


def unknown_words(values: dict[str, Any]) -> Iterator[str]:
    """A problem for every value of an enumeration that is not one of its words; lists are checked word by word."""
    for key, words in enumerations(values.get("trainer.algorithm")).items():
        value = values.get(key)
        for word in value if isinstance(value, list) else [value]:
            if word is not None and word not in words:
                yield not_a_word(key, word, words)


def not_a_word(key: str, word: str, words: Sequence[str]) -> str:
    """The problem of a word that is not in an enumeration."""
    return f"`{key}` must be one of {listed(words)}, got {word!r}.{did_you_mean(word, words)}"
