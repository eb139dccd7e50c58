"""What ends a reply, and who draws it: the template and the keys of `generation`, not what a folder adds."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edu_align.config.schema import GenerationConfig
from edu_align.models import generation as defaults
from edu_align.models.answers import replies
from edu_align.models.generation import sampling_config
from edu_align.models.reply_end import end_tokens, turn_end
from edu_align.records import Message
from tests.models.conftest import CHATML, Own

PROMPT = (Message("user", "7 x 8?"),)
ENDS = ("<|im_start|>", "<|im_end|>", "<|eot|>")


@pytest.fixture
def loaded(config_for: Any) -> Callable[[Path], tuple[Any, Any]]:
    """`loaded(folder)`: model and tokenizer as every program loads them."""

    def load(folder: Path) -> tuple[Any, Any]:
        from edu_align.models.device import Device
        from edu_align.models.locate import locate
        from edu_align.models.tokenizer import load_tokenizer
        from edu_align.models.weights import load_model

        config = config_for(folder).model
        device = Device("cpu", "float32", "sdpa", "none", ())
        return load_model(config, locate(config, folder, 0), device, 0, False), load_tokenizer(config, folder)

    return load


TEMPLATES = [
    (CHATML, 261),
    ("{% for m in messages %}{{ m['role'] + ': ' + m['content'] + ' ' + eos_token }}{% endfor %}", 2),
    ("{% for m in messages %}{{ m['content'] + '\n### end\n<|eot|></s>' }}{% endfor %}", 262),
    ("{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}", None),
    ("{{ raise_exception('never') }}", None),
]


@pytest.mark.cases("B8")
@pytest.mark.parametrize(("template", "expected"), TEMPLATES)
def test_the_first_control_token_after_a_reply_ends_it(own: Own, loaded: Any, template: str, expected: Any) -> None:
    model, tokenizer = loaded(own(template, ENDS, generation={"eos_token_id": [2, 3]}))
    assert turn_end(tokenizer) == expected
    assert end_tokens(model, tokenizer) == list(dict.fromkeys([2, expected or 2, 3]))
    assert sampling_config(GenerationConfig(), tokenizer, model).eos_token_id == end_tokens(model, tokenizer)


@pytest.mark.cases("B8")
@pytest.mark.parametrize("special", [True, False])
def test_nothing_is_written_after_the_end_of_a_turn(own: Own, loaded: Any, special: bool) -> None:
    """Whether the tokenizer calls the token special or not; chat shows the same text as `replies` returns."""
    from threading import Lock

    from edu_align.chatting.model import ChatModel, stream

    folder = own(CHATML, ENDS)
    if not special:
        file = folder / "tokenizer.json"
        content = json.loads(file.read_text())
        content["added_tokens"][-2]["special"] = False
        assert content["added_tokens"][-2]["content"] == "<|im_end|>"
        file.write_text(json.dumps(content))
        settings = json.loads((folder / "tokenizer_config.json").read_text())
        settings.pop("extra_special_tokens", None)
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    model, tokenizer = loaded(folder)
    begin = says(model, tokenizer, "Why?<|im_end|>\n<|im_start|>user\nBecause<|im_end|>")
    settings = GenerationConfig(max_new_tokens=40)
    assert replies(model, tokenizer, [PROMPT], settings) == ["Why?"]
    chat_model = ChatModel("own", "base", model, tokenizer, None, settings, None, 2048, 1, None, Lock())
    begin()
    assert "".join(stream(chat_model, PROMPT)) == "Why?"


def says(model: Any, tokenizer: Any, text: str) -> Callable[[], None]:
    """Make the model's head write `text` after any prompt; what is returned begins it again."""
    import torch

    ids = [*tokenizer(text, add_special_tokens=False)["input_ids"], *([tokenizer.eos_token_id] * 99)]
    left = list(ids)

    def scripted(head: Any, given: Any, logits: Any) -> Any:
        logits = torch.full_like(logits, -9.0)
        logits[..., -1, left.pop(0)] = 9.0
        return logits

    def begin() -> None:
        left[:] = ids

    model.get_output_embeddings().register_forward_hook(scripted)
    return begin


FOLDER = {
    "no_repeat_ngram_size": 1, "suppress_tokens": list(range(4, 200)), "bad_words_ids": [[7]], "min_p": 0.9,
    "typical_p": 0.2, "epsilon_cutoff": 0.5, "repetition_penalty": 2.0, "do_sample": True, "temperature": 3.0,
    "num_beams": 4, "forced_eos_token_id": 9, "begin_suppress_tokens": [60], "exponential_decay_length_penalty": [1, 9],
    "sequence_bias": [[[5], 99.0]], "min_new_tokens": 3, "stop_strings": ["a"], "made_up": {"of": 1},
}  # fmt: skip


@pytest.mark.cases("B13")
@pytest.mark.parametrize("place", ["generation_config.json", "config.json"])
def test_a_reply_is_drawn_by_our_keys_alone(
    own: Own, loaded: Any, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """And what the folder would have added is said once, by name."""
    defaults._said.clear()
    plain = own()
    expected = replies(*loaded(plain), [PROMPT], GenerationConfig(max_new_tokens=8))
    assert "would have replies drawn" not in capsys.readouterr().out
    known = {key: value for key, value in FOLDER.items() if key != "made_up"}
    if place == "config.json":
        folder = own(name="old")
        content = json.loads((folder / place).read_text())
        (folder / place).write_text(json.dumps(content | known))
    else:
        folder = own(name="new", generation=FOLDER)
    for _ in range(2):
        assert replies(*loaded(folder), [PROMPT], GenerationConfig(max_new_tokens=8)) == expected
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "would have replies drawn" in line]
    named = FOLDER if place == "generation_config.json" else known
    assert [key for key in named if f"{key}=" not in line] == []


@pytest.mark.cases("B13")
@pytest.mark.parametrize("broken", ["{no", "[1]", '{"temperature": "hot", "eos_token_id": "</s>"}', '{"min_p": 9}'])
def test_a_broken_file_of_defaults_stops_nothing(own: Own, loaded: Any, broken: str) -> None:
    model, tokenizer = loaded(own(generation=broken))
    assert end_tokens(model, tokenizer) == [2]
    assert replies(model, tokenizer, [PROMPT], GenerationConfig(max_new_tokens=2))


def test_settings_that_change_nothing_are_not_named() -> None:
    usual = {
        "temperature": 1.0, "top_p": 1.0, "top_k": 50, "num_beams": 1, "bos_token_id": 1, "eos_token_id": [2, 3],
        "do_sample": False, "min_p": None, "max_length": 4096, "no_repeat_ngram_size": 0, "transformers_version": "4",
        "_from_model_config": True, "use_cache": True, "length_penalty": 1.0, "bad_words_ids": [],
    }  # fmt: skip
    assert defaults.unused(usual) == []
    assert defaults.unused({"no_repeat_ngram_size": 1, "do_sample": True}) == [
        "do_sample=true",
        "no_repeat_ngram_size=1",
    ]


def test_ids_of_a_class_are_of_no_model(own: Own, loaded: Any) -> None:
    """transformers' own Llama ends with id 2, which is any token of this vocabulary."""
    folder = own(generation={"_from_model_config": True, "eos_token_id": 70})
    assert end_tokens(*loaded(folder)) == [2]
