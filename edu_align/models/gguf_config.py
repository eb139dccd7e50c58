"""What config.json of a GGUF file's model would say, from the file's header alone and without torch.

transformers' own reader drops rotary scaling of every kind, Gemma 3's sliding layers, local base and attention scale,
and takes a default for the width of a head. Here a key of the header counts as llama.cpp counts it (its hparams), and
what transformers' classes cannot do is refused. "own" below stands for `<architecture>.`.
"""

import math
from typing import Any

from edu_align.models.gguf_file import Header
from edu_align.utils.errors import UserError
from edu_align.utils.words import listed

# llama.cpp's architecture: the network of transformers. Mistral's files say llama, and llama.cpp gives it no window.
FAMILIES = {"llama": "llama", "qwen2": "qwen2", "qwen3": "qwen3", "gemma3": "gemma3_text", "phi3": "phi3"}
FACTORS = "rope_freqs.weight"  # by how much each frequency is divided
_LONG = {"long_factor": "rope_factors_long.weight", "short_factor": "rope_factors_short.weight"}  # the same, Phi-3's
_LLAMA3 = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
_SIZES = {
    "hidden_size": "embedding_length", "intermediate_size": "feed_forward_length",
    "num_hidden_layers": "block_count", "num_attention_heads": "attention.head_count",
    "max_position_embeddings": "context_length",
}  # fmt: skip
# Keys that are read below, and those that say nothing which llama.cpp goes by in these architectures.
_READ = {
    *_SIZES.values(), "attention.head_count_kv", "attention.key_length", "attention.value_length",
    "attention.layer_norm_rms_epsilon", "attention.sliding_window", "attention.sliding_window_pattern",
    "attention.causal", "rope.dimension_count", "rope.freq_base", "rope.freq_base_swa", "rope.scale_linear",
    "rope.scaling.type", "rope.scaling.factor", "rope.scaling.original_context_length", "rope.scaling.attn_factor",
    "rope.scaling.finetuned", "expert_count",
    "expert_used_count", "final_logit_softcapping", "vocab_size", "tensor_data_layout",
}  # fmt: skip


def config_of(header: Header) -> dict[str, Any]:
    """The keys of config.json.

    Errors: what is no language model, an architecture that is not read here, and what of it transformers cannot do.
    """
    check_kind(header)
    kind = header.architecture
    _check_family(header)
    heads = _number(header, "attention.head_count")
    found: dict[str, Any] = {"model_type": FAMILIES[kind]}
    found |= {key: _number(header, name) for key, name in _SIZES.items()}
    found |= {
        "vocab_size": header.tensors["token_embd.weight"].shape[0],
        "num_key_value_heads": _number(header, "attention.head_count_kv", heads),
        "head_dim": _head(header),
        "rms_norm_eps": float(_value(header, "attention.layer_norm_rms_epsilon")),
        "tie_word_embeddings": "output.weight" not in header.tensors,
        "rope_parameters": _rope(header),
    }
    found |= {f"{name}_token_id": header.values.get(f"tokenizer.ggml.{name}_token_id") for name in ("bos", "eos")}
    found["pad_token_id"] = header.values.get("tokenizer.ggml.padding_token_id")
    if kind == "gemma3":
        found |= _gemma3(header, found)
    elif kind == "phi3":  # transformers' defaults are other numbers
        found["sliding_window"], found["original_max_position_embeddings"] = None, _original(header)
    elif "blk.0.attn_q.bias" in header.tensors and kind != "qwen2":
        found["attention_bias"] = True
    return found


def unread(header: Header) -> list[str]:
    """Keys of the network that are not gone by: `["llama.attention.scale"]`."""
    prefix = f"{header.architecture}."
    own = [key for key in header.values if key.startswith(prefix)]
    return [key for key in own if key.removeprefix(prefix) not in _READ]


def check_kind(header: Header) -> None:
    """Errors: a part of a model, a picture encoder, an adapter, or an architecture without rules."""
    name, kind, what = str(header.file), header.architecture, header.values.get("general.type", "model")
    parts = header.values.get("split.count", 1)
    if parts > 1:
        raise UserError(
            f"`model.path`: {name!r} is part {header.values.get('split.no', 0) + 1} of {parts}. Join them: "
            "llama-gguf-split --merge <the first part> <one file>.gguf, from llama.cpp; then model.path=<that file>."
        )
    if kind == "clip" or what == "mmproj":
        raise UserError(
            f"`model.path`: {name!r} holds the part of a model that sees pictures. Give the file of its language "
            "model, which lies beside it."
        )
    if what == "adapter":
        raise UserError(f"`model.path`: {name!r} holds an adapter alone. Give the file of the model it was made on.")
    if kind not in FAMILIES:
        raise UserError(
            f"`model.path`: {name!r} is of the architecture {kind or 'nothing'!r}. GGUF files are read of "
            f"{listed(list(FAMILIES))}. Give the folder with config.json and safetensors that it was made of."
        )


def _check_family(header: Header) -> None:
    """Errors: what these networks of transformers cannot do."""
    head = _head(header)
    wrong = [
        what
        for what, there in (
            ("experts", _number(header, "expert_count", 0) > 0),
            ("no causal attention", header.own("attention.causal", True) is False),
            ("keys and values of different widths", _number(header, "attention.value_length", head) != head),
            ("positions in a part of each head", header.architecture != "phi3" and _turned(header) != head),
            ("no token_embd.weight", "token_embd.weight" not in header.tensors),
        )
        if there
    ]
    if wrong:
        raise _refused(header, f"{listed(wrong)} in a file of the architecture {header.architecture}")


