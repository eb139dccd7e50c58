"""`trainer.average_last`: a run ends with the mean of its last steps' weights, and with nothing else."""

from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainerCallback

from edu_align.models.trainable import WEIGHTS, trainable_parameters
from edu_align.runs.checkpoints import CheckpointStore
from edu_align.training import session
from edu_align.training.callbacks import AVERAGE, Averaging

STEPS = 6
WORDS = [f"trainer.max_steps={STEPS}", "evaluation.enabled=false"]


class Watch(TrainerCallback):
    """The trained weights after every step, and after the training."""

    def __init__(self, trainer: Any) -> None:
        self.trainer = trainer
        self.steps: list[dict[str, torch.Tensor]] = []
        self.end: dict[str, torch.Tensor] = {}

    def now(self) -> dict[str, torch.Tensor]:
        return {name: value.clone() for name, value in trainable_parameters(self.trainer.model).items()}

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.steps.append(self.now())

    def on_train_end(self, *_: Any, **__: Any) -> None:
        self.end = self.now()


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> list[Watch]:
    """A watcher behind every averaging that a run makes."""
    found: list[Watch] = []

    def averaging(trainer: Any, share: float) -> Averaging:
        made = Averaging(trainer, share)
        plain = trainer.add_callback

        def add(callback: Any) -> None:
            plain(callback)
            if callback is made:
                found.append(Watch(trainer))
                plain(found[-1])

        trainer.add_callback = add
        return made

    monkeypatch.setattr(session, "Averaging", averaging)
    return found


DPO, FULL = ["trainer=dpo"], ["trainer=sft", "adapter=full"]


@pytest.mark.parametrize(
    ("words", "share", "counted"),
    [
        (DPO, 1.0, 6), (FULL, 0.5, 3),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in ((DPO, 0.5, 3), (FULL, 1.0, 6))),
        *(pytest.param(words, 0.01, 1, marks=pytest.mark.slow) for words in (DPO, FULL)),
    ],
)  # fmt: skip
def test_the_run_ends_with_the_mean_of_its_last_steps(
    go: Any, watched: list[Watch], words: list[str], share: float, counted: int
) -> None:
    go(*words, *WORDS, f"trainer.average_last={share}")
    (watch,) = watched
    moved = False
    for key, ended in watch.end.items():
        steps = torch.stack([step[key].double() for step in watch.steps])
        assert len(steps) == STEPS
        torch.testing.assert_close(ended.double(), steps[-counted:].mean(0), rtol=1e-5, atol=1e-7)
        moved |= not torch.equal(ended, watch.steps[-1][key])
    assert moved is (counted > 1)


def test_a_checkpoint_holds_the_mean_beside_the_weights(
    go: Any, watched: list[Watch], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: dict[int, tuple[Any, Any]] = {}
    keep_newest = CheckpointStore.keep_newest

    def look(self: CheckpointStore, step: int, most: int) -> None:
        folder = self.newest_valid()
        assert folder is not None
        averaged = folder / AVERAGE
        kept[step] = (load_file(folder / WEIGHTS), load_file(averaged) if averaged.is_file() else None)
        keep_newest(self, step, most)

    monkeypatch.setattr(CheckpointStore, "keep_newest", look)
    go("trainer=dpo", *WORDS, "trainer.average_last=0.5", "trainer.save_steps=2")
    (watch,) = watched
    assert kept[2][1] is None
    for step, mean in ((4, watch.steps[3]), (6, watch.end)):
        weights, averaged = kept[step]
        for key, value in averaged.items():
            assert torch.equal(value, mean[key])
            assert torch.equal(weights[key], watch.steps[step - 1][key])
