"""Which chat template a model is used with: its own, Zephyr's or a file's, with its arguments and the date set in it.

Arguments and date are written into the template's text, so that they reach every rendering, here and elsewhere:

    {%- set enable_thinking = enable_thinking if enable_thinking is defined else False %}...

A template that writes today's date (`strftime_now`) is given that of the run's first start, so that a run trains and is
used on one text. What is saved has the arguments and no fixed date.
"""

import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from string import ascii_letters
from typing import Any

from edu_align.config.schema import TEMPLATE_FILE, ModelConfig
from edu_align.utils.errors import UserError
from edu_align.utils.files import read_json
from edu_align.utils.words import did_you_mean, listed

# The format of Zephyr-7B (Tunstall et al. 2023, arXiv:2310.16944): a role line, the text, the end-of-sequence token.
ZEPHYR_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>\n' + message['content'] + eos_token + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)
WORDS = ("auto", "own", "zephyr")
NOW = "strftime_now"
RESERVED = ("messages", "tools", "documents", "add_generation_prompt", NOW, "raise_exception")
# The macro that stands in for `strftime_now`, at the start of a template.
PINNED = re.compile(r"\{%- macro strftime_now\(format\) %\}\{\{ format\.rep.*? \}\}\{% endmacro %\}\n?", re.DOTALL)
DIRECTIVES = [f"%{flag}{letter}" for flag in ("-", "") for letter in ascii_letters]

Own = str | Mapping[str, str] | None  # a tokenizer's: one template, several by name, or none


def chosen_template(model: ModelConfig, own: Own) -> str:
    """The template of `model` with its arguments and date. Errors name `model.chat_template` or `model.template_args`.

    `own`: what the tokenizer brings.
    """
    text = with_arguments(_base(model, own), model.template_args)
    return with_date(text, date.fromisoformat(model.template_date) if model.template_date else date.today())


def check_choice(model: ModelConfig) -> None:
    """Errors: `model.chat_template` is no word and no file, or `model.template_date` no date."""
    if model.chat_template not in WORDS:
        _file(model.chat_template)
    if model.template_date is not None:
        try:
            date.fromisoformat(model.template_date)
        except ValueError:
            raise UserError(
                f"`model.template_date` must be a day like 2026-01-31, or null for that of the run's first start, got "
                f"{model.template_date!r}."
            ) from None


def _base(model: ModelConfig, own: Own) -> str:
    if model.chat_template not in WORDS:
        return _file(model.chat_template)
    if model.chat_template == "zephyr" or (model.chat_template == "auto" and not own):
        return ZEPHYR_TEMPLATE
    if not own:
        raise UserError(
            f"`model.chat_template=own`, but the tokenizer of model={model.name} has none. "
            "Use model.chat_template=zephyr, or model.chat_template=<file>.jinja."
        )
    if isinstance(own, str):
        return own
    if "default" in own:
        return own["default"]
    raise UserError(
        f"`model.chat_template={model.chat_template}`: the tokenizer has several templates ({listed(list(own))}) and "
        "none is called default. Save the one to use as a file and give model.chat_template=<file>.jinja, or use "
        "model.chat_template=zephyr."
    )


def _file(value: str) -> str:
    """The template in a file: the text of it, or what a .json file says under `chat_template`."""
    path = Path(value).expanduser()
    if not path.is_file():
        why = f"that is a folder: give {path / TEMPLATE_FILE}" if path.is_dir() else "there is no such file"
        raise UserError(
            f"`model.chat_template` must be {listed(WORDS)}, or a file with a Jinja template, got {value!r}, and "
            f"{why}.{did_you_mean(value, WORDS)}"
        )
    text: Any = _text(path, f"model.chat_template={value}", "utf-8-sig")
    if path.suffix == ".json":
        text = (read_json(path) or {}).get("chat_template")
    if not isinstance(text, str) or not text.strip():
        raise UserError(f"`model.chat_template={value}` holds no template. Give a file with a Jinja template.")
    return text


def _text(file: Path, what: str, encoding: str = "utf-8") -> str:
    try:
        return file.read_text(encoding=encoding)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"`{what}` cannot be read ({error}). Give a template in UTF-8.") from None


def with_arguments(template: str, arguments: Mapping[str, Any]) -> str:
    """The template with a value for each of the names, where its caller gives none.

    Errors: a name that a template cannot be given, or that this one does not read.
    """
    if not arguments:
        return template
    from edu_align.models.template_language import names_read

    read = names_read(template)
    for name in arguments:
        if not name.isidentifier() or name in RESERVED or name.endswith("_token"):
            raise UserError(f"`model.template_args`: {name!r} is no argument of a chat template. Leave it out.")
        if read is not None and name not in read:
            raise UserError(
                f"`model.template_args`: the chat template does not read {name!r}, so it would change nothing. Leave "
                "it out, or give the template that reads it (model.chat_template=<file>.jinja)."
                f"{did_you_mean(name, sorted(read - {*RESERVED}))}"
            )
    sets = [
        f"{{%- set {name} = {name} if {name} is defined else {value!r} %}}" for name, value in sorted(arguments.items())
    ]
    return _before(template, "".join(sets))


def writes_date(template: str) -> bool:
    return NOW in unpinned(template)


def with_date(template: str, day: date) -> str:
    """The template with `strftime_now` speaking of `day`; as it is where it does not write a date."""
    if not writes_date(template):
        return template
    replaced = "".join(f".replace('{each}', {day.strftime(each)!r})" for each in DIRECTIVES if each in template)
    macro = f"{{%- macro {NOW}(format) %}}{{{{ format{replaced}.replace('%%', '%') }}}}{{% endmacro %}}"
    return _before(unpinned(template), macro)


def unpinned(template: str) -> str:
    """The template without the date that `with_date` has put into it."""
    return PINNED.sub("", template, count=1) if template.startswith("{%- macro strftime_now") else template


def _before(template: str, start: str) -> str:
    """`start` before the template. A line break after a tag is part of the tag, so the template's own needs another."""
    return start + ("\n" if start and template.startswith("\n") else "") + template


def stored_template(folder: Path) -> Own:
    """The template in a tokenizer's folder, as transformers finds it; None without one.

    Errors: a file that is not UTF-8, or a `chat_template` of tokenizer_config.json that is none.
    """
    file = folder / TEMPLATE_FILE
    named = {path.stem: _text(path, str(path)) for path in folder.glob("additional_chat_templates/*.jinja")}
    if file.is_file():
        text = _text(file, str(file))
        return {"default": text, **named} if named else text
    found = (read_json(folder / "tokenizer_config.json") or {}).get("chat_template")
    try:
        if isinstance(found, list):
            return {**{str(each["name"]): str(each["template"]) for each in found}, **named}
    except (TypeError, KeyError):
        found = [found]
    if not isinstance(found, str | None):
        raise UserError(
            f"`chat_template` in {folder / 'tokenizer_config.json'} is no template. Mend it, or give "
            "model.chat_template=<file>.jinja and take it out."
        )
    return named or found
