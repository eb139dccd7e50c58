"""The best step of a training: its weights stay, training ends where nothing is better, and a kill changes nothing."""

import json
import os
import signal
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import TrainerCallback

from edu_align.config.metrics import choosing_metrics, is_held_out
from edu_align.config.schema import TrainerConfig
from edu_align.models.trainable import trainable_parameters
from edu_align.planning.duration import checkpoint_bytes
from edu_align.reports.run_end import outcome as said
from edu_align.training import session
from edu_align.training.best import WEIGHTS, BestStep, Choice
from edu_align.training.callbacks import Recorder
from edu_align.utils.errors import UserError
from tests.killing import in_child, killed_at, outcome

# A rate at which the first steps help and later ones hurt.
WORDS = [
    "trainer.max_steps=8", "trainer.eval_steps=1", "trainer.learning_rate=0.05", "evaluation.enabled=false",
    "trainer.keep=best", "run_name=it",
]  # fmt: skip


@pytest.mark.parametrize(
    ("better", "values", "best"),
    [
        ("smaller", [3.0, 2.0, 2.0, 4.0], (2.0, 1, 2)),
        ("larger", [3.0, 2.0, 5.0, 5.0], (5.0, 2, 1)),
        ("smaller", [float("nan"), 2.0, float("nan")], (2.0, 1, 1)),
        ("larger", [float("nan"), float("nan")], (None, None, 2)),
    ],
)
def test_the_first_of_equal_values_is_the_best(better: str, values: list[float], best: Any) -> None:
    choice = Choice("best", "eval/x", better)
    taken = [choice.take(value, step) for step, value in enumerate(values)]
    assert (choice.value, choice.step, choice.since, choice.validations) == (*best, len(values))
    assert choice.step is None or taken[choice.step]
    assert choice.facts(9)["kept_step"] == (9 if choice.step is None else choice.step)


class Steps(TrainerCallback):
    """The trained weights after every step."""

    def __init__(self, trainer: Any) -> None:
        self.trainer = trainer
        self.weights: dict[int, dict[str, torch.Tensor]] = {}

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        now = trainable_parameters(self.trainer.model)
        self.weights[state.global_step] = {name: value.clone() for name, value in now.items()}


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[Steps]:
    """What is there after each step of the runs that choose."""
    found: list[Steps] = []

    def best_step(trainer: Any, keys: TrainerConfig) -> BestStep:
        found.append(Steps(trainer))
        trainer.add_callback(found[-1])
        return BestStep(trainer, keys)

    monkeypatch.setattr(session, "BestStep", best_step)
    return found


def validated(folder: Path, name: str) -> dict[int, float]:
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {row["step"]: row[name] for row in rows if name in row}


CASES = [
    ("trainer=sft", "eval/loss", min),
    pytest.param("trainer=sft adapter=full", "eval/loss", min, marks=pytest.mark.slow),
    ("trainer=dpo", "eval/rewards/margins", max),
]


@pytest.mark.parametrize(("words", "metric", "better"), CASES)
def test_the_weights_of_the_best_validation_stay(
    go: Callable[..., Any], steps: list[Steps], words: str, metric: str, better: Any
) -> None:
    done = go(*WORDS, *words.split(), f"trainer.keep_metric={metric}")
    seen = validated(done.path, metric.replace("eval/", "eval_"))
    values = {step: seen[step] for step in sorted(seen)}
    assert list(values) == list(range(1, 9))
    best = better(values, key=lambda step: values[step])
    choice = done.record["choice"]
    assert (choice["step"], choice["kept_step"], choice["validations"], choice["stopped"]) == (best, best, 8, None)
    assert best < 8, "or the last step's weights would do"
    (watch,) = steps
    left = {name: value.detach() for name, value in trainable_parameters(watch.trainer.model).items()}
    for name, value in watch.weights[best].items():
        assert torch.equal(left[name], value)
    assert any(not torch.equal(left[name], value) for name, value in watch.weights[8].items())
    assert done.record["metrics"][metric] == pytest.approx(values[best], rel=1e-6)
    told = (
        f"kept are the weights of step {best}: of 8 validations {metric} was best at step {best} ({values[best]:.4g})"
    )
    assert f"edu_align: {told}" in said(done)
    assert told[1:] in (done.path / "README.md").read_text(encoding="utf-8")


def test_training_ends_where_nothing_is_better(go: Callable[..., Any], steps: list[Steps]) -> None:
    """With trainer.keep=last the last step's weights stay."""
    words = [*WORDS, "trainer=sft", "trainer.patience=1"]
    best = go(*words).record
    choice = best["choice"]
    assert choice["stopped"] == choice["step"] + 1 == best["metrics"]["train/steps"] < 8
    last = go(*words, "trainer.keep=last", "run_name=last").record
    assert last["metrics"]["train/steps"] == choice["stopped"] == last["choice"]["kept_step"]
    assert last["metrics"]["eval/loss"] > best["metrics"]["eval/loss"]
    assert "trainer.patience ended it at step" in said(go(*words))[1]


