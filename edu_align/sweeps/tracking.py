"""What a sweep leaves besides its folder: its report, its table in W&B, and the group that its jobs are filed under."""

import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from edu_align.config.schema import TrackingConfig
from edu_align.reports.sweep import reading
from edu_align.reports.sweep.table import flat
from edu_align.tracking import GROUP, is_off, start
from edu_align.utils.files import read_json, write_json

KEPT = "wandb.json"  # in the sweep's folder: the id of its W&B run
JOB_TYPE = "sweep"


def write_and_track(folder: Path, config: Any) -> None:
    """Tables and plots of the sweep, in its folder and in W&B. What cannot be written takes nothing from the sweep."""
    from edu_align.reports.sweep.write import print_front, write_report

    try:
        print(f"edu_align: report {write_report(folder)}", flush=True)
        print_front(reading.read_sweep(folder))
        log_sweep(folder, OmegaConf.to_object(config.tracking))  # type: ignore[arg-type]
    except Exception as error:
        print(f"edu_align: no report: {type(error).__name__}: {error}", file=sys.stderr, flush=True)


@contextmanager
def grouped(name: str) -> Iterator[None]:
    """W&B runs that start in the block, in this process or in one that it starts, are filed under the group `name`.

    A group that the user named, by `tracking.group` or WANDB_RUN_GROUP, stays. The config is not touched, so that a run
    in a sweep and the same run alone are the same run.
    """
    before = os.environ.get(GROUP)
    os.environ[GROUP] = before or name
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(GROUP, None)


def log_sweep(folder: Path, config: TrackingConfig) -> None:
    """Put the table of the sweep in `folder` into W&B as one run of the job type `sweep`; nothing with tracking=off.

    The table `sweep/jobs` has the rows and columns of results.csv; the summary counts jobs by state (`jobs/finished`,
    ...) and has `best/objective`, `best/job` and `best/run`. Logged again it continues the same W&B run. Errors:
    those of `tracking.tracking`, and a folder that is no sweep.
    """
    if is_off(config):
        return
    sweep = reading.read_sweep(folder)
    known = (read_json(folder / KEPT) or {}).get("id") or uuid.uuid4().hex[:12]
    write_json(folder / KEPT, {"id": known})
    settings = {
        "sampler": sweep.sampler, "objective": sweep.objective, "direction": sweep.direction, "keys": sweep.keys,
        "command": sweep.command,
    }  # fmt: skip
    with grouped(sweep.name):
        run = start(config, folder, known, settings, JOB_TYPE)
    failed = True
    try:
        import wandb

        names, rows = flat(sweep)
        table: Any = wandb.Table(columns=list(names), data=rows, allow_mixed_types=True)
        run.log({"sweep/jobs": table})
        run.summary.update(_summary(sweep))
        failed = False
    finally:
        run.finish(exit_code=int(failed))


def _summary(sweep: reading.Sweep) -> dict[str, Any]:
    found: dict[str, Any] = {f"jobs/{state}": count for state, count in sweep.counts().items()}
    ranked = sweep.ranked()
    if ranked:
        best = ranked[0]
        found |= {"best/objective": best.objective, "best/job": best.number, "best/run": best.run and best.run.name}
        found |= {f"best/{key}": value for key, value in best.values.items()}
    return found
