"""What a table rests on: `sources.json` beside it, so that others can make the same numbers or see why they differ.

    {"command": "python -m edu_align.crossfit trainer=dpo data_root=<data>", "made": "2026-11-30", "code": {...},
     "runs": [{"name": "folds-0", "id": "...", "commit": "...", ...}],
     "data": [{"source": "mrbench", "read": 203, "kept": 203, "files": {"mrbench/devset.json": "<sha256>"}, ...}],
     "measured": {"mrbench": ["<sha256 of the records>"]}}

A path of this machine is written as its last part in brackets. What an older run's record does not say is null.
"""

import json
import re
import shlex
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from edu_align.evaluation.suite.run import IN_RUN
from edu_align.runs.environment import git_state, machine, package_versions
from edu_align.runs.folder import StoredRun
from edu_align.utils.files import read_json, write_json
from edu_align.utils.secrets import redacted

NAME = "sources.json"
_LISTED = re.compile(r"(?<=[\[,])\s*[/~][^,\]]*")  # paths in a list
OF_RUN = ("id", "parent", "trainer", "model", "base_model", "dataset", "seed", "machine")
OF_SOURCE = ("read", "kept", "note")


def write_sources(folder: Path, command: Sequence[str], runs: Iterable[StoredRun], split: str) -> Path:
    """Write the file beside a table of `runs`, measured on `split`. `command`: the words that made the table."""
    every = list(_with_starts(runs))
    found = {
        "command": shown_command(command),
        "made": date.today().isoformat(),
        "code": {**git_state(), "versions": package_versions(), "machine": machine()},
        "runs": [_run(run) for run in every],
        "data": _data(every),
        "measured": _measured(every, split),
    }
    write_json(folder / NAME, found, indent=1)
    return folder / NAME


def shown_command(words: Sequence[str]) -> str:
    """A command line without paths of this machine and without secrets."""
    return " ".join(_shown(redacted(word)) for word in words)


def _shown(word: str) -> str:
    key, equals, value = word.rpartition("=")
    if value.startswith(("/", "~")):
        return f"{key}{equals}<{Path(value).name}>"
    return shlex.quote(_LISTED.sub(lambda found: f"<{Path(found[0]).name}>", word))


def _with_starts(runs: Iterable[StoredRun]) -> Iterable[StoredRun]:
    """The runs, and those that they started from, as far as they are here; each once."""
    waiting, known = list(runs), set[Path]()
    while waiting:
        run = waiting.pop(0)
        if run.path.resolve() in known:
            continue
        known.add(run.path.resolve())
        yield run
        start = run.record.get("init_from")
        if not start:
            continue
        record = read_json(Path(start) / "run.json")
        if record is not None and record.get("id") == run.record.get("parent"):
            waiting.append(StoredRun(Path(start), record))


def _run(run: StoredRun) -> dict[str, Any]:
    git = run.record.get("git") or {}
    code = {"commit": git.get("commit"), "dirty": git.get("dirty"), "diff": git.get("diff")}
    return {"name": run.name, **{key: run.record.get(key) for key in OF_RUN}, **code}


def _data(runs: Sequence[StoredRun]) -> list[dict[str, Any]]:
    """Each source as runs read it: once where several read the same."""
    found: dict[str, dict[str, Any]] = {}
    for run in runs:
        data = run.record.get("data") or {}
        for name, source in (data.get("sources") or {}).items():
            entry = {
                "source": name,
                **{key: source.get(key) for key in OF_SOURCE},
                "files": (data.get("files") or {}).get(name) if "files" in data else None,
                "records": (data.get("fingerprints") or {}).get(name),
            }
            found.setdefault(json.dumps(entry, sort_keys=True), {**entry, "runs": []})["runs"].append(run.name)
    return list(found.values())


def _measured(runs: Sequence[StoredRun], split: str) -> dict[str, list[str]]:
    """The fingerprints of the records that stored results were measured on, by the part of the suite's data."""
    found: dict[str, dict[str, None]] = {}
    for run in runs:
        listed = (read_json(run.path / IN_RUN / f"{split}.json") or {}).get("files") or {}
        for file in {path for by_metric in listed.values() for path in by_metric.values()}:
            key = (read_json(run.path / file) or {}).get("key") or {}
            for part, digest in (key.get("data") or {}).items():
                found.setdefault(part, {})[str(digest)] = None
    return {part: sorted(digests) for part, digests in sorted(found.items())}
