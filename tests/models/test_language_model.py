"""Of a model that also sees pictures, the language model alone: loaded, packed, trained, saved and exported."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from edu_align import export
from edu_align.evaluation.lm_eval import model_arguments
from edu_align.models.device import Device
from edu_align.models.language_model import SAID
from edu_align.models.locate import Location
from edu_align.models.tokenizer import byte_tokenizer
from edu_align.models.weights import load_model
from edu_align.packing.decoder import share_prefixes
from edu_align.utils.errors import UserError
from tests.chatting.conftest import Here, here  # noqa: F401 - a fixture
from tests.networks import save_whole_gemma3
from tests.packing.test_decoder import close
from tests.packing.test_families import LONGEST, ROWS
from tests.packing.test_forest import batch

WORDS = ["model=zephyr", "evaluation.enabled=false", "trainer.max_length=1000", "trainer.max_steps=2"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("gemma3") / "whole"
    return folder, save_whole_gemma3(folder, byte_tokenizer())


def renamed(folder: Path, to: Path) -> Path:
    """The same weights by the names that transformers 5 gives them in memory."""
    to.mkdir()
    (to / "config.json").write_bytes((folder / "config.json").read_bytes())
    names = {r"^language_model\.model": "model.language_model", r"^(vision_tower|multi_modal)": r"model.\1"}
    weights = load_file(folder / "model.safetensors")
    for old, new in names.items():
        weights = {re.sub(old, new, name): value for name, value in weights.items()}
    save_file(weights, to / "model.safetensors", metadata={"format": "pt"})
    return to


@pytest.mark.parametrize("names", ["of the hub", "of transformers 5"])
def test_it_computes_what_the_whole_does_packed_too(
    names: str, whole: tuple[Path, Any], config_for: Any, tmp_path: Path, capsys: Any
) -> None:
    folder, model = whole
    source = folder if names == "of the hub" else renamed(folder, tmp_path / "renamed")
    assert any(name.startswith("language_model.model.") for name in load_file(source / "model.safetensors")) == (
        names == "of the hub"
    )
    device = Device("cpu", "float32", "sdpa", "none", ())
    loaded = load_model(config_for(source).model, Location(source, ""), device, 0, True)
    assert SAID in capsys.readouterr().out
    assert "vision" not in str(loaded)
    ids, mask = map(torch.from_numpy, batch(ROWS))
    with torch.no_grad():
        expected = model.model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state * mask[..., None]
        found = loaded.model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state * mask[..., None]
        counts = share_prefixes(loaded, longest=LONGEST)
        packed = loaded.model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state * mask[..., None]
    close(found, expected, "hidden states")
    close(packed, expected, "packed hidden states")
    assert counts.ratio > 1.5


@pytest.mark.parametrize(
    ("trainer", "more"),
    [
        pytest.param("sft", [], id="sft", marks=pytest.mark.slow),
        pytest.param("dpo", [], id="dpo", marks=pytest.mark.slow),
        pytest.param("dpo", ["hardware.quantization=nf4"], id="nf4"),
        pytest.param("sft", ["adapter=full"], id="full"),
    ],
)
def test_it_is_trained_packed_and_loaded_by_the_lines_of_its_card(
    trainer: str,
    more: list[str],
    whole: tuple[Path, Any],
    go: Callable[..., Any],
    here: Here,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, model = whole
    run = go(*WORDS, f"model.path={folder}", f"trainer={trainer}", "hardware.packing=on", *more).path
    (code,) = re.findall(r"```python\n(.*?)```", (run / "README.md").read_text(), re.DOTALL)
    monkeypatch.chdir(run)
    values: dict[str, Any] = {}
    exec(re.sub(r"max_new_tokens=\d+", "max_new_tokens=2", code), values)
    tutor = values["model"]
    if "adapter=full" not in more:
        stated = load_file(run / "adapter" / "adapter_model.safetensors")
        assert {name.split(".lora_")[0] for name in stated} <= {f"base_model.model.{n}" for n, _ in _base(tutor)}
        tutor = tutor.merge_and_unload()
    if more:
        return
    code_, _, err = here(export.main, f"run={run}", f"output={tmp_path / 'tutor'}", f"outputs_root={tmp_path}")
    assert code_ == 0, err
    content = json.loads((tmp_path / "tutor" / "config.json").read_text())
    assert (content["model_type"], content["architectures"]) == ("gemma3_text", ["Gemma3ForCausalLM"])
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "tutor", dtype=torch.float32)
    before = model.model.language_model.state_dict()
    for name, value in merged.model.state_dict().items():
        assert torch.equal(value, before[name]) == ("_proj" not in name), name
        close(value, tutor.model.state_dict()[name], name)


def _base(model: Any) -> Any:
    return model.get_base_model().named_modules()


def test_the_harness_does_not_put_the_adapter_on_the_whole(whole: tuple[Path, Any], go: Callable[..., Any]) -> None:
    folder, _ = whole
    run = go(*WORDS, f"model.path={folder}", "trainer=sft")
    from edu_align.config.stored import stored_config

    config = stored_config(run.path / "config.yaml", {})
    with pytest.raises(UserError, match=r"`of=tutor`: whole also sees pictures.*give of=export"):
        model_arguments(run, config, "tutor")
    assert model_arguments(run, config, "base") == {"pretrained": str(folder)}
