"""What a source of data is: parts that can be read, and what a row of them becomes in each view."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from edu_align.config.schema import DatasetConfig
from edu_align.data.readers import Convert
from edu_align.data.rows.reader import RowReader
from edu_align.data.rows.words import LeftOut
from edu_align.records import Record


@dataclass(frozen=True)
class Query:
    """What is asked of a source. `view`: conversation | preference | labels; `seed` generates the built-in corpus."""

    view: str
    dataset: DatasetConfig
    data_root: str | Path | None
    outputs_root: str | Path
    seed: int


@dataclass(frozen=True)
class Part:
    """Rows as records, or as reasons why they cannot be used; each is read when it is asked for.

    `where`: files or addresses, for reports. `note`: what was decided on the way. `test`: the source's own test part,
    whose records are only ever tested on. `reader`: who reads a file of the user's own, and knows then what was unread.
    """

    records: Iterable[Record | LeftOut]
    where: tuple[str, ...] = ()
    note: str = ""
    test: bool = False
    reader: RowReader | None = None


@dataclass(frozen=True, kw_only=True)
class Source(ABC):
    """One source. `conversation` and `preference`: what a row becomes in each view.

    Without `conversation` a group of replies becomes the conversation that ends with its best reply; without
    `preference` the source has no scored replies. `threshold`: the score from which on a reply counts as good where
    `dataset.threshold` is null, and `dimension_threshold` that of a single dimension; None: the user says.
    """

    conversation: Convert | None = None
    preference: Convert | None = None
    threshold: float | None = None
    dimension_threshold: float | None = None
    streams: ClassVar[bool] = False  # whether `dataset.streaming` is for it; small files are read whole

    @property
    def has_test(self) -> bool:
        """Whether it has a test part of its own."""
        return False

    @abstractmethod
    def open(self, name: str, query: Query) -> Sequence[Part]:
        """Its parts. Nothing is read before the first record is asked for. Raises UserError where nothing is there."""

    def files(self, name: str, query: Query) -> list[Path] | None:
        """The files that its records depend on; None where they may change without a file."""
        return None

    def converter(self, view: str) -> Convert:
        """What a row becomes in a view."""
        convert = (self.conversation if view == "conversation" else None) or self.preference
        assert convert is not None, f"a source without the view {view}"
        return convert
