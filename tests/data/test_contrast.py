"""Pairs that style cannot decide: balanced authors, and replies from other dialogues."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from edu_align.config.schema import CONTRAST_KINDS
from edu_align.data.contrast import balanced, constructed_note, contrasted, drawn_turns, turns_as_groups
from edu_align.data.negatives import KINDS, MARKS
from edu_align.data.pairs import training_pairs
from edu_align.records import Conversation, Message, Response, ResponseGroup


def group(name: str, scores: dict[str, float], **meta: str) -> ResponseGroup:
    responses = tuple(Response(f"{author} says {name}", score, author=author) for author, score in scores.items())
    return ResponseGroup((Message("user", f"{name}?"),), responses, name, "s", name, dict(meta))


def authors(pair: object) -> tuple[str, str]:
    return tuple(pair.group.responses[i].author for i in (pair.chosen, pair.rejected))  # type: ignore[attr-defined]


def test_no_author_wins_more_often_than_it_loses() -> None:
    groups = [group(f"g{i}", {"A": 8, "B": 0, "C": 4}) for i in range(10)] + [group("h", {"A": 0, "B": 8, "C": 4})]
    pairs = training_pairs(groups, 3, None, 0)
    kept = balanced(pairs, seed=1)
    assert Counter(map(authors, kept)) == {(a, b): 1 for a in "ABC" for b in "ABC" if a != b}
    assert [p.group.id for p in kept] == sorted((p.group.id for p in kept), key=lambda i: int(i[1:] or 99))
    assert balanced(pairs, seed=1) == kept
    assert len({tuple(p.group.id for p in balanced(pairs, seed=s)) for s in range(9)}) > 1
    pairs = training_pairs([group(f"g{i}", {"expert": 6, "novice": 2}) for i in range(5)], 3, None, 0)
    assert balanced(pairs, seed=0) == pairs, "a source of two authors is left alone"


def test_the_rejected_reply_is_a_good_one_by_the_same_author_from_elsewhere() -> None:
    groups = [group(f"g{i}", {"A": 8, "B": 7.5, "C": 1}, unfit_to_learn="B" if i % 2 else "") for i in range(20)]
    texts = {r.text for g in groups for r in g.responses}
    made = contrasted(groups, 3, seed=0)
    for one in groups:
        pairs = made[one.id]
        assert len(pairs) == 3
        for pair in pairs:
            chosen, rejected = pair.group.responses[pair.chosen], pair.group.responses[pair.rejected]
            assert rejected.author == chosen.author + MARKS["elsewhere"]
            assert rejected.text in texts
            assert rejected.text.rpartition(" ")[2] != one.id
            assert chosen.author in ("A" if int(one.id[1:]) % 2 else "AB")
        assert pairs[0].group.responses[:3] == one.responses
        assert len({pair.group.responses[pair.rejected].text for pair in pairs}) == 3
    assert contrasted(groups, 3, seed=0) == made != contrasted(groups, 3, seed=1)


def test_turns_of_a_conversation_are_told_apart_by_what_came_before() -> None:
    said = [Message("assistant" if i % 2 else "user", f"turn {i}", train=bool(i % 2)) for i in range(8)]
    turns = turns_as_groups([Conversation(tuple(said), "t", "s", "t")])
    assert [(len(t.prompt), t.responses[0].text) for t in turns] == [(i, f"turn {i}") for i in (1, 3, 5, 7)]
    drawn = drawn_turns(turns, 2, seed=0)
    assert len(drawn) == 2
    made = contrasted(drawn, 2, 0, turns)
    for turn in drawn:
        before = {m.content for m in turn.prompt}
        for pair in made[turn.id]:
            rejected = pair.group.responses[pair.rejected].text
            assert rejected in {m.content for m in said} - before - {turn.responses[0].text}


def test_kinds_come_in_turn_and_the_next_one_where_one_has_none() -> None:
    turns = (Message("user", "I have 12 nuts."), Message("assistant", "How many?"), Message("user", "15"))
    replies = (Response("Is 12 right?", 8.0, author="A"), Response("No.", 0.0, author="B"))
    talks = [ResponseGroup(turns, replies, "t", "s", "t")]
    others = [group(f"g{i}", {"A": 8, "B": 0}) for i in range(3)]
    made = contrasted([*talks, *others], 3, 0, kinds=["numbers", "earlier", "elsewhere"])
    kinds = {name: [authors(pair)[1] for pair in pairs] for name, pairs in made.items()}
    assert kinds["t"] == ["A" + MARKS["numbers"], "Tutor" + MARKS["earlier"], "A" + MARKS["elsewhere"]]
    assert kinds["g0"] == ["A" + MARKS["elsewhere"]] * 3, "neither a number nor a tutor's turn"
    assert contrasted(others, 3, 0, kinds=["earlier"]) == {f"g{i}": [] for i in range(3)}
    note = constructed_note(pair for pairs in made.values() for pair in pairs)
    assert note == (
        "constructed pairs: the rejected reply of 10 (from another dialogue), of 1 (from an earlier turn), of 1 (with "
        "other numbers)"
    )
    assert constructed_note(training_pairs(others, 3, None, 0)) == ""


def test_every_kind_has_its_function_and_its_mark() -> None:
    assert list(KINDS) == CONTRAST_KINDS == list(MARKS)


def test_a_preview_says_how_a_rejected_reply_was_made(go: Callable[..., Any], capsys: Any) -> None:
    words = ["trainer=dpo", "dataset.contrast_per_prompt=2", "dataset.contrast_kinds=[numbers,elsewhere]"]
    assert go(*words, "trainer.max_length=512", "preview=12") is None
    told = capsys.readouterr().out
    for kind in ("numbers", "elsewhere"):
        assert f"){MARKS[kind]}, rejected: " in told, kind
    assert "constructed pairs: the rejected reply of " in told
