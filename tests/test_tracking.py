"""W&B beside the run folder, offline: no key, no network. What was recorded is read back from W&B's file."""

import json
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from edu_align.config.schema import TrackingConfig
from edu_align.evaluation.samples import COLUMNS, with_metrics
from edu_align.runs.folder import RunFolder
from edu_align.tracking import has_key, is_off, mode_of, tracking
from edu_align.utils.errors import UserError

pytestmark = pytest.mark.usefixtures("no_wandb_key")
TRACKED = ["tracking=wandb", "tracking.mode=offline"]
OFFLINE = TrackingConfig(name="wandb", mode="offline")


@dataclass
class Read:
    """What an offline run's file holds."""

    id: str = ""
    group: str = ""
    job_type: str = ""
    tags: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    system: int = 0
    artifacts: list[Any] = field(default_factory=list)
    exit_code: int | None = None

    def curve(self, name: str) -> list[tuple[int, float]]:
        return [(row["trainer/step"], row[name]) for row in self.history if name in row]


def offline_runs(folder: Path) -> list[Path]:
    return sorted((folder / "wandb").glob("offline-run-*/run-*.wandb"))


def stored_records(data: bytes) -> Iterator[bytes]:
    """The records of a .wandb file: LevelDB's log format after a header of 7 bytes, in blocks of 32 KiB."""
    block, head = 32768, struct.Struct("<IHB")
    place, parts = 7, b""
    while place + head.size <= len(data):
        left = block - place % block
        if left < head.size:
            place += left
            continue
        _, size, kind = head.unpack_from(data, place)
        place += head.size
        parts += data[place : place + size]
        place += size
        if kind in (1, 4):  # a whole record, or the last part of one
            yield parts
            parts = b""


def read_back(file: Path) -> Read:
    """W&B's own process writes the end of the file, perhaps a moment after `finish()`: wait for it."""
    deadline = time.monotonic() + 20
    while (found := _read(file)).exit_code is None and time.monotonic() < deadline:
        time.sleep(0.2)
    return found


