"""The sets that name the mistake: their rows, and that each is previewed, trained and split by question."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from edu_align.config.schema import CHECK_SOURCES, DatasetConfig
from edu_align.data.dataset import LoadedData, load_records
from edu_align.data.pairs import training_pairs
from edu_align.data.questions import problem_key
from edu_align.data.readers import Row
from edu_align.data.sources import cogtutorbugs, convolearn, mae, mrbench, oatutor, semeval2013, stepverify
from edu_align.records import Conversation, ResponseGroup
from edu_align.utils.errors import UserError
from tests.data.made_rows import COUNT, LABELS, MADE, lay, previewed_and_trained, write
from tests.data.test_split import crossing_groups

TRAINED = [name for name in MADE if name not in CHECK_SOURCES]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root that holds all of the sets."""
    return lay(tmp_path_factory.mktemp("data"), list(MADE))


def load(root: Path, view: str, *sources: str, **keys: Any) -> LoadedData:
    return load_records(DatasetConfig(name="mix", sources=list(sources), **keys), root, root / "out", 0, view)


def every(data: LoadedData) -> list[Any]:
    return [record for part in data.splits.values() for record in part]


def words_decide(groups: list[ResponseGroup]) -> float:
    """Share of pairs in which the reply that is chosen more often over all pairs wins: 0 where words say nothing."""
    pairs = [
        tuple(pair.group.responses[i].text for i in (pair.chosen, pair.rejected))
        for pair in training_pairs(groups, 2.0, None, 0)
    ]
    score = Counter(chosen for chosen, _ in pairs)
    score.subtract(rejected for _, rejected in pairs)
    return sum(score[chosen] > score[rejected] for chosen, rejected in pairs) / len(pairs)


@pytest.mark.parametrize("source", [TRAINED[0], *(pytest.param(name, marks=pytest.mark.slow) for name in TRAINED[1:])])
@pytest.mark.parametrize("trainer", ["sft", "dpo"])
def test_it_is_previewed_and_trained(
    source: str, trainer: str, made: Path, go: Callable[..., Any], capsys: Any
) -> None:
    previewed_and_trained(go, capsys, source, trainer, made)


@pytest.mark.parametrize("source", TRAINED)
@pytest.mark.parametrize("view", ["conversation", "preference"])
def test_no_question_is_on_two_sides(source: str, view: str, made: Path) -> None:
    data = load(made, view, source)
    assert all(data.splits.values())
    assert crossing_groups(data.splits) == set()
    assert source == "oatutor" or all(r.group == problem_key(r.meta["problem"]) for r in every(data))
    report = data.sources[source]
    assert report.read == report.kept + sum(report.dropped.values())


def test_cogtutorbugs_step(made: Path) -> None:
    data = load(made, "conversation", "cogtutorbugs")
    first, second = sorted(every(data), key=lambda record: int(record.id.split(":")[-1]))[:2]
    assert [(m.role, m.content, m.train) for m in first.messages] == [
        ("user", "Solve 2x=14\n\nMy solution:\nI subtract 2 from both sides.\n2x-2=14-2", False),
        ("assistant", "To get rid of 2x, divide by 2.", True),
    ]
    assert second.messages[-1].content == "7\nYou forgot the x."
    assert first.meta == {"problem": "2x=14", "mistake": LABELS[0]}


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("Erase <expression>-4</expression> now.<P>Look left.", "Erase -4 now.\nLook left."),
        ("<b>3.5</b><hr>Check your sign.", "3.5\nCheck your sign."),
        ("Is 3 < 4 and 5 > 2?", "Is 3 < 4 and 5 > 2?"),
    ],
)
def test_tags_go_and_their_content_stays(raw: str, text: str) -> None:
    assert cogtutorbugs.without_tags(raw) == text


def test_cogtutorbugs_pairs_differ_in_the_diagnosis_only(made: Path) -> None:
    groups = every(load(made, "preference", "cogtutorbugs"))
    assert len(training_pairs(groups, 2.0, None, 0)) == 2 * COUNT
    assert {reply.author for group in groups for reply in group.responses} == {cogtutorbugs.AUTHOR}
    assert words_decide(groups) == 0


def test_a_source_is_trained_on_where_it_is_not_measured(tmp_path: Path) -> None:
    """Left out of its own conversations are the equations on which feedback is compared."""
    path, rows = next(iter(MADE["cogtutorbugs"]().items()))
    write(tmp_path, {path: [row for n, row in enumerate(rows) if n % 4 != 3]})  # of two equations one has one mistake
    alone = {row["eq1"] for row in rows[2::4]}
    whole = load(tmp_path, "conversation", "cogtutorbugs")
    kept = load(tmp_path, "conversation", "cogtutorbugs", leave_out=["cogtutorbugs"])
    for part in ("train", "validation"):
        asked, left = ({record.meta["problem"] for record in data.splits[part]} for data in (whole, kept))
        assert left == asked & alone
        assert asked - alone
    compared = {group.meta["problem"] for group in every(load(tmp_path, "preference", "cogtutorbugs"))}
    assert compared == {row["eq1"] for row in rows} - alone


