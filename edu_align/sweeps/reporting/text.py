"""report.md: the page's words and its table, for a terminal, a repository or a chat."""

from html import escape

from edu_align.evaluation.tables import markdown
from edu_align.sweeps.reporting import commands, findings
from edu_align.sweeps.reporting.jobs import Sweep
from edu_align.sweeps.reporting.table import Column, setting_rows, table

MOST_ROWS = 50  # jobs in the Markdown table; the others are in the CSV and on the page


def as_markdown(sweep: Sweep) -> str:
    """The text of report.md. What comes from outside cannot break the table or become HTML."""
    better = "the larger the better" if sweep.direction == "maximize" else "the smaller the better"
    lines = [
        f"# {_safe(sweep.name)}",
        "",
        f"{sweep.state}; {findings.status(sweep)}. Objective `{sweep.objective}`, {better}.",
    ]
    lines += ["", *_best(sweep), ""]
    lines += [f"- {_safe(line)}" for line in findings.cautions(sweep)]
    over_seeds = setting_rows(sweep)
    if over_seeds:
        lines += [
            "",
            "## Settings over their seeds",
            "",
            *markdown([[_safe(text) for text in row] for row in over_seeds]),
        ]
    lines += ["", "## Jobs", "", *markdown(job_rows(sweep)), "", *_below(sweep)]
    command = commands.whole(sweep)
    if command:
        lines += ["", "The sweep's command; given again, it goes on where it stopped:", "", *_code(command)]
    return "\n".join(lines) + "\n"


def job_rows(sweep: Sweep) -> list[list[str]]:
    """The head and the first MOST_ROWS jobs, the best first."""
    columns, rows = table(sweep, sweep.ordered()[:MOST_ROWS])
    return [[_safe(_head(column)) for column in columns], *([_safe(cell.text) for cell in row] for row in rows)]


def _best(sweep: Sweep) -> list[str]:
    best = findings.best(sweep)
    if best is None:
        return [f"No job has finished with a finite `{sweep.objective}` yet."]
    lines = ["## Best run", "", f"**{best.value}**: job {best.job.number}, {_safe(best.setting)}"]
    if best.beside:
        lines += ["", f"Beside it: {_safe(', '.join(best.beside))}."]
    if best.over_seeds:
        lines += ["", f"Best setting over seeds: {_safe(best.over_seeds)}."]
    if best.chat:
        lines += ["", *_code(best.chat)]
    return [*lines, "", "Again from the start:", "", *_code(best.again)] if best.again else lines


def _below(sweep: Sweep) -> list[str]:
    spread = findings.confidence(sweep)
    words = [f"Brackets are {spread}, within one run."] if spread else []
    left = len(sweep.jobs) - MOST_ROWS
    words += [f"{left} more jobs are in results.csv."] if left > 0 else []
    return [" ".join([*words, "The pictures are in report.html, every metric in results.csv."])]


def _head(column: Column) -> str:
    return f"{column.name} ({column.note})" if column.note else column.name


def _code(line: str) -> list[str]:
    return ["```", " ".join(line.split()), "```"]


def _safe(text: str) -> str:
    """In one line, with HTML's signs escaped."""
    return escape(" ".join(text.split()), quote=False)
