"""What happens to the others when one run, or the stack of all, fails."""

from collections.abc import Callable
from typing import Any

import pytest

from edu_align.runs.folder import RunFolder, find_run
from edu_align.together import run_together
from edu_align.together.host import Host
from edu_align.trainers.divergence import Diverged
from tests.together.test_equal import LIVE, UNMEASURED, same

SHARED = ["trainer=dpo", UNMEASURED, LIVE]


def test_one_that_fails_in_mid_training_leaves_and_the_others_go_on(
    tiny: Callable[..., Any], train: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = RunFolder.append

    def append(self: RunFolder, name: str, row: dict[str, Any]) -> None:
        if self.path.name == "fails-b" and row["step"] == 2:
            raise OSError("no space left on device")
        original(self, name, row)

    monkeypatch.setattr(RunFolder, "append", append)
    names = ["fails-a", "fails-b", "fails-c"]
    cfgs = [tiny(*SHARED, f"trainer.beta={(1 + i) / 10}", f"run_name={name}") for i, name in enumerate(names)]
    first, second, third = run_together(cfgs)
    assert isinstance(second, OSError)
    for i, done in ((0, first), (2, third)):
        same(done, train(*SHARED, f"trainer.beta={(1 + i) / 10}", f"run_name=alone-{i}"))
    with pytest.raises(Exception, match="'failed'"):
        find_run("run", str(cfgs[1].run_name), first.path.parent.parent)  # type: ignore[union-attr]


def test_numbers_that_overflow_stay_in_their_own_run(tiny: Callable[..., Any], train: Callable[..., Any]) -> None:
    words = [["trainer.learning_rate=1e30"], ["trainer.learning_rate=2e-3"]]
    wild, calm = run_together([tiny(*SHARED, *w, f"run_name=wild-{i}") for i, w in enumerate(words)])
    assert isinstance(wild, Diverged)
    assert "diverged at step 2" in str(wild)
    same(calm, train(*SHARED, *words[1], "run_name=calm"))


def test_a_user_error_of_one_reaches_only_that_one(tiny: Callable[..., Any], outputs: Any) -> None:
    (outputs / "runs" / "taken").mkdir(parents=True)
    (outputs / "runs" / "taken" / "notes.txt").write_text("not a run", encoding="utf-8")
    refused, done = run_together([tiny(*SHARED, f"run_name={name}") for name in ("taken", "not-taken")])
    assert isinstance(refused, Exception)
    assert "taken" in str(refused)
    assert isinstance(done, RunFolder)
    assert done.record["state"] == "finished"


def test_what_no_run_is_to_blame_for_is_tried_again_alone(
    tiny: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def forward(*_: Any) -> Any:
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr(Host, "forward", forward)
    done = run_together([tiny(*SHARED, f"trainer.beta={beta}", f"run_name=blameless-{beta}") for beta in (0.1, 0.2)])
    for folder in done:
        assert isinstance(folder, RunFolder)
        assert folder.record["state"] == "finished"
        assert "trained_beside" not in folder.record


def test_one_that_runs_out_of_memory_by_itself_trains_again_alone(
    tiny: Callable[..., Any], train: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    from edu_align.trainers.fitting import Step

    original, ran_out = Step._passes, []

    def passes(self: Any, trainer: Any, one: Any, batch: Any) -> Any:
        if trainer.args.output_dir.endswith("full-0") and trainer.state.global_step == 1 and not ran_out:
            ran_out.append(1)
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return original(self, trainer, one, batch)

    monkeypatch.setattr(Step, "_passes", passes)
    words = [["trainer.beta=0.1"], ["trainer.beta=0.3"]]
    first, second = run_together([tiny(*SHARED, *w, f"run_name=full-{i}") for i, w in enumerate(words)])
    assert "trains again on its own" in capsys.readouterr().out
    for i, done in enumerate((first, second)):
        assert isinstance(done, RunFolder)
        same(done, train(*SHARED, *words[i], f"run_name=full-alone-{i}"))
