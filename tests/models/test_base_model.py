"""The base model of a process: loaded once, copied without its weights, and never changed by a run."""

import gc
import hashlib
import shutil
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from edu_align.models import base_model as base
from edu_align.models.base_model import build_model
from edu_align.models.device import resolve
from edu_align.models.locate import Location, locate
from edu_align.models.weights import load_model
from edu_align.packing.decoder import install_packing, is_packed


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    base.forget()
    yield
    base.forget()


@pytest.fixture
def where(typed: Any, tmp_path: Path) -> Any:
    """`where(*words)`: the config of a DPO run, its base and the device."""

    def resolved(*words: str) -> tuple[Any, Location, Any]:
        config = typed("trainer=dpo", *words)
        return config, locate(config.model, tmp_path, config.seed), resolve(config)

    return resolved


@pytest.fixture
def built(where: Any) -> Any:
    """`built(*words)`: the model of a DPO run, and where its base came from."""

    def build(*words: str) -> tuple[Any, str]:
        taken: dict[str, str] = {}
        model = build_model(*where(*words), None, taken)
        return model, taken.get("base model", "its own")

    return build


def bits(model: Any) -> str:
    found = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        found.update(name.encode() + value.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def facts(model: Any) -> dict[str, Any]:
    """All that a run changes of a model: flags, weights' formats, modules, what hangs on them, buffers."""
    return {
        "config": model.config.to_dict(),
        "attention": model.config._attn_implementation,
        "generation": model.generation_config.to_dict(),
        "modules": {name: (type(module), sorted(vars(module))) for name, module in model.named_modules()},
        "weights": {name: (value.dtype, value.shape, value.data_ptr()) for name, value in model.named_parameters()},
        "buffers": {name: value.tolist() for name, value in model.named_buffers()},
        "training": [module.training for module in model.modules()],
        "trained": [name for name, value in model.named_parameters() if value.requires_grad],
        "forward": [name for name, module in model.named_modules() if "forward" in vars(module)],
        "hooks": [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()],
    }


def test_the_next_run_starts_from_what_was_loaded(where: Any, built: Any, capsys: Any) -> None:
    fresh, _ = base.base_model(*where())
    before, weights = facts(fresh), bits(fresh)

    model, origin = built()
    assert origin == "memory"
    install_packing("on", model)
    model.config.use_cache = True
    model.config.pad_token_id = 7
    model.eval()
    model.enable_input_require_grads()
    for parameter in model.parameters():
        parameter.data = parameter.data.double()
    assert is_packed(model)
    capsys.readouterr()

    again, there = base.base_model(*where())
    assert there
    assert facts(again) == before
    assert bits(again) == weights
    assert facts(fresh) == before


def test_a_shared_base_is_what_a_load_gives(where: Any) -> None:
    config, location, device = where()
    shared, _ = base.base_model(config, location, device)
    alone = load_model(config.model, location, device, config.seed, True).requires_grad_(False)
    one, other = facts(shared), facts(alone)
    places = one.pop("weights"), other.pop("weights")
    assert one == other
    kinds = [{name: (dtype, shape) for name, (dtype, shape, _) in place.items()} for place in places]
    assert kinds[0] == kinds[1]
    assert bits(shared) == bits(alone)
    assert shared.get_output_embeddings().weight is shared.get_input_embeddings().weight  # tied, as they were


def test_two_copies_hold_one_set_of_weights_and_an_adapter_each(built: Any) -> None:
    one, _ = built()
    two, where = built("adapter.rank=2")
    assert where == "memory"
    shared = [name for name, value in one.named_parameters() if "lora" not in name]
    assert all(one.get_parameter(name).data_ptr() == two.get_parameter(name).data_ptr() for name in shared)
    assert {one.peft_config["default"].r, two.peft_config["default"].r} == {4, 2}
    assert sum(parameter.requires_grad for parameter in one.parameters()) == len(list(one.parameters())) - len(shared)


@pytest.mark.parametrize(
    "other", ["seed=7", "model.architecture.hidden_size=16", "hardware.dtype=bfloat16", "hardware.attention=eager"]
)
def test_another_base_is_loaded_once_the_kept_one_is_gone(built: Any, monkeypatch: Any, other: str) -> None:
    built()
    assert base._base is not None
    kept = weakref.ref(base._base.loaded)
    alive: list[Any] = []
    monkeypatch.setattr(base, "load_model", lambda *arguments: (alive.append(kept()), load_model(*arguments))[1])
    assert built(other)[1] == "loaded"
    assert alive == [None]
    assert built(other, "adapter.rank=2")[1] == "memory"


def test_files_that_changed_are_loaded_again(
    typed: Any, mistral_folder: Path, random_model: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(mistral_folder, folder)
    config = typed("trainer=dpo", "model=zephyr", f"model.path={folder}")
    where = Location(folder, "folder"), resolve(config)
    one, _ = base.base_model(config, *where)
    assert base.base_model(config, *where)[1]
    random_model("mistral", seed=1, sliding_window=64).save_pretrained(folder)
    two, there = base.base_model(config, *where)
    assert not there
    assert bits(one) != bits(two)


def test_full_fine_tuning_has_its_own_weights(built: Any) -> None:
    adapted, _ = built()
    weights = bits(adapted.get_base_model())
    full, where = built("adapter=full")
    assert where == "its own"
    assert base._base is None
    assert all(parameter.requires_grad for parameter in full.parameters())
    with torch.no_grad():
        for parameter in full.parameters():
            parameter.add_(1.0)
    assert bits(adapted.get_base_model()) == weights
    assert built()[1] == "loaded"


def test_a_base_that_was_written_to_is_loaded_again(where: Any, built: Any) -> None:
    model, _ = built()
    config, location, device = where()
    weights = bits(load_model(config.model, location, device, config.seed, True))
    with torch.no_grad():
        model.get_base_model().get_input_embeddings().weight[0, 0] += 1.0
    again, origin = built("adapter.rank=2")
    assert origin == "loaded"
    assert bits(again.unload()) == weights
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None, "a copy that is dropped is freed"


def test_4_bit_weights_are_shared_too(where: Any, built: Any) -> None:
    pytest.importorskip("bitsandbytes")
    one, _ = base.base_model(*where("hardware.quantization=nf4"))
    ids = torch.arange(5, 25)[None]
    said = one(ids).logits
    adapted, origin = built("hardware.quantization=nf4")
    assert origin == "memory"
    adapted.train()
    adapted(ids, labels=ids).loss.backward()
    two, there = base.base_model(*where("hardware.quantization=nf4"))
    assert there
    assert torch.equal(two(ids).logits, said)
    layer = "model.layers.0.mlp.up_proj"
    assert one.get_submodule(layer).weight.data_ptr() == two.get_submodule(layer).weight.data_ptr()
    assert {value.dtype for value in two.parameters()} == {value.dtype for value in one.parameters()}


def test_the_tokenizer_is_loaded_once_and_reset(typed: Any, mistral_folder: Path, tmp_path: Path) -> None:
    config = typed("trainer=sft", "model=zephyr", f"model.path={mistral_folder}")
    location = locate(config.model, tmp_path, config.seed)
    one = base.shared_tokenizer(config.model, location)
    side, template, text = one.padding_side, one.chat_template, one.backend_tokenizer.to_str()
    one.padding_side = "left" if side == "right" else "right"
    one.chat_template = "{{ messages }}"
    one(["a", "bc"], padding=True, truncation=True, max_length=1)
    assert one.backend_tokenizer.to_str() != text
    two = base.shared_tokenizer(config.model, location)
    assert two is one
    assert (two.padding_side, two.chat_template, two.backend_tokenizer.to_str()) == (side, template, text)
    own = typed("trainer=sft", "model=zephyr", f"model.path={mistral_folder}", "model.tokenizer=bytes")
    assert base.shared_tokenizer(own.model, location) is not one
