"""Log-probabilities of labels under a frozen LM head on a CPU, with few passes over the logits.

TRL's portable head folds 8,192 columns of the vocabulary at a time and adds up the gradient of the hidden states in
float32; on a CPU that is much of a training step. Here some rows are scored against the whole vocabulary at once:
a softmax needs no rescaling, the gradient of a row is one product, and the passes over the logits go by tiles that stay
in the processor's cache. The backward pass takes the first logits from the forward pass, up to a bound, and computes
the others again. The outputs are TRL's, and the tests hold them against TRL's.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from edu_align.packing.budget import KEPT_LOGITS

ROWS = 512  # rows of one product with the head: 512 x 49,152 logits in bfloat16 are 48 MB
TILE = 32  # rows of one pass over the logits: 32 x 49,152 in float32 are 6 MB

Outputs = tuple[Any, ...]


def label_scores(hidden: torch.Tensor, weight: torch.Tensor, labels: torch.Tensor, wanted: tuple[str, ...]) -> Outputs:
    """(log_probs, entropy, log_sum_sq_probs, mean_logits, is_top1), each (N,), None where not in `wanted`.

    `hidden` (N, H), `weight` (V, H) without gradient, `labels` (N,). Only log_probs is differentiable.
    """
    return _LabelScores.apply(hidden, weight, labels, wanted)


class _LabelScores(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, labels: torch.Tensor, wanted: tuple[str, ...]
    ) -> Outputs:
        device = hidden.device.type
        ctx.dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype
        tiles, ctx.kept, held = [], [], 0
        with torch.autocast(device, enabled=False):
            columns = weight.to(ctx.dtype).t()
            for rows, labelled in zip(hidden.split(ROWS), labels.split(ROWS), strict=True):
                logits = rows.to(ctx.dtype) @ columns
                tiles += [
                    _tile(product, part, wanted)
                    for product, part in zip(logits.split(TILE), labelled.split(TILE), strict=True)
                ]
                held += logits.nbytes
                if ctx.needs_input_grad[0] and held <= KEPT_LOGITS:
                    ctx.kept.append(logits)
        normalizer, *outputs = (None if column[0] is None else torch.cat(column) for column in zip(*tiles, strict=True))
        ctx.save_for_backward(hidden, weight, labels, normalizer)
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(*(output for output in outputs[1:] if output is not None))
        return tuple(outputs)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor | None, *_: Any) -> tuple[Any, ...]:
        hidden, weight, labels, normalizer = ctx.saved_tensors
        if gradient is None:
            return None, None, None, None
        result = torch.empty_like(hidden)
        with torch.autocast(hidden.device.type, enabled=False):
            frozen = weight.to(ctx.dtype)
            for number, start in enumerate(range(0, len(labels), ROWS)):
                rows = slice(start, start + ROWS)
                known = number < len(ctx.kept)
                logits = ctx.kept[number] if known else hidden[rows].to(ctx.dtype) @ frozen.t()
                slopes = torch.empty_like(logits)
                columns = (logits, slopes, gradient[rows], normalizer[rows], labels[rows])
                for part, slope, given, total, label in zip(*(column.split(TILE) for column in columns), strict=True):
                    steps = given.float()[:, None]
                    probabilities = torch.sub(part.float(), total[:, None]).exp_()
                    slope.copy_(probabilities.mul_(-steps).scatter_add_(1, label[:, None], steps))
                result[rows] = slopes @ frozen
        return result, None, None, None


def _tile(product: torch.Tensor, labels: torch.Tensor, wanted: tuple[str, ...]) -> Outputs:
    """The log of the softmax's sum, and the five outputs, of some rows."""
    logits = product.float()
    largest = logits.amax(dim=-1)
    target = logits.gather(1, labels[:, None]).squeeze(1)
    mean = logits.mean(dim=-1) if "mean_logits" in wanted else None
    weights = torch.sub(logits, largest[:, None]).exp_()
    total = weights.sum(dim=-1)
    normalizer = largest + total.log()
    entropy = squares = None
    if "entropy" in wanted:
        entropy = normalizer - (weights * logits).sum(dim=-1) / total
    if "log_sum_sq_probs" in wanted:
        squares = weights.square().sum(dim=-1).log() - 2 * total.log()
    top = None
    if "is_top1" in wanted:
        top = target >= largest
        top[top.clone()] = logits[top].argmax(dim=-1) == labels[top]  # of equal logits the first one counts
    return normalizer, target - normalizer, entropy, squares, mean, top


KEY_WIDTH = 3  # hidden units that a row is looked up by; equality is then checked on all of them


def score_labels_once() -> None:
    """Let TRL's fused LM head score labelled positions only, equal ones once, on every device; safe to repeat."""
    import trl.trainer.utils as trl_utils

    internals: Any = trl_utils
    internals._use_triton = lambda device: True
    if not isinstance(internals._ChunkedLogProbFunction, _ScoreDistinctRows):
        internals._ChunkedLogProbFunction = _ScoreDistinctRows(internals._ChunkedLogProbFunction)


class _ScoreDistinctRows:
    """Stands in for TRL's autograd function; `apply` has its arguments and its results."""

    wanted: Outputs | None = None  # what is computed whatever TRL asks for, see `log_probs_only`

    def __init__(self, function: Any) -> None:
        self.function = function

    def apply(self, hidden: Any, weight: Any, bias: Any, labels: Any, *options: Any) -> Any:
        """`hidden` (N, H) and `labels` (N,): N values an output, computed for the distinct rows among them."""
        kept, back = distinct_rows(hidden.detach(), labels)
        if len(kept) == len(labels):
            return self._scored(hidden, weight, bias, labels, *options)
        outputs = self._scored(hidden[kept], weight, bias, labels[kept], *options)
        return tuple(None if values is None else values[back] for values in outputs)

    def _scored(self, hidden: Any, weight: Any, bias: Any, labels: Any, *options: Any) -> Any:
        """Our own head where it does the same in less time: on a CPU, frozen, with logits as they are."""
        *how, asked = options
        temperature, _, softcap, scale = how
        wanted = asked if self.wanted is None else self.wanted
        plain = bias is None and softcap is None and temperature == 1 and scale == 1
        if len(labels) and hidden.device.type == "cpu" and plain and not weight.requires_grad:
            return label_scores(hidden, weight, labels, wanted)
        return self.function.apply(hidden, weight, bias, labels, *how, wanted)


@contextmanager
def log_probs_only() -> Iterator[None]:
    """Inside the block TRL's head computes log-probabilities and nothing else, which is all that is read of a reference
    model: an entropy takes two passes more over the logits, a mean another one.
    """
    before, _ScoreDistinctRows.wanted = _ScoreDistinctRows.wanted, ("log_probs",)
    try:
        yield
    finally:
        _ScoreDistinctRows.wanted = before


def distinct_rows(hidden: Any, labels: Any) -> tuple[Any, Any]:
    """Indices (M,) of one row for each distinct (hidden, label), and (N,) which of them every row equals.

    Where rows agree in their key but not throughout, every row is kept.
    """
    import torch

    every = torch.arange(len(labels), device=labels.device)
    if len(labels) == 0:
        return every, every
    keys = torch.cat([labels[:, None].double(), hidden[:, :KEY_WIDTH].double()], dim=1)
    unique, back = torch.unique(keys, dim=0, return_inverse=True)
    kept = torch.empty(len(unique), dtype=torch.long, device=labels.device).scatter_(0, back, every)
    if not torch.equal(hidden, hidden[kept][back]):
        return every, every
    return kept, back
