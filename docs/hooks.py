"""What MkDocs is told beyond mkdocs.yml: pages that lie outside docs/, and no network.

A link means the file that it names in the repository. It leads to that file's page; where the file has none, its words
stay and the link goes. A link to nothing is left for MkDocs, whose strict build then fails.
"""

import os
import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
OUTSIDE = (
    "experiments/README.md", "experiments/*/README.md", "RELIABILITY.md", "ARCHITECTURE.md", "outputs/README.md",
    "edu_align/tutoring/DATA_CARD.md",
)  # fmt: skip
_LINK = re.compile(r"(?<!!)\[([^\]\n]*)\]\(([^)#\s]+)(#[^)\s]*)?\)")
_LOADED = re.compile(
    r"""<(?:script|img|iframe)[^>]+src=["']?https?://|<link[^>]+href=["']?https?://[^>]*stylesheet|class=["']?mermaid"""
)


def outside() -> list[str]:
    """The pages that lie elsewhere in the repository, relative to it."""
    return sorted(path.relative_to(ROOT).as_posix() for pattern in OUTSIDE for path in ROOT.glob(pattern))


def on_files(files: Files, config: Any) -> Files:
    for path in outside():
        files.append(File.generated(config, path, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    here = page.file.src_uri
    source = ROOT / here if here in outside() else DOCS / here

    def relinked(found: re.Match[str]) -> str:
        words, target, anchor = found[1], found[2], found[3] or ""
        if re.match(r"\w+:", target):
            return found[0]
        meant = Path(os.path.normpath(source.parent / target))
        page_of = _src_uri(meant)
        if page_of is not None:
            return f"[{words}]({os.path.relpath(page_of, Path(here).parent).replace(os.sep, '/')}{anchor})"
        return words if meant.exists() else found[0]

    return _LINK.sub(relinked, markdown)


def _src_uri(path: Path) -> str | None:
    """MkDocs' name of the page that a file of the repository becomes; None where it becomes none."""
    if DOCS in path.parents and path.suffix == ".md" and path.is_file():
        return path.relative_to(DOCS).as_posix()
    inside = path.relative_to(ROOT).as_posix() if ROOT in path.parents else ""
    return inside if inside in outside() else None


def on_post_page(output: str, page: Any, **_: Any) -> str:
    if _LOADED.search(output):
        raise PluginError(f"{page.file.src_uri} would load something from the network.")
    return output
