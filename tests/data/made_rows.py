"""Rows of our own in the shapes of the sets that name the mistake, enough of each to be split and trained on."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

COUNT = 40  # questions of each set
LABELS = ("DIVIDE_TO_SIMPLIFY", "FORGOT_VARIABLE")


def cogtutorbugs() -> dict[str, list[Any]]:
    rows = []
    for i in range(2, COUNT + 2):
        step = {"eq1": f"{i}x={i * 7}", "Previous Action": None, "Filtered Feedback": "", "label": 1, "Outcome": "BUG"}
        away = f"To get rid of <expression>{i}x</expression>, divide by <expression>{i}</expression>."
        rows += [
            step | {"action": "SUB_SIDE", "Input": str(i), "eq2": f"{i}x-{i}={i * 7}-{i}", "Feedback": away,
                    "Label Name": LABELS[0]},
            step | {"action": "COMBINE_MUL", "Input": "7", "eq2": "7=7", "Feedback": "<b>7</b><hr>You forgot the x.",
                    "Label Name": LABELS[1]},
        ]  # fmt: skip
    return {"cogtutorbugs/bug_full.json": rows}


def stepverify() -> dict[str, list[Any]]:
    rows = []
    for i in range(COUNT):
        wrong = f"Ten boxes have {i + 2} + 10 = {i + 12} pens."
        steps = [f"One box has {i + 2} pens.", wrong, "So all of them are new.", f" {i + 12}"]
        rows.append({
            "problem": f"A box has {i + 2} pens. How many are in 10 boxes?", "topic": "Pens", "incorrect_index": 1,
            "incorrect_step": wrong, "student_incorrect_solution": steps, "error_category": "Missing quantity",
            "error_description": None, "reference_solution": f"{i + 2} x 10 = {10 * (i + 2)}\n {10 * (i + 2)}",
            "student_correct_response": "I see.",
            "dialog_history": [
                {"user": "Teacher", "text": "Tell me your solution"}, {"user": "Student", "text": "I added ten."},
                {"user": "Teacher", "text": "What is in each box?" if i else "It is 20."},
            ],
        })  # fmt: skip
    return {"stepverify/dataset.json": rows}


def _item(kind: str, title: str, text: str, *answers: str) -> dict[str, Any]:
    asked = {"hintAnswer": list(answers)} if answers else {}
    return {"id": "h", "type": kind, "title": title, "text": text, "dependencies": [], **asked}


def oatutor() -> dict[str, list[Any]]:
    rows = []
    for i in range(COUNT):
        problem = {"id": f"p{i // 2}", "title": "Add terms", "body": f"Simplify task {i // 2}:", "lesson": "1.1"}
        step = {"id": f"p{i // 2}{i % 2}", "stepTitle": f"$${i + 2}x+{i + 3}x$$", "stepBody": "",
                "stepAnswer": [f"$${2 * i + 5}x$$"]}  # fmt: skip
        path = [
            _item("hint", "Alike", "Both terms have an x."),
            _item("scaffold", "Numbers", "Which number stands before the first $$x$$?", f"$${i + 2}$$"),
            _item("scaffold", "Sum", "What do you add to it?", f"$${i + 3}$$"),
            _item("hint", "Result", f"So it is $${2 * i + 5} x$$."),
        ]
        rows.append({"problem": problem, "step": step, "pathway": path})
    return {"oatutor/elementary_algebra.jsonl": rows}


def convolearn() -> dict[str, list[Any]]:
    rows = []
    for i in range(COUNT):
        talk = "Student: {}\nTeacher: {}\nStudent: Um, sun?\nTeacher: Go on.\nStudent: Thanks!"
        asked = f"Why is it warm at {i} degrees north?"
        dialogues = [
            {"dialogue_idx": k, "cleaned_conversation": talk.format(asked, said), "effectiveness_consensus": score}
            for k, (said, score) in enumerate([("What do you think?", 4.5), ("Because of the sun.", 2.0)])
        ]
        rows.append({"prompt_id": str(i), "question_prompt": asked, "dialogues": dialogues})
    return {"convolearn/sampled_dialogues.json": rows}


def semeval2013() -> dict[str, str]:
    files = {}
    for i in range(COUNT):
        places = {"training/3way/beetle": ("flat", "new"), "test/3way/beetle/test-unseen-answers": ("empty", "blue")}
        for place, answers in places.items():
            marks = ("correct", "incorrect" if i % 2 else "contradictory")
            said = "".join(
                f'<studentAnswer id="{word}" accuracy="{mark}">The battery is {word}.</studentAnswer>'
                for word, mark in zip(answers, marks, strict=True)
            )
            files[f"semeval2013_task7/{place}/Lamp-{i}.xml"] = (
                f'<?xml version="1.0"?><question id="{i}"><questionText>Why is lamp {i} dark?</questionText>'
                '<referenceAnswers><referenceAnswer category="MINIMAL">No charge.</referenceAnswer>'
                '<referenceAnswer category="BEST">The battery has no charge.</referenceAnswer></referenceAnswers>'
                f"<studentAnswers>{said}</studentAnswers></question>"
            )
    return files


def mae() -> dict[str, list[Any]]:
    kinds = (("when students add tops and bottoms", "tops"), ("when students forget to carry", "carry"))
    rows = []
    for i in range(COUNT):
        said, name = kinds[i % 2]
        rows.append({
            "Misconception": said, "Misconception ID": name, "Topic": "Adding", "Example Number": i,
            "Question": f"1/{i + 2} + 1/{i + 3} =", "Incorrect Answer": f"2/{2 * i + 5}", "Correct Answer": "more",
            "Question image": "", "Learner Answer image": "", "Correct Answer image": "", "Source": "ours",
            "Explanation": "",
        })  # fmt: skip
    return {"mae/data.json": rows}


def mathchat() -> dict[str, list[Any]]:
    def row(i: int, reply: str) -> dict[str, Any]:
        asked = f"A box has {i + 2} pens. How many are in 10 boxes?"
        talk = f"A: {asked}\n\nB: {i + 2} + 10 is {i + 12}.\n\nA: {reply}\n\nB: Oh, I see."
        return {"question": asked, "answer": f"{i + 2} x 10\n#### {10 * (i + 2)}", "error_correction": talk}

    hints = [row(i, "What is in each box?") for i in range(COUNT)]
    told = [row(i, f"Multiply instead. The answer is {10 * (i + 2)}.") for i in range(COUNT)]
    return {"mathchat/error_correction.jsonl": hints, "mathchat/error_analysis.jsonl": told}


MADE: dict[str, Callable[[], dict[str, Any]]] = {
    "cogtutorbugs": cogtutorbugs,
    "stepverify": stepverify,
    "oatutor": oatutor,
    "convolearn": convolearn,
    "semeval2013": semeval2013,
    "mae": mae,
    "mathchat": mathchat,
}


def previewed_and_trained(go: Callable[..., Any], capsys: Any, source: str, trainer: str, root: Path) -> None:
    """A preview shows what is trained, and a run of two steps goes through."""
    words = [f"trainer={trainer}", f"dataset={source}", "trainer.max_length=512", f"data_root={root}"]
    assert go(*words, "preview=1") is None
    assert ">>>" in capsys.readouterr().out
    record = go(*words, "trainer.max_steps=2", "evaluation.enabled=false").record
    assert (record["state"], record["metrics"]["train/steps"]) == ("finished", 2)


def lay(root: Path, names: Sequence[str]) -> Path:
    """Write these sets' files under a data root."""
    for name in names:
        write(root, MADE[name]())
    return root


def write(root: Path, files: dict[str, Any]) -> None:
    """Files by their path: text as it is, rows as JSON or one a line."""
    for path, content in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            file.write_text(content)
        else:
            file.write_text("\n".join(map(json.dumps, content)) if file.suffix == ".jsonl" else json.dumps(content))
