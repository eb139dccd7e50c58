"""What training moves, what it leaves alone, and that it is the same training on every device batch and every time."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from edu_align.records import Conversation, Message
from edu_align.training.sft_rows import sft_rows

UNMEASURED = "evaluation.enabled=false"


@pytest.mark.parametrize("name", ["sft", "dpo", "dpo_on_sft", "sft_full", "dpo_full"])
def test_every_trained_parameter_moves_and_no_other(runs: Callable[[str], Any], name: str) -> None:
    done = runs(name)
    assert done.trained
    assert {key for key, value in done.before.items() if not torch.equal(value, done.after[key])} == done.trained
    if name.endswith("full"):
        assert done.trained == set(done.before)
    else:
        assert all(".lora_A.default." in n or ".lora_B.default." in n for n in done.trained)
        assert len(done.trained) < len(done.before)


def adapter(done: Any) -> dict[str, torch.Tensor]:
    return load_file(done.path / "adapter" / "adapter_model.safetensors")


def test_the_saved_adapter_is_the_trained_one(runs: Callable[[str], Any]) -> None:
    for name in ("sft", "dpo_on_sft"):
        saved = adapter(runs(name))
        after = runs(name).after
        assert len(saved) == len(runs(name).trained)
        for key, value in saved.items():
            assert torch.equal(after[inner(key, "default")], value), key


def inner(key: str, adapter_name: str) -> str:
    """Name of a saved adapter's tensor inside the model."""
    return key.removeprefix("base_model.model.").replace(".weight", f".{adapter_name}.weight")


def test_dpo_continues_the_sft_adapter_and_keeps_it_as_reference(runs: Callable[[str], Any]) -> None:
    sft, dpo = adapter(runs("sft")), runs("dpo_on_sft")
    for key, value in sft.items():
        assert torch.equal(dpo.before[inner(key, "default")], value), key
        assert torch.equal(dpo.after[inner(key, "ref")], value), key
        assert inner(key, "ref") not in dpo.trained
    assert any(not torch.equal(value, sft[key]) for key, value in adapter(dpo).items())
    first = dpo.folder.rows("metrics.jsonl")[0]
    assert first["loss"] == pytest.approx(0.693147, abs=1e-5)  # before its first step the policy is the reference
    assert first["rewards/margins"] == pytest.approx(0, abs=1e-4)


def test_a_new_adapter_has_the_base_model_as_reference_and_no_copy(runs: Any, train: Any) -> None:
    live = train("trainer=dpo", "trainer.precompute_reference=false", UNMEASURED, "run_name=dpo-live")
    for done in (live, runs("dpo")):
        assert not [name for name in done.after if ".ref." in name]
    keys = ("loss", "rewards/chosen", "logps/rejected")
    assert trajectory(live, *keys) == pytest.approx(trajectory(runs("dpo"), *keys), rel=1e-4, abs=1e-5)


def test_full_dpo_starts_from_the_full_sft_model(runs: Callable[[str], Any]) -> None:
    saved = load_file(runs("sft_full").path / "model" / "model.safetensors")
    before = runs("dpo_full").before
    assert saved.keys() <= before.keys()
    assert all(torch.equal(before[name], value) for name, value in saved.items())


def trajectory(done: Any, *keys: str) -> list[float]:
    return [line[key] for line in done.folder.rows("metrics.jsonl") for key in keys if key in line]


@pytest.mark.parametrize("trainer", [pytest.param("sft", marks=pytest.mark.slow), "dpo"])
def test_the_device_batch_changes_nothing(runs: Callable[[str], Any], train: Callable[..., Any], trainer: str) -> None:
    four = runs(trainer)
    two = train(f"trainer={trainer}", UNMEASURED, "hardware.per_device_batch_size=2", f"run_name={trainer}-by-two")
    assert two.record["metrics"]["train/steps"] == 3
    assert trajectory(two, "loss") == pytest.approx(trajectory(four, "loss"), rel=1e-5)
    assert trajectory(two, "grad_norm") == pytest.approx(trajectory(four, "grad_norm"), rel=1e-4)


@pytest.mark.parametrize("kind", ["lora", pytest.param("full", marks=pytest.mark.slow)])
def test_a_live_reference_is_the_precomputed_one(train: Any, runs: Any, kind: str) -> None:
    start, name = {"lora": ("sft", "dpo_on_sft"), "full": ("sft_full", "dpo_full")}[kind]
    before = runs(name)
    words = ["trainer=dpo", f"adapter={kind}", f"init_from={start}", "trainer.precompute_reference=false"]
    live = train(*words, UNMEASURED, f"run_name=live-{kind}")
    assert trajectory(live, "loss") == pytest.approx(trajectory(before, "loss"), rel=1e-5)
    margins = trajectory(live, "rewards/margins", "eval_rewards/margins")
    assert margins == pytest.approx(trajectory(before, "rewards/margins", "eval_rewards/margins"), abs=1e-4)
    assert max(map(abs, margins)) > 1e-3


def test_packing_changes_no_loss(train: Callable[..., Any], runs: Callable[[str], Any]) -> None:
    plain = train("trainer=dpo", UNMEASURED, "hardware.packing=off", "run_name=unpacked")
    assert plain.sharing.computed == 0
    assert runs("dpo").sharing.ratio > 1.2
    assert trajectory(plain, "loss") == pytest.approx(trajectory(runs("dpo"), "loss"), rel=1e-5)


def test_conversations_without_a_trained_token_are_dropped(bytes_tokenizer: Any) -> None:
    turns = (Message("user", "q"), Message("assistant", "a", train=True))
    talks = [Conversation(turns, "1", "local", "1"), Conversation((turns[0], Message("assistant", "a")), "2", "l", "2")]
    for max_length, left, dropped in ((100, 1, 1), (5, 0, 2)):
        rows, counts = sft_rows(bytes_tokenizer, talks, max_length)
        assert (len(rows), counts.dropped) == (left, dropped)
