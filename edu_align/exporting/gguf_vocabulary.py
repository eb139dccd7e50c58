"""A fast tokenizer as GGUF describes one: tokens with types, merges or scores, and how text is split before them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edu_align.errors import UserError

# Kinds of tokens, as GGUF numbers them.
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
CONVERTER = "Set export.converter=<llama.cpp's convert_hf_to_gguf.py>, or export.gguf=null"

# llama.cpp's name of each pattern that splits text before a byte-level BPE.
_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
SPLITS = {
    _CONTRACTIONS + _REST: "qwen2",
    _CONTRACTIONS + "{1,3}" + _REST: "llama-bpe",
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+": "tekken",
}


@dataclass(frozen=True)
class Vocabulary:
    """`kind`: gpt2 (bytes, `merges`) or llama (SentencePiece's BPE, `scores`). One token, type and score an id."""

    kind: str
    pre: str
    tokens: list[str]
    types: list[int]
    merges: list[str]
    scores: list[float] | None
    space_prefix: bool


def vocabulary(tokenizer: Any, size: int) -> Vocabulary:
    """The vocabulary of `tokenizer`, filled up with unused tokens to the `size` rows of the model's embedding.

    Errors: a tokenizer that is no BPE, splits text in a way that llama.cpp has no name for, or has too many tokens.
    """
    told = json.loads(tokenizer.backend_tokenizer.to_str())
    model = told["model"]
    if model["type"] != "BPE":
        raise UserError(f"`export.gguf`: the tokenizer is a {model['type']}, and only BPE can be written. {CONVERTER}.")
    by_id = {index: token for token, index in model["vocab"].items()}
    by_id |= {added["id"]: added["content"] for added in told["added_tokens"]}
    if max(by_id) >= size:
        raise UserError(
            f"`export.gguf`: the tokenizer has {max(by_id) + 1} tokens and the model only {size} rows for them. "
            f"{CONVERTER}."
        )
    special = {added["id"]: added["special"] for added in told["added_tokens"]}
    pieces = bool(model.get("byte_fallback"))
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    tokens = [by_id.get(i, f"[PAD{i}]") for i in range(size)]
    types = [_type(i, by_id, special, model.get("unk_token"), pieces) for i in range(size)]
    return Vocabulary(
        kind="llama" if pieces else "gpt2",
        pre="default" if pieces else _pre(told["pre_tokenizer"]),
        tokens=tokens,
        types=types,
        merges=[] if pieces else merges,
        scores=_scores(tokens, types, model["merges"]) if pieces else None,
        space_prefix=pieces and _prepends_space(told),
    )


def _type(index: int, by_id: dict[int, str], special: dict[int, bool], unknown: str | None, pieces: bool) -> int:
    if index not in by_id:
        return UNUSED
    token = by_id[index]
    if pieces and token == unknown:
        return UNKNOWN
    if pieces and len(token) == 6 and token.startswith("<0x") and token.endswith(">"):
        return BYTE
    if index in special:
        return CONTROL if special[index] else USER_DEFINED
    return NORMAL


def _scores(tokens: Sequence[str], types: Sequence[int], merges: Sequence[Any]) -> list[float]:
    """SentencePiece joins the pair with the highest score first, so a piece scores by the first merge that makes it."""
    first: dict[str, int] = {}
    for rank, merge in enumerate(merges):
        first.setdefault("".join(merge.split(" ") if isinstance(merge, str) else merge), rank)
    return [
        -float(first.get(token, len(first))) if kind == NORMAL else 0.0
        for token, kind in zip(tokens, types, strict=True)
    ]


def _pre(told: dict[str, Any] | None) -> str:
    """llama.cpp's name of a byte-level tokenizer's way to split text."""
    steps = [] if told is None else told["pretokenizers"] if told["type"] == "Sequence" else [told]
    kinds = [step["type"] for step in steps]
    if kinds and kinds[-1] == "ByteLevel" and not steps[-1]["add_prefix_space"]:
        if kinds == ["ByteLevel"] and steps[0]["use_regex"]:
            return "gpt-2"
        if kinds == ["Digits", "ByteLevel"] and steps[0]["individual_digits"] and steps[1]["use_regex"]:
            return "smollm"
        if kinds == ["Split", "ByteLevel"] and not steps[1]["use_regex"]:
            name = SPLITS.get(steps[0]["pattern"].get("Regex", ""))
            if name is not None:
                return name
    raise UserError(
        f"`export.gguf`: the tokenizer splits text by {' and '.join(kinds) or 'nothing'} in a way that is not known "
        f"here by llama.cpp's name. {CONVERTER}."
    )


def _prepends_space(told: dict[str, Any]) -> bool:
    """Whether a text begins as if a space stood before it: by a Prepend normalizer or a Metaspace pre-tokenizer."""
    normalizer, pre = told["normalizer"] or {}, told["pre_tokenizer"] or {}
    steps = normalizer.get("normalizers", [normalizer])
    return any(step.get("type") == "Prepend" for step in steps) or pre.get("prepend_scheme") in ("always", "first")
