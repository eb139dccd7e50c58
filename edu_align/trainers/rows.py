"""Rows as TRL reads them, at a place where every process of the run finds what TRL keeps beside them."""

import shutil
from pathlib import Path
from typing import Any

from edu_align.processes import count, first, is_first, wait

FOLDER = "rows"


def as_dataset(rows: list[dict[str, Any]], name: str, folder: Path) -> Any:
    """The rows as a `datasets.Dataset`.

    TRL's first process writes the reference log-probabilities into a file beside the rows, and the others read it.
    Rows in memory have none that they share, so with several processes the rows lie in the run's folder.
    """
    from datasets import Dataset

    if count() == 1:
        return Dataset.from_list(rows)
    place = folder / FOLDER / name
    first(lambda: Dataset.from_list(rows).save_to_disk(str(place)))
    return Dataset.load_from_disk(str(place))


def remove_rows(folder: Path) -> None:
    """Delete what `as_dataset` wrote into the run's folder, once every process is done with it."""
    wait()
    if is_first():
        shutil.rmtree(folder / FOLDER, ignore_errors=True)
