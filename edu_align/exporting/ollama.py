"""Ollama's Modelfile: which GGUF, how a dialogue is written, what ends a reply, and how it is sampled.

Jinja templates are programs. Ollama executes the one in a GGUF since 0.30; before, it read Go's alone and took one of
its own for the GGUF's, where it recognised that. The Modelfile's TEMPLATE is Go's. The templates of ChatML, Zephyr,
Llama 2 and Mistral do the same few things: they put a text before and after each turn, and put the system prompt (or
one of their own) at the start or into the first question. Such a template is described by a `Format`, found by
rendering some dialogues, and the format is checked against the template.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edu_align.config.schema import GenerationConfig
from edu_align.models.chat_template import TemplateError, apply_template
from edu_align.models.template_choice import writes_date

Turn = dict[str, str]  # {"role": "user", "content": "Hi"}
_S, _A, _B, _C = "Systemwort", "Anfangswort", "Beiwort", "Codewort"  # markers, looked for in the rendered text


@dataclass(frozen=True)
class Format:
    """Texts around the turns. `opening` comes before the first question of a dialogue without a system prompt, and the
    two of `with_system` before and after the prompt where there is one (None: the template takes none).
    """

    opening: str
    with_system: tuple[str, str] | None
    user: tuple[str, str]
    assistant: tuple[str, str]
    reply: str

    def write(self, turns: Sequence[Turn]) -> str:
        """A dialogue that begins with an optional system turn, and the text that opens the assistant's next turn."""
        system = next((turn["content"] for turn in turns if turn["role"] == "system"), None)
        text, first = "", True
        for turn in turns:
            if turn["role"] == "user":
                opening = self.opening if system is None or not self.with_system else system.join(self.with_system)
                text += opening if first else self.user[0]
                text += turn["content"] + self.user[1]
                first = False
            elif turn["role"] == "assistant":
                text += self.assistant[0] + turn["content"] + self.assistant[1]
        return text + self.reply

    def go_template(self) -> str:
        """The same as Ollama executes it. Every dash eats the white space beside it; the quoted texts keep theirs."""
        opening = [_text(self.opening, 4)]
        if self.with_system is not None:
            before, after = self.with_system
            opening = [
                "    {{- if $.System -}}", _text(before, 6), "      {{- $.System -}}", _text(after, 6),
                "    {{- else -}}", _text(self.opening, 6), "    {{- end -}}",
            ]  # fmt: skip
        lines = [
            "{{- $first := true -}}", "{{- range .Messages -}}", '{{- if eq .Role "user" -}}', "  {{- if $first -}}",
            "    {{- $first = false -}}", *opening, "  {{- else -}}", _text(self.user[0], 4), "  {{- end -}}",
            "  {{- .Content -}}", _text(self.user[1], 2), '{{- else if eq .Role "assistant" -}}',
            _text(self.assistant[0], 2), "  {{- .Content -}}", _text(self.assistant[1], 2), "{{- end -}}",
            "{{- end -}}", _text(self.reply, 0),
        ]  # fmt: skip
        return "\n".join(line for line in lines if line)


def _text(text: str, indent: int) -> str:
    return " " * indent + "{{- " + json.dumps(text, ensure_ascii=False) + " -}}" if text else ""


def find_format(tokenizer: Any) -> Format | None:
    """The format of the tokenizer's chat template; None where these texts cannot describe what it does."""
    if writes_date(tokenizer.chat_template):  # that of every day to come
        return None
    try:
        found = _infer(tokenizer)
        dialogues = examples(found is not None and found.with_system is not None)
        same = found is not None and all(found.write(turns) == _render(tokenizer, turns) for turns in dialogues)
    except (TemplateError, ValueError):  # it refuses one of these dialogues, or the marks in it
        return None
    return found if same else None


def examples(system: bool) -> list[list[Turn]]:
    """Dialogues of one to three questions, also with a system prompt where the template takes one."""
    asked = [{"role": "user", "content": "2 + 3?"}]
    again = [*asked, {"role": "assistant", "content": "What is\n2 + 2?"}, {"role": "user", "content": 'It\'s "4" {x}.'}]
    third = [*again, {"role": "assistant", "content": "And 1 more?"}, {"role": "user", "content": "Ça fait 5 €"}]
    plain = [asked, again, third]
    kind = {"role": "system", "content": "Be kind.\n\nAsk back."}
    return [*plain, *([kind, *turns] for turns in plain)] if system else plain


def _render(tokenizer: Any, turns: Sequence[Turn], reply_next: bool = True) -> str:
    return apply_template(tokenizer, turns, reply_next)


