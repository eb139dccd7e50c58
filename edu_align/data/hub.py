"""Rows of the sources that live on the model hub: a local folder first, `datasets` otherwise."""

import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edu_align.data.fetch import BRANCH, DATA_ROOT_VARIABLE, TIMEOUT
from edu_align.data.read import Row, checked_row, iter_rows, shorten
from edu_align.errors import UserError


@dataclass(frozen=True)
class Part:
    """One part of a source: its file's name without suffix, and where the hub has it (`data_dir`, `split`).

    `test`: the source's own test part. `views`: which views read it.
    """

    name: str
    split: str
    data_dir: str | None = None
    test: bool = False
    views: tuple[str, ...] = ("conversation", "preference")


@dataclass(frozen=True)
class Home:
    """A source's folder under the data root, and its repository on the hub."""

    folder: str
    repository: str
    revision: str
    parts: tuple[Part, ...]


HOMES = {
    "agentinstruct": Home(
        "agentinstruct",
        "THUDM/AgentInstruct",
        "d6aa98204667100cba2c45de35059457fe0a6d4d",
        tuple(Part(name, name) for name in ("os", "db", "alfworld", "webshop", "kg", "mind2web")),
    ),
    "puffin": Home("puffin", "LDJnr/Puffin", BRANCH, (Part("train", "train"),)),
    "stack_exchange": Home(
        "stack_exchange",
        "lvwerra/stack-exchange-paired",
        BRANCH,
        (
            Part("finetune", "train", "data/finetune", views=("conversation",)),
            Part("rl", "train", "data/rl", views=("preference",)),
            Part("evaluation", "train", "data/evaluation", test=True),
        ),
    ),
    "ultrachat": Home(
        "ultrachat",
        "HuggingFaceH4/ultrachat_200k",
        "8049631c405ae6576f93f445c6b8166f76f5505a",
        (Part("train_sft", "train_sft"), Part("test_sft", "test_sft", test=True)),
    ),
    "ultrafeedback": Home(
        "ultrafeedback",
        "HuggingFaceH4/ultrafeedback_binarized",
        "3949bf5f8c17c394422ccfab0c31ea9c20bdeb85",
        (Part("train_prefs", "train_prefs"), Part("test_prefs", "test_prefs", test=True)),
    ),
}


@dataclass(frozen=True)
class Opened:
    """A part whose rows can be read, one by one. `where` says where they come from, for reports."""

    part: Part
    where: tuple[str, ...]
    rows: Iterator[Row]


def open_parts(
    source: str, view: str, data_root: str | Path | None, outputs_root: str | Path, streaming: bool
) -> list[Opened]:
    """The parts of a source that a view reads. Nothing is read before the first row is asked for.

    `data_root` (else the variable EDU_ALIGN_DATA) is looked in first: those parts that `<data_root>/<folder>` holds
    are taken, none is fetched beside them. A part is `<name>.jsonl`, `<name>.parquet`, the shards `<name>-*.parquet`
    or the files of a folder `<name>/`, in the folder itself or in its `data/`, as in a copy of the repository. Else
    the hub's files are loaded by `datasets` at the revision of `HOMES`: row by row where `streaming`, otherwise once,
    into `<outputs_root>/cache/data/hub`. Raises UserError when neither is there, within seconds.
    """
    home = HOMES[source]
    parts = [part for part in home.parts if view in part.views]
    root = data_root or os.environ.get(DATA_ROOT_VARIABLE)
    if root:
        folder = Path(root).expanduser() / home.folder
        found = [(part, files) for part in parts if (files := _local(folder, part.name))]
        if found:
            return [Opened(part, tuple(map(str, files)), _rows(files)) for part, files in found]
    if home.revision == BRANCH:
        print(f"edu_align: {source} is what {home.repository}'s branch main holds today", flush=True)
    cache = Path(outputs_root) / "cache" / "data" / "hub"
    if streaming or not (cache / home.repository.replace("/", "___")).is_dir():
        _reach(source, home, parts, root)
    name = f"{home.repository}@{home.revision[:7]}"
    return [
        Opened(part, (f"{name} {part.data_dir or part.split}",), _hub_rows(home, part, name, cache, streaming))
        for part in parts
    ]


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


def _rows(files: list[Path]) -> Iterator[Row]:
    for file in files:
        yield from iter_rows(file)


def _reach(source: str, home: Home, parts: list[Part], root: str | Path | None) -> None:
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


def _hub_rows(home: Home, part: Part, name: str, cache: Path, streaming: bool) -> Iterator[Row]:
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
