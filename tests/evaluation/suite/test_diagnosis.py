"""What is blind to the student's step gets exactly one half; what reads it gets all."""

import json
from pathlib import Path
from typing import Any

import pytest

from edu_align.config.schema import DatasetConfig
from edu_align.data.questions import problem_key
from edu_align.evaluation.suite.data import Settings, SourceAbsentError, SuiteData
from edu_align.evaluation.suite.diagnosis import diagnosis, enough, leaves_right_alone
from edu_align.evaluation.suite.leak import leak_check
from edu_align.evaluation.suite.steps import (
    RIGHT,
    WHERE,
    mistake_correction,
    mistake_step,
    right_solutions,
    solution_correctness,
    wrong_solutions,
)
from edu_align.evaluation.suite.summarise import summarise
from edu_align.records import Conversation, Message, Response, ResponseGroup
from tests.evaluation.suite import real
from tests.evaluation.suite.subjects import ReadingSubject


def step(equation: int, mistake: str, others: tuple[str, ...]) -> ResponseGroup:
    """Feedback on one mistake over that on each other one of the equation."""
    replies = (Response(f"You {mistake}.", 6.0), *(Response(f"You {other}.", 2.0) for other in others))
    problem = f"{equation}x = 8"
    asked = (Message("user", f"Solve {problem}\n\nMy solution:\nI {mistake}."),)
    return ResponseGroup(asked, replies, f"{equation} {mistake}", "cogtutorbugs", f"q{equation}", {"problem": problem})


def solution(number: int, wrong: int) -> Conversation:
    steps = [f"{number} and {place} are {number + place} apples, I think." for place in range(3)]
    meta = {
        "problem": f"Ann has {number} apples and buys 4. How many has she?", "gold_answer": str(number + 4),
        "steps": "\n".join([*steps, f" {number}"]), "incorrect_index": str(wrong),
        "reference": f"She has {number} + 4 = {number + 4} apples.\n {number + 4}",
    }  # fmt: skip
    turns = (Message("user", meta["problem"]), Message("assistant", "Why?", train=True))
    return Conversation(turns, f"row {number}", "stepverify", f"q{number}", meta)


def answer(number: int, correct: bool) -> ResponseGroup:
    said = "The battery pushes the current." if correct else "It is blue."
    right, wrong = "Yes, that is right. Why?", "No, that is not right yet. Why?"
    replies = (Response(right if correct else wrong, 6.0), Response(wrong if correct else right, 2.0))
    meta = {"accuracy": "correct" if correct else "incorrect", "reference": "The battery pushes a current."}
    prompt = (Message("user", f"Why does lamp {number} shine?\n\nMy answer:\n{said}"),)
    return ResponseGroup(prompt, replies, f"row {number}", "semeval2013", f"q{number}", meta)


def chat(number: int, file: str, says: str) -> Conversation:
    turns = (Message("user", f"3 bags of {number}? I got 7."), Message("assistant", says, train=True))
    meta = {"gold_answer": str(3 * number)}
    return Conversation(turns, f"mathchat:{file}:{number}", "mathchat", f"q{number}", meta)


class Data:
    """Three mistakes on each equation; the third equation names two of them with one sentence."""

    cogtutorbugs = (
        step(2, "add", ("halve", "forget the sign")),
        step(2, "halve", ("add", "forget the sign")),
        step(2, "forget the sign", ("add", "halve")),
        step(4, "add", ("square it",)),
        step(4, "square it", ("add",)),
        step(6, "add", ("halve",)),
        step(6, "halve", ("add",)),
        step(6, "double", ("add",)),
    )
    semeval2013 = tuple(answer(number, correct=number % 4 == 0) for number in range(12))
    semeval2013_training = tuple(answer(number, correct=number % 2 == 0) for number in range(12, 20))
    mathchat = tuple(
        chat(number, file, says)
        for number in range(10, 14)
        for file, says in (("error_correction", "What is a bag?"), ("error_analysis", f"It is {3 * number}."))
    )
    stepverify = tuple(solution(number, number % 3) for number in range(6))


