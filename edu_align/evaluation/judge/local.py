"""A judge on this machine: any model that can be a base, asked as the suite asks a tutor, all questions together."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from edu_align.config.arguments import quoted
from edu_align.config.compose import compose
from edu_align.config.schema import Config
from edu_align.evaluation.judge.rubric import Chat
from edu_align.evaluation.suite.subject import LoadedSubject, Weights
from edu_align.records import Message

LONGEST = 4096  # tokens of a question and its answer


def local_model(config: Config, name: str) -> LoadedSubject:
    """The model that `model=<name>` names, on the hardware of `config`; loaded by its first answer.

    Errors: UserError for a model that is not there.
    """
    from omegaconf import OmegaConf

    asked: Any = OmegaConf.to_object(compose([f"model={quoted(name)}", "tracking=off"]))
    found = LoadedSubject("judge", Weights(replace(config, model=asked.model)), LONGEST)
    _ = found.location
    return found


def written(model: LoadedSubject, chats: Sequence[Chat], max_tokens: int) -> list[tuple[str, int, int]]:
    """Greedy answers, written together and kept as the replies of tutors are, with the tokens read and written."""
    turns = [[Message(turn["role"], turn["content"]) for turn in chat] for chat in chats]
    found = model.replies(turns, max_tokens)

    def tokens(text: str) -> int:
        return len(model.tokenizer(text, add_special_tokens=False)["input_ids"])

    return [
        (text, sum(tokens(turn.content) for turn in chat), tokens(text))
        for text, chat in zip(found, turns, strict=True)
    ]
