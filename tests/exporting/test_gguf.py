"""GGUF files: what is written is what transformers reads back, for every architecture, format and tokenizer."""

import json
from pathlib import Path
from typing import Any

import pytest

from edu_align.exporting import gguf
from edu_align.exporting.checks import TOLERANCE, Agreement, compare, load_gguf, metadata, replies_of
from edu_align.utils.errors import UserError
from tests.exporting.conftest import Make

SHAPES: dict[str, dict[str, Any]] = {
    "llama": {},
    "mistral": {"sliding_window": 1024, "tie_word_embeddings": False},
    "qwen2": {"tie_word_embeddings": False},
    "qwen3": {},
}


@pytest.fixture
def written(random_model: Make, tmp_path: Path) -> Make:
    """`written("llama", tokenizer, "f16")`: the GGUF of a random model, how well it agrees, and its own tokenizer.

    Weights are made larger, and biases and norms other than 0 and 1, which would hide one in a wrong place.
    """
    import torch

    def build(kind: str, tokenizer: Any, number_format: str) -> tuple[Path, Agreement, Any, str]:
        model = random_model(kind, vocab_size=400, **SHAPES[kind]).eval()
        torch.manual_seed(1)
        for parameter in model.parameters():
            parameter.data += torch.randn_like(parameter) * (0.3 if parameter.dim() == 1 else 0.1)
        model.save_pretrained(tmp_path / "model")
        file = tmp_path / "model.gguf"
        gguf.write_gguf(tmp_path / "model", tokenizer, file, number_format, "a tutor")
        found, read_back, pre = load_gguf(file, "float32")
        return file, compare(replies_of(model, tokenizer, None), found), read_back, pre

    return build


@pytest.mark.parametrize("kind", SHAPES)
def test_every_architecture_is_read_back_as_it_was(written: Make, byte_level: Make, kind: str) -> None:
    tokenizer = byte_level()
    _, agreement, read_back, pre = written(kind, tokenizer, "f32")
    assert (agreement.same, pre) == (agreement.tokens, "gpt-2")
    assert agreement.distance < 1e-5
    text = "I added 3/4 and 1/4.\n\n\tÇa va? <think>x<|im_end|>"
    assert read_back(text)["input_ids"] == tokenizer(text)["input_ids"]
    assert read_back.chat_template == tokenizer.chat_template


@pytest.mark.parametrize("number_format", ["f32", "f16", "bf16", "q8_0"])
def test_every_format_stays_within_its_tolerance(written: Make, byte_level: Make, number_format: str) -> None:
    distance = written("mistral", byte_level(), number_format)[1].distance
    assert distance < TOLERANCE[number_format]
    assert (distance < 1e-5) == (number_format == "f32")


def test_a_wrong_order_of_rows_is_seen(written: Make, byte_level: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edu_align.exporting.gguf.interleaved", lambda weights, heads: weights)
    assert written("llama", byte_level(), "f32")[1].distance > TOLERANCE["f16"]


def test_rows_that_rotate_together_become_neighbours() -> None:
    import torch

    rows = torch.arange(12).view(12, 1)
    assert gguf.interleaved(rows, 2).flatten().tolist() == [0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11]


def test_metadata(written: Make, byte_level: Make) -> None:
    tokenizer = byte_level()
    expected = {
        "general.architecture": "llama", "general.name": "a tutor", "llama.context_length": 1024,
        "llama.vocab_size": 400, "llama.attention.head_count_kv": 2, "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.padding_token_id": 0, "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": tokenizer.chat_template,
    }  # fmt: skip
    file = written("mistral", tokenizer, "q8_0")[0]
    assert metadata(file, *expected, "tokenizer.ggml.bos_token_id") == expected


@pytest.mark.parametrize(
    ("kind", "extra", "expected"),
    [
        ("mistral", {"sliding_window": 64}, 64), ("mistral", {"sliding_window": None}, 512), ("llama", {}, 512),
        ("qwen2", {"sliding_window": 64, "use_sliding_window": False}, 512),
    ],
)  # fmt: skip
def test_the_context_ends_at_a_sliding_window_that_is_used(kind: str, extra: dict[str, Any], expected: int) -> None:
    from transformers import AutoConfig

    assert gguf.context_length(AutoConfig.for_model(kind, max_position_embeddings=512, **extra)) == expected


def test_pieces_are_read_back_with_the_same_merges(written: Make, pieces: Any) -> None:
    _, agreement, read_back, pre = written("llama", pieces, "f32")
    assert pre == "default"
    assert agreement.distance < 1e-5
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
        gguf.check_architecture(shape)


def test_names_of_tensors() -> None:
    assert gguf.tensor_name("model.layers.12.self_attn.o_proj.weight") == "blk.12.attn_output.weight"
    assert gguf.tensor_name("model.layers.0.self_attn.q_proj.bias") == "blk.0.attn_q.bias"
    assert gguf.tensor_name("model.norm.weight") == "output_norm.weight"
    for name in ("model.layers.0.self_attn.q_proj.lora_A.weight", "model.embed_positions.weight", "lm_head.scale"):
        with pytest.raises(UserError, match=r"llama\.cpp has no place for the tensor"):
            gguf.tensor_name(name)


def test_byte_level_vocabulary(byte_level: Make) -> None:
    tokenizer = byte_level()
    words = gguf.vocabulary(tokenizer, 340)
    size = len(tokenizer)
    assert (words.kind, words.pre, words.scores) == ("gpt2", "gpt-2", None)
    assert words.tokens[:3] == ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    assert words.tokens[size - 1 :] == ["<think>", *(f"[PAD{i}]" for i in range(size, 340))]
    assert words.types == [3] * 3 + [1] * (size - 4) + [4] + [5] * (340 - size)
    assert words.merges
    assert all(merge.count(" ") == 1 for merge in words.merges)
    with pytest.raises(UserError, match=rf"has {size} tokens and the model only 300 rows"):
        gguf.vocabulary(tokenizer, 300)


def test_vocabulary_of_pieces(pieces: Any) -> None:
    words = gguf.vocabulary(pieces, 380)
    assert (words.kind, words.pre, words.merges, words.space_prefix) == ("llama", "default", [], True)
    assert words.types[:3] == [2, 3, 3]
    assert set(words.types[3:259]) == {6}
    assert words.scores is not None
    made = json.loads(pieces.backend_tokenizer.to_str())["model"]["merges"]
    order = [words.scores[words.tokens.index("".join(merge))] for merge in made]
    assert order == sorted(order, reverse=True)
    assert order[0] == 0.0


def test_names_of_the_ways_to_split_text(byte_level: Make) -> None:
    from tokenizers import Regex, pre_tokenizers

    plain = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    digits = pre_tokenizers.Digits(individual_digits=True)
    split = pre_tokenizers.ByteLevel(add_prefix_space=False)
    assert gguf.vocabulary(byte_level(pre_tokenizers.Sequence([digits, split])), 400).pre == "smollm"
    for pattern, name in gguf.SPLITS.items():
        steps = [pre_tokenizers.Split(Regex(pattern), behavior="isolated"), plain]
        assert gguf.vocabulary(byte_level(pre_tokenizers.Sequence(steps)), 400).pre == name
    for other in ([pre_tokenizers.Split(Regex(r"\d"), "isolated"), plain], [pre_tokenizers.Whitespace(), split]):
        with pytest.raises(UserError, match=r"splits text by .* and ByteLevel in a way that is not known"):
            gguf.vocabulary(byte_level(pre_tokenizers.Sequence(other)), 400)


def test_the_patterns_are_those_that_transformers_reads_the_names_as() -> None:
    from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS

    assert {name: pattern for pattern, name in gguf.SPLITS.items()} == {
        name: GGUF_PRE_TOKENIZER_SPLITS[name] for name in gguf.SPLITS.values()
    }


def test_a_tokenizer_that_is_no_bpe_is_refused() -> None:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"a": 0}, unk_token="a")))
    with pytest.raises(UserError, match=r"the tokenizer is a WordLevel, and only BPE"):
        gguf.vocabulary(words, 10)


