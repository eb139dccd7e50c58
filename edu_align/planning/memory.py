"""Peak memory of a training run by part, from the architecture and the tokens of the largest forward pass.

The activations are the tensors that autograd keeps for the backward pass of a Llama or Mistral block under LoRA with
autocast, counted one by one; a test compares the count with what autograd saved. What is left of a formula that could
not be checked (GPUs: none was at hand) is said where the plan is printed.
"""

from edu_align.config.losses import has_reference
from edu_align.config.peft_options import is_principal
from edu_align.config.schema import BEST, REFERENCED, Config, GRPOTrainerConfig
from edu_align.models.sizes import attention_width, head_width
from edu_align.packing.budget import BLOCK as ATTENTION_BLOCK
from edu_align.packing.budget import KEPT_LOGITS, KEPT_WEIGHTS, reply_memory
from edu_align.packing.families import FAMILIES
from edu_align.planning.machine import Machine
from edu_align.planning.packed import unpacked_reason
from edu_align.planning.parameters import (
    HEAD_NORMS,
    Linear,
    ParameterCounts,
    block_norms,
    count_parameters,
    linear_layers,
)
from edu_align.planning.workload import Work
from edu_align.utils.distributed import count

WIDTH = {"float32": 4, "bfloat16": 2, "float16": 2}  # bytes
TRAINED_WIDTH = 4  # bytes of a trained parameter, which is float32 whatever the rest is
BLOCK, NESTED_BLOCK = 64, 256  # parameters that share an NF4 constant, constants that share one (arXiv:2305.14314)
# Resident memory with torch, transformers, TRL and the data loaded and no model: read off a run of the tiny model on an
# AMD EPYC with 2 cores. On CUDA: the context and cuBLAS workspaces, assumed.
FRAMEWORK = {"cpu": 0.60 * 2**30, "cuda": 0.75 * 2**30}
# glibc keeps the gaps that freed tensors leave between kept ones. Read off smollm2 on an Intel Xeon with 2 cores in
# bfloat16, in hidden vectors a token and layer, with block attention and without; CUDA's allocator leaves next to none.
GAPS = {"blocks": 8.0, "cpu": 15.7, "cuda": 0.0}
LOGITS_TILE = 1024 * 8192  # largest tile of float32 logits that TRL's chunked head holds, and its gradient

Parts = dict[str, float]


def memory_parts(config: Config, machine: Machine, work: Work) -> Parts:
    """Bytes by part in one process: weights, adapter, gradients, optimizer, activations, logits and so on."""
    counts = count_parameters(config.model.architecture, config.adapter)
    weights, state = _weights(config, machine, counts)
    trained = counts.trained
    lora = config.adapter.name == "lora"
    parts = shares(config)
    held = trained if lora else trained / parts  # adapters stay whole in every process
    found = {
        "weights": weights / parts,
        **_gathered(config, machine, counts),
        **_copies(config, machine, counts),
        "quantization state": state,
        "adapter": (trained + counts.frozen) * TRAINED_WIDTH if lora else 0.0,
        "gradients": held * TRAINED_WIDTH,
        "optimizer": held * optimizer_bytes(config.hardware.optimizer),
        **({"averaged weights": held * TRAINED_WIDTH} if config.trainer.average_last else {}),
        **({"best weights": held * TRAINED_WIDTH} if config.trainer.keep == BEST else {}),
        "activations": max(
            activations(config, machine, work, counts.adapted), _without_gradient(config, machine, work, counts)
        ),
        "logits": _logits(config, machine, work),
        "framework": FRAMEWORK[machine.device],
    }
    reading = weights + state + FRAMEWORK[machine.device] - sum(found.values())
    whole = parts > 1 and config.hardware.quantization == "nf4" and reading > 0  # every process reads all 4-bit weights
    return {**found, **({"weights while they are read": reading} if whole else {})}


