"""Hashes are what finished runs, sweeps, caches and checkpoints are found by: they stay what they were."""

import json
import os
from pathlib import Path

import numpy as np
from omegaconf import OmegaConf

from edu_align.cache.store import content
from edu_align.runs.identity import Identity
from edu_align.sweeps.state import sweep_digest
from edu_align.utils.hashing import digest, file_content, file_sha256, sha256

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_hashes_of_texts_values_runs_and_sweeps() -> None:
    assert sha256("abc") == sha256(b"abc") == ABC
    assert digest({"b": 1, "a": "½"}, [None, 0.1]) == "88a52c59d934c177571a56b5c59631a4"
    assert Identity({"trainer.beta": 0.1, "model": "tiny"}, {"train": "ab"}, "tiny-1", None).id == "31b79e0ceb45"
    config = OmegaConf.create({"trainer": {"beta": 0.1}, "seed": 1})
    assert sweep_digest(config, {"trainer.beta": "0.05, 0.1"}).startswith("939bfcf94c5b6fc4")
    assert content({"x": np.arange(3, dtype=np.int32)}).startswith("883e72e69b27fac5")


def test_a_file_is_read_again_when_it_changed(tmp_path: Path) -> None:
    file, records = tmp_path / "model.safetensors", tmp_path / "files"
    file.write_bytes(b"weights")
    one = file_content(file, records)
    assert one == file_sha256(file) == sha256(b"weights")
    (record,) = records.iterdir()
    record.write_text(json.dumps(json.loads(record.read_text()) | {"sha256": "looked up"}))
    assert file_content(file, records) == "looked up"
    facts = file.stat()
    file.write_bytes(b"WEIGHTS")
    os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert len({one, "looked up", file_content(file, records)}) == 3
    record.write_text("{")
    assert file_content(file, records) == file_content(file, records) != one
