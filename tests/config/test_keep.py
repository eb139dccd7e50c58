"""Which weights stay and when training ends: what cannot be chosen by is refused with a fix that works."""

from collections.abc import Callable

import pytest

from edu_align.config.metrics import RUN_METRICS, choosing_metrics
from edu_align.config.schema import trainers

Problems = Callable[..., list[str]]
BEST = "trainer.keep=best trainer.eval_steps=5"

ACCEPTED = [
    BEST,
    "trainer.patience=2 trainer.eval_steps=5",
    f"{BEST} trainer.keep_metric=eval/human_turn_nll",
    f"trainer=dpo {BEST} trainer.keep_metric=eval/rewards/accuracies trainer.patience=1",
]


@pytest.mark.parametrize("words", ACCEPTED)
def test_a_choice(problems: Problems, words: str) -> None:
    assert problems(*words.split()) == []


REFUSED = [
    ("trainer.keep=best", "trainer.eval_steps is null. Set trainer.eval_steps=50, or trainer.keep=last."),
    ("trainer.patience=3", "trainer.eval_steps is null. Set trainer.eval_steps=50, or trainer.patience=null."),
    (f"{BEST} trainer.patience=0", "`trainer.patience` must be >= 1, got 0."),
    (f"{BEST} trainer.average_last=0.5", "name different weights. Set trainer.average_last=0 or trainer.keep=last."),
    ("trainer.keep_metric=eval/entropy", "does nothing with trainer.keep=last and no trainer.patience."),
    (f"{BEST} trainer.keep_metric=eval/los", "Did you mean `eval/loss`?"),
    (f"{BEST} trainer.keep_metric=eval/rewards/margins", "`trainer.keep_metric` must be one of eval/loss | eval/entr"),
    (f"trainer=dpo {BEST} trainer.keep_metric=eval/pair_accuracy_implicit", "must be one of"),
    (f"{BEST} trainer.keep_metric=eval/human_turn_nll evaluation.enabled=false", "Set evaluation.enabled=true or"),
    (f"trainer=grpo {BEST}", "`trainer.keep_metric` must be one of eval/reward | "),
    (f"trainer=reward {BEST} trainer.keep_metric=eval/pair_accuracy_logp", "eval/pair_accuracy_reward | "),
    (
        f"trainer=reward {BEST} trainer.reward_loss=regression trainer.keep_metric=eval/rewards/margins",
        "must be one of",
    ),
    (f"{BEST} +trainer.args.load_best_model_at_end=true", "is set by the keys trainer.keep and trainer.keep_metric."),
]


@pytest.mark.parametrize(("words", "expected"), REFUSED)
def test_what_cannot_be_chosen_by_is_refused(problems: Problems, words: str, expected: str) -> None:
    (found,) = problems(*words.split())
    assert expected in found


def test_metrics_that_choose_are_numbers_of_a_run() -> None:
    for algorithm in trainers():
        assert set(choosing_metrics(algorithm)) <= set(RUN_METRICS)
