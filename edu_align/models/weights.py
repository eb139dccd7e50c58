"""Loading base weights, and adapters on them."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from edu_align.config.peft_options import is_principal
from edu_align.config.schema import AdapterConfig, ModelConfig
from edu_align.models.device import Device
from edu_align.models.generation import generation_defaults
from edu_align.models.gguf_base import absent_weights
from edu_align.models.language_model import OWN_NAMES, SAID, keep_own_names
from edu_align.models.locate import Location, architecture, check_whole, is_part, require_adapter, shape_in
from edu_align.models.principal import begin_principal
from edu_align.models.sharding import layout, saved_random_model, shard_quantized
from edu_align.models.targets import HEAD, lora_options
from edu_align.utils.errors import UserError
from edu_align.utils.memory import forget_peak, freeze_imported_objects


def load_model(
    model: ModelConfig,
    location: Location,
    device: Device,
    seed: int,
    double_quantization: bool,
    full: bool = False,
    scored: bool = False,
) -> Any:
    """The base model in `device.dtype` on its device, every parameter frozen or not as transformers leaves it.

    Sharded weights that are all trained (`full`) are read in float32 and gathered in `device.dtype`. `scored`: the
    folder has a scalar head in place of the LM head (models/reward.py). Errors: weights that do not fill the network,
    an attention kernel that it does not have.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, set_seed

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
        return AutoModelForCausalLM.from_config(architecture(model), trust_remote_code=False, **plain)

    if location.folder is None and not sharded and device.quantization == "none":
        drawn = draw().to(device.device)
        drawn.generation_config = defaults
        return drawn
    options = dict(plain)
    if device.quantization == "nf4":
        options["quantization_config"] = _nf4(dtype, double_quantization)
        options["device_map"] = {"": device.device}
    if sharded and device.quantization == "none":
        options["distributed_config"] = layout(mixed=read != dtype)
    part = _of_part(location.folder)
    if part:
        print(f"edu_align: model={model.name}: {SAID}", flush=True)
    drawn_in = saved_random_model(draw) if location.folder is None else nullcontext(str(location.folder))
    with drawn_in as folder, _attention_that_it_has(device.attention):
        both: Any = (AutoModelForSequenceClassification if scored else AutoModelForCausalLM).from_pretrained(
            folder, use_safetensors=True, trust_remote_code=False, generation_config=defaults,
            output_loading_info=True, ignore_mismatched_sizes=True, **options, **part,
        )  # fmt: skip
    loaded, info = both
    if device.quantization == "nf4" and device.device == "cpu":
        _let_go_of_files(loaded)
    forget_peak()  # the files' pages count while they are read, and the system takes those back when it wants
    _check_loaded(location.folder, info)
    if part:
        keep_own_names(loaded)
    if location.folder is None:
        loaded.config._name_or_path = loaded.name_or_path = ""  # the folder is gone
    if device.quantization == "nf4":
        _keep_packing(loaded)
        if sharded:
            shard_quantized(loaded)
        return loaded
    return loaded if sharded else loaded.to(device.device)


def _let_go_of_files(model: Any) -> None:
    """Copy what did not become 4 bits. On a CPU it is a view of a file's mapped pages, and a norm of some kilobytes
    keeps all of its file there: 14.5 GB in 16 bits of a 7B model.
    """
    for weight in model.parameters():
        if not hasattr(weight, "quant_state"):
            weight.data = weight.data.clone()


def _of_part(folder: Path | None) -> dict[str, Any]:
    """What `from_pretrained` is told where the folder's language model is a part of its model."""
    if folder is None or not is_part(folder):
        return {}
    return {"config": shape_in(folder), "key_mapping": OWN_NAMES}


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
    absent = absent_weights(info)
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


def add_adapter(model: Any, adapter: AdapterConfig, seed: int) -> Any:
    """The adapter that `adapter` describes, drawn with `seed` (see `targets.check_targets`)."""
    from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
    from transformers import set_seed

    if getattr(model, "is_loaded_in_4bit", False):
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    options, principal = lora_options(adapter, model), is_principal(adapter.args)
    if principal:
        options["init_lora_weights"] = True
    set_seed(seed)  # the adapter's first matrix is drawn at random
    adapted = get_peft_model(model, LoraConfig(**options))
    exact_lengths(adapted)
    if principal:
        begin_principal(adapted, adapter.args["init_lora_weights"])
    return _prepared(adapted)


