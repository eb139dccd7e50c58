"""What grows with the number of steps, over 2,000 steps of the tiny model: the log, by the line, and nothing else."""

import os
from typing import Any

import psutil
import pytest

from edu_align.training.callbacks import Recorder
from tests.killing import in_child

pytestmark = pytest.mark.slow
EARLY, LATE = 300, 2000  # optimizer steps


@pytest.mark.parametrize("trainer", ["sft", "dpo"])
def test_memory_and_checkpoints_do_not_grow(go: Any, tmp_path: Any, monkeypatch: Any, capfd: Any, trainer: str) -> None:
    words = [f"trainer={trainer}", f"trainer.max_steps={LATE + 1}", "trainer.save_steps=100", "run_name=it"]
    folder = tmp_path / "runs" / "it"
    original = Recorder.on_step_begin

    def watched(self: Any, args: Any, state: Any, control: Any, **rest: Any) -> None:
        original(self, args, state, control, **rest)
        if state.global_step in (EARLY, LATE):
            kept = folder / "checkpoints"
            sizes = [os.stat(file).st_size for file in kept.rglob("*") if file.is_file()]
            facts = (psutil.Process().memory_info().rss, sum(sizes), (folder / "metrics.jsonl").stat().st_size)
            (tmp_path / str(state.global_step)).write_text(" ".join(map(str, facts)))

    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "on_step_begin", watched)
        assert in_child(lambda: go(*words, "evaluation.enabled=false")) == 0
    early, late = ([int(word) for word in (tmp_path / str(step)).read_text().split()] for step in (EARLY, LATE))
    with capfd.disabled():
        print(
            f"\n{trainer}: resident memory {early[0] / 2**20:.1f} MiB after {EARLY} steps, {late[0] / 2**20:.1f} MiB "
            f"after {LATE} ({late[0] / early[0] - 1:+.2%}); checkpoints {early[1]} and {late[1]} bytes; metrics.jsonl "
            f"{late[2] / LATE:.0f} bytes a logged step"
        )
    assert late[0] == pytest.approx(early[0], rel=0.02)
    assert late[1] == pytest.approx(early[1], rel=0.01)  # numbers have more digits
    assert late[2] / LATE < 1000
