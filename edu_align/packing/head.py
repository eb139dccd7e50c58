"""The LM head under TRL: labelled positions only, and each of them once.

On CPU TRL's fused head scores prompts and padding too and drops them afterwards; its compact path, which it takes where
it has Triton, computes the same numbers. And a reply that stands in several pairs of a batch comes to the head several
times with the same hidden states. Both cost as much as the decoder when replies are many and the vocabulary is large.
"""

from typing import Any

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
        temperature, _, softcap, scale, wanted = options
        plain = bias is None and softcap is None and temperature == 1 and scale == 1
        if len(labels) and hidden.device.type == "cpu" and plain and not weight.requires_grad:
            from edu_align.packing.scores import label_scores

            return label_scores(hidden, weight, labels, wanted)
        return self.function.apply(hidden, weight, bias, labels, *options)


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
