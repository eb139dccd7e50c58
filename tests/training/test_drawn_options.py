"""Drawn sets of TRL's options: refused before anything heavy loads, for what is wrong with them, or trained with."""

import random
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from edu_align.config.schema import COMPARING_LOSSES, KTO_LOSSES, REWARD_LOSSES
from edu_align.config.trl_args import owned, trl_fields
from edu_align.config.trl_options import PASSED, refused
from edu_align.training.run import check_settings, run
from edu_align.utils.errors import UserError
from tests.training.objectives import TRL_LOSSES

MANY = 150
ARGS = "trainer.args."
CLASSES = {
    "sft": "SFTConfig", "dpo": "DPOConfig", "kto": "KTOConfig", "reward": "RewardConfig", "grpo": "GRPOConfig",
}  # fmt: skip
# Two short replies to a dialogue make a step of GRPO.
REPLIES = {
    "trainer.num_generations": "2", "trainer.max_completion_length": "8", "trainer.rewards": "{human_length: 1}",
}  # fmt: skip
ANY = ("null", "x", "[1]", "{a: 1}", "true", "-1", "nan", "1e400", "0.5")
SMALL = [
    "evaluation.enabled=false", "trainer.max_steps=2", "trainer.batch_size=2",
    "hardware.per_device_batch_size=2", "dataset.max_train_records=4", "dataset.max_eval_records=1",
]  # fmt: skip
NO_NUMBER = ("x", "[1]", "{a: 1}", "true", "-1", "nan", "1e400")


@dataclass(frozen=True)
class Option:
    """Values that an option takes, values that it does not, and those that only a library can refuse.

    `beside`: the keys without which an option may do nothing.
    """

    good: tuple[str, ...]
    bad: tuple[str, ...]
    beside: dict[str, str] = field(default_factory=dict)
    odd: tuple[str, ...] = ()


ADAM = {"hardware.optimizer": "adamw_torch"}
VALIDATED = {"trainer.eval_steps": "1"}
SIGMOID = {"trainer.loss_type": "sigmoid"}
LIVE = {"adapter": "full", "trainer.precompute_reference": "false"}
COMMON = {
    "lr_scheduler_kwargs": Option(
        ("{num_cycles: 2}", "null"), ("[1]", "true", "-1"), {"trainer.lr_scheduler": "cosine_with_restarts"},
        odd=("x", "{a: 1}"),
    ),
    "optim_args": Option(
        ("'momentum=0.9'", "null"), ("[1]", "true", "{a: 1}", "-1"), {"hardware.optimizer": "sgd"},
        odd=("x", "'a=1'", "'momentum=0.9,a=1'"),
    ),
    "adam_beta1": Option(("0", "0.5", "0.99"), (*NO_NUMBER, "null", "1"), ADAM),
    "adam_beta2": Option(("0", "0.5", "0.99"), (*NO_NUMBER, "null", "1"), ADAM),
    "adam_epsilon": Option(("1e-12", "0.5", "1"), (*NO_NUMBER, "null", "0"), ADAM),
    "eval_delay": Option(("0", "0.5", "1"), (*NO_NUMBER, "null"), VALIDATED),
    "eval_on_start": Option(("true", "false"), ("null", "x", "[1]", "1"), VALIDATED),
}  # fmt: skip
DROPOUT = {
    "disable_dropout": Option(("true", "false"), ("null", "x", "0"), {"adapter": "lora", "adapter.dropout": "0.1"}),
}
REFERENCE = {
    "sync_ref_model": Option(("true", "false"), ("null", "x", "1"), LIVE | {f"{ARGS}ref_model_sync_steps": "1"}),
    "ref_model_mixup_alpha": Option(
        ("1e-12", "0.5", "1"), (*NO_NUMBER, "null", "0", "2"),
        {f"{ARGS}sync_ref_model": "true", f"{ARGS}ref_model_sync_steps": "1", **LIVE},
    ),
    "ref_model_sync_steps": Option(
        ("1",), (*NO_NUMBER, "null", "0", "0.5"), {f"{ARGS}sync_ref_model": "true", **LIVE}
    ),
}  # fmt: skip
OPTIONS: dict[str, dict[str, Option]] = {
    "sft": {
        **COMMON,
        "neftune_noise_alpha": Option(("1e-12", "5", "null"), (*NO_NUMBER, "0")),
        "label_smoothing_factor": Option(("0", "0.5", "0.99"), (*NO_NUMBER, "null", "1"), {f"{ARGS}loss_type": "nll"}),
        "loss_type": Option(("nll", "dft"), ("null", "x", "chunked_nll", "[1]", "0.5")),
    },
    "dpo": {
        **COMMON,
        **DROPOUT,
        "ld_alpha": Option(("0", "0.5", "1", "null"), (*NO_NUMBER, "2"), SIGMOID),
        "f_divergence_type": Option(
            ("reverse_kl", "forward_kl", "js_divergence", "alpha_divergence"), ("null", "x", "kl", "0.5"), SIGMOID
        ),
        "f_alpha_divergence_coef": Option(
            ("-3", "0", "1", "2.5"), ("x", "[1]", "true", "nan", "100", "null"),
            {f"{ARGS}f_divergence_type": "alpha_divergence", **SIGMOID},
        ),
        "use_weighting": Option(("true", "false"), ("null", "x", "1"), SIGMOID),
        "discopop_tau": Option(("1e-12", "0.5", "1"), (*NO_NUMBER, "null", "0"), {"trainer.loss_type": "discopop"}),
        **REFERENCE,
    },
    "kto": {**COMMON, **DROPOUT, **REFERENCE},
    "reward": {
        **COMMON,
        **DROPOUT,
        "center_rewards_coefficient": Option(
            ("1e-12", "0.5", "null"), (*NO_NUMBER, "0"), {"trainer.reward_loss": "bradley_terry"}
        ),
    },
    "grpo": COMMON,
}  # fmt: skip
# Why a line of an error refuses an option.
OURS, UNKNOWN, REFUSED = "set by a key of edu_align's", "no option of TRL's", "refused with every value"
IDLE, NO_VALUE, IN_VAIN = "does nothing with the other keys", "no value of the option", "tried in vain"
REASONS = {
    "is set by": OURS, "is not an option of": UNKNOWN, "cannot be set here": REFUSED, "does nothing": IDLE,
    "must be": NO_VALUE, "cannot be trained with": IN_VAIN,
}  # fmt: skip
TRIED, MAYBE = (IDLE, IN_VAIN), (IN_VAIN, IDLE, "not at all")
DIVERGED, TRAINED = "trained, diverged and said so", "trained"


