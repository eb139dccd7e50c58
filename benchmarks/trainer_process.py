"""One timed training in a process of its own: `python -m benchmarks.trainer_process ours dpo_mrbench result.json`.

Ours is the trainer that `edu_align.train` builds; the peer is TRL's own, on the same rows and the same model, as a
short script of its documentation would set it up. Both train LoRA of rank 32 on every linear layer, with the reference
model scored in each step.
"""

import json
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.given_replies import give_replies
from benchmarks.tasks import SIDES, TASKS, words_of
from edu_align.config.compose import compose
from edu_align.config.schema import Config, GRPOTrainerConfig, RewardTrainerConfig
from edu_align.data.datamodule import TrainingData, training_data
from edu_align.models.device import Device, resolve
from edu_align.models.locate import locate
from edu_align.models.sizes import sizes_of
from edu_align.models.tokenizer import load_tokenizer
from edu_align.planning.parameters import parameters
from edu_align.runs.environment import peak_memory_gib
from edu_align.utils.errors import UserError
from edu_align.utils.program import program

SIDE = 2048  # of the matrices whose product tells what the device can do


@program
def main() -> None:
    side, name, target = sys.argv[1:]
    task, number = TASKS[name], SIDES.index(side)
    words = words_of(task, side, task.timed[number] + 1)
    if task.memory_gb is not None:
        cap_memory(task.memory_gb)
    with tempfile.TemporaryDirectory() as folder:
        config, device, trainer = build(side, words, Path(folder))
        result = timed(trainer, config.trainer.batch_size)
    if "tokens_per_second" in result:
        share = operations_a_token(config) * result["tokens_per_second"] / matrix_rate(device)
        result["share_of_matrix_rate"] = share
    Path(target).write_text(json.dumps(result), encoding="utf-8")


def cap_memory(gib: float) -> None:
    """Let this process allocate at most `gib` GiB of the first GPU."""
    import torch

    torch.cuda.set_per_process_memory_fraction(gib * 2**30 / torch.cuda.get_device_properties(0).total_memory)


def build(side: str, words: list[str], folder: Path) -> tuple[Config, Device, Any]:
    """The config, the device and the trainer of one side."""
    from omegaconf import OmegaConf

    from edu_align.models.weights import load_model

    config: Config = OmegaConf.to_object(compose(words))  # type: ignore[assignment]
    device = resolve(config)
    location = locate(config.model, Path(config.outputs_root), config.seed)
    tokenizer = load_tokenizer(config.model, location.folder)
    data = training_data(config, set())
    model = load_model(config.model, location, device, config.seed, config.hardware.double_quantization)
    make = _ours if side == "ours" else _trl
    trainer = make(config, model, device, tokenizer, data, folder)
    if config.trainer.algorithm == "grpo":
        give_replies(trainer, tokenizer, data.train, config.trainer.max_completion_length)
    return config, device, trainer


def _ours(config: Config, base: Any, device: Device, tokenizer: Any, data: TrainingData, folder: Path) -> Any:
    """What `edu_align.train` does, what it tells the libraries of memory (`training/run.py`) included."""
    from edu_align.models.reward import read_replies, with_head
    from edu_align.models.weights import add_adapter, trainable_in_float32
    from edu_align.packing.decoder import install_packing
    from edu_align.training.rows import make_rows
    from edu_align.training.session import METHODS
    from edu_align.utils.memory import prepare

    prepare(device.device, quantized=device.quantization != "none")
    base.config.use_cache = False
    if isinstance(config.trainer, RewardTrainerConfig):
        base = with_head(base)
        read_replies(base, {"pooling": config.trainer.pooling})
    model = add_adapter(base, config.adapter, config.seed)
    install_packing("on", model)
    make: Any = METHODS[config.trainer.algorithm]
    rows = make_rows(config, tokenizer, replace(data, validation=[]), None)
    trainer = make(config, model, tokenizer, *rows, device, folder)
    trainable_in_float32(trainer.model)
    return trainer


def _trl(config: Config, base: Any, device: Device, tokenizer: Any, data: TrainingData, folder: Path) -> Any:
    """TRL's trainer with TRL's defaults, but for what both sides share.

    That is the rows and their order, batch, length, precision, adapter, schedule and beta.
    """
    import trl
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import set_seed

    set_seed(config.seed)  # the adapter starts from the same random numbers on both sides
    trainer, hardware = config.trainer, config.hardware
    lora = LoraConfig(r=config.adapter.rank, lora_alpha=config.adapter.alpha, target_modules="all-linear")
    common = {
        "output_dir": str(folder), "per_device_train_batch_size": trainer.batch_size, "report_to": [],
        "max_steps": trainer.max_steps, "max_length": trainer.max_length, "use_cpu": device.device == "cpu",
        "bf16": device.dtype == "bfloat16", "fp16": device.dtype == "float16", "save_strategy": "no",
        "activation_checkpointing": hardware.gradient_checkpointing != "false", "seed": config.seed,
        "learning_rate": trainer.learning_rate, "lr_scheduler_type": trainer.lr_scheduler,
        "warmup_steps": trainer.warmup_ratio, "train_sampling_strategy": "sequential", "disable_tqdm": True,
    }  # fmt: skip
    shared = {"model": base, "processing_class": tokenizer, "peft_config": lora}
    if trainer.algorithm == "dpo":
        rows = Dataset.from_list(_messages(data.train))
        return trl.DPOTrainer(args=trl.DPOConfig(**common, beta=trainer.beta), train_dataset=rows, **shared)
    if trainer.algorithm == "kto":
        rows = Dataset.from_list(_labelled(data.train))
        return trl.KTOTrainer(args=trl.KTOConfig(**common, beta=trainer.beta), train_dataset=rows, **shared)
    if trainer.algorithm == "reward":
        from edu_align.models.reward import with_head

        rows = Dataset.from_list(_messages(data.train))
        lora.task_type = "SEQ_CLS"  # so that the head is trained, too
        shared["model"] = with_head(base)
        return trl.RewardTrainer(args=trl.RewardConfig(**common), train_dataset=rows, **shared)
    if trainer.algorithm == "grpo":
        return _trl_grpo(config, common, shared, data)
    from edu_align.training.sft_rows import sft_rows

    rows = Dataset.from_list(sft_rows(tokenizer, data.train, trainer.max_length, "window")[0])
    return trl.SFTTrainer(args=trl.SFTConfig(**common), train_dataset=rows, **shared)


