"""One run, start to finish: find, read, build, measure, train, measure again, always clean up."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from edu_align import processes
from edu_align.config.schema import Config
from edu_align.data.training import TrainingData, trained_groups, training_data
from edu_align.errors import UserError
from edu_align.models.locate import Location, locate
from edu_align.planning.plan import refuse_too_big
from edu_align.runs.folder import RunFolder, ancestors, find_run
from edu_align.sweeps.job import note_run
from edu_align.tracking.key import mode_of
from edu_align.trainers.arguments import check_batch


def run(composed: DictConfig) -> RunFolder | None:
    """Train what `composed` describes and return the finished run; None where `preview` only showed the data.

    What the user can mend (a missing model, data or earlier run) fails before the run's folder exists. Under `torchrun`
    or `accelerate launch` every process calls this, and gets the same run.
    """
    config: Config = OmegaConf.to_object(composed)  # type: ignore[assignment]
    check_batch(config)
    if config.tracking.name == "wandb":
        mode_of(config.tracking)
    processes.join(config.hardware.device)
    with processes.one_voice():
        return _run(config, composed)


def _run(config: Config, composed: DictConfig) -> RunFolder | None:
    if not config.preview:
        refuse_too_big(config)
    outputs = Path(config.outputs_root)
    start = find_run("init_from", config.init_from, outputs) if config.init_from is not None else None
    location = processes.first_then_others(lambda: locate(config.model, outputs, config.seed))
    if start is not None:
        _check_start(config, start, location)
    data = processes.first_then_others(lambda: training_data(config, trained_groups(ancestors(start))))
    print(data.describe(), flush=True)

    from edu_align.models.device import check_optimizer, resolve
    from edu_align.models.sharding import check_sharding
    from edu_align.models.tokenizer import load_tokenizer
    from edu_align.models.weights import check_targets

    device = resolve(config.hardware)
    check_optimizer(config.hardware)
    check_sharding(config, device)
    check_targets(config.model, location, config.adapter)
    tokenizer = load_tokenizer(config.model, location.folder)
    if config.preview > 0:
        from edu_align.data.preview import preview

        print(preview(config, tokenizer, data))
        return None
    for reason in device.reasons:
        print(f"edu_align: {reason}", flush=True)

    from edu_align.session import Session

    made = processes.first(lambda: _new_folder(config, composed, location, start, data))
    folder = RunFolder(made.path, made.record, writes=processes.is_first())
    note_run(folder)
    with recorded(folder):
        Session(config, location, start, device, tokenizer, data, folder).train()
    return folder


def _check_start(config: Config, start: RunFolder, location: Location) -> None:
    base = start.record["base_model"]
    if base != location.identity:
        raise UserError(
            f"`init_from={config.init_from}`: that run was trained on {base}, and this one loads {location.identity}. "
            f"An adapter only fits its own base: choose the same model (that run used model={start.record['model']})."
        )
    if start.record["adapter"] != config.adapter.name:
        raise UserError(
            f"`init_from={config.init_from}`: that run trained adapter={start.record['adapter']}, got adapter="
            f"{config.adapter.name}. Use adapter={start.record['adapter']}."
        )


def _new_folder(
    config: Config, composed: DictConfig, location: Location, start: RunFolder | None, data: TrainingData
) -> RunFolder:
    from edu_align.runs.facts import git_state, machine, package_versions

    record = {
        "model": config.model.name,
        "base_model": location.identity,
        "adapter": config.adapter.name,
        "trainer": config.trainer.algorithm,
        "dataset": config.dataset.name,
        "seed": config.seed,
        "init_from": str(start.path) if start else None,
        "data": data.facts(),
        "versions": package_versions(),
        "git": git_state(),
        "machine": machine(),
        "processes": processes.count(),
        "metrics": {},
    }
    name = f"{config.trainer.algorithm}-{config.dataset.name}-{config.model.name}"
    folder = RunFolder.create(Path(config.outputs_root), config.run_name, name, record)
    OmegaConf.save(composed, folder.path / "config.yaml", resolve=True)
    data.write_split(folder.path)
    print(f"edu_align: run folder {folder.path}", flush=True)
    return folder


@contextmanager
def recorded(folder: RunFolder) -> Iterator[None]:
    """Keep run.json's `state` true, whatever ends the block."""
    began = time.monotonic()
    try:
        yield
    except BaseException as error:
        stopped = isinstance(error, KeyboardInterrupt | SystemExit)
        folder.save(
            state="interrupted" if stopped else "failed",
            error=f"{type(error).__name__}: {error}",
            seconds=round(time.monotonic() - began, 1),
        )
        raise
    folder.save(state="finished", seconds=round(time.monotonic() - began, 1))
    print(f"edu_align: finished in {folder.record['seconds']} s: {folder.path}", flush=True)


def objective(name: str, folder: RunFolder) -> float:
    """The metric that sweepers read. Errors: a name that this run has not measured."""
    metrics: dict[str, Any] = folder.record["metrics"]
    if name not in metrics:
        raise UserError(
            f"`objective={name}` is no metric of this run ({folder.path}, finished). It has: "
            f"{', '.join(sorted(metrics))}."
        )
    return float(metrics[name])
