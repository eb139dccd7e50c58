"""Plans: exact counts, activations against what autograd keeps, budgets, and refusals before anything is loaded."""

import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edu_align.config.schema import CHECKPOINTING
from edu_align.models.sizes import KNOWN, _read
from edu_align.packing.budget import BLOCK
from edu_align.planning.machine import Machine
from edu_align.planning.memory import _block_bytes, _last_bytes, _norm_width, _product_bytes, _without_gradient
from edu_align.planning.parameters import adapter_parameters, count_parameters, linear_parameters, parameters, targets
from edu_align.planning.plan import make_plan
from edu_align.planning.workload import Work, _size
from edu_align.utils.errors import UserError
from tests.composing import config_of

COUNTS = {"mistral": 7_241_732_096, "zephyr": 7_241_732_096, "llama2": 6_738_415_616, "smollm2": 134_515_008}
T4 = ["trainer=dpo", "model=zephyr", "hardware=t4"]


def plan(*overrides: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "edu_align.plan", *overrides]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("name", sorted(COUNTS))
def test_parameters_are_those_of_transformers(name: str) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    from edu_align.models.locate import architecture

    config = config_of(f"model={name}")
    shape = config.model.architecture
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(architecture(config.model))
    assert parameters(shape) == COUNTS[name] == sum(p.numel() for p in model.parameters())


def test_adapter_parameters_are_those_of_peft(typed: Any, random_model: Any) -> None:
    from edu_align.models.weights import add_adapter

    config = typed("trainer=sft", "adapter.rank=4", "adapter.target_modules=[q_proj,down_proj]")
    for names in (["q_proj", "down_proj"], ["all-linear"]):
        config.adapter.target_modules = names
        model = add_adapter(random_model(), config.adapter, 0)
        trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
        assert adapter_parameters(config.model.architecture, config.adapter) == trained


def kept_by_autograd(
    model: Any, dtype: str, own_mask: bool = False, lengths: tuple[int, int] = (64, 128)
) -> dict[int, int]:
    """Tokens of a pass -> bytes of what waits for its backward pass, parameters left out."""
    import torch

    from edu_align.packing.decoder import causal_model

    fixed = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}

    def kept(tokens: int) -> int:
        found: dict[int, int] = {}

        def keep(tensor: Any) -> Any:
            storage = tensor.untyped_storage()
            found[storage.data_ptr()] = storage.nbytes()
            return tensor

        ids = torch.arange(tokens)[None] % 100
        mask = torch.ones(tokens, tokens, dtype=torch.bool).tril()[None, None] if own_mask else None
        mixed = torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16")
        with mixed, torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            hidden = causal_model(model).model(ids, attention_mask=mask, use_cache=False).last_hidden_state
            hidden.sum().backward()
        return sum(size for place, size in found.items() if place not in fixed)

    return {tokens: kept(tokens) for tokens in lengths}


def cells_of(tokens: int) -> int:
    """Cells of the matrix of one head that block attention keeps of a row: each block sees what ends with it."""
    stops = [min(start + BLOCK, tokens) for start in range(0, tokens, BLOCK)]
    return sum((stop - start) * stop for start, stop in zip([0, *stops], stops, strict=False))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", sorted(KNOWN))
def test_activations_of_every_family_are_what_autograd_keeps(kind: str, dtype: str, typed: Any) -> None:
    """Packed LoRA on a CPU, within 6 %; up to one block, of which layers with a window skip nothing."""
    import torch

    from edu_align.models.weights import add_adapter
    from edu_align.packing.decoder import share_prefixes
    from tests.networks import network

    config = typed("trainer=sft")
    model = network(kind, head_dim=8)
    config.model.architecture, _ = _read(model.config.to_dict())
    model = add_adapter(model.to(getattr(torch, dtype)), config.adapter, 0).train()
    for parameter in model.parameters():
        parameter.data = parameter.data.float() if parameter.requires_grad else parameter.data
    share_prefixes(model, "blocks")
    short, long = BLOCK // 2, BLOCK
    kept = kept_by_autograd(model, dtype, lengths=(short, long))
    shape, width = config.model.architecture, 4 if dtype == "float32" else 2
    norm = shape.hidden_size * _norm_width(config, Machine("cpu", dtype, None, "", None))
    layers = shape.num_hidden_layers * _block_bytes(config, targets(shape, config.adapter), width, norm, True)
    cells = shape.num_hidden_layers * width * (cells_of(long) - cells_of(short)) * shape.num_attention_heads
    planned = (long - short) * (layers + _last_bytes(config, width, norm))
    assert kept[long] - kept[short] - cells == pytest.approx(planned, rel=0.06)


