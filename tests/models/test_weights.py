"""Random weights, adapters and which layers carry them."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from edu_align.models.locate import Location
from edu_align.models.targets import check_targets, linear_layers
from edu_align.models.weights import add_adapter, continue_adapter, trainable_in_float32
from edu_align.utils.errors import UserError
from edu_align.utils.files import write_json

LAYERS = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}


def test_random_weights_follow_the_seed(random_model: Any) -> None:
    one, same, other = (random_model(seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(value, same[name]) for name, value in one.items())
    assert not torch.equal(one["model.embed_tokens.weight"], other["model.embed_tokens.weight"])


@pytest.mark.parametrize("tied", [True, False])
def test_all_linear_leaves_the_head_out(random_model: Any, typed: Any, tied: bool) -> None:
    model = random_model(tie_word_embeddings=tied)
    assert linear_layers(model) == LAYERS
    adapted = add_adapter(model, typed("trainer=sft").adapter, seed=0)
    carrying = {name.split(".lora_A")[0].rpartition(".")[2] for name in adapted.state_dict() if ".lora_A" in name}
    assert carrying == LAYERS
    trainable = [name for name, parameter in adapted.named_parameters() if parameter.requires_grad]
    assert len(trainable) == 2 * 2 * len(LAYERS)  # two matrices a layer, two decoder layers
    assert all("lora_" in name for name in trainable)


def test_named_layers_only(random_model: Any, typed: Any) -> None:
    adapter = typed("trainer=sft", "adapter.target_modules=[q_proj,v_proj]").adapter
    names = [name for name in add_adapter(random_model(), adapter, seed=0).state_dict() if ".lora_A" in name]
    assert len(names) == 4
    assert all(".q_proj." in name or ".v_proj." in name for name in names)


@pytest.mark.parametrize("folder", [False, True])
def test_an_unknown_layer_is_named_with_the_known_ones(typed: Any, mistral_folder: Path, folder: bool) -> None:
    config = typed("trainer=sft", "adapter.target_modules=[q_proj,c_attn]")
    location = Location(mistral_folder if folder else None, "any")
    with pytest.raises(UserError, match=r"`adapter\.target_modules`: c_attn matches no linear layer") as caught:
        check_targets(config.model, location, config.adapter)
    assert all(name in str(caught.value) for name in LAYERS)
    config.adapter.target_modules = ["q_proj", "all-linear"]
    check_targets(config.model, location, config.adapter)


def test_a_new_adapter_changes_nothing_and_follows_the_seed(random_model: Any, typed: Any) -> None:
    adapter = typed("trainer=sft").adapter
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        plain = random_model().eval()(ids).logits
        models = [add_adapter(random_model(), adapter, seed=seed).eval() for seed in (3, 3, 4)]
        assert torch.allclose(models[0](ids).logits, plain, atol=1e-6)  # an adapted model's norms round otherwise
    first, same, other = ({k: v for k, v in m.state_dict().items() if "lora_A" in k} for m in models)
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in first)


def test_trained_parameters_are_float32_and_frozen_ones_keep_their_width(random_model: Any, typed: Any) -> None:
    model = add_adapter(random_model().to(torch.bfloat16), typed("trainer=sft").adapter, seed=0).to(torch.bfloat16)
    trainable_in_float32(model)
    for name, parameter in model.named_parameters():
        assert parameter.dtype == (torch.float32 if parameter.requires_grad else torch.bfloat16), name


@pytest.mark.parametrize(
    ("trainer", "random"), [pytest.param("sft", False, marks=pytest.mark.slow), ("dpo", False), ("sft", True)]
)
def test_qlora_trains_on_a_cpu(trainer: str, random: bool, train: Any, mistral_folder: Path) -> None:
    """bitsandbytes' 4-bit layers stay as they were, and the adapter on them learns; random weights are packed too."""
    done = train(
        f"trainer={trainer}", *(["model=tiny"] if random else ["model=zephyr", f"model.path={mistral_folder}"]),
        "hardware.quantization=nf4", "evaluation.enabled=false", f"run_name=qlora-{trainer}-{random}",
    )  # fmt: skip
    packed = {name for name, value in done.before.items() if value.dtype == torch.uint8}
    assert len(packed) == 2 * 7, "every linear layer of the two blocks"
    assert all(torch.equal(done.before[name], done.after[name]) for name in packed)
    assert done.trained
    assert all("lora" in name for name in done.trained)
    assert any(not torch.equal(done.before[name], done.after[name]) for name in done.trained)
    assert all(done.after[name].dtype == torch.float32 for name in done.trained)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="Linux says which files a process maps")
def test_a_model_in_4_bits_holds_none_of_its_16_bit_files(mistral_folder: Path, config_for: Any) -> None:
    """A norm that is a view of a mapped file keeps all of the file resident: 14.5 GB of a 7B model."""
    from edu_align.models.device import resolve
    from edu_align.models.weights import load_model

    config = config_for(mistral_folder)
    config.hardware.quantization = "nf4"
    model = load_model(config.model, Location(mistral_folder, ""), resolve(config), 0, True)
    assert model is not None
    assert str(mistral_folder) not in Path("/proc/self/maps").read_text(encoding="utf-8")


@pytest.mark.cases("B12")
@pytest.mark.parametrize(
    "change", [{"hidden_size": 64}, {"num_hidden_layers": 3}, {"model_type": "bert"}], ids=["wider", "deeper", "other"]
)
def test_weights_that_do_not_fill_the_network_are_refused(own: Any, config_for: Any, change: dict[str, Any]) -> None:
    """What they lack, transformers would draw at random, and say so in a log alone."""
    from edu_align.models.device import resolve
    from edu_align.models.weights import load_model

    folder = own("{{ messages }}")
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    config = config_for(folder)
    with pytest.raises(UserError, match=r"`model\.path`: the weights in .* tensors are missing or of another shape"):
        load_model(config.model, Location(folder, ""), resolve(config), 0, True)


def test_a_continued_adapter_is_saved_without_a_question_to_the_hub(
    runs: Any, random_model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("peft.utils.save_and_load.check_file_exists_on_hf_hub", lambda name, _: asked.append(name))
    shutil.copytree(runs("sft").path / "adapter", tmp_path / "adapter")
    config = tmp_path / "adapter" / "adapter_config.json"
    write_json(config, json.loads(config.read_text()) | {"base_model_name_or_path": "owner/published"})
    continue_adapter(random_model(), tmp_path / "adapter").save_pretrained(tmp_path / "again")
    assert asked == []
