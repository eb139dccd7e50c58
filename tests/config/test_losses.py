"""Which keys go with which loss: what it lacks, and what it does not read, is refused by name."""

from collections.abc import Callable

import pytest

Problems = Callable[..., list[str]]
SIMPO = "trainer=dpo trainer.loss_type=simpo"
ORPO = "trainer=dpo trainer.loss_type=orpo"
CPO = "trainer=dpo trainer.loss_type=cpo trainer.sft_weight=1"


@pytest.mark.parametrize(
    "words", [f"{SIMPO} trainer.beta=2 trainer.simpo_gamma=0", f"{SIMPO} trainer.simpo_gamma=1 trainer.sft_weight=1",
              ORPO, CPO, f"{CPO} adapter=full", "trainer=dpo trainer.debias=product", f"{ORPO} trainer.debias=reweight",
              "trainer=dpo trainer.pmi_weight=1 trainer.debias=product trainer.sft_weight=1"]
)  # fmt: skip
def test_losses_without_a_reference(problems: Problems, words: str) -> None:
    assert problems(*words.split()) == []


REFUSED = [
    (SIMPO, "needs its target margin `trainer.simpo_gamma`, got null."),
    (f"{SIMPO} trainer.simpo_gamma=-1", "must be >= 0, got -1.0."),
    (f"{SIMPO} trainer.simpo_gamma=1 trainer.label_smoothing=0.1", "does nothing with trainer.loss_type=simpo. Set"),
    (f"{SIMPO} trainer.simpo_gamma=1 +trainer.args.ld_alpha=0.5", "does nothing with trainer.loss_type=simpo. Set"),
    (f"{ORPO} trainer.sft_weight=1", "would add a second SFT term to trainer.loss_type=orpo"),
    (f"{ORPO} trainer.simpo_gamma=1", "`trainer.simpo_gamma=1.0` does nothing with trainer.loss_type=orpo."),
    ("trainer=dpo trainer.simpo_gamma=1", "with trainer.loss_type=sigmoid. Set trainer.loss_type=simpo, or drop it."),
    (f"{ORPO} +trainer.args.use_weighting=true", "does nothing with trainer.loss_type=orpo. Set"),
    ("trainer=dpo trainer.loss_type=cpo", "needs its SFT term, got trainer.sft_weight=0.0"),
    (f"{CPO} trainer.label_smoothing=0.1", "does nothing with trainer.loss_type=cpo. Set trainer.loss_type=robust"),
    (f"{CPO} trainer.precompute_reference=false", "with trainer.loss_type=cpo, which reads no reference model. Drop"),
    (
        "trainer=dpo trainer.loss_type=ipo trainer.debias=product",
        "needs a loss of each pair by itself: sigmoid | simpo | orpo",
    ),
    ("trainer=dpo trainer.debias=reweight +trainer.args.ld_alpha=0.5", "`trainer.args.ld_alpha` does nothing with"),
    (
        f"{SIMPO} trainer.simpo_gamma=1 trainer.pmi_weight=1",
        "is a reward of DPO's own loss, got trainer.loss_type=simpo",
    ),
    (
        "trainer=dpo trainer.pmi_weight=0.5 trainer.loss_type=ipo",
        "Set trainer.loss_type=sigmoid or trainer.pmi_weight=0.",
    ),
    ("trainer=dpo trainer.pmi_weight=2", "must be >= 0 and <= 1, got 2.0. A common value is trainer.pmi_weight=1.0."),
    ("trainer=dpo trainer.pmi_weight=1 +trainer.args.use_weighting=true", "does nothing with trainer.pmi_weight=1.0."),
    (f"{CPO} +trainer.args.f_divergence_type=forward_kl", "does nothing with trainer.loss_type=cpo. Set"),
]


@pytest.mark.parametrize(("words", "expected"), REFUSED)
def test_a_key_that_means_nothing_is_refused_by_name(problems: Problems, words: str, expected: str) -> None:
    (found,) = problems(*words.split())
    assert expected in found


def test_what_the_fix_names_works(problems: Problems) -> None:
    (found,) = problems(*SIMPO.split())
    assert problems(*SIMPO.split(), *found.partition(": set ")[2].rstrip(".").split()) == []


def test_no_reference_model_can_follow_the_policy(problems: Problems) -> None:
    found = problems(*CPO.split(), "adapter=full", "+trainer.args.sync_ref_model=true")
    assert "does nothing with trainer.loss_type=cpo. Set trainer.loss_type=sigmoid, or drop it." in found[0]
