"""The public data sets' files are read once: many tests ask for the same thousands of dialogues."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import cache, wraps
from pathlib import Path
from typing import Any

import pytest

from edu_align.data import dataset as data_of_runs
from edu_align.data import questions
from edu_align.evaluation.suite import data as data_of_suite


def read_once(patch: pytest.MonkeyPatch, root: Path) -> None:
    """What `load_source` read below `root` is what it gives the next one that asks for the same; the key of a text,
    which takes as long again, is computed once.
    """
    patch.setattr(questions, "_digest", cache(questions._digest))
    found = _once(data_of_runs.load_source, root)
    patch.setattr(data_of_runs, "load_source", found)
    patch.setattr(data_of_suite, "load_source", found)


def _once(load: Callable[..., Any], root: Path) -> Callable[..., Any]:
    kept: dict[str, Any] = {}

    @wraps(load)
    def found(name: str, dataset: Any, data_root: Any, outputs_root: Any, seed: int, view: str) -> Any:
        if data_root is None or Path(data_root) != root:
            return load(name, dataset, data_root, outputs_root, seed, view)
        key = json.dumps([name, asdict(dataset), seed, view])
        if key not in kept:
            kept[key] = load(name, dataset, data_root, outputs_root, seed, view)
        return replace(kept[key], dropped=kept[key].dropped.copy())

    return found
