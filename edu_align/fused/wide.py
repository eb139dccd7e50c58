"""A frozen weight and an adapter's second matrix side by side, so that their products are added before rounding.

In 16 bits, PEFT rounds W x, then s B A x, then their sum. Wherever the adapter's part is smaller than half a step of
the number format beside W x (a 512th of it in bfloat16), the sum is W x again: a young adapter, whose part is small
everywhere, is mostly lost, and training is slower for it. One product over both,

    [x, A x] [W, s B]^T,

keeps the sum in float32 and rounds once.
"""

from typing import Any

import torch


def beside(holder: Any, weight: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """[weight, second], (out, in + r) for weight (out, in) and second (out, r), in the weight's dtype.

    The copy of the weight is kept on `holder` and made again where the weight changed; the second matrix is written
    anew in every call, so autograd must not keep what is returned.
    """
    width = weight.shape[1]
    made_from = (weight.data_ptr(), weight._version, weight.shape[0], width + second.shape[1])
    kept = holder.__dict__.get("_wide")
    if kept is None or kept[0] != made_from:
        kept = (made_from, weight.new_empty(made_from[2:]))
        kept[1][:, :width] = weight
        holder.__dict__["_wide"] = kept
    kept[1][:, width:] = second
    return kept[1]
