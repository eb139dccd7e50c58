"""Conversations as rows of token ids and labels, and what is done with one that is too long.

Where the template rewrites earlier turns, a conversation is several rows (`models.trained_turns`). A long row becomes
several windows, cut between turns and never inside one.

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

from edu_align.cache.run_cache import RunCache, code_content, tokenizer_content
from edu_align.cache.store import TENSORS, Arrays, ragged, rows_of
from edu_align.models.chat_template import IGNORED, TemplateError
from edu_align.models.trained_turns import Row as TrainedRow
from edu_align.models.trained_turns import encode_dialogue
from edu_align.records import Conversation, Message
from edu_align.training.template_notes import TemplateNotes
from edu_align.utils.hashing import digest

Row = dict[str, Any]
Messages = tuple[Message, ...]
KIND = "tokenized conversations"


@dataclass
class Counts:
    """What became of the conversations: `long` were over max_length, `lost_turns` trained turns fit no window.

    `apart`: became several rows because the template rewrites earlier turns. `rows`: how many rows each of them became,
    in their order.
    """

    conversations: int = 0
    long: int = 0
    windows: int = 0
    lost_turns: int = 0
    dropped: int = 0
    apart: int = 0
    template: TemplateNotes = field(default_factory=TemplateNotes)
    rows: list[int] = field(default_factory=list)

    def lines(self, mode: str, max_length: int) -> list[str]:
        """What is to be said of them; nothing where every conversation was used whole."""
        lines = self.template.lines("conversations")
        if self.apart:
            lines.append(
                f"edu_align: the chat template rewrites earlier turns, so {self.apart} conversations are several rows "
                f"each ({sum(self.rows)} rows in all): a trained turn is trained as it is written when it is the last"
            )
        return [*lines, *filter(None, [self.describe(mode, max_length)])]

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
        try:
            encoded = encode_dialogue(tokenizer, conversation.messages)
        except TemplateError as error:
            counts.template.refuse(error, conversation.id)
            counts.rows.append(0)
            continue
        counts.template.add(encoded, conversation.id)
        counts.apart += len(encoded.rows) > 1
        long = any(len(row.ids) > max_length for row in encoded.rows)
        counts.long += long
        if long and mode == "drop":
            counts.rows.append(0)
            continue
        pieces = [piece for row in encoded.rows for piece in _fitted(tokenizer, row, max_length, mode, counts)]
        kept = [piece for piece in pieces if any(label != IGNORED for label in piece["labels"][1:])]
        rows += kept
        counts.dropped += not kept
        counts.rows.append(len(kept))
    return rows, counts


def _fitted(tokenizer: Any, row: TrainedRow, max_length: int, mode: str, counts: Counts) -> list[Row]:
    """The row as rows of at most `max_length` tokens; what is lost is counted."""
    if len(row.ids) <= max_length or mode != "window":
        return [{"input_ids": row.ids[:max_length], "labels": row.labels[:max_length]}]

    def length(turns: Sequence[Message]) -> int:
        try:
            return max((len(each.ids) for each in encode_dialogue(tokenizer, turns).rows), default=0)
        except TemplateError:  # turns that the template does not take in this order
            return max_length + 1

    found = cut_windows(row.turns, max_length, length)
    parts = [part for window in found.windows for part in encode_dialogue(tokenizer, window).rows]
    counts.lost_turns += found.lost_turns
    counts.windows += len(parts)
    return [{"input_ids": part.ids, "labels": part.labels} for part in parts]


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

    turns = [[talk.id, [[turn.role, turn.content, turn.train] for turn in talk.messages]] for talk in conversations]
    key = digest(tokenizer_content(tokenizer), code_content(), turns, max_length, mode)
    arrays, facts = cache.get_or_compute(KIND, key, TENSORS, compute)
    if fresh:
        return fresh[0]
    columns = (rows_of(arrays, name) for name in ("input_ids", "labels"))
    counts = Counts(**{**facts, "template": TemplateNotes(**facts["template"])})
    return [{"input_ids": ids, "labels": labels} for ids, labels in zip(*columns, strict=True)], counts


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
