"""The heavy part of a run: model, trainer and measurements, once everything light has been checked."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import datasets
from transformers import PrinterCallback

from edu_align.cache.run_cache import RunCache, adapter_content
from edu_align.config.batch import token_budget
from edu_align.config.schema import BEST, Config, RewardTrainerConfig
from edu_align.data.datamodule import TrainingData
from edu_align.evaluation.held_out import (
    HeldOut,
    Measurement,
    cached_measurement,
    held_out,
    measure,
    measure_base,
    sample,
    summarise,
    values,
)
from edu_align.evaluation.samples import Row, with_metrics
from edu_align.evaluation.suite.handover import hand_over
from edu_align.evaluation.suite.subject import Weights
from edu_align.models.base_model import build_model
from edu_align.models.device import Device
from edu_align.models.locate import Location, published, tensors_only
from edu_align.models.reply_end import end_tokens
from edu_align.models.reward import build_reward_model
from edu_align.models.sharding import is_sharded, release_gathered_weights
from edu_align.models.speed import Speed, watched
from edu_align.models.trainable import save_weights, try_saving
from edu_align.models.weights import trainable_in_float32
from edu_align.packing.budget import count_first_batch
from edu_align.packing.decoder import install_packing, is_packed
from edu_align.reports.model_card import Background, model_card, use_of_run
from edu_align.reports.reward_card import use_of_reward_run
from edu_align.runs.attempts import ActiveRun
from edu_align.runs.checkpoints import CheckpointStore
from edu_align.runs.environment import peak_memory_gib
from edu_align.runs.folder import RunFolder, RunListener, ancestors, records
from edu_align.runs.start import AdapterFolder
from edu_align.tracking import Tracker, tracking
from edu_align.training.best import BestStep
from edu_align.training.callbacks import Averaging, Recorder, Sampler
from edu_align.training.checkpointing import checkpoint_by
from edu_align.training.deterministic import sums_in_order
from edu_align.training.dpo import build_dpo
from edu_align.training.grpo import build_grpo
from edu_align.training.kto import build_kto
from edu_align.training.resume import CheckpointState, Resume
from edu_align.training.reward import build_reward
from edu_align.training.rows import Rows
from edu_align.training.sft import build_sft
from edu_align.training.trl_dataset import remove_rows
from edu_align.utils.distributed import count, first, is_first, total, wait
from edu_align.utils.files import write_json, write_text

METHODS: dict[str, Callable[..., Any]] = {
    "sft": build_sft,
    "dpo": build_dpo,
    "kto": build_kto,
    "reward": build_reward,
    "grpo": build_grpo,
}  # by `trainer.algorithm`
COUNTED_AHEAD = 2000  # examples that the line on packing before training counts
FEWEST_SAMPLES = 100  # of the bootstrap, whose intervals nobody reads on the way
SHORT_MEASURING = 10  # seconds of measuring that need no word


class Session:
    """One training run on one device. `train` does all of it; the parts are its steps in their order."""

    def __init__(
        self,
        config: Config,
        location: Location,
        start: RunFolder | None,
        device: Device,
        tokenizer: Any,
        data: TrainingData,
        rows: tuple[Rows, Rows],
        cache: RunCache,
        work: ActiveRun,
        listener: RunListener,
    ) -> None:
        self.config = config
        self.device = device
        self.tokenizer = tokenizer
        self.data = data
        self.rows = rows
        self.folder = work.folder
        self.work = work
        self.listener = listener
        self.progress = CheckpointStore(work.folder)
        self.location = location
        self.start = start
        self.results: dict[str, Any] = {}
        self.during: list[Row] = []
        self.speed = Speed()  # of measuring
        datasets.disable_progress_bars()
        self.cache = cache
        self.model = model_to_train(config, location, device, start.path if start else None, cache.origins)
        self.sharing = install_packing(
            config.hardware.packing, self.model, config.hardware.packing_backend, config.trainer.max_length
        )

    def train(self) -> None:
        """Measure, train, save, measure again; the results lie in the run's folder as soon as they are there.

        What an earlier attempt measured and trained is not done again. With several processes the first one measures
        and saves, and all of them train.
        """
        try_saving(self.model, self.tokenizer)
        self._card()
        held = held_out(self.config, self.data) if self.config.evaluation.enabled else None
        kept, checkpoint = first(self.progress.resume)
        self.during = [row for row in self.folder.rows("samples.jsonl") if row["when"].startswith("step_")]
        with self._tracked() as tracker:
            base, before = self._measured_so_far(kept, held, tracker)
            trained = self._fit(tracker, held, checkpoint)
            self._save_model(tracker)
            self.folder.save(metrics=trained)
            step = int((self.folder.record.get("choice") or {}).get("kept_step", trained["train/steps"]))
            after = self._measure("after", step, held, tracker)
            self._hand_over(lambda: Weights(self.config, self.folder.path), held, after)
            self._evaluation(held, base, before, after)
            if line := measuring_line(self.speed.seconds, trained["train/runtime"]):
                print(line, flush=True)
            tracker.summary(self.folder.record["metrics"])
        if is_first():
            for place in (self.folder.path, self._saved):
                write_text(place / "README.md", self._card())
        self.folder.record = first(lambda: self.folder.record)

    def _tracked(self) -> AbstractContextManager[Tracker]:
        if not is_first():
            return nullcontext(Tracker(None))
        return tracking(self.config.tracking, self.folder, asdict(self.config))

    def _measured_so_far(
        self, kept: dict[str, Any] | None, held: HeldOut | None, tracker: Tracker
    ) -> tuple[Measurement | None, Measurement | None]:
        """The base model, where the run goes on from another one's, and the model that training begins from."""
        if kept and "before" in kept:
            return kept["base"] and Measurement.of(kept["base"]), Measurement.of(kept["before"])
        base = self._measure_base(held)
        before = self._measure("before", 0, held, tracker)
        if before is not None:
            self.progress.keep_before({"base": base and asdict(base), "before": asdict(before)})
        self._hand_over(lambda: Weights(self.config), held, base)
        self._hand_over(self._start_weights, held, before)
        return base, before

    def _measure(self, when: str, step: int, held: HeldOut | None, tracker: Tracker) -> Measurement | None:
        """What the model says now, in the first process; the others wait for it, or help where weights are sharded."""
        measured = None
        if held is not None and self._computes():
            print(f"edu_align: measuring {when} training", flush=True)
            with watched(self.speed):
                measured = self._measured(when, held)
            release_gathered_weights(self.model)
            rows = self._keep_samples(when, step, measured.samples)
            if rows:
                tracker.samples(when, rows)
        wait()
        return measured

    def _measure_base(self, held: HeldOut | None) -> Measurement | None:
        """The base model on the same items, where training goes on from another run's model; without samples."""
        measured = None
        scored = not self.config.trainer.writes  # then what it starts from has no head that says anything
        if held is not None and self.start is not None and not scored and self._computes():
            print("edu_align: measuring the base model", flush=True)
            asked = replace(held, samples=[])
            with watched(self.speed):
                measured = measure_base(
                    self.config, self.location, self.device, self.model, self.tokenizer, self.cache, asked
                )
        wait()
        return measured

    def _measured(self, when: str, held: HeldOut) -> Measurement:
        """Before training it is the same for all runs that begin from this model, and measured once."""
        if when == "before":
            return cached_measurement(self.cache, self.model, self.tokenizer, held)
        return measure(self.config, self.model, self.tokenizer, held)

    def _hand_over(
        self, weights: Callable[[], Weights | None], held: HeldOut | None, measured: Measurement | None
    ) -> None:
        """Spare the suite what was measured just now, of an adapter: a full model is trained in another number format
        than it is loaded in.
        """
        adapts = self.config.adapter.name == "lora" and self.config.trainer.writes
        if held is None or measured is None or not adapts or not self.cache.on or is_sharded(self.model):
            return
        found = weights()
        if found is not None:
            hand_over(found, self.tokenizer, held, measured)

    def _start_weights(self) -> Weights | None:
        """What training begins from, as the suite loads it; None for a new adapter that adds something already."""
        if isinstance(self.start, AdapterFolder):
            return Weights(self.config, adapter=self.start.path)
        if self.start is not None:
            return Weights(self.config, self.start.path)
        return Weights(self.config) if adapter_content(self.model) is None else None

    def _computes(self) -> bool:
        """Whether this process takes part where one could do it alone: with sharded weights no one can."""
        return is_first() or is_sharded(self.model)

    def _keep_samples(self, when: str, step: int, samples: list[Row]) -> list[Row]:
        rows = [with_metrics({"when": when, "step": step, **row}) for row in samples]
        for row in rows:
            self.folder.append("samples.jsonl", row)
        return rows

    def _look(self, step: int, held: HeldOut, tracker: Tracker) -> None:
        """Answer the sample prompts in the middle of training, and leave the model as it was."""
        rows = sample(self.config, self.model, self.tokenizer, held.samples)
        release_gathered_weights(self.model)
        self.model.train()
        self.during += self._keep_samples(f"step_{step}", step, rows)
        if self.during:
            tracker.samples("during", self.during)

    def _fit(self, tracker: Tracker, held: HeldOut | None, checkpoint: Path | None) -> dict[str, float]:
        config, (train, valid) = self.config, self.rows
        self.tokenizer.padding_side = "right"
        trainer = METHODS[config.trainer.algorithm](
            config, self.model, self.tokenizer, train, valid, self.device, self.folder.path, self.cache
        )
        self.cache.report(self.folder)
        trainer.remove_callback(PrinterCallback)  # TRL prints every metric of every step; the recorder keeps them
        self.model = trainer.model
        release_gathered_weights(self.model)  # TRL may have measured the reference model
        trainable_in_float32(self.model)
        checkpoint_by(self.model, config.hardware.gradient_checkpointing)
        trainer.passes.kept_in(self.folder)
        trainer.token_counts = self.sharing
        trainer.lora_plus_ratio = config.adapter.lora_plus_ratio
        trainer.checkpoint_state = CheckpointState(
            self.progress, config.trainer.save_total_limit, self.sharing, checkpoint
        )
        if config.trainer.average_last:
            trainer.averaging = Averaging(trainer, config.trainer.average_last)
            trainer.add_callback(trainer.averaging)
        if config.trainer.keep == BEST or config.trainer.patience is not None:
            trainer.best = BestStep(trainer, config.trainer)
            trainer.add_callback(trainer.best)
            trainer.measured = self._choosing_numbers() if self.data.choosing else None
        if is_first():
            trainer.add_callback(Recorder(self.folder, tracker, self.listener))
        every = config.evaluation.samples_steps
        if self._computes() and held is not None and every is not None:
            trainer.add_callback(Sampler(every, lambda step: self._look(step, held, tracker)))
        trainer.add_callback(Resume(trainer, self.work))  # last: what the others keep of a step belongs to it
        if is_packed(self.model):
            print(packing_summary(config, trainer), flush=True)
        if checkpoint is not None:
            print(f"edu_align: going on from {checkpoint}", flush=True)
        with self.work.stop.at_step_ends(), sums_in_order(self.device.device):
            metrics = trained_metrics(trainer)
        trainer.measured = None  # run.json has our numbers of `evaluation.split`
        metrics |= validation_metrics(trainer)
        if trainer.best is not None:
            self.folder.save(choice=trainer.best.choice.facts(int(metrics["train/steps"])))
        remove_rows(self.folder.path)
        return metrics

    def _choosing_numbers(self) -> Callable[[], dict[str, float]]:
        """Our metrics of the validation part, which `trainer.keep_metric` names one of, under their names."""
        assert self.data.choosing is not None
        few = replace(self.config.evaluation, samples=0, bootstrap_samples=FEWEST_SAMPLES)
        config = replace(self.config, evaluation=few)
        held = held_out(config, self.data.choosing)

        def numbers() -> dict[str, float]:
            found: dict[str, float] = {}
            if self._computes():
                result = summarise(config, held, measure(config, self.model, self.tokenizer, held))
                found = {name.removeprefix("eval/"): value for name, value in values(result, "eval").items()}
                release_gathered_weights(self.model)
            return first(lambda: found)

        return numbers

    def _save_model(self, tracker: Tracker) -> None:
        if not self._computes():
            return
        saved, groups = self._saved, self.data.groups_trained_on()
        save_weights(self.model, self.tokenizer, saved, groups, published(self.location), self._card())
        if self.config.tracking.artifact and is_first():
            tracker.artifact(saved, {"base_model": self.folder.record["base_model"], "seed": self.config.seed})

    @property
    def _saved(self) -> Path:
        return self.folder.path / ("adapter" if self.config.adapter.name == "lora" else "model")

    def _card(self) -> str:
        """The model card, with what has been measured by now."""
        name = self.folder.path.name
        called = name if "," not in name else str(self.folder.record["id"])  # runs=a,b names two
        if isinstance(self.config.trainer, RewardTrainerConfig):
            use = use_of_reward_run(self.config, self.location, called)
        else:
            use = use_of_run(self.config, self.location, called, end_tokens(self.model, self.tokenizer))
        background = Background(self.location.folder, records(ancestors(self.start)), self.results, use)
        return model_card(self.config, self.folder.record, background)

    def _evaluation(
        self, held: HeldOut | None, base: Measurement | None, before: Measurement | None, after: Measurement | None
    ) -> None:
        if held is None or before is None or after is None:
            return
        results = {"base": summarise(self.config, held, base)} if base else {}
        results["before"] = summarise(self.config, held, before, None, base)
        results["after"] = summarise(self.config, held, after, before, base)
        self.results = results
        write_json(self.folder.path / "evaluation.json", results)
        metrics = {**self.folder.record["metrics"]}
        for when, result in results.items():
            metrics |= values(result, "eval" if when == "after" else when)
        self.folder.save(metrics=metrics, measuring=self.speed.summary())


