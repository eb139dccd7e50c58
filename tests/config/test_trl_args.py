"""`trainer.args` against the fields of TRL's own configs."""

from collections.abc import Callable

import pytest

from edu_align.config.compose import compose
from edu_align.config.trl_args import owned, trl_fields

Problems = Callable[..., list[str]]


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["+trainer.args.adam_bet1=0.9"], "`trainer.args.adam_bet1` is not an option of TRL's SFTConfig. Did you mean"),
        (["+trainer.args.bf16=true"], "`trainer.args.bf16` is set by `hardware.dtype`. Set that key and drop this"),
        (["+trainer.args.learning_rte=1"], "`trainer.args.learning_rte` is not an option of TRL's SFTConfig. Did you"),
        (["+trainer.args.beta=1"], "`trainer.args.beta` is not an option of TRL's SFTConfig."),
        (["trainer=dpo", "+trainer.args.beta=1"], "`trainer.args.beta` is set by `trainer.beta`."),
        (["trainer=dpo", "trainer.args={packing:true}"], "`trainer.args.packing` is not an option of TRL's DPOConfig."),
    ],
)
def test_options_that_are_refused(problems: Problems, overrides: list[str], expected: str) -> None:
    (found,) = problems(*overrides)
    assert found.startswith(expected)


def test_options_that_pass() -> None:
    composed = compose(["trainer=dpo", "+trainer.args.adam_beta2=0.95", "+trainer.args.discopop_tau=0.05"])
    assert dict(composed.trainer.args) == {"adam_beta2": 0.95, "discopop_tau": 0.05}


def test_the_fields_read_from_the_source_are_trls() -> None:
    assert {"packing", "learning_rate", "logging_steps", "dataset_text_field"} <= trl_fields("sft")
    assert {"beta", "loss_type", "learning_rate", "precompute_ref_log_probs"} <= trl_fields("dpo")
    assert set(owned()) <= frozenset().union(*map(trl_fields, ("sft", "dpo", "kto", "reward", "grpo")))


LEFT_OUT = [
    ("load_best_model_at_end=true", "is set by the keys trainer.keep and trainer.keep_metric"),
    ("assistant_only_loss=true", "the loss lies on the tutor's turns already"),
    ("packing=true", "rows are packed by hardware.packing"),
    ("resume_from_checkpoint=x", "the same command goes on"),
    ("push_to_hub=true", "edu_align.export run=<run> export.push_to_hub=<owner/name>"),
    ("completion_only_loss=false", "the loss lies"),
    ("fsdp=full_shard", "hardware.sharding=fsdp"),
    ("model_init_kwargs={a:1}", "the keys of model and hardware"),
    ("padding_free=true", "hardware.packing"),
]


@pytest.mark.cases("C5")
@pytest.mark.parametrize(("option", "why"), LEFT_OUT)
def test_options_that_would_do_nothing_are_refused_by_name(problems: Problems, option: str, why: str) -> None:
    (found,) = problems(f"+trainer.args.{option}")
    assert found.startswith(f"`trainer.args.{option.partition('=')[0]}` cannot be set here: ")
    assert why in found
    assert found.endswith(" Drop it.")


@pytest.mark.cases("C5")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("trainer.lr_scheduler=cosine_with_min_lr", "`trainer.lr_scheduler=cosine_with_min_lr` needs min_lr_rate."),
        (
            "trainer.lr_scheduler=warmup_stable_decay",
            "`trainer.lr_scheduler=warmup_stable_decay` needs num_decay_",
        ),
        ("trainer.lr_scheduler=reduce_lr_on_plateau trainer.eval_steps=null", "`trainer.lr_scheduler=reduce_lr_on_pl"),
        ("hardware.optimizer=adalomo", "`hardware.optimizer=adalomo` changes weights while gradients are computed"),
        ("hardware.optimizer=galore_adamw_layerwise", "`hardware.optimizer=galore_adamw_layerwise` changes weights"),
        (
            "hardware.optimizer=galore_adamw",
            "`hardware.optimizer=galore_adamw` works on layers that are named to it",
        ),
        ("hardware.optimizer=schedule_free_adamw", "`hardware.optimizer=schedule_free_adamw` needs schedulefree,"),
        ("hardware.optimizer=stable_adamw", "`hardware.optimizer=stable_adamw` needs torch-optimi, which"),
    ],
)
def test_schedules_and_optimizers_that_need_more(problems: Problems, words: str, expected: str) -> None:
    (found,) = problems(*words.split())
    assert found.startswith(expected)
