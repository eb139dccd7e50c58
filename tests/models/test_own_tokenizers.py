"""Tokenizers as people have them: read as their file says, or refused in one message before weights are loaded."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edu_align.models.content import SEAL
from edu_align.models.template_choice import ZEPHYR_TEMPLATE
from edu_align.models.tokenizer import load_tokenizer
from edu_align.planning.workload import lengths_of
from edu_align.utils.errors import UserError
from tests.models.conftest import CHATML, Own

TEXT = "12345 + 678 = 13023, dit-elle  à 9 h."


@pytest.fixture
def loaded(config_for: Callable[..., Any]) -> Callable[..., Any]:
    """`loaded(folder, chat_template="zephyr")`: its tokenizer as every program loads it."""
    return lambda folder, **keys: load_tokenizer(config_for(folder, **keys).model, folder)


def threes(rules: dict[str, Any]) -> None:
    """Numbers are cut in threes, and two of the pieces are tokens."""
    size = len(rules["model"]["vocab"])
    rules["model"]["vocab"] |= {"12": size, "123": size + 1}
    rules["model"]["merges"] = [["1", "2"], ["12", "3"]]
    rules["pre_tokenizer"] = {
        "type": "Sequence",
        "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": r"\p{N}{1,3}"}, "behavior": "Isolated", "invert": False},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False},
        ],
    }


@pytest.mark.cases("B14")
@pytest.mark.parametrize(
    ("kind", "named"), [("qwen2", None), ("qwen2", "PreTrainedTokenizerFast"), ("qwen3", "Qwen2TokenizerFast")]
)
def test_text_is_cut_as_the_file_says(
    own: Own, kind: str, named: str | None, capsys: pytest.CaptureFixture[str], config_for: Any, loaded: Any
) -> None:
    from tokenizers import Tokenizer

    folder = own(CHATML, rules=threes, kind=kind, tokenizer={"tokenizer_class": named} if named else None)
    expected = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(TEXT, add_special_tokens=False).ids
    tokenizer = loaded(folder)
    assert tokenizer(TEXT, add_special_tokens=False)["input_ids"] == expected
    assert (tokenizer.eos_token, tokenizer.pad_token, tokenizer.chat_template) == ("</s>", "<pad>", CHATML)
    assert "text is read as tokenizer.json of" in capsys.readouterr().out
    (folder / SEAL).touch()  # as in a folder that was made here of a GGUF
    loaded(folder)
    assert "text is read" not in capsys.readouterr().out
    assert lengths_of(config_for(folder)).text(TEXT) == len(expected)


@pytest.mark.cases("B14")
def test_a_class_that_agrees_with_its_file_is_not_mentioned(
    own: Own, capsys: pytest.CaptureFixture[str], loaded: Any
) -> None:
    loaded(own(CHATML))
    assert capsys.readouterr().out == ""


def padded(rules: dict[str, Any]) -> None:
    rules["padding"] = {
        "strategy": {"Fixed": 256}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 3, "pad_type_id": 0,
        "pad_token": "<pad>",
    }  # fmt: skip


def cut(rules: dict[str, Any]) -> None:
    rules["truncation"] = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}


@pytest.mark.cases("B3")
@pytest.mark.parametrize("left_on", [padded, cut])
def test_padding_and_truncation_that_were_left_on_are_off(
    own: Own, left_on: Callable[..., None], config_for: Any, loaded: Any
) -> None:
    folder = own(CHATML, rules=left_on)
    size = len(TEXT.encode())
    assert len(loaded(folder)(TEXT, add_special_tokens=False)["input_ids"]) == size
    counted = lengths_of(config_for(folder))
    assert (counted.text(TEXT), counted.source) == (size, "tokens counted")


@pytest.mark.cases("B3")
def test_a_plan_counts_with_the_tokenizer_that_training_reads(own: Own, tmp_path: Path, config_for: Any) -> None:
    """A tokenizer that is somewhere else is not replaced by the model's own."""
    folder = own(CHATML)
    assert "estimated" in lengths_of(config_for(folder, tokenizer="made-up/none-such")).source
    (folder / "tokenizer.json").write_text("{")
    assert "estimated" in lengths_of(config_for(folder)).source


REFUSED = [
    ({"tokenizer": {"eos_token": None, "pad_token": None}}, r"names no end token.*\"eos_token\""),
    ({"add": tuple(f"<|{i}|>" for i in range(9))}, r"tokens up to number 268, .* only 264 rows, so '<\|4\|>'.*resize_"),
    ({"tokenizer": {"pad_token": "<|made up|>"}, "add": ("<|a|>",) * 1 + ("<|b|>", "<|c|>", "<|d|>")}, "'<|made up|>'"),
    (
        {"tokenizer": {"chat_template": [{"name": "a", "template": CHATML}, {"name": "b", "template": CHATML}]}},
        r"has several templates .a . b. and none is called default",
    ),
]


@pytest.mark.cases("B9")
@pytest.mark.parametrize(("changes", "message"), REFUSED)
def test_a_tokenizer_that_cannot_be_used_is_refused(
    own: Own, changes: dict[str, Any], message: str, loaded: Any
) -> None:
    with pytest.raises(UserError, match=message):
        loaded(own(**changes))


@pytest.mark.cases("B9")
def test_what_a_refusal_advises_works(own: Own, loaded: Any) -> None:
    named = [{"name": "a", "template": "A"}, {"name": "b", "template": CHATML}]
    folder = own(tokenizer={"chat_template": named})
    assert loaded(folder, chat_template="zephyr").chat_template == ZEPHYR_TEMPLATE
    (folder / "chat_template.jinja").write_text(CHATML)
    assert loaded(folder).chat_template == CHATML
    folder = own(tokenizer={"chat_template": [*named, {"name": "default", "template": "D"}]}, name="default")
    assert loaded(folder).chat_template == "D"
    folder = own(tokenizer={"eos_token": None, "pad_token": None}, name="endless")
    assert loaded(folder, tokenizer="bytes").pad_token == "<pad>"
    assert loaded(own(CHATML, tokenizer={"pad_token": None}, name="unpadded")).pad_token == "</s>"
    wide = own(add=tuple(f"<|{i}|>" for i in range(9)), name="wide")
    content = json.loads((wide / "config.json").read_text())
    (wide / "config.json").write_text(json.dumps({"text_config": {**content, "vocab_size": 269}}))
    assert len(loaded(wide)) == 269
