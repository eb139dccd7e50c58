"""The sources by name, and one source's rows as records of one view.

With `dataset.streaming` rows are read one by one, and no more of them than the run needs.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import TypeVar

from edu_align.config.schema import PREFERENCE_SOURCES, DatasetConfig
from edu_align.config.schema import SOURCES as NAMES
from edu_align.data.download import GitHubSource
from edu_align.data.pairs import best_reply
from edu_align.data.rows.words import LeftOut
from edu_align.data.sources import (
    agentinstruct,
    bridge,
    cogtutorbugs,
    convolearn,
    edu_tutor,
    gsm8k_socratic,
    local,
    mae,
    mathchat,
    mathdial,
    mrbench,
    oatutor,
    puffin,
    semeval2013,
    stack_exchange,
    stepverify,
    ultrachat,
    ultrafeedback,
)
from edu_align.data.sources.source import Query, Source
from edu_align.data.split import PINNED, cut_of, side, without_pin
from edu_align.records import Record, ResponseGroup, content_of
from edu_align.utils.errors import UserError

# The names that `dataset.sources` takes (config.schema.SOURCES), each with how it is read.
SOURCES: dict[str, Source] = {
    "edu_tutor": edu_tutor.SOURCE,
    "mathdial": mathdial.SOURCE,
    "bridge": bridge.SOURCE,
    "mrbench": mrbench.SOURCE,
    "gsm8k_socratic": gsm8k_socratic.SOURCE,
    "cogtutorbugs": cogtutorbugs.SOURCE,
    "stepverify": stepverify.SOURCE,
    "oatutor": oatutor.SOURCE,
    "convolearn": convolearn.SOURCE,
    "semeval2013": semeval2013.SOURCE,
    "mae": mae.SOURCE,
    "mathchat": mathchat.SOURCE,
    "agentinstruct": agentinstruct.SOURCE,
    "puffin": puffin.SOURCE,
    "stack_exchange": stack_exchange.SOURCE,
    "ultrachat": ultrachat.SOURCE,
    "ultrafeedback": ultrafeedback.SOURCE,
    "local": local.SOURCE,
}
TEST_RECORDS = 1000  # streamed of a source's own test part: more than an evaluation scores, and intervals below 0.04

T = TypeVar("T")


def add_source(name: str, source: Source) -> None:
    """Enter a source from outside: its name may then stand in `dataset.sources`."""
    SOURCES[name] = source
    NAMES.append(name)
    if source.preference:
        PREFERENCE_SOURCES.append(name)


def source_files(name: str, data_root: str | Path | None, outputs_root: str | Path) -> list[Path]:
    """The files of a source on GitHub, see `GitHubSource.find`."""
    source = SOURCES[name]
    assert isinstance(source, GitHubSource)
    return source.find(name, data_root, outputs_root)


@dataclass
class Loaded:
    """Records of one source before the split. `note` says what was decided on the way (the format of a local file).

    `dropped`: rows or records left out, by reason; `first`: the place of the first one. `unread`: lines about what the
    rows held besides. `choices`: records of several replies of which the conversation view takes the best.
    """

    records: Sequence[Record]
    read: int
    dropped: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)
    files: Sequence[str] = ()
    note: str = ""
    unread: Sequence[str] = ()
    choices: int = 0


def load_source(
    name: str, dataset: DatasetConfig, data_root: str | Path | None, outputs_root: str | Path, seed: int, view: str
) -> Loaded:
    """Read one source. `view`: `conversation` (a group becomes its best reply's), `preference` or `labels`.

    With `dataset.streaming` the sources of the hub, local copies of them too, and `local` are read row by row until
    there is enough (see `Enough`); the other files are small and read whole. Records of the source's own test part
    are pinned to the test split; no other pin holds with `dataset.folds`, which cuts everything else into equal parts.
    """
    source = SOURCES[name]
    asked = "preference" if view == "labels" and name != "local" else view  # labels are made of their scores
    parts = source.open(name, Query(asked, dataset, data_root, outputs_root, seed))
    training = [part.records for part in parts if not part.test]
    if dataset.folds is not None:
        training = [_unpinned(records) for records in training]
    test = [_pinned(part.records) for part in parts if part.test]
    streaming = dataset.streaming and source.streams
    result = Loaded([], 0, files=[file for part in parts for file in part.where])
    notes: list[str] = []
    if streaming:
        notes = [
            _collect(result, _in_turn(training), Enough(dataset, source.has_test)),
            _collect(result, _in_turn(test), most=TEST_RECORDS),
        ]
    else:
        _collect(result, chain(*training, *test))
    readers = [part.reader for part in parts if part.reader]
    for reader in readers:
        reader.columns.check(", ".join(result.files))
    result.unread = [line for reader in readers for line in reader.tally.lines()]
    shapes = (reader.tally.note(reader.format != "auto") for reader in readers)
    result.note = "; ".join(filter(None, [*(part.note for part in parts), *shapes, *notes]))
    if view == "conversation":
        result.choices = sum(isinstance(r, ResponseGroup) for r in result.records)
        if readers and result.choices:
            said = f"{result.choices} rows hold replies to choose between: the best of each is taught, trainer=dpo "
            result.unread = [*result.unread, said + "teaches the difference"]
        result.records = [best_reply(r) if isinstance(r, ResponseGroup) else r for r in result.records]
    return result


def _pinned(records: Iterable[Record | LeftOut]) -> Iterator[Record | LeftOut]:
    for record in records:
        yield record if isinstance(record, LeftOut) else replace(record, meta=record.meta | {PINNED: "test"})


def _unpinned(records: Iterable[Record | LeftOut]) -> Iterator[Record | LeftOut]:
    for record in records:
        yield record if isinstance(record, LeftOut) else replace(record, meta=without_pin(record.meta))


def _collect(
    result: Loaded, records: Iterable[Record | LeftOut], enough: "Enough | None" = None, most: int | None = None
) -> str:
    """Add records and counted reasons until there is `enough`, or `most` records; returns a note of where it ended."""
    found: list[Record] = []
    for read, record in enumerate(records, start=1):
        result.read += 1
        if isinstance(record, LeftOut):
            result.dropped[record.reason] += 1
            result.first.setdefault(record.reason, record.place)
            continue
        found.append(record)
        if enough:
            enough.add(record)
        if (enough and enough.reached) or (most and len(found) >= most):
            kind = "training" if enough else "test"
            result.records = [*result.records, *found]
            return f"streamed, {kind} rows: reading stopped after {read}, that is enough"
    result.records = [*result.records, *found]
    return ""


def _in_turn(parts: Sequence[Iterable[T]]) -> Iterator[T]:
    """One item of each part after the other, until all are exhausted: the start holds something of every part."""
    left = [iter(part) for part in parts]
    while left:
        for part in list(left):
            try:
                yield next(part)
            except StopIteration:
                left.remove(part)


class Enough:
    """Counts different records by the side of the split that their group falls on, until every side has enough.

    train: `dataset.max_train_records`. validation: `dataset.max_eval_records`, at least 1. test: as many as validation,
    unless the source has a test part of its own, of which `TEST_RECORDS` are read, or `dataset.folds` leaves none. A
    record that the split moves because it is tied to another one by its history is counted where its own group puts it.
    """

    def __init__(self, dataset: DatasetConfig, has_test: bool) -> None:
        if dataset.max_train_records is None:
            raise UserError(
                "`dataset.streaming=true` needs `dataset.max_train_records`, got null: it says how much is enough. "
                "Set it, or dataset.streaming=false."
            )
        few = dataset.max_eval_records or 1
        self.cut = cut_of(dataset)
        own_test = has_test or dataset.folds is not None
        self.wanted = {"train": dataset.max_train_records, "validation": few} | ({} if own_test else {"test": few})
        self.counts: Counter[str] = Counter()
        self._seen: set[int] = set()

    def add(self, record: Record) -> None:
        """Count a record, once."""
        key = hash(content_of(record))
        if key in self._seen:
            return
        self._seen.add(key)
        self.counts[record.meta.get(PINNED, side(record.group, *self.cut))] += 1

    @property
    def reached(self) -> bool:
        """Whether every side has enough."""
        return all(self.counts[name] >= number for name, number in self.wanted.items())
