"""Drawn sets of a trainer's keys: refused for a named reason, or what is asked of them changes what is trained."""

import random
import re
from collections import Counter
from contextlib import redirect_stdout
from dataclasses import dataclass, fields
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from edu_align.config.comments import conf_dir
from edu_align.config.precheck.command_line import check
from edu_align.config.precheck.files import Files
from edu_align.config.schema import COMPARING_LOSSES, DPO_LOSSES, GROUP_SCHEMAS
from edu_align.training.divergence import Diverged
from edu_align.training.run import check_settings, run
from edu_align.utils.errors import UserError
from tests.killing import outcome

MANY = 40  # sets of each trainer
SMALL = [
    "evaluation.enabled=false", "trainer.max_steps=2", "trainer.save_steps=null", "dataset.size=240",
    "dataset.max_train_records=24", "trainer.eval_steps=2", "run_name=it",
]  # fmt: skip
ARGS = "+trainer.args."
NO_NUMBER = ("-1", "nan", "1e400")
NO_SHARE = (*NO_NUMBER, "1")


@dataclass(frozen=True)
class Key:
    """Values of a key that are not its default here, each of which changes something, and values that it never takes.
    `logged`: what it changes is no weight but what is logged.
    """

    good: tuple[str, ...]
    bad: tuple[str, ...] = ()
    logged: bool = False


