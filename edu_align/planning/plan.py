"""A plan: memory by part against the budget, the disk, the work, the time, and what to change if it does not fit."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from edu_align.config.rules import sharding
from edu_align.config.schema import (
    CHECKPOINTING,
    GRADED_LOSSES,
    REFERENCED,
    AdapterConfig,
    Architecture,
    Config,
    GRPOTrainerConfig,
    TrainerConfig,
)
from edu_align.models.language_model import SAID
from edu_align.models.sizes import check_length, is_part, sizes_of
from edu_align.planning.duration import GB, describe_disk, seconds
from edu_align.planning.machine import Machine, check_offload, machine_of
from edu_align.planning.memory import Parts, memory_parts, shares
from edu_align.planning.packed import unpacked_reason
from edu_align.planning.parameters import count_parameters
from edu_align.planning.workload import Rows, Work, read_rows, work_of
from edu_align.utils.errors import UserError
from edu_align.utils.memory import OutOfMemory, free_memory, is_out_of_memory, release_traceback

WORTH = 0.05 * GB  # smaller savings are not worth a word


@dataclass(frozen=True)
class Change:
    """One override, what it saves in bytes, and whether the run fits with it."""

    override: str
    saves: float
    fits: bool


@dataclass(frozen=True)
class Plan:
    """`parts` is empty where the model's sizes are not known, which `unknown` gives the reason for.

    `together`: overrides that fit together where no single one does; empty where none do. `left_out`: bytes of second
    copies of adapted weights that would not fit, so that none are kept (`hardware.adapted_copies=auto`).
    """

    config: Config
    machine: Machine
    work: Work
    parts: Parts
    changes: tuple[Change, ...]
    together: tuple[str, ...]
    unknown: str = ""
    left_out: float = 0.0

    @property
    def peak(self) -> float:
        return sum(self.parts.values())

    @property
    def fits(self) -> bool:
        return self.machine.budget is None or self.peak <= self.machine.budget

    def describe(self) -> str:
        takes = [] if self.unknown else [*self._memory(), *describe_disk(self.config)]
        return "\n".join([*self._head(), *takes, *self._work(), *self._advice()])

    def _head(self) -> Iterator[str]:
        config, machine = self.config, self.machine
        yield (
            f"edu_align: plan for trainer={config.trainer.algorithm} model={config.model.name} "
            f"dataset={config.dataset.name} hardware={config.hardware.name}"
        )
        quantized = f", quantization {config.hardware.quantization}" if config.hardware.quantization != "none" else ""
        if self.unknown:
            yield f"model      its sizes are not known: {self.unknown}"
            yield "memory     not known, nor is the disk that it takes: it is not checked whether the run fits"
            return
        counts = count_parameters(config.model.architecture, config.adapter)
        trained = f"{counts.trained:,} trained ({config.adapter.name})"
        yield f"model      {counts.every:,} parameters, {trained}, {machine.dtype}{quantized}"
        if is_part(config.model.architecture):
            yield f"           {SAID}"

    def _memory(self) -> Iterator[str]:
        spread = shares(self.config)
        yield "memory     GB (2^30 bytes), largest moment of one process" + (
            f" of {spread} that share the weights" if spread > 1 else ""
        )
        for name, size in self.parts.items():
            yield f"  {name:<19}{size / GB:8.2f}"
        if self.left_out:
            yield f"  ({self.left_out / GB:.2f} more would keep a copy of all adapted weights: left out)"
        total = f"  {'in all':<19}{self.peak / GB:8.2f}"
        if self.machine.budget is None:
            yield f"{total}  (no budget known: set hardware.memory_gb)"
        else:
            verdict = "fits" if self.fits else "DOES NOT FIT"
            yield f"{total}  of {self.machine.budget / GB:.2f} ({self.machine.source}): {verdict}"
        if self.machine.device == "cuda":
            yield "  (the formula was checked against measured peaks on a CPU only)"

    def _work(self) -> Iterator[str]:
        work, trainer = self.work, self.config.trainer
        noun = noun_of(trainer)
        many = f"{work.examples:,} {noun}" if work.examples is not None else f"unknown number of {noun}"
        steps = f"{work.steps:,} steps" if work.steps is not None else "unknown number of steps"
        yield f"work       {many}, {steps} of {trainer.batch_size}; largest forward pass {work.tokens:,} tokens"
        if work.total_tokens is not None:
            yield f"           about {work.total_tokens:,} tokens computed in training"
        yield f"           {work.source}"
        if not self.unknown and (reason := unpacked_reason(self.config)):
            yield f"           not packed: {reason}"
        found = None if self.unknown else seconds(self.config, self.machine, work)
        if self.unknown:
            yield "time       not known"
        elif found is None:
            yield "time       unknown: set trainer.max_steps, or bring the data here (data_root)"
        else:
            yield f"time       about {_format_duration(found[0])} of training, from {found[1]}"
        if isinstance(trainer, GRPOTrainerConfig):
            yield "           and what writing the replies takes, token after token: not known"

    def _advice(self) -> Iterator[str]:
        if self.fits:
            return
        for change in self.changes:
            yield f"  {change.override} saves {change.saves / GB:.1f} GB" + (": then it fits" if change.fits else "")
        if self.together:
            yield f"  together these fit: {' '.join(self.together)}"
        elif not any(change.fits for change in self.changes):
            yield "  nothing of this makes it fit: choose a smaller model or a larger device"


def noun_of(trainer: TrainerConfig) -> str:
    """What a training example is called."""
    if getattr(trainer, "reward_loss", "") in GRADED_LOSSES:
        return "graded replies"
    if isinstance(trainer, GRPOTrainerConfig):
        return "dialogues"
    return {"preferences": "pairs", "labels": "labelled replies"}.get(trainer.reads, "conversations")


def make_plan(config: Config) -> Plan:
    """The plan of one run. Errors: a model's folder that is not there, rows longer than its input, unusable data."""
    check_length(config)
    config, unknown = _with_sizes(config)
    machine = machine_of(config)
    check_offload(config, machine.device)
    rows = read_rows(config)
    if unknown:
        return Plan(config, machine, work_of(config, rows, False), {}, (), (), unknown)
    parts, work, left_out = _estimate(config, machine, rows)
    plan = Plan(config, machine, work, parts, (), (), left_out=left_out)
    if plan.fits:
        return plan
    budget = machine.budget or 0
    changes: list[Change] = []
    together: list[str] = []
    best, left = config, plan.peak
    for override, changed in alternatives(config):
        size = _peak(changed, rows)
        if plan.peak - size >= WORTH:
            changes.append(Change(override, plan.peak - size, size <= budget))
    changes.sort(key=lambda change: -change.saves)
    if not any(change.fits for change in changes):
        for change in changes:
            best = next((made for name, made in alternatives(best) if name == change.override), best)
            now = _peak(best, rows)
            if now < left - WORTH:
                together, left = [*together, change.override], now
            if left <= budget:
                break
        together = together if left <= budget else []
    return replace(plan, changes=tuple(changes), together=tuple(together))


