"""How much of each source is trained on, and what is measured of each source alone."""

import json
from collections import Counter
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from edu_align.config.metrics import check_objective
from edu_align.data.datamodule import examples, training_data
from edu_align.data.mixing import mixed
from edu_align.planning.plan import make_plan
from edu_align.records import Conversation, Message, Pair, Response, ResponseGroup
from edu_align.utils.errors import UserError

SIZES = {"mathdial": 30, "bridge": 7}


def talks(sizes: dict[str, int] = SIZES) -> list[Any]:
    return [
        Conversation((Message("user", "?"), Message("assistant", "!", train=True)), f"{source}-{i}", source, f"g{i}")
        for source, size in sizes.items()
        for i in range(size)
    ]


def pairs(sizes: dict[str, int] = SIZES) -> list[Any]:
    """Three of each prompt."""
    replies = tuple(Response(str(i), float(i)) for i in range(3))
    groups = [
        ResponseGroup((Message("user", "?"),), replies, f"{source}-{i}", source, f"g{i}")
        for source, size in sizes.items()
        for i in range(size)
    ]
    return [Pair(group, *indices) for group in groups for indices in ((2, 1), (2, 0), (1, 0))]


def ids(found: list[Any]) -> list[str]:
    return [(each.group if isinstance(each, Pair) else each).id for each in found]


CASES: list[tuple[dict[str, float], dict[str, int], dict[str, int]]] = [
    ({"mathdial": 0.5}, {}, {"mathdial": 15, "bridge": 7}),
    ({"mathdial": 0.5, "bridge": 2}, {}, {"mathdial": 15, "bridge": 14}),
    ({"bridge": 2.5}, {}, {"mathdial": 30, "bridge": 18}),  # 17.5
    ({"bridge": 1e-6}, {}, {"mathdial": 30, "bridge": 1}),
    ({}, {"mathdial": 10}, {"mathdial": 10, "bridge": 7}),
    ({"bridge": 3}, {"bridge": 10, "mathdial": 1000}, {"mathdial": 30, "bridge": 10}),
]


@pytest.mark.parametrize(("weights", "most", "expected"), CASES)
def test_weights_and_caps_are_of_a_sources_own_records(
    weights: dict[str, float], most: dict[str, int], expected: dict[str, int]
) -> None:
    found = ids(mixed(talks(), weights, most, 3))
    assert Counter(name.split("-")[0] for name in found) == expected
    for source, size in SIZES.items():
        times = Counter(name for name in found if name.startswith(source))
        whole, rest = divmod(expected[source], size)
        assert Counter(times.values()) == Counter(
            {n: m for n, m in ((whole, size - rest), (whole + 1, rest)) if n and m}
        )


def test_the_draw_is_the_seeds_and_a_sources_own() -> None:
    def drawn(seed: int, sizes: dict[str, int] = SIZES) -> list[str]:
        return ids(mixed(talks(sizes), {"mathdial": 0.5}, {}, seed))

    assert drawn(1) == drawn(1)
    assert sorted(drawn(1)) != sorted(drawn(2))
    mathdial = sorted(name for name in drawn(1) if name.startswith("mathdial"))
    assert mathdial == sorted(drawn(1, {"mathdial": 30})), "whatever is beside it"
    assert drawn(1) != sorted(drawn(1)), "the order is drawn, too"


def test_without_weights_and_caps_nothing_moves() -> None:
    every = talks()
    assert all(one is other for one, other in zip(mixed(every, {}, {}, 0), every, strict=True))


def test_a_prompt_keeps_its_pairs_together() -> None:
    found = mixed(pairs(), {"bridge": 2, "mathdial": 0.2}, {}, 0)
    assert Counter(ids(found)).keys() >= {f"bridge-{i}" for i in range(7)}
    runs = [len(list(same)) for _, same in groupby(ids(found))]
    assert all(length % 3 == 0 for length in runs)
    assert len(found) == 3 * (14 + 6)


@pytest.fixture
def two_sources(tmp_path: Path) -> list[str]:
    """Words of a data set of the built-in corpus and of a file."""
    rows = [{"prompt": f"What is {i} + 3?", "chosen": "Count on from it.", "rejected": str(i + 3)} for i in range(60)]
    file = tmp_path / "pairs.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return ["dataset=local", "dataset.sources=[edu_tutor,local]", f"dataset.path={file}", "dataset.margin=1.0",
            "dataset.max_train_records=null"]  # fmt: skip


