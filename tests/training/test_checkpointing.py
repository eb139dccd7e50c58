"""Every mode of `hardware.gradient_checkpointing`: the same numbers as without, what is kept, and refusals."""

from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from torch.utils._python_dispatch import TorchDispatchMode

import edu_align.planning.machine as machine
import edu_align.training.checkpointing as checkpointing
from edu_align.config.schema import CHECKPOINTING
from edu_align.config.stored import stored_config
from edu_align.fused import fuse
from edu_align.models.weights import in_base_dtype
from edu_align.packing.decoder import share_prefixes
from edu_align.planning.plan import make_plan
from edu_align.training.checkpointing import checkpoint_by
from edu_align.utils.errors import UserError
from tests.composing import config_of
from tests.fused.test_fused import adapted, transformers_rotation

__all__ = ["transformers_rotation"]  # an automatic fixture
ROWS = torch.tensor([[*range(5, 35), *end] for end in ([40, 41, 42], [40, 41, 50], [60, 61, 62])])
SUMS = 8  # shorter than any layer of the tiny networks, longer than the adapters' rank


@pytest.fixture(autouse=True)
def products_of_tiny_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpointing, "SHORT", SUMS)


def packed(name: str, backend: str, dtype: torch.dtype = torch.float32, **options: Any) -> Any:
    """A tiny adapted network that is trained packed; `blocks` with the fused layers of a CPU, as a run has it."""
    model = adapted(name, **options).train()
    for parameter in model.parameters():
        parameter.data = parameter.data if parameter.requires_grad else parameter.data.to(dtype)
    in_base_dtype(model)
    if backend == "blocks":
        fuse(model)
    share_prefixes(model, backend)
    return model


