"""What packing and the fused layers must know of a decoder: one line a family, and the reasons why one is not packed.

Light, so that a plan can ask. The forest, its kernels and the fused layers hold no family's name.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

FULL, SLIDING = "full_attention", "sliding_attention"  # transformers' words for what a layer attends to
EVERY, WINDOW, BY_TYPE = "every", "window", "by type"


@dataclass(frozen=True)
class Family:
    """`attends`: a layer reads every earlier token (EVERY); all layers read `config.sliding_window` tokens where that
    is set (WINDOW); or each does as `config.layer_types` says, and the decoder takes a mask for each type (BY_TYPE).

    `norm`: where the weight of its root-mean-square norms stands, a key of `fused.decoder.NORMS`. `keeps_dtype`: a
    rotation gives queries and keys back in their own dtype, whatever that of the angles is. `plain`: a layer adds
    attention, then a gated feed-forward part, each of its norm, to what it reads, and does nothing else.
    """

    attends: str = EVERY
    norm: str = "after rounding"
    keeps_dtype: bool = False
    plain: bool = False


# Decoders of transformers by model_type, which take position ids and masks and compute nothing else across positions.
FAMILIES = {
    "llama": Family(plain=True),
    "mistral": Family(WINDOW, plain=True),
    "qwen2": Family(BY_TYPE, plain=True),
    "qwen3": Family(BY_TYPE),
    "gemma": Family(norm="plus one"),
    "gemma3_text": Family(BY_TYPE, norm="plus one"),
    "granite": Family(),
    "olmo2": Family(norm="before rounding", keeps_dtype=True),
    "phi3": Family(WINDOW),
    "smollm3": Family(BY_TYPE),
}
SUPPORTED = tuple(FAMILIES)
# Others that one would look for here.
REFUSED = {
    "gemma2": "its attention caps the scores, which SDPA does not compute",
    "gpt_oss": "its attention has sinks, which SDPA does not compute",
    "lfm2": "its convolutions mix neighbouring tokens, and in a packed row those are of other rows",
    "mamba2": "its state runs along the packed row",
    "qwen3_5_text": "its linear attention carries a state along the packed row",
    "qwen3_next": "its linear attention carries a state along the packed row",
}
# Kinds of rotary positions whose frequencies are fixed once the model is made, and those that the longest row of a pass
# changes for all rows of it, with the key of the config that holds the length up to which they do not.
FIXED_ROPE = ("default", "linear", "llama3", "yarn")
LENGTH_ROPE = {"dynamic": "max_position_embeddings", "longrope": "original_max_position_embeddings"}
PHI3_ORIGINAL = 4096  # that length for Phi-3's kin where config.json does not say, as in transformers


def inexact_reason(config: Any, longest: int | None = None) -> str | None:
    """Why packing would not be exact for a model of this transformers config, or None where it is.

    `longest`: the most tokens of a row, None where nobody knows.
    """
    kind = config.model_type
    if kind in REFUSED:
        return f"model_type {kind!r} is not packed: {REFUSED[kind]}"
    if kind not in FAMILIES:
        return f"model_type {kind!r} is not one of {', '.join(SUPPORTED)}"
    if getattr(config, "use_bidirectional_attention", False):
        return "a token attends to those behind it (use_bidirectional_attention)"
    if unknown := sorted(set(layer_windows(config)) - {FULL, SLIDING}):
        return f"layers attend in a way that is not known here ({', '.join(unknown)})"
    return next(_rope_reasons(config, longest), None)


def stated_config(content: dict[str, Any]) -> Any:
    """What `inexact_reason` reads of a model's transformers config, from its config.json alone.

    Names that config.json had in earlier years are read as transformers reads them.
    """
    stated = content.get("rope_scaling") or content.get("rope_parameters")
    stated = stated if isinstance(stated, dict) else {}
    phi3 = content["model_type"] == "phi3"
    limits = {"max_position_embeddings": content.get("max_position_embeddings", 0)}
    limits["original_max_position_embeddings"] = content.get("original_max_position_embeddings") or (
        PHI3_ORIGINAL if phi3 else limits["max_position_embeddings"]
    )

    def kind_of(rope: dict[str, Any] | None) -> dict[str, Any] | None:
        if not isinstance(rope, dict):
            return None
        kind = rope.get("rope_type", rope.get("type", "default"))
        return {**rope, "rope_type": "longrope" if phi3 and kind in ("su", "yarn") else kind}

    by_type = stated and set(stated) <= {FULL, SLIDING}
    return SimpleNamespace(
        model_type=content["model_type"],
        use_bidirectional_attention=content.get("use_bidirectional_attention", False),
        layer_types=content.get("layer_types") or [FULL],
        rope_parameters={key: kind_of(rope) for key, rope in stated.items()} if by_type else kind_of(stated),
        **limits,
    )


def layer_windows(config: Any) -> dict[str, int | None]:
    """How many tokens a layer of each type reads, itself counted; None is all."""
    window = getattr(config, "sliding_window", None)
    attends = FAMILIES[config.model_type].attends
    if attends == BY_TYPE:
        return {kind: window if kind == SLIDING else None for kind in config.layer_types}
    return {FULL: window if attends == WINDOW else None}


def takes_masks_by_type(config: Any) -> bool:
    """Whether the decoder's forward takes a dict of masks, one for each type of layer."""
    return FAMILIES[config.model_type].attends == BY_TYPE


def _rope_reasons(config: Any, longest: int | None) -> Iterator[str]:
    stated = config.rope_parameters
    for rope in stated.values() if set(stated) <= {FULL, SLIDING} else (stated,):
        kind = "default" if rope is None else rope["rope_type"]
        if kind in LENGTH_ROPE:
            limit = rope.get(LENGTH_ROPE[kind]) or getattr(config, LENGTH_ROPE[kind])
            if longest is None or longest > limit:
                rows = "of any length" if longest is None else f"of up to {longest} tokens"
                yield (
                    f"rotary positions of type {kind} change for all rows of a pass where one is over {limit} tokens, "
                    f"and rows {rows} may come"
                )
        elif kind not in FIXED_ROPE:
            yield f"rotary positions of type {kind} are not known here"