def _read(file: Path) -> Read:
    from wandb.proto import wandb_internal_pb2

    found = Read()
    for stored in stored_records(file.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(stored)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            found.job_type = record.run.job_type
            found.id, found.group, found.tags = record.run.run_id, record.run.run_group, list(record.run.tags)
            found.config |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
        elif kind == "history":
            items = record.history.item
            found.history.append({i.key or "/".join(i.nested_key): json.loads(i.value_json) for i in items})
        elif kind == "summary":
            items = record.summary.update
            found.summary |= {i.key or "/".join(i.nested_key): json.loads(i.value_json) for i in items}
        elif kind == "stats":
            found.system += 1
        elif kind == "artifact":
            found.artifacts.append(record.artifact)
        elif kind == "request" and record.request.HasField("log_artifact"):
            found.artifacts.append(record.request.log_artifact.artifact)
        elif kind == "exit":
            found.exit_code = record.exit.exit_code
    return found


def tables(file: Path, name: str, run: Read) -> list[dict[str, Any]]:
    """The W&B Tables that the history points to under `name`, in their order."""
    paths = [row[f"{name}/path"] for row in run.history if f"{name}/path" in row]
    return [json.loads((file.parent / "files" / path).read_text(encoding="utf-8")) for path in paths]


def test_an_offline_run_reads_back_whole(train: Callable[..., Any], tmp_path: Path) -> None:
    options = ["trainer=dpo", *TRACKED, "tracking.group=g1", "tracking.tags=[a,b]", "tracking.artifact=true"]
    done = train(*options, "evaluation.samples_steps=1", f"outputs_root={tmp_path}", "run_name=whole")
    (file,) = offline_runs(done.path)
    found = read_back(file)
    assert found.id == done.record["wandb_id"]
    assert (found.group, found.tags, found.exit_code) == ("g1", ["a", "b"], 0)
    assert found.config["trainer"]["beta"] == 0.1
    assert found.config["seed"] == 42
    assert found.system > 0
    kept, samples = done.folder.rows("metrics.jsonl"), done.folder.rows("samples.jsonl")
    for name in ("loss", "rewards/chosen", "rewards/rejected", "rewards/margins", "rewards/accuracies"):
        assert found.curve(f"train/{name}") == [(row["step"], row[name]) for row in kept if name in row]
        assert len(found.curve(f"train/{name}")) == 3
    for when, steps in (("before", [0]), ("during", [1, 2]), ("after", [3])):
        logged = tables(file, f"samples/{when}", found)[-1]
        assert logged["columns"] == COLUMNS
        wanted = [row for row in samples if row["step"] in steps]
        assert wanted
        assert [(row[0], row[2]) for row in logged["data"]] == [(row["step"], row["reply"]) for row in wanted]
    for name, value in done.record["metrics"].items():
        assert found.summary[name] == pytest.approx(value), name
    (artifact,) = [each for each in found.artifacts if each.type == "model"]
    assert artifact.name == "whole-adapter"
    assert "adapter_model.safetensors" in {entry.path for entry in artifact.manifest.contents}


def test_two_runs_of_one_process_are_two_wandb_runs(train: Callable[..., Any], tmp_path: Path) -> None:
    import wandb

    options = ["trainer=sft", *TRACKED, "evaluation.enabled=false", "trainer.max_steps=1"]
    ids = []
    for name in ("tracked-1", "tracked-2"):
        done = train(*options, f"run_name={name}", f"outputs_root={tmp_path}")
        assert done.record["state"] == "finished"
        (file,) = offline_runs(done.path)
        found = read_back(file)
        assert len(found.curve("train/loss")) == 1
        assert found.exit_code == 0
        assert wandb.run is None
        ids.append(found.id)
    assert ids[0] != ids[1]


def test_a_run_that_is_resumed_continues_its_wandb_run(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "again", {})
    for step in (1, 2):
        with tracking(OFFLINE, RunFolder(folder.path, folder.record), {}) as tracker:
            tracker.log({"train/loss": 1.0 / step}, step=step)
    first, second = (read_back(file) for file in offline_runs(folder.path))
    assert first.id == second.id == json.loads((folder.path / "run.json").read_text())["wandb_id"]
    assert first.curve("train/loss") + second.curve("train/loss") == [(1, 1.0), (2, 0.5)]


def test_a_relative_folder_is_that_of_the_current_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """W&B writes in a process of its own, which stays where the first run began and which child processes inherit."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        with tracking(OFFLINE, RunFolder.create(Path("run"), {}), {}) as tracker:
            tracker.log({"train/loss": 1.0}, step=1)
        (file,) = offline_runs(tmp_path / name / "run")
        assert read_back(file).curve("train/loss") == [(1, 1.0)]


def test_auto_is_offline_without_a_key_and_a_failure_finishes_the_run(tmp_path: Path, capsys: Any) -> None:
    import wandb

    folder = RunFolder.create(tmp_path / "broken", {})
    row = {"prompt": [{"role": "user", "content": "why is 2 + 2 = 5"}], "reply": "is it 5 ?", "reference_reply": "r"}

    def broken() -> None:
        with tracking(TrackingConfig(name="wandb"), folder, {"seed": 1}) as tracker:
            tracker.log({"train/loss": 1.0}, step=1)
            tracker.samples("before", [with_metrics({"step": 0, **row})])
            tracker.summary({"eval/x": 0.5})
            raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        broken()
    assert wandb.run is None
    (file,) = offline_runs(folder.path)
    found = read_back(file)
    assert found.exit_code == 1
    assert found.summary["eval/x"] == 0.5
    (logged,) = tables(file, "samples/before", found)
    assert logged["data"] == [[0, "user: why is 2 + 2 = 5", "is it 5 ?", "r", 4, True, 0.667]]
    assert "tracking is offline (no W&B key" in capsys.readouterr().out


def test_off_sends_nothing(tmp_path: Path) -> None:
    with tracking(TrackingConfig(name="off"), RunFolder(tmp_path, {}), {}) as tracker:
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
    assert mode_of(TrackingConfig(name="wandb")) == "online"
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert mode_of(TrackingConfig(name="wandb")) == "offline"


def test_online_without_a_key_fails_before_anything_is_made(train: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"`tracking\.mode=online` needs a W&B API key"):
        train("trainer=sft", "tracking=wandb", "tracking.mode=online", f"outputs_root={tmp_path}/o")
    assert not (tmp_path / "o").exists()


@pytest.mark.cases("C9")
@pytest.mark.parametrize("variable", ["WANDB_MODE=disabled", "WANDB_DISABLED=true", "WANDB_DISABLED=1"])
@pytest.mark.parametrize("mode", ["auto", "offline", "online"])
def test_wandbs_own_switches_write_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, mode: str
) -> None:
    monkeypatch.setenv(*variable.split("="))
    with tracking(TrackingConfig(name="wandb", mode=mode), RunFolder(tmp_path, {}), {}) as tracker:
        tracker.log({"train/loss": 1.0}, 1)
    assert tracker.run is None
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("WANDB_DISABLED", "false")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    assert not is_off(OFFLINE)


@pytest.mark.cases("C9")
@pytest.mark.parametrize("mode", ["auto", "offline"])
def test_an_unknown_mode_in_the_environment_is_named(monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    monkeypatch.setenv("WANDB_MODE", "nonsense")
    with pytest.raises(UserError, match="`WANDB_MODE=nonsense` in the environment must be one of online"):
        mode_of(TrackingConfig(name="wandb", mode=mode))
