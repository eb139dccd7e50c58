"""Rules against hand-counted values, and fitted ones that learn style from training groups and read nothing else."""

from collections.abc import Callable
from dataclasses import replace
from math import log
from random import Random

import pytest

from edu_align.evaluation import baselines
from edu_align.evaluation.baselines import FEATURES, Rule, fitted_rules, idf_overlap, overlap, surface
from edu_align.records import Message, ResponseGroup
from tests.evaluation.builders import group


@pytest.mark.parametrize(
    ("rule", "texts", "expected"),
    [
        (baselines.longer, ["a b  c", "extraordinarily", ""], (3.0, 1.0, 0.0)),  # words, not characters
        (baselines.question_mark, ["Why?", "Look again.", "为什么？"], (1.0, 0.0, 1.0)),  # of any script
        # "red", "pens" both occur; "how", "many", "days" of 6 words; words of the system turn do not count.
        (overlap, ["Red pens, RED pens!", "How many days did you count", "kind tutor"], (1.0, 0.5, 0.0)),
        (overlap, ["", "", ""], (0.0, 0.0, 0.0)),
        (baselines.chance, None, (0.0, 0.0, 0.0)),
        (baselines.oracle, None, (3.0, 1.0, 0.0)),
    ],
)
def test_simple_rules(rule, texts, expected):
    assert rule(group([3.0, 1.0, 0.0], texts)) == pytest.approx(expected)


def test_tutor_prior_is_the_mean_training_score_by_source_and_author():
    training = [
        group([8, 2], authors=["expert", "novice"], source="mrbench"),
        group([6, 4], authors=["expert", "novice"], source="mrbench", key="g1"),
        group([1, 0], authors=["novice", "expert"], source="bridge", key="g2"),
    ]
    means = baselines.author_means(training)
    by_source = {"mrbench": {"expert": 7.0, "novice": 3.0}, "bridge": {"novice": 1.0, "expert": 0.0}}
    assert means == {(source, who): mean for source, found in by_source.items() for who, mean in found.items()}
    tested = group([0, 9, 5], authors=["expert", "novice", "unseen"], source="mrbench", key="t")
    assert baselines.tutor_prior(means, tested) == (7.0, 3.0, 5.0)
    assert baselines.tutor_prior(means, group([0, 1], authors=["expert", "novice"], source="local")) == (0.0, 0.0)


def test_tutor_prior_is_a_rule_only_with_training_groups():
    assert list(baselines.pair_rules(None)) == ["chance", "longer", "question_mark", "overlap"]
    assert "tutor_prior" in baselines.pair_rules([group([1, 0])])


WORDS = [
    "add", "the", "next", "two", "numbers", "on", "your", "list", "and", "tell", "me", "what", "you", "see", "there",
]  # fmt: skip


def styled(seed: int, better: Callable[[str], str]) -> ResponseGroup:
    """Two replies of random words; the better one carries a style."""
    rng = Random(seed)
    plain, other = (" ".join(rng.choices(WORDS, k=rng.randint(4, 9))) for _ in range(2))
    return group([6.0, 2.0], [better(plain), other], ["A", "B"], key=f"g{seed}", source="mrbench")


def right(rule: Rule, groups: list[ResponseGroup]) -> float:
    scores = [rule(each) for each in groups]
    return sum(a > b for a, b in scores) / len(scores)


def test_seven_features() -> None:
    made = group([1.0, 0.0], ["Great job! You sold 12 pens. How many in 3 days?", "No"])
    praise, plain = surface(made)
    assert len(FEATURES) == 7
    assert praise == [11.0, 48.0, 1.0, 3.0, overlap(made)[0], 1.0, 1.0]
    assert plain == [1.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("style", "expected"),
    [(lambda text: f"{text}?", "surface_logistic"), (lambda text: f"{text} together", "bag_of_words")],
)
def test_each_rule_learns_its_kind_of_style(style: Callable[[str], str], expected: str) -> None:
    training = [styled(seed, style) for seed in range(40)]
    held = [styled(seed, style) for seed in range(100, 140)]
    assert right(fitted_rules(training, 2.0)[expected], held) > 0.9


def test_the_bag_of_words_reads_no_dialogue() -> None:
    rule = fitted_rules([styled(seed, lambda text: f"{text} together") for seed in range(20)], 2.0)["bag_of_words"]
    made = styled(99, str)
    assert rule(made) == rule(replace(made, prompt=(Message("user", "something else together"),)))


def test_one_group_cannot_be_cross_validated() -> None:
    assert fitted_rules([styled(0, str)], 2.0) == {}
    assert fitted_rules([styled(0, str), styled(1, str)], 9.0) == {}


def test_rare_words_count_more() -> None:
    made = group([2.0, 1.0, 0.0], ["look closely at the pens", "look at the shop and the day", "nothing of it"])
    made = replace(made, prompt=(Message("user", "The shop sells pens a day"),))
    documents = [replace(made, prompt=(Message("user", f"the shop and the day {i}"),)) for i in range(9)]
    # "pens" in no document, "the" in all nine
    assert idf_overlap(documents)(made) == (pytest.approx(log(10 / 1) + log(10 / 10)), 0.0, 0.0)
    assert overlap(made)[1] > overlap(made)[0]
