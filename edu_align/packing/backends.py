"""How a packed row attends to ancestors only: which kernel, for which model, and what the decoder is handed for it.

dense    SDPA with a 4D mask of booleans; everywhere.
blocks   `attention.block_attention`: skips what no node of a block may see; the fastest on a CPU.
flex     FlexAttention with a block mask, compiled; on GPUs that have it.
"""

from typing import Any

from edu_align.packing.budget import SUPPORTED
from edu_align.packing.forest import Forest

NAME = "edu_align_forest"  # of the attention function in transformers' registry
FLEX_CAPABILITY = 8.0  # least CUDA compute capability; FlexAttention's Triton kernels are not made for older chips


def unpackable_reason(model: Any) -> str | None:
    """Why packing would not be exact for this model, or None where it is."""
    config = model.config
    if config.model_type not in SUPPORTED:
        return f"model_type {config.model_type!r} is not one of {', '.join(SUPPORTED)}"
    attention = config._attn_implementation
    if attention not in ("sdpa", NAME):
        return f"attention {attention!r} is not sdpa, which takes a 4D mask of booleans"
    layers = set(getattr(config, "layer_types", None) or ())
    if len(layers) > 1:
        return f"the layers attend in several ways ({', '.join(sorted(layers))})"
    return None


def choose_backend(model: Any) -> tuple[str, str]:
    """The fastest backend that this model's device has, and why."""
    import torch

    if getattr(model.config, "attention_dropout", 0.0):
        return "dense", f"attention_dropout={model.config.attention_dropout}, which only SDPA draws"
    device = next(model.parameters()).device
    if device.type != "cuda":
        return "blocks", "a CPU computes only what is seen"
    major, minor = torch.cuda.get_device_capability(device)
    if major + minor / 10 < FLEX_CAPABILITY:
        return "dense", f"compute capability {major}.{minor} is below {FLEX_CAPABILITY}, which FlexAttention needs"
    return "flex", f"compute capability {major}.{minor}"


def enable_forest_attention(model: Any) -> None:
    """Let `model`'s attention layers read what `attend_to_ancestors` hands over; other calls reach SDPA as before."""
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

    AttentionInterface.register(NAME, _attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    model.config._attn_implementation = NAME


def attend_to_ancestors(forest: Forest, backend: str, device: Any) -> dict[str, Any]:
    """Keyword arguments of the decoder's forward that make each node attend to itself and its ancestors only."""
    import torch

    if backend == "dense":
        return {"attention_mask": torch.from_numpy(forest.mask()).to(device)[:, None]}
    # A 4D mask, however small, keeps the decoder from making a causal one; the attention function does not read it.
    unread = torch.ones(1, 1, 1, 1, dtype=torch.bool, device=device)
    if backend == "flex":
        return {"attention_mask": unread, "forest": _block_mask(torch.from_numpy(forest.mask()).to(device))}
    from edu_align.packing.attention import blocks_of

    return {"attention_mask": unread, "forest": blocks_of(forest.trees)}


def _attention(module: Any, query: Any, key: Any, value: Any, attention_mask: Any, **options: Any) -> tuple[Any, None]:
    """transformers' attention function: `query` (R, H, W, D), `key` and `value` (R, K, W, D) -> (R, W, H, D)."""
    forest = options.pop("forest", None)
    if forest is None:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    query, key, value = _as_autocast(query, key, value)
    scale = options.get("scaling")
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    if isinstance(forest, list):
        from edu_align.packing.attention import block_attention

        return block_attention(query, key, value, scale, forest), None
    return _flex_attention(query, key, value, scale, forest), None


def _as_autocast(*tensors: Any) -> tuple[Any, ...]:
    """The tensors in autocast's dtype where it is on, as it does for SDPA.

    With float32 weights the rotation of queries and keys is float32, and the values are not.
    """
    import torch

    device = tensors[0].device.type
    if not torch.is_autocast_enabled(device):
        return tensors
    dtype = torch.get_autocast_dtype(device)
    return tuple(tensor.to(dtype) for tensor in tensors)


def _block_mask(mask: Any) -> Any:
    """FlexAttention's block mask of a forest's mask, bool (R, W, W)."""
    from torch.nn.attention.flex_attention import create_block_mask

    rows, width, _ = mask.shape

    def seen(row: Any, head: Any, node: Any, other: Any) -> Any:
        return mask[row, node, other]

    return create_block_mask(seen, B=rows, H=None, Q_LEN=width, KV_LEN=width, device=mask.device)


def _flex_attention(query: Any, key: Any, value: Any, scale: float, block_mask: Any) -> Any:
    out = _flex_kernel(query.device.type)(
        query, key, value, block_mask=block_mask, scale=scale, enable_gqa=query.shape[1] != key.shape[1]
    )
    return out.transpose(1, 2).contiguous()


_compiled: dict[str, Any] = {}


def _flex_kernel(device: str) -> Any:
    """Compiled once where it runs on a GPU; as it is elsewhere, where only the forward could be compiled."""
    from torch.nn.attention.flex_attention import flex_attention

    if device != "cuda":
        return flex_attention
    if device not in _compiled:
        import torch

        _compiled[device] = torch.compile(flex_attention, dynamic=True)
    return _compiled[device]
