"""The one renderer of chat templates: messages -> text -> token ids, with the trained ones marked."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby
from typing import Any

from edu_align.models.control_tokens import control_tokens
from edu_align.records import Message
from edu_align.utils.errors import UserError

IGNORED = -100  # label of a token without a loss

Read = tuple[list[int], list[tuple[int, int]]]  # token ids, and where each stands in the text

# The format of Zephyr-7B (Tunstall et al. 2023, arXiv:2310.16944): a role line, the text, the end-of-sequence token.
ZEPHYR_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>\n' + message['content'] + eos_token + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)


def as_chat(messages: Sequence[Message]) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.content} for message in messages]


def render(tokenizer: Any, messages: Sequence[Message], reply_next: bool = False) -> str:
    """Messages as the one text that the model reads; `reply_next` opens the assistant's next turn."""
    text: str = tokenizer.apply_chat_template(as_chat(messages), tokenize=False, add_generation_prompt=reply_next)
    return text


def chat_ids(tokenizer: Any, messages: Sequence[Message], reply_next: bool = False) -> list[int]:
    """Token ids of the dialogue; `reply_next` opens the assistant's next turn. Control tokens in turns are text."""
    text, read = _reader(tokenizer, messages)
    return read(text(messages, reply_next))[0]


def encode(tokenizer: Any, messages: Sequence[Message], max_length: int | None = None) -> tuple[list[int], list[int]]:
    """Token ids and labels of a dialogue, both of length T <= max_length; labels are `IGNORED` off trained turns.

    A trained turn's tokens are its text and its end-of-turn token: what the template adds for it beyond the header
    that generation starts from. Control tokens in turns are text. Errors: a template whose prefix changes when a turn
    is added, which would put the marks in the wrong place.
    """
    render_turns, read = _reader(tokenizer, messages)
    text = render_turns(messages, False)
    spans = []
    for i, message in enumerate(messages):
        if not message.train:
            continue
        head, whole = render_turns(messages[:i], True), render_turns(messages[: i + 1], False)
        if not (text.startswith(whole) and whole.startswith(head)):
            raise UserError(
                "the chat template renders a dialogue differently when turns are added, so trained turns cannot be "
                "located. Use model.chat_template=zephyr."
            )
        spans.append((len(head), len(whole.rstrip("\n"))))
    ids, offsets = read(text)
    ids, offsets = ids[:max_length], offsets[:max_length]
    trained = [any(start <= a and b <= stop and a < b for start, stop in spans) for a, b in offsets]
    return ids, [token if keep else IGNORED for token, keep in zip(ids, trained, strict=True)]


def _reader(tokenizer: Any, messages: Sequence[Message]) -> tuple[Callable[..., str], Callable[[str], Read]]:
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
