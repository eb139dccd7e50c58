"""What `report` prints: a sweep in a few lines, or the list of all runs."""

from pathlib import Path

from edu_align.evaluation.tables import text
from edu_align.runs.folder import StoredRun, list_runs
from edu_align.sweeps.reporting import findings
from edu_align.sweeps.reporting.jobs import Sweep
from edu_align.sweeps.reporting.table import number, table

MOST_ROWS = 20  # jobs that are printed; the files have all of them
LISTED = ("train/loss", "eval/loss", "eval/pair_accuracy_implicit", "eval/pair_accuracy_mean_logp")


def print_sweep(sweep: Sweep) -> None:
    """Its state, the first jobs with objective, swept values and time, the best one, and the cautions."""
    jobs = sweep.ordered()
    columns, rows = table(sweep, jobs[:MOST_ROWS])
    keep = [
        at for at, column in enumerate(columns) if column.name in ("job", "state", "seconds", *sweep.keys) or at == 2
    ]
    names = [columns[at].name for at in keep]
    print(f"edu_align: {sweep.name}: {sweep.state}, {findings.status(sweep)}")
    if rows:
        print("\n".join(text([names, *([row[at].text for at in keep] for row in rows)])))
    if len(jobs) > MOST_ROWS:
        print(f"... and {len(jobs) - MOST_ROWS} more jobs in results.csv")
    best = findings.best(sweep)
    if best is not None:
        print(f"edu_align: best by {sweep.objective} ({sweep.direction}): job {best.job.number}, {best.value}")
        if best.chat:
            print(f"edu_align: talk to it: {best.chat}")
    for line in findings.cautions(sweep):
        print(f"edu_align: {line}")


def print_runs(outputs: Path, last: int) -> None:
    """The newest `last` runs (0: all) of `outputs`, a line each: name, id, state, start, seconds and some metrics."""
    runs = list_runs(outputs)
    if not runs:
        print(f"edu_align: there is no run under {outputs / 'runs'}")
        return
    shown = runs[:last] if last else runs
    rows = [["name", "id", "state", "started", "seconds", "metrics"], *map(_line, shown)]
    print("\n".join(text(rows)))
    if len(shown) < len(runs):
        print(f"... and {len(runs) - len(shown)} older runs; last=0 lists them")


def _line(run: StoredRun) -> list[str]:
    metrics = [
        f"{name} {number(run.metrics[name])}" for name in LISTED if isinstance(run.metrics.get(name), int | float)
    ]
    seconds = "-" if run.seconds is None else f"{run.seconds:.0f}"
    return [run.name, run.id or "-", run.state, run.started[:19] or "-", seconds, ", ".join(metrics) or "-"]
