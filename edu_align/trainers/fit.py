"""TRL's `train()`, and the numbers of it that a run keeps."""

import time
from typing import Any

from edu_align.config.schema import Config
from edu_align.packing.budget import first_look
from edu_align.packing.decoder import Sharing
from edu_align.processes import count, total
from edu_align.runs.facts import peak_memory_gib
from edu_align.trainers.arguments import token_budget

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
    asked, computed = first_look(examples, config.trainer.batch_size, token_budget(config))
    many = "all" if len(rows) == len(trainer.train_dataset) else "the first"
    return (
        f"edu_align: packing: {many} {len(rows)} examples ask for {asked} tokens, {computed} are computed "
        f"({asked / computed:.1f} times fewer)"
    )


def trained_metrics(trainer: Any, sharing: Sharing) -> dict[str, float]:
    """Train, measure the loss on the validation examples, and return `train/*` and `eval/*`.

    `train/tokens_per_second` counts the real tokens of all processes (before shared prefixes are computed once);
    `train/peak_memory_gib` is that of this process.
    """
    asked, computed = sharing.asked, sharing.computed
    began = time.monotonic()
    result = trainer.train()
    seconds = time.monotonic() - began
    metrics = {f"train/{key.removeprefix('train_')}": value for key, value in result.metrics.items()}
    # transformers averages over the processes only what it has logged; the steps after that are this process's own.
    metrics["train/loss"] = total(metrics["train/loss"]) / count()
    metrics |= {"train/steps": trainer.state.global_step, "train/peak_memory_gib": peak_memory_gib()}
    asked, computed = int(total(sharing.asked - asked)), int(total(sharing.computed - computed))
    if computed:
        metrics |= {"train/tokens_per_second": asked / seconds, "train/shared_prefix_ratio": asked / computed}
    if trainer.eval_dataset is not None:
        metrics |= {f"eval/{key.removeprefix('eval_')}": value for key, value in trainer.evaluate().items()}
    return metrics
