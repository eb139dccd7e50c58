"""Attention over a forest in blocks: a block of nodes and the keys that it may see, and nothing else is computed.

    p: prompt, a b c: replies          keys ->
                                  p p p p a a b b c
    a dense mask computes      p  # . . . . . . . .
    every cell; blocks skip    p  # # . . . . . . .
    what no node of them       b  # # # # . . # . .     block {b b}: keys p p p p, b b
    may see                    b  # # # # . . # # .

It stands in for SDPA's kernel, whose backward is the largest single part of a CPU's step and computes masked cells too.
Scores and softmax are float32, products with them in the dtype of the inputs. Key heads that several query heads share
(grouped-query attention) are not repeated. The probabilities are kept for the backward pass up to KEPT_WEIGHTS bytes a
call, and computed again beyond that.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from edu_align.packing.budget import BLOCK, KEPT_WEIGHTS
from edu_align.packing.forest import Tree

Ranges = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Block:
    """Nodes `start` to `stop` of packed row `row`, and the ranges of nodes that at least one of them may attend to.

    `bias`: float32 (stop - start, n), 0 where the node may attend to the key and -inf elsewhere, for the last n of the
    keys; every node may attend to all keys before them. None where there is no such key.
    """

    row: int
    start: int
    stop: int
    keys: Ranges
    bias: torch.Tensor | None

    @cached_property
    def mask(self) -> torch.Tensor | None:
        """The bias for all keys."""
        if self.bias is None:
            return None
        before = sum(stop - start for start, stop in self.keys) - self.bias.shape[1]
        return torch.nn.functional.pad(self.bias, (before, 0))


def blocks_of(trees: Iterable[Tree], size: int = BLOCK) -> list[Block]:
    """The blocks of each tree, of at most `size` nodes; no block holds nodes of two trees."""
    found = []
    for tree in trees:
        for start in range(0, len(tree.seen), size):
            allowed = tree.seen[start : start + size]
            seen = allowed.any(axis=0)
            part = allowed[:, seen]
            part = part[:, int(part.all(axis=0).argmin()) :]  # from the first key that is hidden from a node
            bias = None if part.all() else torch.from_numpy(np.where(part, np.float32(0), np.float32("-inf")))
            keys = tuple((tree.start + a, tree.start + b) for a, b in _ranges(seen))
            begin = tree.start + start
            found.append(Block(tree.row, begin, begin + len(allowed), keys, bias))
    return found


def _ranges(seen: Any) -> Ranges:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], seen, [False]]).astype(np.int8)))
    return tuple((int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True))


def block_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float, blocks: Sequence[Block]
) -> torch.Tensor:
    """Attention of `query` (R, H, W, D) to `key`, `value` (R, K, W, D), H a multiple of K, as (R, W, H, D).

    Nodes outside the blocks (the padding of a row) get 0.
    """
    return _BlockAttention.apply(query, key, value, scale, blocks)


def block_inference(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float, blocks: Sequence[Block]
) -> torch.Tensor:
    """`block_attention` by SDPA's kernel, which keeps nothing for a backward pass: in bfloat16 a third of the time."""
    rows, heads, width, depth = query.shape
    out = query.new_zeros(rows, width, heads, depth)
    for block in blocks:
        asking = query[block.row : block.row + 1, :, block.start : block.stop]
        keys, values = _seen(key, block)[None], _seen(value, block)[None]
        found = torch.nn.functional.scaled_dot_product_attention(
            asking, keys, values, attn_mask=block.mask, scale=scale, enable_gqa=True
        )
        out[block.row, block.start : block.stop] = found[0].transpose(0, 1)
    return out


