"""A step's examples among several processes, so that each computes about as many tokens and none waits.

    16 pairs of two prompts, two processes   the 12 pairs of the first prompt are one pass of one process; or, where
                                             that is much more than the other 4, two passes, one in each

All processes learn all examples of a step, cut them alike, as one process would, into as many passes for each, and take
their own. Numbers of a pass stay where it was computed and are added up once a step; so memory that runs out in one
process is heard of by all at a place where none waits for another.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from edu_align.packing.budget import Prefixes, Tokens, cut
from edu_align.utils.distributed import count, every

Example = Sequence[Tokens]
Pass = tuple[list[int], int]  # indices of its examples, and the tokens that it computes
HALVINGS = 8  # of the budget, until no smaller one gives as few passes


def deal(examples: Sequence[Example], budget: int, processes: int) -> list[list[list[int]]]:
    """The passes of each process: indices of the examples in each, at most `budget` computed tokens where more than
    one. Processes have as many passes, or one less where no pass of more than one example is left to be cut.
    """
    passes = even_passes(examples, budget, processes)
    dealt: list[list[Pass]] = [[] for _ in range(processes)]
    most = -(-len(passes) // processes)
    for each in sorted(passes, key=lambda each: (-each[1], each[0])):
        free = (found for found in dealt if len(found) < most)
        min(free, key=lambda found: (sum(tokens for _, tokens in found), len(found))).append(each)
    return [sorted(part for part, _ in found) for found in dealt]


def even_passes(examples: Sequence[Example], budget: int, processes: int) -> list[Pass]:
    """As few passes as the budget allows and the processes can share, by the smallest budget that gives no more."""
    passes = cut(examples, budget, Prefixes)
    wanted = min(-(-len(passes) // processes) * processes, len(examples))
    everything = _cost(list(range(len(examples))), examples)
    low, high = everything // max(wanted, 1) - 1, min(budget, everything)
    for _ in range(HALVINGS):
        middle = (low + high) // 2
        tried = cut(examples, middle, Prefixes)
        if len(tried) <= wanted:
            passes, high = tried, middle
        else:
            low = middle
    return in_more_passes(passes, examples, wanted)


def in_more_passes(passes: list[Pass], examples: Sequence[Example], wanted: int) -> list[Pass]:
    """The passes, the largest of them in halves until there are so many; fewer where all are one example each."""
    found = list(passes)
    while len(found) < wanted and any(len(part) > 1 for part, _ in found):
        part, tokens = max((each for each in found if len(each[0]) > 1), key=lambda each: each[1])
        at = found.index((part, tokens))
        middle = _middle(part, examples)
        found[at : at + 1] = [(half, _cost(half, examples)) for half in (part[:middle], part[middle:])]
    return found


def in_step(parts: list[list[int]], examples: Sequence[Example]) -> list[list[int]]:
    """The parts of this process's own examples, in as many passes as the process with the most of them has."""
    most = max(every(len(parts)))
    return [part for part, _ in in_more_passes([(part, _cost(part, examples)) for part in parts], examples, most)]


def _middle(part: list[int], examples: Sequence[Example]) -> int:
    """Where to cut the part, so that the larger half has as few tokens as may be."""

    def larger(at: int) -> int:
        return max(_cost(part[:at], examples), _cost(part[at:], examples))

    return min(range(1, len(part)), key=larger)


def _cost(part: list[int], examples: Sequence[Example]) -> int:
    counted = Prefixes()
    for index in part:
        counted.add(examples[index])
    return counted.count


@contextmanager
def kept_apart(accelerator: Any) -> Iterator[None]:
    """Inside the block TRL's numbers of a pass are those of this process: what it gathers is what it has."""
    accelerator.gather = accelerator.gather_for_metrics = lambda value, *_, **__: value
    try:
        yield
    finally:
        del accelerator.gather, accelerator.gather_for_metrics


def average_gradients(model: Any) -> None:
    """The mean over the processes of every gradient, as DDP makes it where each pass is not its own sum."""
    import torch

    for parameter in model.parameters():
        if parameter.grad is not None:
            torch.distributed.all_reduce(parameter.grad)
            parameter.grad /= count()
