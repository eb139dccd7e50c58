"""Pages that ask nothing of a network: one HTML file with its style, script and pictures inside."""

import base64
import hashlib
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


HERE = Path(__file__).resolve().parent


def render(folder: Path, **values: Any) -> str:
    """The page that `folder`/page.html (Jinja, extends base.html) makes of `values`, each escaped unless marked `safe`.

    The style is page.css here, then `folder`'s. Where `folder` has a page.js, the Content-Security-Policy lets that
    script and no other run. `title` is one of the values.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader([folder, HERE])
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    script = "".join(path.read_text(encoding="utf-8") for path in folder.glob("page.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    css = "\n".join((each / "page.css").read_text(encoding="utf-8") for each in (HERE, folder))
    page = environment.get_template("page.html")
    return page.render(css=css, script=script, script_hash=f"sha256-{digest}", **values)
