"""Replies as rows of token ids for a reward model: two replies of a pair, or one reply and its grade.

What is pooled of a reply is what measuring labels of it (`models.scoring.reply_rows`), so both read the same tokens. A
row over `trainer.max_length` loses the start of its prompt.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from edu_align.config.schema import GRADED_LOSSES, Config, RewardTrainerConfig
from edu_align.data.datamodule import TrainingData
from edu_align.models.chat_template import IGNORED, TemplateError
from edu_align.models.trained_turns import answered, encode_dialogue
from edu_align.records import Graded, Message, Pair, ResponseGroup
from edu_align.training.dpo_rows import PairCounts, cut_at_start
from edu_align.training.template_notes import TemplateNotes
from edu_align.utils.errors import UserError

MOST_GRADES = 20  # different scores that count as ordered grades
Row = dict[str, Any]
Encoded = tuple[list[int], list[int]]  # prompt and reply


@dataclass(frozen=True)
class Grades:
    """How the scores of the training replies become what a reward is held against.

    Regression: (score - mean) / deviation. Ordinal: the place of the nearest of `levels`, in rising order; `thresholds`
    stand between them where the training scores' own shares put them, b_k = logit P(score <= level k), so that a reward
    of 0 for every reply says how often each grade occurs.
    """

    loss: str
    mean: float
    deviation: float
    levels: tuple[float, ...] = ()
    thresholds: tuple[float, ...] = ()

    def target(self, score: float) -> float:
        if self.loss == "regression":
            return (score - self.mean) / self.deviation
        return float(min(range(len(self.levels)), key=lambda k: (abs(self.levels[k] - score), k)))


def grades_of(loss: str, scores: Sequence[float]) -> Grades:
    """Errors: all scores are equal, or so many differ that they are no grades."""
    counted = sorted(Counter(scores).items())
    levels = tuple(level for level, _ in counted)
    if len(levels) < 2:
        raise UserError(
            f"`trainer.reward_loss={loss}` learns from scores that differ, and all {len(scores)} training replies have "
            f"{levels}. Set trainer.reward_loss=bradley_terry, or give other data."
        )
    if loss == "ordinal" and len(levels) > MOST_GRADES:
        raise UserError(
            f"`trainer.reward_loss=ordinal` takes at most {MOST_GRADES} different scores as grades, and the training "
            f"replies have {len(levels)}. Set trainer.reward_loss=regression."
        )
    mean = sum(scores) / len(scores)
    deviation = math.sqrt(sum((score - mean) ** 2 for score in scores) / len(scores))
    if loss != "ordinal":
        return Grades(loss, mean, deviation)
    thresholds, below = [], 0
    for _, many in counted[:-1]:
        below += many
        thresholds.append(math.log(below / (len(scores) - below)))
    return Grades(loss, mean, deviation, levels, tuple(thresholds))


@dataclass
class Replies:
    """Encodes each reply once. `template`: what the chat template did that a user should know."""

    tokenizer: Any
    max_length: int
    template: TemplateNotes = field(default_factory=TemplateNotes)
    known: dict[tuple[tuple[Message, ...], str], Encoded] = field(default_factory=dict)

    def encode(self, group: ResponseGroup, index: int) -> Encoded:
        """Prompt and reply within `max_length` tokens. Errors: TemplateError."""
        key = group.prompt, group.responses[index].text
        if key not in self.known:
            encoded = encode_dialogue(self.tokenizer, answered(*key))
            self.template.add(encoded, group.id)
            (row,) = encoded.rows
            start = next((i for i, label in enumerate(row.labels) if label != IGNORED), len(row.ids))
            self.known[key] = cut_at_start(row.ids[:start], row.ids[start:], self.max_length)
        return self.known[key]


Made = tuple[list[Row], list[str], list[str]]  # rows, ids of their records, lines on what became of the others


def pair_rows(tokenizer: Any, pairs: Sequence[Pair], max_length: int, margin_weight: float) -> Made:
    """Rows {prompt_ids, chosen_ids, rejected_prompt_ids, rejected_ids} and, where it weighs anything, `margin`."""
    replies, counts = Replies(tokenizer, max_length), PairCounts(len(pairs))
    counts.template = replies.template
    rows, ids = [], []
    for pair in pairs:
        try:
            chosen, rejected = (replies.encode(pair.group, place) for place in (pair.chosen, pair.rejected))
        except TemplateError as error:
            replies.template.refuse(error, pair.group.id)
            continue
        if chosen[0] + chosen[1] == rejected[0] + rejected[1]:
            cut = len(chosen[0]) + len(chosen[1]) == max_length
            counts.cut_alike, counts.alike = counts.cut_alike + cut, counts.alike + (not cut)
            continue
        row: Row = {"prompt_ids": chosen[0], "chosen_ids": chosen[1]}
        row |= {"rejected_prompt_ids": rejected[0], "rejected_ids": rejected[1]}
        rows.append(row | ({"margin": margin_weight * pair.margin} if margin_weight else {}))
        ids.append(f"{pair.group.id} ({pair.chosen}>{pair.rejected})")
    return rows, ids, counts.lines(max_length)


def graded_rows(tokenizer: Any, examples: Sequence[Graded], max_length: int, target: Callable[[float], float]) -> Made:
    """Rows {input_ids, labels, target}; labels mark the reply."""
    replies = Replies(tokenizer, max_length)
    rows, ids = [], []
    for one in examples:
        try:
            prompt, reply = replies.encode(one.group, one.index)
        except TemplateError as error:
            replies.template.refuse(error, one.group.id)
            continue
        labels = [IGNORED] * len(prompt) + reply
        rows.append({"input_ids": prompt + reply, "labels": labels, "target": target(one.score)})
        ids.append(f"{one.group.id} ({one.index})")
    return rows, ids, replies.template.lines("replies")


def reward_rows(config: Config, tokenizer: Any, data: TrainingData) -> tuple[Made, Made, Grades | None]:
    """Rows of the training and of the validation examples; `Grades` of the training replies where each has one."""
    trainer = config.trainer
    assert isinstance(trainer, RewardTrainerConfig)
    both = data.train, data.validation
    if trainer.reward_loss not in GRADED_LOSSES:
        train, valid = (pair_rows(tokenizer, part, trainer.max_length, trainer.margin_weight) for part in both)
        return train, valid, None
    grades = grades_of(trainer.reward_loss, [one.score for one in data.train])
    train, valid = (graded_rows(tokenizer, part, trainer.max_length, grades.target) for part in both)
    return train, valid, grades
