"""The one renderer of chat templates: messages -> text -> token ids. See `trained_turns` for what a loss reads."""

import json
import re
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, partial
from itertools import groupby
from typing import Any
from weakref import WeakKeyDictionary

from edu_align.records import Conversation, Message, Record, ResponseGroup
from edu_align.utils.errors import UserError, first_line

BRACKETED = re.compile(r"<\|.+\|>")  # a name that is no text of any language, whatever the tokenizer's file says of it


class ControlTokens:
    """The control tokens of one tokenizer: special ones, and added ones that are spelled `<|...|>`."""

    def __init__(self, tokenizer: Any) -> None:
        added = {i: token for i, token in tokenizer.added_tokens_decoder.items() if token.content}
        chosen = {i: token for i, token in added.items() if token.special or BRACKETED.fullmatch(token.content)}
        self.names = {token.content: i for i, token in chosen.items()}
        self._rules: str = tokenizer.backend_tokenizer.to_str()
        self._unknown = tokenizer.unk_token_id
        normalizer = tokenizer.backend_tokenizer.normalizer
        self._normalizer = normalizer if any(token.normalized for token in chosen.values()) else None
        longest_first = sorted(self.names, key=lambda name: (-len(name), name))
        self._any = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
        self._starts = {name[:n] for name in self.names for n in range(1, len(name))}
        self._ends = {name[n:] for name in self.names for n in range(1, len(name))}
        self._longest = max(map(len, self.names), default=1)
        self._mark = secrets.token_hex(8)

    def may_contain(self, text: str) -> bool:
        """Whether a control token stands in `text`, or could be made by it and what a template writes beside it."""
        if self._any.search(text) or self._edges(text) != (0, len(text)):
            return True
        return self._normalizer is not None and bool(self._any.search(self._normalizer.normalize_str(text)))

    def find(self, text: str) -> list[str]:
        """The control tokens that stand in `text`."""
        return self._any.findall(text)

    def render(self, tokenizer: Any, messages: Sequence[Message], reply_next: bool = False) -> str:
        """The dialogue as text, with the template's control tokens alone in the spelling that `encode` reads."""
        held: list[str] = []
        while any(self._mark in message.content for message in messages):
            self.__dict__.pop("_copy", None)
            self._mark = secrets.token_hex(8)
        turns = [{"role": m.role, "content": self._masked(m.content, held)} for m in messages]
        text = apply_template(tokenizer, turns, reply_next)
        put_back = re.compile(f"{self._marker('h([0-9]+)')}|{self._any.pattern}")
        return put_back.sub(lambda found: held[int(found[1])] if found[1] else self._name(found[0]), text)

    def encode(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Ids and character offsets of what `render` returned."""
        found = self._copy.encode(text, add_special_tokens=False)
        control = {i for i in self.names.values() if i != self._unknown}
        names = {str(i): name for name, i in self.names.items()}
        written = sum(self.names[names[i]] in control for i in re.findall(self._marker("c([0-9]+)"), text))
        if sum(i in control for i in found.ids) != written:
            raise UserError(
                "`model.tokenizer`: this tokenizer cannot be kept from reading control tokens in the text of a "
                f"dialogue. Take the rows out that hold one of {', '.join(list(self.names)[:8])}."
            )
        return found.ids, found.offsets

    def _edges(self, text: str) -> tuple[int, int]:
        """Where the text begins and ends without the end of a control token before it and the start of one after it."""
        sizes = range(min(self._longest - 1, len(text)), 0, -1)
        begin = next((n for n in sizes if text[:n] in self._ends), 0)
        end = next((n for n in sizes if text[-n:] in self._starts), 0)
        return begin, max(begin, len(text) - end)

    def _masked(self, text: str, held: list[str]) -> str:
        """The text with everything that is, or may become part of, a control token replaced by a number in `held`."""

        def hide(part: str) -> str:
            if not part:
                return ""
            held.append(part)
            return self._marker(f"h{len(held) - 1}")

        begin, end = self._edges(text)
        middle = self._any.sub(lambda found: hide(found[0]), text[begin:end])
        return hide(text[:begin]) + middle + hide(text[end:])

    def _marker(self, inside: str) -> str:
        """Characters of a private use area and random digits: found in no text, joined to nothing by a tokenizer."""
        return f"\U000f0000{self._mark}{inside}\U000f0001"

    def _name(self, token: str) -> str:
        return self._marker(f"c{self.names[token]}")

    @cached_property
    def _copy(self) -> Any:
        """The tokenizer with every control token under its other name."""
        from tokenizers import Tokenizer

        rules = json.loads(self._rules)
        rules["truncation"] = rules["padding"] = None
        for token in rules["added_tokens"]:
            token["content"] = self._renamed(token["content"])
        model = rules["model"]
        if isinstance(vocabulary := model.get("vocab"), dict):
            model["vocab"] = {self._renamed(piece): i for piece, i in vocabulary.items()}
        elif isinstance(vocabulary, list):
            model["vocab"] = [[self._renamed(piece), *rest] for piece, *rest in vocabulary]
        if isinstance(model.get("unk_token"), str):
            model["unk_token"] = self._renamed(model["unk_token"])
        if "merges" in model:
            pairs = (merge.split(" ", 1) if isinstance(merge, str) else merge for merge in model["merges"])
            made = [bool({left, right, left + right} & self.names.keys()) for left, right in pairs]
            model["merges"] = [merge for merge, control in zip(model["merges"], made, strict=True) if not control]
        copy = Tokenizer.from_str(json.dumps(rules))
        moved = [token for token, i in self.names.items() if copy.token_to_id(self._name(token)) != i]
        if moved:
            raise UserError(f"`model.tokenizer`: the control tokens {', '.join(moved)} cannot be told from text.")
        return copy

    def _renamed(self, piece: str) -> str:
        return self._name(piece) if piece in self.names else piece


_known: WeakKeyDictionary[Any, ControlTokens] = WeakKeyDictionary()


def control_tokens(tokenizer: Any) -> ControlTokens:
    """The control tokens of a tokenizer, found once."""
    if tokenizer not in _known:
        _known[tokenizer] = ControlTokens(tokenizer)
    return _known[tokenizer]


def control_token_warning(tokenizer: Any, records: Iterable[Record]) -> str:
    """One line about records whose text spells control tokens; "" where there are none."""
    control, found, holding = control_tokens(tokenizer), Counter[str](), 0
    for record in records:
        turns = record.messages if isinstance(record, Conversation) else record.prompt
        replies = record.responses if isinstance(record, ResponseGroup) else ()
        texts = (*(turn.content for turn in turns), *(reply.text for reply in replies))
        names = [name for text in texts for name in control.find(text)]
        found.update(names)
        holding += bool(names)
    if not found:
        return ""
    counts = ", ".join(f"{name} ({count})" for name, count in found.most_common(8))
    return f"edu_align: the text of {holding} records spells control tokens, which are read as plain text: {counts}"


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
        refused = "cannot be read as Jinja" if _is_syntax(error) else f"refuses the turns ({roles})"
        raise TemplateError(f"the chat template {refused}: {first_line(error, 300).rstrip('.')}") from error


def _is_syntax(error: Exception) -> bool:
    from jinja2 import TemplateSyntaxError

    return isinstance(error, TemplateSyntaxError)


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