def test_cogtutorbugs_pairs_need_another_mistake_of_the_same_equation() -> None:
    rows = MADE["cogtutorbugs"]()["cogtutorbugs/bug_full.json"]
    talks = [cogtutorbugs.to_conversation(Row(row, "x.json", i), f"x:{i}") for i, row in enumerate(rows[:3])]
    assert all(isinstance(talk, Conversation) for talk in talks)
    again = [*talks, cogtutorbugs.to_conversation(Row(rows[1] | {"eq2": "7=8"}, "x.json", 9), "x:9")]
    found = list(cogtutorbugs.on_one_equation(again))  # type: ignore[arg-type]
    assert [getattr(each, "reason", "a group") for each in found] == [
        "another step of its equation has the same mistake", "a group", "a group", "no other mistake on its equation",
    ]  # fmt: skip
    unusable = {"eq1": " ", "eq2": "", "Feedback": "<P>", "action": "JUMP"}
    reasons = [
        cogtutorbugs.to_conversation(Row(rows[0] | {key: value}, "x.json", 1), "x") for key, value in unusable.items()
    ]
    assert reasons == ["empty equation", "empty equation", "empty feedback", "an unknown action"]


def test_stepverify_reply_and_what_is_known_of_the_mistake(made: Path) -> None:
    talks = every(load(made, "conversation", "stepverify"))
    assert len(talks) == COUNT - 1, "a reply that holds the answer is not taught"
    talk = next(talk for talk in talks if talk.id.endswith(":2"))
    asked, request, told, reply = talk.messages
    work = "One box has 3 pens.\nTen boxes have 3 + 10 = 13 pens.\nSo all of them are new.\n13"
    assert asked.content.endswith(f"My solution:\n{work}")
    assert [turn.train for turn in talk.messages] == [False, False, False, True]
    assert (request.content, told.content, reply.content) == (
        "Tell me your solution", "I added ten.", "What is in each box?",
    )  # fmt: skip
    assert stepverify.steps_of(talk.meta)[int(talk.meta["incorrect_index"])] == talk.meta["incorrect_step"]
    assert (talk.meta["error_category"], talk.meta["gold_answer"]) == ("Missing quantity", "30")


def test_stepverify_pairs_differ_in_the_step_only(made: Path) -> None:
    groups = every(load(made, "preference", "stepverify"))
    assert len(training_pairs(groups, 2.0, None, 0)) == COUNT - 1, "the one that tells is never chosen"
    for group in groups:
        right, wrong = (reply.text for reply in group.responses)
        assert right.replace(group.meta["incorrect_step"], group.meta["other_step"]) == wrong
        assert group.meta["other_step"] in stepverify.steps_of(group.meta)
        assert {reply.author for reply in group.responses} == {stepverify.AUTHOR}
    before = sum(group.meta["other_step"].startswith("One") for group in groups)
    assert COUNT / 4 < before < 3 * COUNT / 4, "its place in the solution tells nothing"


@pytest.mark.parametrize(
    ("steps", "index", "other"),
    [
        (["a is 1.", "b is 2.", "3"], 0, "b is 2."), (["a is 1.", "b is 2.", "3"], 1, "a is 1."),
        (["a is 1.", "$3.50"], 0, None), (["same", "same"], 0, None),
        (["A long first step.", "x is 1.", "y is 2.", "7"], 2, "x is 1."),
    ],
)  # fmt: skip
def test_the_other_step_is_most_like_the_wrong_one(steps: list[str], index: int, other: str | None) -> None:
    assert stepverify.other_step(steps, index, "salt") == other


def test_stepverify_rows_that_cannot_be_used() -> None:
    (whole,) = MADE["stepverify"]().values()

    def read(**changes: Any) -> Any:
        return stepverify.to_group(Row(whole[3] | changes, "x.json", 4), "x")

    assert read(problem=" ") == "empty problem or solution"
    assert read(dialog_history=whole[3]["dialog_history"][:2]) == "nothing that the teacher says at the end"
    assert read(student_incorrect_solution=["It is 5.", " 5"], incorrect_index=0) == "no other step to point at"
    with pytest.raises(UserError, match=r"row 4: `incorrect_index` must be below the number of steps \(4\), got 4"):
        read(incorrect_index=4)
    with pytest.raises(UserError, match="`student_incorrect_solution` must hold texts, got 7"):
        read(student_incorrect_solution=[7])


