"""How large the model at `model.path` is: from its config.json, whatever the preset says; else it is not known."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edu_align.config.comments import conf_dir
from edu_align.config.schema import ModelConfig
from edu_align.models import sizes as module
from edu_align.models.language_model import SAID, own_content
from edu_align.models.sizes import _SIZES, KNOWN, _fetched, _read, head_width, known_config, sizes_of
from edu_align.planning.parameters import linear_layers, linear_parameters, parameters
from edu_align.planning.plan import make_plan
from edu_align.utils.errors import UserError
from tests.composing import config_of

QWEN3 = {  # of Qwen3-4B, whose heads are wider than hidden_size / num_attention_heads
    "model_type": "qwen3", "hidden_size": 2560, "intermediate_size": 9728, "num_hidden_layers": 36,
    "vocab_size": 151936,
    "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128, "max_position_embeddings": 40960,
    "tie_word_embeddings": True,
}  # fmt: skip


def folder_of(tmp_path: Path, config: object, name: str = "Own-1B") -> Path:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


@pytest.fixture(autouse=True)
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    _fetched.cache_clear()


@pytest.mark.cases("B12")
@pytest.mark.parametrize("shape", [{}, {"num_key_value_heads": 2}])
@pytest.mark.parametrize("kind", sorted(KNOWN))
def test_counts_are_those_of_transformers(kind: str, shape: dict[str, Any], tmp_path: Path) -> None:
    """Also of a config.json that leaves keys out."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    content = {"model_type": kind, "num_hidden_layers": 1, "vocab_size": 99, "pad_token_id": 0, "hidden_size": 256}
    content |= {"num_attention_heads": 32, "intermediate_size": 72, **shape}
    sizes, why = sizes_of(ModelConfig(path=str(folder_of(tmp_path, content))))
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**content))
    assert (sizes is not None, why) == (True, "")
    assert parameters(sizes) == sum(p.numel() for p in model.parameters())


@pytest.mark.cases("B12")
def test_a_plan_takes_nothing_from_the_preset(tmp_path: Path) -> None:
    words = ["model=mistral", "hardware=t4", f"model.path={folder_of(tmp_path, QWEN3)}"]
    made = make_plan(config_of(*words))
    assert "plan for trainer=sft model=Own-1B " in made.describe()
    assert "4,022,468,096 parameters" in made.describe()
    assert head_width(made.config.model.architecture) == 128
    with pytest.raises(UserError, match=r"trainer\.max_length` must be <= 40960, the longest input of model=Own-1B"):
        make_plan(config_of(*words, "trainer.max_length=50000"))
    assert not make_plan(config_of(*words, "hardware.quantization=none", "hardware.memory_gb=4")).fits


COMMIT = "0" * 40
UNKNOWN = [
    ({"model_type": "made_up", "hidden_size": 8}, "networks of the type made_up are not counted"),
    ({"model_type": "llama", "hidden_size": "wide"}, "no usable vocab_size, hidden_size, intermediate_size"),
    ({"model_type": "qwen2", "vocab_size": 99}, "no usable hidden_size, intermediate_size, num_hidden_layers"),
    ({"text_config": {"model_type": "llama"}}, "its config.json names no model_type"),
    ([1], "holds no object"),
]


@pytest.mark.cases("B12")
@pytest.mark.parametrize(("content", "said"), UNKNOWN)
def test_unknown_sizes_are_said_and_refuse_nothing(content: object, said: str, config_for: Any, tmp_path: Path) -> None:
    config = config_for(folder_of(tmp_path, content))
    config.trainer = replace(config.trainer, max_length=100_000)
    made = make_plan(config)
    assert made.fits
    assert said in made.describe()
    assert "fits" not in made.describe().replace("whether the run fits", "")
    assert "7,241,732,096" not in made.describe()


@pytest.mark.cases("B12")
def test_a_model_of_the_hub_is_not_the_presets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its config.json in the hub's cache says how large it is; without a network and without that nobody knows."""
    words = ["model=mistral", "model.path=Qwen/Qwen3-14B", "hardware=t4"]
    assert (
        "its sizes are not known: the hub is out of reach (HF_HUB_OFFLINE is set)"
        in make_plan(config_of(*words)).describe()
    )
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))  # it was read when it was imported
    there = tmp_path / "models--Qwen--Qwen3-14B"
    for folder in ("refs", f"snapshots/{COMMIT}"):
        (there / folder).mkdir(parents=True)
    (there / "refs" / "main").write_text(COMMIT)
    (there / "snapshots" / COMMIT / "config.json").write_text(json.dumps(QWEN3))
    assert "4,022,468,096 parameters" in make_plan(config_of(*words)).describe()


