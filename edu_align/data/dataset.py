"""From a dataset config to records in splits, with a report of what was read, kept and left out."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from edu_align.config.schema import PREFERENCE_SOURCES, DatasetConfig
from edu_align.data.leave_out import leave_out
from edu_align.data.rows.reader import reason_lines
from edu_align.data.sources.load import Loaded, load_source
from edu_align.data.split import PINNED, SPLITS, cut_of, split_records
from edu_align.records import Conversation, Message, Record, content_of
from edu_align.utils.errors import UserError
from edu_align.utils.hashing import sha256

VIEWS = ("conversation", "preference", "labels")


@dataclass(frozen=True)
class SourceReport:
    """`read`: rows in the files; `kept`: records made of them; `dropped`: rows or records left out, by reason.

    `first`: where a reason was met first; `unread`: what the rows held besides, a line each; `choices`:
    records of several replies, of which the conversation view took the best.
    """

    files: tuple[str, ...]
    note: str
    read: int
    kept: int
    dropped: dict[str, int]
    first: dict[str, str]
    unread: tuple[str, ...]
    choices: int = 0


@dataclass(frozen=True)
class LoadedData:
    """Records in splits, and where they came from.

    `fingerprints` has one sha256 a source, over the canonical JSON of its records in order; `fingerprint` is one
    over all of them. `groups`: number of groups in each split.
    """

    splits: dict[str, list[Record]]
    sources: dict[str, SourceReport]
    groups: dict[str, int]
    fingerprints: dict[str, str]
    fingerprint: str

    @property
    def report(self) -> dict[str, object]:
        """Counts as plain JSON values, for run records."""
        return {
            "sources": {name: asdict(source) for name, source in self.sources.items()},
            "records": {name: len(records) for name, records in self.splits.items()},
            "groups": dict(self.groups),
            "fingerprints": dict(self.fingerprints),
            "fingerprint": self.fingerprint,
        }

    def describe(self) -> str:
        """A few lines for people: what was read, what was left out and why, and the sizes of the splits."""
        lines = []
        for name, source in self.sources.items():
            where = f" from {', '.join(source.files)}" if source.files else ""
            note = f" ({source.note})" if source.note else ""
            lines.append(f"{name}: {source.kept} of {source.read} rows kept{where}{note}")
            lines += [f"  {line}" for line in source.unread]
            lines += reason_lines(Counter(source.dropped), source.first)
        sizes = (f"{name} {len(self.splits[name])} in {self.groups[name]} groups" for name in SPLITS)
        return "\n".join([*lines, f"records: {', '.join(sizes)}"])

    def require(self, split: str) -> list[Record]:
        """The records of a split. Raises UserError with the counts when it holds none."""
        if not self.splits[split]:
            raise UserError(
                f"`dataset`: the {split} split holds no record. Add data, or change `dataset.test_fraction` and "
                f"`dataset.validation_fraction`.\n{self.describe()}"
            )
        return self.splits[split]


def load_records(
    dataset: DatasetConfig, data_root: str | Path | None, outputs_root: str | Path, seed: int, view: str
) -> LoadedData:
    """Every source of the config as records of one view, split by group.

    `view` is `conversation` (what SFT reads), `preference` (what preference training and evaluation read) or `labels`
    (that, and single replies with a label or a score); `seed` generates the built-in corpus. The preference view also
    reads `contrast_sources` as conversations, and keeps those on the training side. Records that repeat an earlier one
    are left out. Raises UserError for a source that has no such view, for anything wrong with the files, and when
    nothing is left.
    """
    if view not in VIEWS:
        raise ValueError(f"`view` must be one of {', '.join(VIEWS)}, got {view!r}")
    _check_sources(dataset, view)
    views = dict.fromkeys(dataset.sources, view)
    if view == "preference":
        views |= dict.fromkeys(dataset.contrast_sources, "conversation")
    loaded = {name: load_source(name, dataset, data_root, outputs_root, seed, as_) for name, as_ in views.items()}
    records = [record for source in loaded.values() for record in deduplicated(source)]
    splits, refused = split_records(records, *cut_of(dataset))
    if dataset.leave_out:
        splits, left_out = leave_out(splits, records, dataset, data_root, outputs_root)
        refused += left_out
    for (name, reason), count in refused.items():
        loaded[name].dropped[reason] += count
    splits = {
        name: [record for record in part if name == "train" or views[record.source] == view]
        for name, part in splits.items()
    }
    kept = {name: [r for part in splits.values() for r in part if r.source == name] for name in views}
    fingerprints = {name: fingerprint_of(records) for name, records in kept.items()}
    if dataset.system_prompt:
        splits = {
            name: [with_system(record, dataset.system_prompt) for record in part] for name, part in splits.items()
        }
    data = LoadedData(
        splits=splits,
        sources={
            name: SourceReport(
                tuple(source.files),
                source.note,
                source.read,
                len(kept[name]),
                dict(source.dropped),
                source.first,
                tuple(source.unread),
                source.choices,
            )
            for name, source in loaded.items()
        },
        groups={name: len({record.group for record in part}) for name, part in splits.items()},
        fingerprints=fingerprints,
        fingerprint=sha256(json.dumps(fingerprints)),
    )
    if not any(splits.values()):
        raise UserError(f"`dataset` {dataset.name!r}: no record is left. Look at what was left out:\n{data.describe()}")
    return data


def fingerprint_of(records: Iterable[Record]) -> str:
    """sha256 over the canonical JSON (sorted keys) of the records, in order, one a line."""
    digest = hashlib.sha256()
    for record in records:
        digest.update(json.dumps(record, default=vars, sort_keys=True, ensure_ascii=False).encode() + b"\n")
    return digest.hexdigest()


def _check_sources(dataset: DatasetConfig, view: str) -> None:
    names = list(dataset.sources)
    if not names:
        raise UserError("`dataset.sources` is empty. Name at least one source.")
    if len(set(names)) < len(names):
        raise UserError(f"`dataset.sources` names a source twice: {', '.join(names)}. Name each once.")
    if view != "conversation" and (without := [name for name in names if name not in PREFERENCE_SOURCES]):
        raise UserError(
            f"`dataset`={dataset.name}: {', '.join(without)} has conversations only, preference training needs scored "
            f"replies. Sources that have them: {', '.join(PREFERENCE_SOURCES)}."
        )


def deduplicated(source: Loaded) -> list[Record]:
    """The records without those that repeat an earlier one of the source, which are counted as left out."""
    seen: set[object] = set()
    result = []
    for record in source.records:
        content = (record.meta.get(PINNED), content_of(record))
        if content in seen:
            source.dropped["the same as an earlier record"] += 1
            continue
        seen.add(content)
        result.append(record)
    return result


def with_system(record: Record, system_prompt: str) -> Record:
    """The record with the system turn first; a system turn of its own stays instead."""
    turns = record.messages if isinstance(record, Conversation) else record.prompt
    if turns[0].role == "system":
        return record
    turns = (Message("system", system_prompt), *turns)
    return replace(record, messages=turns) if isinstance(record, Conversation) else replace(record, prompt=turns)