@dataclass
class Drawn:
    """A command line as key -> value, and for each option in it the reasons for which it may be refused.

    No reason: it is good. `TRIED`: it is refused by the last check alone. `MAYBE`: what it works with was not drawn.
    """

    algorithm: str
    words: dict[str, str]
    reasons: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def take(self, name: str, value: str, *reasons: str) -> None:
        self.words[ARGS + name] = value
        self.reasons[name] = reasons

    def line(self) -> list[str]:
        words = [f"{'+' if key.startswith(ARGS) else ''}{key}={value}" for key, value in self.words.items()]
        return [f"trainer={self.algorithm}", *words]


def draw(seed: int) -> Drawn:
    """A third of the sets has options alone that are passed on."""
    dice = random.Random(seed)
    algorithm = dice.choice(list(CLASSES))
    fields, known = trl_fields(algorithm), OPTIONS[algorithm]
    never = {
        REFUSED: sorted(set(refused(CLASSES[algorithm])) & fields),
        OURS: sorted(set(owned(algorithm)) & fields),
        UNKNOWN: sorted({name[:-1] for name in fields} - fields),
    }
    words = {"hardware.packing": dice.choice(["on", "off"]), "adapter": dice.choice(["lora", "full"])}
    words["hardware.optimizer"] = dice.choice(["adamw_torch", "adamw_torch", "sgd", "adafactor"])
    words["trainer.lr_scheduler"] = dice.choice(["constant", "cosine", "cosine_with_restarts", "polynomial"])
    if algorithm == "dpo":
        words["trainer.loss_type"] = dice.choice([loss for loss in TRL_LOSSES if loss not in COMPARING_LOSSES])
    if algorithm == "kto":
        words["trainer.loss_type"] = dice.choice(KTO_LOSSES)
    if algorithm == "reward":
        words["trainer.reward_loss"] = dice.choice(REWARD_LOSSES)
    if algorithm == "grpo":
        words |= REPLIES
    found, passed_alone = Drawn(algorithm, words), dice.random() < 0.33
    for _ in range(dice.randint(1, 4)):
        name, kind = dice.choice(list(known)), dice.random()
        option = known[name]
        if not passed_alone and dice.random() < 0.6:
            reason = dice.choice(list(never))
            found.take(dice.choice(never[reason]), dice.choice(ANY), reason)
        elif kind > (0.95 if passed_alone else 0.75):
            found.take(name, dice.choice(option.bad), NO_VALUE)
        elif option.odd and kind > (0.9 if passed_alone else 0.5):
            found.take(name, dice.choice(option.odd), *TRIED)
        else:
            found.take(name, dice.choice(option.good))
            if dice.random() < 0.7:
                for key, value in option.beside.items():
                    beside = key.removeprefix(ARGS)
                    found.take(beside, value) if beside != key else found.words.update({key: value})
    if found.words["adapter"] == "full":
        found.words.pop("adapter.dropout", None)
    if found.words.get("trainer.loss_type") == "exo_pair":
        found.words["trainer.label_smoothing"] = "0.1"
    for name, reasons in found.reasons.items():
        if not reasons and not known[name].beside.items() <= found.words.items():
            found.reasons[name] = MAYBE
    return found


