"""What is not to be rounded in 16 bits where PEFT rounds it: DoRA's lengths, and modules that are trained whole."""

from typing import Any


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
