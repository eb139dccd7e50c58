"""`evaluation.samples_steps`: the same prompts answered in the middle of training, which goes on as if nothing was."""

import json
from collections.abc import Callable
from typing import Any

import torch


def test_samples_come_at_their_steps_and_change_nothing(train: Callable[..., Any]) -> None:
    plain = train("trainer=sft", "run_name=unwatched")
    watched = train("trainer=sft", "run_name=watched", "evaluation.samples_steps=1")
    rows = [json.loads(line) for line in (watched.path / "samples.jsonl").read_text().splitlines()]
    assert [row["when"] for row in rows[::2]] == ["before", "step_1", "step_2", "after"]
    assert len({row["id"] for row in rows}) == 2
    for name in watched.trained:
        assert torch.equal(plain.after[name], watched.after[name]), name
