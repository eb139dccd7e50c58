"""The one renderer of chat templates: messages -> text -> token ids. See `trained_turns` for what a loss reads."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby
from typing import Any

from edu_align.models.apply_template import apply_template
from edu_align.models.control_tokens import control_tokens
from edu_align.records import Message

IGNORED = -100  # label of a token without a loss

Read = tuple[list[int], list[tuple[int, int]]]  # token ids, and where each stands in the text


def as_chat(messages: Sequence[Message]) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.content} for message in messages]


def render(tokenizer: Any, messages: Sequence[Message], reply_next: bool = False) -> str:
    """Messages as the one text that the model reads; `reply_next` opens the assistant's next turn.

    Errors: TemplateError, where the template refuses the dialogue.
    """
    return apply_template(tokenizer, as_chat(messages), reply_next)


def chat_ids(tokenizer: Any, messages: Sequence[Message], reply_next: bool = False) -> list[int]:
    """Token ids of the dialogue; `reply_next` opens the assistant's next turn. Control tokens in turns are text."""
    write, read = reader(tokenizer, messages)
    return read(write(messages, reply_next))[0]


def reader(tokenizer: Any, messages: Sequence[Message]) -> tuple[Callable[..., str], Callable[[str], Read]]:
    """How turns of this dialogue become text, and that text ids and character offsets (see `control_tokens`)."""
    control = control_tokens(tokenizer)
    if any(control.may_contain(message.content) for message in messages):
        return partial(control.render, tokenizer), control.encode

    def read(text: str) -> Read:
        encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        return encoded["input_ids"], encoded["offset_mapping"]

    return partial(render, tokenizer), read


def marked(tokenizer: Any, ids: Sequence[int], labels: Sequence[int]) -> str:
    """The dialogue as text with every run of trained tokens between >>> and <<<."""
    pieces: list[str] = []
    for trained, run in groupby(zip(ids, labels, strict=True), key=lambda pair: pair[1] != IGNORED):
        text = tokenizer.decode([token for token, _ in run])
        pieces.append(f">>>{text}<<<" if trained else text)
    return "".join(pieces)
