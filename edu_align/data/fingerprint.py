"""What a run's data is, known without reading it again.

Reading and splitting the data takes seconds, and a launch of a finished run needs nothing of it but its fingerprints.
They are kept in outputs_root/cache/fingerprints under everything that they depend on: the dataset's keys, the code that
reads and generates data, and the files, by all their bytes. Sources on the hub are read every time.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

import edu_align.data
import edu_align.records
import edu_align.tutoring
from edu_align.config.schema import Config
from edu_align.data.datamodule import TrainingData
from edu_align.data.sources.load import SOURCES
from edu_align.data.sources.source import Query
from edu_align.utils.files import write_json
from edu_align.utils.hashing import digest, file_digest, file_digests, files_digest, records_in, sha256

MOST_FILES = 20  # that are listed one by one


def known_fingerprints(config: Config) -> dict[str, str] | None:
    """What `fingerprints` said when the same data was read before; None where it was not, or may have changed."""
    place = _place(config)
    try:
        found: dict[str, str] = json.loads(place.read_text(encoding="utf-8")) if place else {}
    except (OSError, ValueError):
        return None
    return found or None


def fingerprints(config: Config, data: TrainingData) -> dict[str, str]:
    """A fingerprint for each view of the data that the run reads, which is recorded for the next launch."""
    found = {"trained": data.loaded.fingerprint}
    if data.scored_fingerprint is not None:
        found["scored"] = data.scored_fingerprint
    place = _place(config)
    if place is not None:
        place.parent.mkdir(parents=True, exist_ok=True)
        write_json(place, found)
    return found


def files_read(config: Config) -> dict[str, dict[str, str]]:
    """sha256 of every file that the sources of a run are read from, by source: {"mrbench/devset.json": "..."}. Of many
    files in folders one digest stands for all; a source on the hub, or one that is generated, has none.
    """
    found: dict[str, dict[str, str]] = {}
    records = records_in(config.outputs_root)
    for name, files in _files(config):
        if files and len(files) <= MOST_FILES:
            digests = file_digests(files, records)
            found[name] = {f"{file.parent.name}/{file.name}": one for file, one in digests.items()}
        elif files:
            found[name] = {f"{len(files)} files": files_digest(files, records)}
    if "local" in found:  # the folder that it lies in is nobody's business
        found["local"] = {name.partition("/")[2]: one for name, one in found["local"].items()}
    return found


def _files(config: Config) -> Iterator[tuple[str, list[Path] | None]]:
    dataset = config.dataset
    query = Query("", dataset, config.data_root, config.outputs_root, dataset.generation_seed)
    for name in (*dataset.sources, *dataset.contrast_sources, *dataset.leave_out):
        yield name, SOURCES[name].files(name, query)


def _place(config: Config) -> Path | None:
    signatures = list(_signatures(config))
    if None in signatures:
        return None
    dataset = asdict(replace(config.dataset, path=None))  # its signature names it
    what = [dataset, config.trainer.algorithm, config.evaluation.enabled, signatures]
    return Path(config.outputs_root) / "cache" / "fingerprints" / f"{digest(what)[:24]}.json"


def _signatures(config: Config) -> Iterator[str | None]:
    """One text a file that the records depend on: its name and what it holds; None for what has no file."""
    yield _code()
    for _, files in _files(config):
        yield from [None] if files is None else (_signature(file, records_in(config.outputs_root)) for file in files)


@cache
def _code() -> str:
    """Over the code that reads and generates data, and the texts beside it."""
    roots = (Path(package.__path__[0]) for package in (edu_align.data, edu_align.tutoring))
    files = [Path(edu_align.records.__file__), *(file for root in roots for file in sorted(root.rglob("*")))]
    return digest([[file.name, sha256(file.read_bytes())] for file in files if file.suffix in (".py", ".jsonl")])


def _signature(file: Path, records: Path) -> str | None:
    try:
        return f"{file.resolve()} {file_digest(file, records)}"
    except OSError:
        return None
