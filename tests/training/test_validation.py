"""Validation gives the same numbers however its examples are batched."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import edu_align.training.session as session
from edu_align.training.validation import validation_batch

TINY = ("evaluation.enabled=false", "trainer.max_steps=1", "dataset.max_train_records=4", "dataset.max_eval_records=7")
TIMES = ("runtime", "per_second")


def talks(folder: Path) -> str:
    """Rows with few and with many trained tokens."""
    turns = [[("user", f"{i} + {i}?"), ("assistant", "Go. " * 6 ** (i % 3))] for i in range(40)]
    rows = [{"messages": [{"role": role, "content": text} for role, text in talk]} for talk in turns]
    file = folder / "talks.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(file)


@pytest.mark.cases("C4")
@pytest.mark.parametrize("packing", ["on", pytest.param("off", marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", ["sft", pytest.param("dpo", marks=pytest.mark.slow), "sft_weight"])
def test_no_number_depends_on_the_batch(
    go: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, packing: str
) -> None:
    found: list[dict[str, float]] = []

    def validated(trainer: Any) -> dict[str, float]:
        for size in (1, 4, 32):  # of 7: a batch of 4 leaves a short one
            trainer.args.per_device_eval_batch_size = size
            numbers = trainer.evaluate()
            found.append({name: value for name, value in numbers.items() if not name.endswith(TIMES)})
        return {}

    monkeypatch.setattr(session, "validation_metrics", validated)
    words = ["trainer=dpo", f"trainer.sft_weight={float(kind == 'sft_weight')}"]
    if kind == "sft":
        words = ["trainer=sft", "dataset=local", f"dataset.path={talks(tmp_path)}", "dataset.validation_fraction=0.4"]
    go(*TINY, *words, f"hardware.packing={packing}")
    assert {"eval_loss", "eval_entropy", "eval_mean_token_accuracy"} <= found[0].keys()
    assert ("eval_rewards/accuracies" in found[0]) == (kind != "sft")
    for other in found[1:]:
        assert other == pytest.approx(found[0], rel=1e-4, abs=1e-4)


@pytest.mark.cases("C4")
@pytest.mark.parametrize(
    ("words", "size"),
    [
        (("trainer=sft",), 3),
        (("trainer=dpo",), 3),
        (("trainer=dpo", "trainer.sft_weight=1"), 3),
        (("trainer=dpo", "trainer.loss_type=aot"), 4),  # compares the pairs of a pass: those of a step
        (("trainer=dpo", "trainer.loss_type=aot_unpaired"), 4),
        (("trainer=dpo", "trainer.sft_weight=1", "+trainer.args.ld_alpha=0.0"), 4),
        (("trainer=dpo", "+trainer.args.use_weighting=true"), 3),
    ],
)
def test_a_loss_that_compares_pairs_has_as_many_as_a_step(typed: Any, words: tuple[str, ...], size: int) -> None:
    assert validation_batch(typed(*words, "hardware.eval_batch_size=3")) == size
