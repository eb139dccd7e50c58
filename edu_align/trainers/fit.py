"""TRL's `train()`, and the numbers of it that a run keeps."""

from pathlib import Path
from typing import Any

from edu_align.config.schema import Config
from edu_align.models.folders import tensors_only
from edu_align.packing.budget import count_first_batch
from edu_align.processes import count, total
from edu_align.runs.facts import peak_memory_gib
from edu_align.trainers.arguments import keeps_checkpoints, token_budget

LOOKED_AT = 2000  # examples that the report before training counts


def sharing_ahead(config: Config, trainer: Any) -> str:
    """What packing is about to save, in one line: counted over the first training examples, in their order."""
    rows = trainer.train_dataset.select(range(min(LOOKED_AT, len(trainer.train_dataset))))
    longest = config.trainer.max_length
    if "chosen_ids" in rows.column_names:
        columns = zip(rows["prompt_ids"], rows["chosen_ids"], rows["rejected_ids"], strict=True)
        examples = [[(prompt + reply)[-longest:] for reply in replies] for prompt, *replies in columns]
    else:
        examples = [[ids[:longest]] for ids in rows["input_ids"]]
    asked, computed = count_first_batch(examples, config.trainer.batch_size, token_budget(config))
    many = "all" if len(rows) == len(trainer.train_dataset) else "the first"
    return (
        f"edu_align: packing: {many} {len(rows)} examples ask for {asked} tokens, {computed} are computed "
        f"({asked / computed:.1f} times fewer)"
    )


def beginning(config: Config, checkpoint: Path | None) -> str:
    """One line on the checkpoint that training goes on from, or on there being none to come; "" where neither is so."""
    if checkpoint is not None:
        return f"edu_align: going on from {checkpoint}"
    if config.trainer.save_steps is not None and not keeps_checkpoints(config):
        return "edu_align: no checkpoints are kept of sharded weights: a run that is cut off starts over"
    return ""


def trained_metrics(trainer: Any) -> dict[str, float]:
    """Train, or go on from the checkpoint of the trainer's keeper, and return `train/*`.

    Times and tokens are those of all attempts. `train/tokens_per_second` counts the real tokens of all processes
    (before shared prefixes are computed once); `train/peak_memory_gib` is that of this process.
    """
    keeper = trainer.keeper
    keeper.begin()
    with tensors_only(keeper.went_on):
        result = trainer.train(resume_from_checkpoint=str(keeper.went_on) if keeper.went_on else None)
    spent = keeper.so_far()
    metrics = {f"train/{key.removeprefix('train_')}": value for key, value in result.metrics.items()}
    # transformers averages over the processes only what it has logged; the steps after that are this process's own.
    metrics["train/loss"] = total(metrics["train/loss"]) / count()
    metrics |= {"train/steps": trainer.state.global_step, "train/peak_memory_gib": peak_memory_gib()}
    asked, computed = int(total(spent["asked"])), int(total(spent["computed"]))
    if computed:
        metrics |= {
            "train/tokens_per_second": asked / spent["seconds"],
            "train/shared_prefix_ratio": asked / computed,
        }
    return metrics


def validated(trainer: Any) -> dict[str, float]:
    """The loss on the validation examples as `eval/*`; empty where there are none."""
    found = trainer.evaluate() if trainer.eval_dataset is not None else {}
    return {f"eval/{key.removeprefix('eval_')}": value for key, value in found.items()}
