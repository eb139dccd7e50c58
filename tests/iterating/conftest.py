"""Rounds of the tiny model: a few dialogues, few tokens, two steps."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edu_align.config.arguments import parse
from edu_align.iterating.plan import GROUPS, OWN, Plan, read_plan

SMALL = [
    "rounds=2", "rounds.prompts=4", "rounds.replies=3", "rounds.validation=4", "rounds.max_new_tokens=10",
    "rounds.margin=0.01", "rounds.patience=9", "rounds.rewards={human_length: 1, asks_question: 1}",
    "trainer.batch_size=4", "trainer.max_steps=2", "trainer.learning_rate=0.01", "trainer.save_steps=1",
]  # fmt: skip


@pytest.fixture
def plan(runs: Callable[[str], Any], outputs: Path) -> Callable[..., Plan]:
    """`plan("scorer=votes", run="sft")`: what the command makes of SMALL and these words; a later word counts."""

    def made(*words: str, run: str = "sft", small: bool = True) -> Plan:
        runs(run)
        given = {word.partition("=")[0]: word for word in [*(SMALL if small else []), *words]}
        root = [] if "outputs_root" in given else [f"outputs_root={outputs}"]
        return read_plan(parse([f"run={outputs / 'runs' / run}", *root, *given.values()], OWN, groups=GROUPS))

    return made
