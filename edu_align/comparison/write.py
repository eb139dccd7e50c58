"""report.html and report.md of a comparison in one folder."""

from pathlib import Path

from edu_align.comparison.limits import limits
from edu_align.comparison.models import Comparison
from edu_align.comparison.page import page
from edu_align.comparison.pictures import pictures
from edu_align.comparison.samples import samples
from edu_align.comparison.text import as_markdown
from edu_align.reporting.files import write_whole


def write_comparison(comparison: Comparison, folder: Path, command: str) -> tuple[Path, list[str]]:
    """Write both files; returns report.html and the sentences of its limits. `command` writes the report again."""
    shown = samples(comparison.models)
    bounds = limits(comparison, shown)
    drawn = pictures(comparison)
    texts = {
        "report.html": page(comparison, drawn, shown, bounds, command),
        "report.md": as_markdown(comparison, drawn, shown, bounds, command),
    }
    write_whole(folder, texts)
    return folder / "report.html", bounds
