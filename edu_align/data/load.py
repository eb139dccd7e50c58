"""One source's files as records of one view."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from edu_align.config.schema import PREFERENCE_SOURCES, DatasetConfig
from edu_align.data.fetch import source_files
from edu_align.data.hub import HOMES, Opened, open_parts
from edu_align.data.local import CONVERSATION_FORMATS, choose_format, rename, to_record
from edu_align.data.pairs import best_reply
from edu_align.data.read import Row, iter_rows
from edu_align.data.records import Record, ResponseGroup
from edu_align.data.sources import (
    agentinstruct,
    bridge,
    gsm8k_socratic,
    mathdial,
    mrbench,
    puffin,
    stack_exchange,
    ultrachat,
    ultrafeedback,
)
from edu_align.data.streaming import TEST_RECORDS, Enough, in_turn
from edu_align.errors import UserError

Convert = Callable[[Row, str], Record | str]
ConvertPart = Callable[[Row, str, bool], Record | str]  # the last argument: a row of the source's own test part

_HUB: dict[str, dict[str, ConvertPart]] = {
    "agentinstruct": {"conversation": agentinstruct.to_conversation},
    "puffin": {"conversation": puffin.to_conversation},
    "stack_exchange": {"conversation": stack_exchange.to_conversation, "preference": stack_exchange.to_group},
    "ultrachat": {"conversation": ultrachat.to_conversation},
    "ultrafeedback": {"conversation": ultrafeedback.to_group, "preference": ultrafeedback.to_group},
}


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
    """Read one source. `view` is `conversation` or `preference`; a group becomes its best reply's conversation.

    With `dataset.streaming` the sources of the hub, local copies of them too, and `local` are read row by row until
    there is enough (see `streaming.Enough`); the other files are small and read whole.
    """
    if name == "edu_tutor":
        return _edu_tutor(cfg.size, seed, view)
    if name == "local":
        return _as_view(_local(cfg, view), view)
    if name in HOMES:
        opened = open_parts(name, view, data_root, outputs_root, cfg.streaming)
        return _as_view(_hub(name, cfg, opened, _HUB[name][view]), view)
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


def _hub(name: str, cfg: DatasetConfig, opened: Sequence[Opened], convert: ConvertPart) -> Loaded:
    """The parts of a source on the hub; where streaming, a row of each in turn, until there is enough."""
    official_test = any(part.test for part in HOMES[name].parts)
    result = Loaded([], 0, files=[place for part in opened for place in part.where])
    for test in (False, True):
        rows = [_numbered(name, part, convert) for part in opened if part.part.test == test]
        enough = Enough(cfg, official_test) if cfg.streaming and not test else None
        most = TEST_RECORDS if cfg.streaming and test else None
        part = _collect(in_turn(rows) if cfg.streaming else chain(*rows), enough, most)
        result = _joined(result, part)
    return result


def _numbered(name: str, opened: Opened, convert: ConvertPart) -> Iterator[Record | str]:
    """A part's rows as records; the ids are `source:part:row`, the same for every kind of file."""
    for number, row in enumerate(opened.rows, start=1):
        yield row.fault or convert(row, f"{name}:{opened.part.name}:{number}", opened.part.test)


def _convert(file: Path, source: str, convert: Convert, enough: Enough | None = None) -> Loaded:
    """A file's rows as records; the ids are `source:file:row`."""
    ids = ((row, f"{source}:{file.stem}:{row.number}") for row in iter_rows(file))
    result = _collect((row.fault or convert(row, record_id) for row, record_id in ids), enough)
    result.files = [str(file)]
    return result


def _collect(converted: Iterable[Record | str], enough: Enough | None = None, most: int | None = None) -> Loaded:
    """Converted rows as records and counted reasons, until there is `enough`, or `most` records of a test part."""
    result = Loaded([], 0)
    records: list[Record] = []
    for record in converted:
        result.read += 1
        if isinstance(record, str):
            result.dropped[record] += 1
            continue
        records.append(record)
        if enough:
            enough.add(record)
        if (enough and enough.reached) or (most and len(records) >= most):
            kind = "training" if enough else "test"
            result.note = f"streamed, {kind} rows: reading stopped after {result.read}, that is enough"
            break
    result.records = records
    return result


def _joined(one: Loaded, other: Loaded) -> Loaded:
    return Loaded(
        [*one.records, *other.records],
        one.read + other.read,
        one.dropped + other.dropped,
        [*one.files, *other.files],
        "; ".join(note for note in (one.note, other.note) if note),
    )


def _local(cfg: DatasetConfig, view: str) -> Loaded:
    """The user's file. The first row decides the format for all. Raises UserError for a format without the view."""
    if not cfg.path:
        raise UserError("`dataset.path` must name your file for `dataset=local`, got null. Set dataset.path=FILE.")
    path = Path(cfg.path).expanduser()
    first = rename(next(iter_rows(path)), cfg.columns)
    chosen = choose_format(first, cfg.format, view)
    if view == "preference" and chosen in CONVERSATION_FORMATS:
        raise UserError(
            f"`dataset.path`={path}: format {chosen!r} has conversations only, preference training needs scored "
            "replies. Give prompt + chosen + rejected, or prompt + responses; or take a `dataset` that has "
            f"preferences: {', '.join(name for name in PREFERENCE_SOURCES if name != 'local')}."
        )
    enough = Enough(cfg, official_test=False) if cfg.streaming else None
    result = _convert(path, "local", lambda row, _: to_record(rename(row, cfg.columns), chosen), enough)
    known = f"format {chosen}" + (", by its columns" if cfg.format == "auto" else "")
    result.note = f"{known}; {result.note}" if result.note else known
    return result
