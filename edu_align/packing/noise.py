"""Noise on the embeddings (NEFTune, Jain et al. 2023, arXiv:2310.05914), the same for a row alone, padded or packed.

A row of L tokens with H hidden units gains uniform noise of at most alpha / sqrt(L * H). transformers takes for L the
width of the batch, which is the longest row with its padding, or all rows of a packed pass together. Here L is each
row's own length. Packed rows share nothing while there is noise, because each row draws its own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from edu_align.packing.decoder import NOISE, causal_model
from edu_align.packing.forest import Forest


@dataclass
class RowNoise:
    """`lengths`: of the row that each token of the current forward pass belongs to, (R, W) or (R, 1)."""

    alpha: float
    lengths: torch.Tensor | None = None

    def note_rows(self, backbone: Any, args: tuple[Any, ...], options: dict[str, Any]) -> None:
        """A hook before the backbone's forward: a row is as long as its mask says."""
        ids, mask = options["input_ids"], options.get("attention_mask")
        self.lengths = (torch.ones_like(ids) if mask is None else mask).sum(dim=1, keepdim=True)

    def note_forest(self, forest: Forest, mask: torch.Tensor) -> None:
        """The same for packed rows, each of which has its own nodes; nodes that pad count as rows of one token."""
        rows, real = mask.sum(dim=1, keepdim=True).expand(mask.shape), mask.bool()
        lengths = torch.ones(forest.tokens.size, dtype=rows.dtype, device=mask.device)
        lengths[torch.from_numpy(forest.place).to(mask.device)[real]] = rows[real]
        self.lengths = lengths.view(forest.tokens.shape)

    def add(self, embeddings: Any, args: tuple[Any, ...], output: torch.Tensor) -> torch.Tensor:
        """A hook behind the embeddings' forward."""
        if not embeddings.training or self.lengths is None:
            return output
        largest = self.alpha / (self.lengths * output.size(-1)).to(output.dtype).sqrt()
        return output + torch.empty_like(output).uniform_(-1, 1) * largest[..., None]


@contextmanager
def noise_on_embeddings(model: Any, alpha: float | None) -> Iterator[None]:
    """Inside the block the model's embeddings gain noise while it trains; none where `alpha` is null."""
    if alpha is None:
        yield
        return
    backbone = causal_model(model).base_model
    noise = RowNoise(alpha)
    hooks = [
        backbone.register_forward_pre_hook(noise.note_rows, with_kwargs=True),
        backbone.get_input_embeddings().register_forward_hook(noise.add),
    ]
    setattr(backbone, NOISE, noise)
    try:
        yield
    finally:
        delattr(backbone, NOISE)
        for hook in hooks:
            hook.remove()
