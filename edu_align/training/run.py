"""One run, start to finish: find, read, build, measure, train, measure again, always clean up."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, read_write

from edu_align.config.batch import check_batch
from edu_align.config.machine_settings import used
from edu_align.config.metrics import check_objective, comparable
from edu_align.config.schema import Config, GRPOTrainerConfig
from edu_align.data.datamodule import TrainingData, trained_groups, training_data
from edu_align.data.fingerprint import files_read, fingerprints, known_fingerprints
from edu_align.models.content import trained_content
from edu_align.models.locate import Location, is_at_hand, locate
from edu_align.models.sizes import check_length
from edu_align.models.template_choice import check_choice, writes_date
from edu_align.models.tokenizer import (
    check_start_tokenizer,
    known_template,
    tokenizer_identity,
    vocabulary_content,
)
from edu_align.planning.machine import check_offload, machine_of
from edu_align.planning.plan import planned
from edu_align.reports.run_end import outcome
from edu_align.rewards.asked import Sources
from edu_align.rewards.registry import MODELS, identities
from edu_align.runs.attempts import RunRequest, claim_run, find_finished
from edu_align.runs.checkpoints import CheckpointStore
from edu_align.runs.environment import machine
from edu_align.runs.finished import check_start
from edu_align.runs.folder import NO_LISTENER, RunFolder, RunListener, ancestors, list_runs
from edu_align.runs.identity import Identity, settings_of
from edu_align.runs.seal import run_files, seal
from edu_align.runs.start import AdapterFolder, find_start, settled_adapter
from edu_align.tracking import is_off, mode_of
from edu_align.training.trial import check_synced_reference, check_warm_up, dropout_note, margin_note, try_arguments
from edu_align.utils import distributed as processes
from edu_align.utils.errors import Interrupted, RunFailed, UserError
from edu_align.utils.files import disk_errors
from edu_align.utils.hashing import records_in
from edu_align.utils.logs import LOG, Log, kept
from edu_align.utils.memory import free, prepare
from edu_align.utils.output import quiet
from edu_align.utils.secrets import redacted

DAY = "template date"
START = "weights of init_from"
TEXT = (
    "tokenizer",
    "chat template",
    START,
    DAY,
    *(f"reward {name}" for name in MODELS),
)  # of a run's id, beside its config


def run(composed: DictConfig, listener: RunListener = NO_LISTENER) -> RunFolder | None:
    """Train what `composed` describes and return the finished run; None where `preview` only showed the data.

    A run that is finished is returned as it is, one that was cut off goes on. What the user can mend (a missing model,
    data or earlier run, another process at work on this one) fails before anything is made. Under `torchrun` or
    `accelerate launch` every process calls this, and gets the same run.
    """
    config: Config = OmegaConf.to_object(composed)  # type: ignore[assignment]
    check_settings(config)
    processes.join(config.hardware.device)
    try:
        with processes.silence_other_ranks(), disk_errors(Path(config.outputs_root)), kept() as log:
            return _run(config, composed, listener, log)
    finally:
        free()


def check_ahead(composed: DictConfig) -> None:
    """What `composed` would fail with for its settings, its size or its data, raised now: for a chain's later stages.

    Of several processes the first one reads the data.
    """
    config: Config = OmegaConf.to_object(composed)  # type: ignore[assignment]
    check_settings(config)
    if processes.is_first() and not config.preview:
        planned(config)
        training_data(config, set())


def check_settings(config: Config) -> None:
    """Errors: settings that no data and no model could save."""
    check_batch(config)
    check_choice(config.model)
    check_length(config)
    check_offload(config, machine_of(config).device)
    if config.objective is not None:
        check_objective(config.objective)
    if not is_off(config.tracking):
        mode_of(config.tracking)
    try_arguments(config)


def _run(config: Config, composed: DictConfig, listener: RunListener, log: Log) -> RunFolder | None:
    outputs = Path(config.outputs_root)
    start = find_start(config)
    config, composed = _settled(config, composed, start)
    known = None if config.preview else processes.first(lambda: known_fingerprints(config))
    maybe_finished = known is not None and is_at_hand(config.model)  # then a look for the run is cheaper than a plan
    if not config.preview and not maybe_finished:
        config = planned(config)
    # Files that were never read are read before weights, which may have to be downloaded.
    first = _data(config, start) if known is None else None
    location = processes.first_then_others(lambda: locate(config.model, outputs, config.seed))
    if start is not None and not isinstance(start, AdapterFolder):
        check_start(config, start, location)
    if known is not None and (done := _found(_launch(config, known, location, start), listener)):
        return done
    if maybe_finished:
        config = planned(config)
    data = first or _data(config, start)
    read = processes.first(lambda: fingerprints(config, data))
    launch = _launch(config, read, location, start)
    if read != known and not config.preview and (done := _found(launch, listener)):
        return done
    config, composed = launch.config, _dated(composed, launch.config)
    print(data.describe(), flush=True)
    quiet(weights_bar=True)

    from edu_align.cache.run_cache import RunCache
    from edu_align.models.base_model import shared_tokenizer, weights_of
    from edu_align.models.chat_template import control_token_warning
    from edu_align.models.device import check_optimizer, resolve
    from edu_align.models.reward import check_head
    from edu_align.models.sharding import check_sharding
    from edu_align.models.targets import check_targets, check_tensors
    from edu_align.training.best import check_choice
    from edu_align.training.rows import make_rows, measurable

    device = resolve(config)
    check_offload(config, device.device)
    prepare(device.device, quantized=device.quantization != "none")
    check_optimizer(config.hardware)
    check_sharding(config, device)
    if not config.trainer.writes:
        check_head(config.model, location)
    carrying = check_targets(config.model, location, config.adapter)
    for line in filter(None, (carrying, dropout_note(config), margin_note(config))):
        print(line, flush=True)
    if isinstance(start, AdapterFolder):
        check_tensors(f"init_from={config.init_from}", config.model, location, start.path)
    tokenizer = shared_tokenizer(config.model, location)
    if start is not None:
        check_start_tokenizer(f"init_from={config.init_from}", start.path, tokenizer)
    if line := control_token_warning(tokenizer, (record for part in data.loaded.splits.values() for record in part)):
        print(line, flush=True)
    cache = RunCache(config, weights_of(config, location, start.path if start else None), device)
    rows = make_rows(config, tokenizer, data, cache)
    check_synced_reference(config, rows[0].examples)
    check_warm_up(config, rows[0].examples)
    check_choice(config, data, rows)
    print("".join(f"{note}\n" for note in rows[0].notes), end="", flush=True)
    if config.preview > 0:
        from edu_align.training.rows import preview

        print(preview(tokenizer, rows[0], config.preview))
        return None
    data = measurable(tokenizer, data)
    for reason in device.reasons:
        print(f"edu_align: {reason}", flush=True)

    from edu_align.planning.plan import with_memory_advice
    from edu_align.training.session import Session

    files = files_read(config)  # by all processes: a source may wait for the others where it looks for its files

    def facts() -> dict[str, Any]:
        known_text = {"tokenizer": vocabulary_content(tokenizer), **_text_facts(launch.identity)}
        of_data = {**data.facts(), "train_examples": rows[0].examples, "files": files}
        return _facts(config, location, start, of_data) | known_text

    with claim_run(launch, composed, facts) as work:
        listener.run_started(work.folder)
        if work.begun:
            if processes.is_first():
                log.into(work.folder.path / LOG)
            processes.first(lambda: data.write_split(work.folder.path))
            with recorded(work.folder), with_memory_advice(config):
                Session(config, location, start, device, tokenizer, data, rows, cache, work, listener).train()
            CheckpointStore(work.folder).remove()  # only now: a run that dies before it is `finished` goes on from them
    return work.folder


def _data(config: Config, start: RunFolder | None) -> TrainingData:
    return processes.first_then_others(lambda: training_data(config, trained_groups(ancestors(start))))


def newest_attempt(composed: DictConfig) -> RunFolder | None:
    """The run that `composed` would return or go on with, found without reading data or weights anew; None where there
    is none, or its data was never read here. Errors: settings that no data could save, a name that is another run's.
    """
    config: Config = OmegaConf.to_object(composed)  # type: ignore[assignment]
    check_settings(config)
    start = find_start(config)
    config, composed = _settled(config, composed, start)
    known = known_fingerprints(config)
    if known is None or not is_at_hand(config.model):
        return None
    location = locate(config.model, Path(config.outputs_root), config.seed)
    return _launch(config, known, location, start).newest()


def _found(request: RunRequest, listener: RunListener) -> RunFolder | None:
    done = find_finished(request)
    if done is not None:
        print("\n".join(outcome(done)), flush=True)
        listener.run_started(done)
    return done


def _launch(config: Config, read: dict[str, str], location: Location, start: RunFolder | None) -> RunRequest:
    records = records_in(config.outputs_root)
    settings = settings_of(asdict(config)) | tokenizer_identity(config.model, location, records)
    if start is not None:
        settings[START] = trained_content(start.weights, records)[:12]
    settings |= _rewards(config)
    identity = Identity(settings, read, location.identity, _parent(start))
    outputs = Path(config.outputs_root)
    if writes_date(known_template(config.model, location) or ""):
        day = config.model.template_date or processes.first(lambda: _first_day(outputs, identity.id, config.force))
        config = replace(config, model=replace(config.model, template_date=day))
        identity = replace(identity, settings={**settings, DAY: day})
    return RunRequest(config, identity, outputs / "runs")


def _rewards(config: Config) -> dict[str, Any]:
    """What the models are that give rewards to `trainer=grpo`. Errors: one is not there."""
    if not isinstance(config.trainer, GRPOTrainerConfig) or not set(config.trainer.weights) & set(MODELS):
        return {}
    return identities(config.trainer.weights, Sources(config, config.trainer.reward_run))


def _first_day(outputs: Path, undated: str, force: bool) -> str:
    """The day that the newest run with these settings writes, so that the same command finds it; else today."""
    days = (run.record["template_date"] for run in list_runs(outputs) if run.record.get("undated_id") == undated)
    return date.today().isoformat() if force else next(days, date.today().isoformat())


def _text_facts(identity: Identity) -> dict[str, Any]:
    """What run.json keeps of an identity beside the config: of files, and the template's date."""
    text = {name: identity.settings[name] for name in TEXT if name in identity.settings}
    if DAY not in text:
        return {"text": text} if text else {}
    settings = {key: value for key, value in identity.settings.items() if key != DAY}
    return {"text": text, "template_date": text[DAY], "undated_id": replace(identity, settings=settings).id}


