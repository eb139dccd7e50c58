"""What a reward model of ours (a run of trainer=reward) thinks of a reply."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from edu_align.evaluation.suite.reward import RewardSubject, find_scorer
from edu_align.evaluation.suite.subject import load_weights
from edu_align.models.content import trained_content
from edu_align.models.device import resolve
from edu_align.models.scoring import reply_rewards, reply_rows
from edu_align.records import Response, ResponseGroup
from edu_align.rewards.asked import Asked, ModelReward, Scoring, Sources
from edu_align.utils.hashing import records_in
from edu_align.utils.memory import HalvingBatches

TOGETHER = 16  # replies of one forward pass
OF_TRAINING = ("name", "per_device_batch_size")  # of `hardware`: what scoring does not read


class RewardModel:
    """The reward model in memory; a call scores replies."""

    def __init__(self, subject: RewardSubject) -> None:
        self.tokenizer, self.longest = subject.tokenizer, subject.max_length
        device = replace(resolve(subject.weights.config), reasons=())
        self.model = load_weights(subject.weights, subject.location, device, self.longest)
        self.batches = HalvingBatches("scoring replies by the reward model")

    def __call__(self, replies: Sequence[str], asked: Sequence[Asked]) -> list[float]:
        rows = [self._row(text, one) for text, one in zip(replies, asked, strict=True)]
        work = partial(reply_rewards, self.model, pad=self.tokenizer.pad_token_id)
        parts = (rows[place : place + TOGETHER] for place in range(0, len(rows), TOGETHER))
        return [reward for part in parts for reward, _ in self.batches.run(work, part)]

    def _row(self, text: str, asked: Asked) -> Any:
        prompt = tuple(replace(turn, train=False) for turn in asked.turns)
        group = ResponseGroup(prompt, (Response(text, 0.0),), asked.id, "rewards", asked.id)
        return reply_rows(self.tokenizer, group, self.longest)[0]


def find(sources: Sources) -> RewardSubject:
    """The reward model of the run, not loaded yet. Errors: no such run, one that writes, another base."""
    hardware = asdict(sources.config.hardware).items()
    words = {f"hardware.{name}": json.dumps(value) for name, value in hardware if name not in OF_TRAINING}
    return find_scorer(str(sources.reward_run), words, Path(sources.config.outputs_root))[1]


def identity(sources: Sources) -> str:
    """What its weights hold."""
    changed = find(sources).weights.changed
    assert changed is not None
    return trained_content(changed, records_in(sources.config.outputs_root))[:12]


def open_model(sources: Sources) -> Scoring:
    return RewardModel(find(sources))


REWARD = ModelReward(
    says="what a reward model (`reward_run`) gives the reply, on that model's own scale",
    gamed="write what its training pairs let win, such as a length or a phrase; far from their replies it guesses",
    least=float("-inf"),
    most=float("inf"),
    open=open_model,
    identity=identity,
)
