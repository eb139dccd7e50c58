"""The grouped split: one question, session or history stays on one side, across every source that is loaded."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from edu_align.config.schema import DatasetConfig
from edu_align.data.questions import history_key
from edu_align.data.readers import brief
from edu_align.records import Conversation, Message, Record
from edu_align.utils.errors import UserError

SPLITS = ("train", "validation", "test")
PINNED = "split"  # meta key of a record whose side its source decides


def keys_of(record: Record) -> tuple[str, ...]:
    """The keys that a record shares with its relatives: its own `group`, and that of its history, if it says anything.

    The history of a conversation ends before the first trained turn. A pinned record has its own key only: its
    source has already decided what belongs together.
    """
    if PINNED in record.meta:
        return (record.group,)
    history = history_key(_history(record))
    return (record.group,) if history is None else (record.group, history)


def _history(record: Record) -> Sequence[Message]:
    if not isinstance(record, Conversation):
        return record.prompt
    first = next((i for i, message in enumerate(record.messages) if message.train), len(record.messages))
    return record.messages[:first]


def with_groups(records: Sequence[Record]) -> list[Record]:
    """The records with `group` set to the smallest key of everything that they are tied to (union-find)."""
    parent: dict[str, str] = {}

    def root(key: str) -> str:
        parent.setdefault(key, key)
        while parent[key] != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    for record in records:
        first, *others = keys_of(record)
        for other in others:
            a, b = root(first), root(other)
            parent[max(a, b)] = min(a, b)  # the smaller key stays the root
        root(first)
    return [replace(record, group=root(record.group)) for record in records]


def without_pin(meta: Mapping[str, str]) -> dict[str, str]:
    """`meta` of a record whose side is decided by its group alone."""
    return {key: value for key, value in meta.items() if key != PINNED}


Cut = tuple[str, float, float, int]  # what `side` takes behind the group


def cut_of(dataset: DatasetConfig) -> Cut:
    """Salt, test and validation fraction, and the validation's number; with `dataset.folds` there is no test part."""
    if dataset.folds is not None:
        return dataset.split_seed, 0.0, 1 / dataset.folds, dataset.validation_fold
    return dataset.split_seed, dataset.test_fraction, dataset.validation_fraction, dataset.validation_fold


def folds_note(dataset: DatasetConfig) -> tuple[str, ...]:
    """What a run with `dataset.folds` must never be taken for, as one sentence or none."""
    if dataset.folds is None:
        return ()
    held = f"part {dataset.validation_fold} of dataset.folds={dataset.folds} is held out and all else is trained on"
    return (f"{held}, questions of the test split too: this run is never to be compared on the test split",)


def side(group: str, salt: str, test_fraction: float, validation_fraction: float, fold: int = 0) -> str:
    """`test` | `validation` | `train` by u = sha256(salt + ":" + group) / 2^256, which is uniform in [0, 1).

    u < test_fraction is test. Of the rest the validation is the part number `fold` (from 0) of length
    validation_fraction, and everything else is train; fold 0 begins where the test ends.
    """
    u = int.from_bytes(hashlib.sha256(f"{salt}:{group}".encode()).digest(), "big") / 2**256
    if u < test_fraction:
        return "test"
    begin = test_fraction + fold * validation_fraction
    return "validation" if begin <= u < begin + validation_fraction else "train"


def split_records(
    records: Sequence[Record], salt: str, test_fraction: float, validation_fraction: float, fold: int = 0
) -> tuple[dict[str, list[Record]], Counter[tuple[str, str]]]:
    """Records by split, in their order, and how many were left out by (source, reason).

    `meta["split"]` pins a record. A pinned record whose group also holds free records on another side is left out:
    free records keep the side that their hash gives them, whatever else is loaded beside them, so the splits of two
    runs agree. Raises UserError for fractions outside [0, 1) or a sum of 1 or more, an unknown pinned split, and a
    group that is pinned to two sides.
    """
    for name, value in (("test_fraction", test_fraction), ("validation_fraction", validation_fraction)):
        if not 0 <= value < 1 or test_fraction + validation_fraction >= 1:
            raise UserError(
                f"`dataset.{name}` must be in [0, 1) and both fractions together below 1, got {value} "
                f"(test {test_fraction}, validation {validation_fraction}). Lower them."
            )
    grouped = with_groups(records)
    free = {record.group for record in grouped if PINNED not in record.meta}
    pinned: dict[str, tuple[str, str]] = {}
    splits: dict[str, list[Record]] = {name: [] for name in SPLITS}
    dropped: Counter[tuple[str, str]] = Counter()
    for record in grouped:
        hashed = side(record.group, salt, test_fraction, validation_fraction, fold)
        where = _pinned_side(record, pinned) if PINNED in record.meta else hashed
        if record.group in free and where != hashed:
            dropped[record.source, f"held for {where}, but its question is in {hashed}"] += 1
        else:
            splits[where].append(record)
    return splits, dropped


def _pinned_side(record: Record, seen: dict[str, tuple[str, str]]) -> str:
    where = record.meta[PINNED]
    if where not in SPLITS:
        raise UserError(f"Record {record.id!r}: `split` must be one of {', '.join(SPLITS)}, got {brief(where)}.")
    other, other_id = seen.setdefault(record.group, (where, record.id))
    if other != where:
        raise UserError(
            f"Record {record.id!r} is held for {where}, record {other_id!r} of the same group {record.group!r} for "
            f"{other}. Put one question on one side."
        )
    return where
