"""Look at the data as the model will: records as text, with the trained tokens marked."""

from typing import Any

from edu_align.config.schema import Config, DPOTrainerConfig
from edu_align.data.datamodule import TrainingData
from edu_align.models.chat_template import IGNORED, encode, marked
from edu_align.records import Conversation, Pair
from edu_align.training.dpo_rows import dpo_rows, shorten_prompts


def preview(config: Config, tokenizer: Any, data: TrainingData) -> str:
    """The first `preview` training examples; tokens that the loss reads stand between >>> and <<<."""
    blocks = []
    for example in data.train[: config.preview]:
        for title, ids, labels in _sequences(config, tokenizer, example):
            trained = sum(label != IGNORED for label in labels)
            blocks.append(f"--- {title}: {len(ids)} tokens, {trained} trained\n{marked(tokenizer, ids, labels)}")
    return "\n".join(blocks)


def _sequences(config: Config, tokenizer: Any, example: Pair | Conversation) -> list[tuple[str, list[int], list[int]]]:
    """(title, ids, labels) of what an example becomes: two rows of a pair, cut as training cuts them."""
    longest = config.trainer.max_length
    if isinstance(example, Conversation):
        return [(f"{example.id}, conversation", *encode(tokenizer, example.messages, longest))]
    name = f"{example.group.id} (margin {example.margin:g})"
    limit = config.trainer.max_prompt_length if isinstance(config.trainer, DPOTrainerConfig) else None
    pairs = [example] if limit is None else shorten_prompts(tokenizer, [example], limit).pairs
    (row,) = dpo_rows(tokenizer, pairs, longest)
    sides = {"chosen": ("prompt_ids", "chosen_ids"), "rejected": ("rejected_prompt_ids", "rejected_ids")}
    return [
        (f"{name}, {side}", row[prompt] + row[reply], [IGNORED] * len(row[prompt]) + row[reply])
        for side, (prompt, reply) in sides.items()
    ]
