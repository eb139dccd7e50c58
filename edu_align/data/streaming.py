"""`dataset.streaming`: rows are read one by one, and no more of them than the run needs."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from edu_align.config.schema import DatasetConfig
from edu_align.data.records import Conversation, Record
from edu_align.data.split import PINNED, side
from edu_align.errors import UserError

TEST_RECORDS = 1000  # read of a source's own test part: more than an evaluation scores, and intervals below 0.04

T = TypeVar("T")


class Enough:
    """Counts different records by the side of the split that their group falls on, until every side has enough.

    train: `dataset.max_train_records`. validation: `dataset.max_eval_records`, at least 1. test: as many as validation,
    unless the source has a test part of its own, of which `TEST_RECORDS` are read. A record that the split moves
    because it is tied to another one by its history is counted where its own group puts it.
    """

    def __init__(self, cfg: DatasetConfig, official_test: bool) -> None:
        if cfg.max_train_records is None:
            raise UserError(
                "`dataset.streaming=true` needs `dataset.max_train_records`, got null: it says how much is enough. "
                "Set it, or dataset.streaming=false."
            )
        few = cfg.max_eval_records or 1
        self.cfg = cfg
        self.wanted = {"train": cfg.max_train_records, "validation": few} | ({} if official_test else {"test": few})
        self.counts: Counter[str] = Counter()
        self._seen: set[int] = set()

    def add(self, record: Record) -> None:
        """Count a record, once."""
        key = hash(_said(record))
        if key in self._seen:
            return
        self._seen.add(key)
        cfg = self.cfg
        hashed = side(record.group, cfg.split_seed, cfg.test_fraction, cfg.validation_fraction, cfg.validation_fold)
        self.counts[record.meta.get(PINNED, hashed)] += 1

    @property
    def reached(self) -> bool:
        """Whether every side has enough."""
        return all(self.counts[name] >= number for name, number in self.wanted.items())


def _said(record: Record) -> tuple[object, ...]:
    if isinstance(record, Conversation):
        return record.messages
    return (record.prompt, *((response.text, response.score) for response in record.responses))


def in_turn(parts: Sequence[Iterable[T]]) -> Iterator[T]:
    """One item of each part after the other, until all are exhausted: the start holds something of every part."""
    left = [iter(part) for part in parts]
    while left:
        for part in list(left):
            try:
                yield next(part)
            except StopIteration:
                left.remove(part)
