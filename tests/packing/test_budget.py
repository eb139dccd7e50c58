"""Steps cut by tokens: the parts, and that the cut changes no number."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edu_align.packing.budget import Prefixes, count_first_batch, split_by_tokens

SEQUENCES = st.lists(st.integers(1, 3), min_size=1, max_size=9)
EXAMPLES = st.lists(st.tuples(SEQUENCES, SEQUENCES), min_size=1, max_size=9)
LOGGED = (
    "loss", "grad_norm", "rewards/margins", "rewards/accuracies", "rewards/chosen", "logps/chosen", "entropy",
    "mean_token_accuracy", "num_tokens",
)  # fmt: skip


def distinct(sequences: Any) -> int:
    return len({tuple(sequence[: end + 1]) for sequence in sequences for end in range(len(sequence))})


def test_pairs_of_one_prompt_cost_it_once() -> None:
    prompt = [1, 2, 3, 4]
    pairs = [([*prompt, 5], [*prompt, 6]), ([*prompt, 5], [*prompt, 7]), ([9, 9, 9], [9, 9, 8])]
    assert split_by_tokens(pairs, 7) == [[0, 1], [2]]
    assert split_by_tokens(pairs, 11) == [[0, 1, 2]]
    assert split_by_tokens(pairs, 1) == [[0], [1], [2]], "what is over the budget alone gets a pass of its own"
    assert count_first_batch(pairs, 3, 7) == (26, 7 + 4)


def test_pairs_of_one_prompt_are_not_cut_apart() -> None:
    first, second = [1, 2, 3, 4], [5, 6, 7, 8]
    pairs = [([*first, 1], [*first, 2]), ([*second, 1], [*second, 2]), ([*second, 1], [*second, 3])]
    assert split_by_tokens(pairs, 12) == [[0], [1, 2]]
    assert count_first_batch(pairs, 3, 12) == (30, 6 + 7)
    assert split_by_tokens(pairs[1:], 6) == [[0], [1]], "a prompt that no part holds is cut"
    assert split_by_tokens(pairs, 6) == [[0], [1], [2]]
    assert split_by_tokens([], 6) == []
    apart = [pairs[1], pairs[0], pairs[2]]  # one that begins like an earlier one is no reason to cut earlier
    assert split_by_tokens(apart, 12) == [[0, 1], [2]]


@given(EXAMPLES, st.integers(1, 30))
def test_parts_keep_the_order_and_the_budget(examples: list[Any], budget: int) -> None:
    parts = split_by_tokens(examples, budget)
    assert [index for part in parts for index in part] == list(range(len(examples)))
    for part, following in zip(parts, [*parts[1:], None], strict=True):
        cost = distinct(sequence for index in part for sequence in examples[index])
        assert cost <= budget or len(part) == 1
        if following is not None:
            over = 1
            while distinct(s for index in [*part, *following[:over]] for s in examples[index]) <= budget:
                over += 1
                assert over <= len(following)
            moved = [examples[index] for index in following[:over]]
            for i, (first, _) in enumerate(moved[1:], 1):
                begun = {tuple(s[:end]) for pair in moved[:i] for s in pair for end in range(len(s) + 1)}
                assert tuple(first[: -(-len(first) // 2)]) in begun, "no part ends before it must, or its prompt must"


@given(st.lists(SEQUENCES, max_size=9))
def test_prefixes_count_distinct_ones(sequences: list[list[int]]) -> None:
    prefixes = Prefixes()
    prefixes.add(sequences)
    assert prefixes.count == distinct(sequences)


def logged(folder: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if "loss" in line]


@pytest.mark.parametrize("trainer", ["sft", pytest.param("dpo", marks=pytest.mark.slow)])
def test_the_losses_are_those_of_an_uncut_and_of_an_unpacked_run(trainer: str, train: Any) -> None:
    """A golden trajectory: packing off; on in one pass a step; on, cut into passes of unequal size."""
    words = [f"trainer={trainer}", "evaluation.enabled=false", "trainer.max_length=512", "trainer.batch_size=6"]
    words += ["cache_gb=0"]  # each run counts its own pass of the reference model
    sizes = {"off": 6, "whole": 6, "cut": 2 if trainer == "sft" else 1}
    runs = {
        name: train(
            *words, f"run_name=budget-{trainer}-{name}", f"hardware.per_device_batch_size={size}",
            f"hardware.packing={'off' if name == 'off' else 'on'}",
        )
        for name, size in sizes.items()
    }  # fmt: skip
    off, whole, cut = (logged(runs[name].path) for name in sizes)
    assert len(off) == len(whole) == len(cut) == 3
    compared = 0
    for lines in zip(off, whole, cut, strict=True):
        for key in LOGGED:
            values = [line[key] for line in lines if key in line]
            assert values == pytest.approx(values[:1] * len(values), rel=2e-4, abs=1e-5), (trainer, key, lines)
            compared += len(values) == 3
    assert compared >= (27 if trainer == "dpo" else 15)
    assert runs["whole"].sharing.computed <= runs["cut"].sharing.computed
    assert runs["off"].sharing.computed == 0


@pytest.mark.parametrize("backend", ["dense", "blocks"])
def test_full_fine_tuning_under_autocast_is_packed_too(backend: str, train: Any) -> None:
    """float32 weights in a bfloat16 run: queries and keys come in another dtype than values."""
    done = train(
        "trainer=dpo", "adapter=full", "hardware.dtype=bfloat16", f"hardware.packing_backend={backend}",
        "evaluation.enabled=false", f"run_name=budget-full-{backend}", "hardware.packing=on",
    )  # fmt: skip
    assert done.record["state"] == "finished"
    assert done.sharing.computed > 0
    assert next(line["loss"] for line in logged(done.path)) == pytest.approx(0.6931, abs=0.02)


def test_a_run_says_what_packing_saves(train: Any, capsys: Any) -> None:
    done = train("trainer=dpo", "evaluation.enabled=false", "run_name=budget-said", "dataset.max_eval_records=1")
    said = capsys.readouterr().out
    line = next(line for line in said.splitlines() if line.startswith("edu_align: packing: "))
    _, asked, computed = (int(word) for word in line.replace(",", "").split() if word.isdigit())
    assert asked > computed > 0
    assert "prompts in a step" in said
    assert done.record["data"]["batch_size"] == 4
    assert 1 <= done.record["data"]["prompts_per_step"] <= 4
    assert done.record["metrics"]["train/shared_prefix_ratio"] > 1


def test_pairs_can_be_drawn_at_random(typed: Any) -> None:
    from edu_align.data.datamodule import training_data

    words = ["trainer=dpo", "evaluation.enabled=false", "dataset.max_train_records=null"]
    grouped, mixed = (training_data(typed(*words, f"trainer.batching={how}"), set()) for how in ("prompts", "pairs"))
    key = [(pair.group.id, pair.chosen, pair.rejected) for pair in grouped.train]
    other = [(pair.group.id, pair.chosen, pair.rejected) for pair in mixed.train]
    assert sorted(key) == sorted(other)
    assert key != other
    assert (grouped.prompts_per_step() or 0) < (mixed.prompts_per_step() or 0)
