"""Keys of `model.architecture`."""

from dataclasses import dataclass

from omegaconf import MISSING


@dataclass
class Architecture:
    """Shape of a decoder-only model, for random weights and for planning."""

    model_type: str = MISSING
    vocab_size: int = MISSING
    hidden_size: int = MISSING
    intermediate_size: int = MISSING
    num_hidden_layers: int = MISSING
    num_attention_heads: int = MISSING
    num_key_value_heads: int = MISSING
    max_position_embeddings: int = MISSING
    tie_word_embeddings: bool = False
    rope_theta: float = 10000.0
    sliding_window: int | None = None
