"""W&B beside the run folder, offline: no key, no network."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edu_align.config.schema import TrackingConfig
from edu_align.tracking.tracker import has_key, tracking

UNMEASURED = "evaluation.enabled=false"


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_DIR", "WANDB_RUN_ID", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def offline_runs(folder: Path) -> list[Path]:
    return sorted((folder / "wandb").glob("offline-run-*/run-*.wandb"))


def test_two_runs_of_one_process_are_two_wandb_runs(train: Callable[..., Any], tmp_path: Path) -> None:
    import wandb

    options = ["trainer=sft", "tracking=wandb", "tracking.mode=offline", UNMEASURED, "trainer.max_steps=1"]
    ids = []
    for name in ("tracked-1", "tracked-2"):
        done = train(*options, f"run_name={name}", f"outputs_root={tmp_path}")
        assert done.record["state"] == "finished"
        (file,) = offline_runs(done.path)
        assert file.stat().st_size > 1000
        assert b"train/loss" in file.read_bytes()
        assert wandb.run is None
        ids.append(file.name)
    assert ids[0] != ids[1]


def test_auto_is_offline_without_a_key_and_a_failure_finishes_the_run(tmp_path: Path, capsys: Any) -> None:
    import wandb

    def broken() -> None:
        with tracking(TrackingConfig(name="wandb"), tmp_path, {"seed": 1}) as tracker:
            tracker.log({"train/loss": 1.0}, step=1)
            tracker.samples(
                "before", [{"prompt": [{"role": "user", "content": "q"}], "reply": "", "reference_reply": "r"}]
            )
            tracker.summary({"eval/x": 0.5})
            raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        broken()
    assert wandb.run is None
    assert len(offline_runs(tmp_path)) == 1
    assert "no W&B key, so tracking is offline; `wandb sync" in capsys.readouterr().out


def test_off_sends_nothing(tmp_path: Path) -> None:
    with tracking(TrackingConfig(name="off"), tmp_path, {}) as tracker:
        tracker.log({"train/loss": 1.0}, step=1)
        tracker.samples("before", [])
        tracker.summary({})
        assert tracker.run is None
    assert list(tmp_path.iterdir()) == []


def test_a_key_is_seen_in_the_environment_and_in_netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not has_key()
    (tmp_path / ".netrc").write_text("machine api.wandb.ai\n  login user\n  password xyz\n")
    (tmp_path / ".netrc").chmod(0o600)
    assert has_key()
    (tmp_path / ".netrc").unlink()
    monkeypatch.setenv("WANDB_API_KEY", "xyz")
    assert has_key()
