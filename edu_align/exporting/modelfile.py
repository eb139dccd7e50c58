"""Ollama's Modelfile: which GGUF, how a dialogue is written, what ends a reply, and how it is drawn."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edu_align.config.schema import GenerationConfig
from edu_align.exporting.dialogue_format import Format

NAME = "Modelfile"


def modelfile(
    gguf: str, found: Format | None, ends: Sequence[str], settings: GenerationConfig, system_prompt: str | None
) -> str:
    """The text of a Modelfile beside the file `gguf`.

    `ends` are the texts of the tokens that end a reply. Without a `found` format there is no TEMPLATE, and
    Ollama goes by the chat template inside the GGUF, as far as it recognises it.
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
    ]
    return "\n".join(lines) + "\n"


def write_modelfile(
    gguf: Path, tokenizer: Any, ends: Sequence[int], settings: GenerationConfig, system_prompt: str | None
) -> Format | None:
    """Write it beside `gguf` and return the format that was found for its TEMPLATE."""
    from edu_align.exporting.dialogue_format import find_format

    found = find_format(tokenizer)
    texts = tokenizer.convert_ids_to_tokens(list(ends))
    text = modelfile(gguf.name, found, texts, settings, system_prompt)
    gguf.with_name(NAME).write_text(text, encoding="utf-8")
    return found


def _quoted(text: str) -> str:
    """A text over several lines. Three quotes inside it would end it, so a space is put between or behind them."""
    inside = text.replace('"""', '"" "')
    return '"""' + inside + (" " if inside.endswith('"') else "") + '"""'
