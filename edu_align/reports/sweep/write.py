"""A sweep's report.html, report.md and results.csv, and what `report` prints in a terminal."""

from pathlib import Path

from edu_align.reports.html.page import render, write_whole
from edu_align.reports.sweep import findings
from edu_align.reports.sweep.charts import heat_map, key_caption, key_values, learning_curves
from edu_align.reports.sweep.pareto import front
from edu_align.reports.sweep.reading import Sweep, read_sweep
from edu_align.reports.sweep.table import as_csv, number, setting_rows, table
from edu_align.reports.words import in_words
from edu_align.runs.folder import StoredRun, list_runs
from edu_align.utils.tables import Rows, bullets, code_block, markdown, one_line, text

TRUE = (
    "On the front are the jobs that no other one beats in one objective without being worse in another, by the values "
    "alone: intervals that overlap tell no two jobs apart."
)
HERE = Path(__file__).resolve().parent
PAGE_ROWS = 10  # jobs that the page shows at once; all of them are in a list that opens
MARKDOWN_ROWS = 50  # jobs in report.md; the others are in the CSV and on the page
PRINTED_ROWS = 20
LISTED = ("train/loss", "eval/loss", "eval/pair_accuracy_implicit", "eval/pair_accuracy_mean_logp")


def write_report(folder: Path) -> Path:
    """Write the three files for the sweep in `folder` and return report.html; jobs may still be running.

    Errors: `UserError` where `folder` has no readable sweep.json.
    """
    return write_files(read_sweep(folder), folder)


def write_files(sweep: Sweep, folder: Path) -> Path:
    """The three files in `folder`, each replaced whole; returns report.html."""
    write_whole(folder, {"results.csv": as_csv(sweep), "report.md": as_markdown(sweep), "report.html": page(sweep)})
    return folder / "report.html"


def page(sweep: Sweep) -> str:
    """The whole page as HTML. Whatever comes from a config, a run or an error is escaped."""
    columns, rows = table(sweep, sweep.ordered())
    return render(
        HERE,
        title=sweep.name,
        sweep=sweep,
        status=findings.status(sweep),
        best=findings.best(sweep),
        caveats=findings.caveats(sweep),
        columns=columns,
        rows=rows,
        top=PAGE_ROWS,
        setting_rows=setting_rows(sweep),
        front=front(sweep, sweep.pareto),
        headline=findings.headline(sweep),
        objective=in_words(sweep.objective),
        effects=key_values(sweep),
        effects_caption=key_caption(sweep),
        heat=heat_map(sweep),
        curves=learning_curves(sweep),
        front_says=TRUE,
        confidence=findings.confidence(sweep),
        missing=sum(job.run is not None and not job.run.is_dir() for job in sweep.jobs),
        command=findings.sweep_command(sweep),
    )


def as_markdown(sweep: Sweep) -> str:
    """The text of report.md. What comes from outside cannot break the table or become HTML."""
    better = "the larger the better" if sweep.direction == "maximize" else "the smaller the better"
    lines = [f"# {one_line(sweep.name)}", ""]
    lines += [f"{sweep.state}; {findings.status(sweep)}. Objective `{sweep.objective}`, {better}.", ""]
    lines += [*_best(sweep), "", *bullets(findings.caveats(sweep))]
    over_seeds = setting_rows(sweep)
    if over_seeds:
        lines += ["", "## Settings over their seeds", "", *markdown(over_seeds)]
    if found := front(sweep, sweep.pareto):
        table_of = markdown(found.rows) if found.rows else []
        lines += [
            "",
            "## Several objectives",
            "",
            *table_of,
            *([""] if table_of else []),
            *bullets([*found.notes, TRUE]),
        ]
    lines += ["", "## Jobs", "", *markdown(_job_rows(sweep)), "", _below_the_table(sweep)]
    command = findings.sweep_command(sweep)
    if command:
        lines += ["", "The sweep's command; given again, it goes on where it stopped:", "", *code_block(command)]
    return "\n".join(lines) + "\n"


