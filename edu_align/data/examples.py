"""Training and validation examples from the records of a split: which ones, in which order."""

from dataclasses import replace
from random import Random
from typing import Any

from edu_align.config.schema import Config, DPOTrainerConfig
from edu_align.data.build import LoadedData
from edu_align.data.contrast import balanced, contrasted, drawn_turns, turns_as_groups
from edu_align.data.pairs import in_steps, subsample, training_pairs
from edu_align.data.records import Conversation, Pair, Record, ResponseGroup


def examples(config: Config, loaded: LoadedData, split: str) -> list[Any]:
    """Conversations, or pairs with those of one prompt next to each other, in an order drawn by the seed."""
    dataset = config.dataset
    records = loaded.require("train") if split == "train" else loaded.splits[split]
    order = list(records)
    Random(config.seed).shuffle(order)
    if config.trainer.algorithm == "sft":
        return subsample(order, dataset.max_train_records if split == "train" else None, config.seed)
    groups = [record for record in order if isinstance(record, ResponseGroup)]
    margin = dataset.training_margin if split == "train" and dataset.training_margin is not None else dataset.margin
    pairs = training_pairs(groups, margin, dataset.max_pairs_per_group, config.seed, dataset.drop_unfit_chosen)
    if split == "train":
        pairs = _beyond_style(config, order, pairs)[: dataset.max_train_records]  # whole prompts, in their drawn order
    if split == "train" and isinstance(config.trainer, DPOTrainerConfig) and config.trainer.batching == "pairs":
        Random(config.seed).shuffle(pairs)
        return pairs
    return in_steps(pairs, config.trainer.batch_size, config.seed)


def _beyond_style(config: Config, records: list[Record], pairs: list[Pair]) -> list[Pair]:
    """The pairs with authors balanced and replies from other dialogues added, prompt by prompt."""
    dataset, seed = config.dataset, config.seed
    pairs = balanced(pairs, seed) if dataset.balance_authors else pairs
    count = dataset.contrast_per_prompt
    if not count:
        return pairs
    groups = [record for record in records if isinstance(record, ResponseGroup)]
    turns = turns_as_groups(record for record in records if isinstance(record, Conversation))
    added = contrasted(groups, count, seed) | contrasted(
        drawn_turns(turns, dataset.contrast_turns, seed), count, seed, turns
    )
    by_prompt: dict[str, list[Pair]] = {name: [] for name in (*(group.id for group in groups), *added)}
    for pair in pairs:
        extra = added.get(pair.group.id)
        by_prompt[pair.group.id].append(replace(pair, group=extra[0].group) if extra else pair)
    prompts = list(by_prompt)
    Random(seed).shuffle(prompts)
    return [pair for name in prompts for pair in (*by_prompt[name], *added.get(name, ()))]
