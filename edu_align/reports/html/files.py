"""Reading and writing the files of a report, and naming folders in the commands that it gives."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edu_align.utils.files import write_text
from edu_align.utils.jsonl import read_rows


def json_lines(run: Path | None, name: str = "metrics.jsonl") -> list[dict[str, Any]]:
    """The rows of a run's .jsonl file, but those that are not whole yet; empty where there are none."""
    try:
        return read_rows(run / name, skip_damaged=True) if run else []
    except OSError:
        return []


def write_whole(folder: Path, texts: Mapping[str, str]) -> None:
    """Each text in the file of its name, replaced whole, so that no reader sees half of one."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        write_text(folder / name, text)


def shown_path(folder: Path) -> str:
    """`folder` from the current folder where it lies below, else whole."""
    resolved = folder.resolve()
    return str(resolved.relative_to(Path.cwd())) if resolved.is_relative_to(Path.cwd()) else str(resolved)
