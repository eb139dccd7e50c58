"""The merged folder: what plain transformers loads from it is the tutor, and nothing of this machine is in it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from edu_align.chatting.model import load
from edu_align.chatting.source import run_source
from edu_align.exporting.merge import end_tokens, generation_config
from edu_align.models.answers import replies
from edu_align.records import Message
from tests.exporting.conftest import CHATML, Make, Runs, Say, by_hand, copied

ASKED = [(Message("user", "2 + 3?"),), (Message("user", "Why is 7 x 8 = 56?"), Message("assistant", "Guess."))]


def logits(model: Any, ids: list[int]) -> Any:
    import torch

    with torch.no_grad():
        return model(input_ids=torch.tensor([ids])).logits[0]


def test_it_says_what_the_tutor_says(exported: Path, outputs: Path) -> None:
    import torch

    model, tokenizer = by_hand(exported)
    (chat_model,) = load([run_source("dpo_on_sft", {"generation.max_new_tokens": "12"}, str(outputs))])
    prompts = [ASKED[0], ASKED[1][:1]]
    with chat_model.activated() as tutor:
        expected = replies(tutor, chat_model.tokenizer, prompts, chat_model.settings)
        ids = list(range(4, 90))
        assert torch.allclose(logits(model, ids), logits(tutor, ids), atol=1e-5)
    assert replies(model, tokenizer, prompts, chat_model.settings) == expected
    with chat_model.activated() as tutor, tutor.disable_adapter():
        assert not torch.allclose(logits(model, ids), logits(tutor, ids), atol=1e-3)


def test_its_files(exported: Path) -> None:
    from safetensors import safe_open

    model, tokenizer = by_hand(exported)
    with safe_open(exported / "model.safetensors", framework="pt") as file:
        assert not re.search("lm_head.weight|lora|base_model", " ".join(file.keys()))
    assert "<|assistant|>" in tokenizer.chat_template
    settings = model.generation_config
    assert (settings.eos_token_id, settings.pad_token_id, settings.do_sample) == (2, 3, False)
    assert model.config.tie_word_embeddings
    assert model.config.use_cache
    assert all(path.stat().st_mode & 0o044 == 0o044 for path in exported.rglob("*"))


def test_nothing_of_this_machine_is_in_it(exported: Path, outputs: Path) -> None:
    texts = {path.name: path.read_bytes().decode("utf-8", "ignore") for path in exported.rglob("*") if path.is_file()}
    assert {"README.md", "config.json", "Modelfile", "export.json"} <= set(texts)
    for place in (str(outputs), str(exported.parent), str(Path.home()) + "/"):
        assert [name for name, text in texts.items() if place in text] == []
    told = [json.loads(texts[name]) for name in ("config.json", "tokenizer_config.json")]
    assert not {"_name_or_path", "is_local", "local_files_only"} & {key for each in told for key in each}


def test_the_report_says_how_well_it_agrees(exported: Path) -> None:
    merged, gguf, template = json.loads((exported / "export.json").read_text())["checks"]
    assert merged.startswith("merged (float32), loaded back: 72 of 72 greedy tokens are the same, and at most ")
    assert "(tolerance 0.0001); the adapter itself moved 0.0" in merged
    assert gguf.startswith("GGUF (q8_0), loaded back: ")
    assert "exactly as the chat template does" in template


@pytest.mark.parametrize("number_format", ["bfloat16", "float16"])
def test_other_formats(ok: Say, runs: Runs, tmp_path: Path, number_format: str) -> None:
    runs("sft")
    out = ok("run=sft", f"output={tmp_path / 'out'}", f"export.dtype={number_format}", "export.gguf=f16")
    assert f"merged ({number_format}), loaded back" in out
    assert str(by_hand(tmp_path / "out")[0].dtype) == f"torch.{number_format}"


def test_a_fully_trained_model(ok: Say, runs: Runs, tmp_path: Path) -> None:
    import torch

    run = runs("dpo_full")
    out = ok("run=dpo_full", f"output={tmp_path / 'out'}", "export.gguf=f32")
    assert "the adapter itself" not in out
    model, tokenizer = by_hand(tmp_path / "out")
    assert torch.equal(logits(model, [5, 6, 7]), logits(by_hand(run.path / "model")[0], [5, 6, 7]))
    assert "<|assistant|>" in tokenizer.chat_template
    card = (tmp_path / "out" / "README.md").read_text()
    assert "all weights trained by DPO" in card
    assert "library_name: transformers" in card


def test_a_base_that_was_quantized_while_training_is_merged_whole(ok: Say, runs: Runs, tmp_path: Path) -> None:
    run = copied(runs("sft").path, "was_nf4")
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("quantization: none", "quantization: nf4"))
    out = ok("run=was_nf4", "accept_changed=true", f"output={tmp_path / 'out'}")
    assert "merged (float32)" in out
    assert "trained and measured on a base in nf4" in (tmp_path / "out" / "README.md").read_text()


def test_a_window_that_llama_cpp_does_not_have_is_said(
    ok: Say, train: Make, random_model: Make, tmp_path: Path
) -> None:
    from edu_align.models.tokenizer import byte_tokenizer

    random_model("mistral", sliding_window=1024).save_pretrained(tmp_path / "base")
    byte_tokenizer().save_pretrained(tmp_path / "base")
    places = [f"model.path={tmp_path / 'base'}", "model.weights=pretrained", "model.tokenizer=null"]
    train("trainer=sft", "run_name=windowed", "evaluation.enabled=false", *places)
    out = ok("run=windowed", f"output={tmp_path / 'out'}", "export.gguf=f16")
    assert "the GGUF's context ends at 1024 tokens, the model's sliding window" in out


def test_settings_of_generation_are_passed_on(ok: Say, runs: Runs, tmp_path: Path) -> None:
    runs("sft")
    drawn = {"temperature": 0.7, "top_p": 0.9, "repetition_penalty": 1.1}
    ok("run=sft", f"output={tmp_path / 'out'}", *(f"generation.{key}={value}" for key, value in drawn.items()))
    written = json.loads((tmp_path / "out" / "generation_config.json").read_text())
    assert {"do_sample": True, **drawn}.items() <= written.items()


def test_every_token_that_ends_a_turn_ends_a_reply(random_model: Make, byte_level: Make) -> None:
    from edu_align.config.schema import GenerationConfig

    model, tokenizer = random_model(), byte_level()
    tokenizer.eos_token = "<|endoftext|>"
    assert tokenizer.chat_template == CHATML
    model.generation_config.eos_token_id = [0, 7]
    ends = end_tokens(model, tokenizer)
    assert ends == [0, 2, 7]
    assert generation_config(ends, tokenizer, GenerationConfig()).eos_token_id == [0, 2, 7]
