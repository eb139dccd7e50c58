"""Losses of our own: the papers' equations, the rewards that are logged, and no reference model where none is read."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import trl.trainer.dpo_trainer as trl_module
from datasets import Dataset
from torch.nn.functional import log_softmax

from edu_align.config.schema import DPO_LOSSES, REFERENCE_FREE_LOSSES
from edu_align.models.device import Device
from edu_align.models.weights import add_adapter
from edu_align.packing.decoder import install_packing
from edu_align.planning.duration import operations
from edu_align.planning.workload import Work
from edu_align.training.dpo import DPOTrainer, build_dpo
from edu_align.training.losses import BY_TOKEN, LOSSES, NEAR_ONE, PairScores, orpo
from edu_align.training.rows import Rows
from tests.training.objectives import Drawn, Training, compared, difference, in_float64, rows_of

CPU = Device("cpu", "float32", "sdpa", "none", ())
IN_FLOAT64 = 1e-12
BETA, GAMMA = 2.0, 0.7
# By loss: keys of a run with it.
KEYS: dict[str, dict[str, Any]] = {
    "simpo": {"trainer.loss_type": "simpo", "trainer.beta": BETA, "trainer.simpo_gamma": GAMMA},
    "orpo": {"trainer.loss_type": "orpo", "trainer.beta": BETA},
    "cpo": {"trainer.loss_type": "cpo", "trainer.beta": 0.2, "trainer.sft_weight": 0.5},
}


def sigmoid(x: Any) -> Any:
    return 1 / (1 + torch.exp(-x))


def odds(p: Any) -> Any:
    return p / (1 - p)


# The papers' equations as they are printed: `w` and `r` are sums of log-probabilities, `m` and `n` numbers of tokens.
EQUATIONS: dict[str, Callable[..., Any]] = {
    "simpo": lambda w, r, m, n, beta: -torch.log(sigmoid(beta / m * w - beta / n * r - GAMMA)),
    "orpo": lambda w, r, m, n, beta: (
        -w / m - beta * torch.log(sigmoid(torch.log(odds(torch.exp(w / m)) / odds(torch.exp(r / n)))))
    ),
    "cpo": lambda w, r, m, n, beta: -torch.log(sigmoid(beta * w - beta * r)),
}


@pytest.fixture(scope="module")
def training(
    tiny: Any, random_model: Callable[..., Any], bytes_tokenizer: Any, tmp_path_factory: pytest.TempPathFactory
) -> Training:
    return Training(tiny, random_model, bytes_tokenizer, tmp_path_factory.mktemp("losses"))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("beta", [0.1, 2.5])
def test_the_equation_and_its_gradient(loss: str, beta: float) -> None:
    draw = torch.Generator().manual_seed(0)
    tokens = torch.randint(1, 40, (2, 50), generator=draw).double()
    means = -3 * torch.rand(2, 50, generator=draw, dtype=torch.float64) - 1e-3
    found = []
    for of in (lambda w, r, m, n: LOSSES[loss](PairScores(w, r, 0, 0, m, n, beta, 0.0, GAMMA)), None):
        chosen, rejected = ((mean * many).requires_grad_() for mean, many in zip(means, tokens, strict=True))
        values = of(chosen, rejected, *tokens) if of else EQUATIONS[loss](chosen, rejected, *tokens, beta)
        assert values.shape == (50,)
        values.sum().backward()
        found.append([values.detach(), chosen.grad, rejected.grad])
    for ours, papers in zip(*found, strict=True):
        assert papers.abs().max() > 0
        assert torch.allclose(ours, papers, rtol=1e-10, atol=1e-13)


def test_a_reply_that_is_certain_has_finite_odds() -> None:
    """In float32 the probability of a short reply that is known by heart is 1."""
    chosen, rejected = torch.zeros(2, requires_grad=True), torch.tensor([-1e-9, -200.0], requires_grad=True)
    loss = orpo(PairScores(chosen, rejected, 0, 0, torch.ones(2), torch.ones(2), 0.1, 0.0))
    loss.sum().backward()
    assert chosen.grad is not None
    assert rejected.grad is not None
    for value in (loss.detach(), chosen.grad, rejected.grad):
        assert value.isfinite().all()
    assert loss[0].item() == pytest.approx(0.1 * torch.log(torch.tensor(2.0)).item(), abs=10 * NEAR_ONE)


def scores_of(model: Any, rows: Rows) -> list[Any]:
    """Sums of log-probabilities and numbers of tokens of the chosen and rejected replies, one forward pass a reply."""
    columns: list[list[float]] = [[], [], [], []]
    for row in rows.rows:
        for side, name in enumerate(("chosen", "rejected")):
            prompt, reply = row["prompt_ids"], row[f"{name}_ids"]
            with torch.no_grad():
                logits = model(torch.tensor([prompt + reply])).logits[0, len(prompt) - 1 : -1]
            chosen = log_softmax(logits, -1)[range(len(reply)), reply]
            columns[side].append(float(chosen.sum()))
            columns[2 + side].append(len(reply))
    return [torch.tensor(column, dtype=torch.float64) for column in columns]


@pytest.mark.parametrize("packing", ["on", "off"])
@pytest.mark.parametrize("loss", LOSSES)
def test_what_a_step_logs_is_the_equation_of_its_replies(training: Training, loss: str, packing: str) -> None:
    """The first step's loss and rewards, from the log-probabilities that plain forward passes give."""
    drawn = Drawn("dpo", {**KEYS[loss], "hardware.packing": packing, "trainer.max_length": 32}, 5, 8)
    with in_float64(training):
        first = training.of(drawn, 2).lines[0]
        training.model.double()
        w, r, m, n = scores_of(training.model, rows_of(drawn, 32))
        training.model.float()
    beta, sft = KEYS[loss]["trainer.beta"], KEYS[loss].get("trainer.sft_weight", 0.0)
    expected = EQUATIONS[loss](w, r, m, n, beta).mean() - sft * w.sum() / m.sum()
    assert first["loss"] == pytest.approx(float(expected), rel=1e-6)
    chosen, rejected = (beta * w / m, beta * r / n) if loss in BY_TOKEN else (beta * w, beta * r)
    rewards = {"chosen": chosen, "rejected": rejected, "margins": chosen - rejected}
    rewards["accuracies"] = (chosen > rejected).double()
    for name, values in rewards.items():
        assert first[f"rewards/{name}"] == pytest.approx(float(values.mean()), rel=1e-9), name
    assert first["logps/chosen"] == pytest.approx(float(w.mean()), rel=1e-9)


