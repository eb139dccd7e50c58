"""Every option that is passed on to TRL changes the training, and a run with it that is killed ends as one that is not.

A killed run is held against a whole one, bit for bit, in float32.
"""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from edu_align.config.trl_options import PASSED
from edu_align.training.run import run
from tests.killing import in_child, killed_at, outcome

SMALL = [
    "evaluation.enabled=false", "trainer.max_steps=4", "trainer.save_steps=2",
    "trainer.batch_size=2", "hardware.per_device_batch_size=2", "dataset.max_train_records=6", "run_name=it",
]  # fmt: skip
SYNCED = ["adapter=full", "trainer.precompute_reference=false"]
SYNC = [*SYNCED, "+trainer.args.sync_ref_model=true", "+trainer.args.ref_model_sync_steps=2"]
EVALUATED = ["trainer.eval_steps=2"]
# Trainer and option: what both runs have, and the value of the one that has the option.
COMMON: dict[str, tuple[list[str], str]] = {
    "lr_scheduler_kwargs": (["trainer.lr_scheduler=cosine_with_restarts"], "{num_cycles:3}"),
    "optim_args": (["hardware.optimizer=sgd"], "'momentum=0.9'"),
    "adam_beta1": ([], "0.5"),
    "adam_beta2": ([], "0.9"),
    "adam_epsilon": ([], "1e-3"),
    "eval_delay": (EVALUATED, "3"),
    "eval_on_start": (EVALUATED, "true"),
}
CASES = {
    "SFTConfig": {
        **COMMON,
        "neftune_noise_alpha": ([], "5"),
        "label_smoothing_factor": ([], "0.1"),
        "loss_type": ([], "dft"),
    },
    "DPOConfig": {
        **COMMON,
        "disable_dropout": (["adapter.dropout=0.2"], "false"),
        "ld_alpha": ([], "0.3"),
        "f_divergence_type": ([], "forward_kl"),
        "f_alpha_divergence_coef": (["+trainer.args.f_divergence_type=alpha_divergence"], "0.2"),
        "use_weighting": ([], "true"),
        "discopop_tau": (["trainer.loss_type=discopop"], "1.0"),
        "sync_ref_model": (SYNCED, "true +trainer.args.ref_model_sync_steps=2"),
        "ref_model_mixup_alpha": (SYNC, "0.1"),
        "ref_model_sync_steps": ([*SYNC[:-1], "+trainer.args.ref_model_sync_steps=1"], "2"),
    },
    "RewardConfig": {
        **COMMON,
        "disable_dropout": (["adapter.dropout=0.2"], "false"),
        "center_rewards_coefficient": ([], "10"),
    },
}
CASES["KTOConfig"] = COMMON | {
    name: CASES["DPOConfig"][name]
    for name in ("disable_dropout", "sync_ref_model", "ref_model_mixup_alpha", "ref_model_sync_steps")
}
REPLIES = ["trainer.num_generations=2", "trainer.max_completion_length=8", "trainer.rewards={human_length: 1}"]
CASES["GRPOConfig"] = {name: ([*REPLIES, *words], value) for name, (words, value) in COMMON.items()}
FAST = ("DPOConfig", "ref_model_sync_steps")
HELD = {
    "sync_ref_model": "D2", "ref_model_mixup_alpha": "D2", "ref_model_sync_steps": "D2", "neftune_noise_alpha": "D3",
    "label_smoothing_factor": "D13", "loss_type": "D16",
}  # fmt: skip
EVERY = [
    pytest.param(
        kind,
        name,
        id="-".join([kind, name, *HELD.get(name, "").split()]),
        marks=([] if (kind, name) == FAST else [pytest.mark.slow])
        + ([pytest.mark.cases(HELD[name])] if name in HELD else []),
    )
    for kind, cases in CASES.items()
    for name in cases
]


def test_every_option_that_is_passed_has_a_case() -> None:
    assert {kind: set(options) for kind, options in PASSED.items()} == {
        kind: set(cases) for kind, cases in CASES.items()
    }


@pytest.fixture(scope="module")
def logged_without(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """What a run of these words logs, trained once."""

    @cache
    def get(*words: str) -> list[dict[str, float]]:
        folder = run(tiny(f"outputs_root={tmp_path_factory.mktemp('without')}", *words))
        assert folder is not None
        return numbers(folder.path)

    return get


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_it_changes_the_training_and_survives_a_kill(go: Any, logged_without: Any, kind: str, name: str) -> None:
    words, value = CASES[kind][name]
    words = [f"trainer={kind.removesuffix('Config').lower()}", *SMALL, *words]
    without = logged_without(*words)
    words = [word for word in words if not word.startswith(f"+trainer.args.{name}=")]
    words += f"+trainer.args.{name}={value}".split()
    whole = go(*words, root="whole")
    assert numbers(whole.path) != without
    with killed_at("on_step_end", 3):
        assert in_child(lambda: go(*words, root="cut")) == -9
    assert outcome(go(*words, root="cut").path) == outcome(whole.path)


def numbers(folder: Path) -> list[dict[str, float]]:
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    timed = ("runtime", "per_second", "time", "flos")
    return [{key: value for key, value in row.items() if not any(word in key for word in timed)} for row in rows]
