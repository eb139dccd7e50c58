"""What a run computes, as twelve hex digits: two launches with the same id are the same run.

The id is over the resolved config without the keys that only say how or where a run is made (`in_run_id=False` in
config/schema.py), what the data, the base model and the run that it starts from say they are, and nothing else: not who
ran it, where, when, or with which version of the code. A run that other code made is therefore found, and said to be so
(`other_code`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edu_align.config.keys import stated
from edu_align.models.content import base_content
from edu_align.models.template_choice import WORDS
from edu_align.utils.hashing import digest

DIGITS = 12


@dataclass(frozen=True)
class Identity:
    """`settings`: dotted key to value, of the keys that count, and what else decides which tokens are read: digests of
    `tokenizer` and `chat template` where files hold them, and the `template date` that one writes.

    `data`: a fingerprint for each view of the data read. `base_model`: `Location.identity`, whose content counts.
    `parent`: id of the run in `init_from`; what its weights hold is among the settings.
    """

    settings: dict[str, Any]
    data: dict[str, str]
    base_model: str
    parent: str | None

    @property
    def id(self) -> str:
        return digest(self.settings, self.data, base_content(self.base_model), self.parent)[:DIGITS]

    def differences(self, other: "Identity") -> list[str]:
        """What tells `other` from this one, a sentence part each: `trainer.beta (0.1 there, 0.3 here)`."""
        keys = sorted(self.settings.keys() | other.settings.keys())
        found = [
            f"{key} ({_shown(other.settings, key)} there, {_shown(self.settings, key)} here)"
            for key in keys
            if self.settings.get(key) != other.settings.get(key)
        ]
        found += ["the data's content"] if self.data != other.data else []
        if base_content(self.base_model) != base_content(other.base_model):
            found.append(f"the base model ({other.base_model} there, {self.base_model} here)")
        if self.parent != other.parent:
            found.append(f"the run in init_from ({other.parent} there, {self.parent} here)")
        return found


def settings_of(config: dict[str, Any]) -> dict[str, Any]:
    """The keys of a resolved, nested config that count, flat. Open mappings (`trainer.args`) are opened as well."""
    left_out, later = stated("outside_run_id"), stated("later")
    every = {key: value for key, value in _flat(config) if key not in left_out}
    found = {key: value for key, value in every.items() if key.partition(".")[0] not in left_out}
    found = {key: value for key, value in found.items() if key not in later or [value] != [*later[key]]}
    if found.get("model.chat_template", WORDS[0]) not in WORDS:
        found["model.chat_template"] = "a file"  # what is in it counts, not where it lies
    if found.get("model.tokenizer") and Path(found["model.tokenizer"]).expanduser().is_dir():
        found["model.tokenizer"] = "a folder"
    return found


def _flat(node: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _flat(value, f"{name}.")
        else:
            yield name, value


def _shown(settings: dict[str, Any], key: str) -> str:
    return str(settings[key]) if key in settings else "not set"


def other_code(then: dict[str, Any], now: dict[str, Any]) -> str:
    """What the code of two records {versions, git} differs in, in a few words; "" where nothing does."""
    found = []
    old, new = then.get("versions", {}), now["versions"]
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            found.append(f"{name} {old.get(name, 'absent')} then, {new.get(name, 'absent')} now")
    old_git, new_git = then.get("git", {}), now["git"]
    if old_git.get("commit") != new_git["commit"]:
        found.append(f"commit {_short(old_git.get('commit'))} then, {_short(new_git['commit'])} now")
    if old_git.get("diff") != new_git["diff"]:
        found.append("other uncommitted changes")
    return "; ".join(found)


def _short(commit: str | None) -> str:
    return commit[:9] if commit else "none"