SCALED = [
    ({"rope_type": "linear", "factor": 4.0}, {"factor": 4.0, "type": "linear"}),
    ({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
      "original_max_position_embeddings": 64}, "factors"),
    ({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}, {"factor": 4.0, "type": "yarn"}),
]  # fmt: skip


@pytest.mark.cases("C11")
@pytest.mark.parametrize("right", [True, False])
@pytest.mark.parametrize(("rope", "stated"), SCALED)
def test_scaled_positions_are_put_back_where_the_file_has_them(
    rope: dict[str, Any], stated: Any, right: bool, random_model: Make, byte_level: Make, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Written as llama.cpp's converter writes them; a file that lacks them, or has others, is found to differ."""
    import torch
    from transformers import AutoModelForCausalLM

    plain = random_model("llama", vocab_size=400)
    plain.config.rope_parameters = {"rope_theta": 10000.0, **rope}
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_config(plain.config).eval()
    for parameter in model.parameters():
        parameter.data += torch.randn_like(parameter) * 0.2
    model.save_pretrained(tmp_path / "model")
    as_the_converter(monkeypatch, stated if right else {"factor": 2.0, "type": "linear"}, model.config)
    file = tmp_path / "model.gguf"
    tokenizer = byte_level()
    gguf.write_gguf(tmp_path / "model", tokenizer, file, "f32", "a tutor")
    tutor = replies_of(model, tokenizer, None)
    assert (compare(tutor, load_gguf(file, "float32", model.config)[0]).distance < 1e-5) == right
    assert compare(tutor, load_gguf(file, "float32")[0]).distance > 1e-3


def as_the_converter(monkeypatch: pytest.MonkeyPatch, stated: Any, config: Any) -> None:
    """Make our writer write scaled positions: `stated` metadata, or a tensor of Llama 3's factors."""
    import torch

    from edu_align.exporting.checks import _factors

    add_shape, shapes, weights = gguf._add_shape, gguf._shapes, gguf._weights
    monkeypatch.setattr(gguf, "check_architecture", lambda shape: None)
    if stated == "factors":
        factors = torch.tensor(_factors(config)).numpy()
        first = ("rope_freqs.weight", [len(factors)])
        monkeypatch.setattr(gguf, "_shapes", lambda *a: [first, *shapes(*a)])
        monkeypatch.setattr(gguf, "_weights", lambda *a: [(first[0], factors), *weights(*a)])
        return

    def with_scaling(writer: Any, *rest: Any) -> None:
        add_shape(writer, *rest)
        writer.add_string("llama.rope.scaling.type", stated["type"])
        writer.add_float32("llama.rope.scaling.factor", stated["factor"])

    monkeypatch.setattr(gguf, "_add_shape", with_scaling)


@pytest.mark.cases("B8")
def test_the_end_of_a_turn_is_named_beside_that_of_a_text(written: Make, byte_level: Make) -> None:
    tokenizer = byte_level()
    tokenizer.eos_token = "<|endoftext|>"
    found = metadata(
        written("llama", tokenizer, "f32")[0], "tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"
    )
    assert found == {"tokenizer.ggml.eos_token_id": 0, "tokenizer.ggml.eot_token_id": 2}
