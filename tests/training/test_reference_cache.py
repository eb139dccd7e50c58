"""The reference model scores the rows that a run's steps read, and a longer run adds the others, bit for bit."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def references(typed: Callable[..., Any], tmp_path: Path, bytes_tokenizer: Any, monkeypatch: Any) -> Callable[..., Any]:
    """`references(*words)`: the chosen and rejected columns of the training rows, and how many rows were scored."""
    from edu_align.cache.run_cache import RunCache
    from edu_align.data.datamodule import training_data
    from edu_align.models.base_model import build_model
    from edu_align.models.device import resolve
    from edu_align.models.locate import locate
    from edu_align.packing.decoder import install_packing
    from edu_align.training.dpo import DPOTrainer, build_dpo
    from edu_align.training.rows import make_rows

    scored: list[int] = []
    original = DPOTrainer.compute_ref_log_probs

    def counted(trainer: Any, model: Any, inputs: Any) -> Any:
        scored.append(len(inputs["input_ids"]) // 2)
        return original(trainer, model, inputs)

    monkeypatch.setattr(DPOTrainer, "compute_ref_log_probs", counted)

    def found(*words: str) -> tuple[list[list[float]], int]:
        scored.clear()
        config = typed("trainer=dpo", f"outputs_root={tmp_path}", "trainer.max_length=150", *words)
        data, device = training_data(config, set()), resolve(config)
        data.validation.clear()
        location = locate(config.model, tmp_path, config.seed)
        cache = RunCache(config, location, device)
        model = build_model(config, location, device, None)
        install_packing("on", model)
        sets = make_rows(config, bytes_tokenizer, data, cache)
        trainer = build_dpo(config, model, bytes_tokenizer, *sets, device, tmp_path, cache)
        rows = trainer.train_dataset
        return [rows["ref_chosen_logps"][:], rows["ref_rejected_logps"][:]], sum(scored)

    return found


FOUR = "hardware.eval_batch_size=4"


def test_a_short_run_scores_what_its_steps_read_and_a_longer_one_adds(references: Callable[..., Any]) -> None:
    short, scored = references("trainer.max_steps=1", FOUR)
    assert scored == 4
    assert [[math.isnan(value) for value in side] for side in short] == [[False] * 4 + [True] * 8] * 2
    longer, scored = references("trainer.max_steps=2", FOUR)
    assert scored == 4
    assert [side[:4] for side in longer] == [side[:4] for side in short]
    whole, scored = references("trainer.max_steps=-1", FOUR)
    assert scored == 4
    again, scored = references("trainer.max_steps=50", FOUR)
    assert (again, scored) == (whole, 0)
    alone, scored = references("trainer.max_steps=-1", FOUR, "cache_gb=0")
    assert (alone, scored) == (whole, 12)


def test_whole_batches_are_scored(references: Callable[..., Any]) -> None:
    columns, scored = references("trainer.max_steps=1", "hardware.eval_batch_size=8")
    assert scored == 8
    assert not any(map(math.isnan, columns[0][:8]))
