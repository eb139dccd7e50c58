"""Replies as a server writes them: many prompts at once; rows that end leave, and waiting prompts take their place.

Prompts enter as a forest (`packing.forest`), so that what they have in common is computed once. Then each step computes
one token of every row in a single packed row, so that all layers but attention see one matrix product. Keys and values
lie in slots of fixed size and are written in place; the LM head reads the last position alone.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edu_align.config.schema import GenerationConfig
from edu_align.models.sharding import head_logits, is_sharded
from edu_align.packing.backends import attend_to_ancestors, enable_forest_attention, unpackable_reason, unread_masks
from edu_align.packing.decoder import causal_model
from edu_align.packing.families import layer_windows
from edu_align.packing.forest import build_forest

ROWS = 96  # that are written at once: a step of more takes longer in proportion
PROMPT_TOKENS = 4096  # of the prompts that enter in one forward pass
MEMORY = 2**30  # bytes of keys and values
REFILL = 8  # a waiting prompt enters once at least this share (an eighth) of the rows is free


def writes_exactly(model: Any) -> bool:
    """Whether the engine's replies are those of transformers' `generate`: what packing is exact for, on a CPU."""
    return model.device.type == "cpu" and not is_sharded(model) and unpackable_reason(model) is None


@dataclass
class Row:
    """A reply on its way: the place of its prompt among all, the prompt's ids, and what was written of it."""

    number: int
    prompt: Sequence[int]
    written: list[int] = field(default_factory=list)

    @property
    def length(self) -> int:
        return len(self.prompt) + len(self.written)


