"""A launch knows its data again by the bytes of the files, and by the code that reads them."""

import os
from pathlib import Path
from typing import Any

import pytest

from edu_align.data import fingerprint
from edu_align.data.datamodule import training_data
from edu_align.data.fingerprint import fingerprints, known_fingerprints

pytestmark = pytest.mark.cases("D1")
ROW = '{"messages": [{"role": "user", "content": "What is %d + 1?"}, {"role": "assistant", "content": "Count on."}]}'


def test_rows_of_the_same_size_and_time_are_read_again(
    typed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(ROW % i for i in range(10, 50)))
    config = typed("trainer=sft", "dataset=local", f"dataset.path={file}", f"outputs_root={tmp_path / 'outputs'}")
    assert known_fingerprints(config) is None
    read = fingerprints(config, training_data(config, set()))
    assert known_fingerprints(config) == read
    facts = file.stat()
    file.write_text(file.read_text().replace("is 10", "is 60"))
    os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert known_fingerprints(config) is None
    assert fingerprints(config, training_data(config, set())) != read
    file.write_text(file.read_text().replace("is 60", "is 10"))
    assert known_fingerprints(config) == read, "a touched file is what it was"
    monkeypatch.setattr(fingerprint, "_code", lambda: "other code")
    assert known_fingerprints(config) is None