def _dated(composed: DictConfig, config: Config) -> DictConfig:
    """The composed config with the day that the run's template writes, as it is stored."""
    dated = OmegaConf.create(composed)
    with read_write(dated):
        dated.model.template_date = config.model.template_date
    return dated


def _settled(config: Config, composed: DictConfig, start: RunFolder | None) -> tuple[Config, DictConfig]:
    """Both with the keys of `adapter` that the adapter in `init_from` has, where no run says them."""
    settled = settled_adapter(config, start)
    if settled is config:
        return config, composed
    changed = OmegaConf.create(composed)
    with read_write(changed):
        for name, value in asdict(settled.adapter).items():
            changed.adapter[name] = value
    return settled, changed


def _parent(start: RunFolder | None) -> str | None:
    """The id of the run that this one starts from; of one made before there were ids, its folder and its start."""
    if start is None:
        return None
    return str(start.record.get("id") or f"{start.path.resolve().name} {start.record.get('started')}")


def _facts(config: Config, location: Location, start: RunFolder | None, data: dict[str, Any]) -> dict[str, Any]:
    """What run.json says of a run besides its id, its state and the code that makes it."""
    return {
        "model": config.model.name,
        "base_model": location.identity,
        "adapter": config.adapter.name,
        "trainer": config.trainer.algorithm,
        "dataset": config.dataset.name,
        "seed": config.seed,
        "init_from": str(start.path) if start else None,
        "data": data,
        "machine": machine(),
        **({"machine_settings": taken} if (taken := used()) else {}),
        "processes": processes.count(),
        "metrics": {},
    }


