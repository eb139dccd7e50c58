"""Runs that were started one by one, seen as a sweep: what their configs differ in is what was swept."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edu_align.config.sweeping import direction_of
from edu_align.runs.folder import StoredRun
from edu_align.sweeps.reporting.jobs import Job, Sweep
from edu_align.sweeps.reporting.reading import as_number, with_run

BOOKKEEPING = ("run_name", "outputs_root", "tracking", "sweep", "force", "preview", "hydra", "objective")
DEFAULT_OBJECTIVE = "train/loss"


def compare(runs: Sequence[StoredRun], folder: Path) -> Sweep:
    """The runs as jobs numbered from 1, in the order given; the report is meant for `folder`.

    The objective is the one that all configs name, else train/loss. A run without config.yaml has no values.
    """
    configs = [_flat(_config(run.path)) for run in runs]
    every = list(dict.fromkeys(key for config in configs for key in config))
    keys = [
        key
        for key in every
        if key.split(".")[0] not in BOOKKEEPING and len({str(config.get(key)) for config in configs if config}) > 1
    ]
    named = {str(config["objective"]) for config in configs if "objective" in config}
    objective = named.pop() if len(named) == 1 else DEFAULT_OBJECTIVE
    jobs = []
    for number, (run, config) in enumerate(zip(runs, configs, strict=True), start=1):
        values = {key: as_number(config[key]) for key in keys if key in config}
        jobs.append(with_run(Job(number, [], values, run.state), run.path, objective))
    return Sweep(
        name=f"{len(runs)} runs" if len(runs) > 1 else runs[0].name,
        folder=folder,
        keys=keys,
        jobs=jobs,
        objective=objective,
        direction=direction_of(objective),
        state="running" if any(job.state == "running" for job in jobs) else "finished",
        started=min((run.started for run in runs if run.started), default=""),
        total=len(jobs),
    )


def _config(run: Path) -> dict[str, Any]:
    import yaml

    try:
        text = (run / "config.yaml").read_text(encoding="utf-8")
        found = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (OSError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}


def _flat(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """`{"trainer.beta": 0.1, ...}`; lists and empty mappings are values."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, dict) and value:
            found.update(_flat(value, f"{prefix}{key}."))
        else:
            found[f"{prefix}{key}"] = value
    return found