@pytest.mark.parametrize("loss", ["simpo", *(pytest.param(name, marks=pytest.mark.slow) for name in ("orpo", "cpo"))])
def test_packed_or_not_and_however_cut_a_step_is_the_same(training: Training, loss: str) -> None:
    """21 rows: the last step has five. What one pass logs is what passes of two log."""
    values = {**KEYS[loss], "trainer.epochs": 2, "trainer.max_length": 32}
    on, off = (Drawn("dpo", {**values, "hardware.packing": packing}, 21, 16) for packing in ("on", "off"))
    with in_float64(training):
        assert compared(training, on, 2, 1e-6) < IN_FLOAT64
        assert difference(training.of(on, 16), training.of(off, 16)) < IN_FLOAT64


@pytest.mark.parametrize("kind", ["lora", "adapted", "full"])
def test_no_reference_model_is_computed_kept_or_copied(
    typed: Any, random_model: Any, bytes_tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """`adapted`: a run with `init_from`, whose adapter TRL copies for the reference."""
    asked: list[str] = []
    monkeypatch.setattr(DPOTrainer, "compute_ref_log_probs", lambda *given: asked.append("scored"))
    monkeypatch.setattr(trl_module, "hash_module", lambda model: asked.append("hashed"))
    monkeypatch.setattr(trl_module, "create_model_from_path", lambda *given, **options: asked.append("loaded"))
    words = [f"{key}={value}" for key, value in KEYS["simpo"].items()]
    config = typed("trainer=dpo", *words, f"adapter={'full' if kind == 'full' else 'lora'}", "trainer.eval_steps=1")
    config.init_from = "a run" if kind == "adapted" else None
    model = random_model()
    if kind != "full":
        model = add_adapter(model, config.adapter, seed=0)
    install_packing("on", model)
    rows = rows_of(Drawn("dpo", {}, 6, 4), 32)
    trainer = build_dpo(config, model, bytes_tokenizer, rows, rows, CPU, tmp_path)
    assert trainer.ref_model is None
    assert list(getattr(trainer.model, "peft_config", {"default": 0})) == ["default"]
    trainer.train()
    assert trainer.state.global_step == 3
    assert asked == []
    for dataset in (trainer.train_dataset, trainer.eval_dataset):
        assert isinstance(dataset, Dataset)
        assert not [name for name in dataset.column_names if name.startswith("ref")]


def test_a_plan_counts_no_pass_of_a_reference_model(typed: Any) -> None:
    work = Work(100, 50, 20, 100, 4, 10, 1000, "")
    with_one = operations(typed("trainer=dpo"), work)
    assert with_one is not None
    for loss, keys in KEYS.items():
        without = operations(typed("trainer=dpo", *(f"{key}={value}" for key, value in keys.items())), work)
        assert without == with_one * 4 / 6, loss


def test_every_word_has_its_function() -> None:
    assert LOSSES.keys() == set(REFERENCE_FREE_LOSSES)
    assert set(BY_TOKEN) <= LOSSES.keys() <= set(DPO_LOSSES)
