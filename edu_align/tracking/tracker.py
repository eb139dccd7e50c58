"""Weights & Biases beside the run folder: the same numbers, online with a key, offline without one."""

import netrc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edu_align.config.schema import TrackingConfig

SAMPLE_COLUMNS: list[str | int] = ["prompt", "reply", "reference_reply"]


class Tracker:
    """Sends metrics and sample tables to one W&B run; with tracking=off there is none and nothing is sent."""

    def __init__(self, run: Any | None) -> None:
        self.run = run

    def log(self, metrics: dict[str, float], step: int | None = None) -> None:
        if self.run is not None:
            self.run.log({**metrics, **({} if step is None else {"trainer/step": step})})

    def samples(self, name: str, rows: list[dict[str, Any]]) -> None:
        """A W&B Table `samples/<name>` of prompts, replies and reference replies."""
        if self.run is not None:
            import wandb

            table = wandb.Table(columns=SAMPLE_COLUMNS)
            for row in rows:
                prompt = "\n".join(f"{turn['role']}: {turn['content']}" for turn in row["prompt"])
                table.add_data(prompt, row["reply"], row["reference_reply"])
            self.run.log({f"samples/{name}": table})

    def artifact(self, name: str, folder: Path) -> None:
        """The files of `folder` as a W&B artifact of type `model`."""
        if self.run is not None:
            import wandb

            artifact = wandb.Artifact(name, type="model")
            artifact.add_dir(str(folder))
            self.run.log_artifact(artifact)

    def summary(self, values: dict[str, Any]) -> None:
        if self.run is not None:
            self.run.summary.update(values)


def has_key() -> bool:
    """Whether a W&B API key is at hand, in the environment or in the netrc file that `wandb login` writes."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        return netrc.netrc().authenticators("api.wandb.ai") is not None
    except (OSError, netrc.NetrcParseError):
        return False


@contextmanager
def tracking(config: TrackingConfig, folder: Path, settings: dict[str, Any]) -> Iterator[Tracker]:
    """A tracker for one run, always finished at the end, so that the next job of a multirun gets its own."""
    if config.name == "off":
        yield Tracker(None)
        return
    import wandb

    mode = config.mode if config.mode != "auto" else ("online" if has_key() else "offline")
    if config.mode == "auto" and mode == "offline":
        print(
            f"edu_align: no W&B key, so tracking is offline; `wandb sync {folder / 'wandb'}/offline-run-*` uploads it"
        )
    run = wandb.init(
        project=config.project,
        entity=config.entity,
        group=config.group,
        tags=list(config.tags),
        name=folder.name,
        dir=str(folder),
        mode=mode,  # type: ignore[arg-type]
        config=settings,
        settings=wandb.Settings(silent=True, save_code=False, disable_git=True, console="off"),
    )
    run.define_metric("*", step_metric="trainer/step")
    failed = True
    try:
        yield Tracker(run)
        failed = False
    finally:
        run.finish(exit_code=int(failed))
