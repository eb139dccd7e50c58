"""Questions of other sources that stay out of training, and splits into equal folds."""

import json
from pathlib import Path
from typing import Any

import pytest

from edu_align.config.compose import compose
from edu_align.config.schema import DatasetConfig
from edu_align.data.datamodule import training_data
from edu_align.data.dataset import load_records
from edu_align.data.fingerprint import _place
from edu_align.data.leave_out import _tied
from edu_align.data.split import cut_of, side
from edu_align.records import Conversation, Message
from edu_align.utils.errors import UserError
from tests.conftest import TINY, config_of

LEVELS = ("Yes", "No")
DIMENSIONS = ("Mistake_Identification", "Mistake_Location", "Providing_Guidance", "Actionability")
COUNT, SHARED = 60, 20


def question(n: int) -> str:
    return f"A shop has {n} bags of {n + 3} nuts. How many nuts are there?"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """MathDial with COUNT questions, and MRBench with the first SHARED of them."""
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    talks = [
        {"question": question(n), "ground_truth": f"{n * (n + 3)}", "student_incorrect_solution": f"{n} + {n + 3}",
         "conversation": f"Teacher: What is in one of the {n} bags?|EOM|Ann: {n + 3} nuts.|EOM|Teacher: And in two?"}
        for n in range(1, COUNT + 1)
    ]  # fmt: skip
    replies = {author: {"response": f"{author} asks: what next?", "annotation": dict.fromkeys(DIMENSIONS, level)}
               for author, level in zip(("Expert", "Phi3"), LEVELS, strict=True)}  # fmt: skip
    rows = [
        {"conversation_id": f"{n}-ab", "tutor_responses": replies, "conversation_history":
         f"Tutor: Hi, could you solve this? The question is: {question(n)} \n Student: {n} + {n + 3} is it."}
        for n in range(1, SHARED + 1)
    ]  # fmt: skip
    for name, text in (
        ("mathdial/train.jsonl", "\n".join(map(json.dumps, talks))),
        ("mrbench/devset.json", json.dumps(rows)),
    ):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text)
    return tmp_path


def loaded(root: Path, **keys: Any) -> Any:
    dataset = DatasetConfig(name="mathdial", sources=["mathdial"], **keys)
    return load_records(dataset, root, root / "outputs", 0, "conversation")


def test_questions_of_another_source_are_neither_trained_nor_validated_on(root: Path) -> None:
    shared = {question(n) for n in range(1, SHARED + 1)}
    whole, kept = loaded(root), loaded(root, leave_out=["mrbench"])

    def asked(data: Any, split: str) -> set[str]:
        return {record.meta["problem"] for record in data.splits[split]}

    for split in ("train", "validation"):
        assert asked(kept, split) == asked(whole, split) - shared
    assert asked(kept, "test") == asked(whole, "test")
    assert asked(whole, "train") & shared
    gone = sum(len(asked(whole, split) & shared) for split in ("train", "validation"))
    assert kept.sources["mathdial"].dropped == {"question also in mrbench (dataset.leave_out)": gone}
    assert kept.describe().count("question also in mrbench") == 1
    assert list(kept.sources) == ["mathdial"]  # read for its keys alone
    assert kept.fingerprint != whole.fingerprint


def test_a_history_ties_as_a_question_does() -> None:
    """Two dialogues that begin alike belong together, whatever each source calls its question."""
    turns = (Message("user", "Is 3/4 more than 2/3?"), Message("assistant", "How could you see it?", train=True))

    def talk(source: str, key: str) -> Conversation:
        return Conversation(turns, f"{source}:{key}", source, key)

    own = [talk("a", "problem:1"), Conversation((Message("user", "9 x 7?"), turns[1]), "a:2", "a", "problem:2")]
    assert _tied(own, [talk("b", "session:9")]) == {"problem:1"}


def test_files_that_are_absent_are_named(root: Path) -> None:
    with pytest.raises(UserError, match=r"`dataset\.leave_out` names bridge, .*no train\.json"):
        loaded(root, leave_out=["bridge"])


def test_own_rows_are_no_source_to_leave_out() -> None:
    with pytest.raises(UserError, match=r"`dataset\.leave_out` takes public sources, got local"):
        compose(["trainer=sft", "dataset=edu_tutor", "dataset.leave_out=[local]"])


def test_a_change_of_what_is_left_out_is_a_change_of_the_data(root: Path) -> None:
    words = [*(word for word in TINY if not word.startswith("dataset")), "trainer=sft", "dataset=mathdial"]
    words += [f"data_root={root}", f"outputs_root={root / 'outputs'}", "dataset.leave_out=[mrbench]"]
    first = _place(config_of(*words))
    with (root / "mrbench" / "devset.json").open("a") as file:
        file.write("\n")
    assert _place(config_of(*words)) != first


@pytest.mark.parametrize("folds", [2, 3, 5, 7])
def test_every_group_is_held_out_by_one_fold(folds: int) -> None:
    cuts = [cut_of(DatasetConfig(name="x", sources=[], folds=folds, validation_fold=fold)) for fold in range(folds)]
    counts = [0] * folds
    for n in range(600):
        sides = [side(f"problem:{n}", *cut) for cut in cuts]
        assert sorted(sides) == ["train"] * (folds - 1) + ["validation"]
        counts[sides.index("validation")] += 1
    assert min(counts) > 600 / folds / 2


def test_a_fold_says_what_it_must_not_be_taken_for() -> None:
    config = config_of(
        *TINY, "trainer=dpo", "dataset.folds=3", "dataset.validation_fold=2", "evaluation.split=validation"
    )
    data = training_data(config, set())
    assert not data.loaded.splits["test"]
    assert "part 2 of dataset.folds=3 is held out" in data.describe()
    assert "never to be compared on the test split" in data.facts()["notes"][-1]


IN_FOLDS = ["dataset.folds=3", "evaluation.split=validation"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["dataset.folds=3"], "with dataset.folds=3 a run trains on questions of the test split"),
        ([*IN_FOLDS, "dataset.validation_fold=3"], "must be <= 2 with dataset.folds=3, got 3"),
        ([*IN_FOLDS, "dataset.folds=1"], "`dataset.folds` must be >= 2"),
    ],
)
def test_folds_that_there_are_not(words: list[str], said: str) -> None:
    with pytest.raises(UserError) as error:
        compose(["trainer=dpo", "dataset=edu_tutor", *words])
    assert said in str(error.value)
