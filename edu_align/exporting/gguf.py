"""Writing a GGUF file for llama.cpp and Ollama: metadata, tokenizer and tensors of a merged folder.

A fast tokenizer becomes tokens with types, merges or scores, and llama.cpp's name of the way it splits text. llama.cpp
runs Mistral as its llama architecture. That one rotates neighbouring pairs of a head, where transformers rotates its
first half against its second, so the rows of the query and key weights are put in that order.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edu_align.models.reply_end import turn_end
from edu_align.utils.errors import UserError

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
    rules = json.loads(tokenizer.backend_tokenizer.to_str())
    model = rules["model"]
    if model["type"] != "BPE":
        raise UserError(f"`export.gguf`: the tokenizer is a {model['type']}, and only BPE can be written. {CONVERTER}.")
    by_id = {index: token for token, index in model["vocab"].items()}
    by_id |= {added["id"]: added["content"] for added in rules["added_tokens"]}
    if max(by_id) >= size:
        raise UserError(
            f"`export.gguf`: the tokenizer has {max(by_id) + 1} tokens and the model only {size} rows for them. "
            f"{CONVERTER}."
        )
    special = {added["id"]: added["special"] for added in rules["added_tokens"]}
    pieces = bool(model.get("byte_fallback"))
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    tokens = [by_id.get(i, f"[PAD{i}]") for i in range(size)]
    types = [_type(i, by_id, special, model.get("unk_token"), pieces) for i in range(size)]
    return Vocabulary(
        kind="llama" if pieces else "gpt2",
        pre="default" if pieces else _pre(rules["pre_tokenizer"]),
        tokens=tokens,
        types=types,
        merges=[] if pieces else merges,
        scores=_scores(tokens, types, model["merges"]) if pieces else None,
        space_prefix=pieces and _prepends_space(rules),
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


def _pre(rules: dict[str, Any] | None) -> str:
    """llama.cpp's name of a byte-level tokenizer's way to split text."""
    steps = [] if rules is None else rules["pretokenizers"] if rules["type"] == "Sequence" else [rules]
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


def _prepends_space(rules: dict[str, Any]) -> bool:
    """Whether a text begins as if a space stood before it: by a Prepend normalizer or a Metaspace pre-tokenizer."""
    normalizer, pre = rules["normalizer"] or {}, rules["pre_tokenizer"] or {}
    steps = normalizer.get("normalizers", [normalizer])
    return any(step.get("type") == "Prepend" for step in steps) or pre.get("prepend_scheme") in ("always", "first")


# The head's matrix, and with tied embeddings theirs, gets more bits than the others: every logit comes out of it.
# llama.cpp takes q6_k, which gguf cannot write.
HEADS = dict.fromkeys(("q4_0", "q4_1", "q5_0", "q5_1"), "q8_0")
ARCHITECTURES = {"llama": "llama", "mistral": "llama", "qwen2": "qwen2", "qwen3": "qwen3"}
_TOP = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
_LAYER = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
}  # fmt: skip
_IN_LAYER = re.compile(r"model\.layers\.(\d+)\.(.+)")


def check_architecture(shape: dict[str, Any]) -> None:
    """Raise UserError for a model config, as a dict, that the writer here has no rules for."""
    kind = shape.get("model_type")
    rope = shape.get("rope_parameters") or shape.get("rope_scaling") or {}
    rope_type = rope.get("rope_type") or rope.get("type") or "default"
    if kind not in ARCHITECTURES:
        problem = f"model type {kind} cannot be written, only {', '.join(ARCHITECTURES)}"
    elif rope_type != "default":
        problem = f"rotary positions of type {rope_type} cannot be written"
    elif shape.get("mlp_bias") or (kind in ("llama", "qwen3") and shape.get("attention_bias")):
        problem = f"a {kind} model with biases in its linear layers cannot be written"
    else:
        return
    raise UserError(f"`export.gguf`: {problem}. {CONVERTER}.")


def tensor_name(name: str) -> str:
    """llama.cpp's name: `model.layers.3.mlp.up_proj.weight` is `blk.3.ffn_up.weight`. Errors: it has none."""
    stem, _, ending = name.rpartition(".")
    inside = _IN_LAYER.fullmatch(stem)
    found = _LAYER.get(inside[2]) if inside else _TOP.get(stem)
    if found is None or ending not in ("weight", "bias"):
        raise UserError(f"`export.gguf`: llama.cpp has no place for the tensor {name!r}. {CONVERTER}.")
    return f"blk.{inside[1]}.{found}.{ending}" if inside else f"{found}.{ending}"


