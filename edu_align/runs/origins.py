"""Where base models and data sets come from and under which licence, for model cards.

A licence is the one on the work's own page when this was written; what is not listed is unknown here.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edu_align.models.locate import BUNDLED_FILE

_SECRET = re.compile(r"(^|_)(token|key|secret|password|credentials?)$", re.IGNORECASE)


@dataclass(frozen=True)
class Origin:
    """`where`: a page or repository; `hub`: the hub's id, where the work is there; `license` as the hub names it."""

    where: str
    hub: str | None
    license: str | None


BASES = {
    "HuggingFaceTB/SmolLM2-135M-Instruct": "apache-2.0",
    "HuggingFaceH4/zephyr-7b-beta": "mit",
    "mistralai/Mistral-7B-v0.1": "apache-2.0",
    "meta-llama/Llama-2-7b-hf": "llama2",
}
BUNDLED_HOME = "HuggingFaceTB/SmolLM2-135M-Instruct"

SOURCES = {
    "edu_tutor": Origin("built into edu_align", None, "apache-2.0"),
    "mathdial": Origin("github.com/eth-nlped/mathdial", "eth-nlped/mathdial", "cc-by-sa-4.0"),
    "bridge": Origin("github.com/rosewang2008/bridge", "rose-e-wang/bridge", "mit"),
    "mrbench": Origin("github.com/kaushal0494/UnifyingAITutorEvaluation", None, "cc-by-sa-4.0"),
    "gsm8k_socratic": Origin("github.com/openai/grade-school-math", "openai/gsm8k", "mit"),
    "agentinstruct": Origin("huggingface.co/datasets/THUDM/AgentInstruct", "THUDM/AgentInstruct", None),
    "puffin": Origin("huggingface.co/datasets/LDJnr/Puffin", "LDJnr/Puffin", "apache-2.0"),
    "stack_exchange": Origin(
        "huggingface.co/datasets/lvwerra/stack-exchange-paired", "lvwerra/stack-exchange-paired", "cc-by-sa-4.0"
    ),
    "ultrachat": Origin(
        "huggingface.co/datasets/HuggingFaceH4/ultrachat_200k", "HuggingFaceH4/ultrachat_200k", "mit"
    ),
    "ultrafeedback": Origin(
        "huggingface.co/datasets/HuggingFaceH4/ultrafeedback_binarized", "HuggingFaceH4/ultrafeedback_binarized", "mit"
    ),
    "local": Origin("a file of the one who trained", None, None),
}  # fmt: skip


def base_of(identity: str, folder: Path | None) -> Origin:
    """The base model that a run records as `identity` (see models/locate.py), read from `folder` where it is local.

    A folder that edu_align exported has a card, whose licence and base model are passed on.
    """
    kind, _, rest = identity.partition(":")
    if kind == "bundled" and rest == BUNDLED_FILE:
        return Origin(f"{BUNDLED_HOME}, from the 4-bit file {rest}", BUNDLED_HOME, BASES[BUNDLED_HOME])
    if kind == "hub":
        name = rest.partition("@")[0]
        return Origin(rest, name, BASES.get(name))
    if kind == "folder":
        name, _, fingerprint = rest.partition(":")
        told = front_matter(folder / "README.md") if folder else {}
        where = f"a local folder named {name} (fingerprint {fingerprint})"
        return Origin(where, told.get("base_model"), told.get("license"))
    return Origin(f"random weights ({identity})", None, None)


def front_matter(card: Path) -> dict[str, str]:
    """The one-line keys of a card's front matter; empty where there is no card."""
    text = card.read_text(encoding="utf-8") if card.is_file() else ""
    found = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    return dict(re.findall(r"^(\w+): (\S.*)$", found[1], re.MULTILINE)) if found else {}


def without_paths(value: Any) -> Any:
    """A setting as it may be shown to others: of a path only its last part, and nothing that is a key or a token."""
    if isinstance(value, dict):
        return {key: without_paths(entry) for key, entry in value.items() if not _SECRET.search(str(key))}
    if isinstance(value, list):
        return [without_paths(entry) for entry in value]
    if isinstance(value, str) and (value.startswith(("/", "~", "./", "../")) or "\\" in value):
        return re.split(r"[/\\]", value.rstrip("/\\"))[-1]
    return value
