"""What cannot go together is refused by name, before anything is loaded; what counts is in the id."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edu_align.iterating.plan import Plan
from edu_align.utils.errors import UserError

Make = Callable[..., Plan]
WRONG = [
    (["scorer=rule"], "`rounds.scorer` must be one of rules | reward | judge | votes, got 'rule'"),
    (["scorer=reward", "rounds.rewards={}"], "`scorer=reward` needs `rounds.reward_run`, got null"),
    (["scorer=votes", "rounds.rewards={}"], "`scorer=votes` needs `rounds.votes`, got null"),
    (["scorer=judge", "rounds.rewards={}"], "`scorer=judge` needs an endpoint, got evaluation.judge=null"),
    (["rounds.votes=votes.jsonl"], "is read by scorer=votes, got scorer=rules. Set scorer=votes, or drop it."),
    (["rounds.rewards={asks_questions: 1}"], "'asks_questions' is no reward. Did you mean `asks_question`?"),
    (["rounds.rewards={asks_question: 0}"], "weighs nothing"),
    (["rounds=0"], "`rounds.number` must be >= 1, got 0"),
    (["rounds.replies=1"], "`rounds.replies` must be >= 2, got 1"),
    (["rounds.temperature=0"], "`rounds.temperature` must be > 0"),
    (["trainer=sft"], "`trainer=sft`: a round learns which replies are better by dpo or kto. Set trainer=dpo."),
    (["trainer.loss_type=orpo"], "`trainer.loss_type=orpo` reads no reference model"),
    (["trainer.bta=1"], "Did you mean `trainer.beta`?"),
    (["rounds.max_new_tokens=1000"], "`rounds.max_new_tokens=1000` leaves 24 of `trainer.max_length=1024` tokens"),
    (["scorer=votes", "rounds.rewards={}", "rounds.votes=nowhere.jsonl"], "`rounds.votes=nowhere.jsonl` is no file"),
]


@pytest.mark.parametrize(("words", "said"), WRONG, ids=[" ".join(words) for words, _ in WRONG])
def test_a_wrong_combination_is_one_message(words: list[str], said: str, plan: Make) -> None:
    with pytest.raises(UserError) as error:
        plan(*words)
    assert said in str(error.value)


def test_a_reward_model_cannot_start(plan: Make) -> None:
    with pytest.raises(UserError, match="`run=reward` is a reward model"):
        plan(run="reward")


def test_what_decides_the_numbers_is_in_the_id(plan: Make) -> None:
    same = [[], ["rounds=5"], ["rounds.patience=2"], ["hardware.threads=2"]]
    other = [
        ["rounds.seed=1"],
        ["rounds.replies=4"],
        ["trainer=kto", "rounds.rewards={}"],
        ["trainer.beta=0.3"],
        ["rounds.pairs=all"],
    ]
    ids = [plan(*words).id("data", None) for words in same]
    others = [plan(*words).id("data", None) for words in other]
    assert len(set(ids)) == 1
    assert len({*ids, *others}) == 1 + len(other)
    assert plan().id("other data", None) not in ids


def test_a_round_is_trained_as_the_start_was(plan: Make, runs: Any, outputs: Path) -> None:
    """On its base, with its adapter; evaluated by the rounds alone; on rows that are all for training."""
    made = plan("trainer=kto", "trainer.beta=0.4")
    start = runs("sft").record
    training = made.training
    assert (training.trainer.algorithm, training.trainer.beta) == ("kto", 0.4)
    assert training.adapter.rank == 4
    assert made.location.identity == start["base_model"]
    assert not training.evaluation.enabled
    assert training.dataset.format == "labels"
    assert made.folder("abc") == outputs / "rounds" / "rules-sft-abc"