COMMON = {
    "trainer.learning_rate": Key(("1e-4", "1e-2"), (*NO_NUMBER, "0")),
    "trainer.batch_size": Key(("8",), ("0", "-4", "6")),
    "trainer.max_length": Key(("100", "220"), ("0", "8", "-1")),
    "trainer.lr_scheduler": Key(("cosine", "linear", "polynomial", "constant_with_warmup"), ("x", "cosin")),
    "trainer.warmup_ratio": Key(("0.5", "0.9"), NO_SHARE),
    "trainer.weight_decay": Key(("0.5",), NO_NUMBER),
    "trainer.max_grad_norm": Key(("1e-3",), (*NO_NUMBER, "0")),
    "trainer.average_last": Key(("1",), (*NO_NUMBER, "2")),
    "trainer.eval_steps": Key(("1",), ("0", "-1"), logged=True),
    "adapter.dropout": Key(("0.3",), NO_SHARE),
    "adapter.lora_plus_ratio": Key(("8",), (*NO_NUMBER, "0.5")),
    "hardware.optimizer": Key(("sgd", "adafactor"), ("x",)),
    f"{ARGS}adam_beta1": Key(("0.5",), NO_SHARE),
    f"{ARGS}adam_epsilon": Key(("1e-3",), (*NO_NUMBER, "0")),
}
PAIRS = {
    "dataset.training_margin": Key(("6",), (*NO_NUMBER, "0")),
    "dataset.contrast_per_prompt": Key(("2",), ("-1",)),
    "dataset.contrast_kinds": Key(("[earlier]",), ("[]", "[x]")),
}
LABELS = {"dataset.threshold": Key(("6",)), "dataset.drop_unfit_chosen": Key(("false",))}
DROPS = {f"{ARGS}disable_dropout": Key(("false",), ("x", "1"))}
KEYS: dict[str, dict[str, Key]] = {
    "dpo": {
        **COMMON, **PAIRS, **DROPS,
        "trainer.beta": Key(("0.5", "2"), (*NO_NUMBER, "0")),
        "trainer.loss_type": Key(
            tuple(loss for loss in DPO_LOSSES if loss not in (*COMPARING_LOSSES, "sigmoid")), ("x", "sigmoids")
        ),
        "trainer.label_smoothing": Key(("0.1", "0.4"), (*NO_NUMBER, "0.5")),
        "trainer.sft_weight": Key(("0.3", "1"), NO_NUMBER),
        "trainer.simpo_gamma": Key(("0.5", "1"), NO_NUMBER),
        "trainer.debias": Key(("reweight", "product"), ("x",)),
        "trainer.pmi_weight": Key(("0.5", "1"), (*NO_NUMBER, "2")),
        "trainer.max_prompt_length": Key(("60",), ("0", "-1")),
        "trainer.batching": Key(("pairs",), ("x",)),
        f"{ARGS}ld_alpha": Key(("0.3",), (*NO_NUMBER, "2")),
        f"{ARGS}f_divergence_type": Key(("forward_kl", "js_divergence"), ("kl",)),
        f"{ARGS}use_weighting": Key(("true",), ("x",)),
        f"{ARGS}discopop_tau": Key(("1",), (*NO_NUMBER, "0")),
    },
    "kto": {
        **COMMON, **PAIRS, **LABELS, **DROPS,
        "trainer.beta": Key(("0.5", "2"), (*NO_NUMBER, "0")),
        "trainer.loss_type": Key(("apo_zero_unpaired",), ("x", "sigmoid")),
        "trainer.desirable_weight": Key(("0.3", "4"), (*NO_NUMBER, "0")),
        "trainer.undesirable_weight": Key(("0.3", "4"), (*NO_NUMBER, "0")),
        "trainer.max_prompt_length": Key(("60",), ("0", "-1")),
        "trainer.batching": Key(("replies",), ("x", "pairs")),
    },
    "reward": {
        **COMMON, **PAIRS, **DROPS,
        "trainer.pooling": Key(("last",), ("x",)),
        "trainer.reward_loss": Key(("regression", "ordinal"), ("x",)),
        "trainer.margin_weight": Key(("0.5",), NO_NUMBER),
        f"{ARGS}center_rewards_coefficient": Key(("1", "10"), (*NO_NUMBER, "0")),
    },
    "grpo": {
        **COMMON,
        "trainer.rewards": Key(("{human_length: -1}",), ("{x: 1}", "{human_length: 0}")),
        "trainer.batch_size": Key(("16",), ("0", "-4", "6")),
        "trainer.num_generations": Key(("2", "8"), ("0", "1", "3")),
        "trainer.max_completion_length": Key(("8",), ("0", "2000")),
        "trainer.temperature": Key(("0.7", "1.5"), (*NO_NUMBER, "0")),
        "trainer.beta": Key(("0", "0.5"), NO_NUMBER),
        "trainer.epsilon": Key(("1e-4",), (*NO_SHARE, "0")),
        "trainer.num_iterations": Key(("2",), ("0", "-1")),
        "trainer.loss_type": Key(("dr_grpo", "dapo"), ("x", "sigmoid")),
        "trainer.scale_rewards": Key(("none", "batch"), ("x",)),
    },
}  # fmt: skip
BESIDE = {
    "grpo": [
        "trainer.num_generations=4", "trainer.batch_size=8", "trainer.max_completion_length=24",
        "trainer.rewards={human_length: 1}",
    ],
}  # fmt: skip
# What some losses do not go without.
NEEDED = {
    "simpo": ("trainer.simpo_gamma", "1"), "exo_pair": ("trainer.label_smoothing", "0.1"),
    "cpo": ("trainer.sft_weight", "1"), "discopop": (f"{ARGS}discopop_tau", "1"),
}  # fmt: skip
# Keys that change no number (which reference is computed when, checkpoints, lines of a log), whose values are no one's
# to draw, or that have tests of their own (tests/training/test_best.py, tests/rewards).
ELSEWHERE = {
    f"trainer.{name}"
    for name in (
        "algorithm", "epochs", "max_steps", "save_steps", "save_total_limit", "logging_steps", "args", "keep",
        "keep_metric", "patience", "precompute_reference", "reward_run",
    )
}  # fmt: skip
TRAINED, DIVERGED = "trained, and it changed something", "trained, diverged and said so"
FAST = {"dpo": 0, "kto": 0, "reward": 0, "grpo": 0}  # seeds of sets that train in little time
# Words of an error that refuses a key, and what they mean.
REASONS = {
    "must be": "no value of the key", "must name": "no value of the key", "is no reward": "no value of the key",
    "weighs nothing": "no value of the key", "must leave": "no value of the key",
    "takes all steps": "no value of the key",
    "does nothing": "does nothing with the other keys", "makes pairs": "does nothing with the other keys",
    "is read by": "does nothing with the other keys", "needs": "lacks another key",
    "does not go with": "contradicts another key", "would add": "contradicts another key",
    "is a reward of": "contradicts another key",
}  # fmt: skip
NAMED = re.compile(r"(?:trainer|adapter|dataset|hardware)(?:\.args)?\.\w+")


@dataclass(frozen=True)
class Drawn:
    """Keys and values of a set; `spoilt`: the key with a value that it never takes, or nothing. `asked`: the key that
    is left out, where the set trains, to see what it did.
    """

    trainer: str
    values: dict[str, str]
    spoilt: str
    asked: str

    def words(self, without: str = "") -> list[str]:
        kept = [f"{key}={value}" for key, value in self.values.items() if key != without]
        return [f"trainer={self.trainer}", *SMALL, *BESIDE.get(self.trainer, []), *kept]


def draw(trainer: str, seed: int) -> Drawn:
    """One to four keys, in a third of the sets one with a bad value; often with the key that a loss needs."""
    dice, known = random.Random(f"{trainer} {seed}"), KEYS[trainer]
    names = dice.sample(list(known), dice.randint(1, 4))
    spoilt = dice.choice([name for name in names if known[name].bad] or [""]) if dice.random() < 0.33 else ""
    values = {name: dice.choice(known[name].bad if name == spoilt else known[name].good) for name in names}
    key, value = NEEDED.get(values.get("trainer.loss_type", ""), ("", ""))
    if key and dice.random() < 0.7:
        values.setdefault(key, value)
    return Drawn(trainer, values, spoilt, dice.choice(names))


