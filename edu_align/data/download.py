"""Sources that are files on GitHub: a local folder first, a download otherwise."""

import http.client
import os
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from edu_align.data.readers import convert_rows, iter_rows
from edu_align.data.rows.words import LeftOut
from edu_align.data.sources.source import Part, Query, Source
from edu_align.records import Record
from edu_align.utils.errors import UserError
from edu_align.utils.files import write_bytes, write_text
from edu_align.utils.hashing import sha256

TIMEOUT = 10.0  # seconds without an answer before a download counts as impossible
BRANCH = "main"  # where no commit is known to hold the files
DATA_ROOT_VARIABLE = "EDU_ALIGN_DATA"


@dataclass(frozen=True, kw_only=True)
class GitHubSource(Source):
    """A source's folder under the data root, and its public home. `paths`: local name -> path in the repository.

    `tests`: the files among them that are the source's own test part. `stand_ins`: local name -> a file elsewhere under
    the data root that is read where the folder holds none of that name.
    """

    folder: str
    repository: str  # owner/name on GitHub
    revision: str  # a commit; a branch only where no commit is known to hold the files
    paths: dict[str, str]
    tests: tuple[str, ...] = ()
    stand_ins: dict[str, str] = field(default_factory=dict)

    def open(self, name: str, query: Query) -> list[Part]:
        files = self.files(name, query)
        return [Part(self.read(name, file, query.view), (str(file),), test=file.name in self.tests) for file in files]

    def read(self, name: str, file: Path, view: str) -> Iterator[Record | LeftOut]:
        """A file's rows as records; the ids are `source:file:row`."""
        return convert_rows(((row.number, row) for row in iter_rows(file)), self.converter(view), f"{name}:{file.stem}")

    def files(self, name: str, query: Query) -> list[Path]:
        return self.find(name, query.data_root, query.outputs_root)

    def find(self, name: str, data_root: str | Path | None, outputs_root: str | Path) -> list[Path]:
        """Its files, in the order of `paths`.

        `data_root` (else the variable EDU_ALIGN_DATA) is looked in first: those of the files that
        `<data_root>/<folder>` holds are taken, none is downloaded beside them. Without any the public files are
        downloaded once to `<outputs_root>/cache/data`, each with its sha256 beside it. Raises UserError when neither
        is there, within seconds.
        """
        if local := self.local(data_root):
            return local
        root = self.root(data_root)
        cache = Path(outputs_root) / "cache" / "data" / self.folder / self.revision
        files = [_cached(name, self, file, cache, root) for file in self.paths]
        if self.revision == BRANCH:
            print(f"edu_align: {name} is what {self.repository}'s branch main held when it was downloaded", flush=True)
        return files

    def local(self, data_root: str | Path | None) -> list[Path]:
        """Those of its files that lie under the data root."""
        root = self.root(data_root)
        return [place for file in self.paths if (place := self._place(root, file))] if root else []

    @staticmethod
    def root(data_root: str | Path | None) -> Path | None:
        """Where local files are looked for: what is given, else the variable EDU_ALIGN_DATA; None for nowhere."""
        root = data_root or os.environ.get(DATA_ROOT_VARIABLE)
        return Path(root).expanduser() if root else None

    def _place(self, root: Path, file: str) -> Path | None:
        """Where a file of `paths` lies under the data root; None where it does not."""
        places = [root / self.folder / file, *(root / other for name, other in self.stand_ins.items() if name == file)]
        return next((place for place in places if place.is_file()), None)


def _cached(source: str, remote: GitHubSource, name: str, cache: Path, root: Path | None) -> Path:
    """The file in the cache, downloaded if need be, checked against the sha256 recorded when it came."""
    target, record = cache / name, cache / f"{name}.sha256"
    if target.is_dir() or record.is_dir():
        raise UserError(f"{target}: a folder stands where the download belongs. Delete it and run again.")
    if not (target.is_file() and record.is_file()):
        url = f"https://raw.githubusercontent.com/{remote.repository}/{remote.revision}/{remote.paths[name]}"
        content = _download(url, source, remote, root)
        cache.mkdir(parents=True, exist_ok=True)
        write_bytes(target, content)
        write_text(record, sha256(content) + "\n")
    elif sha256(target.read_bytes()) != record.read_bytes().decode("ascii", "replace").strip():
        raise UserError(f"{target}: it changed since it was downloaded (see {record.name}). Delete both and run again.")
    return target


def _download(url: str, source: str, remote: GitHubSource, root: Path | None) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
            content: bytes = answer.read()
            return content
    except (OSError, http.client.HTTPException) as error:
        looked = f"no {' or '.join(remote.paths)} in {root / remote.folder}" if root else "`data_root` is not set"
        raise UserError(
            f"`dataset` source {source!r}: {looked}, and {url} cannot be downloaded "
            f"({getattr(error, 'reason', error)}). Either set `data_root` (or the variable {DATA_ROOT_VARIABLE}) to a "
            f"folder that holds {remote.folder}/{next(iter(remote.paths))}, or run once with a network; "
            "`dataset=edu_tutor` needs neither."
        ) from None
