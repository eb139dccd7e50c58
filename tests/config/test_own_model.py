"""Which model a command line means: with another path than the preset's, nothing of the preset counts."""

from dataclasses import asdict
from pathlib import Path

import pytest

from edu_align.config.compose import compose, name_of
from edu_align.config.schema import ModelConfig
from edu_align.config.text import models_by_path

GIVEN = ("name", "path", "architecture")
SCHEMA = {key: value for key, value in asdict(ModelConfig()).items() if key not in GIVEN}


def model_of(*words: str, folders: list[Path] | None = None) -> dict[str, object]:
    found = compose(list(words), folders).model
    return {key: found[key] for key in found if key != "architecture"} | {"units": found.architecture.hidden_size}


@pytest.mark.cases("B11")
@pytest.mark.parametrize(
    ("words", "by_hand"),
    [
        (["model=smollm2", "model.path=owner/other"], {"path": "owner/other", "name": "other"}),
        (
            ["model=tiny", "model.path=/nowhere", "model.tokenizer=bytes"],
            {"path": "/nowhere", "name": "nowhere", "tokenizer": "bytes"},
        ),
        (
            ["model=zephyr", "model.path=a/b", "model.chat_template=zephyr", "model.revision=abc", "model.name=mine"],
            {"path": "a/b", "name": "mine", "chat_template": "zephyr", "revision": "abc"},
        ),
        (["model=a/b", "model.revision=abc"], {"path": "a/b", "name": "b", "revision": "abc"}),
        (["model=/my models/c 4"], {"path": "/my models/c 4", "name": "c-4"}),
        (["experiment=tutor_dpo_cpu", "model.path=x/y"], {"path": "x/y", "name": "y"}),
    ],
)
def test_what_was_set_by_hand_is_all_that_counts(words: list[str], by_hand: dict[str, object]) -> None:
    assert model_of(*words, "dataset=edu_tutor") == {**SCHEMA, "units": 0, **by_hand}


@pytest.mark.cases("B11")
def test_a_presets_own_path_is_the_preset() -> None:
    path = "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert model_of(f"model.path={path}") == model_of()


@pytest.mark.cases("B11")
def test_a_preset_of_ones_own_needs_a_path_alone(tmp_path: Path) -> None:
    presets = tmp_path / "model"
    presets.mkdir()
    (presets / "mine.yaml").write_text("defaults: [model_schema, _self_]\npath: owner/Mine-1B\n")
    over = "defaults: [smollm2, _self_]\npath: owner/Over-1B\nchat_template: zephyr\n"
    (presets / "over.yaml").write_text(over)
    assert model_of("model=mine", folders=[tmp_path]) == {
        **SCHEMA, "path": "owner/Mine-1B", "name": "Mine-1B", "units": 0,
    }  # fmt: skip
    assert model_of("model=over", folders=[tmp_path]) == {
        **SCHEMA, "path": "owner/Over-1B", "name": "Over-1B", "units": 0, "chat_template": "zephyr",
    }  # fmt: skip
    (presets / "over.yaml").write_text("defaults: [smollm2, _self_]\nchat_template: zephyr\n")
    assert model_of("model=over", folders=[tmp_path]) == {**model_of(), "chat_template": "zephyr"}
    assert model_of("model=over", "model.path=x/y", folders=[tmp_path])["chat_template"] == "auto"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("Qwen/Qwen3-4B", "Qwen3-4B"),
        (f"/c/hub/models--Qwen--Qwen3-4B/snapshots/{'0' * 40}", "Qwen3-4B"),
        ("outputs/runs/my run/model", "my-run"),
        ("runs/a/export/", "a"),
        ("./modèle", "modèle"),
        ("model", "model"),
        ("..", "own"),
    ],
)
def test_the_name_that_a_path_gives(path: str, name: str) -> None:
    assert name_of(path) == name


def test_a_preset_in_a_folder_of_its_group_is_a_preset(tmp_path: Path) -> None:
    (tmp_path / "model" / "mine").mkdir(parents=True)
    own = "defaults: [/model/model_schema@_here_, _self_]\npath: owner/of-mine\n"
    (tmp_path / "model" / "mine" / "small.yaml").write_text(own, encoding="utf-8")
    assert models_by_path(["model=mine/small", "model=mine/other", "model=a,b/c", "model=tiny"], [tmp_path]) == [
        "model=mine/small", "model.path=mine/other", "model=a,b/c", "model=tiny",
    ]  # fmt: skip
