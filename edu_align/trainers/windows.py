"""A conversation that is too long for the model as several windows, cut between turns and never inside one.

    max_length holds about five turns; u: user, a: assistant, (a): context that is not trained again

    s u0 a0 u1 a1 u2 a2 u3 a3   ->   s u0 a0 u1 a1      first window
                                     s u0 (a1) u2 a2    the task again, then the turns that follow
                                     s u0 (a2) u3 a3

The task is everything before the first trained turn (rules, worked example, task) where that takes at most half of
`max_length`, else the system turn and the first user turn. The last reply before a window is repeated as context, so
that user and assistant still alternate, which several chat templates demand.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from edu_align.data.records import Message

Messages = tuple[Message, ...]


@dataclass(frozen=True)
class Cut:
    """The windows of one conversation, and how many of its trained turns fit into none."""

    windows: tuple[Messages, ...]
    lost_turns: int


def cut(messages: Sequence[Message], max_length: int, length: Callable[[Sequence[Message]], int]) -> Cut:
    """Windows of at most `max_length` tokens; each trained turn that fits into one is trained in exactly one.

    `length` counts the tokens of a rendered dialogue. The pieces are exchanges: an assistant turn and the user turn
    before it. A window starts with the task where that and one exchange fit, else with the system turn where that
    does, else with nothing. A trained turn whose exchange is longer than `max_length` on its own is left out.
    """
    turns = tuple(messages)
    if not any(turn.train for turn in turns):
        return Cut((), 0)
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
    return Cut(tuple(windows), lost)


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
    taken = sum(estimates[i] for i in head)
    while after < len(spans) and taken + sum(estimates[start : spans[after][1]]) <= max_length:
        after += 1
    while after > number:
        if length((*_untrained(turns, head), *turns[start : spans[after - 1][1]])) <= max_length:
            break
        after -= 1
    return after


def _untrained(turns: Messages, positions: Sequence[int]) -> Messages:
    return tuple(replace(turns[i], train=False) for i in positions)