def _with_sizes(config: Config) -> tuple[Config, str]:
    """The config with the sizes of the model that it loads, and why they are not known where that is so."""
    sizes, why = sizes_of(config.model)
    return replace(config, model=replace(config.model, architecture=sizes or Architecture())), "" if sizes else why


def savings(config: Config) -> list[tuple[str, float]]:
    """Every override that may lower the peak, and the bytes that it saves (0 where too few to name), most first."""
    config, unknown = _with_sizes(config)
    if unknown:
        return [(override, 0.0) for override, _ in alternatives(config)]
    rows = read_rows(config)
    now = _peak(config, rows)
    found = [(override, now - _peak(changed, rows)) for override, changed in alternatives(config)]
    return sorted(((name, size if size >= WORTH else 0.0) for name, size in found), key=lambda pair: -pair[1])


def planned(config: Config) -> Config:
    """The config with what the plan decides: whether copies of adapted weights are kept (`hardware.adapted_copies`).

    Errors: the planned peak exceeds the budget, unless `hardware.memory_check=false`.
    """
    if not config.hardware.memory_check:
        return config
    plan = make_plan(config)
    if not plan.fits:
        raise UserError(
            f"this run is planned to take {plan.peak / GB:.1f} GB and may take "
            f"{(plan.machine.budget or 0) / GB:.1f} GB ({plan.machine.source}). Change what the plan names, or set "
            f"hardware.memory_check=false to try it.\n{plan.describe()}"
        )
    if config.hardware.adapted_copies != "auto" or plan.unknown:
        return config
    return _with(config, adapted_copies="off" if plan.left_out else "on")


