"""What ends a reply: one answer for chat, generate, samples, the suite and exports."""

from typing import Any

from edu_align.models.chat_template import control_tokens, render
from edu_align.records import Message

_ASKED, _SAID = "Frage", "Antwort"


def turn_end(tokenizer: Any) -> int | None:
    """The token that the chat template closes an assistant's turn with: the first control token after its text.

    None where the template writes none, or refuses a dialogue of one question.
    """
    try:
        text = render(tokenizer, (Message("user", _ASKED), Message("assistant", _SAID)))
    except Exception:  # a template may refuse any dialogue, with any error
        return None
    control = control_tokens(tokenizer)
    written = control.find(text.rpartition(_SAID)[2])
    return control.names[written[0]] if written else None


def end_tokens(model: Any, tokenizer: Any) -> list[int]:
    """Ids that end a reply: the tokenizer's end token, the one that its template closes a turn with, and those that
    the folder of `model` names (see generation.py).
    """
    named = model.generation_config.eos_token_id
    found = [tokenizer.eos_token_id, turn_end(tokenizer), *(named if isinstance(named, list) else [named])]
    return [int(token) for token in dict.fromkeys(found) if token is not None]
