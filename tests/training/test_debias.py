"""Pairs that words decide count less: the equations of Clark et al. (2019), in a step however it is cut."""

from collections.abc import Callable
from dataclasses import replace
from math import exp, log
from pathlib import Path
from typing import Any

import pytest
import torch

from edu_align.config.schema import DEBIASED_LOSSES
from edu_align.training import losses
from edu_align.training.debias import bias_of, weights
from edu_align.training.dpo import DPOTrainer
from edu_align.training.losses import PairScores
from edu_align.utils.errors import UserError
from tests.data.test_bag_of_words import pairs_of_style
from tests.training.objectives import Drawn, Training, compared, difference, in_float64, rows_of

KEYS: dict[str, dict[str, Any]] = {
    "sigmoid": {"trainer.beta": 0.5},
    "simpo": {"trainer.loss_type": "simpo", "trainer.beta": 2.0, "trainer.simpo_gamma": 0.7},
    "orpo": {"trainer.loss_type": "orpo", "trainer.beta": 2.0},
    "cpo": {"trainer.loss_type": "cpo", "trainer.beta": 0.2, "trainer.sft_weight": 0.5},
}
HOWS = ["reweight", "product"]


@pytest.fixture(scope="module")
def training(
    tiny: Any, random_model: Callable[..., Any], bytes_tokenizer: Any, tmp_path_factory: pytest.TempPathFactory
) -> Training:
    return Training(tiny, random_model, bytes_tokenizer, tmp_path_factory.mktemp("debias"))


def test_weights_are_one_minus_p_and_one_on_average() -> None:
    found = weights([log(3), 0.0, -log(3)])  # p = 3/4, 1/2, 1/4
    assert found == pytest.approx([0.5, 1.0, 1.5])
    assert weights([-2000.0, 2000.0]) == pytest.approx([2.0, 0.0])


def test_what_is_told_of_the_pairs() -> None:
    pairs = pairs_of_style(40)
    odds, line = bias_of("product", pairs, 0)
    weighed, other = bias_of("reweight", pairs, 0)
    assert weighed == pytest.approx(weights(odds))
    right = sum(value > 0 for value in odds) / len(odds)
    assert f"a bag of words orders {right:.3f} of 80 training pairs right" in line
    assert line.endswith(f"log-odds from {min(odds):.2f} to {max(odds):.2f}")
    assert other.endswith(f"weights from {min(weighed):.2f} to {max(weighed):.2f}")
    with pytest.raises(UserError, match=r"pairs of 9: at least 10 are needed\. Add data, or set trainer\.debias=none"):
        bias_of("product", pairs_of_style(9), 0)


@pytest.mark.parametrize("loss", DEBIASED_LOSSES)
def test_product_adds_log_odds_to_those_of_the_loss(loss: str) -> None:
    """exp of minus the term that compares is a probability; its odds are multiplied by the other expert's."""
    draw = torch.Generator().manual_seed(0)
    w, r = (-30 * torch.rand(20, generator=draw, dtype=torch.float64) - 1 for _ in range(2))
    tokens, odds = torch.full((20,), 9.0).double(), torch.randn(20, generator=draw, dtype=torch.float64)
    scores = PairScores(w, r, w / 2, r / 3, tokens, tokens, 0.3, 0.0, 0.1)
    of = losses.LOSSES.get(loss, losses.sigmoid)
    one, both = (of(each) for each in (scores, replace(scores, odds=odds)))
    if loss == "orpo":
        one, both = ((each + w / tokens) / 0.3 for each in (one, both))
    p, q = torch.exp(-one), torch.exp(-both)
    assert torch.allclose(q / (1 - q), p / (1 - p) * torch.exp(odds), rtol=1e-9)


