"""Conversations as rows of token ids and labels, and what is done with one that is too long.

A long one becomes several windows, cut between turns and never inside one.

    max_length holds about five turns; u: user, a: assistant, (a): context that is not trained again

    s u0 a0 u1 a1 u2 a2 u3 a3   ->   s u0 a0 u1 a1      first window
                                     s u0 (a1) u2 a2    the task again, then the turns that follow
                                     s u0 (a2) u3 a3

The task is everything before the first trained turn (rules, worked example, task) where that takes at most half of
`max_length`, else the system turn and the first user turn. The last reply before a window is repeated as context, so
that user and assistant still alternate, which several chat templates demand.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from edu_align.cache.keys import code_content, tokenizer_content
from edu_align.cache.run_cache import RunCache
from edu_align.cache.store import TENSORS, Arrays, ragged, rows_of
from edu_align.models.chat_template import IGNORED, encode
from edu_align.records import Conversation, Message
from edu_align.utils.hashing import digest

Row = dict[str, Any]
Messages = tuple[Message, ...]
KIND = "tokenized conversations"


@dataclass
class Counts:
    """What became of the conversations: `long` were over max_length, `lost_turns` trained turns fit no window.

    `rows`: how many rows each of them became, in their order.
    """

    conversations: int = 0
    long: int = 0
    windows: int = 0
    lost_turns: int = 0
    dropped: int = 0
    rows: list[int] = field(default_factory=list)

    def describe(self, mode: str, max_length: int) -> str:
        """One line, "" where every conversation was used whole."""
        if not self.long and not self.dropped:
            return ""
        done = {
            "window": f"cut between turns into {self.windows} windows",
            "truncate": "cut at their end",
            "drop": "left out",
        }
        parts = [f"{self.long} of {self.conversations} conversations are longer than trainer.max_length={max_length}"]
        parts += [f"{done[mode]} (trainer.long_conversations={mode})"] if self.long else []
        if self.lost_turns:
            parts.append(f"{self.lost_turns} trained turns are too long for a window of their own and left out")
        if self.dropped:
            parts.append(f"{self.dropped} conversations have no trained token left and are left out")
        return "edu_align: " + "; ".join(parts)


def sft_rows(
    tokenizer: Any, conversations: Sequence[Conversation], max_length: int, mode: str = "truncate"
) -> tuple[list[Row], Counts]:
    """Rows {input_ids, labels} of at most `max_length` tokens, and what became of the conversations.

    `mode` is what is done with a longer conversation: window (several rows, see `cut_windows`), truncate (its end is
    lost) or drop. Rows without a trained token are left out.
    """
    rows: list[Row] = []
    counts = Counts(conversations=len(conversations))
    for conversation in conversations:
        ids, labels = encode(tokenizer, conversation.messages)
        pieces = [{"input_ids": ids, "labels": labels}]
        if len(ids) > max_length:
            counts.long += 1
            if mode == "drop":
                counts.rows.append(0)
                continue
            if mode == "window":
                pieces, lost = _windows(tokenizer, conversation.messages, max_length)
                counts.lost_turns += lost
                counts.windows += len(pieces)
            else:
                pieces = [{"input_ids": ids[:max_length], "labels": labels[:max_length]}]
        kept = [row for row in pieces if any(label != IGNORED for label in row["labels"][1:])]
        rows += kept
        counts.dropped += not kept
        counts.rows.append(len(kept))
    return rows, counts


def _windows(tokenizer: Any, messages: Sequence[Message], max_length: int) -> tuple[list[Row], int]:
    def length(turns: Sequence[Message]) -> int:
        return len(encode(tokenizer, turns)[0])

    found = cut_windows(messages, max_length, length)
    encoded = (encode(tokenizer, window) for window in found.windows)
    return [{"input_ids": ids, "labels": labels} for ids, labels in encoded], found.lost_turns


def cached_sft_rows(
    cache: RunCache | None, tokenizer: Any, conversations: Sequence[Conversation], max_length: int, mode: str
) -> tuple[list[Row], Counts]:
    """What `sft_rows` makes of the conversations, computed now or earlier."""
    if cache is None or not cache.on:
        return sft_rows(tokenizer, conversations, max_length, mode)
    fresh: list[tuple[list[Row], Counts]] = []

    def compute() -> tuple[Arrays, dict[str, Any]]:
        fresh.append(sft_rows(tokenizer, conversations, max_length, mode))
        rows, counts = fresh[0]
        columns = (ragged(name, [row[name] for row in rows]) for name in ("input_ids", "labels"))
        return {key: array for column in columns for key, array in column.items()}, asdict(counts)

    turns = [[[turn.role, turn.content, turn.train] for turn in talk.messages] for talk in conversations]
    key = digest(tokenizer_content(tokenizer), code_content(), turns, max_length, mode)
    arrays, facts = cache.get_or_compute(KIND, key, TENSORS, compute)
    if fresh:
        return fresh[0]
    columns = (rows_of(arrays, name) for name in ("input_ids", "labels"))
    return [{"input_ids": ids, "labels": labels} for ids, labels in zip(*columns, strict=True)], Counts(**facts)


@dataclass(frozen=True)
class Windows:
    """The windows of one conversation, and how many of its trained turns fit into none."""

    windows: tuple[Messages, ...]
    lost_turns: int


def cut_windows(messages: Sequence[Message], max_length: int, length: Callable[[Sequence[Message]], int]) -> Windows:
    """Windows of at most `max_length` tokens; each trained turn that fits into one is trained in exactly one.

    `length` counts the tokens of a rendered dialogue. The pieces are exchanges: an assistant turn and the user turn
    before it. A window starts with the task where that and one exchange fit, else with the system turn where that
    does, else with nothing. A trained turn whose exchange is longer than `max_length` on its own is left out.
    """
    turns = tuple(messages)
    if not any(turn.train for turn in turns):
        return Windows((), 0)
    ends = [i + 1 for i, turn in enumerate(turns) if turn.role == "assistant"]
    begin = int(turns[0].role == "system")
    spans = list(zip([begin, *ends][:-1], ends, strict=True))
    estimates = _estimates(turns, length)
    windows: list[Messages] = []
    lost = number = 0
    while number < len(spans):
        start, after = spans[number][0], number
        if not any(turn.train for turn in turns[slice(*spans[number])]):
            number += 1  # nothing to train on here, so nothing begins here
            continue
        for head in _heads(turns, start, max_length, estimates):
            after = _last_fitting(turns, head, spans, number, max_length, length, estimates)
            if after > number:
                windows.append((*_untrained(turns, head), *turns[start : spans[after - 1][1]]))
                break
        else:
            lost += sum(turn.train for turn in turns[slice(*spans[number])])
            after = number + 1
        number = after
    return Windows(tuple(windows), lost)


def _estimates(turns: Messages, length: Callable[[Sequence[Message]], int]) -> list[float]:
    """About how many tokens each turn takes: its characters' share of the whole. Every window is counted exactly."""
    sizes = [len(turn.content) + 8 for turn in turns]  # 8: what a template writes around a turn, in characters
    rate = length(turns) / sum(sizes)
    return [size * rate for size in sizes]


