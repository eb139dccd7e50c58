"""Records that share a question, a session or a dialogue with other sources, kept out of a run's training."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from edu_align.config.schema import PREFERENCE_SOURCES, DatasetConfig
from edu_align.data.sources.load import load_source
from edu_align.data.split import with_groups, without_pin
from edu_align.records import Record
from edu_align.utils.errors import UserError


def leave_out(
    splits: Mapping[str, Sequence[Record]],
    records: Sequence[Record],
    dataset: DatasetConfig,
    data_root: str | Path | None,
    outputs_root: str | Path,
) -> tuple[dict[str, list[Record]], Counter[tuple[str, str]]]:
    """`splits` without the training and validation records that are tied to a source in `dataset.leave_out`, and how
    many those are by (source, reason). `records` are what the splits were made of; the test part stays as it is.

    Raises UserError for a source whose files are not there.
    """
    others = [record for name in dataset.leave_out for record in _all_of(name, dataset, data_root, outputs_root)]
    tied = _tied(records, others)
    reason = f"question also in {', '.join(dataset.leave_out)} (dataset.leave_out)"
    kept: dict[str, list[Record]] = {}
    dropped: Counter[tuple[str, str]] = Counter()
    for name, part in splits.items():
        kept[name] = [record for record in part if name == "test" or record.group not in tied]
        dropped.update((record.source, reason) for record in part if name != "test" and record.group in tied)
    return kept, dropped


def _tied(records: Sequence[Record], others: Sequence[Record]) -> set[str]:
    """The groups of `records`, as they are among themselves, that share a key with one of `others`."""
    together = with_groups([*records, *others])
    meant = {record.group for record in together[len(records) :]}
    return {own.group for own, one in zip(with_groups(records), together, strict=False) if one.group in meant}


def _all_of(
    name: str, dataset: DatasetConfig, data_root: str | Path | None, outputs_root: str | Path
) -> Iterator[Record]:
    """Every record of a source in each of its views, whatever side its own split has it on: only its keys count.

    Of a source that is itself trained on, those that are measured: its replies that are compared.
    """
    whole = replace(dataset, streaming=False)
    views = ["conversation"] if name not in PREFERENCE_SOURCES or name not in dataset.sources else []
    for view in (*views, *(["preference"] if name in PREFERENCE_SOURCES else [])):
        try:
            found = load_source(name, whole, data_root, outputs_root, dataset.generation_seed, view)
        except UserError as error:
            raise UserError(f"`dataset.leave_out` names {name}, whose questions have to be read. {error}") from None
        for record in found.records:
            yield replace(record, meta=without_pin(record.meta))