def model_to_train(
    config: Config, location: Location, device: Device, start: Path | None, origins: dict[str, str]
) -> Any:
    """The model that training begins from, with the head that the method trains."""
    if isinstance(config.trainer, RewardTrainerConfig):
        return build_reward_model(config, location, device, start, config.trainer.pooling, origins)
    return build_model(config, location, device, start, origins)


def measuring_line(measuring: float, training: float) -> str:
    """What shortens the measuring of a run that measures for longer than it trains, in seconds; "" for the others."""
    if measuring <= max(training, SHORT_MEASURING):
        return ""
    return (
        f"edu_align: measuring took {measuring:.0f} s beside {training:.0f} s of training; evaluation.max_groups=100 "
        "measures on at most 100 groups and conversations, evaluation.enabled=false on none"
    )


def packing_summary(config: Config, trainer: Any) -> str:
    """What packing is about to save, in one line: counted over the first training examples, in their order."""
    rows = trainer.train_dataset.select(range(min(COUNTED_AHEAD, len(trainer.train_dataset))))
    if "prompt_ids" in rows.column_names and "chosen_ids" not in rows.column_names:
        return "edu_align: packing: a dialogue is computed once for all replies to it, which are written step by step"
    if "chosen_ids" in rows.column_names:
        examples = [
            [row["prompt_ids"] + row["chosen_ids"], row["rejected_prompt_ids"] + row["rejected_ids"]] for row in rows
        ]
    elif "completion_ids" in rows.column_names:
        examples = [[row["prompt_ids"] + row["completion_ids"]] for row in rows]
    else:
        examples = [[ids] for ids in rows["input_ids"]]
    asked, computed = count_first_batch(examples, config.trainer.batch_size, token_budget(config))
    many = "all" if len(rows) == len(trainer.train_dataset) else "the first"
    return (
        f"edu_align: packing: {many} {len(rows)} examples ask for {asked} tokens, {computed} are computed "
        f"({asked / computed:.1f} times fewer)"
    )


