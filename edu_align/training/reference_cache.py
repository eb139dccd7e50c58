"""What the reference model says of rows, under TRL's DPOTrainer and KTOTrainer: computed once for all runs that ask
for the same.

TRL computes it for every row whenever a trainer is built. Here it covers the rows that the run's steps read, and a
longer run over the same rows adds what is missing. The numbers are TRL's own, bit for bit: the key holds all rows in
their order, the size of a batch and the tokens of a pass, since what is computed together moves the last bit, and
whole batches are added. Rows that no step reads hold NaN.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from transformers import Trainer

from edu_align.cache.run_cache import RunCache
from edu_align.cache.store import TENSORS, Arrays, content
from edu_align.config.batch import token_budget
from edu_align.training.dpo_rows import COLUMNS, token_arrays
from edu_align.utils.hashing import digest

REFERENCES = "reference log-probabilities"
Entry = tuple[Arrays, dict[str, Any]]  # the log-probabilities of the first rows, and no facts
LOGPS = ("ref_chosen_logps", "ref_rejected_logps")


class CachedReference(Trainer):
    """Reference log-probabilities of the rows that the run's steps read; of one process from the `cache`, where they
    are there.

    Overrides `_precompute_ref_logps`. `passes`, `cache` and `model_key` (`RunCache.model_key` of the model that the
    trainer is built with: TRL takes it for the reference) must be set before TRL's `__init__`. `row_columns`: token ids
    of a row; `logps`: the columns that TRL adds.
    """

    passes: Any

    row_columns: tuple[str, ...] = COLUMNS
    logps: tuple[str, ...] = LOGPS

    cache: RunCache | None = None
    model_key = ""
    data_collator: Any

    def _precompute_ref_logps(self, dataset: Any, name: str, batch_size: int) -> Any:
        original = super()._precompute_ref_logps  # type: ignore[misc] # TRL's trainers have it
        config, read = self.passes.config, len(dataset)
        if name == "train" and config.trainer.max_steps > 0:
            read = min(read, config.trainer.max_steps * config.trainer.batch_size)
        end = min(len(dataset), -(-read // batch_size) * batch_size)

        def columns(rows: Any) -> Arrays:
            done = original(rows, name, batch_size).with_format("arrow")[:]
            return {column: done[column].to_numpy().copy() for column in self.logps}

        def enough(known: Entry) -> bool:
            return _rows(known) >= read

        def extend(known: Entry | None) -> Entry:
            rows = dataset.select(range(_rows(known) if known else 0, end))
            with _own_file(rows):
                new = columns(rows)
            return ({column: np.concatenate([known[0][column], new[column]]) for column in new} if known else new), {}

        if self.cache is None:
            found = columns(dataset.select(range(end)))
        else:
            passes = [batch_size, token_budget(config)]
            batch = [config.trainer.max_length, config.trainer.args, self.data_collator.pad_token_id]
            batch += [weight] if (weight := getattr(config.trainer, "pmi_weight", 0.0)) else []
            key = digest(self.model_key, content(token_arrays(dataset, self.row_columns)), passes, batch)
            found, _ = self.cache.get_or_extend(REFERENCES, key, TENSORS, enough, extend)
        unread = (0, len(dataset) - len(found[self.logps[0]]))
        return _with_columns(
            dataset, {column: np.pad(values, unread, constant_values=np.nan) for column, values in found.items()}
        )


def _rows(entry: Entry) -> int:
    return len(next(iter(entry[0].values())))


@contextmanager
def _own_file(dataset: Any) -> Iterator[None]:
    """TRL writes what it computes into a file and takes one that is there for the same. For rows in memory its name is
    a random number, which a forked process draws as well, in a folder that it shares; and files stay to the end.
    """
    with tempfile.TemporaryDirectory(prefix="edu_align-references-") as folder:
        dataset._get_cache_file_path = lambda fingerprint: f"{folder}/{fingerprint}.arrow"
        try:
            yield
        finally:
            del dataset._get_cache_file_path


def _with_columns(dataset: Any, columns: Arrays) -> Any:
    """The dataset with more columns, as TRL adds them."""
    import pyarrow
    from datasets import Dataset, concatenate_datasets

    return concatenate_datasets([dataset, Dataset(pyarrow.table(columns))], axis=1)
