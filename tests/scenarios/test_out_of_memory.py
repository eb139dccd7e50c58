"""Memory that runs out in mid-training: smaller passes from that very step, and the numbers of a run that began so."""

import gc
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from edu_align.runs.folder import read_record
from edu_align.utils.jsonl import read_rows
from edu_align.utils.memory import HalvingBatches, OutOfMemory, is_out_of_memory, release_traceback
from tests.killing import in_child, killed_at, outcome
from tests.scenarios.memory import full, holds
from torture.outcome import TIMED

# Three steps of eight examples.
WORDS = [
    "evaluation.enabled=false", "trainer.batch_size=8", "trainer.max_steps=3", "cache_gb=0",
    "dataset.max_train_records=24",
]  # fmt: skip
# transformers counts the padding of the batches as they were dealt; which of two equal rewards is larger is chance.
UNLIKE = (*TIMED, "total_flos", "rewards/accuracies")
OFF = "hardware.packing=off"


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(next(folder.glob("*/*model.safetensors")))


def same(one: Path, two: Path) -> None:
    """Losses, every number that is logged, and the weights, up to float32."""

    def numbers(run: Path) -> list[dict[str, float]]:
        return [{k: v for k, v in line.items() if not k.endswith(UNLIKE)} for line in read_rows(run / "metrics.jsonl")]

    first, second = numbers(one), numbers(two)
    assert len(first) == len(second) >= 3
    for line, other in zip(first, second, strict=True):
        assert line == pytest.approx(other, rel=1e-3, abs=1e-5)
    for name, value in weights(one).items():
        torch.testing.assert_close(value, weights(two)[name], rtol=1e-3, atol=2e-5)


@pytest.mark.parametrize(
    ("trainer", "kind", "error", "way", "after"),
    [
        pytest.param("sft", "lora", "cuda", "forward", 0, marks=pytest.mark.slow),
        ("sft", "full", "cpu", "backward", 6),
        ("dpo", "lora", "python", "backward", 3),
        pytest.param("dpo", "full", "cuda", "forward", 9, marks=pytest.mark.slow),
    ],
)
def test_it_goes_on_as_if_it_had_begun_with_less(
    trainer: str, kind: str, error: str, way: str, after: int, train: Callable[..., Any], capsys: Any
) -> None:
    """Two batches of four a step, two layers: `after` passes of a layer are 0 to 9 of the run's twelve."""
    words = [f"trainer={trainer}", f"adapter={kind}", *WORDS, OFF]
    name = f"memory-{trainer}-{kind}-{after}"
    begun = train(*words, "hardware.per_device_batch_size=2", f"run_name={name}-two")
    capsys.readouterr()
    with holds(4 if trainer == "dpo" else 2, error, way, after) as failed:
        done = train(*words, "hardware.per_device_batch_size=4", f"run_name={name}-four")
    assert failed
    assert done.record["state"] == "finished"
    (entry,) = done.record["out_of_memory"]
    assert (entry["from"], entry["to"], entry["unit"]) == (4, 2, "examples")
    assert entry["step"] == after // 4 + 1
    said = [line for line in capsys.readouterr().out.splitlines() if "out of memory" in line]
    assert len(said) == 1
    assert f"at step {entry['step']}: hardware.per_device_batch_size 4 -> 2, accumulation 2 -> 4" in said[0]
    assert "trainer.batch_size stays 8" in said[0]
    same(done.path, begun.path)


def test_dropout_draws_what_it_would_have_drawn(train: Callable[..., Any]) -> None:
    words = ["trainer=sft", "adapter.dropout=0.2", *WORDS, OFF]
    begun = train(*words, "hardware.per_device_batch_size=2", "run_name=dropout-two")
    with holds(2, after=2):
        done = train(*words, "hardware.per_device_batch_size=4", "run_name=dropout-four")
    assert done.record["out_of_memory"][0]["step"] == 1, "the second batch of the step: its first one is drawn again"
    same(done.path, begun.path)
    with pytest.raises(AssertionError):
        same(done.path, train(*words, "hardware.per_device_batch_size=8", "run_name=dropout-eight").path)


