"""The sets that name the mistake: their rows, and that each is previewed, trained and split by question."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edu_align.config.schema import DatasetConfig
from edu_align.data.dataset import LoadedData, load_records
from edu_align.data.pairs import training_pairs
from edu_align.data.questions import problem_key
from edu_align.data.readers import Row
from edu_align.data.sources import cogtutorbugs
from edu_align.records import Conversation, ResponseGroup
from tests.data.made_rows import COUNT, LABELS, MADE, lay
from tests.data.test_split import crossing_groups


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


@pytest.mark.parametrize("source", MADE)
def test_it_is_previewed_and_trained(source: str, made: Path, go: Callable[..., Any], capsys: Any) -> None:
    words = ["trainer=dpo", f"dataset={source}", f"data_root={made}", "trainer.max_steps=2"]
    assert go(*words, "preview=1") is None
    assert ">>>" in capsys.readouterr().out
    assert go(*words).record["state"] == "finished"


@pytest.mark.parametrize("source", MADE)
@pytest.mark.parametrize("view", ["conversation", "preference"])
def test_no_question_is_on_two_sides(source: str, view: str, made: Path) -> None:
    data = load(made, view, source)
    assert all(data.splits.values())
    assert crossing_groups(data.splits) == set()
    assert all(r.group == problem_key(r.meta["problem"]) for r in every(data))
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
