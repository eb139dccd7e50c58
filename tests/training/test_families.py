"""Every family with its own chat template: a tiny random network is trained, resumed, merged, asked and planned."""

import json
import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from edu_align import export, generate, plan
from edu_align.exporting.gguf import check_architecture
from edu_align.models.tokenizer import byte_tokenizer
from edu_align.packing.families import FAMILIES
from edu_align.utils.errors import UserError
from tests.chatting.conftest import Here, here, json_rows  # noqa: F401 - a fixture
from tests.conftest import TINY
from tests.killing import in_child, killed_at, outcome
from tests.models.test_trl_templates import tokenizer
from tests.networks import NETWORKS, save_network

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# Network -> TRL's stored template of its family; ChatML, or none (then Zephyr's is taken), where TRL stores none.
TEMPLATES = {
    "qwen2 with sliding layers": "qwen2_5", "qwen3": "qwen3", "llama llama3": "llama3_2", "gemma3_text": "gemma3",
    "gemma": "gemma", "phi3": "phi3", "smollm3": CHATML, "olmo2": None, "granite": None, "mistral": None,
}  # fmt: skip
WORDS = ["model=zephyr", "evaluation.enabled=false", "trainer.max_length=1000"]
every_family = pytest.mark.parametrize("name", TEMPLATES)


def test_every_family_has_a_template_here() -> None:
    assert {NETWORKS[name][0] for name in TEMPLATES} == set(FAMILIES)


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`base("qwen3")`: a folder with the network and a byte tokenizer that has the family's template."""

    @cache
    def build(name: str) -> Path:
        template = TEMPLATES[name]
        chat = tokenizer(template) if template not in (None, CHATML) else byte_tokenizer()
        if template == CHATML:
            chat.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
            chat.chat_template = CHATML
        window = {"sliding_window": 512} if "sliding_window" in NETWORKS[name][1] else {}  # the checks of a GGUF fit it
        return save_network(name, tmp_path_factory.mktemp("families") / name.replace(" ", "-"), chat, **window)

    return build


@pytest.mark.parametrize(
    ("name", "trainer"),
    [
        *((name, "dpo") for name in TEMPLATES),
        *(pytest.param(name, "sft", marks=pytest.mark.slow) for name in TEMPLATES),
    ],
)
def test_it_is_trained_and_packed(name: str, trainer: str, base: Callable[[str], Path], train: Any) -> None:
    words = [f"model.path={base(name)}", f"trainer={trainer}", f"run_name={trainer}-{name.replace(' ', '-')}"]
    done = train(*WORDS, *words, "trainer.max_steps=2", "trainer.batch_size=2", "hardware.packing=on")
    losses = [line["loss"] for line in map(json.loads, (done.path / "metrics.jsonl").open()) if "loss" in line]
    assert len(losses) == 2
    assert all(map(math.isfinite, losses))
    assert trainer == "sft" or losses[0] == pytest.approx(math.log(2), abs=1e-4)
    assert done.sharing.computed > 0
    assert trainer == "sft" or done.sharing.ratio > 1.5
    assert done.trained
    for key in done.after:
        assert torch.equal(done.before[key], done.after[key]) == (key not in done.trained), key


def test_a_network_without_sdpa_is_said_and_trains_without(train: Any, tmp_path: Path) -> None:
    save_network("gemma2", tmp_path, byte_tokenizer(), head_dim=8)
    words = [*WORDS, f"model.path={tmp_path}", "trainer=sft", "trainer.max_steps=1", "run_name=gemma2"]
    with pytest.raises(UserError, match=r"hardware\.attention=sdpa.*Gemma2ForCausalLM.*Set hardware\.attention=eager"):
        train(*words)
    done = train(*words, "hardware.attention=eager")
    assert (done.record["state"], done.sharing.computed) == ("finished", 0)


def writable(folder: Path) -> bool:
    """Whether our own writer of GGUF files has rules for the network."""
    try:
        check_architecture(json.loads((folder / "config.json").read_text()))
    except UserError:
        return False
    return True


@pytest.mark.slow
@every_family
def test_it_is_resumed_planned_asked_and_exported(
    name: str,
    base: Callable[[str], Path],
    go: Any,
    here: Here,  # noqa: F811
    tmp_path: Path,
) -> None:
    words = [*WORDS, f"model.path={base(name)}", "trainer=dpo", "run_name=it", "hardware.packing=on"]
    words += ["trainer.max_steps=4", "trainer.save_steps=2"]
    whole = go(*words, root="whole")
    with killed_at("on_step_end", 3):
        assert in_child(lambda: go(*words, root="cut")) == -9
    assert outcome(go(*words, root="cut").path) == outcome(whole.path)

    root = f"outputs_root={tmp_path / 'cut'}"
    code, out, err = here(plan.main, *TINY, *words, root)
    assert (code, err) == (0, "")
    assert f" {sum(p.numel() for p in network_in(base(name)).parameters()):,} parameters" in out

    (tmp_path / "asked.txt").write_text("Is 1/2 + 1/3 = 2/5?\nWhy?\n")
    replies = tmp_path / "replies.jsonl"
    asked = [f"input={tmp_path / 'asked.txt'}", f"output={replies}", "generation.max_new_tokens=6"]
    code, _, err = here(generate.main, "run=it", *asked, root)
    assert code == 0, err
    assert len(json_rows(replies)) == 2

    file = ["export.gguf=f16"] if writable(base(name)) else []
    code, out, err = here(export.main, "run=it", f"output={tmp_path / 'tutor'}", *file, root)
    assert code == 0, err
    assert len(list((tmp_path / "tutor").rglob("*.gguf"))) == len(file)
    merged, before = (dict(network_in(folder).named_parameters()) for folder in (tmp_path / "tutor", base(name)))
    assert merged.keys() == before.keys()
    moved = {key.split(".")[-2] for key in merged if not torch.equal(merged[key], before[key])}
    assert "down_proj" in moved
    assert not any("norm" in key or "embed" in key for key in moved)


def network_in(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