@pytest.mark.parametrize("trainer", ["sft", "dpo"])
def test_a_run_reads_its_sources_by_weight(typed: Any, two_sources: list[str], trainer: str, tmp_path: Path) -> None:
    plain = [f"trainer={trainer}", f"outputs_root={tmp_path}", *two_sources, "evaluation.enabled=false"]
    config = typed(*plain, "dataset.weights={edu_tutor: 0.5, local: 2}")
    data, unmixed = training_data(config, set()), training_data(typed(*plain), set())

    def counts(found: Any) -> Counter[str]:
        return Counter((each.group if trainer == "dpo" else each).source for each in found)

    before, after = counts(unmixed.train), counts(data.train)
    assert after["local"] == 2 * before["local"] > 0
    assert after["edu_tutor"] == pytest.approx(before["edu_tutor"] / 2, rel=0.3), "half of the prompts"
    assert data.validation == unmixed.validation
    assert data.loaded.fingerprint == unmixed.loaded.fingerprint
    kind = "pairs" if trainer == "dpo" else "conversations"
    assert f"used of each source: edu_tutor {after['edu_tutor']} {kind} (" in data.describe()
    assert f"local {after['local']} {kind} ({before['local']} of {before['local']} records)" in data.describe()
    assert data.facts()["train_examples_by_source"] == dict(after)
    assert examples(config, data.loaded, "train") == data.train
    assert f"local {after['local']} {kind} (" in make_plan(config).describe()
    capped = training_data(typed(*plain, "dataset.max_per_source={local: 5}"), set())
    assert counts(capped.train)["local"] == 5


def test_one_source_needs_no_line(typed: Any, tmp_path: Path) -> None:
    data = training_data(typed("trainer=sft", f"outputs_root={tmp_path}", "evaluation.enabled=false"), set())
    assert "used of each source" not in data.describe()
    assert "train_examples_by_source" not in data.facts()


@pytest.mark.parametrize("trainer", [pytest.param("sft", marks=pytest.mark.slow), "dpo"])
def test_each_source_is_measured_alone(go: Callable[..., Any], two_sources: list[str], trainer: str) -> None:
    """Numbers of all records are means over those of the sources."""
    words = [f"trainer={trainer}", *two_sources, "trainer.max_steps=1", "evaluation.samples=0"]
    done = go(*words, "evaluation.max_groups=40")
    results = json.loads((done.path / "evaluation.json").read_text())
    name = "human_turn_nll" if trainer == "sft" else "pair_accuracy_mean_logp"
    for when, prefix in (("before", "before"), ("after", "eval")):
        every, apart = results[when][name], results[when]["by_source"]
        assert sorted(apart) == ["edu_tutor", "local"]
        assert sum(own[name]["n"] for own in apart.values()) == every["n"]
        for source, own in apart.items():
            assert done.record["metrics"][f"{prefix}/{source}/{name}"] == own[name]["value"]
        if trainer == "dpo":
            total = sum(own[name]["value"] * own[name]["n"] for own in apart.values())
            assert total / every["n"] == pytest.approx(every["value"])
    assert "Of local alone:" in (done.path / "README.md").read_text(encoding="utf-8")


def test_a_number_of_one_source_can_be_an_objective() -> None:
    check_objective("eval/mathdial/human_turn_nll")
    for wrong in ("eval/mathdail/human_turn_nll", "eval/mathdial/loss", "train/mathdial/human_turn_nll"):
        with pytest.raises(UserError, match="is no metric of a run"):
            check_objective(wrong)


REFUSED = [
    ("dataset=mathdial_bridge dataset.weights={mathdail:2}",
     "`dataset.weights` names mathdail, which is not in dataset.sources (mathdial | bridge). Did you mean `mathdial`?"),
    ("dataset=mathdial_bridge dataset.max_per_source={mrbench:5}",
     "`dataset.max_per_source` names mrbench, which is not in dataset.sources (mathdial | bridge)."),
    ("dataset=mathdial_bridge dataset.weights={bridge:0}", "`dataset.weights.bridge` must be > 0, got 0.0."),
    ("dataset=mathdial_bridge dataset.weights={bridge:nan}", "`dataset.weights.bridge` must be > 0, got nan."),
    ("dataset=mathdial_bridge dataset.weights={bridge:much}",
     "`dataset.weights` must be a mapping {key: a number}, got {'bridge': 'much'}."),
    ("dataset=mathdial_bridge dataset.max_per_source={bridge:0}", "`dataset.max_per_source.bridge` must be >= 1, got"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "expected"), REFUSED)
def test_what_no_source_has_is_refused_by_name(words: str, expected: str) -> None:
    from edu_align.config.compose import compose

    with pytest.raises(UserError) as caught:
        compose(words.split())
    assert expected in str(caught.value)
    assert caught.value.exit_code == 2
