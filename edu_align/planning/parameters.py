"""Sizes of a network from the architecture in its model's YAML: exact counts, no weights and no torch."""

import json
from dataclasses import dataclass, fields, replace
from pathlib import Path

from edu_align.config.schema import AdapterConfig, Architecture, ModelConfig

Linear = tuple[int, int]  # inputs, outputs


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
    """The linear layers of one decoder block of Llama or Mistral, by name."""
    hidden, inner = shape.hidden_size, shape.intermediate_size
    keys = hidden // shape.num_attention_heads * shape.num_key_value_heads
    return {
        "q_proj": (hidden, hidden),
        "k_proj": (hidden, keys),
        "v_proj": (hidden, keys),
        "o_proj": (hidden, hidden),
        "gate_proj": (hidden, inner),
        "up_proj": (hidden, inner),
        "down_proj": (inner, hidden),
    }


def linear_parameters(shape: Architecture) -> int:
    """Parameters of all decoder blocks' linear layers, which are what NF4 quantizes."""
    return shape.num_hidden_layers * sum(a * b for a, b in linear_layers(shape).values())


def parameters(shape: Architecture) -> int:
    """All parameters: embeddings, linear layers, two norms a block and the last one, and the head unless it is tied."""
    embeddings = shape.vocab_size * shape.hidden_size * (1 if shape.tie_word_embeddings else 2)
    norms = (2 * shape.num_hidden_layers + 1) * shape.hidden_size
    return embeddings + linear_parameters(shape) + norms


def targets(shape: Architecture, adapter: AdapterConfig) -> dict[str, Linear]:
    """The linear layers that carry an adapter."""
    wanted = set(adapter.target_modules)
    layers = linear_layers(shape)
    return layers if "all-linear" in wanted else {name: size for name, size in layers.items() if name in wanted}


def adapter_parameters(shape: Architecture, adapter: AdapterConfig) -> int:
    """LoRA's two matrices, rank x inputs and outputs x rank, on every targeted layer (Hu et al. 2021, section 4.1)."""
    return shape.num_hidden_layers * adapter.rank * sum(a + b for a, b in targets(shape, adapter).values())


def shape_of(model: ModelConfig) -> Architecture:
    """The architecture that is loaded: a local folder's config.json where `model.path` is one, else the YAML's."""
    file = Path(model.path or "", "config.json")
    if model.path is None or model.weights == "random" or not file.is_file():
        return model.architecture
    found = json.loads(file.read_text(encoding="utf-8"))
    names = {field.name for field in fields(Architecture)}
    return replace(model.architecture, **{name: found[name] for name in names & set(found)})
