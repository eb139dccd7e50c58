"""A step's examples among several processes: all of them, cut as evenly as their tokens allow."""

import os
import random
from typing import Any

import pytest
import torch

from edu_align.models.chat_template import IGNORED
from edu_align.packing.budget import Prefixes
from edu_align.training.batches import whole_step
from edu_align.training.shares import deal
from edu_align.utils.distributed import rank
from tests.together import together


def tokens(part: list[int], examples: Any) -> int:
    counted = Prefixes()
    for index in part:
        counted.add(examples[index])
    return counted.count


def drawn(seed: int, many: int) -> list[list[list[int]]]:
    """Pairs of a chosen and a rejected row; neighbours share a prompt now and then."""
    draw = random.Random(seed)
    prompt, found = [0], []
    for index in range(many):
        if draw.random() < 0.4:
            prompt = [draw.randrange(99) for _ in range(draw.randint(5, 60))]
        found.append([prompt + [100 + index, side] * draw.randint(1, 20) for side in (0, 1)])
    return found


@pytest.mark.parametrize("processes", [2, 3, 4])
@pytest.mark.parametrize("seed", range(20))
def test_every_example_has_one_place(seed: int, processes: int) -> None:
    examples = drawn(seed, random.Random(seed).randint(1, 24))
    budget = random.Random(-seed).randint(40, 900)
    dealt = deal(examples, budget, processes)
    assert sorted(index for passes in dealt for part in passes for index in part) == list(range(len(examples)))
    assert len(dealt) == processes
    assert all(len(part) == 1 or tokens(part, examples) <= budget for passes in dealt for part in passes)
    if len(examples) >= processes:
        most = max(map(len, dealt))
        assert all(len(passes) >= most - (len(examples) < most * processes) for passes in dealt)
        assert dealt == deal(examples, budget, processes)


def test_a_step_that_fits_into_one_pass_is_shared() -> None:
    examples = [[[7] * 3 + [index] * 30] for index in range(8)]
    assert [len(passes) for passes in deal(examples, 10_000, 2)] == [1, 1]
    assert sorted(len(passes[0]) for passes in deal(examples, 10_000, 2)) == [4, 4]
    assert [len(passes) for passes in deal(examples[:1], 10_000, 2)] == [1, 0]


def test_no_process_computes_much_more_than_another() -> None:
    """Beside a long example in the middle of short ones: as even as one cut makes it, for neighbours stay together."""
    lengths = [400, 20, 30, 50, 90, 60, 80, 70]
    for seed in range(10):
        mixed = random.Random(seed).sample(lengths, len(lengths))
        examples = [[[length] * length] for length in mixed]
        sizes = [sum(tokens(part, examples) for part in passes) for passes in deal(examples, 10_000, 2)]
        assert max(sizes) == min(max(sum(mixed[:at]), sum(mixed[at:])) for at in range(1, len(mixed)))


def test_all_processes_have_the_examples_of_all() -> None:
    """Two examples of one, none of another, one of the third; of two sides, padded to the longest."""
    rows = [[[1, 2], [3, 4], [5, 6], [7, 8]], [], [[9, 9, 9], [8, 8, 8]]]

    def work(mesh: Any) -> None:
        own = rows[rank()]
        width = len(own[0]) if own else 5
        ids = torch.tensor(own).view(-1, width)
        mine = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids + 10}
        mine["ref_logps"] = torch.arange(len(own) // 2) + 100.0 * rank()
        found = whole_step(mine, 2)
        pad = [0] * (max(width, 5) - 2)
        assert found["input_ids"][0].tolist() == [1, 2, *pad]
        assert found["input_ids"][:, 0].tolist() == [1, 3, 9, 5, 7, 8]
        assert found["attention_mask"].sum(dim=1).tolist() == [2, 2, 3, 2, 2, 3]
        assert found["labels"][0].tolist() == [11, 12, *[IGNORED] * len(pad)]
        assert found["ref_logps"].tolist() == [0.0, 1.0, 200.0]

    together(3, work)
    assert "RANK" not in os.environ
