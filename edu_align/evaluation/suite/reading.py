"""The public tutoring sources read together, so that one question has one group wherever it occurs."""

from dataclasses import dataclass, replace
from pathlib import Path

from edu_align.config.schema import DatasetConfig
from edu_align.data.build import unrepeated
from edu_align.data.load import load_source, source_files
from edu_align.data.read import iter_rows
from edu_align.data.records import Record
from edu_align.data.sources import mrbench
from edu_align.data.split import PINNED, keys_of, with_groups
from edu_align.errors import UserError

# Source to the view in which it is read.
PUBLIC = {"mrbench": "preference", "bridge": "preference", "mathdial": "conversation", "gsm8k_socratic": "conversation"}
V2 = "mrbench_v2"  # MRBench's second version by itself


@dataclass(frozen=True)
class Sources:
    """`records` by source, `group` over all of them; `absent`: source to reason; `trained`: groups with a seen key."""

    records: dict[str, list[Record]]
    absent: dict[str, str]
    trained: frozenset[str]


def read_sources(
    dataset: DatasetConfig, data_root: str | Path | None, outputs_root: str | Path, seen: frozenset[str]
) -> Sources:
    """All of PUBLIC and V2. A record keeps its pin, but is grouped with its relatives like any other.

    A source whose files are neither there nor to be had is absent. Raises UserError for a broken file.
    """
    absent: dict[str, str] = {}
    loaded: dict[str, list[Record]] = {}
    for source, view in PUBLIC.items():
        try:
            source_files(source, data_root, outputs_root)
        except UserError as error:
            absent[source] = str(error)
            loaded[source] = []
        else:
            loaded[source] = unrepeated(load_source(source, dataset, data_root, outputs_root, 0, view))
    loaded[V2] = _version_two(data_root, outputs_root) if loaded["mrbench"] else []
    named = [(name, record) for name, records in loaded.items() for record in records]
    free = [replace(record, meta={k: v for k, v in record.meta.items() if k != PINNED}) for _, record in named]
    grouped: dict[str, list[Record]] = {name: [] for name in loaded}
    trained = set()
    for (name, record), before, united in zip(named, free, with_groups(free), strict=True):
        grouped[name].append(replace(united, meta=record.meta))
        if not seen.isdisjoint(keys_of(before)):
            trained.add(united.group)
    return Sources(grouped, absent, frozenset(trained))


def _version_two(data_root: str | Path | None, outputs_root: str | Path) -> list[Record]:
    files = source_files("mrbench", data_root, outputs_root)
    rows = (row for file in files if file.stem == "v2" for row in iter_rows(file))
    made = (mrbench.to_group(row, f"{V2}:{row.number}") for row in rows)
    return [record for record in made if not isinstance(record, str)]
