"""The table of TRL's options against the installed classes: every option has one fate, and no name is stale."""

import dataclasses
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from edu_align.config import trl_args
from edu_align.config.trl_args import owned, trl_fields
from edu_align.config.trl_options import PASSED, REFUSED, REFUSED_THERE, passed, refused, typed

Problems = Callable[..., list[str]]
CLASSES = {
    "sft": "SFTConfig", "dpo": "DPOConfig", "kto": "KTOConfig", "reward": "RewardConfig", "grpo": "GRPOConfig",
}  # fmt: skip


@pytest.mark.parametrize("algorithm", CLASSES)
def test_every_option_is_ours_or_passed_or_refused(algorithm: str) -> None:
    fields, name = trl_fields(algorithm), CLASSES[algorithm]
    fates = [set(owned(algorithm)) & fields, set(passed(name)), set(refused(name)) & fields]
    every = Counter(option for fate in fates for option in fate)
    assert every.keys() == fields
    assert [option for option, count in every.items() if count > 1] == []


def test_no_name_is_stale() -> None:
    known = {CLASSES[algorithm]: trl_fields(algorithm) for algorithm in CLASSES}
    assert set(REFUSED) <= frozenset().union(*known.values())
    for name, fields in known.items():
        assert set(PASSED[name]) | set(REFUSED_THERE.get(name, {})) <= fields


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", CLASSES)
def test_the_table_has_the_defaults_of_the_imported_classes(algorithm: str) -> None:
    import trl

    kind = getattr(trl, CLASSES[algorithm])
    fields: dict[str, Any] = {item.name: item for item in dataclasses.fields(kind)}
    assert fields.keys() == trl_fields(algorithm)
    assert {name: fields[name].default for name in passed(kind.__name__)} == {
        name: option.default for name, option in passed(kind.__name__).items()
    }


def test_an_option_of_a_new_version_is_not_passed(problems: Problems, monkeypatch: pytest.MonkeyPatch) -> None:
    original = trl_args.fields_of
    monkeypatch.setattr(trl_args, "fields_of", lambda *place: original(*place) | {"brand_new"})
    (found,) = problems("+trainer.args.brand_new=1")
    assert found == (
        "`trainer.args.brand_new` is an option of TRL's that this version of edu_align does not know. Drop it."
    )


NEEDS = [
    ("trainer=dpo +trainer.args.discopop_tau=0.1", "trainer.loss_type=sigmoid. Set trainer.loss_type=discopop,"),
    ("trainer=dpo trainer.loss_type=hinge +trainer.args.use_weighting=true", "Set trainer.loss_type=sigmoid, or"),
    ("trainer=dpo +trainer.args.f_alpha_divergence_coef=0.2", "Set ++trainer.args.f_divergence_type=alpha_divergence"),
    ("trainer=dpo trainer.loss_type=apo_zero +trainer.args.f_divergence_type=forward_kl", "trainer.loss_type=sigmoid"),
    ("trainer=dpo trainer.loss_type=sft +trainer.args.ld_alpha=0.2", "Set trainer.loss_type=sigmoid, or drop it."),
    ("trainer=dpo adapter.dropout=0 +trainer.args.disable_dropout=false", "Set adapter.dropout=0.05, or drop it."),
    ("trainer=dpo +trainer.args.ref_model_sync_steps=3", "Set ++trainer.args.sync_ref_model=true, or drop it."),
    ("trainer=dpo +trainer.args.ref_model_mixup_alpha=0.3", "does nothing with trainer.args.sync_ref_model=false."),
    ("+trainer.args.eval_delay=5 trainer.eval_steps=null", "Set trainer.eval_steps=50, or drop it."),
    ("+trainer.args.eval_on_start=true trainer.eval_steps=null", "Set trainer.eval_steps=50, or drop it."),
    ("+trainer.args.label_smoothing_factor=0.1 +trainer.args.loss_type=dft", "Set ++trainer.args.loss_type=nll, or"),
]


@pytest.mark.parametrize(("words", "expected"), NEEDS)
def test_what_does_nothing_alone_says_what_it_needs(problems: Problems, words: str, expected: str) -> None:
    (found,) = problems(*words.split())
    assert expected in found