def test_oatutor_dialogue(made: Path) -> None:
    talk = next(talk for talk in every(load(made, "conversation", "oatutor")) if talk.id.endswith(":1"))
    assert [(m.content, m.train) for m in talk.messages] == [
        ("Add terms\nSimplify task 0:\n$2x+3x$", False),
        ("Alike: Both terms have an x.\n\nNumbers: Which number stands before the first $x$?", True),
        ("$2$", False),
        ("Sum: What do you add to it?", True),
    ]
    assert talk.meta["gold_answer"] == "$5x$"


def test_oatutor_pair(made: Path) -> None:
    groups = every(load(made, "preference", "oatutor"))
    assert [reply.text for reply in min(groups, key=lambda group: len(group.id)).responses] == [
        "Alike: Both terms have an x.", "Result: So it is $5 x$.",
    ]  # fmt: skip
    assert len({group.group for group in groups}) == COUNT // 2, "the steps of a problem are one group"
    (rows,) = MADE["oatutor"]().values()
    bare = Row(rows[0] | {"pathway": rows[0]["pathway"][:2]}, "x.jsonl", 1)
    group = oatutor.to_group(bare, "x")
    assert isinstance(group, ResponseGroup)
    assert group.responses[1].text == "The answer is $5x$."
    told = Row(rows[0] | {"pathway": rows[0]["pathway"][3:]}, "x.jsonl", 1)
    assert oatutor.to_group(told, "x") == oatutor.to_conversation(told, "x") == "its first hint holds the answer"


@pytest.mark.parametrize(
    ("text", "answer", "there"),
    [
        ("So $2c=-4$.", "$-4$", True), ("So $2c = - 4$.", "$-4$", True), ("So $-40$.", "$-4$", False),
        ("It is $4x+12$.", "$4x+12$", True), ("It is $4x+12y$.", "$4x+12$", False), ("About 0.75 m", "$75$", False),
        ("0.75.", "$0.75$", True), ("It is 3.5", "3", False), ("An Isosceles one", "isosceles", True),
        ("x", "$$", False),
    ],
)  # fmt: skip
def test_an_answer_is_held_as_a_whole(text: str, answer: str, there: bool) -> None:
    assert oatutor.holds(text, answer) is there


def test_oatutor_says_where_its_files_belong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDU_ALIGN_DATA", raising=False)
    with pytest.raises(UserError, match=r"oatutor/university_physics\.jsonl.*problem, step and pathway"):
        load(tmp_path, "conversation", "oatutor")


def test_no_question_is_on_two_sides_over_sources(made: Path, tmp_path: Path) -> None:
    """A question of StepVerify's in MathDial, MRBench and GSM8K, whatever is loaded beside it."""
    lay(tmp_path, ["stepverify"])
    (rows,) = MADE["stepverify"]().values()
    asked = [row["problem"] for row in rows]
    dialogue = "Teacher: (probing)What is in one box?|EOM|Student: Ten."
    labels = dict.fromkeys(mrbench.DIMENSIONS, "Yes")
    replies = {name: {"response": f"Look again, {name}.", "annotation": labels} for name in "AB"}
    files: dict[str, list[Any]] = {
        "mathdial_train/mathdial_shape.jsonl": [
            {"question": q.upper(), "student_incorrect_solution": "", "ground_truth": "1", "conversation": dialogue,
             "question_from": "match"} for q in asked
        ],
        "mrbench/devset.json": [
            {"conversation_id": f"{i}-a", "tutor_responses": replies, "conversation_history":
             f"Tutor: Hi. The question is: {q} \n Student: It is {i}."} for i, q in enumerate(asked)
        ],
        "gsm8k/train_socratic.jsonl": [{"question": q, "answer": "How? ** By 10.\nEnd? ** Yes\n#### 1"} for q in asked],
    }  # fmt: skip
    write(tmp_path, files)
    sources = ["mathdial", "mrbench", "gsm8k_socratic", "stepverify"]
    data = load(tmp_path, "conversation", *sources)
    sides = {problem_key(r.meta["problem"]): set[str]() for r in every(data)}
    for name, part in data.splits.items():
        for record in part:
            sides[problem_key(record.meta["problem"])].add(name)
    assert len(sides) == COUNT
    assert all(len(found) == 1 for found in sides.values())
    assert Counter(r.source for r in every(data)) == dict.fromkeys(sources, COUNT) | {"stepverify": COUNT - 1}
    alone = load(tmp_path, "conversation", "mathdial")
    assert {r.id: n for n, part in alone.splits.items() for r in part}.items() <= {
        r.id: n for n, part in data.splits.items() for r in part
    }.items(), "no row changes its side for what is loaded beside it"