def _logits(config: Config, machine: Machine, work: Work) -> float:
    """A tile of them in float32 and its gradient; and what a CPU keeps of a frozen head's for the backward pass."""
    if not config.trainer.writes:  # a scalar head has none
        return 0.0
    many = work.scored * config.model.architecture.vocab_size
    trained = "lm_head" in (config.adapter.args.get("modules_to_save") or [])
    keeps = machine.device == "cpu" and config.adapter.name == "lora" and not trained
    kept = min(KEPT_LOGITS, many * WIDTH[machine.dtype]) if keeps else 0
    return 2.0 * 4 * min(LOGITS_TILE, many) + kept


def shares(config: Config) -> int:
    """How many processes share one copy of the weights: all of them with `hardware.sharding=fsdp`, else none."""
    return count() if config.hardware.sharding == "fsdp" else 1


def _gathered(config: Config, machine: Machine, counts: ParameterCounts) -> Parts:
    """Bytes of sharded weights that are whole for a moment: the layer that is computed, the next one and the head;
    with full fine-tuning the gradients of one layer and of the head as well.
    """
    if shares(config) == 1:
        return {}
    shape = config.model.architecture
    layer, head = counts.linear / shape.num_hidden_layers, shape.vocab_size * shape.hidden_size
    gradients = (layer + head) * TRAINED_WIDTH if config.adapter.name == "full" else 0.0
    width = WIDTH[machine.dtype]
    of_layer, of_head = (0.5, 4.0) if config.hardware.quantization == "nf4" else (width, width)
    return {"gathered layers": 2 * layer * of_layer + head * of_head + gradients}


def _copies(config: Config, machine: Machine, counts: ParameterCounts) -> Parts:
    """Bytes of 16-bit copies of weights. Under full fine-tuning autocast makes one of every linear layer and keeps it
    until the backward pass (not of sharded weights, which are gathered in 16 bits), and on CPU the 16 bits that the
    weights had when they were read, before they became float32, stay with glibc as well. Under LoRA on a CPU every
    adapted layer has its weight beside the adapter's second matrix (`fused/lora.py`), all at once or one at a time.
    """
    if machine.dtype == "float32" or shares(config) > 1:
        return {}
    if config.adapter.name == "lora":
        if machine.device != "cpu" or config.hardware.quantization != "none":
            return {}
        if config.adapter.args.get("use_dora"):  # such layers run PEFT's own code
            return {}
        rank = config.adapter.rank * (2 if counts.frozen else 1)
        wide = [outputs * (inputs + rank) for inputs, outputs in counts.adapted.values()]
        every = config.model.architecture.num_hidden_layers * sum(wide)
        held = max(wide, default=0) if config.hardware.adapted_copies == "off" else every
        return {"16-bit copies": float(held * WIDTH[machine.dtype])}
    copied = counts.linear + (counts.every if machine.device == "cpu" else 0)
    return {"16-bit copies": float(copied * WIDTH[machine.dtype])}


def _weights(config: Config, machine: Machine, counts: ParameterCounts) -> tuple[float, float]:
    width, every, linear = WIDTH[machine.dtype], counts.every, counts.linear
    if config.adapter.name == "full":
        trainer = config.trainer
        live = isinstance(trainer, REFERENCED) and has_reference(trainer) and not trainer.precompute_reference
        live |= isinstance(trainer, GRPOTrainerConfig) and trainer.beta > 0
        return every * (TRAINED_WIDTH + (width if live else 0)), 0.0
    if config.hardware.quantization == "none":
        return float(every * width), 0.0
    # PEFT keeps what is not quantized (embeddings, head, norms) in float32.
    nested = config.hardware.double_quantization
    constant = 1 / BLOCK + 4 / (BLOCK * NESTED_BLOCK) if nested else 4 / BLOCK
    return linear * 0.5 + (every - linear) * 4.0, linear * constant


