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
    assert set(owned()) <= trl_fields("sft") | trl_fields("dpo")


@pytest.mark.slow
def test_the_fields_are_those_of_the_imported_classes() -> None:
    from dataclasses import fields

    from trl import DPOConfig, SFTConfig

    for algorithm, kind in (("sft", SFTConfig), ("dpo", DPOConfig)):
        assert trl_fields(algorithm) == {item.name for item in fields(kind)}
