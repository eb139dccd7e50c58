"""Socratic questioning beside the rule that copies the problem, and the command that asks MathTutorBench's tasks."""

from typing import Any

import pytest

from edu_align import evaluate, tutorbench
from edu_align.evaluation.suite.data import Settings
from edu_align.evaluation.suite.socratic import ASK, socratic_questioning
from edu_align.evaluation.suite.summarise import summarise
from edu_align.records import Conversation, Message
from edu_align.utils.errors import UserError
from tests.evaluation.suite.subjects import ReadingSubject


def talk(number: int) -> Conversation:
    problem = f"Ann has {number} bags of 4 nuts. She eats two. How many nuts are left?"
    asked = ("How many nuts does Ann have?", "How many nuts are left?")
    turns = [Message("user", problem), Message("assistant", asked[0], train=True), Message("user", f"{number} x 4"),
             Message("assistant", asked[1], train=True)]  # fmt: skip
    return Conversation(tuple(turns), f"row {number}", "gsm8k_socratic", f"q{number}", {"problem": problem})


class Data:
    gsm8k = tuple(talk(number) for number in range(3, 9))


def test_copying_the_last_sentence_is_hard_to_beat() -> None:
    said = "How many nuts does Ann have?\nHow many did she eat?"
    subject, data = ReadingSubject(reply=lambda prompt: said if ASK in prompt[0].content else ""), Data()
    result = socratic_questioning(subject, data, Settings(max_groups=5))  # type: ignore[arg-type]
    (row,) = summarise({"base": {"socratic_questioning": result}}, seed=0, samples=50)
    assert row["value"] == 1.0, "the best line counts"
    assert row["n"] == 5
    rules = {rule: found["value"] for rule, found in row["baselines"].items()}
    assert rules["last sentence of the problem"] == 1.0
    assert 0 < rules["constant question"] < 0.5
    assert "not shown" in row["verdict"].lower()


def test_tasks_become_metrics(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    asked: list[dict[str, str]] = []
    monkeypatch.setattr(evaluate, "evaluate_words", asked.append)

    def go(*words: str) -> dict[str, str]:
        monkeypatch.setattr("sys.argv", ["tutorbench", *words])
        tutorbench.main()
        return asked.pop()

    given = go("run=mine", "tasks=[socratic_questioning]", "evaluation.max_groups=4")
    assert given == {
        "run": "mine", "evaluation.max_groups": "4", "evaluation.metrics": "[socratic_questioning]",
    }  # fmt: skip
    assert "scaffolding" not in capsys.readouterr().out
    every = go("run=mine")["evaluation.metrics"]
    assert every == f"[{','.join(tutorbench.TASKS.values())}]"
    assert tutorbench.NO_REWARD in capsys.readouterr().out
    assert go("run=mine", "reward=liking")["reward"] == "liking"
    assert tutorbench.NO_REWARD not in capsys.readouterr().out
    with pytest.raises(UserError, match=r"'socratic_question' is no task\. Did you mean `socratic_questioning`"):
        tutorbench.tasks_in(["tasks=[socratic_question]"])


@pytest.mark.parametrize("words", [["run=mine", "evaluation.metrics=[leak]"], ["run=mine", "tasks=[socratic]"]])
def test_what_is_no_task_ends_before_anything_is_read(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr("sys.argv", ["tutorbench", *words])
    with pytest.raises(SystemExit) as ended:
        tutorbench.main()
    assert ended.value.code == 2
    assert "task" in capsys.readouterr().err