def trained_metrics(trainer: Any) -> dict[str, float]:
    """Train, or go on from the checkpoint that `trainer.checkpoint_state` names, and return `train/*`.

    Times and tokens are those of all attempts. `train/tokens_per_second` counts the real tokens of all processes
    (before shared prefixes are computed once); `train/peak_memory_gib` is that of this process.
    """
    kept = trainer.checkpoint_state
    kept.begin()
    with tensors_only(kept.resumed_from):
        result = trainer.train(resume_from_checkpoint=str(kept.resumed_from) if kept.resumed_from else None)
    spent = kept.so_far()
    metrics = {f"train/{key.removeprefix('train_')}": value for key, value in result.metrics.items()}
    # transformers averages over the processes only what it has logged; the steps after that are this process's own.
    metrics["train/loss"] = total(metrics["train/loss"]) / count()
    metrics |= {"train/steps": trainer.state.global_step, "train/peak_memory_gib": peak_memory_gib()}
    asked, computed = int(total(spent["asked"])), int(total(spent["computed"]))
    if computed:
        metrics |= {"train/tokens_per_second": asked / spent["seconds"], "train/shared_prefix_ratio": asked / computed}
    return metrics


def validation_metrics(trainer: Any) -> dict[str, float]:
    """The loss on the validation examples as `eval/*`; empty where there are none."""
    found = trainer.evaluate() if trainer.eval_dataset is not None else {}
    return {f"eval/{key.removeprefix('eval_')}": value for key, value in found.items()}