def _heads(turns: Messages, start: int, max_length: int, estimates: Sequence[float]) -> list[list[int]]:
    """What may stand before the exchange at `start`, as positions, the fullest first."""
    system = [0] if turns[0].role == "system" else []
    task_end = next((i + 1 for i, turn in enumerate(turns) if turn.role == "user"), 0)
    opening_end = next(i for i, turn in enumerate(turns) if turn.train)
    candidates = []
    if start <= opening_end:
        candidates.append(list(range(start)))
    elif sum(estimates[:opening_end]) <= max_length / 2:
        candidates.append(sorted({*range(opening_end), start - 1}))
    if start > task_end:
        candidates.append(sorted({*range(task_end), start - 1}))
    candidates += [system, []]
    return [head for i, head in enumerate(candidates) if head not in candidates[:i]]


def _last_fitting(
    turns: Messages,
    head: Sequence[int],
    spans: Sequence[tuple[int, int]],
    number: int,
    max_length: int,
    length: Callable[[Sequence[Message]], int],
    estimates: Sequence[float],
) -> int:
    """The number after the last exchange that fits behind `head`; `number` itself where not even one does."""
    start, after = spans[number][0], number + 1
    used = sum(estimates[i] for i in head)
    while after < len(spans) and used + sum(estimates[start : spans[after][1]]) <= max_length:
        after += 1
    while after > number:
        if length((*_untrained(turns, head), *turns[start : spans[after - 1][1]])) <= max_length:
            break
        after -= 1
    return after


def _untrained(turns: Messages, positions: Sequence[int]) -> Messages:
    return tuple(replace(turns[i], train=False) for i in positions)
