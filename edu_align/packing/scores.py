"""Log-probabilities of labels under a frozen LM head on a CPU, with few passes over the logits.

TRL's portable head folds 8,192 columns of the vocabulary at a time and adds up the gradient of the hidden states in
float32; on a CPU that is much of a training step. Here some rows are scored against the whole vocabulary at once:
a softmax needs no rescaling, the gradient of a row is one product, and the passes over the logits go by tiles that stay
in the processor's cache. The backward pass takes the first logits from the forward pass, up to a bound, and computes
the others again. The outputs are TRL's, and the tests hold them against TRL's.
"""

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
