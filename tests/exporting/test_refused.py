"""What is not the tutor, or cannot become it, is refused, and nothing of it is kept."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.exporting.conftest import Runs, Say, by_hand, copied


def test_an_adapter_on_a_local_base(
    ok: Say, refused: Say, train: Callable[..., Any], mistral_folder: Path, tmp_path: Path
) -> None:
    base = tmp_path / "base"
    shutil.copytree(mistral_folder, base)
    places = [f"model.path={base}", "model.weights=pretrained", "model.tokenizer=null"]
    train("trainer=sft", "run_name=on_mistral", "evaluation.enabled=false", *places)
    ok("run=on_mistral", f"output={tmp_path / 'out'}")
    card = (tmp_path / "out" / "README.md").read_text()
    assert all(words in card for words in ("a local folder named base (fingerprint ", "licence is not known here"))
    assert not any(words in card for words in (str(tmp_path), "base_model:"))

    other, _ = by_hand(base)
    other.model.embed_tokens.weight.data += 1
    other.save_pretrained(base)
    err = refused("run=on_mistral", f"output={tmp_path / 'other'}")
    assert "that run was trained on folder:base:" in err
    assert "An adapter only fits its own base" in err
    shutil.rmtree(base)
    err = refused("run=on_mistral", f"output={tmp_path / 'other'}")
    assert "no such folder exists" in err
    assert not (tmp_path / "other").exists()


BROKEN = {
    "peft.LoraModel.merge_and_unload": (lambda self, **options: self.unload(), "the merged model (float32)"),
    "edu_align.exporting.gguf.interleaved": (lambda weights, heads: weights, "sft-f32.gguf"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_an_export_that_went_wrong_is_not_kept(
    refused: Say, runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    runs("sft")
    broken, written = BROKEN[name]
    monkeypatch.setattr(name, broken)
    err = refused("run=sft", f"output={tmp_path / 'out'}", "export.gguf=f32")
    assert f"{written} was loaded back and does not say what the tutor says" in err
    assert re.search(r"the tolerance for (float32|float32 and f32) is 0\.0001", err)
    assert list(tmp_path.iterdir()) == []


def test_an_adapter_with_broken_numbers_is_one_message(refused: Say, runs: Runs, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    file = copied(runs("sft").path, "diverged") / "adapter" / "adapter_model.safetensors"
    weights = load_file(file)
    next(iter(weights.values()))[0, 0] = float("nan")
    save_file(weights, file, metadata={"format": "pt"})
    err = refused("run=diverged", "accept_changed=true", f"output={tmp_path / 'out'}")
    assert "`run=diverged`: its adapter cannot be merged" in err
    assert "accepted as it is" in err.split("\n")[0]
    assert err.count("\n") == 2
    assert list(tmp_path.iterdir()) == []