def test_dpo_is_trls_where_nothing_is_weighed(training: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights of 1, and log-odds of 0."""
    plain = Drawn("dpo", {"trainer.beta": 0.5, "trainer.max_length": 32}, 9, 4)
    with in_float64(training):
        expected = training.of(plain, 4)
        for how, neutral in (("reweight", 1.0), ("product", 0.0)):
            given = replace(plain, values={**plain.values, "trainer.debias": how})
            rows = replace(rows_of(given, 32), bias=[neutral] * 9)
            monkeypatch.setattr("tests.training.objectives.rows_of", lambda *asked, rows=rows: rows)
            found = training.of(given, 4)
            monkeypatch.undo()
            assert difference(expected, found) < 1e-12
            for line, other in zip(expected.lines, found.lines, strict=True):
                assert line == pytest.approx(other, rel=1e-9)


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("packing", ["on", "off"])
@pytest.mark.parametrize("precompute", [True, False])
def test_the_first_loss_is_the_equation(training: Training, how: str, packing: str, precompute: bool) -> None:
    """Policy and reference are one model there: each pair's margin is 0."""
    values = {**KEYS["sigmoid"], "trainer.debias": how, "hardware.packing": packing, "trainer.max_length": 32}
    drawn = Drawn("dpo", {**values, "trainer.precompute_reference": precompute}, 5, 8)
    first = training.of(drawn, 2).lines[0]
    numbers = rows_of(drawn, 32).bias
    assert numbers is not None
    each = [value * log(2) if how == "reweight" else log(1 + exp(-value)) for value in numbers]
    assert first["loss"] == pytest.approx(sum(each) / len(each), rel=1e-5)
    assert first["rewards/margins"] == pytest.approx(0.0, abs=1e-5)


SLOW = pytest.mark.slow


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("loss", ["sigmoid", *(pytest.param(name, marks=SLOW) for name in ("simpo", "orpo", "cpo"))])
def test_packed_or_not_and_however_cut_a_step_is_the_same(training: Training, loss: str, how: str) -> None:
    """21 rows: the last step has five, and a pair's number stays its own."""
    values = {**KEYS[loss], "trainer.debias": how, "trainer.epochs": 2, "trainer.max_length": 32}
    on, off = (Drawn("dpo", {**values, "hardware.packing": packing}, 21, 16) for packing in ("on", "off"))
    with in_float64(training):
        assert compared(training, on, 2, 1e-6) < 1e-7, "the numbers themselves are float32"
        assert difference(training.of(on, 16), training.of(off, 16)) < 1e-7
        plain = replace(on, values={**on.values, "trainer.debias": "none"})
        assert difference(training.of(on, 16), training.of(plain, 16)) > 0.01


@pytest.mark.parametrize("how", HOWS)
def test_a_run_takes_and_tells_them_and_validates_without(
    go: Callable[..., Any], how: str, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    met: list[tuple[bool, bool]] = []
    original = DPOTrainer._compute_loss

    def watched(self: Any, model: Any, inputs: Any, return_outputs: bool) -> Any:
        met.append((model.training, "bias" in inputs))
        return original(self, model, inputs, return_outputs)

    monkeypatch.setattr(DPOTrainer, "_compute_loss", watched)
    words = ["trainer=dpo", f"trainer.debias={how}", "dataset.max_train_records=60", "trainer.eval_steps=1"]
    done = go(*words, "trainer.max_length=512", "trainer.max_steps=2")
    assert done.record["state"] == "finished"
    assert f"trainer.debias={how}: a bag of words orders " in capsys.readouterr().out
    assert set(met) == {(True, True), (False, False)}


def test_it_is_in_the_name_of_a_run_only_where_it_is_on(typed: Any, tmp_path: Path) -> None:
    from dataclasses import asdict

    from edu_align.runs.identity import settings_of

    assert "trainer.debias" not in settings_of(asdict(typed("trainer=dpo")))
    assert settings_of(asdict(typed("trainer=dpo", "trainer.debias=product")))["trainer.debias"] == "product"