def optimizer_bytes(name: str) -> float:
    """Bytes of state for one trained parameter: Adam's two moments, of one byte each in the 8-bit kinds."""
    if "8bit" in name:
        return 2.0
    if "adafactor" in name:
        return 0.1
    return TRAINED_WIDTH * (1.0 if "sgd" in name else 2.0)


def activations(config: Config, machine: Machine, work: Work, adapted: dict[str, Linear]) -> float:
    """Bytes that wait for the backward pass; with gradient checkpointing every block's input and one block whole, with
    selective checkpointing the outputs of every block's products and kernels as well.
    """
    shape = config.model.architecture
    width = WIDTH[machine.dtype]
    layers, hidden = shape.num_hidden_layers, shape.hidden_size
    blocks = _attends_in_blocks(config, machine)
    norm = hidden * _norm_width(config, machine)
    each = _block_bytes(config, adapted, width, norm, blocks) + _cells_bytes(config, work, width, blocks)
    block = work.tokens * each
    gaps = (
        GAPS["blocks" if blocks and machine.device == "cpu" else machine.device] * hidden * width * layers * work.tokens
    )
    last = _last_bytes(config, width, norm) * work.tokens
    mode = config.hardware.gradient_checkpointing
    if mode == "false":
        return layers * block + last + gaps
    inputs = 0 if mode == "offload" else layers * hidden * width * work.tokens
    products = (layers - 1) * _product_bytes(config, adapted, width, blocks) * work.tokens
    return inputs + (products if mode == "selective" else 0) + block + last + gaps


def _attends_in_blocks(config: Config, machine: Machine) -> bool:
    """Whether packed rows go through `packing.attention`, which a CPU takes by itself."""
    hardware = config.hardware
    chosen = hardware.packing_backend == "blocks" or (hardware.packing_backend == "auto" and machine.device == "cpu")
    return chosen and unpacked_reason(config) is None


def _block_bytes(config: Config, adapted: dict[str, Linear], width: int, norm: int, blocks: bool) -> float:
    """Bytes a token that one layer keeps: norms (`norm` each), inputs of trained layers, attention, and the gated unit.

    SDPA is given keys and values repeated for every query head; block attention (`blocks`) keeps them as they are.
    """
    shape, adapter = config.model.architecture, config.adapter
    hidden, inner = shape.hidden_size, shape.intermediate_size
    norms = block_norms(shape) * norm + _unrotated_bytes(config, width, norm)
    gated = 3 * inner * width
    heads = 0 if blocks else 4 * shape.num_attention_heads  # the log of the softmax's sum
    wide = attention_width(shape)
    shared = wide * shape.num_key_value_heads / shape.num_attention_heads if blocks else wide
    unrepeated = 2 * (wide - shared) * width
    if adapter.name == "full" and width == 2:  # around the linear layers it is float32, and each casts its input
        inputs = (5 * hidden + wide + inner) * width
        return 2 * norms + gated + heads + inputs + 3 * wide * width - unrepeated
    if adapter.name == "full":
        inputs = (2 * hidden + wide + inner) * width
        return norms + 2 * hidden * width + gated + heads + inputs + 4 * wide * width - unrepeated
    # Layers that read the same tensor keep it once, and the output of attention is the input of o_proj.
    groups = {_reads(name): size[0] for name, size in adapted.items()}
    inputs = sum(groups.values()) * width
    attention = (3 if "o" in groups else 4) * wide * width - unrepeated
    # DoRA scales the base's output and the update's, in float32, and keeps both.
    scaled = 2 * 4 * sum(size[1] for size in adapted.values()) if adapter.args.get("use_dora") else 0
    inner = len(adapted) * adapter.rank * width * (2 if is_principal(adapter.args) else 1)
    dropped = sum(size[0] for size in adapted.values()) * (width + 1) if adapter.dropout else 0
    return norms + gated + heads + inputs + attention + dropped + scaled + inner


