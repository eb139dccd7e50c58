"""The byte tokenizer, and the template that a tokenizer is loaded with."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edu_align.models.chat_template import render
from edu_align.models.tokenizer import byte_tokenizer, load_tokenizer
from edu_align.records import Message
from edu_align.utils.errors import UserError

DIALOGUE = (
    Message("system", "Be kind."),
    Message("user", "½ + ⅓ = ⅖?"),
    Message("assistant", "Which is larger?"),
    Message("user", "½"),
    Message("assistant", "Yes — draw it.", train=True),
)
TEXT = (
    "<|system|>\nBe kind.</s>\n<|user|>\n½ + ⅓ = ⅖?</s>\n<|assistant|>\nWhich is larger?</s>\n"
    "<|user|>\n½</s>\n<|assistant|>\nYes — draw it.</s>\n"
)


BYTES = byte_tokenizer()


@settings(max_examples=50, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40).filter(lambda text: "<" not in text))
def test_bytes_come_back(text: str) -> None:
    ids = BYTES(text, add_special_tokens=False)["input_ids"]
    assert len(ids) == len(text.encode())
    assert BYTES.decode(ids) == text


def test_the_byte_tokenizer_has_260_tokens_and_four_of_control() -> None:
    assert len(BYTES) == 260
    control = (BYTES.unk_token_id, BYTES.bos_token_id, BYTES.eos_token_id, BYTES.pad_token_id)
    assert control == (0, 1, 2, 3)
    assert BYTES("</s>", add_special_tokens=False)["input_ids"] == [2]


def test_zephyr_template_to_the_letter(bytes_tokenizer: Any) -> None:
    assert render(bytes_tokenizer, DIALOGUE) == TEXT
    assert render(bytes_tokenizer, DIALOGUE[:2], reply_next=True) == (
        "<|system|>\nBe kind.</s>\n<|user|>\n½ + ⅓ = ⅖?</s>\n<|assistant|>\n"
    )


def test_what_cannot_be_loaded_is_named(typed: Any, tmp_path: Path) -> None:
    model = typed("trainer=sft").model
    model.tokenizer, empty = str(tmp_path), tmp_path
    with pytest.raises(UserError, match=r"no tokenizer can be loaded from .*model\.tokenizer=bytes"):
        load_tokenizer(model, None)
    model.tokenizer = None
    with pytest.raises(UserError, match=r"`model\.tokenizer` is null and model=tiny has no folder"):
        load_tokenizer(model, None)
    with pytest.raises(UserError, match="no tokenizer can be loaded"):
        load_tokenizer(model, empty)


def test_own_needs_a_template_and_auto_takes_one_or_falls_back(typed: Any, tmp_path: Path) -> None:
    model = typed("trainer=sft", "model.chat_template=auto").model
    assert render(load_tokenizer(model, None), DIALOGUE) == TEXT
    model.chat_template = "own"
    with pytest.raises(UserError, match=r"model\.chat_template=own.*Use model\.chat_template=zephyr"):
        load_tokenizer(model, None)

    saved = byte_tokenizer()
    saved.chat_template = "{% for m in messages %}{{ m['content'] }}|{% endfor %}"
    saved.pad_token = None
    saved.save_pretrained(tmp_path)
    model.chat_template, model.tokenizer = "auto", None
    loaded = load_tokenizer(model, tmp_path)
    assert render(loaded, DIALOGUE[:2]) == "Be kind.|½ + ⅓ = ⅖?|"
    assert loaded.pad_token == loaded.eos_token == "</s>"
    model.chat_template = "zephyr"
    assert render(load_tokenizer(model, tmp_path), DIALOGUE) == TEXT
