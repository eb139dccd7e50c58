"""Sizes of the presets' models as their config.json states them, for planning where the hub is out of reach.

Whatever a folder's or the hub cache's own config.json says counts before this. What it leaves out stands in
`models.sizes.KNOWN`.
"""

from typing import Any

_ORDER = (
    "model_type", "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "head_dim", "max_position_embeddings", "tie_word_embeddings",
)  # fmt: skip
_SIZES: dict[str, tuple[Any, ...]] = {
    "Qwen/Qwen3-0.6B": ("qwen3", 151936, 1024, 3072, 28, 16, 8, 128, 40960, True),
    "Qwen/Qwen3-1.7B": ("qwen3", 151936, 2048, 6144, 28, 16, 8, 128, 40960, True),
    "Qwen/Qwen3-4B": ("qwen3", 151936, 2560, 9728, 36, 32, 8, 128, 40960, True),
    "Qwen/Qwen2.5-0.5B-Instruct": ("qwen2", 151936, 896, 4864, 24, 14, 2, None, 32768, True),
    "Qwen/Qwen2.5-1.5B-Instruct": ("qwen2", 151936, 1536, 8960, 28, 12, 2, None, 32768, True),
    "Qwen/Qwen2.5-7B-Instruct": ("qwen2", 152064, 3584, 18944, 28, 28, 4, None, 32768, False),
    "meta-llama/Llama-3.2-1B-Instruct": ("llama", 128256, 2048, 8192, 16, 32, 8, 64, 131072, True),
    "meta-llama/Llama-3.2-3B-Instruct": ("llama", 128256, 3072, 8192, 28, 24, 8, 128, 131072, True),
    "meta-llama/Llama-3.1-8B-Instruct": ("llama", 128256, 4096, 14336, 32, 32, 8, None, 131072, False),
    "google/gemma-3-270m-it": ("gemma3_text", 262144, 640, 2048, 18, 4, 1, 256, 32768, True),
    "google/gemma-3-1b-it": ("gemma3_text", 262144, 1152, 6912, 26, 4, 1, 256, 32768, True),
    "HuggingFaceTB/SmolLM2-360M-Instruct": ("llama", 49152, 960, 2560, 32, 15, 5, None, 8192, True),
    "HuggingFaceTB/SmolLM2-1.7B-Instruct": ("llama", 49152, 2048, 8192, 24, 32, 32, None, 8192, True),
    "HuggingFaceTB/SmolLM3-3B": ("smollm3", 128256, 2048, 11008, 36, 16, 4, None, 65536, True),
    "microsoft/Phi-4-mini-instruct": ("phi3", 200064, 3072, 8192, 32, 24, 8, None, 131072, True),
}


def known_config(path: str) -> dict[str, Any] | None:
    """What the config.json at this hub id says of its sizes; None where it is not listed here."""
    sizes = _SIZES.get(path)
    return None if sizes is None else dict(zip(_ORDER, sizes, strict=True))
