"""Where a public source's files are: a local folder first, its public home otherwise."""

import hashlib
import http.client
import os
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from edu_align.errors import UserError

TIMEOUT = 10.0  # seconds without an answer before a download counts as impossible
BRANCH = "main"  # where no commit is known to hold the files
DATA_ROOT_VARIABLE = "EDU_ALIGN_DATA"


@dataclass(frozen=True)
class Remote:
    """A source's folder under the data root, and its public home. `files`: local name -> path in the repository."""

    folder: str
    repository: str  # owner/name on GitHub
    revision: str  # a commit; a branch only where no commit is known to hold the files
    files: dict[str, str]


REMOTES = {
    "mathdial": Remote(
        "mathdial",
        "eth-nlped/mathdial",
        "e4d8b57b6965483d7989a41920c37b95e3987189",
        {"train.jsonl": "data/train.jsonl", "test.jsonl": "data/test.jsonl"},
    ),
    "bridge": Remote(
        "bridge",
        "rosewang2008/bridge",
        "37290e867f193dc5bb9d77ca2a2469980b78fc3c",
        {f"{part}.json": f"dataset/{part}.json" for part in ("train", "validation", "test")},
    ),
    "mrbench": Remote(
        "mrbench",
        "kaushal0494/UnifyingAITutorEvaluation",
        BRANCH,
        {
            "devset.json": "BEA_Shared_Task_2025_Datasets/mrbench_v3_devset.json",
            "v2.json": "MRBench/MRBench_V2.json",
        },
    ),
    "gsm8k_socratic": Remote(
        "gsm8k",
        "openai/grade-school-math",
        "3101c7d5072418e28b9008a6636bde82a006892c",
        {f"{part}_socratic.jsonl": f"grade_school_math/data/{part}_socratic.jsonl" for part in ("train", "test")},
    ),
}


def source_files(source: str, data_root: str | Path | None, outputs_root: str | Path) -> list[Path]:
    """Files of a public source, in the order of `REMOTES`.

    `data_root` (else the variable EDU_ALIGN_DATA) is looked in first: those of the files that
    `<data_root>/<folder>` holds are taken, none is downloaded beside them. Without any the public files are
    downloaded once to `<outputs_root>/cache/data`, each with its sha256 beside it. Raises UserError when neither
    is there, within seconds.
    """
    remote = REMOTES[source]
    root = data_root or os.environ.get(DATA_ROOT_VARIABLE)
    if root:
        folder = Path(root).expanduser() / remote.folder
        local = [folder / name for name in remote.files if (folder / name).is_file()]
        if local:
            return local
    cache = Path(outputs_root) / "cache" / "data" / remote.folder / remote.revision
    files = [_cached(source, remote, name, cache, root) for name in remote.files]
    if remote.revision == BRANCH:
        print(f"edu_align: {source} is what {remote.repository}'s branch main held when it was downloaded", flush=True)
    return files


def _cached(source: str, remote: Remote, name: str, cache: Path, root: str | Path | None) -> Path:
    """The file in the cache, downloaded if need be, checked against the sha256 recorded when it came."""
    target, record = cache / name, cache / f"{name}.sha256"
    if target.is_dir() or record.is_dir():
        raise UserError(f"{target}: a folder stands where the download belongs. Delete it and run again.")
    if not (target.is_file() and record.is_file()):
        url = f"https://raw.githubusercontent.com/{remote.repository}/{remote.revision}/{remote.files[name]}"
        content = _download(url, source, remote, root)
        cache.mkdir(parents=True, exist_ok=True)
        _write(target, content)
        _write(record, (hashlib.sha256(content).hexdigest() + "\n").encode())
    elif hashlib.sha256(target.read_bytes()).hexdigest() != record.read_bytes().decode("ascii", "replace").strip():
        raise UserError(f"{target}: it changed since it was downloaded (see {record.name}). Delete both and run again.")
    return target


def _write(path: Path, content: bytes) -> None:
    """Write beside and rename, so that an interrupted download never looks like a whole one."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    partial.write_bytes(content)
    partial.replace(path)


def _download(url: str, source: str, remote: Remote, root: str | Path | None) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
            content: bytes = answer.read()
            return content
    except (OSError, http.client.HTTPException) as error:
        looked = f"no {' or '.join(remote.files)} in {Path(root) / remote.folder}" if root else "`data_root` is not set"
        raise UserError(
            f"`dataset` source {source!r}: {looked}, and {url} cannot be downloaded "
            f"({getattr(error, 'reason', error)}). Either set `data_root` (or the variable {DATA_ROOT_VARIABLE}) to a "
            f"folder that holds {remote.folder}/{next(iter(remote.files))}, or run once with a network; "
            "`dataset=edu_tutor` needs neither."
        ) from None
