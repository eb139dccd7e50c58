"""report.html: one page that asks nothing of a network, in light and dark, on a phone too."""

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from edu_align.sweeps.reporting import commands, findings
from edu_align.sweeps.reporting.charts import charts
from edu_align.sweeps.reporting.jobs import Sweep
from edu_align.sweeps.reporting.table import setting_rows, table

if TYPE_CHECKING:
    from jinja2 import Template

HERE = Path(__file__).resolve().parent
TOP = 10  # rows that are shown at once; all of them are in a list that opens


def page(sweep: Sweep) -> str:
    """The whole page as HTML. Whatever comes from a config, a run or an error is escaped."""
    script = (HERE / "page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    columns, rows = table(sweep, sweep.ordered())
    return _template().render(
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
        css=(HERE / "page.css").read_text(encoding="utf-8"),
        script=script,
        script_hash=f"sha256-{digest}",
    )


@cache
def _template() -> "Template":
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=False)
    return environment.from_string((HERE / "page.html").read_text(encoding="utf-8"))
