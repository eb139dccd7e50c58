"""Tokenizers as GGUF describes them: tokens, types, merges or scores, and the name of how text is split."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from edu_align.errors import UserError
from edu_align.exporting.gguf import SPLITS, vocabulary


def test_byte_level_vocabulary(byte_level: Callable[..., Any]) -> None:
    tokenizer = byte_level()
    words = vocabulary(tokenizer, 340)
    size = len(tokenizer)
    assert (words.kind, words.pre, words.scores) == ("gpt2", "gpt-2", None)
    assert words.tokens[:3] == ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    assert words.types[:3] == [3, 3, 3]
    assert (words.tokens[size - 1], words.types[size - 1]) == ("<think>", 4)
    assert words.tokens[size:] == [f"[PAD{i}]" for i in range(size, 340)]
    assert set(words.types[size:]) == {5}
    assert set(words.types[3 : size - 1]) == {1}
    assert words.merges
    assert all(merge.count(" ") == 1 for merge in words.merges)
    with pytest.raises(UserError, match=rf"has {size} tokens and the model only 300 rows"):
        vocabulary(tokenizer, 300)


def test_vocabulary_of_pieces(pieces: Any) -> None:
    words = vocabulary(pieces, 380)
    assert (words.kind, words.pre, words.merges, words.space_prefix) == ("llama", "default", [], True)
    assert words.types[:3] == [2, 3, 3]
    assert set(words.types[3:259]) == {6}
    assert words.scores is not None
    made = json.loads(pieces.backend_tokenizer.to_str())["model"]["merges"]
    order = [words.scores[words.tokens.index("".join(merge))] for merge in made]
    assert order == sorted(order, reverse=True)
    assert order[0] == 0.0


def test_names_of_the_ways_to_split_text(byte_level: Callable[..., Any]) -> None:
    from tokenizers import Regex, pre_tokenizers

    plain = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    digits = pre_tokenizers.Digits(individual_digits=True)
    split = pre_tokenizers.ByteLevel(add_prefix_space=False)
    assert vocabulary(byte_level(pre_tokenizers.Sequence([digits, split])), 400).pre == "smollm"
    for pattern, name in SPLITS.items():
        steps = [pre_tokenizers.Split(Regex(pattern), behavior="isolated"), plain]
        assert vocabulary(byte_level(pre_tokenizers.Sequence(steps)), 400).pre == name
    for other in (
        [pre_tokenizers.Split(Regex(r"\d"), behavior="isolated"), plain],
        [pre_tokenizers.Whitespace(), split],
    ):
        with pytest.raises(UserError, match=r"splits text by .* and ByteLevel in a way that is not known"):
            vocabulary(byte_level(pre_tokenizers.Sequence(other)), 400)


def test_the_patterns_are_those_that_transformers_reads_the_names_as() -> None:
    from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS

    assert {name: pattern for pattern, name in SPLITS.items()} == {
        name: GGUF_PRE_TOKENIZER_SPLITS[name] for name in SPLITS.values()
    }


def test_a_tokenizer_that_is_no_bpe_is_refused() -> None:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"a": 0}, unk_token="a")))
    with pytest.raises(UserError, match=r"the tokenizer is a WordLevel, and only BPE"):
        vocabulary(words, 10)
