"""What a run computes, as twelve hex digits: two launches with the same id are the same run.

The id is over the resolved config without the keys of `LEFT_OUT`, what the data, the base model and the run that it
starts from say they are, and nothing else: not who ran it, where, when, or with which version of the code. A run that
other code made is therefore found, and said to be so (`other_code`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from edu_align.utils.hashing import digest

DIGITS = 12
# Keys that say how or where a run is made and not what it computes. A name that ends with a dot stands for all below.
LEFT_OUT = (
    # Where it is kept and what is done around it.
    "run_name", "outputs_root", "preview", "chain", "objective", "force", "cache_gb", "tracking.", "export.", "sweep.",
    # What `edu_align.evaluate` measures of a finished run.
    "evaluation.metrics",
    # How the finished tutor answers; nothing in training or measuring draws a reply with them.
    "generation.",
    # An outside view of the finished model.
    "evaluation.judge", "evaluation.judge_model", "evaluation.judge_pairs", "evaluation.judge_requests_per_minute",
    "evaluation.judge_concurrency", "evaluation.judge_timeout", "evaluation.judge_max_tokens",
    "evaluation.judge_price_in", "evaluation.judge_price_out",
    # Where things lie: the fingerprint of the records and the identity of the weights stand for them.
    "data_root", "dataset.path", "model.path", "model.revision", "model.bundled", "init_from",
    # How often it is kept on the way.
    "trainer.save_steps", "trainer.save_total_limit",
    # What fits. In exact arithmetic none of these changes a number; in floating point they change its last digits, as
    # another machine does. Formats that do round the model (dtype, quantization) and the optimizer stay in the id.
    "hardware.name", "hardware.device", "hardware.attention", "hardware.per_device_batch_size",
    "hardware.eval_batch_size", "hardware.gradient_checkpointing", "hardware.memory_gb", "hardware.memory_check",
    "hardware.min_compute_capability", "hardware.threads", "hardware.packing", "hardware.packing_backend",
    "hardware.sharding",
)  # fmt: skip


@dataclass(frozen=True)
class Identity:
    """`settings`: dotted key to value, without LEFT_OUT. `data`: a fingerprint for each view of the data that is read.

    `base_model`: `Location.identity`. `parent`: id of the run in `init_from`.
    """

    settings: dict[str, Any]
    data: dict[str, str]
    base_model: str
    parent: str | None

    @property
    def id(self) -> str:
        return digest(self.settings, self.data, self.base_model, self.parent)[:DIGITS]

    def differences(self, other: "Identity") -> list[str]:
        """What tells `other` from this one, a sentence part each: `trainer.beta (0.1 there, 0.3 here)`."""
        keys = sorted(self.settings.keys() | other.settings.keys())
        found = [
            f"{key} ({_shown(other.settings, key)} there, {_shown(self.settings, key)} here)"
            for key in keys
            if self.settings.get(key) != other.settings.get(key)
        ]
        found += ["the data's content"] if self.data != other.data else []
        if self.base_model != other.base_model:
            found.append(f"the base model ({other.base_model} there, {self.base_model} here)")
        if self.parent != other.parent:
            found.append(f"the run in init_from ({other.parent} there, {self.parent} here)")
        return found


def counts(key: str) -> bool:
    """Whether a dotted key is part of the id."""
    return not any(key == name or (name.endswith(".") and key.startswith(name)) for name in LEFT_OUT)


def settings_of(config: dict[str, Any]) -> dict[str, Any]:
    """The keys of a resolved, nested config that count, flat. Open mappings (`trainer.args`) are opened as well."""
    return {key: value for key, value in _flat(config) if counts(key)}


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
