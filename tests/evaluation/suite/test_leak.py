"""Metric 4: which replies give the answer away, and whether people say so too."""

import pytest

from edu_align.evaluation.suite.leak import CONSTANT, leak_rate, leaks, open_ones, value_of
from edu_align.evaluation.suite.prompts import EXPERT, Generated, Prompt, golds, of_dialogues, of_groups
from edu_align.evaluation.suite.results import Series
from edu_align.records import Message, unfit_authors
from tests.evaluation.suite import real


def mean(series: Series) -> float:
    return sum(series.values) / len(series.values)


@pytest.mark.parametrize(
    ("reply", "gold", "wanted"),
    [
        ("So she has 1,000 steps left.", "1000", True),
        ("It is $1000.00.", "1,000", True),
        ("That is half, 0.5 of it.", "1/2", True),
        ("That is 1/2 of it.", "0.5", True),
        ("That is 2/4 of it.", "0.5", True),
        ("12/2 = 6", "6", True),
        ("She walks 20 minutes.", "2", False),
        ("She walks 2.5 minutes.", "2", False),
        ("She walks 2.5 minutes.", "5", False),
        ("Look at step x2.", "2", False),
        ("Look at the 2nd step.", "2", False),
        ("There are two of them.", "2", False),
        ("It is -8.", "8", False),
        ("10 - 8 is what you did.", "8", True),
        ("So they caught 24/2 fish.", "12", True),
        ("So they caught 24/2 fish.", "24", False),
        ("Nothing.", "", False),
    ],
)
def test_a_number_leaks_by_its_exact_value(reply: str, gold: str, wanted: bool) -> None:
    assert leaks(reply, gold) is wanted


def ask(item: str, said: str, gold: str, human: str = "", source: str = "mrbench", **others: str) -> Prompt:
    return Prompt(item, f"g:{item}", source, (Message("user", said),), gold, human, others)


def test_the_guard_closes_where_the_number_stands_in_any_form() -> None:
    closed = [("5 bags of 3, so 15", "15"), ("I did 90/30", "3"), ("I did 90/30", "30"), ("I got -15", "15")]
    unknown = ("5 bags of 3", "")
    prompts = [ask(f"{said}: {gold}", said, gold) for said, gold in [("5 bags of 3", "15"), *closed, unknown]]
    assert [one.item for one in open_ones(prompts)] == ["5 bags of 3: 15"]


def test_the_rate_is_over_open_prompts_and_beside_those_who_answered_all_of_them() -> None:
    prompts = (
        ask("a", "5 bags of 3", "15", "It is 15.", GPT4="15!", Novice="No."),
        ask("b", "5 bags of 4", "20", "Think again.", GPT4="20!"),
        ask("c", "2 bags of 4", "8", "Think again.", source="mathdial"),
        ask("d", "2 bags, 4 each, 8", "8", "It is 8."),
    )
    result = leak_rate(Generated(prompts, {"a": "15?", "b": "What is 5 * 4?", "c": "8 it is", "d": "8"}))
    assert set(result.measured) == {"leak_rate", "leak_rate/mrbench", "leak_rate/mathdial"}
    assert result.measured["leak_rate"].items == ("a", "b", "c")
    assert result.measured["leak_rate"].values == (1.0, 0.0, 1.0)
    rules, of_mrbench = result.baselines["leak_rate"], result.baselines["leak_rate/mrbench"]
    assert set(rules) == set(of_mrbench) - {"GPT4"} == {"constant reply", "human tutor"}
    assert (mean(of_mrbench["GPT4"]), mean(rules["human tutor"])) == (1.0, pytest.approx(1 / 3))
    assert [row["item"] for row in result.examples] == ["a", "c"]
    assert "3 of 4 prompts count: 1 hold the answer already and of 0" in result.notes[0]
    assert not leaks(CONSTANT, "15")


@real.needs_data
def test_the_rule_agrees_with_people(capsys: pytest.CaptureFixture[str]) -> None:
    """On the whole file of MRBench v2: precision 0.91 and recall 0.94, without the guard precision 0.50."""
    asked = [one for one in of_groups(real.version_two(), {}) if value_of(one.gold) is not None]
    guarded = {one.item for one in open_ones(asked)}
    replies = [
        (one.item in guarded, leaks(text, one.gold), author in unfit_authors(one.meta))
        for one in asked
        for author, text in {**one.others, EXPERT: one.human}.items()
        if text
    ]

    def agreement(pairs: list[tuple[bool, bool]]) -> tuple[float, float]:
        both = sum(rule and label for rule, label in pairs)
        return both / sum(rule for rule, _ in pairs), both / sum(label for _, label in pairs)

    precision, recall = agreement([(rule, label) for is_open, rule, label in replies if is_open])
    unguarded, _ = agreement([(rule, label) for _, rule, label in replies])
    with capsys.disabled():
        print(f"\nleak rule against MRBench v2's labels: {precision:.3f}, {recall:.3f}, unguarded {unguarded:.3f}")
    assert len(asked) > 50
    assert 0.85 < precision <= 1
    assert 0.85 < recall <= 1
    assert unguarded < 0.6


@pytest.mark.slow
@real.needs_data
def test_how_often_the_tutors_themselves_leak(capsys: pytest.CaptureFixture[str]) -> None:
    """EVALUATION.md: Expert 2.7 %, GPT4 26 %, Llama-405B 4.7 %, Sonnet 0 %, MathDial's teachers 2.6 %."""
    splits = ("train", "validation", "test")
    dialogues = [conversation for split in splits for conversation in real.conversations(split, "mathdial")]
    groups = [group for split in splits for group in real.groups(split, "mrbench")]
    prompts = [*of_groups(groups, golds([*groups, *dialogues])), *of_dialogues(dialogues)]
    result = leak_rate(Generated(tuple(prompts), {one.item: CONSTANT for one in prompts}))
    rates = {
        f"{part}: {who}": mean(series) for part, rules in result.baselines.items() for who, series in rules.items()
    }
    with capsys.disabled():
        counts = {part: len(series.items) for part, series in result.measured.items()}
        print("\n" + "\n".join(f"{name} {rate:.3f} of {counts[name.split(':')[0]]}" for name, rate in rates.items()))
    assert rates["leak_rate/mrbench: GPT4"] > 0.15
    assert rates["leak_rate/mrbench: human tutor"] < 0.06
    assert rates["leak_rate/mrbench: Sonnet"] < 0.03
    assert rates["leak_rate/mathdial: human tutor"] < 0.06
