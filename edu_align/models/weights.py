"""Loading base weights, and adapters on them."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from edu_align.config.schema import AdapterConfig, ModelConfig
from edu_align.models.device import Device
from edu_align.models.generation import generation_defaults
from edu_align.models.locate import Location, check_whole, require_adapter, shape_in
from edu_align.models.sharding import layout, saved_random_model
from edu_align.utils.errors import UserError
from edu_align.utils.memory import freeze_imported_objects


def load_model(
    model: ModelConfig, location: Location, device: Device, seed: int, double_quantization: bool, full: bool = False
) -> Any:
    """The base model in `device.dtype` on its device, every parameter frozen or not as transformers leaves it.

    Sharded weights that are all trained (`full`) are read in float32 and gathered in `device.dtype`. Errors: weights
    that do not fill the network, an attention kernel that it does not have.
    """
    import torch
    from transformers import AutoModelForCausalLM, set_seed

    freeze_imported_objects()
    dtype = getattr(torch, device.dtype)
    sharded = device.sharding == "fsdp"
    read = torch.float32 if sharded and full else dtype
    plain: dict[str, Any] = {"attn_implementation": device.attention, "dtype": read}

    if location.folder is not None:
        check_whole(location.folder)
    defaults = generation_defaults(location.folder)

    def draw() -> Any:
        set_seed(seed)
        return AutoModelForCausalLM.from_config(network_config(model), trust_remote_code=False, **plain)

    if location.folder is None and not sharded and device.quantization == "none":
        drawn = draw().to(device.device)
        drawn.generation_config = defaults
        return drawn
    options = dict(plain)
    if device.quantization == "nf4":
        options["quantization_config"] = _nf4(dtype, double_quantization)
        options["device_map"] = {"": device.device}
    if sharded:
        options["distributed_config"] = layout(mixed=read != dtype)
    drawn_in = saved_random_model(draw) if location.folder is None else nullcontext(str(location.folder))
    with drawn_in as folder, _attention_that_it_has(device.attention):
        both: Any = AutoModelForCausalLM.from_pretrained(
            folder, use_safetensors=True, trust_remote_code=False, generation_config=defaults,
            output_loading_info=True, ignore_mismatched_sizes=True, **options,
        )  # fmt: skip
    loaded, info = both
    _check_loaded(location.folder, info)
    if location.folder is None:
        loaded.config._name_or_path = loaded.name_or_path = ""  # the folder is gone
    if device.quantization == "nf4":
        _keep_packing(loaded)
        return loaded
    return loaded if sharded else loaded.to(device.device)


@contextmanager
def _attention_that_it_has(kind: str) -> Iterator[None]:
    """Raise UserError inside the block where transformers says that a network has no such attention (Gemma 2: SDPA)."""
    try:
        yield
    except ValueError as error:
        if "does not support an attention implementation" not in str(error):
            raise
        raise UserError(
            f"`hardware.attention={kind}`: {str(error).split()[0]} has no such attention in transformers. "
            "Set hardware.attention=eager."
        ) from None


def _check_loaded(folder: Path | None, info: dict[str, Any]) -> None:
    """Errors: tensors that the files lack, or hold in another shape; transformers would draw them at random."""
    absent = sorted({*info["missing_keys"], *(name for name, *_ in info["mismatched_keys"])})
    if absent:
        raise UserError(
            f"`model.path`: the weights in {str(folder)!r} are not those that its config.json describes: {len(absent)} "
            f"tensors are missing or of another shape, the first is {absent[0]}. They would be random. Put the model's "
            "own config.json beside its weights."
        )


def _nf4(dtype: Any, double: bool) -> Any:
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=double, bnb_4bit_compute_dtype=dtype
    )


def _keep_packing(model: Any) -> None:
    """Forbid bitsandbytes to repack 4-bit weights for CPU inference, which it does where the chip has AVX-512 BF16.

    The first forward without gradients would round their scales to bfloat16 and drop the double quantization, so that
    measuring a model changed what is then trained; it also fails for layers narrower than a block.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def network_config(model: ModelConfig) -> Any:
    """Transformers' config of a network of the shape that `model.architecture` says."""
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


def linear_layers(model: Any) -> set[str]:
    """Last names of the linear layers that may carry an adapter; the LM head is none (TRL scores through it)."""
    head = model.get_output_embeddings()
    return {
        name.rpartition(".")[2]
        for name, module in model.named_modules()
        if module is not head and "Linear" in type(module).__name__
    }


def check_targets(model: ModelConfig, location: Location, adapter: AdapterConfig) -> None:
    """Raise UserError for an `adapter.target_modules` that matches no linear layer; no weights are loaded for it."""
    import torch
    from transformers import AutoModelForCausalLM

    shape = shape_in(location.folder) if location.folder else network_config(model)
    with torch.device("meta"):
        layers = linear_layers(AutoModelForCausalLM.from_config(shape, trust_remote_code=False))
    unknown = [name for name in adapter.target_modules if name != "all-linear" and name not in layers]
    if unknown:
        raise UserError(
            f"`adapter.target_modules`: {', '.join(unknown)} matches no linear layer of model={model.name}. "
            f"Use all-linear, or some of: {', '.join(sorted(layers))}."
        )


def add_adapter(model: Any, adapter: AdapterConfig, seed: int) -> Any:
    """LoRA on the linear layers that `adapter.target_modules` names, drawn with `seed` (see `check_targets`)."""
    from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
    from transformers import set_seed

    from edu_align.fused import fuse

    targets = list(adapter.target_modules)
    if getattr(model, "is_loaded_in_4bit", False):
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    set_seed(seed)  # the adapter's first matrix is drawn at random
    lora = LoraConfig(
        r=adapter.rank,
        lora_alpha=adapter.alpha,
        lora_dropout=adapter.dropout,
        target_modules="all-linear" if "all-linear" in targets else targets,
        task_type="CAUSAL_LM",
    )
    return fuse(_cast_once(get_peft_model(model, lora)))


def continue_adapter(model: Any, folder: Path) -> Any:
    """A finished run's adapter on the base it was trained on, ready to be trained further."""
    from peft import PeftModel

    from edu_align.fused import fuse

    require_adapter(folder)
    adapted = PeftModel.from_pretrained(model, str(folder), is_trainable=True, use_safetensors=True)
    # Where the base lies here, as a new adapter has it: with the name on the hub PEFT would ask the hub at each save.
    adapted.peft_config["default"].base_model_name_or_path = model.name_or_path
    return fuse(_cast_once(adapted))


def _cast_once(model: Any) -> Any:
    """Leave the inputs of adapters to autocast where it is on.

    PEFT casts them to the adapters' float32, and autocast casts them back: two copies a layer that change no number,
    and a copy of every input that waits for the backward pass.
    """
    import torch
    from peft.tuners.lora import LoraLayer

    for module in model.modules():
        if isinstance(module, LoraLayer):
            original = module._cast_input_dtype

            def cast(x: Any, dtype: Any, original: Any = original) -> Any:
                return x if x is None or torch.is_autocast_enabled(x.device.type) else original(x, dtype)

            module._cast_input_dtype = cast  # type: ignore[method-assign]
    return model


def trainable_in_float32(model: Any) -> None:
    """Make trained parameters float32 once TRL's trainer is built: it casts the adapters of 4-bit models to bfloat16.

    float16 training scales gradients and needs them so, and in bfloat16 a small step of AdamW changes no weight.
    """
    import torch

    for parameter in model.parameters():
        if parameter.requires_grad and parameter.dtype != torch.float32:
            parameter.data = parameter.data.float()
