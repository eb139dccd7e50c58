"""A model's work as a server does it: replies are written and rows scored in one queue, many at once.

Prompts and scored rows enter as a forest (`packing.forest`), so that what they have in common is computed once: a
dialogue whose replies are scored is not read again to be answered. Then each step computes one token of every reply in
a single packed row, so that all layers but attention see one matrix product; replies that end leave, and waiting
prompts take their place. Keys and values lie in slots of fixed size and are written in place; the LM head reads the
last position of a reply alone, and a labelled one once.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edu_align.config.schema import GenerationConfig
from edu_align.models.chat_template import IGNORED
from edu_align.models.drawing import drawn, generator, warped
from edu_align.models.queue import Queue, Work
from edu_align.models.sharding import head_logits, is_sharded, scaled_logits
from edu_align.packing.backends import attend_to_ancestors, enable_forest_attention, unpackable_reason, unread_masks
from edu_align.packing.budget import REPLIES
from edu_align.packing.decoder import causal_model
from edu_align.packing.families import layer_windows
from edu_align.packing.forest import Forest, build_forest
from edu_align.utils.memory import zeros_on_own_pages

ROWS = 96  # that are written at once: a step of more takes longer in proportion
PASS_TOKENS = 4096  # that one forward pass computes of the rows that enter
REFILL = 8  # prompts enter once at least this share (an eighth) of the slots is free
LENGTHS = 128  # slots grow by so many tokens
HEAD_ROWS = 512  # labelled positions of one product with the head
HEAD_TILE, HEAD_LOGITS = 32, 2**20  # positions of one pass over its logits; more of them where these are so many logits


def writes_exactly(model: Any) -> bool:
    """Whether the engine's replies are those of transformers' `generate`: what packing is exact for, on a CPU."""
    return model.device.type == "cpu" and not is_sharded(model) and unpackable_reason(model) is None


@dataclass(frozen=True)
class Token:
    """The next token of the reply to the prompt `number`; None where that reply has ended, by the token `end` unless it
    grew too long.
    """

    number: int
    token: int | None
    end: int | None = None


@dataclass(frozen=True)
class Score:
    """The log-probability (nats) of the labelled tokens of row `number`, and how many they are."""

    number: int
    logp: float
    tokens: int


@dataclass
class Reply:
    """A reply on its way: its prompt's number and ids, what was written of it, and by which random numbers."""

    number: int
    prompt: Sequence[int]
    written: list[int] = field(default_factory=list)
    source: Any = None  # of random numbers of its own

    @property
    def length(self) -> int:
        return len(self.prompt) + len(self.written)


