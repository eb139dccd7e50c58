"""What TRL, an optimizer or a schedule does not take is said before data and model are touched."""

import shlex
import sys
from typing import Any

import pytest
from omegaconf import OmegaConf

from edu_align.config.compose import compose
from edu_align.training.run import run
from edu_align.training.trial import check_synced_reference, check_warm_up, dropout_note, margin_note, try_arguments
from edu_align.utils.errors import UserError


@pytest.mark.cases("C5")
def test_what_a_message_about_a_schedule_says_works() -> None:
    for name in ("cosine_with_min_lr", "warmup_stable_decay", "cosine_warmup_with_min_lr"):
        with pytest.raises(UserError) as caught:
            compose([f"trainer.lr_scheduler={name}"])
        (word,) = shlex.split(str(caught.value).partition("Add ")[2].partition(", or set")[0])
        try_arguments(typed(f"trainer.lr_scheduler={name}", word))


@pytest.mark.cases("C5")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ["+trainer.args.optim_args=nonsense"],
            "`hardware.optimizer=adamw_torch trainer.args.optim_args=nonsense` cannot be trained with: ",
        ),
        (
            ["+trainer.args.lr_scheduler_kwargs={nope: 1}"],
            "`trainer.lr_scheduler=cosine trainer.args.lr_scheduler_kwargs={'nope': 1}` cannot be trained with: ",
        ),
        (
            ["+trainer.args.optim_args='scale=1'"],
            "`trainer.args.optim_args=scale=1` does nothing with hardware.optimizer=",
        ),
        (
            ["+trainer.args.optim_args='momentum=0.9,scale=1'", "hardware.optimizer=sgd"],
            "`trainer.args.optim_args=scale=1` does nothing with hardware.optimizer=sgd. Drop it.",
        ),
        (
            ["+trainer.args.adam_beta1=0.5", "hardware.optimizer=sgd"],
            "`trainer.args.adam_beta1=0.5` does nothing with ",
        ),
        (
            ["+trainer.args.lr_scheduler_kwargs={num_cycles: x}"],
            "`trainer.lr_scheduler=cosine trainer.args.lr_scheduler_kwargs={'num_cycles': 'x'}` cannot be",
        ),
        (
            ["+trainer.args.lr_scheduler_kwargs={num_cycles: 2}", "trainer.lr_scheduler=constant"],
            "`trainer.args.lr_scheduler_kwargs={'num_cycles': 2}` does nothing with trainer.lr_scheduler=constant.",
        ),
        (["trainer.lr_scheduler=greedy", "trainer.eval_steps=null"], "`trainer.lr_scheduler=greedy` cannot be trained"),
    ],
)
def test_the_rest_is_tried_before_anything_is_read(words: list[str], expected: str) -> None:
    with pytest.raises(UserError) as caught:
        run(compose(["model=tiny", "tracking=off", "hardware=cpu", *words]))
    assert str(caught.value).startswith(expected)


def test_what_is_common_costs_no_import(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trl", None)
    try_arguments(typed("trainer.lr_scheduler=linear"))
    with pytest.raises(ImportError):
        try_arguments(typed("+trainer.args.adam_beta2=0.9"))


def typed(*words: str) -> Any:
    return OmegaConf.to_object(compose(["model=tiny", "tracking=off", "hardware=cpu", *words]))


@pytest.mark.cases("D2")
def test_a_reference_that_never_follows_in_a_run_is_refused() -> None:
    words = ["trainer=dpo", "adapter=full", "trainer.precompute_reference=false", "+trainer.args.sync_ref_model=true"]
    with pytest.raises(
        UserError, match=r"every 512 steps .* the run has 10\. Set \+\+trainer.args.ref_model_sync_steps"
    ):
        check_synced_reference(typed(*words, "trainer.max_steps=10"), 1000)
    shorter = "+trainer.args.ref_model_sync_steps=9"
    check_synced_reference(typed(*words, "trainer.max_steps=10", shorter), 1000)
    check_synced_reference(typed(*words, "trainer.batch_size=10", "trainer.epochs=1", shorter), 91)
    with pytest.raises(UserError, match=r"the run has 9\. .* to 8 or less"):
        check_synced_reference(typed(*words, "trainer.batch_size=10", "trainer.epochs=1", shorter), 90)
    with pytest.raises(UserError, match=r"the run has 1\. Drop trainer"):
        check_synced_reference(typed(*words, "trainer.max_steps=1", "+trainer.args.ref_model_sync_steps=1"), 9)
    check_synced_reference(typed("trainer=dpo", "trainer.max_steps=10"), 1000)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("trainer=kto adapter.dropout=0.1", "adapter.dropout=0.1 does nothing with trainer=kto"),
        ("trainer=reward adapter.dropout=0.1", "adapter.dropout=0.1 does nothing with trainer=reward"),
        ("trainer=dpo adapter.dropout=0.1 +trainer.args.disable_dropout=false", ""),
        ("trainer=dpo", ""),
        ("trainer=grpo adapter.dropout=0.1", ""),
        ("trainer=sft adapter.dropout=0.1", ""),
    ],
)
def test_dropout_that_is_not_drawn_is_said(words: str, said: str) -> None:
    note = dropout_note(typed(*words.split()))
    assert said in note
    assert bool(note) == bool(said)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("trainer=kto dataset=mrbench", "dataset.training_margin=3.0 does nothing with trainer=kto"),
        ("trainer=reward trainer.reward_loss=ordinal dataset=mrbench", "does nothing with trainer=reward"),
        ("trainer=reward dataset=mrbench", ""),
        ("trainer=dpo dataset=mrbench", ""),
        ("trainer=kto", ""),
    ],
)
def test_a_margin_of_pairs_that_are_not_made_is_said(words: str, said: str) -> None:
    note = margin_note(typed(*words.split()))
    assert said in note
    assert bool(note) == bool(said)


@pytest.mark.parametrize(("steps", "ratio", "instead"), [(2, 0.9, "0.5"), (1, 0.1, "0"), (10, 0.95, "0.9")])
def test_a_polynomial_schedule_has_a_step_after_its_warm_up(steps: int, ratio: float, instead: str) -> None:
    """What the message says works: transformers' schedule is asked for the step after the last one."""
    words = [f"trainer.max_steps={steps}", "trainer.lr_scheduler=polynomial"]
    with pytest.raises(UserError, match=f"which has {steps}, and .* Set trainer.warmup_ratio={instead} or less"):
        check_warm_up(typed(*words, f"trainer.warmup_ratio={ratio}"), 8)
    check_warm_up(typed(*words, f"trainer.warmup_ratio={instead}"), 8)
    check_warm_up(typed(words[0], "trainer.lr_scheduler=linear", f"trainer.warmup_ratio={ratio}"), 8)
