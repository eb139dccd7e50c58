"""A step's examples in as few forward passes as a budget of computed tokens allows.

    16 pairs of two prompts, budget 2,048 tokens:   one forward for the first prompt's 12 pairs, one for the 4 others

Examples per forward pass say little about memory once prompts are shared: twelve pairs of one dialogue are one path and
nine replies. So a packed trainer takes a step's examples at once, and this cuts them by what they cost, in their order
(`training/micro_batches.py` trains the parts). Also the sizes of the shared-prefix forward: light, so that a plan can
ask.
"""

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar

# Nodes of one block of attention: fewer compute fewer masked cells, and their scores stay in the processor's cache
# (9 heads, 96 nodes and 500 keys in float32: 1.7 MB); more make larger matrix products.
BLOCK = 96
SCORED = 4  # a pass without gradients keeps one layer's activations, and computes so many times as many tokens
# Rows join a tree when at least this share of the shorter one is common. Less (a system prompt, say) is not worth the
# wider attention mask.
SHARED_SHARE = 0.5
KEPT_LOGITS = 2**27  # bytes of logits of one forward pass that a CPU's head keeps for the backward pass
KEPT_WEIGHTS = 2**25  # bytes of probabilities that one layer's block attention keeps for the backward pass
REPLIES = 2**30  # bytes of keys and values of the replies that are written at once, see `reply_memory`


def reply_memory(memory_gb: float | None) -> int:
    """Bytes of keys and values of the replies that are written at once, with `hardware.memory_gb` for everything."""
    return REPLIES if memory_gb is None else min(REPLIES, int(memory_gb * 2**30) // 8)


Tokens = Sequence[int]
E = TypeVar("E")
C = TypeVar("C", contravariant=True)


class Counter(Protocol[C]):
    """Counts the tokens that a forest computes for the examples added so far."""

    @property
    def count(self) -> int: ...

    def begins_like(self, example: C) -> bool:
        """Whether most of what the example begins with is computed already."""

    def add(self, example: C) -> None: ...


def split_by_tokens(examples: Sequence[Sequence[Tokens]], budget: int) -> list[list[int]]:
    """Indices of the examples, in `cut` parts of at most `budget` distinct prefixes.

    An example is the sequences that are computed together for it: one conversation, or a chosen and a rejected row.
    """
    return [part for part, _ in cut(examples, budget, Prefixes)]


def cut(examples: Sequence[E], budget: int, counter: Callable[[], Counter[E]]) -> list[tuple[list[int], int]]:
    """Indices of the examples in their order, cut where the next one would bring a part over `budget` tokens, and the
    tokens that each part computes.

    One that is over the budget on its own gets a part of its own. Neighbours that begin alike are not cut apart where a
    part holds them all: what they share would be computed twice.
    """

    def counted(indices: Iterable[int]) -> Counter[E]:
        made = counter()
        for index in indices:
            made.add(examples[index])
        return made

    found: list[tuple[list[int], int]] = []
    part: list[int] = []
    tokens, alike, begun = counter(), counter(), 0  # alike: those from `begun` in the part, which begin like the last
    before = 0  # tokens of the part up to `begun`
    for index, example in enumerate(examples):
        size = tokens.count
        if not alike.begins_like(example):
            alike, begun, before = counter(), len(part), size
        tokens.add(example)
        alike.add(example)
        part.append(index)
        if tokens.count > budget and len(part) > 1:
            whole = begun > 0 and alike.count <= budget
            at, cost = (begun, before) if whole else (len(part) - 1, size)
            found.append((part[:at], cost))
            part, begun, before = part[at:], 0, 0
            tokens, alike = counted(part), counted(part)
    return [*found, (part, tokens.count)] if part else found


class Prefixes:
    """The distinct prefixes of the sequences added so far: how many tokens a forest computes for them."""

    def __init__(self) -> None:
        self.count = 0
        self._rows: list[bytes] = []  # sorted, so that no row shares more with another than with a neighbour

    def begins_like(self, sequences: Sequence[Tokens]) -> bool:
        first = sequences[0]
        return self._known(_as_bytes(first))[1] >= SHARED_SHARE * len(first)

    def add(self, sequences: Iterable[Tokens]) -> None:
        for sequence in sequences:
            row = _as_bytes(sequence)
            at, known = self._known(row)
            self._rows.insert(at, row)
            self.count += len(sequence) - known

    def _known(self, row: bytes) -> tuple[int, int]:
        """The row's place among the others, and how many of its first tokens one of them begins with."""
        at = bisect_left(self._rows, row)
        return at, max((common(row, other, TOKEN) for other in self._rows[max(at - 1, 0) : at + 1]), default=0)


TOKEN = array("I").itemsize  # bytes of a token in `_as_bytes`


def _as_bytes(tokens: Tokens) -> bytes:
    return array("I", tokens).tobytes()


def common(first: bytes, second: bytes, size: int) -> int:
    """How many tokens of `size` bytes that two rows begin with are equal: by halves, because C compares bytes."""
    low, high = 0, min(len(first), len(second)) // size
    while low < high:
        middle = (low + high + 1) // 2
        if first[low * size : middle * size] == second[low * size : middle * size]:
            low = middle
        else:
            high = middle - 1
    return low


def count_first_batch(examples: Sequence[Sequence[Tokens]], batch: int, budget: int) -> tuple[int, int]:
    """(real tokens of the examples, tokens computed for them), in steps of `batch` cut within `budget`."""
    asked = computed = 0
    for start in range(0, len(examples), batch):
        step = examples[start : start + batch]
        asked += sum(len(sequence) for sequences in step for sequence in sequences)
        computed += sum(cost for _, cost in cut(step, budget, Prefixes))
    return asked, computed
