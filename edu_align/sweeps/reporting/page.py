"""report.html: one page that asks nothing of a network, in light and dark, on a phone too."""

from pathlib import Path

from edu_align.reporting.page import render
from edu_align.sweeps.reporting import commands, findings
from edu_align.sweeps.reporting.charts import charts
from edu_align.sweeps.reporting.jobs import Sweep
from edu_align.sweeps.reporting.table import setting_rows, table

HERE = Path(__file__).resolve().parent
TOP = 10  # rows that are shown at once; all of them are in a list that opens


def page(sweep: Sweep) -> str:
    """The whole page as HTML. Whatever comes from a config, a run or an error is escaped."""
    columns, rows = table(sweep, sweep.ordered())
    return render(
        HERE / "page.html",
        HERE / "page.css",
        HERE / "page.js",
        sweep=sweep,
        status=findings.status(sweep),
        best=findings.best(sweep),
        cautions=findings.cautions(sweep),
        columns=columns,
        rows=rows,
        top=TOP,
        setting_rows=setting_rows(sweep),
        charts=charts(sweep),
        confidence=findings.confidence(sweep),
        gone=len(findings.gone(sweep)),
        command=commands.whole(sweep),
    )
