"""PiSSA (Meng et al. 2024, arXiv:2404.02948) and OLoRA (Buyukakyuz 2024, arXiv:2406.01775) over an untouched base.

Both begin with B0 A0, a part of the weights W themselves, and train y = (W - s B0 A0) x + s B A x. PEFT writes what is
in brackets over the base, so that a model with its adapter off is no more the base (DPO's reference, what is measured
before training, a base that several runs share), and in 16 bits rounds it. Here W stays, and the same function is
computed as

    y = W x + s [B, -B0] [A; A0] x,

A0 and B0 frozen. Saved is that product: an ordinary LoRA of twice the rank, which fits the untouched base.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

ADAPTER = "default"


class Principal:
    """A variant of a layer as PEFT asks for one; it runs where the fused product of `fused/lora.py` does not."""

    @staticmethod
    def forward(module: Any, active_adapter: str, x: Any, result: Any, **_: Any) -> Any:
        """x (..., in) and W x (..., out) -> y (..., out)."""
        from torch.nn.functional import linear

        from edu_align.fused.lora import factors

        down, up = factors(module, active_adapter)
        return result + linear(linear(x, down), up) * module.scaling[active_adapter]


def begin_principal(model: Any, word: str) -> None:
    """Let the LoRA layers of `model` begin as PEFT's `init_lora_weights=word` does, and leave the base as it is."""
    from edu_align.fused.lora import START

    for _, layer in lora_layers(model):
        base = layer.get_base_layer()
        weight = base.weight.data
        base.weight.data = weight.clone()  # PEFT writes into it, in float32 in place
        if word == "olora":
            layer.olora_init(ADAPTER)
        else:
            layer.pissa_init(ADAPTER, word)
        base.weight.data = weight
        for matrix in (layer.lora_A[ADAPTER], layer.lora_B[ADAPTER]):
            matrix.weight.data = matrix.weight.data.contiguous()
            matrix.register_buffer(START, matrix.weight.detach().clone(), persistent=False)
        layer.lora_variant[ADAPTER] = Principal()


def lora_layers(model: Any) -> list[tuple[str, Any]]:
    """The layers of `model` that carry an adapter, by name."""
    from peft.tuners.lora import LoraLayer

    return [(name, module) for name, module in model.named_modules() if isinstance(module, LoraLayer)]


def starts(model: Any) -> dict[str, Any]:
    """A0 and B0 of every layer that has them, by name, over the model's own storage."""
    from edu_align.fused.lora import START

    return {name: value for name, value in model.named_buffers() if name.rpartition(".")[2] == START}


@contextmanager
def as_ordinary_lora(model: Any) -> Iterator[dict[str, Any]]:
    """Arguments of PEFT's `save_pretrained` under which an adapter with a start is saved as an ordinary one.

    Its config says so within the block. Scales stay: twice the rank, and alpha to match.
    """
    from edu_align.fused.lora import factors

    if not starts(model):
        yield {}
        return
    config = model.peft_config[ADAPTER]
    saved, state = copy.deepcopy(config), model.state_dict()
    more = 2**0.5 if config.use_rslora else 2  # of alpha, so that its scale over twice the rank is the same
    saved.r, saved.lora_alpha = 2 * config.r, more * config.lora_alpha
    saved.rank_pattern = {name: 2 * value for name, value in config.rank_pattern.items()}
    saved.alpha_pattern = {name: more * value for name, value in config.alpha_pattern.items()}
    for name, layer in lora_layers(model):
        down, up = factors(layer, ADAPTER)
        state[f"{name}.lora_A.{ADAPTER}.weight"], state[f"{name}.lora_B.{ADAPTER}.weight"] = down.detach(), up.detach()
    model.peft_config[ADAPTER] = saved
    try:
        yield {"state_dict": state}
    finally:
        model.peft_config[ADAPTER] = config
