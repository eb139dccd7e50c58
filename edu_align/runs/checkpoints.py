"""What a run keeps on the way, for an attempt that goes on where it was killed: `<run>/checkpoints/`.

    before.json        the measurements before training, and how long the run's .jsonl files were after them
    checkpoint-<step>/ weights, optimizer, random states, numbers so far, a copy of before.json; manifest.json last,
                       with every file's sha256

A checkpoint is written aside, synced to the disk, and renamed when it is whole. When one is read, its files are held
against the manifest: what was cut, emptied or has a flipped bit is named and skipped. before.json has its own sha256;
a damaged one costs a measurement, and nothing where there is a checkpoint, which has its copy. All of it goes when the
run is done.
"""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edu_align.runs.folder import RunFolder
from edu_align.utils.distributed import first, wait
from edu_align.utils.files import remove_left_over, sync, write_json
from edu_align.utils.hashing import file_sha256, sha256
from edu_align.utils.jsonl import cut_back

MANIFEST = "manifest.json"
PROGRESS = "progress.json"
BEFORE = "before.json"
ASIDE = ".writing"
GROWING = ("metrics.jsonl", "samples.jsonl")  # files that an attempt cuts back to where it goes on
_NAME = re.compile(r"checkpoint-(\d+)")


class CheckpointStore:
    """What the run in `folder` keeps on the way. With several processes the first one writes and decides."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.place = folder.path / "checkpoints"
        self.before: dict[str, Any] | None = None

    def keep_before(self, measured: dict[str, Any]) -> None:
        """Keep what the model said before training."""
        if self.folder.writes:
            self.place.mkdir(exist_ok=True)
            kept = {"measured": measured, "files": self.sizes()}
            write_json(self.place / BEFORE, {"sha256": _sha256_of(kept), **kept})
            self.before = kept

    def resume(self) -> tuple[dict[str, Any] | None, Path | None]:
        """The kept measurement and the newest good checkpoint, each None where there is none.

        The run's .jsonl files are cut back to where they were then, and what is left half written is removed.
        """
        shutil.rmtree(self.place / ASIDE, ignore_errors=True)
        if self.place.is_dir():
            remove_left_over(self.place)
        checkpoint = self.newest_valid()
        if checkpoint is not None:
            self.before = _read_before(checkpoint / BEFORE)
            self._cut(json.loads((checkpoint / PROGRESS).read_text(encoding="utf-8"))["files"])
        else:
            self.before = _read_before(self.place / BEFORE)
            self._cut(self.before["files"] if self.before else {})
        return self.before and self.before["measured"], checkpoint

    def sizes(self) -> dict[str, int]:
        """Bytes in each growing file, synced to the disk."""
        found = {}
        for file in (self.folder.path / name for name in GROWING):
            if file.is_file():
                sync(file)
                found[file.name] = file.stat().st_size
        return found

    @contextmanager
    def written_aside(self, step: int) -> Iterator[Path]:
        """A folder that all processes write the checkpoint of `step` into; it gets its place when all of them are done.

        An error inside leaves nothing behind.
        """
        aside, whole = self.place / ASIDE / f"checkpoint-{step}", self.place / f"checkpoint-{step}"
        first(lambda: self._clear(aside))
        try:
            yield aside
            wait()
            first(lambda: self._put(aside, whole))
        except BaseException:
            shutil.rmtree(aside.parent, ignore_errors=True)
            raise

    def _clear(self, aside: Path) -> None:
        shutil.rmtree(aside.parent, ignore_errors=True)
        aside.mkdir(parents=True)

    def _put(self, aside: Path, whole: Path) -> None:
        write_json(aside / PROGRESS, {"files": self.sizes()})
        if self.before is not None:
            write_json(aside / BEFORE, {"sha256": _sha256_of(self.before), **self.before})
        seal(aside)
        shutil.rmtree(whole, ignore_errors=True)  # a damaged one, from an attempt before
        aside.rename(whole)
        aside.parent.rmdir()
        sync(self.place)

    def keep_newest(self, newest: int, most: int) -> None:
        """Delete all checkpoints but those of step `newest` and the `most - 1` before it."""
        found = checkpoints(self.place)
        kept = [step for step in sorted(found) if step <= newest][-most:]
        for step, path in found.items():
            if step not in kept:
                shutil.rmtree(path, ignore_errors=True)

    def remove(self) -> None:
        """The run is done: nothing of it is needed any more."""
        if self.folder.writes:
            shutil.rmtree(self.place, ignore_errors=True)

    def drop(self, step: int) -> None:
        """Delete the checkpoint of `step`, if there is one."""
        shutil.rmtree(self.place / f"checkpoint-{step}", ignore_errors=True)

    def newest_valid(self) -> Path | None:
        for _, path in sorted(checkpoints(self.place).items(), reverse=True):
            damage = damage_of(path)
            if not damage:
                return path
            print(f"edu_align: {path} is damaged ({damage}) and is skipped", flush=True)
        return None

    def _cut(self, sizes: dict[str, int]) -> None:
        for name in GROWING:
            cut_back(self.folder.path / name, sizes.get(name, 0))


def checkpoints(place: Path) -> dict[int, Path]:
    """The checkpoints in a folder by their step, good or not."""
    found = ((_NAME.fullmatch(path.name), path) for path in (place.iterdir() if place.is_dir() else ()))
    return {int(match[1]): path for match, path in found if match}


def seal(folder: Path) -> None:
    """Sync every file of the folder to the disk, then write the manifest: what it lists is whole."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for file in files:
        sync(file)
    write_json(folder / MANIFEST, {str(file.relative_to(folder)): file_sha256(file) for file in files})
    for place in {file.parent for file in files} | {folder}:
        sync(place)


def damage_of(folder: Path) -> str:
    """What is wrong with a sealed folder, in a few words; "" where all is as it was written."""
    try:
        listed = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return f"no readable {MANIFEST}"
    if not isinstance(listed, dict) or PROGRESS not in listed:
        return f"{MANIFEST} does not list {PROGRESS}"
    for name, known in listed.items():
        file = folder / name
        if not file.is_file():
            return f"{name} is missing"
        if file.stat().st_size == 0:
            return f"{name} is empty"
        if file_sha256(file) != known:
            return f"{name} is not what was written"
    return ""


def _read_before(file: Path) -> dict[str, Any] | None:
    """The measurement before training, None where it is not there or, which is said, not as it was written."""
    try:
        kept: dict[str, Any] = json.loads(file.read_bytes())
        if kept.pop("sha256") == _sha256_of(kept):
            return kept
    except FileNotFoundError:
        return None
    except (OSError, ValueError, LookupError, AttributeError, TypeError):
        pass
    print(f"edu_align: {file} is damaged and is skipped: what it held is measured again", flush=True)
    return None


def _sha256_of(value: Any) -> str:
    return sha256(json.dumps(value))
