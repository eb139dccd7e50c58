"""A run's weights and run.json alone, on another machine: what a later run needs to go on from them."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from edu_align.data.datamodule import GROUPS_FILE, trained_groups
from edu_align.utils.errors import UserError


def brought(run_folder: Path, root: Path) -> Path:
    """A copy of `adapter/` and `run.json` under `root`, with a start that is nowhere on this machine."""
    there = root / "brought"
    shutil.copytree(run_folder / "adapter", there / "adapter")
    record = json.loads((run_folder / "run.json").read_text())
    if record["init_from"] is not None:
        record["init_from"] = "/another/machine/sft"
    (there / "run.json").write_text(json.dumps(record))
    return there


@pytest.mark.parametrize("name", [pytest.param("sft", marks=pytest.mark.slow), "dpo_on_sft"])
def test_the_adapter_and_the_record_are_enough(go: Any, runs: Any, tmp_path: Path, name: str) -> None:
    source = runs(name).path
    there = brought(source, tmp_path)
    words = ["trainer=dpo", "trainer.max_steps=2", "run_name=next"]
    near, far = go(*words, f"init_from={source}", root="near"), go(*words, f"init_from={there}", root="far")
    weights = [folder.path / "adapter" / "adapter_model.safetensors" for folder in (near, far)]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert near.record["id"] == far.record["id"]
    splits = [json.loads((folder.path / "split.json").read_text()) for folder in (near, far)]
    assert splits[0] == splits[1]
    assert set(splits[0]["training_groups"]) >= trained_groups([source])


def test_weights_that_do_not_say_what_they_saw_are_refused(go: Any, runs: Any, tmp_path: Path) -> None:
    there = brought(runs("sft").path, tmp_path)
    (there / "adapter" / GROUPS_FILE).unlink()
    with pytest.raises(UserError, match=r"does not say what it was trained on.*neither split\.json nor adapter/"):
        go("trainer=dpo", f"init_from={there}", "accept_changed=true")
    assert not (tmp_path / "runs").exists()
