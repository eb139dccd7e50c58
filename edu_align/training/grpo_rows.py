"""Dialogues as rows for GRPO: the token ids of each prompt, and what the rewards know of it.

Every trained turn of a conversation gives a prompt, the turns before it, and stands beside it as what a person said. A
prompt that lacks what one of the rewards needs is left out and counted.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from edu_align.config.batch import prompts_per_step
from edu_align.config.schema import GRPOTrainerConfig
from edu_align.models.chat_template import TemplateError, chat_ids
from edu_align.records import Conversation, trained_replies
from edu_align.rewards.asked import Asked
from edu_align.rewards.human_length import people_write
from edu_align.rewards.registry import REWARDS, lacking
from edu_align.training.template_notes import TemplateNotes
from edu_align.utils.errors import UserError

Row = dict[str, Any]
PROMPT, ASKED = "prompt_ids", "asked"


@dataclass
class PromptCounts:
    """What became of the prompts. `lack`: how many lack what a reward needs, by its name; `cut`: lost their start."""

    prompts: int = 0
    lack: Counter[str] = field(default_factory=Counter)
    cut: int = 0
    template: TemplateNotes = field(default_factory=TemplateNotes)

    def lines(self, longest: int) -> list[str]:
        """What is to be said of them. `longest`: the most tokens of a prompt."""
        lines = [
            f"edu_align: {count} of {self.prompts} dialogues are left out: {name} needs {REWARDS[name].needs}"
            for name, count in self.lack.items()
        ]
        if self.cut:
            lines.append(f"edu_align: {self.cut} dialogues are longer than {longest} tokens and lose their start")
        return [*lines, *self.template.lines("dialogues")]


def asked_of(conversations: Sequence[Conversation]) -> list[Asked]:
    """The prompts of the conversations, in their order. `words` is still to be set, see `with_words`."""
    return [asked for talk in conversations for asked in _asked(talk)]


def _asked(talk: Conversation) -> Iterator[Asked]:
    turns, places = talk.messages, trained_replies(talk)
    for number, place in enumerate(places, 1):
        name = talk.id if len(places) == 1 else f"{talk.id} reply {number}"
        yield Asked(name, turns[:place], turns[place].content, talk.meta)


def with_words(asked: Sequence[Asked], people: Sequence[Asked]) -> list[Asked]:
    """The prompts with the lengths that people reply with to `people`, the training prompts."""
    words = people_write(one.person for one in people)
    return [replace(one, words=words) for one in asked]


def check_rewards(trainer: GRPOTrainerConfig, asked: Sequence[Asked]) -> None:
    """Errors: a reward that says nothing of any of the prompts, or that no prompt is left once each has its say."""
    for name in trainer.weights:
        if asked and not any(REWARDS[name].applies(one) for one in asked):
            others = {other: weight for other, weight in trainer.weights.items() if other != name}
            usable = {other: weight for other, weight in others.items() if _says_something(other, asked)}
            raise UserError(
                f"`trainer.rewards`: {name} needs {REWARDS[name].needs}, and none of the {len(asked)} training "
                f"dialogues has it. Set trainer.rewards={_written(usable or {'asks_question': 1.0})}, or take other "
                "data."
            )
    if asked and all(lacking(trainer.weights, one) for one in asked):
        raise UserError(
            f"`trainer.rewards={_written(trainer.weights)}`: none of the {len(asked)} training dialogues has what all "
            "of them need. Name fewer rewards."
        )


def _says_something(name: str, asked: Sequence[Asked]) -> bool:
    return any(REWARDS[name].applies(one) for one in asked)


def _written(weights: dict[str, float]) -> str:
    return "{" + ", ".join(f"{name}: {weight:g}" for name, weight in weights.items()) + "}"


def grpo_rows(tokenizer: Any, asked: Sequence[Asked], trainer: GRPOTrainerConfig) -> tuple[list[Row], PromptCounts]:
    """Rows {prompt_ids, asked} of the prompts that every reward can judge, and the counts of all.

    A prompt has at most `trainer.max_length - trainer.max_completion_length` tokens, its last ones.
    """
    rows: list[Row] = []
    counts, longest = PromptCounts(len(asked)), longest_prompt(trainer)
    for one in asked:
        if without := lacking(trainer.weights, one):
            counts.lack[without[0]] += 1
            continue
        try:
            ids = chat_ids(tokenizer, one.turns, reply_next=True)
        except TemplateError as error:
            counts.template.refuse(error, one.id)
            continue
        counts.cut += len(ids) > longest
        rows.append({PROMPT: ids[-longest:], ASKED: one})
    return rows, counts


def longest_prompt(trainer: GRPOTrainerConfig) -> int:
    """The most tokens of a prompt, so that its reply has room."""
    return trainer.max_length - trainer.max_completion_length


def check_step(trainer: GRPOTrainerConfig, rows: Sequence[Row]) -> None:
    """Errors: fewer prompts than a step takes."""
    wanted = prompts_per_step(trainer)
    if 0 < len(rows) < wanted:
        most = len(rows) * trainer.num_generations
        raise UserError(
            f"a step of `trainer.batch_size={trainer.batch_size}` replies answers {wanted} dialogues "
            f"(trainer.num_generations={trainer.num_generations}), and there are {len(rows)} to train on. Set "
            f"trainer.batch_size={most}, or add data."
        )