def _infer(tokenizer: Any) -> Format | None:
    """The texts around marked turns, cut where a dialogue of one turn more or less shows their borders."""
    ask, say, more = ({"role": r, "content": c} for r, c in (("user", _A), ("assistant", _B), ("user", _C)))
    one, whole = _render(tokenizer, [ask], False), _render(tokenizer, [ask, say, more], False)
    opened = _render(tokenizer, [ask])
    opening, after_ask, after_say, user_end = _cut(whole, (_A, _B, _C))
    assistant_end = _cut(_render(tokenizer, [ask, say], False), (_A, _B))[2]
    if not (opened.startswith(one) and after_ask.startswith(user_end) and after_say.startswith(assistant_end)):
        return None
    try:
        system = {"role": "system", "content": _S}
        first, last, *_ = _cut(_render(tokenizer, [system, ask, say, more]), (_S, _A, _B, _C))
        with_system = (first, last)
    except (TemplateError, ValueError):  # it refuses a system prompt, or leaves it out
        with_system = None
    return Format(
        opening=opening,
        with_system=with_system,
        user=(after_say.removeprefix(assistant_end), user_end),
        assistant=(after_ask.removeprefix(user_end), assistant_end),
        reply=opened.removeprefix(one),
    )


def _cut(text: str, marks: Sequence[str]) -> list[str]:
    """The texts before, between and after the marks. Raises ValueError where not all are there in this order."""
    pieces = []
    for mark in marks:
        before, found, text = text.partition(mark)
        if not found:
            raise ValueError(f"{mark} is not in the text")
        pieces.append(before)
    return [*pieces, text]


NAME = "Modelfile"


def modelfile(
    gguf: str,
    found: Format | None,
    ends: Sequence[str],
    settings: GenerationConfig,
    system_prompt: str | None,
    context: int,
) -> str:
    """The text of a Modelfile beside the file `gguf`.

    `ends` are the texts of the tokens that end a reply, `context` the tokens of a dialogue that Ollama keeps. Without a
    `found` format there is no TEMPLATE, and Ollama goes by the chat template inside the GGUF: since 0.30 it executes
    it, before that as far as it recognises it.
    """
    lines = [f"FROM ./{gguf}"]
    if found is not None:
        lines += ["", f"TEMPLATE {_quoted(found.go_template())}"]
    if system_prompt:
        lines += ["", f"SYSTEM {_quoted(system_prompt)}"]
    stops = dict.fromkeys([*ends, *([found.assistant[1].strip()] if found else [])])
    lines += ["", *(f'PARAMETER stop "{text}"' for text in stops if text)]
    # Every setting is written: Ollama has defaults of its own for those that are not.
    lines += [
        f"PARAMETER temperature {settings.temperature:g}",
        f"PARAMETER top_p {settings.top_p:g}",
        f"PARAMETER top_k {settings.top_k}",
        f"PARAMETER repeat_penalty {settings.repetition_penalty:g}",
        f"PARAMETER num_predict {settings.max_new_tokens}",
        f"PARAMETER num_ctx {context}",
    ]
    return "\n".join(lines) + "\n"


LEAST_CONTEXT = 4096  # tokens; a chat grows longer than the rows of a short training


def context_of(longest: int, trained: int) -> int:
    """Tokens of a dialogue to keep: the `trained` length, or `LEAST_CONTEXT`; never more than the model's `longest`."""
    return min(longest, max(trained, LEAST_CONTEXT))


def write_modelfile(
    gguf: Path,
    tokenizer: Any,
    ends: Sequence[int],
    settings: GenerationConfig,
    system_prompt: str | None,
    context: int,
) -> Format | None:
    """Write it beside `gguf` and return the format that was found for its TEMPLATE."""
    found = find_format(tokenizer)
    texts = tokenizer.convert_ids_to_tokens(list(ends))
    text = modelfile(gguf.name, found, texts, settings, system_prompt, context)
    gguf.with_name(NAME).write_text(text, encoding="utf-8")
    return found


def template_note(found: bool) -> str:
    """What the Modelfile's TEMPLATE is worth."""
    if found:
        return (
            "the Modelfile's TEMPLATE writes dialogues of one to three questions exactly as the chat template does, so "
            "for those it is all the same whether Ollama goes by it or, as it can since 0.30, by the one in the GGUF."
        )
    return (
        "the chat template does more than a TEMPLATE of the Modelfile can say, so there is none and Ollama goes by the "
        "one in the GGUF: it executes that since 0.30; before, it only knows some common ones again."
    )


def _quoted(text: str) -> str:
    """A text over several lines. Three quotes inside it would end it, so a space is put between or behind them."""
    inside = text.replace('"""', '"" "')
    return '"""' + inside + (" " if inside.endswith('"') else "") + '"""'