def _product_bytes(config: Config, adapted: dict[str, Linear], width: int, blocks: bool) -> float:
    """Bytes a token of what selective checkpointing keeps of a layer beside its input (`training/checkpointing.py`)."""
    shape = config.model.architecture
    outputs = sum(size[1] for size in linear_layers(shape).values())
    rank = config.adapter.rank * (2 if is_principal(config.adapter.args) else 1)
    kernel = 0 if blocks else attention_width(shape) * width + 4 * shape.num_attention_heads
    return (outputs + rank * len(adapted)) * width + kernel


def _unrotated_bytes(config: Config, width: int, norm: int) -> float:
    """Bytes a token of queries and keys before they are rotated: norms of them keep their input, and in Phi-3 they are
    a part of the tensor of the values, which are kept.
    """
    shape = config.model.architecture
    values = attention_width(shape) + head_width(shape) * shape.num_key_value_heads
    if shape.model_type in HEAD_NORMS:
        return values * norm / shape.hidden_size
    return values * width if shape.model_type == "phi3" else 0.0


def _norm_width(config: Config, machine: Machine) -> int:
    """Bytes a value that a norm keeps: transformers' keep float32; the fused ones of a CPU, if frozen, their input."""
    return WIDTH[machine.dtype] if machine.device == "cpu" and config.adapter.name == "lora" else 4


def _last_bytes(config: Config, width: int, norm: int) -> int:
    """Bytes a token that the norm after the last block keeps; trained under autocast, its input and what it scaled."""
    return norm * (2 if config.adapter.name == "full" and width == 2 else 1)


def _reads(name: str) -> str:
    first = name.partition("_")[0]
    return {"q": "qkv", "k": "qkv", "v": "qkv", "gate": "gate_up", "up": "gate_up"}.get(first, first)


def _cells_bytes(config: Config, work: Work, width: int, blocks: bool) -> float:
    """Bytes a token that one layer keeps for the cells of the attention matrix.

    SDPA keeps a 4D mask of the packed rows; block attention the probabilities, as many as it may, of the half of a row
    that its blocks see on average; flash attention and plain causal attention nothing.
    """
    if blocks:
        seen = min(work.width, (work.width + ATTENTION_BLOCK) / 2)
        return min(KEPT_WEIGHTS / work.tokens, config.model.architecture.num_attention_heads * seen * width)
    if unpacked_reason(config) is not None and config.hardware.attention != "eager":
        return 0.0
    return float(work.width * width)


def _without_gradient(config: Config, machine: Machine, work: Work, counts: ParameterCounts) -> float:
    """Bytes of a forward pass in evaluation batches (the reference model's, for one): one block and the mask; of the
    keys and values of the sample replies; and of the weights that are packed to write them (`fused/inference.py`).
    """
    shape, width = config.model.architecture, WIDTH[machine.dtype]
    inside = sum(outputs for _, outputs in counts.layers.values()) + 4 * shape.hidden_size
    length = config.trainer.max_length + config.evaluation.max_new_tokens
    a_reply = 2 * shape.num_hidden_layers * shape.num_key_value_heads * head_width(shape) * width * length
    room = reply_memory(config.hardware.memory_gb)
    replies = min(room, config.evaluation.samples * a_reply)
    packed = (counts.linear + shape.vocab_size * shape.hidden_size) * width
    packed = packed if packed <= room and _packs(config, machine) else 0
    return work.eval_tokens * (inside * width + float(work.width) * (width + 1)) + replies + packed


def _packs(config: Config, machine: Machine) -> bool:
    """Whether frozen weights are packed to write replies, where there is room."""
    frozen_in_16_bits = config.adapter.name == "lora" and config.hardware.quantization == "none"
    if machine.device != "cpu" or machine.dtype != "bfloat16" or not frozen_in_16_bits:
        return False
    return unpacked_reason(config) is None and FAMILIES[config.model.architecture.model_type].plain