class _BlockAttention(torch.autograd.Function):
    """softmax(scale * q k^T + bias) v, block by block."""

    @staticmethod
    def forward(
        ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float, blocks: Sequence[Block]
    ) -> torch.Tensor:
        rows, heads, width, depth = query.shape
        out = query.new_zeros(rows, width, heads, depth)
        kept: list[torch.Tensor | None] = []
        room = KEPT_WEIGHTS if any(ctx.needs_input_grad) else 0
        with torch.autocast(query.device.type, enabled=False):
            for block in blocks:
                weights = _weights(_query_rows(query, block, key.shape[1]), _seen(key, block), scale, block)
                part = torch.matmul(weights, _seen(value, block))
                out[block.row, block.start : block.stop] = part.view(heads, -1, depth).transpose(0, 1)
                fits = weights.nbytes <= room
                kept.append(weights if fits else None)
                room -= weights.nbytes if fits else 0
        ctx.save_for_backward(query, key, value, *kept)
        ctx.scale, ctx.blocks = scale, blocks
        return out

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[Any, ...]:
        query, key, value, *kept = ctx.saved_tensors
        shared = key.shape[1]
        grads = torch.zeros_like(query), torch.zeros_like(key), torch.zeros_like(value)
        with torch.autocast(query.device.type, enabled=False):
            for block, weights in zip(ctx.blocks, kept, strict=True):
                given = _rows(gradient, block, shared).permute(1, 2, 0, 3).reshape(shared, -1, query.shape[-1])
                given = given.to(query.dtype)
                asking, keys, values = _query_rows(query, block, shared), _seen(key, block), _seen(value, block)
                if weights is None:
                    weights = _weights(asking, keys, ctx.scale, block)
                _add(grads[2], block, torch.matmul(weights.transpose(1, 2), given))
                inner = torch.matmul(given, values.transpose(1, 2))
                inner = torch._softmax_backward_data(inner, weights, -1, weights.dtype)
                part = torch.matmul(inner, keys).view(shared, -1, block.stop - block.start, query.shape[-1])
                grads[0][block.row].view(shared, -1, *query.shape[2:])[:, :, block.start : block.stop] = part
                _add(grads[1], block, torch.matmul(inner.transpose(1, 2), asking))
            for part in grads[:2]:
                part.mul_(ctx.scale)
        return (*grads, None, None)


def _weights(asking: torch.Tensor, keys: torch.Tensor, scale: float, block: Block) -> torch.Tensor:
    """(K, G * b, n): the probabilities with which queries (K, G * b, D) attend to keys (K, n, D)."""
    unread = asking.new_empty(1, dtype=torch.float32)  # a factor of 0 keeps it out
    with _exact_products(asking):
        scores = torch.baddbmm(unread, asking.float(), keys.float().transpose(1, 2), beta=0, alpha=scale)
    if block.bias is not None:
        hidden = scores.shape[-1] - block.bias.shape[1]
        scores.view(len(keys), -1, len(block.bias), scores.shape[-1])[..., hidden:].add_(block.bias)
    return torch.softmax(scores, -1).to(asking.dtype)


@contextmanager
def _exact_products(query: torch.Tensor) -> Iterator[None]:
    """Let float32 products run on bfloat16 units where their factors are bfloat16: nothing is rounded but the sum."""
    if query.dtype != torch.bfloat16 or query.device.type != "cpu":
        yield
        return
    matmul: Any = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before, matmul.fp32_precision = matmul.fp32_precision, "bf16"
    try:
        yield
    finally:
        matmul.fp32_precision = before


def _query_rows(query: torch.Tensor, block: Block, shared: int) -> torch.Tensor:
    """(K, G * b, D): the block's queries, with the G query heads of a key head behind each other."""
    part = query[block.row, :, block.start : block.stop]
    return part.reshape(shared, -1, query.shape[-1])


def _seen(keys: torch.Tensor, block: Block) -> torch.Tensor:
    """(K, n, D): the keys, or values, that the block may see."""
    row = keys[block.row]
    if len(block.keys) == 1:
        return row[:, block.keys[0][0] : block.keys[0][1]]
    return torch.cat([row[:, a:b] for a, b in block.keys], dim=1)


def _rows(out: torch.Tensor, block: Block, shared: int) -> torch.Tensor:
    """(b, K, G, D): the block's part of (R, W, H, D)."""
    part = out[block.row, block.start : block.stop]
    return part.view(*part.shape[:1], shared, -1, part.shape[-1])


def _add(total: torch.Tensor, block: Block, part: torch.Tensor) -> None:
    """Add (K, n, D) to the keys of (R, K, W, D) that the block sees."""
    at = 0
    for a, b in block.keys:
        total[block.row, :, a:b] += part[:, at : at + b - a]
        at += b - a
