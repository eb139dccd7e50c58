"""Parameters of a network by its sizes (models/sizes.py): exact counts, no weights and no torch."""

import re
from dataclasses import dataclass

from edu_align.config.peft_options import ALL, is_principal
from edu_align.config.schema import AdapterConfig, Architecture
from edu_align.models.sizes import attention_width, head_width

Linear = tuple[int, int]  # inputs, outputs
HEAD_NORMS = ("qwen3", "gemma3_text", "olmo2")  # networks with norms of queries and keys


@dataclass(frozen=True)
class ParameterCounts:
    """`every`: all parameters; `linear`: those of the blocks' linear layers, which are what NF4 quantizes; `trained`.

    `layers`: the linear layers of one block by name; `adapted`: those that carry an adapter in any block. `frozen`:
    parameters that an adapter keeps beside those, as it began (PiSSA and OLoRA).
    """

    every: int
    linear: int
    trained: int
    layers: dict[str, Linear]
    adapted: dict[str, Linear]
    frozen: int = 0


def count_parameters(shape: Architecture, adapter: AdapterConfig) -> ParameterCounts:
    every = parameters(shape)
    if adapter.name != "lora":
        return ParameterCounts(every, linear_parameters(shape), every, linear_layers(shape), {})
    trained = adapter_parameters(shape, adapter)
    whole = whole_parameters(shape, adapter)
    frozen = trained if is_principal(adapter.args) else 0
    layers = linear_layers(shape)
    return ParameterCounts(every, linear_parameters(shape), trained + whole, layers, targets(shape, adapter), frozen)


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
    """The linear layers that carry an adapter in any block, by their last name."""
    carrying = {name.rpartition(".")[2] for name in carrying_layers(shape, adapter)}
    return {name: size for name, size in linear_layers(shape).items() if name in carrying}


def carrying_layers(shape: Architecture, adapter: AdapterConfig) -> dict[str, Linear]:
    """The layers of all blocks that carry an adapter by their whole name, chosen as PEFT chooses them."""
    wanted, args = adapter.target_modules, adapter.args
    layers = {
        f"model.layers.{block}.{'self_attn' if _attends(name) else 'mlp'}.{name}": (block, size)
        for block in range(shape.num_hidden_layers)
        for name, size in linear_layers(shape).items()
    }
    every = wanted == ALL or (isinstance(wanted, list) and ALL in wanted)
    only = args.get("layers_to_transform")
    chosen = None if only is None else [only] if isinstance(only, int) else only
    return {
        name: size
        for name, (block, size) in layers.items()
        if (every or _matches(name, wanted))
        and not (args.get("exclude_modules") and _matches(name, args["exclude_modules"]))
        and (chosen is None or block in chosen)
    }


def _attends(name: str) -> bool:
    return name.partition("_")[0] in ("q", "k", "v", "o", "qkv")


def _matches(name: str, wanted: str | list[str]) -> bool:
    """Whether a whole name matches a regular expression, or is or ends with one of some names."""
    if isinstance(wanted, str):
        return re.fullmatch(wanted, name) is not None
    return any(name == one or name.endswith(f".{one}") for one in wanted)


def adapter_parameters(shape: Architecture, adapter: AdapterConfig) -> int:
    """LoRA's two matrices, rank x inputs and outputs x rank, on every targeted layer (Hu et al. 2021, section 4.1);
    with DoRA a length for each output, with `lora_bias` a bias.
    """
    ranks = adapter.args.get("rank_pattern") or {}
    beside = bool(adapter.args.get("use_dora")) + bool(adapter.args.get("lora_bias"))
    total = 0
    for name, (inputs, outputs) in carrying_layers(shape, adapter).items():
        rank = next((ranks[key] for key in ranks if re.match(rf"(.*\.)?({key})$", name)), adapter.rank)
        total += rank * (inputs + outputs) + beside * outputs
    return total


def whole_parameters(shape: Architecture, adapter: AdapterConfig) -> int:
    """Parameters of the modules that are trained in full (`modules_to_save`)."""
    ends, hidden = adapter.args.get("modules_to_save") or [], shape.hidden_size
    norms = ["input_layernorm", "post_attention_layernorm"]
    norms += ["pre_feedforward_layernorm", "post_feedforward_layernorm"] * (shape.model_type == "gemma3_text")
    modules = {
        "model.embed_tokens": shape.vocab_size * hidden,
        "lm_head": shape.vocab_size * hidden,
        "model.norm": hidden,
    }
    inside = dict.fromkeys(norms, hidden)
    if shape.model_type in ("qwen3", "gemma3_text"):
        inside |= {"self_attn.q_norm": head_width(shape), "self_attn.k_norm": head_width(shape)}
    modules |= {
        f"model.layers.{block}.{name}": size
        for block in range(shape.num_hidden_layers)
        for name, size in inside.items()
    }
    return sum(size for name, size in modules.items() if any(name.endswith(end) for end in ends))
