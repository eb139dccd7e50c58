"""GGUF files: what is written is what transformers reads back, for every architecture, format and tokenizer."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edu_align.config.schema import GGUF_TYPES
from edu_align.exporting.checks import TOLERANCE, compare, load_gguf, metadata, replies_of
from edu_align.exporting.gguf import (
    SPLITS,
    check_architecture,
    context_length,
    interleaved,
    tensor_name,
    vocabulary,
    write_gguf,
)
from edu_align.utils.errors import UserError

SHAPES: dict[str, dict[str, Any]] = {
    "llama": {},
    "mistral": {"sliding_window": 1024, "tie_word_embeddings": False},
    "qwen2": {"tie_word_embeddings": False},
    "qwen3": {},
}


@pytest.fixture
def written(random_model: Callable[..., Any], tmp_path: Path) -> Callable[..., tuple[Any, Path]]:
    """`written("llama", tokenizer, "f16")`: a random model, and its GGUF."""

    def build(kind: str, tokenizer: Any, number_format: str) -> tuple[Any, Path]:
        model = random_model(kind, vocab_size=400, **SHAPES[kind]).eval()
        _stir(model)
        model.save_pretrained(tmp_path / "model")
        file = tmp_path / "model.gguf"
        write_gguf(tmp_path / "model", tokenizer, file, number_format, "a tutor")
        return model, file

    return build


def _stir(model: Any) -> None:
    """Make weights larger, and biases and norms other than 0 and 1, which would hide one in a wrong place."""
    import torch

    torch.manual_seed(1)
    for parameter in model.parameters():
        parameter.data += torch.randn_like(parameter) * (0.3 if parameter.dim() == 1 else 0.1)


@pytest.mark.parametrize("kind", SHAPES)
def test_every_architecture_is_read_back_as_it_was(
    written: Callable[..., Any], byte_level: Callable[..., Any], kind: str
) -> None:
    tokenizer = byte_level()
    model, file = written(kind, tokenizer, "f32")
    found, read_back, pre = load_gguf(file, "float32")
    tutor = replies_of(model, tokenizer, None)
    agreement = compare(tutor, found)
    assert (agreement.same, pre) == (agreement.tokens, "gpt-2")
    assert agreement.distance < 1e-5
    text = "I added 3/4 and 1/4.\n\n\tÇa va? <think>x<|im_end|>"
    assert read_back(text)["input_ids"] == tokenizer(text)["input_ids"]
    assert read_back.chat_template == tokenizer.chat_template


@pytest.mark.parametrize("number_format", GGUF_TYPES)
def test_every_format_stays_within_its_tolerance(
    written: Callable[..., Any], byte_level: Callable[..., Any], number_format: str
) -> None:
    tokenizer = byte_level()
    model, file = written("mistral", tokenizer, number_format)
    agreement = compare(replies_of(model, tokenizer, None), load_gguf(file, "float32")[0])
    assert agreement.distance < TOLERANCE[number_format]
    assert (agreement.distance < 1e-5) == (number_format == "f32")


def test_a_wrong_order_of_rows_is_seen(
    written: Callable[..., Any], byte_level: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edu_align.exporting.gguf.interleaved", lambda weights, heads: weights)
    tokenizer = byte_level()
    model, file = written("llama", tokenizer, "f32")
    assert compare(replies_of(model, tokenizer, None), load_gguf(file, "float32")[0]).distance > TOLERANCE["f16"]


def test_rows_that_rotate_together_become_neighbours() -> None:
    import torch

    rows = torch.arange(12).view(12, 1)
    assert interleaved(rows, 2).flatten().tolist() == [0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11]


def test_metadata(written: Callable[..., Any], byte_level: Callable[..., Any]) -> None:
    tokenizer = byte_level()
    _, file = written("mistral", tokenizer, "q8_0")
    found = metadata(
        file, "general.architecture", "general.name", "llama.context_length", "llama.vocab_size",
        "llama.attention.head_count_kv", "tokenizer.ggml.eos_token_id", "tokenizer.ggml.padding_token_id",
        "tokenizer.ggml.add_bos_token", "tokenizer.chat_template", "tokenizer.ggml.bos_token_id",
    )  # fmt: skip
    assert found == {
        "general.architecture": "llama", "general.name": "a tutor", "llama.context_length": 1024,
        "llama.vocab_size": 400, "llama.attention.head_count_kv": 2, "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.padding_token_id": 0, "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": tokenizer.chat_template,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "extra", "expected"),
    [
        ("mistral", {"sliding_window": 64}, 64), ("mistral", {"sliding_window": None}, 512), ("llama", {}, 512),
        ("qwen2", {"sliding_window": 64, "use_sliding_window": False}, 512),
    ],
)  # fmt: skip
def test_the_context_ends_at_a_sliding_window_that_is_used(kind: str, extra: dict[str, Any], expected: int) -> None:
    from transformers import AutoConfig

    assert context_length(AutoConfig.for_model(kind, max_position_embeddings=512, **extra)) == expected


def test_pieces_are_read_back_with_the_same_merges(written: Callable[..., Any], pieces: Any) -> None:
    model, file = written("llama", pieces, "f32")
    found, read_back, pre = load_gguf(file, "float32")
    assert pre == "default"
    assert compare(replies_of(model, pieces, None), found).distance < 1e-5
    for text in ("What do you get when you add the two halves?", "Ça va? 7 x 8", "fifty-six times seven"):
        assert read_back(text, add_special_tokens=False)["input_ids"] == pieces(text)["input_ids"]


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ({"model_type": "gemma3_text"}, r"model type gemma3_text cannot be written, only llama, mistral, qwen2, qwen3"),
        ({"model_type": "llama", "rope_parameters": {"rope_type": "llama3"}}, r"rotary positions of type llama3"),
        ({"model_type": "mistral", "rope_scaling": {"type": "linear"}}, r"rotary positions of type linear"),
        ({"model_type": "llama", "attention_bias": True}, r"a llama model with biases"),
        ({"model_type": "llama", "mlp_bias": True}, r"a llama model with biases"),
    ],
)
def test_other_models_are_refused_by_name(shape: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message + r".*\. Set export\.converter="):
        check_architecture(shape)


def test_names_of_tensors() -> None:
    assert tensor_name("model.layers.12.self_attn.o_proj.weight") == "blk.12.attn_output.weight"
    assert tensor_name("model.layers.0.self_attn.q_proj.bias") == "blk.0.attn_q.bias"
    assert tensor_name("model.norm.weight") == "output_norm.weight"
    for name in ("model.layers.0.self_attn.q_proj.lora_A.weight", "model.embed_positions.weight", "lm_head.scale"):
        with pytest.raises(UserError, match=r"llama\.cpp has no place for the tensor"):
            tensor_name(name)


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
