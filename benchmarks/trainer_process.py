"""One timed training in a process of its own: `python -m benchmarks.trainer_process ours dpo_mrbench result.json`.

Ours is the trainer that `edu_align.train` builds; the peer is TRL's own, on the same rows and the same model, as a
short script of its documentation would set it up. Both train LoRA of rank 32 on every linear layer, in bfloat16 where
the CPU computes it, with the reference model scored in each step.
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from edu_align.config.load import compose
from edu_align.config.schema import Config
from edu_align.data.pairs import preference_rows
from edu_align.data.training import training_data
from edu_align.models.device import Device, resolve
from edu_align.models.locate import locate
from edu_align.models.tokenizer import load_tokenizer
from edu_align.runs.facts import peak_memory_gib

# What is trained on, the examples of a step, and how many steps are timed after the first: (ours, TRL).
TASKS: dict[str, tuple[list[str], tuple[int, int], tuple[int, int]]] = {
    "dpo_mrbench": (["trainer=dpo", "dataset=mrbench", "dataset.training_margin=2"], (64, 4), (3, 2)),
    "dpo_bridge": (["trainer=dpo", "dataset=bridge"], (8, 8), (6, 3)),
    "sft_mathdial": (["trainer=sft", "dataset=mathdial"], (8, 8), (5, 2)),
}


def main() -> None:
    side, task, target = sys.argv[1:]
    words, batches, timed = TASKS[task]
    number = 0 if side == "ours" else 1
    on_device = 2 if side == "ours" else batches[number]
    words = [
        *words, f"trainer.batch_size={batches[number]}", f"trainer.max_steps={timed[number] + 1}", "tracking=off",
        "evaluation.enabled=false", "hardware=cpu", f"hardware.per_device_batch_size={on_device}",
        *(["trainer.precompute_reference=false"] if "trainer=dpo" in words else []),
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        config, trainer = _trainer(side, words, Path(folder))
        result = _timed(trainer, config.trainer.batch_size)
    Path(target).write_text(json.dumps(result), encoding="utf-8")


def _trainer(side: str, words: list[str], folder: Path) -> tuple[Config, Any]:
    from omegaconf import OmegaConf

    config: Config = OmegaConf.to_object(compose(words))  # type: ignore[assignment]
    device = resolve(config.hardware)
    location = locate(config.model, Path(config.outputs_root), config.seed)
    tokenizer = load_tokenizer(config.model, location.folder)
    train = training_data(config, set()).train
    build = _ours if side == "ours" else _trl
    return config, build(config, location, device, tokenizer, train, folder)


def _ours(config: Config, location: Any, device: Device, tokenizer: Any, train: list[Any], folder: Path) -> Any:
    from edu_align.models.build import build_model
    from edu_align.models.weights import trainable_in_float32
    from edu_align.packing.decoder import install_packing
    from edu_align.trainers.build import BUILDERS

    model = build_model(config, location, device, None)
    install_packing("on", model)
    build: Any = BUILDERS[config.trainer.algorithm]
    trainer = build(config, model, tokenizer, train, [], device, folder)
    trainable_in_float32(trainer.model)
    return trainer


def _trl(config: Config, location: Any, device: Device, tokenizer: Any, train: list[Any], folder: Path) -> Any:
    """TRL's trainer with TRL's defaults, but for what both sides share: rows, batch, length, precision, adapter."""
    import torch
    import trl
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(str(location.folder), dtype=getattr(torch, device.dtype))
    lora = LoraConfig(r=config.adapter.rank, lora_alpha=config.adapter.alpha, target_modules="all-linear")
    common = {
        "output_dir": str(folder), "per_device_train_batch_size": config.trainer.batch_size, "report_to": [],
        "max_steps": config.trainer.max_steps, "max_length": config.trainer.max_length, "use_cpu": True,
        "bf16": device.dtype == "bfloat16", "gradient_checkpointing": False, "save_strategy": "no", "seed": config.seed,
        "learning_rate": config.trainer.learning_rate,
    }  # fmt: skip
    if config.trainer.algorithm == "dpo":
        return trl.DPOTrainer(
            model=model, args=trl.DPOConfig(**common), train_dataset=Dataset.from_list(preference_rows(train)),
            processing_class=tokenizer, peft_config=lora,
        )  # fmt: skip
    from edu_align.trainers.sft import sft_rows

    rows, _ = sft_rows(tokenizer, train, config.trainer.max_length, "window")
    return trl.SFTTrainer(
        model=model, args=trl.SFTConfig(**common), train_dataset=Dataset.from_list(rows), processing_class=tokenizer,
        peft_config=lora,
    )  # fmt: skip


def _timed(trainer: Any, batch: int) -> dict[str, float]:
    """Examples and real tokens (padding and sharing not counted) a second over the steps after the first."""
    from transformers import TrainerCallback

    times: list[float] = []
    tokens: list[int] = []
    collate = trainer.data_collator

    def counted(examples: Any) -> Any:
        made = collate(examples)
        tokens.append(int(made["attention_mask"].sum()))
        return made

    class Clock(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            times.append(time.perf_counter())

        def on_step_end(self, *_: Any, **__: Any) -> None:
            times.append(time.perf_counter())

    trainer.data_collator = counted
    trainer.add_callback(Clock())
    trainer.train()
    seconds = _spans(times)[1:]
    return {
        "examples_per_second": batch * len(seconds) / sum(seconds),
        "tokens_per_second": sum(tokens[1 : len(seconds) + 1]) / sum(seconds),
        "peak_memory_gib": peak_memory_gib(),
    }


def _spans(times: list[float]) -> list[float]:
    return [end - start for start, end in zip(times[::2], times[1::2], strict=True)]


if __name__ == "__main__":
    os.environ["TQDM_DISABLE"] = "1"
    main()
