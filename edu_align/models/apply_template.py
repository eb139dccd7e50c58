"""The one call of a chat template: what it raises becomes one message, and content goes in as it reads it."""

from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

from edu_align.utils.errors import UserError, first_line

Turn = dict[str, str]  # role, content
PROBE = ("\U000f0000asked\U000f0001", "\U000f0000said\U000f0001")  # texts that no template writes
_parts: WeakKeyDictionary[Any, tuple[str, bool]] = WeakKeyDictionary()


class TemplateError(UserError):
    """The chat template refuses a dialogue, or cannot hold its replies. `words`: why, without the ways out."""

    def __init__(self, words: str, record: str | None = None) -> None:
        self.words = words
        of = f"record {record}: " if record else ""
        super().__init__(
            f"{of}{words}. Ways out: another template (model.chat_template=zephyr, or model.chat_template=<file>.jinja "
            "of your own), arguments that it reads (model.template_args), or, where it refuses system turns, none of "
            "them (dataset.system_prompt=null, and no system turn in the data)."
        )

    def of(self, record: str) -> "TemplateError":
        """The same error, which names the record."""
        return TemplateError(self.words, record)


def apply_template(tokenizer: Any, turns: Sequence[Turn], reply_next: bool = False) -> str:
    """The dialogue as transformers renders it; `reply_next` opens the assistant's next turn.

    Errors: TemplateError, whatever the template raises.
    """
    try:
        return _apply(tokenizer, turns, reply_next, reads_parts(tokenizer))
    except Exception as error:  # a template is someone else's program
        roles = ", ".join(turn["role"] for turn in turns[:6]) + (", ..." if len(turns) > 6 else "")
        raise TemplateError(f"the chat template refuses the turns ({roles}): {first_line(error, 300)}") from error


def reads_parts(tokenizer: Any) -> bool:
    """Whether the template writes the text of a turn only where it comes in parts, [{type: text, text: ...}]."""
    template = str(tokenizer.chat_template)
    if tokenizer not in _parts or _parts[tokenizer][0] != template:
        _parts[tokenizer] = template, not _shows(tokenizer, False) and _shows(tokenizer, True)
    return _parts[tokenizer][1]


def _shows(tokenizer: Any, parts: bool) -> bool:
    asked, said = PROBE
    turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]
    try:
        text = _apply(tokenizer, turns, False, parts)
    except Exception:  # the dialogue itself will say why
        return False
    return asked in text and said in text


def _apply(tokenizer: Any, turns: Sequence[Turn], reply_next: bool, parts: bool) -> str:
    given: list[Any] = list(turns)
    if parts:
        given = [{**turn, "content": [{"type": "text", "text": turn["content"]}]} for turn in turns]
    text: str = tokenizer.apply_chat_template(given, tokenize=False, add_generation_prompt=reply_next)
    return text
