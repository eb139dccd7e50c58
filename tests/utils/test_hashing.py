"""Hashes are what finished runs, sweeps, caches and checkpoints are found by: they stay what they were."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf

from edu_align.cache.store import content
from edu_align.runs.identity import Identity
from edu_align.sweeps.state import sweep_digest
from edu_align.utils import hashing
from edu_align.utils.hashing import digest, file_digest, file_digests, file_sha256, files_digest, sha256

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_hashes_of_texts_values_runs_and_sweeps() -> None:
    assert sha256("abc") == sha256(b"abc") == ABC
    assert digest({"b": 1, "a": "½"}, [None, 0.1]) == "88a52c59d934c177571a56b5c59631a4"
    assert Identity({"trainer.beta": 0.1, "model": "tiny"}, {"train": "ab"}, "tiny-1", None).id == "31b79e0ceb45"
    config = OmegaConf.create({"trainer": {"beta": 0.1}, "seed": 1})
    assert sweep_digest(config, {"trainer.beta": "0.05, 0.1"}).startswith("939bfcf94c5b6fc4")
    assert content({"x": np.arange(3, dtype=np.int32)}).startswith("883e72e69b27fac5")


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Files count as left alone at once; a call makes this process forget what it found."""
    monkeypatch.setattr(hashing, "TICK", -(10**12))
    monkeypatch.setattr(hashing, "_known", {})
    return hashing._known.clear


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were opened to be hashed."""
    names: list[str] = []
    real = hashing._part_sha256

    def noted(file: Path, *rest: Any) -> str:
        names.append(file.name)
        return real(file, *rest)

    monkeypatch.setattr(hashing, "_part_sha256", noted)
    return names


@pytest.mark.cases("D1")
def test_a_file_is_read_once_and_again_when_it_changed(
    settled: Callable[[], None], read: list[str], tmp_path: Path
) -> None:
    file, records = tmp_path / "model.safetensors", tmp_path / "files"
    file.write_bytes(b"weights")
    facts = file.stat()
    for _ in range(2):
        settled()
        assert file_digest(file, records) == file_sha256(file) == sha256(b"weights")
    assert len(read) == 1 + 2  # by file_sha256 itself
    for again in ("written", "copied over it"):
        other = file if again == "written" else tmp_path / "other"
        other.write_bytes(again.encode().ljust(20))
        os.utime(other, ns=(facts.st_atime_ns, facts.st_mtime_ns))
        other.replace(file)
        assert file_digest(file, records) == sha256(again.encode().ljust(20))
    (tmp_path / "link").symlink_to(file)
    read.clear()
    settled()
    assert file_digest(tmp_path / "link", records) == file_digest(file, records)
    assert not read


@pytest.mark.cases("D1")
def test_a_file_written_a_moment_ago_is_not_remembered(
    monkeypatch: pytest.MonkeyPatch, read: list[str], tmp_path: Path
) -> None:
    """A second write in one tick of the disk's clock, of as many bytes, shows in no time and no size."""
    file, records = tmp_path / "file", tmp_path / "files"
    frozen = ["file", 1, 5, 5, 5]
    monkeypatch.setattr(hashing, "file_state", lambda file: frozen)
    for now, written in ((6, b"a"), (6, b"b"), (5 + hashing.TICK, b"c"), (6 + hashing.TICK, b"d"), (9 * 10**9, b"e")):
        monkeypatch.setattr(hashing.time, "time_ns", lambda now=now: now)
        file.write_bytes(written)
        assert file_digest(file, records) == sha256(b"d" if written == b"e" else written)
    assert len(read) == 4


@pytest.mark.cases("D1")
@pytest.mark.parametrize("damage", ["{", "[]", '{"digest": "0", "check": "0"}', "", "flipped"])
def test_a_damaged_record_is_made_again(
    damage: str, settled: Callable[[], None], read: list[str], tmp_path: Path
) -> None:
    file, records = tmp_path / "file", tmp_path / "files"
    file.write_bytes(b"abc")
    file_digest(file, records)
    (record,) = records.iterdir()
    whole = record.read_text()
    record.write_text(whole.replace(ABC, "c" + ABC[1:]) if damage == "flipped" else damage)
    settled()
    assert file_digest(file, records) == ABC
    assert record.read_text() == whole
    assert len(read) == 2


@pytest.mark.parametrize("place", ["a file", "a dangling link"])
def test_records_that_cannot_be_written_cost_time_alone(
    place: str, settled: Callable[[], None], read: list[str], tmp_path: Path
) -> None:
    file, records = tmp_path / "file", tmp_path / "files"
    file.write_bytes(b"abc")
    records.write_text("") if place == "a file" else records.symlink_to("/nowhere/at/all")
    assert file_digest(file, records) == file_digest(file, records) == ABC
    assert len(read) == 1  # within one process


def test_a_large_file_is_hashed_in_chunks_and_a_folder_at_once(
    monkeypatch: pytest.MonkeyPatch, settled: Callable[[], None], read: list[str], tmp_path: Path
) -> None:
    for name, value in (("CHUNK", 1000), ("SMALL", 0), ("BLOCK", 64)):
        monkeypatch.setattr(hashing, name, value)
    content = np.random.default_rng(0).bytes(4500)
    files = [tmp_path / name for name in ("large", "edge", "small", "empty")]
    for file, size in zip(files, (4500, 1000, 10, 0), strict=True):
        file.write_bytes(content[:size])
    parts = [sha256(content[i : i + 1000]) for i in range(0, 4500, 1000)]
    one = files_digest(files, tmp_path / "records")
    assert one == digest(
        sorted(
            [
                ["large", sha256("\n".join(parts))],
                ["edge", sha256(content[:1000])],
                ["small", sha256(content[:10])],
                ["empty", sha256(b"")],
            ]
        )
    )
    assert sorted(read) == sorted(["large"] * 5 + ["edge", "small", "empty"])
    assert files_digest(files[::-1], tmp_path / "records") == one
    assert file_digests(files, None) == {file: sha256(file.read_bytes()) for file in files}
    assert read.count("large") == 6  # as a whole; the others were known
    assert len(read) == 9
    for place in range(0, 4500, 500):
        files[0].write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert files_digest(files, None) != one


def test_a_file_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        file_digest(tmp_path / "nowhere", tmp_path)
