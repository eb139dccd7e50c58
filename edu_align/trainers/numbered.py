"""Training examples that carry their row's number to the step, and the ids of the records that the rows come from."""

from collections.abc import Sequence
from typing import Any

ROW = "row"


class Numbered:
    """A data collator that lets TRL's see the examples as they are, and puts their numbers (B,) beside its batch."""

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


def number(trainer: Any, ids: Sequence[str]) -> None:
    """Number the training examples of a trainer that is complete. `ids` are those of their records, in their order."""
    rows = trainer.train_dataset
    if len(rows) != len(ids):
        raise ValueError(f"TRL made {len(rows)} rows of {len(ids)} training examples")
    trainer.train_dataset = rows.add_column(ROW, list(range(len(ids))))
    trainer._set_signature_columns_if_needed()
    trainer._signature_columns.append(ROW)
    trainer.data_collator = Numbered(trainer.data_collator)
    trainer.row_ids = tuple(ids)


def names_of(trainer: Any, rows: Any) -> list[str]:
    """Ids of the records that the rows with these numbers come from, in their order, each once."""
    if rows is None:
        return []
    return list(dict.fromkeys(trainer.row_ids[row] for row in rows.tolist()))
