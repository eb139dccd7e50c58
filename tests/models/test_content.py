"""A model's folder is known by all the bytes that are read of it, and by nothing else."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from edu_align.models.content import base_content, model_content, name_and_content, same_base, trained_content
from edu_align.models.locate import locate
from edu_align.runs.identity import Identity
from edu_align.utils.errors import UserError

pytestmark = pytest.mark.cases("D1")
NEW, OTHER = "0123456789abcdef", "f" * 16


@pytest.fixture
def export(tmp_path: Path) -> Callable[..., Path]:
    """`export(parent, step)`: a folder `parent/merged` of 3 MiB; `step` is added to `down_proj`, in its middle."""

    def write(parent: str, step: int = 0, shards: int = 1) -> Path:
        folder = tmp_path / parent / "merged"
        folder.mkdir(parents=True)
        tensors = {name: np.zeros(3 << 18, np.int8) for name in ("a.embed", "b.gate_proj", "c.down_proj", "d.norm")}
        tensors["c.down_proj"][1000] += step
        names = sorted(tensors)
        files = [f"model-{i + 1:05}-of-{shards:05}.safetensors" for i in range(shards)] if shards > 1 else []
        for i, file in enumerate(files or ["model.safetensors"]):
            save_file({name: tensors[name] for name in names[i :: len(files) or 1]}, folder / file)
        if files:
            index = {"weight_map": {name: files[i % shards] for i, name in enumerate(names)}}
            (folder / "model.safetensors.index.json").write_text(json.dumps(index))
        (folder / "config.json").write_text("{}")
        return folder

    return write


@pytest.mark.parametrize("shards", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_two_exports_that_differ_in_one_byte_of_one_layer_are_two_runs(
    typed: Any, export: Callable[..., Path], tmp_path: Path, shards: int
) -> None:
    def run_of(folder: Path) -> str:
        model = typed("trainer=sft", "model=zephyr", f"model.path={folder}").model
        return Identity({}, {}, locate(model, tmp_path / "outputs", 0).identity, None).id

    one, two = export("one", 0, shards), export("two", 1, shards)
    assert run_of(one) == run_of(one) != run_of(two)
    same = tmp_path / "another name"
    shutil.copytree(one, same)
    (tmp_path / "link").symlink_to(one)
    assert run_of(same) == run_of(tmp_path / "link") == run_of(one)
    linked = tmp_path / "snapshot"
    linked.mkdir()
    for file in one.iterdir():
        (linked / file.name).symlink_to(file)
    assert run_of(linked) == run_of(one)
    for file in one.glob("*.safetensors"):  # as `rsync -t` and `cp -p` do it
        facts = file.stat()
        shutil.copyfile(two / file.name, file)
        os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert run_of(linked) == run_of(one) == run_of(two)


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("config.json", True),
        ("model-00002-of-00002.safetensors", True),
        ("model.safetensors.index.json", True),
        ("README.md", False),
        (".gitattributes", False),
        ("pytorch_model.bin", False),
        ("consolidated.safetensors", False),
        ("generation_config.json", False),
        ("tokenizer.json", False),
    ],
)
def test_what_is_read_counts(export: Callable[..., Path], name: str, counts: bool) -> None:
    """generation_config.json sets end tokens alone, which evaluations know by themselves."""
    folder = export("one", shards=2)
    before = model_content(folder, None)
    with (folder / name).open("ab") as file:
        file.write(b" ")
    assert (model_content(folder, None) != before) is counts


def test_a_file_that_cannot_be_read_is_named(export: Callable[..., Path]) -> None:
    folder = export("one")
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").mkdir()
    (folder / "config.json").unlink()
    with pytest.raises(UserError, match=r"`model\.path`: .*config\.json cannot be read \(No such file"):
        model_content(folder, None)


def test_an_adapter_is_its_weights_and_settings(tmp_path: Path) -> None:
    def write(weight: float = 1.0, **changes: Any) -> str:
        save_file({"lora_B": np.full(4, weight, np.float32)}, tmp_path / "adapter_model.safetensors")
        settings = {"r": 8, "target_modules": ["a", "b"], "base_model_name_or_path": "here", "rank_pattern": {}}
        (tmp_path / "adapter_config.json").write_text(json.dumps(settings | changes))
        return trained_content(tmp_path, None)

    one = write()
    assert one == write(base_model_name_or_path="/elsewhere", target_modules=["b", "a"], peft_version="9")
    others = [write(2.0), write(r=4), write(rank_pattern={"a": 4}), write(target_modules=["a"]), write(lora_alpha=1)]
    assert len({one, *others}) == 6


@pytest.mark.parametrize(
    ("recorded", "found", "same"),
    [
        (f"folder:a:{NEW}", f"folder:b:{NEW}", True),
        (f"folder:a:{NEW}", f"folder:a:{OTHER}", False),
        (f"folder:a:b:{NEW}", f"hub:o/n@main:{NEW}", True),
        ("folder:a:0123456789ab", f"folder:a:{OTHER}", True),  # recorded when only the ends of files were read
        ("folder:a:0123456789ab", f"folder:b:{OTHER}", False),
        ("hub:o/n@main", f"hub:o/n@main:{NEW}", True),
        ("hub:o/n@main", f"hub:o/n@v1:{NEW}", False),
        ("bundled:x.gguf", f"bundled:x.gguf:{NEW}", True),
        ("bundled:x.gguf", f"folder:a:{NEW}", False),
        ("random:tiny:seed7", "random:tiny:seed7", True),
        ("random:tiny:seed7", "random:tiny:seed8", False),
        (f"folder:a:{NEW}", "random:tiny:seed8", False),
    ],
)
def test_which_bases_are_the_same(recorded: str, found: str, same: bool) -> None:
    assert same_base(recorded, found) is same


def test_the_parts_of_an_identity() -> None:
    assert name_and_content(f"folder:a:b:{NEW}") == ("folder:a:b", NEW)
    assert name_and_content("hub:o/n@main") == ("hub:o/n@main", None)
    assert base_content(f"bundled:x.gguf:{NEW}") == NEW
    assert base_content("random:tiny:seed7") == "random:tiny:seed7"