def _job_rows(sweep: Sweep) -> Rows:
    """The head and the first MARKDOWN_ROWS jobs, the best first."""
    columns, rows = table(sweep, sweep.ordered()[:MARKDOWN_ROWS])
    head = [f"{column.name} ({column.note})" if column.note else column.name for column in columns]
    return [head, *([cell.text for cell in row] for row in rows)]


def _best(sweep: Sweep) -> list[str]:
    best = findings.best(sweep)
    if best is None:
        return [f"No job has finished with a finite `{sweep.objective}` yet."]
    lines = ["## Best run", "", f"**{best.value}**: job {best.job.number}, {one_line(best.setting)}"]
    if best.baselines:
        lines += ["", f"Beside it: {one_line(', '.join(best.baselines))}."]
    if best.over_seeds:
        lines += ["", f"Best setting over seeds: {one_line(best.over_seeds)}."]
    if best.chat_command:
        lines += ["", *code_block(best.chat_command)]
    if best.retrain_command:
        lines += ["", "Again from the start:", "", *code_block(best.retrain_command)]
    return lines


def _below_the_table(sweep: Sweep) -> str:
    confidence, left = findings.confidence(sweep), len(sweep.jobs) - MARKDOWN_ROWS
    words = [f"Brackets are {confidence}, within one run."] if confidence else []
    words += [f"{left} more jobs are in results.csv."] if left > 0 else []
    return " ".join([*words, "The pictures are in report.html, every metric in results.csv."])


def print_sweep(sweep: Sweep) -> None:
    """Its state, the first jobs with objective, swept values and time, the best one, and the caveats."""
    jobs = sweep.ordered()
    columns, rows = table(sweep, jobs[:PRINTED_ROWS])
    names = ("job", "state", "seconds", *sweep.keys)
    keep = [at for at, column in enumerate(columns) if column.name in names or at == 2]
    print(f"edu_align: {sweep.name}: {sweep.state}, {findings.status(sweep)}")
    if rows:
        print("\n".join(text([[columns[at].name for at in keep], *([row[at].text for at in keep] for row in rows)])))
    if len(jobs) > PRINTED_ROWS:
        print(f"... and {len(jobs) - PRINTED_ROWS} more jobs in results.csv")
    best = findings.best(sweep)
    if best is not None:
        print(f"edu_align: best by {sweep.objective} ({sweep.direction}): job {best.job.number}, {best.value}")
        if best.chat_command:
            print(f"edu_align: talk to it: {best.chat_command}")
    print_front(sweep)
    for line in findings.caveats(sweep):
        print(f"edu_align: {line}")


def print_front(sweep: Sweep) -> None:
    """The table of several objectives, where there are some."""
    found = front(sweep, sweep.pareto)
    if found is None:
        return
    for line in [*(text(found.rows) if found.rows else []), *(f"edu_align: {note}" for note in found.notes)]:
        print(line)


def print_runs(outputs: Path, last: int) -> None:
    """The newest `last` runs (0: all) of `outputs`, a line each: name, id, state, start, seconds and some metrics."""
    runs = list_runs(outputs)
    if not runs:
        print(f"edu_align: there is no run under {outputs / 'runs'}")
        return
    shown = runs[:last] if last else runs
    print("\n".join(text([["name", "id", "state", "started", "seconds", "metrics"], *map(_run_row, shown)])))
    if len(shown) < len(runs):
        print(f"... and {len(runs) - len(shown)} older runs; last=0 lists them")


def _run_row(run: StoredRun) -> list[str]:
    values = [(name, run.metrics.get(name)) for name in LISTED]
    metrics = [f"{name} {number(value)}" for name, value in values if isinstance(value, int | float)]
    seconds = "-" if run.seconds is None else f"{run.seconds:.0f}"
    return [run.name, run.id or "-", run.state, run.started[:19] or "-", seconds, ", ".join(metrics) or "-"]
