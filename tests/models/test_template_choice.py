"""Which template is used, and its arguments and date inside it."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from edu_align.models.chat_template import chat_ids, render
from edu_align.models.template_choice import (
    ZEPHYR_TEMPLATE,
    check_choice,
    chosen_template,
    stored_template,
    unpinned,
    with_arguments,
    with_date,
)
from edu_align.models.tokenizer import byte_tokenizer, load_tokenizer
from edu_align.records import Message
from edu_align.utils.errors import UserError

ASK = (Message("user", "Why?"),)
DAY = date(2024, 2, 5)


def shown(template: str, **given: Any) -> str:
    chat = byte_tokenizer()
    text: str = chat.apply_chat_template(
        [{"role": turn.role, "content": turn.content} for turn in ASK], chat_template=template, tokenize=False, **given
    )
    return text


@pytest.mark.parametrize("value", [False, None, 3, 0.5, 'it\'s "x" \\ \n é', ["a", {"b": True}]])
@pytest.mark.parametrize("start", ["", "\n", "  \n"])
def test_an_argument_is_what_its_caller_would_give(value: Any, start: str) -> None:
    template = start + "{{ mode is defined }} {% if mode %}yes{% endif %} {{ mode | tojson }}{{ messages[0].content }}"
    given = with_arguments(template, {"mode": value})
    assert shown(given) == shown(template, mode=value)
    assert shown(given, mode="other") == shown(template, mode="other"), "who renders it may still say otherwise"
    assert with_arguments(template, {}) == template


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("enable_thinkin", r"does not read 'enable_thinkin'.*Did you mean `enable_thinking`"),
        ("turn", "does not read 'turn'"),  # a name of the template's own
        ("if", "does not read 'if'"),
        ("messages", "'messages' is no argument"),
        ("bos_token", "'bos_token' is no argument"),
        ("a-b", "'a-b' is no argument"),
    ],
)
def test_an_argument_without_effect_is_refused(name: str, message: str) -> None:
    with pytest.raises(UserError, match=rf"`model\.template_args`: .*{message}|{message}"):
        with_arguments(
            "{% if enable_thinking %}{% endif %}{% for turn in messages %}{{ turn }}{% endfor %}{{ bos_token }}",
            {name: True},
        )


@pytest.mark.cases("B7")
@pytest.mark.parametrize("form", ["%d %B %Y", "%Y-%m-%d", "%-d.%-m.%y", "%A %j", "100%%", "%H:%M:%S", "%b %e"])
@pytest.mark.parametrize("start", ["", "\n"])
def test_a_date_is_that_of_the_day_given(form: str, start: str) -> None:
    written = "{% if strftime_now is defined %}{{ strftime_now('" + form + "') }}{% endif %}"
    template = f"{start}{written}: {{{{ messages[0].content }}}}"
    fixed = with_date(template, DAY)
    assert shown(fixed) == f"{start}{DAY.strftime(form)}: Why?"
    assert unpinned(fixed) == template
    assert with_date(fixed, date(2025, 1, 1)) == with_date(template, date(2025, 1, 1))
    assert with_date(ZEPHYR_TEMPLATE, DAY) == unpinned(ZEPHYR_TEMPLATE) == ZEPHYR_TEMPLATE


@pytest.mark.cases("B7")
def test_a_date_inside_macros_and_blocks(bytes_tokenizer: Any) -> None:
    template = (
        "{% macro today() %}{{ strftime_now('%Y') }}{% endmacro %}{% set ns = namespace(d='') %}"
        "{% for m in messages %}{% set ns.d = strftime_now('%d') %}{% generation %}{{ today() }}{% endgeneration %}"
        "{% endfor %}{{ ns.d }}"
    )
    assert shown(with_date(template, DAY)) == "202405"


def test_a_file_is_a_template(typed: Callable[..., Any], tmp_path: Path) -> None:
    file = tmp_path / "mine (1).jinja"
    file.write_text("{% for m in messages %}{{ m.content }}{{ ending }}{% endfor %}")
    model = typed("trainer=sft").model
    model.chat_template, model.template_args = str(file), {"ending": "!"}
    check_choice(model)
    chat = load_tokenizer(model, None)
    assert render(chat, ASK) == "Why?!"
    model.template_args = {"ending": "?"}
    assert chat_ids(load_tokenizer(model, None), ASK) != chat_ids(chat, ASK)


@pytest.mark.parametrize(
    ("choice", "day", "message"),
    [
        ("zephir", None, r"must be auto \| own \| zephyr, or a file.*got 'zephir'.*Did you mean `zephyr`"),
        ("no/such.jinja", None, r"got 'no/such\.jinja', and there is no such file"),
        ("auto", "yesterday", r"`model\.template_date` must be a day like 2026-01-31.*got 'yesterday'"),
    ],
)
def test_a_wrong_choice_is_said_before_anything_is_read(typed: Any, choice: str, day: Any, message: str) -> None:
    model = typed("trainer=sft").model
    model.chat_template, model.template_date = choice, day
    with pytest.raises(UserError, match=message):
        check_choice(model)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.jinja", b"\xef\xbb\xbf{{ messages[0].content }}", "{{ messages[0].content }}"),
        ("tokenizer_config.json", b'{"chat_template": "{{ messages }}"}', "{{ messages }}"),
        ("a.jinja", b" \n", "holds no template"),
        ("tokenizer.json", b'{"model": {}}', "holds no template"),
        ("a.jinja", b"{# caf\xe9 #}", "cannot be read .*UTF-8"),
    ],
)
def test_a_file_of_any_kind(typed: Any, tmp_path: Path, name: str, content: bytes, expected: str) -> None:
    """Without its byte order mark; a JSON file that transformers writes is not taken for Jinja."""
    model = typed("trainer=sft").model
    model.chat_template = str(tmp_path / name)
    (tmp_path / name).write_bytes(content)
    if expected.startswith("{{"):
        assert chosen_template(model, None) == expected
        return
    with pytest.raises(UserError, match=expected):
        check_choice(model)


def test_a_folder_is_no_template(typed: Any, tmp_path: Path) -> None:
    model = typed("trainer=sft").model
    model.chat_template = str(tmp_path)
    with pytest.raises(UserError, match=r"that is a folder: give .*chat_template\.jinja"):
        check_choice(model)


@pytest.mark.cases("B9")
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("chat_template.jinja", b"{# caf\xe9 #}"),
        ("tokenizer_config.json", b'{"chat_template": 42}'),
        ("tokenizer_config.json", b'{"chat_template": [{"name": "default"}]}'),
    ],
)
def test_a_stored_template_that_is_none(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=f"{name}.*(is no template|cannot be read)"):
        stored_template(tmp_path)


@pytest.mark.cases("B9")
def test_templates_by_name(typed: Any, tmp_path: Path) -> None:
    """As transformers saves them: the one called default, or the names."""
    model, chat = typed("trainer=sft", "model.chat_template=auto").model, byte_tokenizer()
    model.tokenizer = str(tmp_path)
    chat.chat_template = {"default": "{{ messages[0].content }}.", "tool_use": "tools"}
    chat.save_pretrained(tmp_path)
    assert stored_template(tmp_path) == chat.chat_template
    assert render(load_tokenizer(model, None), ASK) == "Why?."
    with pytest.raises(UserError, match=r"several templates \(rag \| tool_use\) and none is called default"):
        chosen_template(model, {"rag": "r", "tool_use": "t"})


@pytest.mark.parametrize("old", [False, True], ids=["a file", "in tokenizer_config.json"])
def test_the_template_is_found_without_loading(tmp_path: Path, old: bool) -> None:
    chat = byte_tokenizer()
    chat.chat_template = "{{ messages[0].content }}\nß"
    chat.save_pretrained(tmp_path, save_jinja_files=not old)
    assert (tmp_path / "chat_template.jinja").is_file() != old
    assert stored_template(tmp_path) == chat.chat_template
