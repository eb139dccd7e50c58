"""The base model of a process: loaded once, copied without its weights, and never changed by a run."""

import gc
import hashlib
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from edu_align.models import base_model as base
from edu_align.models.build import build_model
from edu_align.models.device import resolve
from edu_align.models.locate import Location, locate
from edu_align.models.weights import load_model
from edu_align.packing.decoder import install_packing, is_packed


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    base.forget()
    yield
    base.forget()


def built(config: Any, tmp_path: Path) -> tuple[Any, str]:
    taken: dict[str, str] = {}
    model = build_model(config, locate(config.model, tmp_path, config.seed), resolve(config.hardware), None, taken)
    return model, taken.get("base model", "its own")


def bits(model: Any) -> str:
    found = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        found.update(name.encode() + value.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def facts(model: Any) -> dict[str, Any]:
    """All that a run changes of a model: flags, weights' formats, modules, what hangs on them, buffers."""
    modules = {name: (type(module), sorted(vars(module))) for name, module in model.named_modules()}
    weights = {name: (value.dtype, value.shape, value.data_ptr()) for name, value in model.named_parameters()}
    buffers = {name: value.tolist() for name, value in model.named_buffers()}
    return {
        "config": model.config.to_dict(),
        "attention": model.config._attn_implementation,
        "generation": model.generation_config.to_dict(),
        "modules": modules,
        "weights": weights,
        "buffers": buffers,
        "training": [module.training for module in model.modules()],
        "trained": [name for name, value in model.named_parameters() if value.requires_grad],
        "forward": [name for name, module in model.named_modules() if "forward" in vars(module)],
        "hooks": [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()],
    }


def test_the_next_run_starts_from_what_was_loaded(typed: Any, tmp_path: Path, capsys: Any) -> None:
    config = typed("trainer=dpo")
    location, device = locate(config.model, tmp_path, config.seed), resolve(config.hardware)
    fresh, _ = base.base_model(config, location, device)
    before, weights = facts(fresh), bits(fresh)

    model, where = built(config, tmp_path)
    assert where == "memory"
    install_packing("on", model)
    model.config.use_cache = True
    model.config.pad_token_id = 7
    model.eval()
    model.enable_input_require_grads()
    for parameter in model.parameters():
        parameter.data = parameter.data.double()
    assert is_packed(model)
    capsys.readouterr()

    again, there = base.base_model(config, location, device)
    assert there
    assert facts(again) == before
    assert bits(again) == weights
    assert facts(fresh) == before


def test_a_shared_base_is_what_a_load_gives(typed: Any, tmp_path: Path) -> None:
    config = typed("trainer=dpo")
    location, device = locate(config.model, tmp_path, config.seed), resolve(config.hardware)
    shared, _ = base.base_model(config, location, device)
    alone = load_model(config.model, location, device, config.seed, True).requires_grad_(False)
    one, other = facts(shared), facts(alone)
    places = one.pop("weights"), other.pop("weights")
    assert one == other
    kinds = [{name: (dtype, shape) for name, (dtype, shape, _) in place.items()} for place in places]
    assert kinds[0] == kinds[1]
    assert bits(shared) == bits(alone)
    assert shared.get_output_embeddings().weight is shared.get_input_embeddings().weight  # tied, as they were


def test_two_copies_hold_one_set_of_weights_and_an_adapter_each(typed: Any, tmp_path: Path) -> None:
    one, _ = built(typed("trainer=dpo"), tmp_path)
    two, where = built(typed("trainer=dpo", "adapter.rank=2"), tmp_path)
    assert where == "memory"
    shared = [name for name, value in one.named_parameters() if "lora" not in name]
    assert all(one.get_parameter(name).data_ptr() == two.get_parameter(name).data_ptr() for name in shared)
    assert {one.peft_config["default"].r, two.peft_config["default"].r} == {4, 2}
    assert sum(parameter.requires_grad for parameter in one.parameters()) == len(list(one.parameters())) - len(shared)


@pytest.mark.parametrize(
    "other",
    ["seed=7", "model.architecture.hidden_size=16", "hardware.dtype=bfloat16", "hardware.attention=eager"],
)
def test_another_base_is_loaded_once_the_kept_one_is_gone(
    typed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    built(typed("trainer=dpo"), tmp_path)
    assert base._base is not None
    kept = weakref.ref(base._base.loaded)
    alive: list[Any] = []
    original = load_model

    def watched(*arguments: Any) -> Any:
        alive.append(kept())
        return original(*arguments)

    monkeypatch.setattr(base, "load_model", watched)
    assert built(typed("trainer=dpo", other), tmp_path)[1] == "loaded"
    assert alive == [None]
    assert built(typed("trainer=dpo", other, "adapter.rank=2"), tmp_path)[1] == "memory"


def test_files_that_changed_are_loaded_again(
    typed: Any, mistral_folder: Path, random_model: Any, tmp_path: Path
) -> None:
    import shutil

    folder = tmp_path / "model"
    shutil.copytree(mistral_folder, folder)
    config = typed("trainer=dpo", "model=zephyr", f"model.path={folder}")
    device = resolve(config.hardware)
    one, _ = base.base_model(config, Location(folder, "folder"), device)
    assert base.base_model(config, Location(folder, "folder"), device)[1]
    random_model("mistral", seed=1, sliding_window=64).save_pretrained(folder)
    two, there = base.base_model(config, Location(folder, "folder"), device)
    assert not there
    assert bits(one) != bits(two)


def test_full_fine_tuning_has_its_own_weights(typed: Any, tmp_path: Path) -> None:
    adapted, _ = built(typed("trainer=dpo"), tmp_path)
    weights = bits(adapted.get_base_model())
    full, where = built(typed("trainer=dpo", "adapter=full"), tmp_path)
    assert where == "its own"
    assert base._base is None
    assert all(parameter.requires_grad for parameter in full.parameters())
    with torch.no_grad():
        for parameter in full.parameters():
            parameter.add_(1.0)
    assert bits(adapted.get_base_model()) == weights
    assert built(typed("trainer=dpo"), tmp_path)[1] == "loaded"


def test_a_base_that_was_written_to_is_loaded_again(typed: Any, tmp_path: Path) -> None:
    model, _ = built(typed("trainer=dpo"), tmp_path)
    weights = bits(load_model(typed("trainer=dpo").model, Location(None, ""), resolve(typed().hardware), 42, True))
    with torch.no_grad():
        model.get_base_model().get_input_embeddings().weight[0, 0] += 1.0
    again, where = built(typed("trainer=dpo", "adapter.rank=2"), tmp_path)
    assert where == "loaded"
    assert bits(again.unload()) == weights


def test_4_bit_weights_are_shared_too(typed: Any, tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    config = typed("trainer=dpo", "hardware.quantization=nf4")
    location, device = locate(config.model, tmp_path, config.seed), resolve(config.hardware)
    one, _ = base.base_model(config, location, device)
    ids = torch.arange(5, 25)[None]
    said = one(ids).logits
    adapted, where = built(config, tmp_path)
    assert where == "memory"
    adapted.train()
    adapted(ids, labels=ids).loss.backward()
    two, there = base.base_model(config, location, device)
    assert there
    assert torch.equal(two(ids).logits, said)
    layer = "model.layers.0.mlp.up_proj"
    assert one.get_submodule(layer).weight.data_ptr() == two.get_submodule(layer).weight.data_ptr()
    assert {value.dtype for value in two.parameters()} == {value.dtype for value in one.parameters()}


def test_a_copy_that_is_dropped_is_freed(typed: Any, tmp_path: Path) -> None:
    model, _ = built(typed("trainer=dpo"), tmp_path)
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


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
