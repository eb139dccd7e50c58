"""The disk that a plan names, against what a run writes."""

from pathlib import Path
from typing import Any

import pytest

from edu_align.config.schema import GGUF_TYPES
from edu_align.planning.duration import GGUF, checkpoint_bytes, describe_disk, export_bytes, weights_bytes
from edu_align.training.run import run
from tests.composing import config_of
from tests.killing import in_child, killed_at

SMALL = 60_000  # bytes of what a checkpoint or an adapter holds besides numbers of the model


def bytes_in(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


@pytest.mark.parametrize(
    ("adapter", "share"), [*(pytest.param(one, 0.0, marks=pytest.mark.slow) for one in ("lora", "full")), ("lora", 1.0)]
)
def test_a_checkpoint_and_the_weights_are_as_large_as_planned(
    tiny: Any, typed: Any, tmp_path: Path, adapter: str, share: float
) -> None:
    words = ["trainer=sft", f"adapter={adapter}", "evaluation.enabled=false", "run_name=it", "trainer.max_steps=6"]
    words += [f"trainer.average_last={share}", "trainer.save_steps=2", f"outputs_root={tmp_path}"]
    planned = typed(*words)
    with killed_at("on_step_end", 5):
        assert in_child(lambda: run(tiny(*words))) == -9
    kept = sorted((tmp_path / "runs" / "it" / "checkpoints").glob("checkpoint-*"))
    assert len(kept) == planned.trainer.save_total_limit == 2
    for path in kept:
        assert 0 < bytes_in(path) - checkpoint_bytes(planned) < SMALL
    done = run(tiny(*words))
    assert done is not None
    weights = next(done.path.glob("*/*model.safetensors"))
    assert 0 < weights.stat().st_size - weights_bytes(planned) < SMALL


def test_no_checkpoint_takes_no_room_and_gguf_is_added(typed: Any) -> None:
    assert checkpoint_bytes(typed("trainer=sft", "trainer.save_steps=null")) == 0
    plain, both = (export_bytes(typed("export.dtype=float32", *more)) for more in ([], ["export.gguf=f16"]))
    assert both == 1.5 * plain


def test_every_type_of_a_gguf_has_its_size(typed: Any) -> None:
    """By the blocks that the gguf package knows."""
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    for kind in GGUF_TYPES:
        numbers, size = GGML_QUANT_SIZES[GGMLQuantizationType[kind.upper().removesuffix("_M").removesuffix("_S")]]
        assert GGUF[kind] == size / numbers
    assert export_bytes(typed("export.dtype=float16", "export.gguf=q4_0")) < export_bytes(
        typed("export.dtype=float16", "export.gguf=q8_0")
    )


def test_the_lines_of_a_7b_model(tmp_path: Path) -> None:
    words = ["trainer=dpo", "model=zephyr", "hardware=a100", f"outputs_root={tmp_path / 'not' / 'there'}"]
    text = "\n".join(describe_disk(config_of(*words)))
    assert "checkpoints            2.81  3 of 0.938: trainer.save_total_limit=2 and the one being written" in text
    assert "adapter                0.31" in text
    assert "export                13.49  where edu_align.export makes one" in text
    assert "that are free: " in text
