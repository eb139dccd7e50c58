"""One source's files as records of one view."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edu_align.config.schema import DatasetConfig
from edu_align.data.fetch import source_files
from edu_align.data.local import CONVERSATION_FORMATS, choose_format, rename, to_record
from edu_align.data.pairs import best_reply
from edu_align.data.read import Row, read_rows
from edu_align.data.records import Record, ResponseGroup
from edu_align.data.sources import bridge, gsm8k_socratic, mathdial, mrbench
from edu_align.errors import UserError

Convert = Callable[[Row, str], Record | str]


@dataclass
class Loaded:
    """Records of one source before the split. `note` says what was decided on the way (the format of a local file)."""

    records: Sequence[Record]
    read: int
    dropped: Counter[str] = field(default_factory=Counter)
    files: Sequence[str] = ()
    note: str = ""


def load_source(
    name: str, cfg: DatasetConfig, data_root: str | Path | None, outputs_root: str | Path, seed: int, view: str
) -> Loaded:
    """Read one source. `view` is `conversation` or `preference`; a group becomes its best reply's conversation."""
    if name == "edu_tutor":
        return _edu_tutor(cfg.size, seed, view)
    if name == "local":
        return _as_view(_local(cfg, view), view)
    return _as_view(_public(name, source_files(name, data_root, outputs_root)), view)


def _as_view(loaded: Loaded, view: str) -> Loaded:
    if view == "conversation":
        loaded.records = [best_reply(r) if isinstance(r, ResponseGroup) else r for r in loaded.records]
    return loaded


def _edu_tutor(size: int, seed: int, view: str) -> Loaded:
    from edu_align.tutoring import corpus

    groups = corpus.load(size, seed)
    return Loaded(corpus.conversations(groups) if view == "conversation" else groups, read=len(groups))


def _public(name: str, files: Sequence[Path]) -> Loaded:
    if name == "mrbench":
        return _mrbench(files)
    converts: dict[str, Callable[[Path], Convert]] = {
        "mathdial": lambda file: mathdial.to_conversation,
        "bridge": lambda file: bridge.to_group,
        "gsm8k_socratic": _gsm8k,
    }
    result = Loaded([], 0)
    for file in files:
        result = _joined(result, _convert(file, name, converts[name](file)))
    return result


def _gsm8k(file: Path) -> Convert:
    official_test = file.name.startswith("test")
    return lambda row, record_id: gsm8k_socratic.to_conversation(row, record_id, official_test)


def _mrbench(files: Sequence[Path]) -> Loaded:
    """The development set, and what version 2 adds to it."""
    parts = {file.stem: _convert(file, "mrbench", mrbench.to_group) for file in files}
    groups = {stem: [r for r in part.records if isinstance(r, ResponseGroup)] for stem, part in parts.items()}
    result = Loaded([], 0)
    for part in parts.values():
        result = _joined(result, part)
    result.records, known = mrbench.merge_versions(groups.get("devset", []), groups.get("v2", []))
    if known:
        result.dropped["in the development set already"] += known
    return result


def _convert(file: Path, source: str, convert: Convert) -> Loaded:
    """A file's rows as records; the ids are `source:file:row`."""
    rows = read_rows(file)
    result = Loaded([], len(rows), files=[str(file)])
    records = []
    for row in rows:
        record = convert(row, f"{source}:{file.stem}:{row.number}")
        if isinstance(record, str):
            result.dropped[record] += 1
        else:
            records.append(record)
    result.records = records
    return result


def _joined(one: Loaded, other: Loaded) -> Loaded:
    return Loaded(
        [*one.records, *other.records],
        one.read + other.read,
        one.dropped + other.dropped,
        [*one.files, *other.files],
        one.note or other.note,
    )


def _local(cfg: DatasetConfig, view: str) -> Loaded:
    """The user's file. The first row decides the format for all. Raises UserError for a format without the view."""
    if not cfg.path:
        raise UserError("`dataset.path` must name your file for `dataset=local`, got null. Set dataset.path=FILE.")
    path = Path(cfg.path).expanduser()
    first = rename(read_rows(path)[0], cfg.columns)
    chosen = choose_format(first, cfg.format, view)
    if view == "preference" and chosen in CONVERSATION_FORMATS:
        raise UserError(
            f"`dataset.path`={path}: format {chosen!r} has conversations only, preference training needs scored "
            "replies. Give prompt + chosen + rejected, or prompt + responses; or take a `dataset` that has "
            "preferences: edu_tutor, bridge, mrbench."
        )
    result = _convert(path, "local", lambda row, _: to_record(rename(row, cfg.columns), chosen))
    result.note = f"format {chosen}" + (", by its columns" if cfg.format == "auto" else "")
    return result
