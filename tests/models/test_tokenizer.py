"""The byte tokenizer, and the template that a tokenizer is loaded with."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edu_align.models import tokenizer as module
from edu_align.models.chat_template import render
from edu_align.models.locate import Location
from edu_align.models.tokenizer import byte_tokenizer, load_tokenizer, tokenizer_identity
from edu_align.records import Message
from edu_align.runs.identity import settings_of
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


@pytest.fixture
def identity(typed: Any, tmp_path: Path) -> Callable[..., dict[str, str]]:
    """`identity(*overrides)`: that of a tokenizer, of a base in the folder tmp_path/base."""

    def read(*overrides: str, base: str = "folder:base:x") -> dict[str, str]:
        model = typed("trainer=sft", f"model.path={tmp_path / 'base'}", *overrides).model
        return tokenizer_identity(model, Location(tmp_path / "base", base))

    return read


@pytest.mark.cases("D1")
def test_a_tokenizers_folder_is_known_by_the_files_that_are_read(
    identity: Callable[..., dict[str, str]], tmp_path: Path
) -> None:
    """Whatever library wrote them; where it lies, its template, a README and the model's own files do not count."""
    own = tmp_path / "own"
    BYTES.save_pretrained(own)
    one = identity(f"model.tokenizer={own}")
    shutil.copytree(own, tmp_path / "copied")
    assert identity(f"model.tokenizer={tmp_path / 'copied'}") == one
    assert identity(f"model.tokenizer={own}", base="bundled:file") == one, "beside the bundled weights too"
    seen = [one]
    for name in ("README.md", "config.json", "generation_config.json", "model.safetensors"):
        (own / name).write_bytes(b"{}")
    assert identity(f"model.tokenizer={own}") == one
    for name in ("vocab.json", "vocab.txt", "merges.txt", "spiece.model", "tokenizer.json", "special_tokens_map.json"):
        with (own / name).open("ab") as file:
            file.write(b" ")
        new = identity(f"model.tokenizer={own}")
        assert new not in seen, name
        seen.append(new)
    settings = json.loads((own / "tokenizer_config.json").read_text())
    (own / "tokenizer_config.json").write_text(json.dumps({**settings, "add_bos_token": True}))
    assert identity(f"model.tokenizer={own}") not in seen


@pytest.mark.cases("D1")
def test_where_a_tokenizers_folder_lies_is_not_part_of_a_runs_id(typed: Any, tmp_path: Path) -> None:
    settings = [
        settings_of(asdict(typed("trainer=sft", f"model.tokenizer={path}")))["model.tokenizer"]
        for path in (tmp_path, tmp_path.parent, "owner/name", "bytes")
    ]
    assert settings == ["a folder", "a folder", "owner/name", "bytes"]


@pytest.mark.cases("D1")
def test_a_tokenizer_of_the_hub_is_known_by_its_cached_files_and_loaded_from_them(
    identity: Callable[..., dict[str, str]], typed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    there = tmp_path / "hub" / "models--owner--words"
    (there / "refs").mkdir(parents=True)
    (there / "refs" / "main").write_text("c" * 40)
    (there / "snapshots" / ("c" * 40)).mkdir(parents=True)
    module._fetched.cache_clear()
    assert "tokenizer" not in identity("model.tokenizer=owner/words"), "neither there nor within reach"
    module._fetched.cache_clear()
    BYTES.save_pretrained(there / "snapshots" / ("c" * 40))
    one = identity("model.tokenizer=owner/words")
    assert one == identity(f"model.tokenizer={there / 'snapshots' / ('c' * 40)}")
    tokenizer = load_tokenizer(typed("trainer=sft", "model.tokenizer=owner/words").model, None)
    assert tokenizer.get_vocab() == BYTES.get_vocab()
    assert "the tokenizer owner/words is what its branch main held when it was downloaded" in capsys.readouterr().out
    module._fetched.cache_clear()
