"""Learning curves of a sweep's jobs over each other."""

from edu_align.evaluation.plots import COLOURS, GREY
from edu_align.reporting.curves import Line
from edu_align.reporting.curves import draw as draw_lines
from edu_align.reporting.files import history
from edu_align.sweeps.reporting.jobs import Job, Sweep
from edu_align.sweeps.reporting.table import as_text

NAMED = len(COLOURS)  # best jobs that get a colour
MOST = 36  # curves in one picture, the named ones included


def draw(sweep: Sweep) -> tuple[str, str] | None:
    """The picture and its caption; None where no job has logged anything yet."""
    jobs = [job for job in sweep.ordered() if job.run is not None][:MOST]
    text = draw_lines([_line(job, place) for place, job in enumerate(jobs)])
    return (text, _caption(sweep, jobs)) if text else None


def _line(job: Job, place: int) -> Line:
    named = place < NAMED
    return Line(
        name=f"{job.number}: {setting(job)}",
        tip=f"job {job.number} ({job.state}): {setting(job)}",
        rows=history(job.run),
        colour=COLOURS[place] if named else GREY,
        named=named,
        dashed=job.state not in ("finished", "pruned"),
    )


def setting(job: Job) -> str:
    """`beta=0.1, learning_rate=0.0002`: the swept values, each key by its last part."""
    return ", ".join(f"{key.rpartition('.')[2]}={as_text(value)}" for key, value in job.values.items())


def _caption(sweep: Sweep, jobs: list[Job]) -> str:
    runs = sum(job.run is not None for job in sweep.jobs)
    ranked = sum(job.ranked for job in jobs[:NAMED])
    named = f"The {ranked} best by {sweep.objective} are in colour" if ranked else "The first ones are in colour"
    left = f"; {runs - len(jobs)} of {runs} runs are left out" if runs > len(jobs) else ""
    return (
        f"{named}, others grey, unfinished ones dashed{left}. The vertical range is that of the coloured curves: grey "
        "ones may leave it."
    )
