"""The network that the keys of `model.architecture` describe, as transformers' config."""

from typing import Any

from edu_align.config.schema import ModelConfig


def architecture(model: ModelConfig) -> Any:
    """transformers' config of a model whose weights are drawn."""
    from transformers import AutoConfig

    shape = model.architecture
    extra = {"sliding_window": shape.sliding_window} if shape.model_type == "mistral" else {}
    return AutoConfig.for_model(
        shape.model_type,
        vocab_size=shape.vocab_size,
        hidden_size=shape.hidden_size,
        intermediate_size=shape.intermediate_size,
        num_hidden_layers=shape.num_hidden_layers,
        num_attention_heads=shape.num_attention_heads,
        num_key_value_heads=shape.num_key_value_heads,
        max_position_embeddings=shape.max_position_embeddings,
        tie_word_embeddings=shape.tie_word_embeddings,
        rope_parameters={"rope_type": "default", "rope_theta": shape.rope_theta},
        **extra,
    )
