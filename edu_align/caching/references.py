"""Tokenized pairs, and what the reference model says of them, under TRL's DPOTrainer.

TRL computes both whenever a trainer is built. The trainer here asks for them first and lets TRL compute what is
missing, so the numbers are TRL's own, bit for bit: the key holds all rows in their order, the size of a batch and the
tokens of a pass, since what is computed together moves the last bit.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from edu_align.caching.keys import code_content, tokenizer_content
from edu_align.caching.shared import Shared
from edu_align.caching.tensors import TENSORS, Arrays, content, list_column, list_of
from edu_align.trainers.arguments import token_budget
from edu_align.utils.hashing import digest

PAIRS, REFERENCES = "tokenized pairs", "reference log-probabilities"
IDS = ("prompt_ids", "chosen_ids", "rejected_ids")
LOGPS = ("ref_chosen_logps", "ref_rejected_logps")


def remembering(trainer_class: type[Any], cache: Shared, says: str) -> type[Any]:
    """`trainer_class` (TRL's DPOTrainer) with both taken from the cache where they are there. For one process.

    `says` is the key (`Shared.says`) of the model that the trainer will be built with: TRL takes it for the reference.
    It is not read where the cache is off.
    """
    config = cache.config

    class Remembering(trainer_class):
        def _prepare_dataset(self, dataset: Any, processing_class: Any, args: Any, dataset_name: str) -> Any:
            original = super()._prepare_dataset
            if "prompt_ids" in dataset.column_names:
                return dataset

            def make() -> tuple[Arrays, dict[str, Any]]:
                done = original(dataset, processing_class, args, dataset_name)
                return _ids(done), {}

            cut = [args.max_length, args.truncation_mode]
            key = digest(tokenizer_content(processing_class), code_content(), dataset[:], cut)
            arrays, _ = cache.once(PAIRS, key, TENSORS, make)
            return _dataset({name: list_of(arrays, name) for name in IDS})

        def _precompute_ref_logps(self, dataset: Any, name: str, batch_size: int) -> Any:
            original = super()._precompute_ref_logps

            def make() -> tuple[Arrays, dict[str, Any]]:
                with _file_of_its_own(dataset):
                    done = original(dataset, name, batch_size).with_format("arrow")[:]
                    return {column: done[column].to_numpy().copy() for column in LOGPS}, {}

            passes = [batch_size, token_budget(config)]
            batch = [config.trainer.max_length, config.trainer.args, self.data_collator.pad_token_id]
            key = digest(says, content(_ids(dataset)), passes, batch)
            arrays, _ = cache.once(REFERENCES, key, TENSORS, make)
            return _beside(dataset, arrays)

    Remembering.__name__ = trainer_class.__name__
    return Remembering


@contextmanager
def _file_of_its_own(dataset: Any) -> Iterator[None]:
    """TRL writes what it computes into a file and takes one that is there for the same. For rows in memory its name is
    a random number, which a forked process draws as well, in a folder that it shares; and files stay to the end.
    """
    with tempfile.TemporaryDirectory(prefix="edu_align-references-") as folder:
        dataset._get_cache_file_path = lambda fingerprint: f"{folder}/{fingerprint}.arrow"
        try:
            yield
        finally:
            del dataset._get_cache_file_path


def _ids(dataset: Any) -> Arrays:
    table = dataset.with_format("arrow")[:]
    return {key: array for name in IDS for key, array in list_column(name, table[name]).items()}


def _dataset(columns: dict[str, Any]) -> Any:
    import pyarrow
    from datasets import Dataset

    return Dataset(pyarrow.table(columns))


def _beside(dataset: Any, columns: Arrays) -> Any:
    """The dataset with more columns, as TRL adds them."""
    import pyarrow
    from datasets import Dataset, concatenate_datasets

    return concatenate_datasets([dataset, Dataset(pyarrow.table(columns))], axis=1)
