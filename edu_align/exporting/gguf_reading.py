"""Reading a GGUF back with transformers, from nothing but the file."""

from pathlib import Path
from typing import Any


def load_gguf(file: Path, dtype: str) -> tuple[Any, Any, str]:
    """Model in `dtype`, tokenizer, and the name of the way its tokenizer splits text."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GgufConfig

    source: dict[str, Any] = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
    config = AutoConfig.from_pretrained(**source, trust_remote_code=False)
    told = metadata(file, "general.architecture", "tokenizer.ggml.pre")
    head = metadata(file, f"{told['general.architecture']}.attention.key_length")
    for width in head.values():  # for Qwen transformers takes 128 without looking
        config.head_dim = width
    model: Any = AutoModelForCausalLM.from_pretrained(
        **source,
        config=config,
        quantization_config=GgufConfig(dequantize=True),
        dtype=getattr(torch, dtype),
        trust_remote_code=False,
    )
    tokenizer = AutoTokenizer.from_pretrained(**source, trust_remote_code=False)
    return model.eval(), tokenizer, str(told.get("tokenizer.ggml.pre"))


def metadata(file: Path, *keys: str) -> dict[str, Any]:
    """Those of the keys that the file has, as Python values."""
    from gguf import GGUFReader

    fields = GGUFReader(file).fields
    return {key: fields[key].contents() for key in keys if key in fields}