def rows_of(metric: Any, subject: ReadingSubject, settings: Settings | None = None) -> dict[str, dict[str, Any]]:
    result = metric(subject, Data(), settings or Settings())
    return {row["name"]: row for row in summarise({"base": {result.metric: result}}, seed=0, samples=50)}


def reading(prompt: Any, text: str) -> tuple[float, int]:
    said = prompt[-1].content.rpartition("\nI ")[2]
    return (0.0 if said and said in text else -9.0), 1


@pytest.mark.parametrize("blind", [lambda text: len(text), lambda text: -len(text), lambda text: text.count("a"), hash])
def test_a_scorer_that_does_not_read_the_step_gets_one_half(blind: Any) -> None:
    found = rows_of(diagnosis, ReadingSubject(logp=lambda prompt, text: (float(blind(text)), 1)))
    for name in ("diagnosis/mean_logp", "diagnosis_no_dialogue/mean_logp"):
        assert found[name]["value"] == pytest.approx(0.5)
    assert found["diagnosis/mean_logp"]["baselines"]["longer"]["value"] == pytest.approx(0.5)
    assert found["diagnosis/mean_logp"]["groups"] == 3


def test_one_that_reads_it_gets_all() -> None:
    found = rows_of(diagnosis, ReadingSubject(logp=reading, reference=lambda prompt, text: (-1.0, 1)))
    assert found["diagnosis/mean_logp"]["value"] == found["diagnosis/implicit"]["value"] == 1
    assert found["diagnosis_no_dialogue/mean_logp"]["value"] == 0.5
    assert found["diagnosis_dialogue_effect/mean_logp"]["value"] == 0.5
    rewarded = rows_of(diagnosis, ReadingSubject(reward=lambda prompt, text: reading(prompt, text)[0]))
    assert rewarded["diagnosis/reward"]["value"] == 1


def test_solutions_and_their_steps() -> None:
    first = wrong_solutions(Data.stepverify)[1]
    assert (len(first.steps), first.wrong) == (3, 1), "the last line holds the answer alone"
    assert "Step 2: 1 and 1 are 2 apples" in first.asked(WHERE)[0].content
    (right, *_) = right_solutions(Data.stepverify)
    assert (right.steps, right.wrong) == (("She has 0 + 4 = 4 apples.",), -1)
    assert len(right_solutions(Data.stepverify * 2)) == 6


def test_the_step_that_is_pointed_at() -> None:
    def always(place: str) -> Any:
        return rows_of(mistake_step, ReadingSubject(logp=lambda prompt, text: (float(text == place), 1)))[
            "mistake_step"
        ]

    first, nothing = always("1"), always("nothing")
    assert first["value"] == first["baselines"]["first step"]["value"] == pytest.approx(1 / 3)
    assert nothing["value"] == nothing["baselines"]["chance"]["value"] == pytest.approx(1 / 3), "ties share"
    assert set(first["baselines"]) == {"chance", "first step", "last step", "longest step"}


def test_one_verdict_for_all_is_worth_one_half() -> None:
    def says(word: str) -> Any:
        logp = ReadingSubject(logp=lambda prompt, text: (float(text == word), 1))
        return rows_of(solution_correctness, logp)["solution_correctness"]

    no, yes = says("No"), says("Yes")
    assert (no["value"], no["n"], yes["value"]) == (0.5, 12, 0.5)
    assert "0.667 [0" in no["notes"][0]
    assert "F1 of finding the wrong ones 0.000" in yes["notes"][0]
    assert no["baselines"]["shorter is wrong"]["value"] == 0

    def right(prompt: Any, text: str) -> tuple[float, int]:
        return float((text == "No") == ("I think" in prompt[0].content)), 1

    assert RIGHT in Data.stepverify[0].messages[0].content + RIGHT
    assert rows_of(solution_correctness, ReadingSubject(logp=right))["solution_correctness"]["value"] == 1


