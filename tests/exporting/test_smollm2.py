"""The bundled model, taught for two steps and taken along: slow, and real weights."""

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from edu_align.exporting.checks import load_gguf
from edu_align.models.locate import BUNDLED_PACKAGE
from tests.exporting.conftest import Export, by_hand


@pytest.mark.slow
def test_smollm2_is_taken_along(export: Export, train: Callable[..., Any], tmp_path: Path) -> None:
    if find_spec(BUNDLED_PACKAGE) is None:
        pytest.skip(f"the package {BUNDLED_PACKAGE} is not installed")
    words = ["model=smollm2", "trainer.max_length=256", "trainer.max_steps=2", "evaluation.enabled=false"]
    train("trainer=sft", "run_name=small", *words)
    code, out, err = export("run=small", f"output={tmp_path / 'out'}", "export.gguf=q8_0")
    assert code == 0, err
    merged, gguf, _ = json.loads((tmp_path / "out" / "export.json").read_text())["checks"]
    assert "72 of 72 greedy tokens are the same" in merged
    assert gguf in out
    model, tokenizer = by_hand(tmp_path / "out")
    alone, read_back, _ = load_gguf(tmp_path / "out" / "gguf" / "small-q8_0.gguf", "float32")
    messages = [{"role": "user", "content": "What is 2 + 3?"}]
    asked = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    again = read_back.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    assert asked["input_ids"].tolist() == again["input_ids"].tolist()
    said = [each.generate(**asked, max_new_tokens=8)[0, asked["input_ids"].size(1) :] for each in (model, alone)]
    assert said[0].tolist() == said[1].tolist()
    assert tokenizer.decode(said[0]).strip()
    card = (tmp_path / "out" / "README.md").read_text()
    assert "base_model: HuggingFaceTB/SmolLM2-135M-Instruct\nbase_model_relation: finetune\n" in card
    assert "license: apache-2.0\n" in card
