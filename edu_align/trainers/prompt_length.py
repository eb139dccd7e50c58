"""`trainer.max_prompt_length`: a prompt that is too long loses its start, and stays a dialogue.

TRL 1.16 has no such option any more: its `max_length` with `keep_end` cuts prompt and reply together, at a token, and
so may cut a template's header in half. Here the oldest turns go first, whole, then the start of the oldest text left.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from edu_align.data.records import Message, Pair
from edu_align.errors import UserError
from edu_align.models.tokenizer import chat_ids


@dataclass
class Shortened:
    """Pairs whose prompts fit, and how many prompts lost whole turns, or the start of a text as well."""

    pairs: list[Pair] = field(default_factory=list)
    prompts: int = 0
    lost_turns: int = 0
    cut_texts: int = 0

    def describe(self, limit: int) -> str:
        """One line, "" where every prompt fits."""
        if not self.lost_turns and not self.cut_texts:
            return ""
        return (
            f"edu_align: of {self.prompts} prompts, {self.lost_turns} lost their oldest turns and {self.cut_texts} the "
            f"start of a text (trainer.max_prompt_length={limit})"
        )


def shorten_prompts(tokenizer: Any, pairs: Sequence[Pair], limit: int) -> Shortened:
    """The pairs in their order, with prompts of at most `limit` tokens; each prompt is shortened once."""
    result, done = Shortened(), {}
    for pair in pairs:
        prompt = pair.group.prompt
        if prompt not in done:
            short = done[prompt] = shorten_prompt(tokenizer, prompt, limit)
            result.prompts += 1
            result.lost_turns += len(short) < len(prompt)
            result.cut_texts += any(turn not in prompt for turn in short)
        result.pairs.append(replace(pair, group=replace(pair.group, prompt=done[prompt])))
    return result


def shorten_prompt(tokenizer: Any, prompt: Sequence[Message], limit: int) -> tuple[Message, ...]:
    """The end of a prompt, of at most `limit` tokens together with the header that opens the reply.

        system  You are a tutor.                 system  You are a tutor.
        user    2 + 3?                     ->
        assistant  Count on from 2.
        user    I counted and got 6.             user    counted and got 6.

    User and assistant turns go in twos, so that a user turn stays first; then the start of the only user turn is cut. A
    system turn stays, unless it takes more than half of `limit`. Raises UserError where no text would be left.
    """
    turns = tuple(prompt)
    system, talk = (turns[:1], turns[1:]) if turns and turns[0].role == "system" else ((), turns)
    short_system = _length(tokenizer, (*system, Message("user", "."))) <= limit // 2
    head = system if short_system else ()
    for candidate in (turns, *((*head, *talk[i:]) for i, turn in enumerate(talk) if turn.role == "user")):
        if _length(tokenizer, candidate) <= limit:
            return candidate
    return _cut(tokenizer, head, talk[-1], limit)


def _cut(tokenizer: Any, head: tuple[Message, ...], last: Message, limit: int) -> tuple[Message, ...]:
    """`head` and the longest end of the last turn that fits."""
    offsets = tokenizer(last.content, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    begin = max(1, _length(tokenizer, (*head, last)) - limit)
    while begin < len(offsets):
        turns = (*head, replace(last, content=last.content[offsets[begin][0] :].lstrip()))
        over = _length(tokenizer, turns) - limit
        if over <= 0 and turns[-1].content:
            return turns
        begin += max(1, over)  # the cut may change how the text around it is tokenized
    raise UserError(
        f"`trainer.max_prompt_length={limit}` leaves no room for a prompt: the chat template takes "
        f"{_length(tokenizer, (replace(last, content=''),))} tokens around one turn. Raise trainer.max_prompt_length."
    )


def _length(tokenizer: Any, turns: Sequence[Message]) -> int:
    return len(chat_ids(tokenizer, turns, reply_next=True))
