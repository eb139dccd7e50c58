"""What a run's data is, known without reading it again.

Reading and splitting the data takes seconds, and a launch of a finished run needs nothing of it but its fingerprints.
They are kept in outputs_root/cache/fingerprints under everything that they depend on: the dataset's keys, the code that
reads and generates data, and the files, by size and time of change (as `make` does it: a change of neither is not
noticed). Sources on the hub are read every time.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import edu_align.data
import edu_align.records
import edu_align.tutoring
from edu_align.config.schema import Config
from edu_align.data.datamodule import TrainingData
from edu_align.data.sources.load import SOURCES
from edu_align.data.sources.source import Query
from edu_align.utils.files import write_json
from edu_align.utils.hashing import sha256


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


def _place(config: Config) -> Path | None:
    signatures = list(_signatures(config))
    if None in signatures:
        return None
    dataset = asdict(replace(config.dataset, path=None))  # its signature names it
    what = [dataset, config.trainer.algorithm, config.evaluation.enabled, signatures]
    digest = sha256(json.dumps(what, sort_keys=True))[:24]
    return Path(config.outputs_root) / "cache" / "fingerprints" / f"{digest}.json"


def _signatures(config: Config) -> Iterator[str | None]:
    """One text a file that the records depend on: its name, size and time of change; None for what has no file."""
    roots = (Path(package.__path__[0]) for package in (edu_align.data, edu_align.tutoring))
    code = [Path(edu_align.records.__file__), *(file for root in roots for file in sorted(root.rglob("*")))]
    yield from (_stat(file) for file in code if file.suffix in (".py", ".jsonl"))
    dataset = config.dataset
    query = Query("", dataset, config.data_root, config.outputs_root, dataset.generation_seed)
    for name in (*dataset.sources, *dataset.contrast_sources):
        files = SOURCES[name].files(name, query)
        yield from [None] if files is None else map(_stat, files)


def _stat(file: Path) -> str | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return f"{file.resolve()} {found.st_size} {found.st_mtime_ns}"