class Memory:
    """Keys and values of the replies that are written, (slots, K, length, D) a layer; reply i lies in slot i.

    `entering`: (slot, places of its prompt's tokens in the packed row) while prompts enter. `lengths` (N,): tokens of
    each reply that lie in memory when a step begins; `hidden`: for each window a bias (N, 1, 1, width), 0 where the
    reply's new token may attend to the key, or None where it may to all.
    """

    def __init__(self, windows: set[int | None]) -> None:
        self.windows = windows
        self.slots = self.length = 0
        self.layers: dict[int, tuple[Any, Any]] = {}
        self.entering: list[tuple[int, Any]] = []
        self.lengths: Any = None
        self.places: dict[int, Any] = {}
        self.hidden: dict[int | None, Any] = {}

    def resize(self, slots: int, length: int, kept: int) -> None:
        """Give the first `kept` replies and those to come this much room."""
        if (slots, length) == (self.slots, self.length):
            return
        width = min(length, self.length)
        for number, layer in self.layers.items():
            grown = tuple(_empty_slots(slots, length, each) for each in layer)
            for new, old in zip(grown, layer, strict=True):
                new[:kept, :, :width] = old[:kept, :, :width]
            self.layers[number] = grown[0], grown[1]
        self.slots, self.length = slots, length

    def begin_step(self, lengths: Sequence[int]) -> None:
        """Make ready for one token more of each reply."""
        import torch

        self.lengths = torch.tensor(lengths)
        self.places, self.width = dict[int, Any](), max(lengths) + 1
        behind = self.lengths[:, None] - torch.arange(self.width)  # (N, width): how far a key lies behind its token
        for window in self.windows:
            seen = (behind >= 0) if window is None else (behind >= 0) & (behind < window)
            bias = torch.zeros(seen.shape).masked_fill_(~seen, float("-inf"))
            self.hidden[window] = None if seen.all() else bias[:, None, None]

    def _layer(self, number: int, key: Any, value: Any) -> tuple[Any, Any]:
        if number not in self.layers:
            self.layers[number] = (
                _empty_slots(self.slots, self.length, key),
                _empty_slots(self.slots, self.length, value),
            )
        return self.layers[number]

    def write(self, number: int, key: Any, value: Any) -> None:
        """Keep `key` and `value` (1, K, W, D) of a layer: of the entering prompts, or of one token of each reply."""
        if self.lengths is None and not self.entering:
            return
        for kept, new in zip(self._layer(number, key, value), (key, value), strict=True):
            for slot, place in self.entering:
                kept[slot, :, : len(place)] = new[0][:, place]
            if self.lengths is not None:
                many, depth = new.shape[1::2]
                kept.view(-1, depth).index_copy_(0, self._places(many), new[0].transpose(0, 1).reshape(-1, depth))

    def _places(self, heads: int) -> Any:
        """Where the step's tokens go in a layer of so many key heads, seen as (slots * heads * length) rows."""
        import torch

        if heads not in self.places:
            head = torch.arange(len(self.lengths) * heads)  # of all replies
            self.places[heads] = head * self.length + self.lengths.repeat_interleave(heads)
        return self.places[heads]

    def attend(self, number: int, query: Any, scale: float, window: int | None) -> Any:
        """`query` (1, H, N, D) of one token a reply -> (1, N, H, D)."""
        import torch

        keys, values = (kept[: query.shape[2], :, : self.width] for kept in self.layers[number])
        heads, many, depth = query.shape[1:]
        shared = keys.shape[1]
        # The query heads of a key head stand where SDPA expects the tokens of a row, so that no key is repeated.
        asking = query[0].transpose(0, 1).reshape(many, shared, heads // shared, depth)
        bias = self.hidden[window]
        if bias is not None and bias.dtype != query.dtype:  # once a step
            bias = self.hidden[window] = bias.to(query.dtype)
        found = torch.nn.functional.scaled_dot_product_attention(asking, keys, values, attn_mask=bias, scale=scale)
        return found.reshape(1, many, heads, -1)

    def move(self, source: int, target: int, length: int) -> None:
        """The reply in slot `source` takes the slot `target`."""
        for layer in self.layers.values():
            for kept in layer:
                kept[target, :, :length] = kept[source, :, :length]


def _empty_slots(slots: int, length: int, like: Any) -> Any:
    return zeros_on_own_pages((slots, like.shape[1], length, like.shape[3]), like.dtype)


class Engine:
    """Writes replies with `model`, in eval mode, by the sampling `settings`, and scores rows.

    `ends`: the tokens that end a reply. `memory`: bytes of keys and values; what does not fit waits, but one reply.
    Packed weights (`fused.inference`) may take as many again.
    `reading`, `writing`: seconds in passes of rows that entered, scores included, and in steps of replies.
    """

    def __init__(self, model: Any, settings: GenerationConfig, ends: Sequence[int], memory: int = REPLIES) -> None:
        from edu_align.fused.inference import Inference, can_infer

        self.model, self.settings, self.ends, self.memory = model, settings, frozenset(ends), memory
        self.causal = causal_model(model)
        self.backbone = self.causal.base_model
        enable_forest_attention(self.causal)
        fused = Inference(self.causal, memory) if can_infer(self.causal) else None
        self.forward: Any = fused or getattr(self.backbone, "unpacked_forward", self.backbone.forward)
        self.head = fused.head if fused else None
        self.reading = self.writing = 0.0

    def write(self, prompts: Sequence[Sequence[int]]) -> Iterator[tuple[int, int | None]]:
        """(number of a prompt, next token of its reply) as they are drawn; None for the token where a reply has ended.

        Prompts are token ids. Closing the iterator stops the work.
        """
        for event in self.run([Work(i, ids) for i, ids in enumerate(prompts)]):
            if isinstance(event, Token):
                yield event.number, event.token

    def run(self, work: Sequence[Work]) -> Iterator[Token | Score]:
        """Scores and tokens of replies, as they are there. Closing the iterator stops the work."""
        import torch

        queue = Queue(work, PASS_TOKENS)
        memory, replies = Memory(set(layer_windows(self.causal.config).values())), list[Reply]()
        left = sum(row.labels is None for row in work)  # prompts that have not entered yet
        while replies or queue:
            slots, length = self._room(memory.length if replies else 0, queue.longest, len(replies) + left)
            free, began = slots - len(replies), time.perf_counter()
            with torch.no_grad():
                if queue and (not replies or free >= min(slots, max(queue.asked, queue.asked and slots // REFILL))):
                    first = len(replies)
                    entering = queue.enter(free, length - self.settings.max_new_tokens)
                    replies += [_reply(row) for row in entering if row.labels is None]
                    left -= len(replies) - first
                    if len(replies) > first:
                        memory.resize(slots, length, first)
                    logits, scores = self._enter(entering, first, memory)
                    tokens = self._draw(replies[first:], logits) if len(replies) > first else []
                    self.reading += time.perf_counter() - began
                    yield from scores
                else:
                    first = 0
                    tokens = self._draw(replies, self._step(replies, memory))
                    self.writing += time.perf_counter() - began
            ended = []
            for i, token in enumerate(tokens, first):
                reply = replies[i]
                over = token in self.ends
                if not over:
                    reply.written.append(token)
                    yield Token(reply.number, token)
                if over or len(reply.written) == self.settings.max_new_tokens:
                    ended.append(i)
                    yield Token(reply.number, None, token if over else None)
            for i in reversed(ended):
                last = replies.pop()
                if i < len(replies):
                    memory.move(len(replies), i, last.length)
                    replies[i] = last

    def _room(self, now: int, longest: int, most: int) -> tuple[int, int]:
        """Slots and their length, where prompts of `longest` tokens are to enter beside slots of the length `now`."""
        length = max(now, -(-(longest + self.settings.max_new_tokens) // LENGTHS) * LENGTHS)
        return max(1, min(ROWS, most, self.memory // (self._token_bytes() * length))), length

    def _token_bytes(self) -> int:
        """Bytes of one token's keys and values in all layers."""
        config = self.causal.config
        width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        return int(2 * config.num_hidden_layers * config.num_key_value_heads * width * self.causal.dtype.itemsize)

    def _enter(self, rows: Sequence[Work], first: int, memory: Memory) -> tuple[Any, list[Score]]:
        """Logits (n, V) after those of `rows` that are to be answered, whose prompts lie in the slots from `first` on
        then, and the scores of the others.
        """
        import torch

        width = max(len(row.ids) for row in rows)
        ids, mask = np.zeros((len(rows), width), dtype=np.int64), np.zeros((len(rows), width), dtype=np.int64)
        for i, row in enumerate(rows):
            ids[i, : len(row.ids)], mask[i, : len(row.ids)] = row.ids, 1
        forest = build_forest(ids, mask, one_row=True)
        asked = [forest.place[i, : len(row.ids)] for i, row in enumerate(rows) if row.labels is None]
        memory.lengths = None
        memory.entering = [(slot, torch.from_numpy(place)) for slot, place in enumerate(asked, first)]
        hidden = self.forward(
            input_ids=torch.from_numpy(forest.tokens),
            position_ids=torch.from_numpy(forest.positions),
            use_cache=False,
            memory=memory,
            **attend_to_ancestors(forest, "blocks", self.causal.config, "cpu"),
        ).last_hidden_state[0]
        memory.entering = []
        logits = self._logits(hidden[[place[-1] for place in asked]]) if asked else None
        return logits, self._scores(rows, forest, hidden)

    def _scores(self, rows: Sequence[Work], forest: Forest, hidden: Any) -> list[Score]:
        """Scores of the labelled ones among `rows`, from the nodes' hidden states (W, H). What several rows ask of one
        node is computed once.
        """
        import torch

        nodes, labels, owners = [], [], []
        scored = [(i, row) for i, row in enumerate(rows) if row.labels is not None]
        for owner, (i, row) in enumerate(scored):
            labelled = np.asarray(row.labels)[1:]
            at = np.flatnonzero(labelled != IGNORED)
            nodes.append(forest.place[i, at])
            labels.append(labelled[at])
            owners.append(np.full(len(at), owner))
        if not scored:
            return []
        asked = np.stack([np.concatenate(nodes), np.concatenate(labels)])
        distinct, back = np.unique(asked, axis=1, return_inverse=True)
        found = label_logps(self.causal, hidden[torch.from_numpy(distinct[0])], torch.from_numpy(distinct[1]))
        places = np.concatenate(owners)
        sums = np.bincount(places, found.double().numpy()[back.reshape(-1)], len(scored))
        counts = np.bincount(places, minlength=len(scored))
        return [
            Score(row.number, float(logp), int(count))
            for (_, row), logp, count in zip(scored, sums, counts, strict=True)
        ]

    def _step(self, replies: Sequence[Reply], memory: Memory) -> Any:
        """Logits (N, V) after the last token that was written of each reply."""
        import torch

        lengths = [reply.length - 1 for reply in replies]
        memory.begin_step(lengths)
        hidden = self.forward(
            input_ids=torch.tensor([[reply.written[-1] for reply in replies]]),
            position_ids=torch.tensor([lengths]),
            use_cache=False,
            memory=memory,
            attention_mask=unread_masks(self.causal.config, "cpu"),
        ).last_hidden_state
        return self._logits(hidden[0])

    def _logits(self, hidden: Any) -> Any:
        """Logits (N, V) of hidden states (N, H)."""
        if self.head is None:
            return head_logits(self.causal, hidden)
        return scaled_logits(self.causal.config, self.head(hidden))

    def _draw(self, replies: Sequence[Reply], logits: Any) -> list[int]:
        """The next token of each reply: the likeliest, or one by the settings, as transformers would draw it."""
        import torch

        settings = self.settings
        if settings.repetition_penalty != 1:
            from transformers import RepetitionPenaltyLogitsProcessor

            penalty = RepetitionPenaltyLogitsProcessor(settings.repetition_penalty)
            logits = torch.cat(
                [
                    penalty(torch.tensor([[*reply.prompt, *reply.written]]), each[None].float())
                    for reply, each in zip(replies, logits, strict=True)
                ]
            )
        if settings.temperature == 0:
            return list(logits.argmax(dim=-1).tolist())
        logits = warped(logits, settings)
        if replies[0].source is not None:
            return list(drawn(logits, [reply.source for reply in replies]).tolist())
        return list(torch.multinomial(torch.softmax(logits, dim=-1), 1)[:, 0].tolist())


def _reply(row: Work) -> Reply:
    return Reply(row.number, row.ids, source=None if row.seed is None else generator(row.seed))


def label_logps(causal: Any, hidden: Any, labels: Any) -> Any:
    """Log-probability (N,) in float32 of each label after its hidden state (N, H), in few passes over the logits."""
    import torch

    found = []
    for rows, wanted in zip(hidden.split(HEAD_ROWS), labels.split(HEAD_ROWS), strict=True):
        logits = head_logits(causal, rows)
        size = max(HEAD_TILE, HEAD_LOGITS // logits.shape[1])
        for tile, part in zip(logits.split(size), wanted.split(size), strict=True):
            exact = tile.float()
            found.append(exact.gather(1, part[:, None])[:, 0] - torch.logsumexp(exact, dim=1))
    return torch.cat(found) if found else torch.zeros(0)
