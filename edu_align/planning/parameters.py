"""Parameters of a network by its sizes (models/sizes.py): exact counts, no weights and no torch."""

from dataclasses import dataclass

from edu_align.config.schema import AdapterConfig, Architecture
from edu_align.models.sizes import attention_width, head_width

Linear = tuple[int, int]  # inputs, outputs
HEAD_NORMS = ("qwen3", "gemma3_text", "olmo2")  # networks with norms of queries and keys


@dataclass(frozen=True)
class ParameterCounts:
    """`every`: all parameters; `linear`: those of the blocks' linear layers, which are what NF4 quantizes; `trained`.

    `layers`: the linear layers of one block by name; `adapted`: those that carry an adapter.
    """

    every: int
    linear: int
    trained: int
    layers: dict[str, Linear]
    adapted: dict[str, Linear]


def count_parameters(shape: Architecture, adapter: AdapterConfig) -> ParameterCounts:
    every, lora = parameters(shape), adapter.name == "lora"
    adapted = targets(shape, adapter) if lora else {}
    trained = adapter_parameters(shape, adapter) if lora else every
    return ParameterCounts(every, linear_parameters(shape), trained, linear_layers(shape), adapted)


def linear_layers(shape: Architecture) -> dict[str, Linear]:
    """The linear layers of one decoder block of Llama and its kin, by name."""
    hidden, inner, wide = shape.hidden_size, shape.intermediate_size, attention_width(shape)
    keys = head_width(shape) * shape.num_key_value_heads
    if shape.model_type == "phi3":
        return {
            "qkv_proj": (hidden, wide + 2 * keys),
            "o_proj": (wide, hidden),
            "gate_up_proj": (hidden, 2 * inner),
            "down_proj": (inner, hidden),
        }
    return {
        "q_proj": (hidden, wide),
        "k_proj": (hidden, keys),
        "v_proj": (hidden, keys),
        "o_proj": (wide, hidden),
        "gate_proj": (hidden, inner),
        "up_proj": (hidden, inner),
        "down_proj": (inner, hidden),
    }


def linear_parameters(shape: Architecture) -> int:
    """Parameters of all decoder blocks' linear layers, which are what NF4 quantizes."""
    return shape.num_hidden_layers * sum(a * b for a, b in linear_layers(shape).values())


def parameters(shape: Architecture) -> int:
    """All parameters: embeddings, linear layers, two norms a block and the last one, and the head unless it is tied.

    Qwen 2 has biases at its queries, keys and values; Qwen 3 and Gemma 3 norms of each head's queries and keys, OLMo 2
    of all heads' together, and Gemma 3 four norms a block.
    """
    embeddings = shape.vocab_size * shape.hidden_size * (1 if shape.tie_word_embeddings else 2)
    norms = (block_norms(shape) * shape.num_hidden_layers + 1) * shape.hidden_size
    biases = head_width(shape) * (shape.num_attention_heads + 2 * shape.num_key_value_heads)
    heads = 2 * head_width(shape)
    together = head_width(shape) * (shape.num_attention_heads + shape.num_key_value_heads)
    inside = {"qwen2": biases, "qwen3": heads, "gemma3_text": heads, "olmo2": together}.get(shape.model_type, 0)
    return embeddings + linear_parameters(shape) + norms + shape.num_hidden_layers * inside


def block_norms(shape: Architecture) -> int:
    """Norms of hidden vectors in one decoder block."""
    return 4 if shape.model_type == "gemma3_text" else 2


def targets(shape: Architecture, adapter: AdapterConfig) -> dict[str, Linear]:
    """The linear layers that carry an adapter."""
    wanted = set(adapter.target_modules)
    layers = linear_layers(shape)
    return layers if "all-linear" in wanted else {name: size for name, size in layers.items() if name in wanted}


def adapter_parameters(shape: Architecture, adapter: AdapterConfig) -> int:
    """LoRA's two matrices, rank x inputs and outputs x rank, on every targeted layer (Hu et al. 2021, section 4.1)."""
    return shape.num_hidden_layers * adapter.rank * sum(a + b for a, b in targets(shape, adapter).values())