def write_gguf(folder: Path, tokenizer: Any, file: Path, kind: str, label: str) -> None:
    """Write the model in `folder` to `file` in the number format `kind`, a tensor at a time.

    `kind` is a word of GGUF_TYPES that is none of K_TYPES. Errors: an architecture or a tokenizer without rules here.
    """
    from gguf.quants import quantize
    from transformers import AutoConfig

    from edu_align.exporting.gguf_writer import Writer

    config = AutoConfig.from_pretrained(str(folder), trust_remote_code=False)
    check_architecture(config.to_dict())
    words = vocabulary(tokenizer, config.vocab_size)
    writer = Writer(file, ARCHITECTURES[config.model_type])
    _add_shape(writer, config, kind, label)
    _add_tokenizer(writer, words, tokenizer)
    head = "token_embd.weight" if config.tie_word_embeddings else "output.weight"
    types = {}
    for name, shape in _shapes(folder, config):
        types[name] = _add_tensor_info(writer, name, shape, kind if name != head else HEADS.get(kind, kind))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for name, weights in _weights(folder, config):
        writer.write_tensor_data(quantize(weights, types[name]))
    writer.close()


def context_length(config: Any) -> int:
    """Longest input, in tokens. llama.cpp gives these architectures no sliding window, so it ends at the window."""
    window = getattr(config, "sliding_window", None) if getattr(config, "use_sliding_window", True) else None
    length = int(config.max_position_embeddings)
    return min(length, int(window)) if window else length


def _add_shape(writer: Any, config: Any, kind: str, label: str) -> None:
    from gguf import LlamaFileType

    written = "ALL_F32" if kind == "f32" else f"MOSTLY_{kind.upper()}"
    head = int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)
    writer.add_type("model")
    writer.add_name(label)
    writer.add_file_type(LlamaFileType[written])
    writer.add_quantization_version(2)
    writer.add_vocab_size(config.vocab_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(context_length(config))
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_rope_dimension_count(head)
    writer.add_rope_freq_base(float(config.rope_parameters["rope_theta"]))
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)


def _add_tokenizer(writer: Any, words: Vocabulary, tokenizer: Any) -> None:
    """The chat template writes the begin token itself where the model reads one, so none is ever added to a text."""
    writer.add_tokenizer_model(words.kind)
    writer.add_tokenizer_pre(words.pre)
    writer.add_token_list(words.tokens)
    writer.add_token_types(words.types)
    if words.scores is not None:
        writer.add_token_scores(words.scores)
        writer.add_add_space_prefix(words.space_prefix)
    else:
        writer.add_strings("tokenizer.ggml.merges", words.merges)
    for name in ("bos", "eos", "unk", "pad"):
        if (index := getattr(tokenizer, f"{name}_token_id")) is not None:
            getattr(writer, f"add_{name}_token_id")(index)
    if (end := turn_end(tokenizer)) is not None:  # llama.cpp stops at the end of a text and at that of a turn
        writer.add_eot_token_id(end)
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    writer.add_chat_template(tokenizer.chat_template)


def _add_tensor_info(writer: Any, name: str, shape: list[int], kind: str) -> Any:
    """Announce a tensor and return its type: f32 for vectors, and f16 where blocks of 32 do not fit its rows."""
    import numpy
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
    from gguf.quants import quant_shape_to_byte_shape

    wanted = GGMLQuantizationType[kind.upper() if len(shape) > 1 else "F32"]
    if shape[-1] % GGML_QUANT_SIZES[wanted][0]:
        wanted = GGMLQuantizationType.F16
    if wanted in (GGMLQuantizationType.F32, GGMLQuantizationType.F16):
        plain = numpy.dtype(numpy.float32 if wanted == GGMLQuantizationType.F32 else numpy.float16)
        writer.add_tensor_info(name, shape, plain, int(numpy.prod(shape)) * plain.itemsize)
    else:
        stored = quant_shape_to_byte_shape(shape, wanted)
        writer.add_tensor_info(name, stored, numpy.dtype(numpy.uint8), int(numpy.prod(stored)), raw_dtype=wanted)
    return wanted


def _shapes(folder: Path, config: Any) -> Iterator[tuple[str, list[int]]]:
    for file, name in _tensors(folder, config):
        yield tensor_name(name), list(file.get_slice(name).get_shape())


def _weights(folder: Path, config: Any) -> Iterator[tuple[str, Any]]:
    """`(llama.cpp's name, float32 array)` in the order of `_shapes`."""
    for file, name in _tensors(folder, config):
        weights = file.get_tensor(name).float()
        heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}.get(name.split(".")[-2])
        if heads is not None and ARCHITECTURES[config.model_type] == "llama":
            weights = interleaved(weights, heads)
        yield tensor_name(name), weights.contiguous().numpy()


def interleaved(weights: Any, heads: int) -> Any:
    """Rows (heads * d, n) of each head in the order 0, d/2, 1, d/2 + 1, ...: what rotates together lies together."""
    rows, columns = weights.shape
    return weights.view(heads, 2, rows // heads // 2, columns).transpose(1, 2).reshape(rows, columns)


def _tensors(folder: Path, config: Any) -> Iterator[tuple[Any, str]]:
    """Open files of the folder and the names in them; tied embeddings are named once."""
    from safetensors import safe_open

    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 - it is no dict
                if not (name == "lm_head.weight" and config.tie_word_embeddings):
                    yield file, name