class Memory:
    """Keys and values of the rows that are written, (slots, K, length, D) a layer; row i lies in slot i.

    `entering`: (slot, places of its prompt's tokens in the packed row) while prompts enter. `lengths` (N,): tokens of
    each row that lie in memory when a step begins; `hidden`: for each window a bias (N, 1, 1, width), 0 where the row's
    new token may attend to the key.
    """

    def __init__(self, slots: int, length: int, windows: set[int | None]) -> None:
        self.slots, self.length, self.windows = slots, length, windows
        self.layers: dict[int, tuple[Any, Any]] = {}
        self.entering: list[tuple[int, Any]] = []
        self.lengths: Any = None
        self.hidden: dict[int | None, Any] = {}

    def begin_step(self, lengths: Sequence[int]) -> None:
        """Make ready for one token more of each row."""
        import torch

        self.lengths = torch.tensor(lengths)
        self.rows, self.width = torch.arange(len(lengths)), max(lengths) + 1
        behind = self.lengths[:, None] - torch.arange(self.width)  # (N, width): how far a key lies behind its token
        for window in self.windows:
            seen = (behind >= 0) if window is None else (behind >= 0) & (behind < window)
            bias = torch.zeros(seen.shape).masked_fill_(~seen, float("-inf"))
            self.hidden[window] = bias[:, None, None]

    def _layer(self, number: int, key: Any, value: Any) -> tuple[Any, Any]:
        if number not in self.layers:
            self.layers[number] = tuple(
                each.new_zeros(self.slots, each.shape[1], self.length, each.shape[3]) for each in (key, value)
            )
        return self.layers[number]

    def write(self, number: int, key: Any, value: Any) -> None:
        """Keep `key` and `value` (1, K, W, D) of a layer: of the entering prompts, or of one token of each row."""
        for kept, new in zip(self._layer(number, key, value), (key, value), strict=True):
            for slot, place in self.entering:
                kept[slot, :, : len(place)] = new[0][:, place]
            if not self.entering:
                kept[self.rows, :, self.lengths] = new[0].transpose(0, 1)

    def attend(self, number: int, query: Any, scale: float, window: int | None) -> Any:
        """`query` (1, H, N, D) of one token a row -> (1, N, H, D)."""
        import torch

        keys, values = (kept[: query.shape[2], :, : self.width] for kept in self.layers[number])
        heads, many, depth = query.shape[1:]
        shared = keys.shape[1]
        # The query heads of a key head stand where SDPA expects the tokens of a row, so that no key is repeated.
        asking = query[0].transpose(0, 1).reshape(many, shared, heads // shared, depth)
        bias = self.hidden[window] = self.hidden[window].to(query.dtype)  # once a step
        found = torch.nn.functional.scaled_dot_product_attention(asking, keys, values, attn_mask=bias, scale=scale)
        return found.reshape(1, many, heads, -1)

    def move(self, source: int, target: int, length: int) -> None:
        """The row in slot `source` takes the slot `target`."""
        for layer in self.layers.values():
            for kept in layer:
                kept[target, :, :length] = kept[source, :, :length]


class Engine:
    """Writes replies with `model`, in eval mode, by the sampling `settings`; `ends` are the tokens that end one."""

    def __init__(self, model: Any, settings: GenerationConfig, ends: Sequence[int]) -> None:
        self.model, self.settings, self.ends = model, settings, frozenset(ends)
        self.causal = causal_model(model)
        self.backbone = self.causal.base_model
        enable_forest_attention(self.causal)
        self.forward = getattr(self.backbone, "unpacked_forward", self.backbone.forward)

    def write(self, prompts: Sequence[Sequence[int]]) -> Iterator[tuple[int, int | None]]:
        """(number of a prompt, next token of its reply) as they are drawn; None for the token where a reply has ended.

        Prompts are token ids. Closing the iterator stops the work.
        """
        import torch

        waiting = deque(Row(i, ids) for i, ids in sorted(enumerate(prompts), key=lambda each: (len(each[1]), each[0])))
        new, longest = self.settings.max_new_tokens, max(map(len, prompts))
        slots = max(1, min(ROWS, len(prompts), MEMORY // (self._token_bytes() * (longest + new))))
        memory = Memory(slots, longest + new, set(layer_windows(self.causal.config).values()))
        rows: list[Row] = []
        while rows or waiting:
            free = slots - len(rows)
            with torch.no_grad():
                if waiting and free and (free >= slots // REFILL or not rows):
                    first = len(rows)
                    rows += _entering(waiting, free)
                    drawn = self._draw(rows[first:], self._read_prompts(rows[first:], first, memory))
                else:
                    first = 0
                    drawn = self._draw(rows, self._step(rows, memory))
            ended = []
            for i, token in enumerate(drawn, first):
                row = rows[i]
                over = token in self.ends
                if not over:
                    row.written.append(token)
                    yield row.number, token
                if over or len(row.written) == new:
                    ended.append(i)
                    yield row.number, None
            for i in reversed(ended):
                last = rows.pop()
                if i < len(rows):
                    memory.move(len(rows), i, last.length)
                    rows[i] = last

    def _token_bytes(self) -> int:
        """Bytes of one token's keys and values in all layers."""
        config = self.causal.config
        width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        return int(2 * config.num_hidden_layers * config.num_key_value_heads * width * self.causal.dtype.itemsize)

    def _read_prompts(self, rows: Sequence[Row], first: int, memory: Memory) -> Any:
        """Logits (n, V) after the prompts of `rows`, which lie in the slots from `first` on then."""
        import torch

        width = max(len(row.prompt) for row in rows)
        ids, mask = np.zeros((len(rows), width), dtype=np.int64), np.zeros((len(rows), width), dtype=np.int64)
        for i, row in enumerate(rows):
            ids[i, : len(row.prompt)], mask[i, : len(row.prompt)] = row.prompt, 1
        forest = build_forest(ids, mask, one_row=True)
        places = [torch.from_numpy(forest.place[i, : len(row.prompt)]) for i, row in enumerate(rows)]
        memory.entering = list(enumerate(places, first))
        hidden = self.forward(
            input_ids=torch.from_numpy(forest.tokens),
            position_ids=torch.from_numpy(forest.positions),
            use_cache=False,
            memory=memory,
            **attend_to_ancestors(forest, "blocks", self.causal.config, "cpu"),
        ).last_hidden_state
        memory.entering = []
        return head_logits(self.causal, hidden[0, torch.stack([place[-1] for place in places])])

    def _step(self, rows: Sequence[Row], memory: Memory) -> Any:
        """Logits (N, V) after the last token that was written of each row."""
        import torch

        lengths = [row.length - 1 for row in rows]
        memory.begin_step(lengths)
        hidden = self.forward(
            input_ids=torch.tensor([[row.written[-1] for row in rows]]),
            position_ids=torch.tensor([lengths]),
            use_cache=False,
            memory=memory,
            attention_mask=unread_masks(self.causal.config, "cpu"),
        ).last_hidden_state
        return head_logits(self.causal, hidden[0])

    def _draw(self, rows: Sequence[Row], logits: Any) -> list[int]:
        """The next token of each row: the likeliest, or one by the settings, as transformers would draw it."""
        import torch

        settings = self.settings
        if settings.repetition_penalty != 1:
            from transformers import RepetitionPenaltyLogitsProcessor

            penalty = RepetitionPenaltyLogitsProcessor(settings.repetition_penalty)
            logits = torch.cat(
                [
                    penalty(torch.tensor([[*row.prompt, *row.written]]), each[None].float())
                    for row, each in zip(rows, logits, strict=True)
                ]
            )
        if settings.temperature == 0:
            return list(logits.argmax(dim=-1).tolist())
        from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

        logits = TemperatureLogitsWarper(settings.temperature)(None, logits.float())
        if settings.top_k:
            logits = TopKLogitsWarper(settings.top_k)(None, logits)
        if settings.top_p < 1:
            logits = TopPLogitsWarper(settings.top_p)(None, logits)
        return list(torch.multinomial(torch.softmax(logits, dim=-1), 1)[:, 0].tolist())


def _entering(waiting: deque[Row], free: int) -> list[Row]:
    """The next prompts, at most `free` and of at most PROMPT_TOKENS together, but one."""
    found: list[Row] = []
    tokens = 0
    while waiting and len(found) < free:
        tokens += len(waiting[0].prompt)
        if found and tokens > PROMPT_TOKENS:
            break
        found.append(waiting.popleft())
    return found