def _estimate(config: Config, machine: Machine, rows: Rows) -> tuple[Parts, Work, float]:
    """Memory by part, the work, and the bytes that were left out so that it fits, or nearly."""
    work = work_of(config, rows, packed=unpacked_reason(config) is None)
    parts = memory_parts(config, machine, work)
    peak = sum(parts.values())
    if config.hardware.adapted_copies != "auto" or machine.budget is None or peak <= machine.budget:
        return parts, work, 0.0
    less = memory_parts(_with(config, adapted_copies="off"), machine, work)
    return less, work, peak - sum(less.values())


def _peak(config: Config, rows: Rows) -> float:
    return sum(_estimate(config, machine_of(config), rows)[0].values())


def _format_duration(time: float) -> str:
    if time < 120:
        return f"{time:.0f} s"
    return f"{time / 60:.0f} min" if time < 7200 else f"{time / 3600:.1f} h"


LORA = AdapterConfig("lora", 32, 64, 0.0, ["all-linear"])


def alternatives(config: Config) -> Iterator[tuple[str, Config]]:
    """Overrides that may lower the peak, each with the config that it makes."""
    hardware, trainer = config.hardware, config.trainer
    sharded, full = hardware.sharding == "fsdp", config.adapter.name == "full"
    if hardware.per_device_batch_size > 1 and trainer.batch_size > 1:
        yield "hardware.per_device_batch_size=1", _with(config, per_device_batch_size=1)
    for mode in CHECKPOINTING[CHECKPOINTING.index(hardware.gradient_checkpointing) + 1 :]:
        if mode != "offload" or hardware.device == "cuda":
            yield f"hardware.gradient_checkpointing={mode}", _with(config, gradient_checkpointing=mode)
    if hardware.adapted_copies != "off" and hardware.device != "cuda" and not full and _narrow_on_cpu(config):
        yield "hardware.adapted_copies=off", _with(config, adapted_copies="off")
    if full:
        yield "adapter=lora", replace(config, adapter=LORA)
    elif hardware.quantization == "none":
        yield "hardware.quantization=nf4", _with(config, quantization="nf4")
    if not sharded and _shardable(config):
        yield "hardware.sharding=fsdp", _with(config, sharding="fsdp")
    if "8bit" not in hardware.optimizer and hardware.device != "cpu" and not (full and sharded):
        yield "hardware.optimizer=paged_adamw_8bit", _with(config, optimizer="paged_adamw_8bit")
    if trainer.max_length > 128:
        shorter = replace(trainer, max_length=trainer.max_length // 2)
        yield f"trainer.max_length={shorter.max_length}", replace(config, trainer=shorter)
    if isinstance(trainer, REFERENCED) and not trainer.precompute_reference and full:
        yield "trainer.precompute_reference=true", replace(config, trainer=replace(trainer, precompute_reference=True))


def _narrow_on_cpu(config: Config) -> bool:
    machine = machine_of(config)
    return machine.device == "cpu" and machine.dtype != "float32"


def _shardable(config: Config) -> bool:
    values = {f"hardware.{key}": value for key, value in vars(config.hardware).items()} | {"hardware.sharding": "fsdp"}
    values |= {"adapter.name": config.adapter.name}
    values |= {f"trainer.{key}": value for key, value in vars(config.trainer).items()}
    return not list(sharding(values))


def _with(config: Config, **keys: object) -> Config:
    return replace(config, hardware=replace(config.hardware, **keys))  # type: ignore[arg-type]


def memory_advice(config: Config) -> str:
    """What may be changed so that a run takes less memory, in the order of what the plan says it saves."""
    try:
        saved = savings(config)
    except UserError:  # a model whose shape is not in the config
        saved = [(name, 0.0) for name, _ in alternatives(config)]
    found = [f"{name} (saves about {size / 2**30:.1f} GB)" if size else name for name, size in saved]
    return f"Change one of: {', '.join([*found, 'hardware=<preset of a larger device>', 'model=<a smaller one>'])}."


@contextmanager
def with_memory_advice(config: Config) -> Iterator[None]:
    """An error of memory in the block that nothing smaller could mend, as `OutOfMemory` with the advice."""
    try:
        yield
        return
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        reason = release_traceback(error)
    free_memory()
    raise OutOfMemory(
        f"out of memory, and not in a pass that could be made smaller: model, optimizer and what training keeps do "
        f"not fit ({reason}). {memory_advice(config)}"
    )
