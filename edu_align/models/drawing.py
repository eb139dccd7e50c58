"""Tokens drawn by the sampling settings: from torch's generator, or each reply from a seed of its own.

With a seed of its own a reply is the same alone and beside others, as far as their logits are: one number in [0, 1) a
token, from the reply's generator, says where in the distribution its next token lies.
"""

from collections.abc import Sequence
from typing import Any

from edu_align.config.schema import GenerationConfig


def warped(logits: Any, settings: GenerationConfig) -> Any:
    """Logits (N, V) in float32 at the temperature, with -inf for what top_k and top_p leave out, as in transformers."""
    from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

    logits = TemperatureLogitsWarper(settings.temperature)(None, logits.float())
    if settings.top_k:
        logits = TopKLogitsWarper(settings.top_k)(None, logits)
    if settings.top_p < 1:
        logits = TopPLogitsWarper(settings.top_p)(None, logits)
    return logits


def generator(seed: int) -> Any:
    """A reply's own source of random numbers, on the CPU wherever the model is."""
    import torch

    return torch.Generator().manual_seed(seed)


def drawn(logits: Any, sources: Sequence[Any]) -> Any:
    """A token (N,) for each row of warped logits (N, V), by the `generator` of each."""
    import torch

    at = torch.stack([torch.rand((), generator=source, dtype=torch.float64) for source in sources])
    sums = torch.softmax(logits, dim=-1).double().cumsum(dim=-1)
    wanted = (at.to(sums.device) * sums[:, -1])[:, None]
    return torch.searchsorted(sums, wanted, right=True)[:, 0].clamp(max=logits.size(-1) - 1)


class SeededDraws:
    """A logits processor of transformers' `generate`: it draws by `drawn`, and leaves nothing else to draw."""

    def __init__(self, settings: GenerationConfig, seeds: Sequence[int]) -> None:
        self.settings = settings
        self.sources = [generator(seed) for seed in seeds]

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        import torch

        tokens = drawn(warped(scores, self.settings), self.sources)
        return torch.full_like(scores, float("-inf")).scatter(1, tokens[:, None], 0.0)
