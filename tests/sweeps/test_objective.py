"""What jobs are compared by where nobody says: a metric that means the same whatever beta is."""

import json
from pathlib import Path
from typing import Any

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode

from edu_align.config.comments import conf_dir
from edu_align.config.compose import register
from edu_align.config.metrics import COMPARABLE, check_objective, comparable
from edu_align.config.schema import GROUP_SCHEMAS
from edu_align.runs.folder import RunFolder
from edu_align.sweeps.objective import measured, objectives
from edu_align.sweeps.space import dimensions
from edu_align.training.run import usual_objective
from edu_align.utils.errors import UserError

BETA = ("beta", "loss", "margins", "rewards/chosen", "rewards/rejected")  # words of what scales with beta or the loss


def names(*words: str) -> tuple[str, ...]:
    register()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        config = loader.load_configuration("config", list(words), run_mode=RunMode.MULTIRUN)
        return objectives(config, loader, dimensions(list(words), loader, config))


def test_every_trainer_has_metrics_that_do_not_follow_beta() -> None:
    trainers = {name.removesuffix("_schema") for name in GROUP_SCHEMAS["trainer"]}
    assert set(COMPARABLE) == trainers
    for trainer, metrics in COMPARABLE.items():
        for name in metrics:
            check_objective(name)
            scaled = [word for word in BETA if word in name]
            assert not scaled or (trainer == "sft" and scaled == ["loss"]), (trainer, name)


@pytest.mark.parametrize(
    ("words", "first"),
    [
        (["trainer=dpo", "trainer.beta=0.1,0.3"], "eval/pair_accuracy_implicit"),
        (["trainer.learning_rate=1e-4,2e-4"], "eval/human_turn_nll"),
        (["trainer=kto", "seed=1,2"], "eval/pair_accuracy_implicit"),
        (["trainer=reward", "seed=1,2"], "eval/pair_accuracy_reward"),
        (["trainer=grpo", "seed=1,2"], "eval/reward"),
        (["trainer=dpo", "evaluation.enabled=false", "trainer.beta=0.1,0.3"], "eval/rewards/accuracies"),
        (["trainer=sft", "evaluation.enabled=false", "seed=1,2"], "eval/loss"),
        (["trainer=sft,dpo", "seed=1,2"], "eval/pair_accuracy_mean_logp"),
        (["trainer=dpo,reward", "seed=1,2"], "eval/rewards/accuracies"),
        (["experiment=reproduce_sft,reproduce_dpo", "evaluation.enabled=true"], "eval/pair_accuracy_mean_logp"),
        (["experiment=reproduce_dpo", "seed=1,2"], "eval/pair_accuracy_implicit"),
        (["trainer=dpo", "objective=train/loss", "seed=1,2"], "train/loss"),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, list) else words,
)
def test_the_metric_follows_from_the_trainers_of_the_sweep(words: list[str], first: str) -> None:
    assert names(*words)[0] == first


@pytest.mark.parametrize(
    "words", [["trainer=kto", "evaluation.enabled=false", "seed=1,2"], ["trainer=sft,reward"]], ids=" ".join
)
def test_where_nothing_compares_a_metric_has_to_be_named(words: list[str]) -> None:
    with pytest.raises(UserError, match=r"`objective` is null, and no metric compares the jobs .* objective=eval/loss"):
        names(*words)
    assert names(*words, "objective=eval/loss") == ("eval/loss",)


def test_a_chain_is_compared_by_what_its_last_stage_has() -> None:
    assert names("chain=[tutor_sft,tutor_dpo]", "seed=1,2")[0] == "eval/pair_accuracy_implicit"


def test_a_run_alone_returns_what_it_measured(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, {"trainer": "dpo", "metrics": {"eval/rewards/accuracies": 0.75, "train/loss": 9.0}})
    assert usual_objective(run, None) == 0.75
    assert usual_objective(run, "train/loss") == 9.0
    assert usual_objective(run, "eval/pair_accuracy_implicit") is None
    run.record["metrics"] = {"train/loss": 9.0}
    assert usual_objective(run, None) is None


def test_runs_that_lack_the_first_metric_are_compared_by_the_next(tmp_path: Path) -> None:
    for name, metrics in (("a", {"eval/loss": 2.0, "eval/x": 1.0}), ("b", {"eval/loss": 3.0})):
        (tmp_path / "runs" / name).mkdir(parents=True)
        record = {"state": "finished", "started": "2026-01-02", "metrics": metrics}
        (tmp_path / "runs" / name / "run.json").write_text(json.dumps(record), encoding="utf-8")
    jobs: list[dict[str, Any]] = [
        {"number": 0, "state": "finished", "run": "a", "objective": None},
        {"number": 1, "state": "failed", "run": None, "objective": None},
        {"number": 2, "state": "finished", "run": "b", "objective": None},
    ]
    given = ("eval/human_turn_nll", "eval/x", "eval/loss")
    assert measured(given, jobs, tmp_path) == ("eval/loss", {0: 2.0, 2: 3.0})
    assert measured(given[:2], jobs, tmp_path) is None
    assert measured(given[:1], jobs, tmp_path) is None
    jobs[0]["objective"] = 1.0
    assert measured(given, jobs, tmp_path) is None
    assert comparable(["another"]) == ("eval/loss",)
