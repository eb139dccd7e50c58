"""A run made from a GGUF base goes through every command: the file itself is named, never the folder made of it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edu_align import chat, evaluate, export, generate
from tests.chatting.conftest import Here, here, json_rows  # noqa: F401 - a fixture
from tests.models.gguf_models import random_network, write

KIND = {"llama": "f16", "qwen2": "q8_0"}  # what is trained: the type of the file that is exported


@pytest.fixture(scope="module", params=["llama", pytest.param("qwen2", marks=pytest.mark.slow)])
def file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its numbers are float32, so that it can be exported in any type. Its blocks are 64 wide."""
    model = random_network(request.param, max_position_embeddings=4096)
    return write(tmp_path_factory.mktemp("base") / f"{request.param}.gguf", model)


def test_it_is_trained_asked_measured_exported_and_talked_to(
    file: Path,
    go: Callable[..., Any],
    here: Here,  # noqa: F811
    tmp_path: Path,
) -> None:
    root = f"outputs_root={tmp_path}"
    run = go(
        "model=zephyr",
        f"model.path={file}",
        "trainer=dpo",
        "run_name=it",
        "trainer.max_length=2000",
        "hardware.packing=on",
    )
    record = json.loads((run.path / "run.json").read_text())
    assert record["base_model"].startswith(f"gguf:{file.name}:")
    made = [folder for folder in (tmp_path / "cache" / "models").iterdir() if folder.is_dir()]
    assert len(made) == 1

    (tmp_path / "asked.txt").write_text("Is 1/2 + 1/3 = 2/5?\nWhy?\n")
    few = "generation.max_new_tokens=5"
    asked = [f"input={tmp_path / 'asked.txt'}", f"output={tmp_path / 'replies.jsonl'}", few]
    code, _, err = here(generate.main, "run=it", *asked, root)
    assert code == 0, err
    assert len(json_rows(tmp_path / "replies.jsonl")) == 2

    metrics = ["evaluation.metrics=[pair_accuracy_own,form_own]", "evaluation.max_groups=2", "evaluation.samples=1"]
    code, out, err = here(evaluate.main, "run=it", *metrics, "evaluation.max_new_tokens=5", root)
    assert code == 0, err
    assert "pair_accuracy_edu_tutor/implicit" in out

    kind = KIND[file.stem]
    code, out, err = here(export.main, "run=it", f"output={tmp_path / 'tutor'}", f"export.gguf={kind}", root)
    assert code == 0, err
    assert [each.suffix for each in (tmp_path / "tutor" / "gguf").iterdir() if each.suffix == ".gguf"] == [".gguf"]

    code, out, err = here(chat.main, "run=it", "--compare", few, root, stdin="Why?\n")
    assert code == 0, err
    assert "it" in out

    # The exported file is a base like the first: a second round begins with it.
    (again,) = (tmp_path / "tutor" / "gguf").glob("*.gguf")
    second = go(
        "model=zephyr",
        f"model.path={again}",
        "trainer=sft",
        "run_name=second",
        "trainer.max_length=2000",
        "trainer.max_steps=1",
    )
    assert json.loads((second.path / "run.json").read_text())["state"] == "finished"
    assert [folder for folder in made if not folder.is_dir()] == []


def test_a_file_that_moved_is_given_again(
    file: Path,
    go: Callable[..., Any],
    here: Here,  # noqa: F811
    tmp_path: Path,
) -> None:
    """The message names the way out, and it works."""
    if file.stem != "llama":
        pytest.skip("once is enough")
    own = tmp_path / "own.gguf"
    shutil.copyfile(file, own)
    root, few = f"outputs_root={tmp_path}", "generation.max_new_tokens=2"
    words = ["trainer=sft", "trainer.max_steps=1", "trainer.max_length=2000", "evaluation.enabled=false"]
    run = go("model=zephyr", f"model.path={own}", "run_name=it", *words)
    moved = own.rename(tmp_path / "elsewhere.gguf")
    (tmp_path / "asked.txt").write_text("Why?\n")
    asked = [f"run={run.path}", f"input={tmp_path / 'asked.txt'}", f"output={tmp_path / 'replies.jsonl'}", few, root]
    code, _, err = here(generate.main, *asked)
    assert code == 2
    assert "there is no such file" in err
    code, _, err = here(generate.main, *asked, f"model.path={moved}")
    assert code == 0, err
