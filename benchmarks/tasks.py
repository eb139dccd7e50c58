"""What the trainings that are timed beside TRL read and how long they run."""

import os
from dataclasses import dataclass

SIDES = ("ours", "trl")


@dataclass(frozen=True)
class Task:
    """`words`: overrides. `batches`: examples of a step (ours, TRL's); `timed`: steps after the first; `budget`: our
    `hardware.per_device_batch_size`; `memory_gb`: cap on a GPU's memory, None for all of it.
    """

    words: tuple[str, ...]
    batches: tuple[int, int]
    timed: tuple[int, int]
    budget: int = 2
    memory_gb: float | None = None


CPU = ("hardware=cpu",)
# Random weights in the shape of the 7B models and a token a byte: no download, and prompts of several hundred tokens.
SHAPE = ("model=mistral", "model.weights=random", "model.tokenizer=bytes", "hardware.quantization=nf4")
LONG = (*SHAPE, "trainer.max_length=1024", "hardware.gradient_checkpointing=true", "hardware.packing=on")
# Replies are given (`given_replies`): a step is one dialogue and eight of them, in one pass on every side.
GRPO = (
    "trainer=grpo",
    "dataset=mrbench",
    "trainer.num_generations=8",
    "trainer.beta=0",
    "trainer.rewards={human_length: 1}",
    *CPU,
)
CPU_TASKS = {
    "dpo_mrbench": Task(("trainer=dpo", "dataset=mrbench", "dataset.training_margin=2", *CPU), (64, 4), (8, 4)),
    "kto_mrbench": Task(("trainer=kto", "dataset=mrbench", *CPU), (64, 8), (4, 4)),
    "reward_mrbench": Task(("trainer=reward", "dataset=mrbench", "dataset.training_margin=2", *CPU), (64, 4), (8, 4)),
    "grpo_mrbench": Task(GRPO, (8, 8), (6, 6), 1),
    "dpo_bridge": Task(("trainer=dpo", "dataset=bridge", *CPU), (8, 8), (6, 3)),
    "sft_mathdial": Task(("trainer=sft", "dataset=mathdial", *CPU), (8, 8), (5, 2)),
}
# A larger model than smollm2, of a GGUF (see `gguf_training`).
LARGER = (
    "trainer=dpo",
    "dataset=mrbench",
    "dataset.training_margin=2",
    f"model={os.environ.get('EDU_ALIGN_MODEL')}",
    *CPU,
)
LARGER_TASKS = {"dpo_mrbench_gguf": Task(LARGER, (64, int(os.environ.get("EDU_ALIGN_TRL_BATCH", 4))), (2, 2), 1)}
GPU_TASKS = {
    "gpu_dpo_7b": Task(("trainer=dpo", *LONG, "hardware=auto"), (32, 8), (5, 5), 8),
    "gpu_sft_7b": Task(("trainer=sft", *LONG, "hardware=auto"), (32, 8), (5, 5), 8),
    "gpu_dpo_7b_t4_size": Task(("trainer=dpo", *LONG, "hardware.dtype=float16"), (8, 1), (5, 5), 1, 15),
}
TASKS = CPU_TASKS | LARGER_TASKS | GPU_TASKS


def words_of(task: Task, side: str, steps: int) -> list[str]:
    """The overrides of one side's training of `steps` steps; those of TRL's own smaller batches are drawn at random."""
    batch = task.batches[SIDES.index(side)]
    alone = side == "trl" and task.batches[0] != batch
    return [
        *task.words, f"trainer.batch_size={batch}", f"trainer.max_steps={steps}", "tracking=off",
        f"hardware.per_device_batch_size={task.budget if side == 'ours' else batch}", "evaluation.enabled=false",
        *(["trainer.precompute_reference=false"] if {"trainer=dpo", "trainer=kto"} & set(task.words) else []),
        *(["trainer.batching=pairs"] if "trainer=dpo" in task.words and alone else []),
        *(["trainer.batching=replies"] if "trainer=kto" in task.words and alone else []),
    ]  # fmt: skip
