"""A run that goes on from another one's model measures the base model too, and its reward against it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edu_align.config.stored import stored_config
from edu_align.data.datamodule import trained_groups, training_data
from edu_align.evaluation.held_out import HeldOut, Measurement, held_out, measure, summarise, values
from edu_align.reports.stages import read_evaluation
from edu_align.runs.folder import read_record

FROM_BASE = ("pair_accuracy_implicit_from_base", "selection_score_implicit_from_base")


def measured(run: Path, earlier: Path, start: Path | None) -> tuple[Any, HeldOut, Measurement]:
    """What a model that is loaded for this alone says of the run's items: the base (None), or another run's."""
    from edu_align.models.base_model import build_model
    from edu_align.models.device import resolve
    from edu_align.models.locate import locate
    from edu_align.models.tokenizer import load_tokenizer
    from edu_align.packing.decoder import install_packing

    config = stored_config(run / "config.yaml", {"evaluation.samples": "0"})
    held = held_out(config, training_data(config, trained_groups([earlier])))
    location = locate(config.model, Path(config.outputs_root), config.seed)
    model = build_model(config, location, resolve(config), start)
    install_packing(config.hardware.packing, model, config.hardware.packing_backend)
    return config, held, measure(config, model, load_tokenizer(config.model, location.folder), held)


@pytest.mark.parametrize(
    ("name", "earlier"),
    [("dpo_on_sft", "sft"), pytest.param("dpo_full", "sft_full", marks=pytest.mark.slow)],
)
def test_the_numbers_are_those_of_models_loaded_alone(runs: Callable[[str], Any], name: str, earlier: str) -> None:
    run, start = runs(name).path, runs(earlier).path
    results = read_evaluation(run)
    assert list(results) == ["base", "before", "after"]
    config, held, base = measured(run, start, None)
    _, _, before = measured(run, start, start)
    assert base.replies != before.replies
    assert results["base"] == summarise(config, held, base)
    assert results["before"] == summarise(config, held, before, None, base)
    if name == "dpo_on_sft":  # a saved adapter is what was measured, to the bit
        _, _, after = measured(run, start, run)
        assert after.replies != before.replies
        assert results["after"] == summarise(config, held, after, before, base)
    assert set(FROM_BASE) <= results["before"].keys() & results["after"].keys()
    assert not set(FROM_BASE) & results["base"].keys()
    kept = read_record(run)["metrics"]
    for part, prefix in (("base", "base"), ("before", "before"), ("after", "eval")):
        assert values(results[part], prefix).items() <= kept.items()
    assert "| metric | base | before | after |" in (run / "README.md").read_text(encoding="utf-8")


def test_a_run_from_the_base_model_has_one_reward(runs: Callable[[str], Any]) -> None:
    results = read_evaluation(runs("dpo").path)
    assert list(results) == ["before", "after"]
    assert not any("from_base" in name for result in results.values() for name in result)
