"""The public files, where they lie beside the repository."""

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from edu_align.config.schema import DatasetConfig
from edu_align.data.dataset import load_records
from edu_align.data.readers import Row, iter_rows
from edu_align.data.sources import mrbench
from edu_align.records import Conversation, Record, ResponseGroup

ROOT = Path(os.environ.get("EDU_ALIGN_DATA") or Path(__file__).resolve().parents[4] / "shared" / "data")
needs_data = pytest.mark.skipif(not (ROOT / "mrbench").is_dir(), reason=f"no public data in {ROOT}")


@lru_cache(maxsize=8)
def records(view: str, *sources: str) -> dict[str, list[Record]]:
    """Records by split."""
    cfg: Any = DatasetConfig(name="mix", sources=list(sources))
    return load_records(cfg, ROOT, "unused", 0, view).splits


def groups(split: str, *sources: str) -> list[ResponseGroup]:
    return [r for r in records("preference", *sources)[split] if isinstance(r, ResponseGroup)]


def conversations(split: str, *sources: str) -> list[Conversation]:
    return [r for r in records("conversation", *sources)[split] if isinstance(r, Conversation)]


def rows(file: str) -> list[Row]:
    return list(iter_rows(ROOT / file))


def version_two() -> list[ResponseGroup]:
    made = (mrbench.to_group(row, f"v2:{row.number}") for row in rows("mrbench/v2.json"))
    return [group for group in made if isinstance(group, ResponseGroup)]