def refusal(composed: Any) -> str:
    """What is wrong with a set before anything is read; "" where nothing is."""
    try:
        check_settings(OmegaConf.to_object(composed()))
    except UserError as error:
        return str(error)
    return ""


def reasons(drawn: Drawn, message: str) -> list[str]:
    """The reason of each line of an error. Errors: a line names none of the drawn keys, or no reason."""
    found, keys = [], {key.lstrip("+") for key in drawn.values}
    named: set[str] = set()
    for line in message.split("\n  - ")[1:] or [message]:
        assert keys & set(NAMED.findall(line)), line
        named |= set(NAMED.findall(line))
        found.append(REASONS[min(filter(line.__contains__, REASONS), key=line.index)])
    assert drawn.spoilt.lstrip("+") in {*named, ""}, message
    return found


def fates(drawn: Drawn, tiny: Any, folder: Path) -> list[str]:
    """Why a set is refused, or what one of its keys changed. Errors: anything that is not as it should be."""
    words = [f"outputs_root={folder / 'with'}", *drawn.words()]
    if message := refusal(lambda: tiny(*words)):
        return reasons(drawn, message)
    assert not drawn.spoilt, "accepted"
    printed = StringIO()
    try:
        with redirect_stdout(printed):
            whole = run(tiny(*words))
    except UserError as error:  # it takes the data to see it
        return reasons(drawn, str(error))
    except Diverged:
        return [DIVERGED]
    assert whole is not None
    said = printed.getvalue()
    return [_changed(drawn, whole.path, said, tiny, folder / "without")]


def _changed(drawn: Drawn, whole: Path, said: str, tiny: Any, folder: Path) -> str:
    """What became of the asked key: the set is trained without it. Errors: the same weights come of it, or the same
    lines.
    """
    key = drawn.asked
    words = [f"outputs_root={folder}", *drawn.words(without=key)]
    if refusal(lambda: tiny(*words)):
        return "trained, and the set needs it"
    try:
        other = run(tiny(*words))
    except Diverged:
        return TRAINED
    assert other is not None
    part = "metrics.jsonl" if KEYS[drawn.trainer][key].logged else "weights"
    if outcome(whole)[part] == outcome(other.path)[part]:
        assert f"edu_align: {key}={drawn.values[key]} does nothing" in said, f"{key} changes nothing, unsaid"
        return "trained, changed nothing and said so"
    return TRAINED


@pytest.mark.parametrize("trainer", KEYS)
def test_keys_of_other_trainers_are_refused(trainer: str) -> None:
    own = {each.name for each in fields(GROUP_SCHEMAS["trainer"][f"{trainer}_schema"])}
    every = {each.name for schema in GROUP_SCHEMAS["trainer"].values() for each in fields(schema)}
    words = [f"trainer.{name}=1" for name in sorted(every - own)]
    found = check([f"trainer={trainer}", "model=tiny", *words], Files(conf_dir(), []))
    assert [line.split("`")[1] for line in found] == [word.partition("=")[0] for word in words]


def test_every_key_of_a_trainer_is_drawn() -> None:
    """But for what only says how, or has tests of its own."""
    for trainer, known in KEYS.items():
        every = {f"trainer.{each.name}" for each in fields(GROUP_SCHEMAS["trainer"][f"{trainer}_schema"])}
        assert every - known.keys() <= ELSEWHERE, trainer


@pytest.mark.parametrize("trainer", KEYS)
def test_a_drawn_set_is_refused_or_its_key_counts(tiny: Any, tmp_path: Path, trainer: str) -> None:
    assert fates(draw(trainer, FAST[trainer]), tiny, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("trainer", KEYS)
def test_many_drawn_sets_are_refused_or_their_keys_count(tiny: Any, tmp_path: Path, trainer: str) -> None:
    """Prints what became of the sets, and of their keys."""
    sets, keys, failed = Counter[str](), Counter[str](), []
    for seed in range(MANY):
        drawn = draw(trainer, seed)
        try:
            found = fates(drawn, tiny, tmp_path / str(seed))
        except Exception as error:
            failed.append(f"{seed} {' '.join(drawn.words())}: {type(error).__name__}: {error}")
            print(failed[-1], flush=True)
            continue
        sets["trained" if any(fate.startswith("trained") for fate in found) else "refused"] += 1
        keys.update(found)
    print(f"{trainer}: {sum(sets.values())} sets, {sets['refused']} refused, {sets['trained']} trained")
    print("".join(f"{count:7d} {reason}\n" for reason, count in keys.most_common()), end="")
    assert failed == []