@pytest.mark.parametrize("blocks", [False, True])
@pytest.mark.parametrize("adapter", ["lora", "full"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_activations_are_what_autograd_keeps(
    dtype: str, adapter: str, blocks: bool, typed: Any, random_model: Any
) -> None:
    """Between 64 and 128 tokens the kept bytes grow by the plan's bytes a token, within 6 %."""
    import torch

    from edu_align.models.weights import add_adapter
    from edu_align.packing.decoder import share_prefixes

    config = typed("trainer=sft", f"adapter={adapter}")
    model = random_model().to(getattr(torch, dtype))
    model = add_adapter(model, config.adapter, 0) if adapter == "lora" else model
    for parameter in model.parameters():
        parameter.data = parameter.data.float() if parameter.requires_grad else parameter.data
    model.train()
    if blocks:
        share_prefixes(model, "blocks")
    # As packing with SDPA does: a mask of its own, so that attention repeats the keys.
    kept = kept_by_autograd(model, dtype, own_mask=not blocks)
    shape, width = config.model.architecture, 4 if dtype == "float32" else 2
    # Of attention's matrix: a mask, or all heads' weights.
    cells = (cells_of(128) - cells_of(64)) * shape.num_attention_heads if blocks else 128**2 - 64**2
    cells *= shape.num_hidden_layers * width
    norm = shape.hidden_size * _norm_width(config, Machine("cpu", dtype, None, "", None))
    layers = shape.num_hidden_layers * _block_bytes(config, targets(shape, config.adapter), width, norm, blocks)
    planned = 64 * (layers + _last_bytes(config, width, norm))
    assert kept[128] - kept[64] - cells == pytest.approx(planned, rel=0.06)


@pytest.mark.parametrize("blocks", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_selective_checkpointing_keeps_is_planned(
    dtype: str, blocks: bool, typed: Any, random_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bytes that torch's contexts hold after a forward pass, of each layer; within 2 %."""
    import torch

    import edu_align.training.checkpointing as checkpointing
    from edu_align.models.weights import add_adapter
    from edu_align.packing.decoder import causal_model, share_prefixes

    stores, create = [], checkpointing.create_selective_checkpoint_contexts

    def watched(*given: Any) -> Any:
        contexts = create(*given)
        stores.append(contexts[0].storage)
        return contexts

    monkeypatch.setattr(checkpointing, "create_selective_checkpoint_contexts", watched)
    monkeypatch.setattr(checkpointing, "SHORT", 8)
    config = typed("trainer=sft", "adapter.rank=4")
    model = add_adapter(random_model().to(getattr(torch, dtype)), config.adapter, 0).train()
    for parameter in model.parameters():
        parameter.data = parameter.data.float() if parameter.requires_grad else parameter.data
    if blocks:
        share_prefixes(model, "blocks")
    checkpointing.checkpoint_by(model, "selective")
    model.activation_checkpointing_enable()
    mask = None if blocks else torch.ones(64, 64, dtype=torch.bool).tril()[None, None]
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"):
        causal_model(model).model(torch.arange(64)[None] % 100, attention_mask=mask, use_cache=False)
    held = [[value.get_val(True) for entry in store.values() for value in _kept(entry.values())] for store in stores]
    shape, width = config.model.architecture, 4 if dtype == "float32" else 2
    planned = 64 * _product_bytes(config, targets(shape, config.adapter), width, blocks)
    assert len(held) == shape.num_hidden_layers
    for layer in held:
        assert sum(value.nbytes for value in layer) == pytest.approx(planned, rel=0.02)


def _kept(values: Any) -> Any:
    """torch's wrappers of kept tensors among the entries of a store."""
    from torch.utils._pytree import tree_leaves

    return [leaf for value in values for leaf in tree_leaves(value) if hasattr(leaf, "get_val")]


def test_each_mode_is_planned_to_take_less_than_the_one_before() -> None:
    words = ["trainer=dpo", "model=smollm2", "hardware=cpu", "dataset.size=40", "hardware.memory_gb=100"]
    words.append("hardware.eval_batch_size=1")  # else the reference model's pass is the largest moment

    def peak(mode: str, *more: str) -> float:
        return make_plan(config_of(*words, *more, f"hardware.gradient_checkpointing={mode}")).peak

    on_gpu = ["hardware.device=cuda", "hardware.dtype=bfloat16"]
    for modes, more in ((CHECKPOINTING[:3], []), (CHECKPOINTING, on_gpu)):
        peaks = [peak(mode, *more) for mode in modes]
        assert peaks == sorted(peaks, reverse=True)
        assert len(set(peaks)) == len(peaks)
    assert peak("true") == peak("full")


def test_a_shared_prompt_counts_once() -> None:
    batch = [(1, 100, 11, 10, 12, 20), (1, 100, 11, 10, 13, 30), (2, 50, 21, 5, 22, 5)]
    assert _size(batch, packed=True, pairs=True) == (320, 160, 70)  # two rows of 160
    assert _size(batch, packed=False, pairs=True)[0] == 6 * 130


def test_a_reward_model_is_planned_as_pairs_or_replies_without_a_vocabulary() -> None:
    words = ["model=smollm2", "hardware=cpu", "hardware.dtype=float32", "dataset.size=40", "trainer.max_length=512"]
    dpo, pairs = (make_plan(config_of(f"trainer={name}", *words)) for name in ("dpo", "reward"))
    graded = make_plan(config_of("trainer=reward", "trainer.reward_loss=ordinal", *words))
    assert "pairs, " in pairs.describe()
    assert "replies, " in graded.describe()
    assert pairs.work.total_tokens == dpo.work.total_tokens
    assert (pairs.parts["logits"], graded.parts["logits"]) == (0.0, 0.0)
    assert dpo.parts["logits"] > 0
    assert graded.work.tokens <= pairs.work.tokens * 2


def test_the_two_plans_of_the_readme_fit_a_t4_in_three_seconds() -> None:
    for words in (["experiment=mistral_puffin_t4"], T4):
        began = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
        done = plan(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "of 15.00 (hardware.memory_gb): fits" in done.stdout
        assert sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]) - began < 3  # of processor time


def test_without_quantization_it_says_why_not_and_what_would() -> None:
    done = plan(*T4, "hardware.quantization=none")
    assert done.returncode == 1
    assert "DOES NOT FIT" in done.stdout
    assert "hardware.quantization=nf4 saves 9.2 GB: then it fits" in done.stdout
    assert done.stderr == ""


def test_the_16_bit_copies_of_weights_that_are_all_trained_are_counted() -> None:
    words = ["trainer=sft", "model=zephyr", "hardware=a100", "dataset.size=40"]
    parts = make_plan(config_of(*words, "adapter=full")).parts
    assert parts["16-bit copies"] == 2 * linear_parameters(config_of("model=zephyr").model.architecture)
    for other in (["adapter=full", "hardware.dtype=float32"], ["adapter=lora"]):
        assert "16-bit copies" not in make_plan(config_of(*words, *other)).parts


def test_on_a_cpu_adapted_layers_keep_a_wider_copy_of_their_weight() -> None:
    words = ["model=zephyr", "hardware=cpu", "hardware.dtype=bfloat16", "dataset.size=40", "adapter.rank=1"]
    words.append("hardware.adapted_copies=on")
    whole = linear_parameters(config_of("model=zephyr").model.architecture)
    parts = make_plan(config_of(*words)).parts
    assert 2 * whole < parts["16-bit copies"] < 2.002 * whole
    parts = make_plan(config_of(*words, "adapter.target_modules=[q_proj]")).parts
    assert 2 * 32 * 4096 * 4096 < parts["16-bit copies"] < 0.2 * whole
    assert "16-bit copies" not in make_plan(config_of(*words, "hardware.dtype=float32")).parts


def test_a_plan_imports_nothing_heavy() -> None:
    code = "import sys; sys.argv = ['plan', 'experiment=mistral_puffin_t4']; import edu_align.plan as p; p.main(); "
    code += "print(sorted({'torch', 'transformers', 'trl', 'datasets'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


def test_training_refuses_what_cannot_fit(train: Any, tmp_path: Path) -> None:
    words = ["trainer=sft", "hardware.memory_gb=0.5", f"outputs_root={tmp_path}/o", "evaluation.enabled=false"]
    with pytest.raises(UserError, match=r"may take 0\.5 GB \(hardware\.memory_gb\).*hardware\.memory_check=false"):
        train(*words)
    assert not (tmp_path / "o").exists()
    assert train(*words, "hardware.memory_check=false", "run_name=anyway").record["state"] == "finished"


def test_every_change_that_is_advised_saves() -> None:
    less = ["hardware.quantization=none", "hardware.memory_gb=9", "hardware.optimizer=adamw_torch"]
    made = make_plan(config_of(*T4, *less))
    assert not made.fits
    saves = [change.saves for change in made.changes]
    assert saves == sorted(saves, reverse=True)
    assert saves[-1] > 0
    assert made.machine == Machine("cuda", "float16", 9 * 2**30, "hardware.memory_gb", 65.0)


def test_a_chain_plans_each_stage() -> None:
    done = plan("experiment=tutor", "hardware=t4", "model=zephyr")
    assert "trainer=sft model=zephyr" in done.stdout
    assert "trainer=dpo model=zephyr" in done.stdout


def test_the_weights_that_are_packed_to_write_replies_are_counted(typed: Any) -> None:
    """As many bytes as `fused.inference` packs: in bfloat16, where there is room for them."""
    work = Work(100, 100, 50, 10, 1, 1, 100, "given")

    def measuring(dtype: str, *words: str) -> float:
        config = typed("trainer=sft", "evaluation.samples=0", *words)
        counts = count_parameters(config.model.architecture, config.adapter)
        return _without_gradient(config, Machine("cpu", dtype, None, "", None), work, counts)

    config = typed("trainer=sft")
    shape, linear = config.model.architecture, count_parameters(config.model.architecture, config.adapter).linear
    packed = (linear + shape.vocab_size * shape.hidden_size) * 2
    assert measuring("bfloat16") - measuring("bfloat16", "hardware.packing=off") == packed
    assert measuring("bfloat16") - measuring("bfloat16", f"hardware.memory_gb={8 * (packed - 2) / 2**30}") == packed