@pytest.mark.cases("D9")
@pytest.mark.parametrize("trainer", [pytest.param("sft", marks=pytest.mark.slow), "dpo"])
def test_a_packed_pass_takes_fewer_tokens(trainer: str, train: Callable[..., Any], capsys: Any) -> None:
    words = [f"trainer={trainer}", *WORDS, "hardware.packing=on"]
    words += ["trainer.sft_weight=1"] if trainer == "dpo" else []
    whole = train(*words, "hardware.per_device_batch_size=8", f"run_name=memory-packed-{trainer}-whole")
    with holds(tokens=2500, way="backward", after=3) as failed:
        done = train(*words, "hardware.per_device_batch_size=8", f"run_name=memory-packed-{trainer}")
    assert failed
    entry = done.record["out_of_memory"][-1]
    assert entry["unit"] == "tokens"
    assert entry["to"] <= entry["from"] // 2
    assert f"{entry['from']} -> {entry['to']}" in capsys.readouterr().out
    assert done.sharing.asked == whole.sharing.asked, "the pass that failed is not counted"
    same(done.path, whole.path)


@pytest.mark.cases("D9")
@pytest.mark.parametrize("packing", [pytest.param("off", marks=pytest.mark.slow), "on"])
def test_a_step_whose_pairs_are_compared_is_not_cut(packing: str, go: Any) -> None:
    words = ["trainer=dpo", "trainer.loss_type=aot", *WORDS, f"hardware.packing={packing}"]
    with holds(tokens=400), pytest.raises(OutOfMemory, match=r"compares all pairs.*Use trainer\.batch_size=4"):
        go(*words, "hardware.per_device_batch_size=8", "trainer.precompute_reference=false")


@pytest.mark.parametrize("packing", [pytest.param("off", marks=pytest.mark.slow), "on"])
def test_one_example_that_does_not_fit_is_the_end(packing: str, go: Any, tmp_path: Path) -> None:
    with holds(tokens=10), pytest.raises(OutOfMemory) as caught:
        go("trainer=sft", *WORDS, f"hardware.packing={packing}", "run_name=nothing")
    message = str(caught.value)
    assert caught.value.exit_code == 2
    assert "at step 1 with one example in a pass" in message
    for way in ("trainer.max_length=", "hardware.gradient_checkpointing=selective", "hardware.quantization=nf4"):
        assert way in message
    assert "per_device_batch_size" not in message, "there is nothing left to lower"
    record = read_record(tmp_path / "runs" / "nothing")
    assert record["state"] == "failed"
    assert record["out_of_memory"][-1]["to"] == 1 or packing == "on"


