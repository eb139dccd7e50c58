"""Weights & Biases beside the run folder: the same numbers, online with a key, offline without one."""

import netrc
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from edu_align.config.schema import TrackingConfig
from edu_align.evaluation.samples import COLUMNS, Row, table_rows
from edu_align.runs.folder import RunFolder
from edu_align.utils.errors import UserError, first_line

HOME = "https://api.wandb.ai"
GROUP = "WANDB_RUN_GROUP"  # W&B reads it once a process, and a process may run jobs of several sweeps


class Tracker:
    """Sends metrics, sample tables and the adapter to one W&B run; with tracking=off there is none, nothing is sent."""

    def __init__(self, run: Any | None) -> None:
        self.run = run

    def log(self, metrics: dict[str, float], step: int | None = None) -> None:
        if self.run is not None:
            self.run.log({**metrics, **({} if step is None else {"trainer/step": step})})

    def samples(self, name: str, rows: list[Row]) -> None:
        """A W&B Table `samples/<name>` with the columns of `evaluation.samples`.

        A table that was logged cannot grow, so a growing one is logged whole each time: W&B shows the last, and keeps
        the earlier ones in the run's history.
        """
        if self.run is not None:
            import wandb

            table = wandb.Table(columns=COLUMNS, data=table_rows(rows))
            self.run.log({f"samples/{name}": table, "trainer/step": max(row["step"] for row in rows)})

    def artifact(self, folder: Path, facts: dict[str, Any]) -> None:
        """The files of `folder` (`<run>/adapter` or `<run>/model`) as a W&B artifact of type `model`."""
        if self.run is not None:
            import wandb

            name = re.sub(r"[^A-Za-z0-9._-]", "-", f"{folder.parent.name}-{folder.name}")
            artifact = wandb.Artifact(name[:128], type="model", metadata=facts)
            artifact.add_dir(str(folder), policy="immutable")  # no second copy in W&B's cache
            self.run.log_artifact(artifact)

    def summary(self, values: dict[str, Any]) -> None:
        if self.run is not None:
            self.run.summary.update(values)


@contextmanager
def tracking(config: TrackingConfig, folder: RunFolder, settings: dict[str, Any]) -> Iterator[Tracker]:
    """A tracker for one run, always finished at the end, so that the next job of a multirun gets its own.

    The W&B run's id is kept in run.json, so that a run that is resumed continues it. Errors: no key although
    `tracking.mode=online`, and a server that does not answer.
    """
    if is_off(config):
        yield Tracker(None)
        return
    known = folder.record.get("wandb_id") or uuid.uuid4().hex[:12]
    folder.save(wandb_id=known)
    run = start(config, folder.path, known, settings)
    run.define_metric("*", step_metric="trainer/step")
    failed = True
    try:
        yield Tracker(run)
        failed = False
    finally:
        run.finish(exit_code=int(failed))


def start(
    config: TrackingConfig, folder: Path, run_id: str, settings: dict[str, Any], job_type: str | None = None
) -> Any:
    """Start, or continue, the W&B run `run_id`, named after `folder` and kept in it.

    Errors: no key although `tracking.mode=online`, and a server that does not answer.
    """
    import wandb

    mode = mode_of(config)
    if config.mode == "auto" and mode == "offline":
        place = folder / "wandb"
        print(
            f"edu_align: tracking is offline (no W&B key, or WANDB_MODE says so); "
            f"`wandb sync {place}/offline-run-*` uploads it",
            flush=True,
        )
    try:
        return wandb.init(
            project=config.project,
            entity=config.entity,
            group=config.group or os.environ.get(GROUP),
            tags=list(config.tags),
            name=folder.name,
            id=run_id,
            job_type=job_type,
            resume="allow",
            dir=str(folder.absolute()),  # W&B writes in a process that may have begun in another directory
            reinit="create_new",  # runs that train at once each have their own
            mode=mode,  # type: ignore[arg-type]
            config=settings,
            settings=wandb.Settings(silent=True, save_code=False, disable_git=True, console="off"),
        )
    except wandb.errors.Error as error:
        raise UserError(
            f"`tracking.mode={config.mode}`: W&B could not start the run ({first_line(error)}). Check the "
            "network and the key, or use tracking.mode=offline and upload it later with `wandb sync`."
        ) from error


def has_key() -> bool:
    """Whether a W&B API key is at hand, in the environment or in the netrc file that `wandb login` writes."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL") or HOME).hostname or ""
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def is_off(config: TrackingConfig) -> bool:
    """Whether nothing goes to W&B: with tracking=off, and where W&B's own variables turn it off."""
    disabled = os.environ.get("WANDB_DISABLED", "").lower() in ("true", "1", "yes", "on", "t", "y")
    return config.name == "off" or disabled or os.environ.get("WANDB_MODE", "").lower() == "disabled"


def mode_of(config: TrackingConfig) -> str:
    """`online` or `offline`: as the config asks, else online with a key. Errors: online without one, no such mode."""
    mode = os.environ.get("WANDB_MODE") or "online"
    if mode not in (known := ("online", "run", "shared", "offline", "dryrun", "disabled")):
        raise UserError(
            f"`WANDB_MODE={mode}` in the environment must be one of {', '.join(known)}. `unset WANDB_MODE`."
        )
    if config.mode == "online" and not has_key():
        raise UserError(
            "`tracking.mode=online` needs a W&B API key, and there is none. Run `wandb login`, set WANDB_API_KEY, or "
            "use tracking.mode=offline (`wandb sync` uploads it later)."
        )
    if config.mode != "auto":
        return config.mode
    wanted = mode in ("online", "run", "shared")
    return "online" if wanted and has_key() else "offline"
