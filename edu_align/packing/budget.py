"""A step's examples in as few forward passes as a budget of computed tokens allows.

    16 pairs of two prompts, budget 2,048 tokens:   one forward for the first prompt's 12 pairs, one for the 4 others

Examples per forward pass say little about memory once prompts are shared: twelve pairs of one dialogue are one path and
nine replies. So a packed trainer takes a step's examples at once, and this cuts them by what they cost, in their order
(`trainers/fitting.py` trains the parts).
"""

from collections.abc import Iterable, Sequence

from edu_align.packing.forest import SHARED_SHARE

Tokens = Sequence[int]


def parts_within(examples: Sequence[Sequence[Tokens]], budget: int) -> list[list[int]]:
    """Indices of the examples, cut where the next one would bring the distinct prefixes over `budget` tokens.

    An example is the sequences that are computed together for it: one conversation, or a chosen and a rejected row. One
    that is over the budget on its own gets a part of its own. Examples that begin alike are not cut apart where a part
    holds them all: what they share would be computed twice.
    """
    return [part for part, _ in _costed(examples, budget)]


def _costed(examples: Sequence[Sequence[Tokens]], budget: int) -> list[tuple[list[int], int]]:
    """The parts, and the tokens that each computes."""
    if not examples:
        return []
    found: list[tuple[list[int], int]] = []
    part, prefixes, alike = [0], _prefixes(examples[:1]), 0  # alike: where in `part` those begin that share most
    for index, sequences in enumerate(examples[1:], 1):
        if prefixes.known_of(sequences[0]) < SHARED_SHARE * len(sequences[0]):
            alike = len(part)
        before = prefixes.count
        prefixes.add(sequences)
        part.append(index)
        if prefixes.count <= budget:
            continue
        together = _prefixes([examples[i] for i in part[alike:]])
        if not alike or together.count > budget:
            found.append((part[:-1], before))
            part, prefixes = [index], _prefixes([sequences])
        else:
            found.append((part[:alike], _prefixes([examples[i] for i in part[:alike]]).count))
            part, prefixes = part[alike:], together
        alike = 0
    return [*found, (part, prefixes.count)]


class Prefixes:
    """The distinct prefixes of the sequences added so far: how many tokens a forest computes for them."""

    def __init__(self) -> None:
        self.known: dict[tuple[int, int], int] = {}

    @property
    def count(self) -> int:
        return len(self.known)

    def known_of(self, sequence: Tokens) -> int:
        """How many of the sequence's first tokens are there already."""
        node = -1
        for depth, token in enumerate(sequence):
            if (found := self.known.get((node, token))) is None:
                return depth
            node = found
        return len(sequence)

    def add(self, sequences: Iterable[Tokens]) -> None:
        for sequence in sequences:
            node = -1
            for token in sequence:
                node = self.known.setdefault((node, token), len(self.known))


def _prefixes(examples: Iterable[Sequence[Tokens]]) -> Prefixes:
    prefixes = Prefixes()
    for sequences in examples:
        prefixes.add(sequences)
    return prefixes


def first_look(examples: Sequence[Sequence[Tokens]], batch: int, budget: int) -> tuple[int, int]:
    """(real tokens of the examples, tokens computed for them), in steps of `batch` cut within `budget`."""
    asked = computed = 0
    for start in range(0, len(examples), batch):
        step = examples[start : start + batch]
        asked += sum(len(sequence) for sequences in step for sequence in sequences)
        computed += sum(cost for _, cost in _costed(step, budget))
    return asked, computed
