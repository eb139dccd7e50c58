"""Tiny random networks of the families that are trained here, as transformers builds them."""

from pathlib import Path
from typing import Any

WINDOW = 12  # tokens that a layer with a sliding window reads
SHAPE = {
    "vocab_size": 300, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 4, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 1024, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
GEMMA3 = {"head_dim": 12, "query_pre_attn_scalar": 20, "sliding_window": WINDOW, "sliding_window_pattern": 2}
GRANITE = {
    "attention_multiplier": 0.2, "embedding_multiplier": 6.0, "residual_multiplier": 0.3, "logits_scaling": 4.0,
}  # fmt: skip
SHORT, LONG = [1.0, 1.1, 1.3, 2.0], [1.0, 1.5, 2.5, 4.0]
SCALED = {
    "llama3": {"factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 16},
    "linear": {"factor": 4.0},
    "yarn": {"factor": 4.0, "original_max_position_embeddings": 16},
    "dynamic": {"factor": 4.0},
}
# What sets a network apart -> its model_type and the keys of its config.
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {}),
    "llama with biases": ("llama", {"attention_bias": True, "mlp_bias": True}),
    **{
        f"llama {kind}": ("llama", {"rope_parameters": {"rope_type": kind, "rope_theta": 1e4, **keys}})
        for kind, keys in SCALED.items()
    },
    "mistral": ("mistral", {"sliding_window": WINDOW}),
    "mistral without a window": ("mistral", {"sliding_window": None}),
    "qwen2": ("qwen2", {}),
    "qwen2 with sliding layers": (
        "qwen2", {"use_sliding_window": True, "sliding_window": WINDOW, "max_window_layers": 2},
    ),
    "qwen2 with a window for no layer": (
        "qwen2", {"use_sliding_window": True, "sliding_window": WINDOW, "max_window_layers": 4},
    ),
    "qwen3": ("qwen3", {"head_dim": 12}),
    "gemma": ("gemma", {"head_dim": 12}),
    "gemma3_text": ("gemma3_text", GEMMA3),
    "gemma3_text with a cap": ("gemma3_text", {**GEMMA3, "final_logit_softcapping": 3.0}),
    "granite": ("granite", GRANITE),
    "olmo2": ("olmo2", {}),
    "phi3": ("phi3", {"sliding_window": WINDOW}),
    "phi3 longrope": (
        "phi3",
        {"rope_parameters": {"rope_type": "longrope", "rope_theta": 1e4, "short_factor": SHORT, "long_factor": LONG},
         "original_max_position_embeddings": 64},
    ),
    "phi3 rotating in part": (
        "phi3", {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.5}},
    ),
    "smollm3": ("smollm3", {}),
    "smollm3 with sliding layers": ("smollm3", {"use_sliding_window": True, "sliding_window": WINDOW}),
}  # fmt: skip


def network(name: str, seed: int = 0, **more: Any) -> Any:
    """One of NETWORKS, or a plain one of that model_type, in float32, drawn with `seed`, in eval mode; `more`: keys of
    its config.

    Norms and biases, which transformers sets to one and zero, are drawn as well, and weights are large enough that
    attention prefers something.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, set_seed

    torch.set_num_threads(1)
    kind, keys = NETWORKS.get(name, (name, {}))
    config = AutoConfig.for_model(kind, **{**SHAPE, **keys, **more})
    set_seed(seed)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.15)
    model.config.use_cache = False
    return model.eval()


def save_network(name: str, folder: Path, tokenizer: Any, **more: Any) -> Path:
    """The network in `folder` as a user has it: config.json, weights and tokenizer."""
    network(name, vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, **more).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def save_whole_gemma3(folder: Path, tokenizer: Any) -> Any:
    """A tiny random Gemma 3 that also sees pictures, in `folder` as a user has it; the model, in eval mode."""
    from transformers import AutoConfig, AutoModelForCausalLM, set_seed

    part = network("gemma3_text", vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, sliding_window=512)
    eye = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = AutoConfig.for_model(
        "gemma3", text_config=part.config.to_dict(), vision_config={**eye, "image_size": 28, "patch_size": 14},
        mm_tokens_per_image=4,
    )  # fmt: skip
    set_seed(0)
    whole = AutoModelForCausalLM.from_config(config, dtype=part.dtype)
    whole.model.language_model.load_state_dict(part.model.state_dict())
    whole.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return whole.eval()
