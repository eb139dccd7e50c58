"""The public files, where they lie beside the repository: counts, groups, and the rules that were read off them."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edu_align.config.schema import DatasetConfig
from edu_align.data.dataset import LoadedData, load_records
from edu_align.data.pairs import training_pairs
from edu_align.data.questions import normalise, problem_key
from edu_align.data.readers import read_rows
from edu_align.records import Conversation, pairs_of
from tests.data.made_rows import previewed_and_trained
from tests.data.test_split import crossing_groups
from tests.public_files import read_once

TRAINING_PART = "mathdial_train/mathdial_shape.jsonl"


@pytest.fixture(scope="module")
def load(real_data: Path) -> Iterator[Any]:
    """`load(sources, view)`: what is read of the public files."""
    with pytest.MonkeyPatch.context() as patch:
        read_once(patch, real_data)
        yield lambda sources, view, **keys: load_records(
            DatasetConfig(name="mix", sources=sources, **keys), real_data, "unused", 0, view
        )


@pytest.fixture(scope="module")
def rows(real_data: Path) -> Any:
    return lambda file: [row.data for row in read_rows(real_data / file)]


@pytest.fixture(scope="module")
def preferences(load: Any) -> LoadedData:
    return load(["mrbench", "bridge"], "preference")


def test_every_mrbench_dialogue_is_kept_with_all_its_pairs(preferences: LoadedData, rows: Any) -> None:
    """As many pairs as the raw labels give: cleaning makes no two replies of one dialogue equal."""
    points = {"Yes": 2, "To some extent": 1, "No": 0}
    expected = 0
    for row in rows("mrbench/devset.json"):
        scores = [sum(points[v] for v in r["annotation"].values()) for r in row["tutor_responses"].values()]
        expected += sum(a - b >= 2 for a in scores for b in scores)
    groups = [r for part in preferences.splits for r in preferences.require(part)]
    mrbench = [g for g in groups if g.id.startswith("mrbench:devset:")]
    assert len(mrbench) == len(rows("mrbench/devset.json"))
    assert sum(len(list(pairs_of(group, 2))) for group in mrbench) == expected
    assert len(training_pairs(mrbench, 2, None, 0)) < expected, "leaking replies are not chosen"
    assert all(group.prompt[0].role == group.prompt[-1].role == "user" for group in groups)
    assert not any("\u00a0" in response.text for group in groups for response in group.responses)


def test_bridge_gives_one_pair_a_row(preferences: LoadedData) -> None:
    bridge = [r for part in preferences.splits for r in preferences.require(part) if r.source == "bridge"]
    assert len(training_pairs(bridge, 1.0, None, 0)) == len(bridge) == preferences.sources["bridge"].kept
    assert preferences.sources["bridge"].kept > 0.85 * preferences.sources["bridge"].read
    kinds = {"guess", "careless", "misinterpret", "right-idea", "imprecise", "diagnose"}
    assert len([r for r in bridge if r.meta["error"] in kinds]) > 0.97 * len(bridge)


def test_mrbench_ids_hold_the_bridge_session(rows: Any) -> None:
    """Where MRBench's history is a Bridge context, the first seven digits of its id are that row's session."""
    sessions: defaultdict[str, set[str]] = defaultdict(set)
    for file in ("train", "validation"):
        for row in rows(f"bridge/{file}.json"):
            assert re.fullmatch(r"\d{7}_\d+", row["c_id"])
            sessions[normalise(" ".join(m["text"] for m in row["c_h"]))].add(row["c_id"].split("_")[0])
    matched = 0
    for row in rows("mrbench/devset.json"):
        said = normalise(re.sub(r"(Tutor|Student)\s*:", " ", row["conversation_history"]))
        if "-" not in row["conversation_id"] and said in sessions:
            matched += 1
            assert row["conversation_id"][:7] in sessions[said]
    assert matched > 30


def test_no_group_crosses_over_all_sources(load: Any, rows: Any, real_data: Path) -> None:
    data = load(["mathdial", "bridge", "mrbench", "gsm8k_socratic"], "conversation")
    assert crossing_groups(data.splits) == set()
    files = [file for file in (TRAINING_PART, "mathdial/test.jsonl") if (real_data / file).is_file()]
    assert data.sources["mathdial"].kept == sum(len(rows(file)) for file in files)
    assert all(source.read == source.kept + sum(source.dropped.values()) for source in data.sources.values())
    for record in (r for part in data.splits.values() for r in part):
        assert isinstance(record, Conversation)
        roles = [message.role for message in record.messages]
        assert roles == ["user", "assistant"] * (len(roles) // 2)
        assert all(message.content for message in record.messages)
    problems = {problem_key(row["question"]) for row in rows("mathdial/test.jsonl")}
    mrbench = {r.group for p in data.splits.values() for r in p if r.source == "mrbench" and r.meta["problem"]}
    assert len(mrbench & problems) > 0.9 * len(mrbench), "MRBench's problems are MathDial's"
    sides = {name for name, part in data.splits.items() if any(":test_socratic:" in r.id for r in part)}
    assert sides == {"test"}, "GSM8K's own test"


def test_sft_and_dpo_mixes_agree_on_the_sides(preferences: LoadedData, load: Any) -> None:
    talks = load(["mathdial", "bridge"], "conversation")
    trained = {r.group for r in talks.splits["train"]} | {r.group for r in preferences.splits["train"]}
    held = {r.group for r in talks.splits["test"]} | {r.group for r in preferences.splits["test"]}
    assert not trained & held


def test_general_preferences_in_ranking_form(load: Any, real_data: Path) -> None:
    data = load(["local"], "preference", path=str(real_data / "preferences/dpo_en_demo.json"))
    assert data.sources["local"].note == "format preference, by its columns"
    assert data.sources["local"].kept > 0.95 * data.sources["local"].read


NEW = ["stepverify", "cogtutorbugs", "oatutor", "convolearn", "semeval2013", "mae"]


@pytest.fixture(scope="module")
def new_sets(real_data: Path) -> None:
    """The sets that name the mistake are there."""
    absent = [name for name in NEW if not any((real_data / name.replace("2013", "2013_task7")).glob("*"))]
    if absent:
        pytest.skip(f"no {', '.join(absent)} in {real_data}")


@pytest.mark.slow
@pytest.mark.usefixtures("new_sets")
def test_no_question_is_on_two_sides_and_none_moved(load: Any) -> None:
    """Beside the sets that were there before them."""
    diagnoses = load(["mathdial", "bridge", "mrbench", "gsm8k_socratic", *NEW], "conversation")
    assert crossing_groups(diagnoses.splits) == set()
    sides: defaultdict[str, set[str]] = defaultdict(set)
    for name, part in diagnoses.splits.items():
        for record in part:
            if problem := record.meta.get("problem"):
                sides[problem_key(problem)].add(name)
    assert len(sides) > 5000
    assert all(len(found) == 1 for found in sides.values())
    before = load(["mathdial", "bridge", "mrbench", "gsm8k_socratic"], "conversation")
    now = {record.id: name for name, part in diagnoses.splits.items() for record in part}
    assert {r.id: name for name, part in before.splits.items() for r in part}.items() <= now.items()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "trainer"), [("mathdial", "sft"), *((name, how) for name in NEW for how in ("sft", "dpo"))]
)
def test_a_new_set_is_previewed_and_trained(
    source: str, trainer: str, real_data: Path, go: Callable[..., Any], capsys: Any
) -> None:
    """mathdial: its training part, which came with them."""
    files = {"mathdial": "mathdial_train", "semeval2013": "semeval2013_task7"}
    if not any((real_data / files.get(source, source)).glob("*")):
        pytest.skip(f"no {source} in {real_data}")
    previewed_and_trained(go, capsys, source, trainer, real_data)


@pytest.mark.usefixtures("new_sets")
def test_pairs_that_style_cannot_decide(load: Any) -> None:
    data = load(["cogtutorbugs"], "preference")
    groups = [record for part in data.splits.values() for record in part]
    assert (len(training_pairs(groups, 2.0, None, 0)), len({g.meta["problem"] for g in groups})) == (888, 325)
    assert not any("<" in r.text for g in groups for r in g.responses)
    steps = [record for part in load(["stepverify"], "preference").splits.values() for record in part]
    places = [g.meta["steps"].split("\n").index(g.meta["other_step"]) < int(g.meta["incorrect_index"]) for g in steps]
    assert len(steps) == 559
    assert 0.4 < sum(places) / len(places) < 0.6, "its place in the solution tells nothing"