@pytest.mark.parametrize(
    ("trainer", "metric"), [("sft", "eval/loss"), pytest.param("dpo", "eval/rewards/margins", marks=pytest.mark.slow)]
)
def test_a_killed_run_keeps_the_same_step(go: Callable[..., Any], trainer: str, metric: str) -> None:
    """Killed after the best step, whose checkpoint is long gone: one is kept."""
    words = [*WORDS, f"trainer={trainer}", f"trainer.keep_metric={metric}"]
    words += ["trainer.save_steps=1", "trainer.save_total_limit=1"]
    whole = go(*words, root="whole")
    best = whole.record["choice"]["step"]
    assert best < 7
    with killed_at("on_step_end", best + 2):
        assert in_child(lambda: go(*words, root="cut")) == -9
    (folder,) = (whole.path.parents[2] / "cut").glob("runs/*/checkpoints/checkpoint-*")
    assert folder.name == f"checkpoint-{best + 1}"
    assert (folder / WEIGHTS).is_file()
    resumed = go(*words, root="cut")
    assert resumed.record["choice"] == whole.record["choice"]
    assert outcome(resumed.path) == outcome(whole.path)


def test_a_run_that_was_ended_is_not_trained_on(go: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed once patience had ended it, at a step with a checkpoint."""
    words = [*WORDS, "trainer=sft", "trainer.patience=1", "trainer.save_steps=1"]
    whole = go(*words, root="whole")
    with monkeypatch.context() as patch:
        patch.setattr(session, "validation_metrics", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        assert in_child(lambda: go(*words, root="cut")) == -9
    stepped: list[int] = []
    monkeypatch.setattr(Recorder, "on_step_end", lambda self, args, state, *_, **__: stepped.append(state.global_step))
    resumed = go(*words, root="cut")
    assert stepped == []
    assert resumed.record["choice"] == whole.record["choice"]
    assert outcome(resumed.path) == outcome(whole.path)


@pytest.mark.parametrize(
    ("trainer", "metric"),
    [pytest.param("sft", "eval/human_turn_nll", marks=pytest.mark.slow), ("dpo", "eval/pair_accuracy_mean_logp")],
)
def test_a_metric_of_ours_is_measured_on_the_validation_part(go: Any, trainer: str, metric: str) -> None:
    """The same records, named as the measured split of another run, give the same number."""
    words = [*WORDS[:1], "trainer.eval_steps=4", "trainer.keep=best", f"trainer={trainer}", "evaluation.samples=0"]
    done = go(*words, f"trainer.keep_metric={metric}", "run_name=chosen")
    values = validated(done.path, metric.replace("eval/", "eval_"))
    assert list(values) == [4, 8]
    choice = done.record["choice"]
    assert choice["value"] == values[choice["step"]]
    on_validation = go(*words, f"trainer.keep_metric={metric}", "evaluation.split=validation", "run_name=validation")
    assert on_validation.record["metrics"][metric] == pytest.approx(choice["value"], rel=1e-6)


@pytest.mark.parametrize(
    "trainer", ["dpo", "grpo", *(pytest.param(name, marks=pytest.mark.slow) for name in ("sft", "kto", "reward"))]
)
def test_every_number_that_may_choose_is_measured(go: Callable[..., Any], trainer: str) -> None:
    """By each method; of GRPO's rewards those that it is asked for."""
    every = [name for name in choosing_metrics(trainer) if not is_held_out(name)]
    words = ["trainer.max_steps=2", "trainer.eval_steps=1", "evaluation.enabled=false", "trainer.keep=best"]
    words += [f"trainer={trainer}", f"trainer.keep_metric={every[0]}"]
    if trainer == "grpo":
        words += ["trainer.num_generations=4", "trainer.batch_size=8", "trainer.max_completion_length=12"]
        words += ["hardware.per_device_batch_size=1", "trainer.rewards={asks_question: 1, human_length: 1}"]
        every = ["eval/reward", "eval/rewards/asks_question/mean", "eval/rewards/human_length/mean"]
    done = go(*words)
    rows = [json.loads(line) for line in (done.path / "metrics.jsonl").read_text().splitlines()]
    logged = {name.replace("eval_", "eval/", 1) for row in rows for name in row if name.startswith("eval_")}
    assert set(every) <= logged
    assert done.record["choice"]["metric"] == every[0]
    assert done.record["choice"]["value"] is not None
    assert done.record["choice"]["validations"] == 2


NOTHING = [
    ("trainer.eval_steps=8", r"validates every 8 steps .* and has 8. Set trainer.eval_steps to 3 or less"),
    ("dataset=local dataset.validation_fraction=0.001", r"leaves no example for them .* or set trainer.keep=last"),
    ("trainer.keep_metric=eval/selection_score_logp dataset=local evaluation.enabled=true", "cannot be measured on"),
]


@pytest.mark.parametrize(("words", "message"), NOTHING)
def test_a_run_with_nothing_to_choose_from_is_refused(go: Any, tmp_path: Path, words: str, message: str) -> None:
    given = words.split()
    if "dataset=local" in given:
        rows = [{"messages": [{"role": "user", "content": f"{i}?"}, {"role": "assistant", "content": "Go"}]}
                for i in range(40)]  # fmt: skip
        (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        given.append(f"dataset.path={tmp_path}/rows.jsonl")
    with pytest.raises(UserError, match=message) as caught:
        go("trainer=sft", *WORDS, *given)
    assert caught.value.exit_code == 2


def test_a_plan_counts_the_best_weights(typed: Any) -> None:
    last, best = typed("trainer=sft", "trainer.eval_steps=1"), typed("trainer=sft", *WORDS)
    assert checkpoint_bytes(best) == checkpoint_bytes(last) * 4 / 3, "weights and Adam's two moments"


def test_a_choice_is_plain_json() -> None:
    choice = Choice("best", "eval/loss", "smaller", 0.1 + 0.2, 3, 4, 1)
    assert Choice(**json.loads(json.dumps(asdict(choice)))) == choice