def outcome(model: Any, mode: str, dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    """Hidden states and the gradient of every trained parameter, from the same random numbers for every mode."""
    checkpoint_by(model, mode)
    if mode != "false":
        model.activation_checkpointing_enable()
    model.zero_grad()
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        hidden = model.get_base_model().base_model(input_ids=ROWS.to(model.device), use_cache=False).last_hidden_state
    hidden.float().square().sum().backward()
    grads = {name: value.grad.clone() for name, value in model.named_parameters() if value.grad is not None}
    return {"hidden": hidden.detach(), **grads}


def same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    assert len(expected) > 10
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("backend", ["blocks", "dense"])
@pytest.mark.parametrize("name", ["llama", "qwen2", "gemma3_text", "phi3"])
def test_every_mode_gives_the_same_bits_with_packing(name: str, backend: str, dtype: torch.dtype) -> None:
    expected = outcome(packed(name, backend, dtype), "false", dtype)
    for mode in ("full", "selective"):
        same(outcome(packed(name, backend, dtype), mode, dtype), expected)


def test_dropped_inputs_are_dropped_again() -> None:
    expected = outcome(packed("llama", "dense", lora_dropout=0.5), "false")
    for mode in ("full", "selective"):
        same(outcome(packed("llama", "dense", lora_dropout=0.5), mode), expected)


class Products(TorchDispatchMode):
    """Counts the matrix products and kernels of attention that are computed inside the block."""

    def __init__(self) -> None:
        super().__init__()
        self.many = 0

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if operation in checkpointing.PRODUCTS:
            self.many += args[-2].shape[-1] >= SUMS and args[-1].shape[-1] > 4  # not the adapters' small ones
        self.many += operation in checkpointing.KERNELS
        return operation(*args, **kwargs or {})


@pytest.mark.parametrize("backend", ["blocks", "dense"])
def test_selective_computes_no_product_of_a_forward_pass_again(backend: str) -> None:
    many = {}
    for mode in ("false", "full", "selective"):
        model = packed("llama", backend)
        model.enable_input_require_grads()  # as checkpointing does: the first layer's input has a gradient, too
        with Products() as products:
            outcome(model, mode)
        many[mode] = products.many
    assert many["selective"] == many["false"]
    assert many["full"] >= many["false"] + 4 * 7  # four layers of seven


SHORT_RUN = ["trainer.max_steps=3", "evaluation.enabled=false"]


def losses_of(train: Any, mode: str, name: str, *words: str) -> list[float]:
    """The losses of the steps of a tiny run."""
    done = train(*SHORT_RUN, *words, f"hardware.gradient_checkpointing={mode}", f"run_name={name}-{mode}")
    return [row["loss"] for row in done.folder.rows("metrics.jsonl") if "loss" in row]


def test_in_4_bits_the_losses_are_the_same(train: Any, mistral_folder: Any) -> None:
    pytest.importorskip("bitsandbytes")
    words = [f"model.path={mistral_folder}", "model.weights=pretrained", "model.tokenizer=null"]
    words += ["trainer=sft", "hardware.quantization=nf4"]
    expected, found = (losses_of(train, mode, "nf4", *words, "force=true") for mode in ("false", "selective"))
    assert len(expected) == 3
    assert found == expected


def test_the_reference_model_between_the_passes_leaves_the_mode_as_it_is(train: Any) -> None:
    """TRL turns checkpointing off and on again around it."""
    seen = []

    def losses(mode: str) -> list[float]:
        live = ["trainer=dpo", "trainer.precompute_reference=false", "force=true"]
        return losses_of(train, mode, "live", *live)

    with pytest.MonkeyPatch.context() as patch:
        original = checkpointing.policy
        patch.setattr(checkpointing, "policy", lambda *given, **more: seen.append(1) or original(*given, **more))
        selective = losses("selective")
    assert len(selective) == 3
    assert seen
    assert selective == losses("false") == losses("true")


def test_offload_is_transformers_own_and_gives_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU, which runs refuse, without pinned memory, which it has not."""
    import transformers.modeling_utils as transformers

    calls = []
    original = transformers.save_on_cpu
    monkeypatch.setattr(transformers, "save_on_cpu", lambda **given: calls.append(given) or original())
    model = packed("llama", "blocks")
    same(outcome(model, "offload"), outcome(packed("llama", "blocks"), "false"))
    assert len(calls) == 4  # layers
    model.activation_checkpointing_disable()
    model.activation_checkpointing_enable({"use_reentrant": False})  # as TRL does
    same(outcome(model, "offload"), outcome(packed("llama", "blocks"), "false"))
    assert len(calls) == 8


@pytest.mark.gpu
def test_offload_leaves_the_inputs_of_layers_to_the_host() -> None:
    """Never run here: no GPU was at hand."""
    peaks, found = {}, {}
    for mode in ("false", "full", "offload"):
        model = packed("llama", "dense").cuda()
        torch.cuda.reset_peak_memory_stats()
        found[mode] = outcome(model, mode)
        peaks[mode] = torch.cuda.max_memory_allocated()
    assert peaks["offload"] < peaks["full"] < peaks["false"]
    for mode in ("full", "offload"):
        same(found[mode], found["false"])


def test_offload_is_refused_on_a_cpu_before_anything_is_read(
    go: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setattr(machine, "first_gpu", lambda: None)
    words = ["trainer=dpo", "hardware.gradient_checkpointing=offload", "model.path=no/such-model"]
    for device in ("auto", "cpu"):
        with pytest.raises(UserError, match=r"gradient_checkpointing=offload.*on a CPU.*selective or full"):
            go(*words, f"hardware.device={device}", "hardware.memory_check=false")
        with pytest.raises(UserError, match=r"gradient_checkpointing=offload"):
            make_plan(config_of(*words[:2], f"hardware.device={device}"))
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("typed", "word"), [("true", "full"), ("false", "false"), *zip(*[CHECKPOINTING] * 2, strict=True)]
)
def test_true_means_full_on_a_command_line_in_a_file_and_in_a_run(typed: str, word: str, tmp_path: Any) -> None:
    assert config_of(f"hardware.gradient_checkpointing={typed}").hardware.gradient_checkpointing == word
    (tmp_path / "hardware").mkdir()
    preset = "defaults: [hardware_schema, _self_]\nname: own\nper_device_batch_size: 1\neval_batch_size: 1\n"
    (tmp_path / "hardware" / "own.yaml").write_text(f"{preset}gradient_checkpointing: {typed}\npacking: off\n")
    from edu_align.config.compose import compose

    made = compose(["hardware=own", "tracking=off"], [tmp_path])
    assert (made.hardware.gradient_checkpointing, made.hardware.packing) == (word, "off")
    kept = OmegaConf.to_container(compose(["tracking=off"]))
    kept["hardware"]["gradient_checkpointing"] = OmegaConf.create(f"value: {typed}").value
    OmegaConf.save(OmegaConf.create(kept), tmp_path / "config.yaml")
    assert stored_config(tmp_path / "config.yaml", {}).hardware.gradient_checkpointing == word


def test_another_word_is_told_the_four() -> None:
    with pytest.raises(UserError, match=r"must be one of false \| selective \| full \| offload, got 'some'"):
        config_of("hardware.gradient_checkpointing=some")