@pytest.mark.cases("B12")
def test_a_hub_that_answers_is_asked_for_config_json_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []

    def download(repository: str, name: str, revision: str | None = None) -> str:
        asked.append((repository, name, str(revision)))
        return str(folder_of(tmp_path, QWEN3) / name)

    monkeypatch.setattr("edu_align.models.sizes.out_of_reach", lambda path: "")
    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    config = config_of("model=mistral", "model.path=made-up/none-such", "model.revision=abc")
    assert make_plan(config).parts["weights"] > 0
    assert asked == [("made-up/none-such", "config.json", "abc")]
    make_plan(config_of("model=mistral"))  # its sizes stand in the preset
    assert len(asked) == 1


@pytest.mark.parametrize("path", sorted(_SIZES))
def test_known_sizes_are_counted_as_transformers_builds_them(path: str) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    known = known_config(path)
    assert known is not None
    plain = {key: value for key, value in own_content(known).items() if value is not None}
    plain.pop("rope_scaling", None)  # what packing asks of it: no number of weights, and not all that a network needs
    if known["model_type"] == "phi3":
        plain["pad_token_id"] = 0  # transformers' own lies outside a smaller vocabulary
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**plain))
    sizes, why = _read(known)
    assert (why, sizes is not None) == ("", True)
    assert parameters(sizes) == sum(p.numel() for p in model.parameters())
    block = model.model.layers[0].named_modules()
    linear = {name.split(".")[-1]: (m.in_features, m.out_features) for name, m in block if hasattr(m, "in_features")}
    assert linear == linear_layers(sizes)


# What Gemma 3 4B's config.json says: of its language model only what is not transformers' default.
GEMMA = {
    "model_type": "gemma3",
    "text_config": {
        "hidden_size": 2560, "intermediate_size": 10240, "model_type": "gemma3_text", "num_hidden_layers": 34,
        "rope_scaling": {"factor": 8.0, "rope_type": "linear"}, "sliding_window": 1024,
    },
    "vision_config": {
        "hidden_size": 1152, "image_size": 896, "intermediate_size": 4304, "model_type": "siglip_vision_model",
        "num_attention_heads": 16, "num_hidden_layers": 27, "patch_size": 14, "vision_use_head": False,
    },
}  # fmt: skip


def test_of_a_model_that_sees_pictures_the_language_model_is_counted(tmp_path: Path) -> None:
    """The same whether config.json is at hand or not, and not the whole, which the preset names beside it."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        whole = AutoModelForCausalLM.from_config(AutoConfig.for_model(**GEMMA))
    part = sum(p.numel() for p in whole.model.language_model.parameters())
    every = sum(p.numel() for p in whole.parameters())
    known, read = known_config("google/gemma-3-4b-it"), sizes_of(ModelConfig(path=str(folder_of(tmp_path, GEMMA))))[0]
    assert known is not None
    assert read is not None
    assert vars(_read(known)[0]) | {"content": read.content} == vars(read)
    assert (parameters(read), every) == (part, 4_300_079_472)
    preset = (conf_dir() / "model" / "gemma3_4b.yaml").read_text(encoding="utf-8")
    assert f"{every / 1e9:.2f} billion parameters the {part / 1e9:.2f} billion of its language model" in preset
    said = make_plan(config_of("model=gemma3_4b", "trainer=dpo", "hardware=t4")).describe()
    assert f"{part:,} parameters" in said
    assert SAID in said
    linear = sum(m.weight.numel() for m in whole.model.language_model.modules() if isinstance(m, torch.nn.Linear))
    assert linear_parameters(read) == linear


def test_a_presets_sizes_need_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_fetched", None)
    for preset, billions in (("qwen3_4b", 4.02), ("gemma3_4b", 3.88), ("llama3_2_1b", 1.24), ("phi4_mini", 3.84)):
        sizes, _ = sizes_of(config_of(f"model={preset}").model)
        assert round(parameters(sizes) / 1e9, 2) == billions