@contextmanager
def recorded(folder: RunFolder) -> Iterator[None]:
    """Keep run.json's `state` true, whatever ends the block. `seconds` adds those of the attempts before."""
    began = time.monotonic() - sum(attempt.get("seconds", 0.0) for attempt in folder.record.get("attempts", []))
    try:
        yield
    except BaseException as error:
        stopped = isinstance(error, KeyboardInterrupt | SystemExit)
        facts = error.facts if isinstance(error, RunFailed) else {}
        told = redacted(f"{type(error).__name__}: {error}")
        with suppress(OSError):
            _ended(folder, began, state="interrupted" if stopped else "failed", error=told, **facts)
        if isinstance(error, Interrupted):
            print(f"edu_align: {error}; the same command goes on with {folder.path}", flush=True)
            error.said = True
        raise
    _ended(folder, began, state="finished", files=seal(folder.path, run_files(folder.path)) if folder.writes else {})
    print(
        "\n".join([f"edu_align: finished in {folder.record['seconds']} s: {folder.path}", *outcome(folder)]), flush=True
    )


def _ended(folder: RunFolder, began: float, **changes: Any) -> None:
    """Errors: OSError where the disk refuses, after saying that the next attempt will find one that was killed."""
    try:
        folder.save(**changes, seconds=round(time.monotonic() - began, 1))
    except OSError as refused:
        print(f"edu_align: {folder.path / 'run.json'} still says running ({refused})", flush=True)
        raise


def usual_objective(folder: RunFolder, name: str | None) -> float | None:
    """What sweepers read where the user named no metric: `name`, which the sweep compares by, or what compares runs of
    this trainer. None where this run has not measured it.
    """
    metrics: dict[str, Any] = folder.record["metrics"]
    names = [name] if name is not None else comparable([folder.record["trainer"]])
    return next((float(metrics[each]) for each in names if each in metrics), None)


def objective(name: str, folder: RunFolder) -> float:
    """The metric that sweepers read. Errors: a name that this run has not measured."""
    metrics: dict[str, Any] = folder.record["metrics"]
    if name not in metrics:
        raise UserError(
            f"`objective={name}` is no metric of this run ({folder.path}, finished). It has: "
            f"{', '.join(sorted(metrics))}."
        )
    return float(metrics[name])
