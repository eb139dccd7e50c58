"""A decoder's forward pass where nothing is learned, in a third of the operations, for a CPU.

The product of one token waits for the weights to come from memory, and everything around it for Python. So layers that
read the same input are one product (queries, keys and values; gate and up), an adapter is part of it as in `lora`, and
its weights are packed beforehand: oneDNN has an order of its own in bfloat16, into which torch brings them anew in
every product. The packed weights are a second copy, which lives as long as the `Inference` that holds it.
"""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import torch

from edu_align.fused.decoder import NORM, NORMS, rms_norm
from edu_align.fused.lora import START, active_adapter, factors
from edu_align.packing.backends import forest_attention
from edu_align.packing.families import BY_TYPE, FAMILIES, FULL, layer_windows

Part = tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None, torch.Tensor | None]  # W, bias, A, s B


def can_infer(network: Any) -> bool:
    """Whether `Inference` computes what `network`, a transformers model on a CPU, does."""
    family = FAMILIES.get(network.config.model_type)
    backbone = network.base_model
    if family is None or not family.plain or torch.is_autocast_enabled("cpu"):
        return False
    width = backbone.layers[0].self_attn.head_dim
    return 2 * len(backbone.rotary_emb.inv_freq) == width  # all of a head is rotated


class Inference:
    """The forward of `network` (see `can_infer`) for one packed row, and its head, with the weights as they are now.

    `room`: bytes that the packed weights may take; where they are more, or not in bfloat16, none are packed.
    """

    @torch.no_grad()
    def __init__(self, network: Any, room: int) -> None:
        backbone, head = network.base_model, network.get_output_embeddings()
        read = [*backbone.layers.parameters(), *head.parameters()]
        packs = _has_packed_products() and sum(weight.nbytes for weight in read) <= room
        windows, family = layer_windows(network.config), FAMILIES[network.config.model_type]
        kinds = network.config.layer_types if family.attends == BY_TYPE else [FULL] * len(backbone.layers)
        self.embed, self.rotary, self.norm = backbone.embed_tokens, backbone.rotary_emb, backbone.norm
        self.layers = [_Layer(layer, windows[kind], packs) for layer, kind in zip(backbone.layers, kinds, strict=True)]
        self.head = Product([head], packs)

    def __call__(
        self, input_ids: torch.Tensor, position_ids: torch.Tensor, memory: Any, forest: Any = None, **unread: Any
    ) -> SimpleNamespace:
        """`last_hidden_state` (1, W, H) for ids and positions (1, W); the others as in `forest_attention`."""
        x = self.embed(input_ids)[0]
        cos, sin = (angle[0, :, None] for angle in self.rotary(x[None], position_ids))
        half = sin.shape[-1] // 2
        sin = torch.cat([-sin[..., :half], sin[..., half:]], dim=-1)  # of the other half, as `roll` brings it
        for layer in self.layers:
            x = layer(x, cos, sin, {"memory": memory, "forest": forest})
        return SimpleNamespace(last_hidden_state=_normed(self.norm, x)[None])


def _has_packed_products() -> bool:
    return torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()


class _Layer:
    def __init__(self, layer: Any, window: int | None, packs: bool) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        self.attention, self.activation, self.window = attention, mlp.act_fn, window
        self.norms = layer.input_layernorm, layer.post_attention_layernorm
        self.read = Product([attention.q_proj, attention.k_proj, attention.v_proj], packs)
        self.attended = Product([attention.o_proj], packs)
        self.gate_and_up, self.down = Product([mlp.gate_proj, mlp.up_proj], packs), Product([mlp.down_proj], packs)

    def __call__(self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, seen: dict[str, Any]) -> torch.Tensor:
        """x (W, H); cos and sin (W, 1, D)."""
        module = self.attention
        heads = self.read(_normed(self.norms[0], x)).view(len(x), -1, module.head_dim)
        shared = heads.shape[1] // (module.num_key_value_groups + 2)
        turned, value = heads.split([heads.shape[1] - shared, shared], dim=1)
        turned = (turned * cos).addcmul_(turned.roll(module.head_dim // 2, -1), sin)
        query, key = turned.split([turned.shape[1] - shared, shared], dim=1)
        query, key, value = (each.transpose(0, 1)[None] for each in (query, key, value))
        options = {"scaling": module.scaling, "sliding_window": self.window, **seen}
        found, _ = forest_attention(module, query, key, value, None, **options)
        x = x + self.attended(found.reshape(len(x), -1))
        gate, up = self.gate_and_up(_normed(self.norms[1], x)).chunk(2, dim=-1)
        return x + self.down(self.activation(gate).mul_(up))


def _normed(module: Any, x: torch.Tensor) -> torch.Tensor:
    if not type(module).__name__.endswith(NORM):  # one that PEFT trains in full
        return module(x)
    return rms_norm(x, *NORMS["after rounding"](module.weight), module.variance_epsilon)[0]


class Product:
    """(W, in) -> (W, out) of layers that read the same input, their outputs side by side; the layers' own products
    where they are not packed.
    """

    def __init__(self, layers: Sequence[Any], packs: bool) -> None:
        self.layers = layers
        parts = [_part(layer) for layer in layers] if packs else [None]
        known = [part for part in parts if part is not None]
        self.weight = None
        if len(known) == len(parts):
            self.down, self.bias = _joined([part[2] for part in known]), _bias(known)
            self.weight = torch.ops.mkldnn._reorder_linear_weight(_wide(known), 1)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        if self.weight is None:
            found = [layer(x) for layer in self.layers]
            return found[0] if len(found) == 1 else torch.cat(found, dim=-1)
        if self.down is not None:
            x = torch.cat([x, torch.nn.functional.linear(x, self.down)], dim=-1)
        product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")
        return product


def _part(layer: Any) -> Part | None:
    """W (out, in) in bfloat16, its bias, and of an adapter A (r, in) and s B (out, r); None where the layer is more."""
    from peft.tuners.lora import Linear

    adapter, base = None, layer
    if type(layer) is Linear:
        base, adapter = layer.base_layer, active_adapter(layer)
        own = adapter is None or (adapter in layer.lora_variant and not hasattr(layer.lora_A[adapter], START))
        if layer.merged or (own and not layer.disable_adapters):
            return None
    if type(base) is not torch.nn.Linear or base.weight.dtype != torch.bfloat16:
        return None
    if adapter is None:
        return base.weight, base.bias, None, None
    if layer.lora_B[adapter].bias is not None:
        return None
    down, up = factors(layer, adapter)
    return base.weight, base.bias, down.bfloat16(), (up * layer.scaling[adapter]).bfloat16()


def _joined(tensors: Sequence[torch.Tensor | None]) -> torch.Tensor | None:
    there = [tensor for tensor in tensors if tensor is not None]
    return torch.cat(there) if there else None


def _bias(parts: Sequence[Part]) -> torch.Tensor | None:
    """The biases behind each other, 0 where a layer has none; None where no layer has one."""
    if all(bias is None for _, bias, _, _ in parts):
        return None
    return torch.cat([weight.new_zeros(len(weight)) if bias is None else bias for weight, bias, _, _ in parts])


def _wide(parts: Sequence[Part]) -> torch.Tensor:
    """(out, in + r): the weights below each other, and beside each its adapter's s B, in columns of its own."""
    wide = torch.cat([weight for weight, _, _, _ in parts])
    ups = [weight.new_zeros(len(weight), 0) if up is None else up for weight, _, _, up in parts]
    return torch.cat([wide, torch.block_diag(*ups)], dim=1) if any(up.shape[1] for up in ups) else wide
