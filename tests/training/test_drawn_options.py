"""Drawn sets of TRL's options: each is refused in one UserError before anything heavy loads, or trains as it says."""

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from edu_align.config.trl_args import owned, trl_fields
from edu_align.config.trl_options import Passed, passed, refused
from edu_align.training.run import _check, run
from edu_align.utils.errors import UserError

CLASSES = {"sft": "SFTConfig", "dpo": "DPOConfig"}
WRONG = ["null", "x", "[1]", "{a:1}", "true", "-1", "nan", "1e400"]
IN_RANGE = {
    "number": ["0", "0.5", "0.99", "1", "1e-12"], "whole": ["1", "2", "1000000"], "true or false": ["true", "false"],
    "text": ["'scale_parameter=True'", "''"], "mapping": ["{}", "{num_cycles: 2}"],
}  # fmt: skip
REASONS = {
    "is set by": "a key of edu_align's", "is not an option of": "no option of TRL's", "cannot be set here": "refused",
    "does nothing": "does nothing with the other keys", "must be": "value", "cannot be trained with": "tried in vain",
}  # fmt: skip


def drawn(seed: int) -> tuple[list[str], dict[str, str]]:
    """The words of a command line, and the options among them. A quarter of the sets has passed options only."""
    draw = random.Random(seed)
    algorithm = draw.choice(list(CLASSES))
    known = passed(CLASSES[algorithm])
    pools = [list(known)]
    if draw.random() < 0.75:
        pools += [list(refused(CLASSES[algorithm])), sorted(set(owned(algorithm)) & trl_fields(algorithm))]
        pools.append([name[:-1] for name in sorted(trl_fields(algorithm))])
    options: dict[str, str] = {}
    for _ in range(draw.randint(1, 4)):
        name = draw.choice(draw.choice(pools))
        options[name] = _value(draw, known.get(name), len(pools) == 1)
    words = [f"trainer={algorithm}", f"hardware.packing={draw.choice(['on', 'off'])}"]
    words += [f"adapter={draw.choice(['lora', 'full'])}"]
    return words, options


def _value(draw: random.Random, option: Passed | None, valid: bool) -> str:
    if option is None or draw.random() < (0.1 if valid else 0.5):
        return draw.choice(WRONG)
    return draw.choice(option.words or IN_RANGE[option.kind])


def fate(tiny: Any, folder: Path, seed: int, train: bool = True) -> str:
    """What becomes of a drawn set: why it is refused, or `trained`. Errors: whatever else is raised."""
    words, options = drawn(seed)
    words += ["evaluation.enabled=false", "trainer.max_steps=2", f"outputs_root={folder / str(seed)}"]
    try:
        composed = tiny(*words, *(f"+trainer.args.{name}={value}" for name, value in options.items()))
        _check(OmegaConf.to_object(composed))
    except UserError as error:
        if not any(f"trainer.args.{name}" in str(error) for name in options):
            raise
        return next((reason for words, reason in REASONS.items() if words in str(error)), "another reason")
    if not train:
        return "accepted"
    from transformers import Trainer

    given: list[Any] = []
    original: Callable[..., Any] = Trainer.train

    def watched(self: Any, **how: Any) -> Any:
        given.append(self.args)
        return original(self, **how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "train", watched)
        done = run(composed)
    assert done is not None
    assert done.record["state"] == "finished"
    for name, value in composed.trainer.args.items():
        expected = OmegaConf.to_object(value) if OmegaConf.is_config(value) else value
        assert getattr(given[0], name) == expected, name
    return "trained"


def test_drawn_sets_are_refused_or_train(tiny: Any, tmp_path: Path) -> None:
    fates = [fate(tiny, tmp_path, seed, train=False) for seed in range(8)]
    assert len(set(fates)) > 1


@pytest.mark.slow
def test_many_drawn_sets_are_refused_or_train(tiny: Any, tmp_path: Path) -> None:
    fates, failed = Counter[str](), []
    for seed in range(500):
        try:
            fates[fate(tiny, tmp_path, seed)] += 1
        except Exception as error:
            failed.append(f"{seed} {drawn(seed)}: {type(error).__name__}: {error}")
    print("".join(f"{count:7d} {reason}\n" for reason, count in fates.most_common()))
    assert failed == []