def fates(drawn: Drawn, tiny: Any, folder: Path, train: bool = True) -> dict[str, str]:
    """Why each option of a drawn set is refused, or what became of it. Errors: anything that is not as it should be."""
    try:
        composed = tiny(f"outputs_root={folder}", *SMALL, *drawn.line())
        check_settings(OmegaConf.to_object(composed))
    except UserError as error:
        return why(drawn, str(error))
    assert not [name for name, reasons in drawn.reasons.items() if reasons not in ((), MAYBE)], "accepted"
    if not train:
        return dict.fromkeys(drawn.reasons, "accepted")
    from transformers import Trainer

    from edu_align.training.divergence import Diverged

    given: list[Any] = []
    original: Callable[..., Any] = Trainer.train

    def watched(self: Any, **how: Any) -> Any:
        given.append(self.args)
        return original(self, **how)

    end = TRAINED
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "train", watched)
        try:
            done = run(composed)
            assert done is not None
            assert done.record["state"] == "finished"
        except Diverged:
            end = DIVERGED
        except UserError as error:  # it takes the data to see that an option does nothing
            return why(drawn, str(error))
    for name, value in composed.trainer.args.items():
        expected = OmegaConf.to_object(value) if OmegaConf.is_config(value) else value
        assert getattr(given[0], name) == expected, name
    return dict.fromkeys(drawn.reasons, end)


def why(drawn: Drawn, message: str) -> dict[str, str]:
    """The reason that each line of an error gives, by the option that it names. Errors: a wrong option or reason."""
    found: dict[str, str] = {}
    for line in message.split("\n  - ")[1:] or [message]:
        names = re.findall(rf"{re.escape(ARGS)}(\w+)", line)
        reason = REASONS[min(filter(line.__contains__, REASONS), key=line.index)]
        refused_here = [name for name in (names if reason == IN_VAIN else names[:1]) if reason in drawn.reasons[name]]
        assert refused_here, line
        found |= dict.fromkeys(refused_here, reason)
    certain = {name for name, reasons in drawn.reasons.items() if reasons not in ((), TRIED, MAYBE)}
    assert certain <= found.keys(), (certain - found.keys(), message)
    return found


def test_every_option_that_is_passed_is_drawn() -> None:
    drawn = {CLASSES[name]: set(options) for name, options in OPTIONS.items()}
    assert drawn == {name: set(options) for name, options in PASSED.items()}


def test_drawn_sets_are_refused_or_accepted(tiny: Any, tmp_path: Path) -> None:
    found = [fates(draw(seed), tiny, tmp_path, train=False) for seed in range(8)]
    assert len({fate for each in found for fate in each.values()}) > 3


@pytest.mark.parametrize("seed", [2, 15, 44, 77, 94])  # of SFT, DPO, a reward model, KTO and GRPO
def test_a_drawn_set_trains(tiny: Any, tmp_path: Path, seed: int) -> None:
    assert set(fates(draw(seed), tiny, tmp_path).values()) == {TRAINED}


@pytest.mark.slow
def test_many_drawn_sets_are_refused_or_train(tiny: Any, tmp_path: Path) -> None:
    """Prints what became of the sets, and of their options."""
    sets, options, failed = Counter[str](), Counter[str](), []
    for seed in range(MANY):
        drawn = draw(seed)
        try:
            found = fates(drawn, tiny, tmp_path / str(seed))
        except Exception as error:
            failed.append(f"{seed} {' '.join(drawn.line())}: {type(error).__name__}: {error}")
            print(failed[-1], flush=True)
            continue
        ends = {TRAINED, DIVERGED} & set(found.values())
        sets[ends.pop() if ends else "refused"] += 1
        options.update(found.values())
    for title, counts in (("sets", sets), ("options", options)):
        print(f"{title}: {sum(counts.values())}")
        print("".join(f"{count:7d} {reason}\n" for reason, count in counts.most_common()), end="")
    assert failed == []