def continue_adapter(model: Any, folder: Path) -> Any:
    """A finished run's adapter on the base it was trained on, ready to be trained further."""
    from peft import PeftModel

    require_adapter(folder)
    adapted = PeftModel.from_pretrained(model, str(folder), is_trainable=True, use_safetensors=True)
    # Where the base lies here, as a new adapter has it: with the name on the hub PEFT would ask the hub at each save.
    adapted.peft_config["default"].base_model_name_or_path = model.name_or_path
    return _prepared(adapted)


def add_text_adapter(model: Any, folder: Path) -> Any:
    """The adapter of a run that wrote text, going on under the scalar head of `model`, which is trained beside it.

    A trained LM head stays behind. Errors: an adapter with other layers.
    """
    from peft import LoraConfig, get_peft_model, load_peft_weights, set_peft_model_state_dict

    require_adapter(folder)
    config: Any = LoraConfig.from_pretrained(str(folder))
    config.task_type, config.inference_mode = "SEQ_CLS", False
    config.base_model_name_or_path = model.name_or_path
    config.modules_to_save = [name for name in config.modules_to_save or [] if name != HEAD] or None
    kept = {name: value for name, value in load_peft_weights(str(folder)).items() if f".{HEAD}." not in name}
    kept["base_model.model.score.weight"] = model.score.weight.detach().clone()
    adapted = get_peft_model(model, config)
    found: Any = set_peft_model_state_dict(adapted, kept)
    if found.unexpected_keys:
        raise UserError(
            f"`init_from`: {folder} has tensors of layers that this model has not, {found.unexpected_keys[0]} for one. "
            "Start from a run of the same model."
        )
    return _prepared(adapted)


def _prepared(adapted: Any) -> Any:
    """An adapted model as this package trains and runs it: see what is called here."""
    from edu_align.fused import fuse

    in_base_dtype(adapted)
    return fuse(_cast_once(adapted))


def _cast_once(model: Any) -> Any:
    """Leave the inputs of adapters to autocast where it is on.

    PEFT casts them to the adapters' float32, and autocast casts them back: two copies a layer that change no number,
    and a copy of every input that waits for the backward pass. Not for DoRA, which takes from its input's format how it
    rounds the lengths of the weights' rows.
    """
    import torch
    from peft.tuners.lora import LoraLayer

    for module in model.modules():
        if isinstance(module, LoraLayer) and not module.lora_magnitude_vector:
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


def exact_lengths(model: Any) -> None:
    """Let new DoRA layers begin with the lengths of its base's rows in float32, rounded nowhere.

    PEFT takes them in the base's format. In bfloat16 each row would be off by up to a 512th, so the adapted model would
    not begin as the base, and DPO's reference would not be its policy.
    """
    import torch
    from peft.tuners.lora import LoraLayer

    layer: Any
    for layer in model.modules():
        if isinstance(layer, LoraLayer) and "default" in layer.lora_magnitude_vector:
            base: Any = layer.get_base_layer()
            weight = base.weight.detach().float()
            layer.lora_magnitude_vector["default"].weight.data = torch.linalg.norm(weight, dim=1)


def in_base_dtype(model: Any) -> None:
    """Let modules that are trained in full take and give the base's number format, whatever theirs is.

    They are trained in float32 inside a model of 16 bits, whose other layers take 16 bits.
    """
    from peft.utils import ModulesToSaveWrapper

    for wrapper in model.modules():
        if isinstance(wrapper, ModulesToSaveWrapper):
            dtype = wrapper.original_module.weight.dtype
            for module in wrapper.modules_to_save.values():
                module.register_forward_pre_hook(_take)
                module.register_forward_hook(_Give(dtype))


def _take(module: Any, given: tuple[Any, ...]) -> tuple[Any, ...]:
    import torch

    if torch.is_autocast_enabled(module.weight.device.type):
        return given
    return tuple(value.to(module.weight.dtype) if value.is_floating_point() else value for value in given)


class _Give:
    """A forward hook; an object, so that a copied model has its own."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype

    def __call__(self, module: Any, given: Any, output: Any) -> Any:
        return output.to(self.dtype)
