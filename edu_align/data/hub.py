"""Sources that are on the hub: a local folder first, `datasets` otherwise."""

import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import ClassVar

from edu_align.data.download import BRANCH, DATA_ROOT_VARIABLE, TIMEOUT
from edu_align.data.readers import Row, checked_row, convert_rows, iter_rows, shorten
from edu_align.data.sources.source import Part, Query, Source
from edu_align.utils.errors import UserError


@dataclass(frozen=True)
class HubPart:
    """One part of a source: its file's name without suffix, and where the hub has it (`data_dir`, `split`).

    `test`: the source's own test part. `views`: which views read it.
    """

    name: str
    split: str
    data_dir: str | None = None
    test: bool = False
    views: tuple[str, ...] = ("conversation", "preference")


@dataclass(frozen=True, kw_only=True)
class HubSource(Source):
    """A source's folder under the data root, and its repository on the hub."""

    folder: str
    repository: str
    revision: str
    parts: tuple[HubPart, ...]
    streams: ClassVar[bool] = True

    @property
    def has_test(self) -> bool:
        return any(part.test for part in self.parts)

    def open(self, name: str, query: Query) -> list[Part]:
        """The parts that the view reads.

        `data_root` (else the variable EDU_ALIGN_DATA) is looked in first: those parts that `<data_root>/<folder>` holds
        are taken, none is fetched beside them. A part is `<name>.jsonl`, `<name>.parquet`, the shards
        `<name>-*.parquet` or the files of a folder `<name>/`, in the folder itself or in its `data/`, as in a copy of
        the repository. Else the hub's files are loaded by `datasets` at `revision`: row by row where streaming,
        otherwise once, into `<outputs_root>/cache/data/hub`. Raises UserError when neither is there, within seconds.
        """
        parts = [part for part in self.parts if query.view in part.views]
        root = query.data_root or os.environ.get(DATA_ROOT_VARIABLE)
        if root:
            folder = Path(root).expanduser() / self.folder
            found = [(part, files) for part in parts if (files := _local(folder, part.name))]
            if found:
                return [
                    self._part(name, part, query, chain.from_iterable(map(iter_rows, files)), map(str, files))
                    for part, files in found
                ]
        if self.revision == BRANCH:
            print(f"edu_align: {name} is what {self.repository}'s branch main holds today", flush=True)
        streaming = query.dataset.streaming
        cache = Path(query.outputs_root) / "cache" / "data" / "hub"
        if streaming or not (cache / self.repository.replace("/", "___")).is_dir():
            _reach(name, self, parts, root)
        commit = f"{self.repository}@{self.revision[:7]}"
        return [
            self._part(
                name,
                part,
                query,
                _hub_rows(self, part, commit, cache, streaming),
                [f"{commit} {part.data_dir or part.split}"],
            )
            for part in parts
        ]

    def _part(self, name: str, part: HubPart, query: Query, rows: Iterator[Row], where: Iterable[str]) -> Part:
        """The ids are `source:part:row`, the same for every kind of file."""
        records = convert_rows(enumerate(rows, start=1), self.converter(query.view), f"{name}:{part.name}")
        return Part(records, tuple(where), test=part.test)


def _local(folder: Path, name: str) -> list[Path]:
    for base in (folder, folder / "data"):
        for pattern in (
            f"{name}.jsonl",
            f"{name}.parquet",
            f"{name}-*.parquet",
            f"{name}/*.jsonl",
            f"{name}/*.parquet",
        ):
            if files := sorted(path for path in base.glob(pattern) if path.is_file()):
                return files
    return []


def _reach(source: str, home: HubSource, parts: list[HubPart], root: str | Path | None) -> None:
    """Ask the hub for the repository, once and quickly: `datasets` would try for half a minute."""
    from huggingface_hub.constants import ENDPOINT, HF_HUB_OFFLINE

    try:
        if HF_HUB_OFFLINE:
            raise OSError("HF_HUB_OFFLINE is set")
        with urllib.request.urlopen(f"{ENDPOINT}/api/datasets/{home.repository}", timeout=TIMEOUT):
            return
    except (OSError, http.client.HTTPException) as error:
        files = f"{home.folder}/{parts[0].name}.jsonl or .parquet"
        looked = f"no {files} in {root}" if root else "`data_root` is not set"
        raise UserError(
            f"`dataset` source {source!r}: {looked}, and {home.repository} cannot be reached on the hub "
            f"({getattr(error, 'reason', error)}). Either set `data_root` (or the variable {DATA_ROOT_VARIABLE}) to a "
            f"folder that holds {files}, or run with a network; `dataset=edu_tutor` needs neither."
        ) from None


def _hub_rows(home: HubSource, part: HubPart, name: str, cache: Path, streaming: bool) -> Iterator[Row]:
    import datasets

    number = 0
    try:
        rows = datasets.load_dataset(
            home.repository,
            data_dir=part.data_dir,
            split=part.split,
            revision=home.revision,
            streaming=streaming,
            cache_dir=str(cache),
        )
        for number, data in enumerate(rows, start=1):
            yield checked_row(data, f"{name} {part.name}", number)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise UserError(
            f"{name} {part.name}: reading from the hub broke off after {number} rows "
            f"({type(error).__name__}: {shorten(str(error), 160)}). Run it again, or download the files and set "
            f"`data_root`."
        ) from None
