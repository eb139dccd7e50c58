"""How a packed row attends to ancestors only: which kernel, for which model, and what the decoder is handed for it.

dense    SDPA with a 4D mask of booleans; everywhere.
blocks   `attention.block_attention`: skips what no node of a block may see; the fastest on a CPU.
flex     FlexAttention with a block mask, compiled; on GPUs that have it.
"""

from typing import Any

from edu_align.packing.families import FULL, inexact_reason, layer_windows, takes_masks_by_type
from edu_align.packing.forest import Forest

NAME = "edu_align_forest"  # of the attention function in transformers' registry
FLEX_CAPABILITY = 8.0  # least CUDA compute capability; FlexAttention's Triton kernels are not made for older chips


def unpackable_reason(model: Any, longest: int | None = None) -> str | None:
    """Why packing would not be exact for this model, or None where it is. `longest` as in `inexact_reason`."""
    attention = model.config._attn_implementation
    reason = inexact_reason(model.config, longest)
    if reason is None and attention not in ("sdpa", NAME):
        return f"attention {attention!r} is not sdpa, which takes a 4D mask of booleans"
    return reason


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

    AttentionInterface.register(NAME, forest_attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    model.config._attn_implementation = NAME


def attend_to_ancestors(forest: Forest, backend: str, config: Any, device: Any) -> dict[str, Any]:
    """Keyword arguments of the decoder's forward that make each node attend to itself and its ancestors only, those
    within the window of its layer's type.
    """
    import torch

    windows = layer_windows(config)
    views = {window: forest.within(window) for window in windows.values()}
    if backend == "dense":
        made = {id(view): torch.from_numpy(view.mask()).to(device)[:, None] for view in views.values()}
        masks = {kind: made[id(views[window])] for kind, window in windows.items()}
    else:
        lay_out = _blocks if backend == "blocks" else _flex_mask
        made = {id(view): lay_out(view, device) for view in views.values()}
        return {
            "attention_mask": unread_masks(config, device),
            "forest": {window: made[id(view)] for window, view in views.items()},
        }
    return {"attention_mask": masks if takes_masks_by_type(config) else masks[FULL]}


def unread_masks(config: Any, device: Any) -> Any:
    """What keeps the decoder from making causal masks: 4D ones, however small, which our attention does not read."""
    import torch

    unread = torch.ones(1, 1, 1, 1, dtype=torch.bool, device=device)
    return dict.fromkeys(layer_windows(config), unread) if takes_masks_by_type(config) else unread


def _blocks(forest: Forest, device: Any) -> Any:
    from edu_align.packing.attention import blocks_of

    return blocks_of(forest.trees)


def forest_attention(
    module: Any, query: Any, key: Any, value: Any, attention_mask: Any, **options: Any
) -> tuple[Any, None]:
    """transformers' attention function: `query` (R, H, W, D), `key` and `value` (R, K, W, D) -> (R, W, H, D).

    The option `forest` holds what to attend to for each window; the option `sliding_window` is the layer's. The option
    `memory` keeps keys and values; without a forest queries attend to what it holds (`models/engine.py`).
    """
    forests, memory = options.pop("forest", None), options.pop("memory", None)
    if forests is None and memory is None:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    window, scale = options.get("sliding_window"), options.get("scaling")
    query, key, value = _as_autocast(query, key, value)
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    if memory is not None:
        memory.write(module.layer_idx, key, value)
    if forests is None:
        return memory.attend(module.layer_idx, query, scale, window), None
    forest = forests[window]
    if isinstance(forest, list):
        from edu_align.packing.attention import block_attention, block_inference

        attend = block_attention if memory is None else block_inference
        return attend(query, key, value, scale, forest), None
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


def _flex_mask(forest: Forest, device: Any) -> Any:
    """FlexAttention's block mask of a forest."""
    import torch
    from torch.nn.attention.flex_attention import create_block_mask

    mask = torch.from_numpy(forest.mask()).to(device)
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
