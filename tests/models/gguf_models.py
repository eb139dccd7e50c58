"""Tiny random models as GGUF files, written as llama.cpp's converter writes them."""

from pathlib import Path
from typing import Any

from edu_align.exporting.gguf import _add_tokenizer, interleaved, vocabulary
from edu_align.exporting.gguf_writer import Writer
from edu_align.models.tokenizer import byte_tokenizer
from tests.models.conftest import CHATML

WORDS = 264
SHAPE: dict[str, Any] = {
    "vocab_size": WORDS, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 512, "tie_word_embeddings": False,
    "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 3,
}  # fmt: skip
PLAIN = {"rope_type": "default", "rope_theta": 10000.0}
LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}  # fmt: skip
YARN = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 128}
SCALED: dict[str, Any] = {"hidden_size": 256, "num_attention_heads": 2, "num_key_value_heads": 1}  # heads of 128
MODELS: dict[str, dict[str, Any]] = {
    "llama": {"model_type": "llama", "rope_parameters": PLAIN, "head_dim": 24, "rms_norm_eps": 3e-3},
    "llama tied": {
        "model_type": "llama", "rope_parameters": {**PLAIN, "rope_theta": 700.0}, "tie_word_embeddings": True,
    },
    "llama 3": {"model_type": "llama", "rope_parameters": LLAMA3, **SCALED},
    "linear": {"model_type": "llama", "rope_parameters": {**PLAIN, "rope_type": "linear", "factor": 4.0}},
    "yarn": {"model_type": "llama", "rope_parameters": YARN, **SCALED},
    "mistral": {"model_type": "mistral", "rope_parameters": PLAIN, "sliding_window": None},
    "qwen2": {"model_type": "qwen2", "rope_parameters": PLAIN},
    "qwen2 yarn": {"model_type": "qwen2", "rope_parameters": YARN},
    "qwen3": {"model_type": "qwen3", "rope_parameters": PLAIN, "head_dim": 24},
    "phi3": {"model_type": "phi3", "rope_parameters": {**PLAIN, "partial_rotary_factor": 1.0}},
    "phi3 long": {
        "model_type": "phi3", "original_max_position_embeddings": 512, "max_position_embeddings": 2048,
        "rope_parameters": {
            **PLAIN, "rope_type": "longrope", "partial_rotary_factor": 0.75, "original_max_position_embeddings": 512,
            "short_factor": [1.0, 1.5, 2.0, 3.0, 4.0, 5.0], "long_factor": [2.0, 3.0, 5.0, 7.0, 9.0, 11.0],
            "attention_factor": 1.25,
        },
    },
    "gemma3": {
        "model_type": "gemma3_text", "head_dim": 24, "query_pre_attn_scalar": 24, "num_hidden_layers": 7,
        "sliding_window": 16, "tie_word_embeddings": True,
        "rope_parameters": {
            "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
            "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
        },
    },
}  # fmt: skip
ARCHITECTURES = {
    "llama": "llama",
    "mistral": "llama",
    "qwen2": "qwen2",
    "qwen3": "qwen3",
    "gemma3_text": "gemma3",
    "phi3": "phi3",
}


def random_network(name: str, **changes: Any) -> Any:
    """The model `MODELS[name]`, with larger weights than at the start of training, biases and norms too."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    config = AutoConfig.for_model(**{**SHAPE, **MODELS[name], **changes})
    model = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa", dtype=torch.float32).eval()
    for parameter in model.parameters():
        parameter.data += torch.randn_like(parameter) * (0.3 if parameter.dim() == 1 else 0.1)
    return model


def tokenizer() -> Any:
    found = byte_tokenizer()
    found.chat_template = CHATML
    return found


def write(file: Path, model: Any, drop: tuple[str, ...] = (), add: dict[str, Any] | None = None) -> Path:
    """`drop`: keys to leave out; `add`: keys more, or others: `{"general.type": "mmproj"}`. Tensors are float32."""
    from gguf import MODEL_ARCH_NAMES, get_tensor_name_map

    config, kind = model.config, ARCHITECTURES[model.config.model_type]
    writer = Writer(file, kind)
    _add_shape(writer, config)
    _add_tokenizer(writer, vocabulary(tokenizer(), config.vocab_size), tokenizer())
    for key, value in (add or {}).items():
        _put(writer, key, value)
    for key in drop:
        del writer.kv_data[0][key]
    (arch,) = [arch for arch, name in MODEL_ARCH_NAMES.items() if name == kind]
    names = get_tensor_name_map(arch, config.num_hidden_layers)
    for name, factors in _factors(config).items():
        writer.add_tensor(name, factors)
    for name, weights in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}.get(name.split(".")[-2])
        if kind == "llama" and heads and weights.dim() == 2:
            weights = interleaved(weights, heads)
        if kind == "gemma3" and name.endswith("norm.weight"):
            weights = weights + 1
        writer.add_tensor(str(names.get_name(name, (".weight", ".bias"))), weights.contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def _put(writer: Any, key: str, value: Any) -> None:
    writer.kv_data[0].pop(key, None)
    kinds = {bool: "add_bool", int: "add_uint32", float: "add_float32", str: "add_string", list: "add_array"}
    getattr(writer, kinds[type(value)])(key, value)


def _add_shape(writer: Any, config: Any) -> None:
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    rope = config.rope_parameters
    if "full_attention" in rope:
        rope = rope["full_attention"]
        writer.add_sliding_window(config.sliding_window)
    writer.add_type("model")
    writer.add_vocab_size(config.vocab_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_rope_dimension_count(int(head * rope.get("partial_rotary_factor", 1)))
    writer.add_rope_freq_base(float(rope["rope_theta"]))
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    if rope["rope_type"] in ("linear", "yarn"):
        _put(writer, f"{writer.arch}.rope.scaling.type", rope["rope_type"])
        _put(writer, f"{writer.arch}.rope.scaling.factor", rope["factor"])
    if rope["rope_type"] == "longrope":
        _put(writer, f"{writer.arch}.rope.scaling.attn_factor", rope["attention_factor"])
    if rope["rope_type"] in ("yarn", "longrope"):
        _put(writer, f"{writer.arch}.rope.scaling.original_context_length", rope["original_max_position_embeddings"])


def _factors(config: Any) -> dict[str, Any]:
    """The tensors of what each frequency is divided by: Llama 3's and Phi-3's."""
    import numpy
    import torch
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    rope = config.rope_parameters
    if rope.get("rope_type") == "longrope":
        return {
            f"rope_factors_{kind}.weight": numpy.array(rope[f"{kind}_factor"], numpy.float32)
            for kind in ("long", "short")
        }
    if rope.get("rope_type") != "llama3":
        return {}
    scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config, torch.device("cpu"))
    steps = torch.arange(len(scaled)) / len(scaled)
    return {"rope_freqs.weight": (rope["rope_theta"] ** -steps / scaled).float().numpy()}