def _refused(header: Header, what: str) -> UserError:
    return UserError(
        f"`model.path`: {str(header.file)!r} has {what}, which is not read here. Give the folder with config.json and "
        "safetensors that the file was made of."
    )


def _value(header: Header, key: str, default: Any = None) -> Any:
    found = header.own(key, default)
    if found is None:
        raise UserError(f"`model.path`: {header.file.name} lacks {header.architecture}.{key}. Convert the model again.")
    return found


def _number(header: Header, key: str, default: int | None = None) -> int:
    """A size, which may be stated once or for each layer. Errors: layers differ."""
    found = _value(header, key, default)
    each = set(found) if isinstance(found, list) else {found}
    if len(each) != 1:
        raise _refused(header, f"layers of different sizes ({key})")
    return int(each.pop())


def _head(header: Header) -> int:
    heads = _number(header, "attention.head_count")
    return _number(header, "attention.key_length", _number(header, "embedding_length") // heads)


def _turned(header: Header) -> int:
    """How many units of each head positions turn."""
    return _number(header, "rope.dimension_count", _head(header))


def _rope(header: Header) -> dict[str, Any]:
    """transformers' `rope_parameters`. llama.cpp's base, where none is stated, is 10,000."""
    base = float(header.own("rope.freq_base", 10000.0))
    scaled = {"rope_theta": base, **_scaling(header)}
    if header.architecture == "phi3":
        return {**scaled, "partial_rotary_factor": _turned(header) / _head(header)}
    if header.architecture != "gemma3":
        return scaled
    local = {"rope_type": "default", "rope_theta": float(header.own("rope.freq_base_swa", 10000.0))}
    return {"full_attention": scaled, "sliding_attention": local}


def _scaling(header: Header) -> dict[str, Any]:
    factor = float(header.own("rope.scaling.factor", 0) or header.own("rope.scale_linear", 0) or 1)
    kind = header.own("rope.scaling.type", "linear" if factor != 1 else "none")
    if FACTORS in header.tensors and any(each != 1 for each in header.floats(FACTORS)):
        if factor != 1:
            raise _refused(header, f"two kinds of rotary scaling ({FACTORS} and {kind})")
        return _llama3(header)
    if _LONG["long_factor"] in header.tensors:
        return _longrope(header)
    if kind == "none" or (kind == "linear" and factor == 1):
        return {"rope_type": "default"}
    if kind == "linear":
        return {"rope_type": "linear", "factor": factor}
    if kind != "yarn":
        raise _refused(header, f"rotary scaling of the kind {kind}")
    return {
        "rope_type": "yarn",
        "factor": factor,
        "original_max_position_embeddings": _original(header),
        "attention_factor": (0.1 * math.log(factor) + 1) * float(header.own("rope.scaling.attn_factor", 1.0)),
        "beta_fast": 32.0,
        "beta_slow": 1.0,
    }


def _original(header: Header) -> int:
    return _number(header, "rope.scaling.original_context_length", _number(header, "context_length"))


def _longrope(header: Header) -> dict[str, Any]:
    """Factors for inputs up to the first context, and for longer ones."""
    return {
        "rope_type": "longrope",
        **{name: list(header.floats(tensor)) for name, tensor in _LONG.items()},
        "original_max_position_embeddings": _original(header),
        "attention_factor": float(header.own("rope.scaling.attn_factor", 1.0)),
    }


def _llama3(header: Header) -> dict[str, Any]:
    """The parameters of Llama 3.1 and later. Their factors are in the tensor alone, so they are computed again."""
    found = header.floats(FACTORS)
    factor, base = max(found), float(header.own("rope.freq_base", 10000.0))
    low, high, original = _LLAMA3.values()
    for i, each in enumerate(found):
        turns = original * base ** (-i / len(found)) / (2 * math.pi)  # of this frequency in the first context
        smooth = min(max((turns - low) / (high - low), 0.0), 1.0)
        if not math.isclose(each, 1 / ((1 - smooth) / factor + smooth), rel_tol=1e-4):
            raise _refused(header, f"rotary factors ({FACTORS}) that are not those of Llama 3")
    return {"rope_type": "llama3", "factor": float(factor), **_LLAMA3}


def _gemma3(header: Header, found: dict[str, Any]) -> dict[str, Any]:
    """Every sixth layer looks at all; the model of 62 layers (27B) scales attention by its width over its heads."""
    layers, heads = found["num_hidden_layers"], found["num_attention_heads"]
    pattern = header.own("attention.sliding_window_pattern", 6)
    sliding = pattern if isinstance(pattern, list) else [(i + 1) % pattern != 0 for i in range(layers)]
    return {
        "sliding_window": _number(header, "attention.sliding_window"),
        "layer_types": ["sliding_attention" if each else "full_attention" for each in sliding],
        "query_pre_attn_scalar": found["hidden_size"] // heads if layers == 62 else found["head_dim"],
        "final_logit_softcapping": header.own("final_logit_softcapping"),
    }
