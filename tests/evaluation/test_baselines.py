import pytest

from edu_align.evaluation import baselines

from .builders import group


def test_longer_counts_words_not_characters():
    assert baselines.longer(group([1, 0, 0], ["a b  c", "extraordinarily", ""])) == (3.0, 1.0, 0.0)


def test_question_mark_of_any_script():
    assert baselines.question_mark(group([1, 0, 0], ["Why?", "Look again.", "为什么？"])) == (1.0, 0.0, 1.0)


def test_overlap_is_the_share_of_distinct_reply_words_in_the_dialogue_without_the_system_turn():
    texts = ["Red pens, RED pens!", "How many days did you count", "kind tutor", ""]
    # "red", "pens" both occur; "how", "many", "days" of 6 words; the two words of the system turn do not count.
    assert baselines.overlap(group([0, 1, 2, 3], texts)) == pytest.approx((1.0, 0.5, 0.0, 0.0))


def test_chance_is_the_same_for_all_and_oracle_is_the_score():
    item = group([3.0, 1.0])
    assert baselines.chance(item) == (0.0, 0.0)
    assert baselines.oracle(item) == (3.0, 1.0)


def test_tutor_prior_is_the_mean_training_score_by_source_and_author():
    training = [
        group([8, 2], authors=["expert", "novice"], source="mrbench"),
        group([6, 4], authors=["expert", "novice"], source="mrbench", key="g1"),
        group([1, 0], authors=["novice", "expert"], source="bridge", key="g2"),
    ]
    means = baselines.author_means(training)
    assert means == {
        ("mrbench", "expert"): 7.0,
        ("mrbench", "novice"): 3.0,
        ("bridge", "novice"): 1.0,
        ("bridge", "expert"): 0.0,
    }
    tested = group([0, 9, 5], authors=["expert", "novice", "unseen"], source="mrbench", key="t")
    assert baselines.tutor_prior(means, tested) == (7.0, 3.0, 5.0)
    assert baselines.tutor_prior(means, group([0, 1], authors=["expert", "novice"], source="local")) == (0.0, 0.0)


def test_tutor_prior_is_a_rule_only_with_training_groups():
    assert list(baselines.pair_rules(None)) == ["chance", "longer", "question_mark", "overlap"]
    assert "tutor_prior" in baselines.pair_rules([group([1, 0])])