def test_convolearn_teaches_good_dialogues_and_compares_first_replies(made: Path) -> None:
    talks = every(load(made, "conversation", "convolearn"))
    assert len(talks) == COUNT
    assert [m.content for m in talks[0].messages[1:]] == ["What do you think?", "Um, sun?", "Go on."]
    groups = every(load(made, "preference", "convolearn"))
    assert [[(r.text, r.score) for r in group.responses] for group in groups] == [
        [("What do you think?", 4.5), ("Because of the sun.", 2.0)]
    ] * COUNT
    (rows,) = MADE["convolearn"]().values()
    row = Row(rows[0]["dialogues"][0] | {"question": "Why?", "effectiveness_consensus": "good"}, "x.json", 1)
    assert convolearn.to_conversation(row, "x") == "no score"
    row.data["cleaned_conversation"] = "Teacher: Hello.\nStudent: Hi."
    assert convolearn.to_conversation(row, "x") == "no question with an answer at its start"


def test_semeval_verdicts_differ_in_the_verdict_only(made: Path, tmp_path: Path) -> None:
    groups = every(load(made, "preference", "semeval2013"))
    assert Counter(group.meta["accuracy"] for group in groups) == {
        "correct": 2 * COUNT, "incorrect": COUNT, "contradictory": COUNT,
    }  # fmt: skip
    verdicts = {right: wrong for right, wrong, _ in semeval2013.VERDICTS}
    for group in groups:
        right, wrong = (reply.text for reply in group.responses)
        said = {name: next(v for v in (*verdicts, *verdicts.values()) if text.startswith(v))
                for name, text in (("right", right), ("wrong", wrong))}  # fmt: skip
        assert (said["right"] in verdicts) == (group.meta["accuracy"] == "correct")
        assert verdicts.get(said["right"], said["right"]) == verdicts.get(said["wrong"], said["wrong"])
        assert group.meta["reference"] == "The battery has no charge."
    assert len({group.id for group in groups}) == 4 * COUNT
    place = tmp_path / "semeval2013_task7"
    place.mkdir()
    with ZipFile(place / "semeval-3way.zip", "w") as archive:
        for path, text in MADE["semeval2013"]().items():
            archive.writestr(path.partition("/")[2], text)
    assert {group.id for group in every(load(tmp_path, "preference", "semeval2013"))} == {group.id for group in groups}


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("test/3way/x.xml", "<question>", r"x\.xml: broken XML"),
        ("test/3way/x.xml", "<a/>", "no `questionText` in it"),
        ("semeval-3way.zip", "no archive", r"semeval-3way\.zip: no archive"),
    ],
)  # fmt: skip
def test_semeval_files_that_are_broken(name: str, content: str, told: str, tmp_path: Path) -> None:
    write(tmp_path, {f"semeval2013_task7/{name}": content})
    with pytest.raises(UserError, match=told):
        load(tmp_path, "preference", "semeval2013")


def test_mae_names_the_misconception(made: Path) -> None:
    talk = next(talk for talk in every(load(made, "conversation", "mae")) if talk.id.endswith(":1"))
    assert talk.messages[0].content == mae.ASKED.format("1/2 + 1/3 =", "2/5")
    assert talk.messages[1].content == "Students add tops and bottoms."
    assert (talk.meta["misconception"], talk.meta["topic"], talk.meta["gold_answer"]) == ("tops", "Adding", "more")
    groups = every(load(made, "preference", "mae"))
    assert words_decide(groups) == 0
    (rows,) = MADE["mae"]().values()
    for change in ({"Question image": "q.png"}, {"Incorrect Answer": "[Image]"}):
        assert mae.to_conversation(Row(rows[0] | change, "x.json", 1), "x") == "rests on a picture"
    alone = mae.to_conversation(Row(rows[0], "x.json", 1), "x")
    assert [getattr(each, "reason", "") for each in mae.within_topics([alone])] == [  # type: ignore[list-item]
        "no other misconception of its topic"
    ]


def test_mathchat_is_looked_at_and_never_trained_on(made: Path, go: Callable[..., Any]) -> None:
    data = load(made, "conversation", "mathchat")
    assert [name for name, part in data.splits.items() if part] == ["test"]
    talk = data.splits["test"][0]
    work = "A box has 2 pens. How many are in 10 boxes?\n\nMy solution:\n2 + 10 is 12."
    assert [message.content for message in talk.messages] == [work, "What is in each box?"]
    told = Counter((record.id.split(":")[1], record.meta["reveals"]) for record in every(data))
    assert told == {("error_correction", "no"): COUNT, ("error_analysis", "yes"): COUNT}
    for words in (["dataset=mathchat"], ["dataset=cogtutorbugs", "dataset.sources=[cogtutorbugs,mathchat]"]):
        for more in ([], ["preview=1"]):
            with pytest.raises(UserError, match=r"mathchat.* for checks only.*never trained on.*GSM8K's test"):
                go("trainer=sft", *words, f"data_root={made}", *more)