def _trl_grpo(config: Config, common: dict[str, Any], shared: dict[str, Any], data: TrainingData) -> Any:
    """TRL's GRPOTrainer over the dialogues in the order of ours; a reply's reward is its length."""
    import trl
    from datasets import Dataset

    from edu_align.training.rows import make_rows

    trainer = config.trainer
    assert isinstance(trainer, GRPOTrainerConfig)
    rows, _ = make_rows(config, shared["processing_class"], replace(data, validation=[]), None)
    turns = [[{"role": turn.role, "content": turn.content} for turn in row["asked"].turns] for row in rows.rows]
    own = {name: value for name, value in common.items() if name not in ("max_length", "train_sampling_strategy")}
    own |= {
        "beta": trainer.beta, "loss_type": trainer.loss_type, "num_generations": trainer.num_generations,
        "max_completion_length": trainer.max_completion_length, "shuffle_dataset": False,
    }  # fmt: skip

    def length(completions: list[Any], **_: Any) -> list[float]:
        return [float(len(messages[0]["content"])) for messages in completions]

    dialogues = Dataset.from_list([{"prompt": prompt} for prompt in turns])
    return trl.GRPOTrainer(args=trl.GRPOConfig(**own), reward_funcs=length, train_dataset=dialogues, **shared)


def _messages(pairs: list[Any]) -> list[dict[str, Any]]:
    """What TRL reads: {"prompt": messages, "chosen": [message], "rejected": [message]} with role and content."""
    return [
        {
            "prompt": [{"role": m.role, "content": m.content} for m in pair.group.prompt],
            "chosen": [{"role": "assistant", "content": pair.group.responses[pair.chosen].text}],
            "rejected": [{"role": "assistant", "content": pair.group.responses[pair.rejected].text}],
        }
        for pair in pairs
    ]


def _labelled(replies: list[Any]) -> list[dict[str, Any]]:
    """What TRL reads of labelled replies: {"prompt": messages, "completion": [message], "label": true or false}."""
    return [
        {
            "prompt": [{"role": m.role, "content": m.content} for m in reply.group.prompt],
            "completion": [{"role": "assistant", "content": reply.text}],
            "label": reply.good,
        }
        for reply in replies
    ]


def timed(trainer: Any, batch: int) -> dict[str, float]:
    """Examples and real tokens (padding and sharing not counted; none of GRPO's) a second over the steps after the
    first.
    """
    from transformers import TrainerCallback

    times: list[float] = []
    tokens: list[int] = []
    collate = trainer.data_collator

    def counted(examples: Any) -> Any:
        made = collate(examples)
        if isinstance(made, dict):  # GRPO's are dialogues, whose replies are still to be written
            tokens.append(int(made["attention_mask"].sum()))
        return made

    def now() -> None:
        import torch

        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter())

    class Clock(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            now()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            now()

    trainer.data_collator = counted
    trainer.add_callback(Clock())
    trainer.train()
    spans = [end - start for start, end in zip(times[::2], times[1::2], strict=True)][1:]
    found = {"examples_per_second": batch * len(spans) / sum(spans), "peak_memory_gib": peak_memory_gib()}
    if tokens:
        found["tokens_per_second"] = sum(tokens[1 : len(spans) + 1]) / sum(spans)
    return found


def operations_a_token(config: Config) -> float:
    """Operations that plain training needs for a real token: 2 a parameter forward, 2 back to the inputs under LoRA,
    and 2 for the reference model of DPO; 4 more for KTO's mismatched replies. What is shared or recomputed is not
    counted, so sharing can bring the share above 1.
    """
    passes = {"dpo": 6, "kto": 10}.get(config.trainer.algorithm, 4)
    sizes, why = sizes_of(config.model)
    if sizes is None:
        raise UserError(f"the sizes of {config.model.name} are not known: {why}.")
    return float(passes) * parameters(sizes)


def matrix_rate(device: Device) -> float:
    """Operations a second of the device's matrix products in the run's number format, the best of ten."""
    import torch

    left = torch.ones(SIDE, SIDE, dtype=getattr(torch, device.dtype), device=device.device)
    best = float("inf")
    for _ in range(10):
        began = time.perf_counter()
        product = left @ left
        float(product[0, 0])  # waits for a GPU
        best = min(best, time.perf_counter() - began)
    return 2.0 * SIDE**3 / best


if __name__ == "__main__":
    os.environ["TQDM_DISABLE"] = "1"
    main()
