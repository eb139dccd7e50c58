"""Pairs under a margin and a cap, subsets, and TRL's rows."""

from collections import Counter
from itertools import combinations, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edu_align.data.pairs import _closing, best_reply, in_steps, subsample, training_pairs
from edu_align.records import Message, Pair, Response, ResponseGroup
from edu_align.utils.errors import UserError


def group(scores: list[float], name: str = "g", **meta: str) -> ResponseGroup:
    responses = tuple(Response(f"reply {i}", score, author=f"a{i}") for i, score in enumerate(scores))
    return ResponseGroup((Message("user", "2 + 3?"),), responses, name, "test", name, dict(meta))


def prompts_of(sizes: dict[str, int]) -> list[Pair]:
    return [Pair(group([1, 0], name), 0, 1) for name, size in sizes.items() for _ in range(size)]


def named(pairs: list[Pair]) -> str:
    return "".join(pair.group.id for pair in pairs)


def test_steps_hold_whole_prompts() -> None:
    pairs = prompts_of({"a": 3, "b": 2, "c": 9, "d": 4, "e": 2})
    orders = [named(in_steps(pairs, 4, seed)) for seed in range(30)]
    whole = ["aaaccccccccc", "bbee", "dddd"]
    assert set(orders) == {"".join(order) for order in permutations(whole)}
    assert orders == [named(in_steps(pairs, 4, seed)) for seed in range(30)]
    assert named(in_steps(prompts_of({"a": 3, "b": 2, "d": 4}), 4, 0)) == "dddd" + "aaa" + "bb", "what is short is last"


SIZES = st.lists(st.integers(1, 12), max_size=12)


@given(SIZES, st.integers(1, 9), st.integers(0, 3))
def test_steps_keep_every_pair_and_the_order_within_a_prompt(sizes: list[int], batch_size: int, seed: int) -> None:
    pairs = prompts_of({chr(97 + i): size for i, size in enumerate(sizes)})
    ordered = in_steps(pairs, batch_size, seed)
    assert sorted(map(id, ordered)) == sorted(map(id, pairs))
    names = named(ordered)
    assert len([name for i, name in enumerate(names) if names[i - 1 : i] != name]) == len(sizes), "neighbours"


@given(SIZES.filter(bool), st.integers(1, 9))
def test_the_fewest_prompts_that_make_whole_steps(sizes: list[int], step: int) -> None:
    choices = [(0, *more) for count in range(len(sizes)) for more in combinations(range(1, len(sizes)), count)]
    whole = [chosen for chosen in choices if sum(sizes[i] for i in chosen) % step == 0]
    chosen = _closing(sizes, step)
    assert len(chosen) == min(map(len, whole), default=0)
    assert chosen in [*whole, ()]


def test_margin() -> None:
    pairs = training_pairs([group([8, 5, 4, 0])], 4, None, 0)
    assert [(p.chosen, p.rejected) for p in pairs] == [(0, 2), (0, 3), (1, 3), (2, 3)]
    assert training_pairs([group([1, 1])], 1, None, 0) == []


def test_cap_spreads_over_replies_before_it_repeats_one() -> None:
    pairs = training_pairs([group([8, 8, 7, 1, 0, 0])], 4, 3, seed=1)
    used = Counter(i for p in pairs for i in (p.chosen, p.rejected))
    assert used == dict.fromkeys(range(6), 1)
    assert pairs[0].margin == 8


def test_cap_is_seeded_and_local_to_a_group() -> None:
    groups = [group([8, 8, 8, 8, 0, 0, 0, 0], f"g{i}") for i in range(20)]
    one = training_pairs(groups, 4, 2, seed=1)
    assert one == training_pairs(groups, 4, 2, seed=1) != training_pairs(groups, 4, 2, seed=2)
    assert one[2:4] == training_pairs(groups[1:2], 4, 2, seed=1)
    assert len({(pair.chosen, pair.rejected) for pair in one}) > 2
    assert len(one) == 40


def test_leaking_replies_are_not_chosen_but_may_be_rejected() -> None:
    judged = [group([8, 5, 0], unfit_to_learn="a0,a2")]
    assert len(training_pairs(judged, 3, None, 0, drop_unfit_chosen=False)) == 3
    assert [(p.chosen, p.rejected) for p in training_pairs(judged, 3, None, 0)] == [(1, 2)]
    record = best_reply(group([3, 8, 8], unfit_to_learn="a1"))
    assert record.messages == (Message("user", "2 + 3?"), Message("assistant", "reply 2", train=True))
    assert record.meta == {"author": "a2"}


def test_subsample() -> None:
    items = list(range(50))
    some = subsample(items, 10, seed=0)
    assert some == sorted(set(some))
    assert len(some) == 10
    assert some != subsample(items, 10, seed=1)
    assert subsample(items, None, 0) == subsample(items, 50, 0) == items


def test_errors() -> None:
    for margin in (0, -1, float("nan")):
        with pytest.raises(UserError, match=r"`dataset\.margin` must be > 0"):
            training_pairs([], margin, None, 0)
    with pytest.raises(UserError, match=r"`dataset\.max_pairs_per_group` must be >= 1 or null, got 0"):
        training_pairs([], 1, 0, 0)
    with pytest.raises(UserError, match="must be >= 1 or null, got 0"):
        subsample([1], 0, 0)
