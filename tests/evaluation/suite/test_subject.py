"""What a measured model is: everything that its scores and replies depend on, and where it lies is none of it."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from edu_align.evaluation.suite.subject import LoadedSubject, Weights


@pytest.mark.cases("D1", "D6")
def test_a_subject_is_its_bytes(typed: Any, mistral_folder: Path, tmp_path: Path) -> None:
    """A renamed base is the same; another bit of weights, settings of an adapter or an end token is another."""
    base, adapter = tmp_path / "renamed", tmp_path / "adapter"
    shutil.copytree(mistral_folder, base)
    adapter.mkdir()
    (adapter / "adapter_model.safetensors").write_bytes(b"weights")
    (adapter / "adapter_config.json").write_text(json.dumps({"r": 8, "lora_alpha": 16}))

    def identity(folder: Path = base) -> dict[str, Any]:
        words = (f"model.path={folder}", "model.tokenizer=bytes", f"outputs_root={tmp_path}")
        config = typed("trainer=sft", "model=zephyr", *words)
        return LoadedSubject("one", Weights(config, adapter=adapter), 64).identity

    first = identity(mistral_folder)
    assert identity() == first
    seen = [first]
    changes = [
        (adapter / "adapter_model.safetensors", b"WEIGHTS"),
        (adapter / "adapter_config.json", json.dumps({"r": 8, "lora_alpha": 16, "rank_pattern": {"a": 4}}).encode()),
        (base / "generation_config.json", b'{"eos_token_id": [2, 3]}'),
        (base / "config.json", (base / "config.json").read_bytes() + b" "),
        (base / "model.safetensors", (base / "model.safetensors").read_bytes()[:-1] + b"!"),
    ]
    for file, content in changes:
        file.write_bytes(content)
        now = identity()
        assert now not in seen, file
        seen.append(now)
    (base / "README.md").write_text("A model.")
    assert identity() == seen[-1]
