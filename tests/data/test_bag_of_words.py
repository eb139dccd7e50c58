"""A bag of words over pairs: what it learns, and that no pair is scored by a model that saw its question."""

from random import Random

import pytest

from edu_align.data import bag_of_words
from edu_align.data.bag_of_words import FOLDS, held_out_odds
from edu_align.records import Message, Pair, Response, ResponseGroup

WORDS = ["add", "the", "next", "two", "numbers", "on", "your", "list", "tell", "me", "what", "you", "see", "there"]


def pairs_of_style(questions: int, style: str = "together", each: int = 2) -> list[Pair]:
    """Pairs of random words; in three of four of them the chosen reply has the word of the style."""
    made = []
    for number in range(questions):
        for i in range(each):
            dice = Random(f"{number}:{i}")
            one, other = (" ".join(dice.choices(WORDS, k=6)) for _ in range(2))
            styled = (number + i) % 4 > 0
            replies = (
                Response(f"{one} {style if styled else ''}", 8.0), Response(f"{other} {'' if styled else style}", 0.0),
            )  # fmt: skip
            prompt = (Message("user", "?"),)
            made.append(Pair(ResponseGroup(prompt, replies, f"g{number}:{i}", "s", f"q{number}"), 0, 1))
    return made


def test_the_word_that_decides_is_learnt_and_its_confidence_is_the_share() -> None:
    pairs = pairs_of_style(200)
    odds = held_out_odds(pairs, seed=0)
    easy = [value for pair, value in zip(pairs, odds, strict=True) if "together" in pair.group.responses[0].text]
    hard = [value for pair, value in zip(pairs, odds, strict=True) if "together" in pair.group.responses[1].text]
    assert sum(value > 0 for value in easy) / len(easy) > 0.95
    assert sum(value < 0 for value in hard) / len(hard) > 0.95
    assert sum(easy) / len(easy) == pytest.approx(1.1, abs=0.4), "log(3/4 / 1/4)"


def test_no_question_is_in_the_fit_that_scores_it(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = pairs_of_style(12)
    seen: list[tuple[set[str], set[str]]] = []
    original = bag_of_words._odds

    def watched(pairs: list[Pair], sides: list[list[str]], known: list[int], asked: list[int]) -> list[float]:
        seen.append(({pairs[i].group.group for i in known}, {pairs[i].group.group for i in asked}))
        return original(pairs, sides, known, asked)

    monkeypatch.setattr(bag_of_words, "_odds", watched)
    first = held_out_odds(pairs, seed=0)
    assert len(seen) == FOLDS
    assert all(not known & asked for known, asked in seen)
    assert sorted(group for _, asked in seen for group in asked) == sorted({pair.group.group for pair in pairs})
    assert held_out_odds(pairs, seed=0) == first != held_out_odds(pairs, seed=1)


def test_a_word_of_one_question_only_says_nothing_of_it() -> None:
    """Its pairs are alike: a model that had seen one of them would know the other."""
    pairs = pairs_of_style(20, each=2)
    own = [
        Pair(ResponseGroup((), (Response("zebra", 8.0), Response("lion", 0.0)), f"z{i}", "s", "z"), 0, 1)
        for i in (0, 1)
    ]
    assert held_out_odds([*pairs, *own], seed=0)[-2:] == [0.0, 0.0]


def test_words_that_never_come_again_say_nothing() -> None:
    replies = [(Response(f"a{i}", 1.0), Response(f"b{i}", 0.0)) for i in range(10)]
    pairs = [Pair(ResponseGroup((), both, f"g{i}", "s", f"q{i}"), 0, 1) for i, both in enumerate(replies)]
    assert held_out_odds(pairs, seed=0) == [0.0] * 10
    with pytest.raises(ValueError, match="9 groups are too few"):
        held_out_odds(pairs[:9], seed=0)
