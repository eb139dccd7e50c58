"""Rows as TRL reads them: where every process of a run finds them, and with the number of the row they are.

The number travels with an example to the step, so that a message can name the records that the step was made of.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edu_align.utils.distributed import count, first, is_first, wait

FOLDER = "rows"
ROW = "row"


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


class RowCollator:
    """A data collator that gives the examples to another one, and puts their row numbers (B,) beside its batch."""

    def __init__(self, collator: Any) -> None:
        self.collator = collator

    def __call__(self, examples: list[dict[str, Any]]) -> Any:
        import torch

        if ROW not in examples[0]:
            return self.collator(examples)
        rows = [example[ROW] for example in examples]
        batch = self.collator([{key: value for key, value in each.items() if key != ROW} for each in examples])
        batch[ROW] = torch.tensor(rows)
        return batch


def attach_row_ids(trainer: Any, ids: Sequence[str]) -> None:
    """Number the training rows of a trainer that is complete. `ids` are those of their records, in their order."""
    rows = trainer.train_dataset
    if len(rows) != len(ids):
        raise ValueError(f"TRL made {len(rows)} rows of {len(ids)} training examples")
    trainer.train_dataset = rows.add_column(ROW, list(range(len(ids))))
    trainer._set_signature_columns_if_needed()
    trainer._signature_columns.append(ROW)
    trainer.data_collator = RowCollator(trainer.data_collator)
    trainer.row_ids = tuple(ids)


def record_ids(trainer: Any, rows: Any) -> list[str]:
    """Ids of the records that the rows with these numbers (a tensor, or None) come from, in their order, each once."""
    if rows is None:
        return []
    return list(dict.fromkeys(trainer.row_ids[row] for row in rows.tolist()))
