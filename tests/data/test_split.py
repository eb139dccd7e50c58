"""Groups, the hash rule, pinned records and the manifest."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping

import pytest

from edu_align.data.questions import history_key
from edu_align.data.split import side, split_records, with_groups
from edu_align.records import Conversation, Message, Record, Response, ResponseGroup
from edu_align.utils.errors import UserError


def crossing_groups(splits: Mapping[str, Iterable[Record]]) -> set[str]:
    """Groups that have records on more than one side."""
    sides = {(record.group, name) for name, records in splits.items() for record in records}
    return {group for group, count in Counter(group for group, _ in sides).items() if count > 1}


def group(ask: str, key: str, name: str, **meta: str) -> ResponseGroup:
    return ResponseGroup(
        (Message("user", ask),), (Response("a", 1.0), Response("b", 0.0)), name, "test", key, dict(meta)
    )


def talk(ask: str, key: str, name: str, **meta: str) -> Conversation:
    messages = (Message("user", ask), Message("assistant", f"reply {name}", train=True))
    return Conversation(messages, name, "test", key, dict(meta))


def test_keys_join_chains_across_sources() -> None:
    records: list[Record] = [
        group("same history", "problem:b", "1"),
        talk("Same history!", "problem:a", "2"),
        talk("another", "problem:a", "3"),
        group("alone", "problem:c", "4"),
    ]
    assert [r.group for r in with_groups(records)] == ["problem:a", "problem:a", "problem:a", "problem:c"]
    assert [r.group for r in with_groups(records[::-1])] == ["problem:c", "problem:a", "problem:a", "problem:a"]


def test_history_stops_before_the_first_trained_turn_and_ignores_our_opening() -> None:
    first, *rest = "Let us go on with our lesson on Areas.", Message("assistant", "4 x 3?"), Message("user", "7")
    one = (Message("user", first), *rest)
    two = (Message("user", "Let us go on with our lesson."), *one[1:])
    assert history_key(one) == history_key(two) != history_key(one[:2])
    assert history_key(one).startswith("text:")


@pytest.mark.cases("A10")
def test_a_history_of_greetings_ties_nothing_together() -> None:
    talks = [
        Conversation(
            (Message("user", "Hi!"), Message("assistant", "Hello.", train=True)), name, "test", f"problem:{name}"
        )
        for name in "ab"
    ]
    assert [record.group for record in with_groups(talks)] == ["problem:a", "problem:b"]
    assert history_key(talks[0].messages[:1]) is None
    assert history_key([Message("user", "Let us go on with our lesson.")]) is None


def test_smallest_key_is_never_the_history_while_there_is_another() -> None:
    talks = [talk("a history", "session:1", name) for name in "12"]
    assert with_groups(talks[:1])[0].group == with_groups(talks)[0].group == "session:1"


def test_side_follows_the_rule() -> None:
    for key in ("problem:1", "session:2", "text:3"):
        u = int(hashlib.sha256(f"edu-v2:{key}".encode()).hexdigest(), 16) / 2**256
        expected = "test" if u < 0.25 else "validation" if u < 0.35 else "train"
        assert side(key, "edu-v2", 0.25, 0.10) == expected
    sides = [side(f"problem:{i}", "edu-v2", 0.25, 0.10) for i in range(4000)]
    assert abs(sides.count("test") / 4000 - 0.25) < 0.03
    assert abs(sides.count("validation") / 4000 - 0.10) < 0.02
    assert sides != [side(f"problem:{i}", "other", 0.25, 0.10) for i in range(4000)]


def test_the_folds_cover_what_is_not_test_once() -> None:
    keys = [f"problem:{i}" for i in range(400)]
    by_fold = [{key for key in keys if side(key, "edu-v2", 0.25, 0.25, fold) == "validation"} for fold in range(3)]
    free = {key for key in keys if side(key, "edu-v2", 0.25, 0.25) != "test"}
    assert set.union(*by_fold) == free
    assert sum(map(len, by_fold)) == len(free)
    assert all(len(part) > 60 for part in by_fold)
    for fold in range(3):
        assert {key for key in keys if side(key, "edu-v2", 0.25, 0.25, fold) != "test"} == free


def test_no_group_crosses_and_order_is_kept() -> None:
    records: list[Record] = [talk(f"ask {i}", f"problem:{i % 30}", f"{i:03d}") for i in range(200)]
    splits, dropped = split_records(records, "edu-v2", 0.25, 0.10)
    assert sum(map(len, splits.values())) == 200
    assert not dropped
    assert crossing_groups(splits) == set()
    assert all([r.id for r in part] == sorted(r.id for r in part) for part in splits.values())
    assert all(splits.values())
    assert crossing_groups({"train": [talk("a", "x", "1")], "test": [talk("b", "x", "2")]}) == {"x"}, "one is seen"


def test_pinned_records_stay_where_their_source_put_them_or_yield_to_free_ones_of_their_group() -> None:
    records: list[Record] = [group(f"ask {i % 2}", f"misconception:{i}", f"{i}", split="validation") for i in range(9)]
    splits, _ = split_records(records, "edu-v2", 0.25, 0.10)
    assert [r.group for r in splits["validation"]] == [f"misconception:{i}" for i in range(9)]
    key = next(f"problem:{i}" for i in range(99) if side(f"problem:{i}", "edu-v2", 0.25, 0.10) == "train")
    free, pinned = talk("ask", key, "free"), talk("other", key, "pinned", split="test")
    splits, dropped = split_records([pinned, free], "edu-v2", 0.25, 0.10)
    assert [r.id for r in splits["train"]] == ["free"]
    assert splits["test"] == []
    assert dropped == {("test", "held for test, but its question is in train"): 1}


def test_errors() -> None:
    with pytest.raises(UserError, match="`split` must be one of train, validation, test, got 'dev'"):
        split_records([talk("a", "k", "1", split="dev")], "s", 0.2, 0.1)
    with pytest.raises(UserError, match="'2' is held for test, record '1' of the same group 'k' for train"):
        split_records([talk("a", "k", "1", split="train"), talk("b", "k", "2", split="test")], "s", 0.2, 0.1)
    for test, validation in ((1.0, 0.0), (-0.1, 0.1), (0.5, 0.5)):
        with pytest.raises(UserError, match=r"must be in \[0, 1\)"):
            split_records([], "s", test, validation)
