"""How much of each source a run trains on: `dataset.weights` and `dataset.max_per_source`.

    300 records of a source, weight 0.5     150 of them, drawn
    weight 2.5                              all of them twice, and 150 drawn ones once more
    weight 2, max_per_source 400            all of them once, and 100 drawn ones once more

A record is a conversation, or a prompt with all of its pairs. A source's draw depends on the seed and its own records
alone. Only the training part is mixed: what is validated and measured on stays as it is.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby
from random import Random
from typing import Any

from edu_align.records import Graded, LabelledReply, Pair

Example = Any  # a conversation, or what refers to a group of replies as `group` (a pair, a labelled or graded reply)


def record_of(example: Example) -> Any:
    """The record that an example is made of."""
    return example.group if isinstance(example, Pair | LabelledReply | Graded) else example


def mixed(
    examples: Sequence[Example], weights: Mapping[str, float], most: Mapping[str, int], seed: int
) -> list[Example]:
    """The examples by weight and cap of their source, those of one record next to each other, in an order drawn by
    `seed`; as they are where there is neither. A source has at least one record.
    """
    if not weights and not most:
        return list(examples)
    by_source: dict[str, list[list[Example]]] = {}
    for _, members in groupby(examples, key=lambda example: record_of(example).id):
        record = list(members)
        by_source.setdefault(record_of(record[0]).source, []).append(record)
    taken: list[list[Example]] = []
    for source, records in by_source.items():
        wanted = max(math.floor(weights.get(source, 1.0) * len(records) + 0.5), 1)
        whole, rest = divmod(min(wanted, most.get(source, wanted)), len(records))
        drawn = sorted(Random(f"{seed}:{source}").sample(range(len(records)), rest))
        taken += [*records * whole, *(records[index] for index in drawn)]
    Random(seed).shuffle(taken)
    return [example for record in taken for example in record]


def describe(examples: Sequence[Example], available: Mapping[str, int], noun: str) -> str:
    """`used of each source: mathdial 40 conversations (40 of 80 records), bridge ...`; "" where there is one source.

    `available`: records of each source in the training part.
    """
    many = Counter(record_of(example).source for example in examples)
    distinct = Counter(source for source, _ in {(record_of(each).source, record_of(each).id) for each in examples})
    sources = [*available, *(name for name in many if name not in available)]
    if len(sources) < 2:
        return ""
    each = (
        f"{name} {many[name]} {noun} ({distinct[name]} of {available.get(name, distinct[name])} records)"
        for name in sources
    )
    return f"used of each source: {', '.join(each)}"
