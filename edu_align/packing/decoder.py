"""The packed forward under TRL: the decoder runs on a forest, everyone above it sees the batch that they sent.

TRL's trainers call the model's backbone with a padded (B, L) batch and read hidden states (B, L, H). `share_prefixes`
replaces the backbone's `forward` by one that plants the batch (`forest.plant`), runs the original forward on the packed
rows with restarted positions and ancestors-only attention (`backends`), and scatters the hidden states back; gradients
flow through the scatter. Losses, metrics and reference log-probabilities stay TRL's own code.

With `adapter.dropout` > 0 in SFT a shared token draws one dropout mask instead of one a row; nothing else differs.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from types import MethodType
from typing import Any

from edu_align.packing.backends import attend_to_ancestors, choose_backend, enable_forest_attention, unpackable_reason
from edu_align.packing.forest import build_forest
from edu_align.utils.errors import UserError

NOISE = "row_noise"  # the attribute of a backbone whose embeddings gain noise, see `noise`
OURS = ("past_key_values", "position_ids", "inputs_embeds")  # with one of these a forward is not packed


@dataclass
class TokenCounts:
    """What was saved so far: real tokens that the batches held, and tokens that the decoder computed."""

    asked: int = 0
    computed: int = 0

    @property
    def ratio(self) -> float:
        return self.asked / max(self.computed, 1)


def causal_model(model: Any) -> Any:
    """The transformers model under a PEFT wrapper, or the model itself."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def is_packed(model: Any) -> bool:
    """Whether `share_prefixes` was installed in this model."""
    return hasattr(causal_model(model).base_model, "unpacked_forward")


def share_prefixes(model: Any, backend: str = "auto", longest: int | None = None) -> TokenCounts:
    """Pack every training and scoring forward of `model`'s backbone; returns the running count of what is saved.

    `backend` is auto, or one of those in `backends`. Generation (a cache, or positions given) goes through the original
    forward. Install it before TRL's trainer is built. `longest`: the most tokens of a row, where that is known. Errors:
    ValueError where packing would not be exact (see `unpackable_reason`).
    """
    reason = unpackable_reason(model, longest)
    if reason is not None:
        raise ValueError(f"packing is not exact here: {reason}")
    if backend == "auto":
        backend, _ = choose_backend(model)
    enable_forest_attention(model)
    backbone = causal_model(model).base_model
    counts = TokenCounts()
    # The forward is bound to its backbone, so that a deep copy (the reference of full DPO) runs its own weights.
    backbone.unpacked_forward = backbone.forward
    packed = _packed(backbone.forward, counts, backend)
    backbone.forward = MethodType(packed, backbone)
    return counts


def _packed(original: Callable[..., Any], counts: TokenCounts, backend: str) -> Callable[..., Any]:
    import torch

    @functools.wraps(getattr(original, "__func__", original))
    def forward(self: Any, input_ids: Any = None, attention_mask: Any = None, **options: Any) -> Any:
        plain = options.get("use_cache") is not False or any(options.get(key) is not None for key in OURS)
        if plain or input_ids is None or (attention_mask is not None and attention_mask.dim() != 2):
            return self.unpacked_forward(input_ids=input_ids, attention_mask=attention_mask, **options)
        device = input_ids.device
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        options = {key: value for key, value in options.items() if key not in OURS}
        noise = getattr(self, NOISE, None) if self.training else None
        arrays = input_ids.cpu().numpy(), mask.cpu().numpy()
        forest = build_forest(*arrays, one_row=backend == "blocks", share=noise is None)
        if noise is not None:
            noise.note_forest(forest, mask)
        counts.asked += forest.asked
        counts.computed += forest.nodes
        output = self.unpacked_forward(
            input_ids=torch.from_numpy(forest.tokens).to(device),
            position_ids=torch.from_numpy(forest.positions).to(device),
            **attend_to_ancestors(forest, backend, self.config, device),
            **options,
        )
        hidden = output.last_hidden_state
        place = torch.from_numpy(forest.place).to(device)
        output.last_hidden_state = hidden.reshape(-1, hidden.size(-1))[place.reshape(-1)].view(*place.shape, -1)
        return output

    return forward


def install_packing(wanted: str, model: Any, backend: str = "auto", longest: int | None = None) -> TokenCounts:
    """Turn shared-prefix packing on where `hardware.packing` asks for it and it is exact, and say which.

    `backend` is `hardware.packing_backend`, `longest` the most tokens that a row may have.
    """
    from edu_align.packing.scores import score_labels_once  # torch, which reports do without

    score_labels_once()
    reason = "hardware.packing=off" if wanted == "off" else unpackable_reason(model, longest)
    if reason is None:
        why = f"hardware.packing_backend={backend}"
        if backend == "auto":
            backend, why = choose_backend(model)
        print(
            f"edu_align: packing is on: every shared prefix is computed once, attention by {backend} ({why})",
            flush=True,
        )
        return share_prefixes(model, backend, longest)
    if wanted == "on":
        raise UserError(f"`hardware.packing=on`, but {reason}. Use hardware.packing=auto or off.")
    print(f"edu_align: packing is off: {reason}", flush=True)
    return TokenCounts()