def test_a_solution_of_its_own() -> None:
    def solve(prompt: Any) -> str:
        number = int(prompt[0].content.split()[2])
        return f"The answer is {number + 4 if number < 3 else number}."

    found = rows_of(mistake_correction, ReadingSubject(reply=solve))["mistake_correction"]
    assert (found["value"], found["n"]) == (0.5, 6)
    assert found["baselines"]["answer of the student"]["value"] < 0.5


def test_one_verdict_for_all_answers_is_worth_one_half() -> None:
    for word in ("Yes", "No"):
        subject = ReadingSubject(logp=lambda prompt, text, word=word: (float(word in text), 1))  # type: ignore[misc]
        assert rows_of(leaves_right_alone, subject)["leaves_right_alone/mean_logp"]["value"] == pytest.approx(0.5)

    def reads(prompt: Any, text: str) -> tuple[float, int]:
        return float(("Yes" in text) == ("battery" in prompt[-1].content)), 1

    row = rows_of(leaves_right_alone, ReadingSubject(logp=reads))["leaves_right_alone/mean_logp"]
    assert (row["value"], row["n"]) == (1.0, 12)
    assert row["baselines"]["reference_overlap"]["value"] == 1
    assert row["baselines"]["chance"]["value"] == pytest.approx(0.5)
    assert 0 < enough(Data.semeval2013_training) <= 1
    assert enough([]) == 0.5


def test_the_leak_rule_is_held_against_known_leaks() -> None:
    found = rows_of(leak_check, ReadingSubject())
    assert {name: row["value"] for name, row in found.items()} == {
        "leak_check/hints": 0, "leak_check/analyses": 1, "leak_check_unguarded/hints": 0,
        "leak_check_unguarded/analyses": 1,
    }  # fmt: skip
    assert "leak_check/analyses 4 of 4" in found["leak_check/hints"]["notes"][0]


@pytest.mark.skipif(not (real.ROOT / "mathchat").is_dir(), reason="no MathChat")
def test_the_leak_rule_on_mathchat_itself(tmp_path: Path) -> None:
    data = SuiteData(DatasetConfig(name="none", sources=[]), real.ROOT, tmp_path, Settings())
    (note,) = leak_check(ReadingSubject(), data, Settings()).notes
    assert "leak_check_unguarded/hints 5 of 907; leak_check_unguarded/analyses 851 of 907" in note


def test_a_question_keeps_the_side_and_the_seen_ones_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """StepVerify's questions are held out by the rule of all; what training saw is not measured on."""
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    rows = [
        {"problem": f"Ann has {n} apples and buys 4. How many has she?", "reference_solution": f"{n} + 4\n {n + 4}",
         "student_incorrect_solution": [f"{n} and 1.", f" {n + 1}"], "incorrect_index": 0, "error_category": "other",
         "dialog_history": [{"user": "Student", "text": f"I got {n + 1}."}, {"user": "Teacher", "text": "Why?"}]}
        for n in range(40)
    ]  # fmt: skip
    (tmp_path / "stepverify").mkdir()
    (tmp_path / "stepverify" / "dataset.json").write_text(json.dumps(rows))

    def data(split: str, *seen: str) -> SuiteData:
        config = DatasetConfig(name="none", sources=[])
        return SuiteData(config, tmp_path, tmp_path / "out", Settings(split=split), frozenset(seen))

    test, validation = data("test").stepverify, data("validation").stepverify
    assert 0 < len(test) < 25
    assert not {one.group for one in test} & {one.group for one in validation}
    gone = test[0].meta["problem"]
    again = data("test", problem_key(gone))
    assert len(again.stepverify) == len(test) - 1
    assert again.left_out == 1
    with pytest.raises(SourceAbsentError, match="cogtutorbugs is not there"):
        _ = data("test").cogtutorbugs
