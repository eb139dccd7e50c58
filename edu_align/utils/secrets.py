"""Passwords and tokens: found in a config before it is printed or written anywhere, and cut out of every message."""

import os
import re
from collections.abc import Iterator
from typing import Any

HIDDEN = "***"

_NAME = re.compile(
    r"(?<!eos_)(?<!pad_)(?<!bos_)(?<!unk_)(?<![a-z])"
    r"(token|(api|access|private|secret)_?key|secret|password|passwd|passphrase|credentials?)$",
    re.IGNORECASE,
)
# A variable named so may also hold a path or a word; only what looks drawn at random is taken for the secret itself.
_RANDOM = re.compile(r"(?=.*[0-9])(?=.*[A-Za-z])[^/\s][^\s]{15,}")
_IN_URL = re.compile(
    r"(?<=://)[^/\s'\"@:]*:[^/\s'\"@]+(?=@)|(?<=http://)[^/\s'\"@]+(?=@)|(?<=https://)[^/\s'\"@]+(?=@)"
)
# What the services print on their keys: Hugging Face, OpenAI and its likes, GitHub, GitLab, Slack, AWS, W&B.
_SHAPE = re.compile(
    r"\bhf_[A-Za-z0-9]{16,}|\bsk-[A-Za-z0-9_-]{16,}|\bgh[pousr]_[A-Za-z0-9]{16,}|\bgithub_pat_\w{16,}"
    r"|\bglpat-[\w-]{16,}|\bxox[abprs]-[\w-]{16,}|\bAKIA[A-Z0-9]{16}\b|\bwandb_v\d_\w{16,}"
)


def is_secret_name(name: str) -> bool:
    """Whether a key or a variable of this name holds a secret: `hub_token`, `WANDB_API_KEY`."""
    return _NAME.search(name) is not None


def found_in(text: str, held: list[tuple[str, str]] | None = None) -> str:
    """What kind of secret stands in the text, in words; "" where none is seen. `held`: see `_environment`."""
    if _IN_URL.search(text):
        return "a user name or password in an address"
    if _SHAPE.search(text):
        return "an access token"
    variable = next((name for name, value in (_environment() if held is None else held) if value in text), None)
    return f"the value of the environment variable {variable}" if variable else ""


def redacted(text: str) -> str:
    """The text with `***` in the place of every secret that can be recognised."""
    for _, value in _environment():
        text = text.replace(value, HIDDEN)
    return _SHAPE.sub(HIDDEN, _IN_URL.sub(HIDDEN, text))


def problems_of_secrets(values: dict[str, Any]) -> Iterator[str]:
    """A problem for every setting (dotted key to value) that holds a secret, without the secret.

    A config is kept in the run's folder, in its sweep's and in W&B, so that none may stand in it.
    """
    held = _environment()
    for key, value in _texts(values):
        kind = found_in(value, held) or ("a secret, by its name" if is_secret_name(key) and value else "")
        if kind:
            yield (
                f"`{key}` must not hold a secret, got {kind}: configs are kept beside the results. Take it out, and "
                "give it to the program that needs it: `hf auth login` or HF_TOKEN, `wandb login` or WANDB_API_KEY, "
                "~/.netrc for an address."
            )


def _texts(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _texts(item, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item, key)
    elif isinstance(value, str):
        yield key, value


def _environment() -> list[tuple[str, str]]:
    """Environment variables that hold secrets, the longest value first."""
    held = [(name, value) for name, value in os.environ.items() if is_secret_name(name) and _RANDOM.fullmatch(value)]
    return sorted(held, key=lambda pair: -len(pair[1]))
