"""Runs with variants of LoRA: what is saved fits the untouched base, DPO's reference; a kill changes no bit."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel

from edu_align.runs.start import is_foreign
from edu_align.utils.errors import UserError
from edu_align.utils.files import write_json
from tests.composing import config_of
from tests.conftest import Observed
from tests.scenarios.test_resume import UNMEASURED, alone_and_killed

IDS = torch.tensor([[5, 9, 31, 7, 64, 12, 80], [3, 3, 40, 41, 42, 43, 44]])
UNTIED = "model.architecture.tie_word_embeddings=false"
WHOLE = [UNTIED, "+adapter.args.modules_to_save=[lm_head,embed_tokens,model.norm]"]
VARIANTS = {
    "rslora": ["adapter=rslora"],
    "dora": ["adapter=dora"],
    "pissa": ["adapter=pissa"],
    "olora": ["adapter=pissa", "adapter.args.init_lora_weights=olora"],
    "in full": WHOLE,
}


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model.eval()(IDS).logits
    return found


def loaded(done: Observed, base: Any) -> Any:
    """The run's folder as plain PEFT loads it."""
    return PeftModel.from_pretrained(base, str(done.path / "adapter"))


@pytest.mark.parametrize("trainer", [pytest.param("sft", marks=pytest.mark.slow), "dpo"])
@pytest.mark.parametrize("name", VARIANTS)
def test_what_is_saved_is_what_was_trained(
    name: str, trainer: str, train: Any, random_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edu_align.training.session import Session

    memory: list[torch.Tensor] = []
    original = Session._save_model
    monkeypatch.setattr(
        Session, "_save_model", lambda self, *rest: memory.append(logits(self.model)) or original(self, *rest)
    )
    done = train(f"trainer={trainer}", UNMEASURED, *VARIANTS[name], f"run_name={trainer}-{name}".replace(" ", "-"))
    rows = done.folder.rows("metrics.jsonl")
    shape = {"tie_word_embeddings": False} if name == "in full" else {}
    base = random_model(seed=42, **shape)
    plain = logits(base)
    model = loaded(done, base)
    saved = logits(model)
    assert (saved - memory[0]).abs().max() < 1e-5
    assert (saved - plain).abs().max() > 1e-3, "it has learned"
    assert (logits(model.merge_and_unload(safe_merge=True)) - saved).abs().max() < 1e-5
    if trainer == "dpo":
        assert rows[0]["loss"] == pytest.approx(0.693147, abs=1e-5), "policy and reference are one model at first"
    stored = json.loads((done.path / "adapter" / "adapter_config.json").read_text())
    doubled = name in ("pissa", "olora")
    assert (stored["r"], stored["init_lora_weights"]) == ((8, True) if doubled else (4, True))


@pytest.mark.parametrize(
    "name", ["pissa", "in full", *(pytest.param(one, marks=pytest.mark.slow) for one in ("rslora", "dora", "olora"))]
)
def test_the_reference_is_the_base(name: str, train: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its log-probabilities are those of a run whose adapter adds nothing."""
    from edu_align.training import session

    kept: list[Any] = []
    original = session.METHODS["dpo"]

    def built(*given: Any) -> Any:
        made = original(*given)
        kept.append((made.train_dataset["ref_chosen_logps"], made.train_dataset["ref_rejected_logps"]))
        return made

    monkeypatch.setitem(session.METHODS, "dpo", built)
    shape = [UNTIED] if name == "in full" else []
    for words, label in ((shape, "plain"), (VARIANTS[name], "variant")):
        train(
            "trainer=dpo",
            UNMEASURED,
            *words,
            "cache_gb=0",
            "seed=5",
            f"run_name=reference-{name}-{label}".replace(" ", "-"),
        )
    (plain, variant) = (torch.tensor(one) for one in kept)
    assert torch.allclose(plain, variant, atol=1e-4)


@pytest.mark.parametrize("name", ["pissa", *(pytest.param(one, marks=pytest.mark.slow) for one in ("dora", "in full"))])
def test_killed_and_resumed(name: str, go: Any) -> None:
    alone_and_killed(go, [5], "trainer=sft", *VARIANTS[name], "adapter.lora_plus_ratio=8", UNMEASURED)


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_dpo_goes_on_from_what_sft_left(name: str, train: Any) -> None:
    label = name.replace(" ", "-")
    train("trainer=sft", *VARIANTS[name], f"run_name=first-{label}")
    done = train("trainer=dpo", *VARIANTS[name], f"init_from=first-{label}", f"run_name=second-{label}")
    assert done.folder.rows("metrics.jsonl")[0]["loss"] == pytest.approx(0.693147, abs=1e-5)
    assert not any(".ref." in key for key in done.trained)
    with pytest.raises(UserError, match=r"the adapter goes on as it is, with .*adapter\.args=\{"):
        train(
            "trainer=dpo",
            *(WHOLE[:1] if name == "in full" else []),
            f"init_from=first-{label}",
            f"run_name=third-{label}",
        )


def test_the_second_matrices_learn_faster(train: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from edu_align.training.lora_plus import LoraPlus

    found: set[tuple[float, bool]] = set()
    create = LoraPlus.create_optimizer

    def watched(self: Any, *given: Any, **options: Any) -> Any:
        optimizer = create(self, *given, **options)
        names = {id(value): name for name, value in self.model.named_parameters()}
        for group in optimizer.param_groups:
            found.update((round(group["lr"], 6), ".lora_B." in names[id(one)]) for one in group["params"])
        return optimizer

    monkeypatch.setattr(LoraPlus, "create_optimizer", watched)
    done = train("trainer=sft", UNMEASURED, "adapter.lora_plus_ratio=16", "run_name=plus")
    assert found == {(0.001, False), (0.016, True)}
    assert done.folder.rows("metrics.jsonl")[0]["learning_rate"] == pytest.approx(0.001)


def foreign(folder: Path, runs: Any, **changes: Any) -> Path:
    """The adapter of a run, as somebody else would hand it over: without its run, with another config."""
    shutil.copytree(runs("sft").path / "adapter", folder)
    file = folder / "adapter_config.json"
    write_json(file, json.loads(file.read_text()) | changes)
    return folder


def test_a_foreign_adapter_goes_on_as_it_is(runs: Any, train: Any, tmp_path: Path, capfd: Any) -> None:
    """Its own rank and layers count, nulls are absent, fields of a newer PEFT are named; the reference is its copy."""
    place = foreign(tmp_path / "theirs", runs, brand_new=1, lora_bias=None, base_model_name_or_path="owner/other")
    words = ["trainer=dpo", f"init_from={place}", "adapter.rank=32", "adapter.alpha=64", "run_name=on-theirs"]
    done = train(*words)
    said = capfd.readouterr().out
    assert "it goes on as it is, rank 4, alpha 8" in said
    assert "does not know them: brand_new" in said
    assert "it names owner/other as its base model" in said
    config = (done.path / "config.yaml").read_text()
    assert "rank: 4" in config
    assert done.folder.rows("metrics.jsonl")[0]["loss"] == pytest.approx(0.693147, abs=1e-5)
    assert is_foreign(done.record)
    start = runs("sft").after
    assert all(torch.equal(done.before[name], start[name]) for name in done.trained)


REFUSED = [
    ({"peft_type": "IA3"}, "says peft_type=IA3, and edu_align trains LoRA."),
    ({"task_type": "SEQ_CLS"}, "belongs to a model with another head than text."),
    ({"init_lora_weights": "pissa"}, "stands on changed weights, not on its base."),
    ({"bias": "all"}, "says bias=all, which cannot be trained on here"),
    ({"r": None}, "must say r and lora_alpha as whole numbers"),
    ({"r": 5}, "that adapter does not fit model=tiny"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "expected"), REFUSED)
def test_what_is_no_lora_for_this_base_is_refused(
    changes: dict[str, Any], expected: str, runs: Any, go: Any, tmp_path: Path
) -> None:
    place = foreign(tmp_path / "theirs", runs, **changes)
    with pytest.raises(UserError) as caught:
        go("trainer=sft", f"init_from={place}", "adapter.rank=32", "adapter.alpha=64")
    assert expected in str(caught.value)


def test_a_foreign_adapter_is_not_read_with_other_keys_or_pickled(runs: Any, go: Any, tmp_path: Path) -> None:
    place = foreign(tmp_path / "theirs", runs)
    with pytest.raises(UserError, match=r"the adapter goes on as it is, with adapter\.rank=4"):
        go("trainer=sft", f"init_from={place}", "adapter.rank=16", "adapter.alpha=64")
    with pytest.raises(UserError, match=r"that is the adapter of a run\. Give the run"):
        go("trainer=sft", f"init_from={runs('sft').path / 'adapter'}")
    (place / "adapter_model.safetensors").rename(place / "adapter_model.bin")
    with pytest.raises(UserError, match="pickled weights are never loaded"):
        go("trainer=sft", f"init_from={place}", "adapter.rank=32", "adapter.alpha=64")


def test_presets_are_lora_with_options() -> None:
    for name in ("rslora", "dora", "pissa"):
        assert config_of(f"adapter={name}").adapter.name == "lora"
