"""The rows that a run trains on, made once, before the weights load: they are counted, previewed and trained."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from random import Random
from typing import Any

from edu_align.cache.run_cache import RunCache
from edu_align.config.schema import (
    REFERENCED,
    Config,
    DPOTrainerConfig,
    GRPOTrainerConfig,
    RewardTrainerConfig,
    SFTTrainerConfig,
)
from edu_align.data.datamodule import TrainingData
from edu_align.data.negatives import MARKS, kind_of
from edu_align.models.chat_template import IGNORED, TemplateError, marked, render
from edu_align.models.trained_turns import answered, check_dialogue
from edu_align.records import Conversation, Pair, ResponseGroup
from edu_align.training.debias import bias_of
from edu_align.training.dpo_rows import cached_dpo_rows, shorten_prompts
from edu_align.training.grpo_rows import asked_of, check_rewards, check_step, grpo_rows, longest_prompt, with_words
from edu_align.training.kto_rows import cached_kto_rows, has_kl
from edu_align.training.pmi import with_blind_rows
from edu_align.training.reward_rows import Grades, reward_rows
from edu_align.training.sft_rows import cached_sft_rows
from edu_align.utils.errors import UserError


@dataclass(frozen=True)
class Rows:
    """`rows`: {input_ids, labels} of conversations, `dpo_rows.COLUMNS` of pairs, `kto_rows.COLUMNS` and label of
    labelled replies, {prompt_ids, asked} of prompts; `ids`: the record of each.

    `examples`: how many records they come from; `notes`: lines on what became of the others; `grades`: of a reward
    model that learns from scores, what became of those; `bias`: of each training pair, where `trainer.debias` has one.
    """

    rows: list[dict[str, Any]]
    ids: list[str]
    examples: int
    notes: list[str]
    grades: Grades | None = None
    bias: list[float] | None = None


def make_rows(config: Config, tokenizer: Any, data: TrainingData, cache: RunCache | None) -> tuple[Rows, Rows]:
    """The rows of the training and of the validation examples, by what the trainer reads.

    Errors: no training row is left; the first reason why.
    """
    if isinstance(config.trainer, RewardTrainerConfig):
        return _reward_rows(config, tokenizer, data)
    if isinstance(config.trainer, GRPOTrainerConfig):
        return _prompt_rows(config.trainer, tokenizer, data, config.seed)
    if config.trainer.reads == "preferences":
        train = _require_rows(_pair_rows(config, tokenizer, data.train, cache, trained=True))
        return train, _pair_rows(config, tokenizer, data.validation, cache)
    make = _conversation_rows if config.trainer.reads == "conversations" else _reply_rows
    train = _require_rows(make(config, tokenizer, data.train, cache))
    return train, make(config, tokenizer, data.validation, cache)


def _require_rows(train: Rows) -> Rows:
    if not train.rows:
        raise UserError("\n".join(["no training example is left.", *train.notes]))
    return train


def _reward_rows(config: Config, tokenizer: Any, data: TrainingData) -> tuple[Rows, Rows]:
    *both, grades = reward_rows(config, tokenizer, data)
    train, valid = (Rows(rows, ids, len(rows), notes, grades) for rows, ids, notes in both)
    return _require_rows(train), valid


def _conversation_rows(
    config: Config, tokenizer: Any, conversations: Sequence[Conversation], cache: RunCache | None
) -> Rows:
    trainer = config.trainer
    mode = trainer.long_conversations if isinstance(trainer, SFTTrainerConfig) else "truncate"
    rows, counts = cached_sft_rows(cache, tokenizer, conversations, trainer.max_length, mode)
    ids = [talk.id for talk, many in zip(conversations, counts.rows, strict=True) for _ in range(many)]
    notes = counts.lines(mode, trainer.max_length)
    if not rows and not counts.template.refused:
        notes.append(
            f"none of the {len(conversations)} training conversations has a trained token within `trainer.max_length="
            f"{trainer.max_length}` (trainer.long_conversations={mode}). Raise trainer.max_length."
        )
    return Rows(rows, ids, sum(many > 0 for many in counts.rows), notes)


def _pair_rows(
    config: Config, tokenizer: Any, pairs: Sequence[Any], cache: RunCache | None, trained: bool = False
) -> Rows:
    trainer = config.trainer
    pairs, notes = _shortened(config, tokenizer, pairs)
    rows, counts = cached_dpo_rows(cache, tokenizer, pairs, trainer.max_length)
    kept = [pairs[i] for i in counts.kept]
    notes = [*notes, *counts.lines(trainer.max_length)]
    if isinstance(trainer, DPOTrainerConfig) and trainer.pmi_weight:
        rows = with_blind_rows(cache, tokenizer, rows, kept, trainer.max_length)
    bias: list[float] | None = None
    if trained and kept and isinstance(trainer, DPOTrainerConfig) and trainer.debias != "none":
        bias, line = bias_of(trainer.debias, kept, config.seed)
        notes.append(line)
    return Rows(rows, [_id_of(pair) for pair in kept], len(rows), notes, bias=bias)


def _id_of(pair: Pair) -> str:
    """Its group, chosen and rejected reply, and how the rejected one was constructed where it was."""
    kind = kind_of(pair.group.responses[pair.rejected].author)
    return f"{pair.group.id} ({pair.chosen}>{pair.rejected}){MARKS.get(kind, '')}"


def _reply_rows(config: Config, tokenizer: Any, replies: Sequence[Any], cache: RunCache | None) -> Rows:
    trainer = config.trainer
    replies, notes = _shortened(config, tokenizer, replies)
    step = trainer.batch_size if has_kl(trainer) else None
    rows, counts = cached_kto_rows(cache, tokenizer, replies, trainer.max_length, step)
    kept = [replies[i] for i in counts.kept]
    ids = [f"{reply.group.id} ({reply.index} {'good' if reply.good else 'bad'})" for reply in kept]
    return Rows(rows, ids, len(rows), [*notes, *counts.lines()])


def _shortened(config: Config, tokenizer: Any, examples: Sequence[Any]) -> tuple[Sequence[Any], list[str]]:
    """Pairs or replies with prompts of at most `trainer.max_prompt_length` tokens, and a line on what was cut."""
    trainer = config.trainer
    if not isinstance(trainer, REFERENCED) or trainer.max_prompt_length is None:
        return examples, []
    short = shorten_prompts(tokenizer, examples, trainer.max_prompt_length)
    return short.pairs, list(filter(None, [short.describe(trainer.max_prompt_length)]))


def _prompt_rows(trainer: GRPOTrainerConfig, tokenizer: Any, data: TrainingData, seed: int) -> tuple[Rows, Rows]:
    """Rows of the training and validation prompts; those of a conversation do not stay neighbours."""
    people = asked_of(data.train)
    Random(seed).shuffle(people)
    if not people:
        raise UserError("no training example is left: no trained turn answers a turn of the student.")
    check_rewards(trainer, people)
    made = []
    for asked in (people, asked_of(data.validation)):
        rows, counts = grpo_rows(tokenizer, with_words(asked, people), trainer)
        made.append(Rows(rows, [row["asked"].id for row in rows], len(rows), counts.lines(longest_prompt(trainer))))
    if not made[0].rows:
        raise UserError("\n".join(["no training example is left.", *made[0].notes]))
    check_step(trainer, made[0].rows)
    return made[0], made[1]


def measurable(tokenizer: Any, data: TrainingData) -> TrainingData:
    """The data without held-out records that the chat template refuses, which is said.

    Errors: none is left; the first reason.
    """
    if data.choosing is not None:
        data = replace(data, choosing=measurable(tokenizer, data.choosing))
    refused: list[TemplateError] = []
    groups = [group for group in data.groups if _renders(tokenizer, group, refused)]
    talks = [talk for talk in data.conversations if _renders(tokenizer, talk, refused)]
    if not refused:
        return data
    if not groups and not talks:
        raise UserError(f"no held-out record can be measured on: {refused[0]}")
    print(f"edu_align: not measured on {len(refused)} held-out records; the first: {refused[0]}", flush=True)
    return replace(data, groups=groups, conversations=talks)


def _renders(tokenizer: Any, record: Conversation | ResponseGroup, refused: list[TemplateError]) -> bool:
    dialogues = [record.messages] if isinstance(record, Conversation) else []
    if isinstance(record, ResponseGroup):
        dialogues = [answered(record.prompt, reply.text) for reply in record.responses]
    try:
        for turns in dialogues:
            check_dialogue(partial(render, tokenizer), turns)
    except TemplateError as error:
        refused.append(error.of(record.id))
        return False
    return True


SIDES = {"chosen": ("prompt_ids", "chosen_ids"), "rejected": ("rejected_prompt_ids", "rejected_ids")}


def preview(tokenizer: Any, rows: Rows, examples: int) -> str:
    """The first `examples` training examples, all their rows; what the loss reads stands between >>> and <<<."""
    blocks = []
    every = groupby(zip(rows.ids, rows.rows, strict=True), key=lambda pair: pair[0])
    for _, (name, found) in zip(range(examples), every, strict=False):
        sequences = [each for _, row in found for each in _sequences(row)]
        for number, (title, ids, labels) in enumerate(sequences, 1):
            part = f" row {number} of {len(sequences)}" if title == "conversation" and len(sequences) > 1 else ""
            trained = sum(label != IGNORED for label in labels)
            text = marked(tokenizer, ids, labels)
            blocks.append(f"--- {name}, {title}{part}: {len(ids)} tokens, {trained} trained\n{text}")
    return "\n".join(blocks)


def _sequences(row: dict[str, list[int]]) -> list[tuple[str, list[int], list[int]]]:
    """(title, ids, labels) of a row: a conversation, a prompt that replies are written to, both sides of a pair, or a
    labelled reply.
    """
    if "asked" in row:
        return [("dialogue", row["prompt_ids"], [IGNORED] * len(row["prompt_ids"]))]
    if "input_ids" in row:
        return [("conversation", row["input_ids"], row["labels"])]
    sides = {"reply": ("prompt_ids", "completion_ids")} if "label" in row else SIDES
    return [
        (side, row[prompt] + row[reply], [IGNORED] * len(row[prompt]) + row[reply])
        for side, (prompt, reply) in sides.items()
    ]