@pytest.mark.cases("D2")
def test_a_synced_reference_needs_weights_of_its_own(problems: Problems) -> None:
    full = "trainer=dpo +trainer.args.sync_ref_model=true adapter=full trainer.precompute_reference=false"
    assert problems(*full.split()) == []
    found = problems(*full.replace("adapter=full", "adapter=lora").replace("=false", "=true").split())
    assert [line.partition(" Set ")[2] for line in found] == [
        "adapter=full, or drop it.",
        "trainer.precompute_reference=false, or drop it.",
    ]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("+trainer.args.adam_beta2=null", "must be a number, got None. TRL's own is 0.999."),
        ("+trainer.args.adam_beta2='0.9'", "must be a number, got '0.9'."),
        ("+trainer.args.adam_beta2=1", "must be >= 0 and < 1, got 1."),
        ("+trainer.args.adam_epsilon=nan", "must be > 0, got nan."),
        ("+trainer.args.neftune_noise_alpha=true", "must be a number, got True."),
        ("+trainer.args.neftune_noise_alpha=[1]", "must be a number, got [1]."),
        ("+trainer.args.loss_type=chunked_nll", "must be one of nll | dft, got 'chunked_nll'."),
        ("+trainer.args.loss_type=null", "must be one of nll | dft, got 'None'."),
        ("+trainer.args.optim_args={a:1}", "must be text, got {'a': 1}."),
        ("+trainer.args.lr_scheduler_kwargs=3", "must be a mapping such as {min_lr_rate: 0.1}, got 3."),
        ("+trainer.args.eval_on_start=1 trainer.eval_steps=5", "must be true or false, got 1."),
        ("trainer=dpo +trainer.args.ref_model_sync_steps=2.5", "must be a whole number, got 2.5."),
    ],
)
def test_values_of_another_kind(problems: Problems, words: str, expected: str) -> None:
    (found,) = problems(*words.split())
    assert expected in found


NEVER = [
    "packing", "padding_free", "assistant_only_loss", "activation_offloading", "completion_only_loss", "eos_token",
    "model_init_kwargs", "resume_from_checkpoint", "chat_template_path", "load_best_model_at_end",
    "dataloader_drop_last",
]  # fmt: skip


@pytest.mark.cases("D4", "D14", "D15")
@pytest.mark.parametrize("value", ["true", "false", "null", "x", "{a:1}", "0"])
def test_a_refused_option_is_refused_with_every_value(problems: Problems, value: str) -> None:
    """Its own default, too: it would count in the run's id and do nothing."""
    for option in NEVER:
        (found,) = problems(f"+trainer.args.{option}={value}")
        assert found.startswith(f"`trainer.args.{option}` cannot be set here: ")
        assert found.endswith(" Drop it.")


@pytest.mark.cases("D14")
@pytest.mark.parametrize("trainer", ["sft", "dpo"])
def test_how_rows_are_cut_is_our_key(problems: Problems, trainer: str) -> None:
    (found,) = problems(f"trainer={trainer}", "+trainer.args.truncation_mode=keep_start")
    assert found.startswith("`trainer.args.truncation_mode` is set by `trainer.max_length`.")


@pytest.mark.cases("D16")
def test_one_answer_about_the_loss(problems: Problems) -> None:
    assert problems("trainer=sft", "+trainer.args.loss_type=dft") == []
    (other,) = problems("trainer=dpo", "+trainer.args.loss_type=dft")
    assert other.startswith("`trainer.args.loss_type` is set by `trainer.loss_type`.")


@pytest.mark.cases("D13")
def test_label_smoothing_is_another_key_of_dpo(problems: Problems) -> None:
    assert problems("trainer=sft", "+trainer.args.label_smoothing_factor=0.1") == []
    (found,) = problems("trainer=dpo", "+trainer.args.label_smoothing_factor=0.1")
    assert "its loss reads trainer.label_smoothing" in found


@pytest.mark.cases("D14")
def test_a_whole_number_is_a_number() -> None:
    """0 is a value of adam_beta1, and torch takes two betas of one type."""
    found = typed({"adam_beta1": 0, "adam_beta2": 0.9, "ref_model_sync_steps": 2, "neftune_noise_alpha": None})
    assert list(map(type, found.values())) == [float, float, int, type(None)]
