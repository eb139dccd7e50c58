"""A sweep's results in its folder: results.csv, report.md and report.html, at any time of the sweep."""

from pathlib import Path

from edu_align.reporting.files import write_whole
from edu_align.sweeps.reporting.jobs import Sweep
from edu_align.sweeps.reporting.page import page
from edu_align.sweeps.reporting.reading import read_sweep
from edu_align.sweeps.reporting.table import as_csv
from edu_align.sweeps.reporting.text import as_markdown


def write_report(folder: Path) -> Path:
    """Write the three files for the sweep in `folder` and return report.html; jobs may still be running.

    Errors: `UserError` where `folder` has no readable sweep.json.
    """
    return write_files(read_sweep(folder), folder)


def write_files(sweep: Sweep, folder: Path) -> Path:
    """The three files in `folder`, each replaced whole, so that no reader sees half of one; returns report.html."""
    write_whole(folder, {"results.csv": as_csv(sweep), "report.md": as_markdown(sweep), "report.html": page(sweep)})
    return folder / "report.html"
