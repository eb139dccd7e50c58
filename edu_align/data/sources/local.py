"""`dataset=local`: the user's own file, whatever shapes its rows have (see `rows.shapes`)."""

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from edu_align.config.schema import DatasetConfig
from edu_align.data.readers import rows_of
from edu_align.data.row_files import look_at
from edu_align.data.rows.columns import Columns
from edu_align.data.rows.reader import RowReader
from edu_align.data.sources.source import Part, Query, Source
from edu_align.utils.errors import UserError

FORMATS = ("auto", "messages", "sharegpt", "preference", "responses", "labels", "completion", "text")


@dataclass(frozen=True, kw_only=True)
class LocalFile(Source):
    """The user's file. Each row decides its own shape, unless `dataset.format` does for all."""

    streams: ClassVar[bool] = True

    def open(self, name: str, query: Query) -> list[Part]:
        """Raises UserError for an unknown format or name in `dataset.columns`."""
        dataset = query.dataset
        path = _path(dataset)
        if dataset.format not in FORMATS:
            near = difflib.get_close_matches(dataset.format, FORMATS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise UserError(f"`dataset.format` must be one of {', '.join(FORMATS)}, got {dataset.format!r}.{hint}")
        reader = RowReader(Columns(dataset.columns), query.view, dataset.format)
        file = look_at(path)
        return [Part(reader.records(rows_of(file), str(path)), (str(path),), file.note, reader=reader)]

    def files(self, name: str, query: Query) -> list[Path]:
        return [_path(query.dataset)]


SOURCE = LocalFile()


def _path(dataset: DatasetConfig) -> Path:
    if not dataset.path:
        raise UserError("`dataset.path` must name your file for `dataset=local`, got null. Set dataset.path=FILE.")
    return Path(dataset.path).expanduser()
