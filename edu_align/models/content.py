"""What a model's folder is: the files that are read of it, by all their bytes, and how a base model is named by them.

A README, pickled weights and shards that no index names are not read, so they do not count. Nor does the folder's name:
`folder:<name>:<content>` shows it to people, and two identities are the same base where their content is.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from edu_align.utils.errors import UserError
from edu_align.utils.files import read_json
from edu_align.utils.hashing import digest, file_digest, files_digest

SINGLE = "model.safetensors"  # the weights, where they are one file
INDEX = f"{SINGLE}.index.json"  # else says which files they are in
ADAPTER = "adapter_model.safetensors"
SEAL = "sha256.json"  # of each file of a folder that was made here of a GGUF
UNREAD = ("base_model_name_or_path", "revision", "peft_version")  # of adapter_config.json
DIGITS = 16
# Twelve digits stand in what was recorded when only the ends of files were read, and nothing behind hub and bundled.
_IDENTITY = re.compile(r"((?:folder|hub|bundled|gguf):.*?)(?::([0-9a-f]{12}|[0-9a-f]{16}))?", re.DOTALL)


def weight_files(folder: Path) -> list[Path]:
    """The files that transformers reads weights from: one, or an index and the files that it names."""
    if (folder / SINGLE).is_file():
        return [folder / SINGLE]
    parts = (read_json(folder / INDEX) or {}).get("weight_map")
    names = sorted({str(name) for name in parts.values()}) if isinstance(parts, dict) else []
    return [folder / name for name in (INDEX, *names)]


def model_content(folder: Path, records: Path | None) -> str:
    """32 hex digits over config.json and the weights. Errors: a file that cannot be read."""
    return read_content("model.path", [folder / "config.json", *weight_files(folder)], records)


def trained_content(folder: Path, records: Path | None) -> str:
    """32 hex digits over what a run has made: an adapter's weights and settings, or a whole model.

    Where the base of an adapter lay, and who wrote its settings, is left out. Errors: a file that cannot be read.
    """
    if not (folder / ADAPTER).is_file():
        return model_content(folder, records)
    settings = read_json(folder / "adapter_config.json") or {}
    kept = {name: value for name, value in settings.items() if name not in UNREAD}
    in_order = {name: sorted(map(str, value)) if isinstance(value, list) else value for name, value in kept.items()}
    return digest(read_content("run", [folder / ADAPTER], records), in_order)


def read_content(key: str, files: Sequence[Path], records: Path | None) -> str:
    """`files_digest`. Errors: a file that cannot be read; `key` names where it was given."""
    with _readable(key):
        return files_digest(files, records)


def bytes_content(key: str, file: Path, records: Path | None) -> str:
    """The file's sha256, 64 hex digits, whatever it is called. Errors: as `read_content`."""
    with _readable(key):
        return file_digest(file, records)


@contextmanager
def _readable(key: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"`{key}`: {error.filename} cannot be read ({error.strerror}). Make it readable, or name another folder."
        ) from None


def name_and_content(identity: str) -> tuple[str, str | None]:
    """The two parts of a base's identity: `folder:<name>`, say, and its content, where that is known."""
    found = _IDENTITY.fullmatch(identity)
    if found is None:
        return identity, None
    return found[1], found[2] if found[2] and len(found[2]) == DIGITS else None


def base_content(identity: str) -> str:
    """What counts of a base's identity: its content alone, where that is known."""
    return name_and_content(identity)[1] or identity


def same_base(recorded: str, found: str) -> bool:
    """Whether both name one base. Of what was recorded before all bytes counted, the name has to do."""
    name, content = name_and_content(recorded)
    old = content is None and not recorded.startswith("random:")
    return name == name_and_content(found)[0] if old else base_content(recorded) == base_content(found)