def test_what_the_optimizer_needs_cannot_be_made_smaller(go: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def step(*_: Any, **__: Any) -> None:
        raise full("cuda")

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    with pytest.raises(OutOfMemory, match="not in a pass that could be made smaller"):
        go("trainer=sft", *WORDS)


@pytest.mark.slow
def test_killed_after_it_ran_out_it_goes_on_to_the_bit(go: Any) -> None:
    words = ["trainer=sft", *WORDS, OFF, "hardware.per_device_batch_size=4", "trainer.save_steps=1", "run_name=killed"]
    with holds(2, after=5):
        alone = go(*words, root="alone")
    with holds(2, after=5), killed_at("on_step_end", 2):
        assert in_child(lambda: go(*words, root="killed")) == -9
    killed = go(*words, root="killed")  # with all the memory there is
    assert killed.record["out_of_memory"] == alone.record["out_of_memory"]
    assert outcome(killed.path) == outcome(alone.path)


@pytest.mark.slow
@pytest.mark.parametrize("trainer", ["sft", "dpo"])
def test_measuring_and_validating_take_smaller_batches(trainer: str, train: Callable[..., Any], capsys: Any) -> None:
    words = [f"trainer={trainer}", "cache_gb=0", OFF, "evaluation.max_groups=6", "dataset.max_eval_records=4"]
    all_at_once = train(*words, f"run_name=measured-{trainer}")
    capsys.readouterr()
    with holds(2, training=False) as failed:
        done = train(*words, f"run_name=measured-{trainer}-less")
    assert failed
    said = capsys.readouterr().out
    assert "out of memory while scoring:" in said
    assert "out of memory while validating:" in said
    assert ("out of memory while scoring with the reference model:" in said) == (trainer == "dpo")
    # What TRL notes of each pass (accuracy of tokens, logits) it averages over passes.
    own = ("loss", "pair_accuracy_logp", "pair_accuracy_implicit", "human_turn_nll", "rewards/margins")
    compared = 0
    for key, value in done.record["metrics"].items():
        if key.startswith(("before/", "eval/")) and key.endswith(own):
            assert value == pytest.approx(all_at_once.record["metrics"][key], rel=1e-3, abs=1e-4), key
            compared += 1
    assert compared >= 3
    assert done.folder.rows("samples.jsonl") == all_at_once.folder.rows("samples.jsonl")


def test_halves_keep_what_fits_and_say_when_nothing_does(capsys: Any) -> None:
    asked: list[int] = []

    def work(items: Any) -> list[int]:
        asked.append(len(items))
        if len(items) > 2:
            raise full("cuda")
        return [item * item for item in items]

    halves = HalvingBatches("squaring")
    assert halves.run(work, range(9)) == [item * item for item in range(9)]
    assert asked == [9, 4, 2, 2, 2, 2, 1]
    assert halves.run(work, range(3)) == [0, 1, 4]
    assert asked[7:] == [2, 1], "what did not fit is not tried again"
    with pytest.raises(OutOfMemory, match="while squaring, one at a time"):
        HalvingBatches("squaring").run(lambda items: work([*items, 1, 2]), range(2))
    with pytest.raises(ZeroDivisionError):
        halves.run(lambda items: [1 // 0 for _ in items], range(2))


def test_only_memory_counts_and_its_frames_let_go() -> None:
    assert all(is_out_of_memory(full(kind)) for kind in ("cuda", "cpu", "python"))
    assert not is_out_of_memory(RuntimeError("shape mismatch"))
    assert not is_out_of_memory(ValueError("CUDA out of memory."))
    kept: list[weakref.ref[torch.Tensor]] = []

    def holder() -> None:
        tensor = torch.zeros(3)
        kept.append(weakref.ref(tensor))
        raise full("cuda")

    with pytest.raises(RuntimeError) as caught:
        holder()
    assert kept[0]() is not None
    assert release_traceback(caught.value) == "CUDA out of memory. Tried to allocate 2.00 GiB."
    gc.collect()
    assert kept[0]() is None, "although the error is still at hand"


@pytest.mark.gpu
def test_a_real_gpu_that_is_full(train: Callable[..., Any]) -> None:
    """Another tenant takes all but a little of the memory, in the middle of the second step."""
    from edu_align.training.micro_batches import StepState

    words = ["trainer=sft", *WORDS, OFF, "hardware=t4", "hardware.quantization=none", "adapter.rank=4"]
    begun = train(*words, "hardware.per_device_batch_size=1", "run_name=gpu-one")
    taken: list[torch.Tensor] = []
    original = StepState.next

    def crowded(self: StepState, trainer: Any, one: Any) -> Any:
        if trainer.state.global_step == 1 and not taken:
            torch.cuda.empty_cache()
            free, _ = torch.cuda.mem_get_info()
            taken.append(torch.empty(free - (96 << 20), dtype=torch.uint8, device="cuda"))
        return original(self, trainer, one)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StepState, "next", crowded)
        done = train(*words, "hardware.per_device_batch_size=8", "run_name=gpu-eight")
    assert done.record["out_of_memory"][0]["step"] == 2
    first, second = (
        [row["loss"] for row in run.folder.rows("metrics.jsonl") if "loss" in row] for run in (begun, done)
    )
    assert first == pytest.approx(second, rel=1e-2)
