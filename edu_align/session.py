"""The heavy part of a run: model, trainer and measurements, once everything light has been checked."""

import logging
import time
import warnings
from typing import Any

from transformers import PrinterCallback

from edu_align.config.schema import Config
from edu_align.data.training import TrainingData
from edu_align.evaluation.held_out import HeldOut, Measured, held_out, measure, sample, summarise, values
from edu_align.models.build import build_model
from edu_align.models.device import Device
from edu_align.models.locate import Location
from edu_align.packing.decoder import install_packing
from edu_align.runs.card import model_card
from edu_align.runs.facts import peak_memory_gib
from edu_align.runs.folder import RunFolder, write_json
from edu_align.tracking.tracker import Tracker, tracking
from edu_align.trainers.build import BUILDERS
from edu_align.trainers.callback import Recorder, Sampler


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
        folder: RunFolder,
    ) -> None:
        self.config = config
        self.device = device
        self.tokenizer = tokenizer
        self.data = data
        self.folder = folder
        quiet()
        self.model = build_model(config, location, device, start.path if start else None)
        self.sharing = install_packing(config.hardware.packing, self.model)

    def train(self) -> None:
        """Measure, train, save, measure again; the results lie in the run's folder as soon as they are there."""
        with tracking(self.config.tracking, self.folder.path, _settings(self.config)) as tracker:
            held = held_out(self.config, self.data) if self.config.evaluation.enabled else None
            before = self._measure("before", held, tracker)
            trained = self._fit(tracker, held)
            self._save_model(tracker)
            self.folder.save(metrics=trained)
            after = self._measure("after", held, tracker)
            self._evaluation(held, before, after)
            tracker.summary(self.folder.record["metrics"])
        (self.folder.path / "README.md").write_text(model_card(self.config, self.folder.record), encoding="utf-8")

    def _measure(self, when: str, held: HeldOut | None, tracker: Tracker) -> Measured | None:
        if held is None:
            return None
        print(f"edu_align: measuring {when} training", flush=True)
        measured = measure(self.config, self.model, self.tokenizer, held)
        self._keep_samples(when, measured.samples, tracker)
        return measured

    def _keep_samples(self, when: str, rows: list[dict[str, Any]], tracker: Tracker) -> None:
        for row in rows:
            self.folder.append("samples.jsonl", {"when": when, **row})
        if rows:
            tracker.samples(when, rows)

    def _look(self, step: int, held: HeldOut, tracker: Tracker) -> None:
        """Answer the sample prompts in the middle of training, and leave model and tokenizer as they were."""
        side = self.tokenizer.padding_side
        self._keep_samples(f"step_{step}", sample(self.config, self.model, self.tokenizer, held.samples), tracker)
        self.tokenizer.padding_side = side
        self.model.train()

    def _fit(self, tracker: Tracker, held: HeldOut | None) -> dict[str, float]:
        config, data = self.config, self.data
        self.tokenizer.padding_side = "right"
        build = BUILDERS[config.trainer.algorithm]
        trainer: Any = build(  # type: ignore[operator]
            config, self.model, self.tokenizer, data.train, data.validation, self.device, self.folder.path
        )
        trainer.remove_callback(PrinterCallback)  # TRL prints every metric of every step; the recorder keeps them
        trainer.add_callback(Recorder(self.folder, tracker))
        self.model = trainer.model
        if held is not None and config.evaluation.samples_steps is not None:
            every = config.evaluation.samples_steps
            trainer.add_callback(Sampler(every, lambda step: self._look(step, held, tracker)))
        asked, computed = self.sharing.asked, self.sharing.computed
        began = time.monotonic()
        result = trainer.train()
        seconds = time.monotonic() - began
        metrics = {f"train/{key.removeprefix('train_')}": value for key, value in result.metrics.items()}
        metrics |= {"train/steps": trainer.state.global_step, "train/peak_memory_gib": peak_memory_gib()}
        if self.sharing.computed > computed:
            asked, computed = self.sharing.asked - asked, self.sharing.computed - computed
            metrics |= {"train/tokens_per_second": asked / seconds, "train/shared_prefix_ratio": asked / computed}
        if trainer.eval_dataset is not None:
            metrics |= {f"eval/{key.removeprefix('eval_')}": value for key, value in trainer.evaluate().items()}
        return metrics

    def _save_model(self, tracker: Tracker) -> None:
        if self.config.adapter.name == "lora":
            saved = self.folder.path / "adapter"
            self.model.save_pretrained(str(saved), selected_adapters=["default"])
        else:
            saved = self.folder.path / "model"
            self.model.save_pretrained(str(saved))
            self.tokenizer.save_pretrained(str(saved))
        if self.config.tracking.artifact:
            tracker.artifact(self.folder.path.name, saved)

    def _evaluation(self, held: HeldOut | None, before: Measured | None, after: Measured | None) -> None:
        if held is None or before is None or after is None:
            return
        results = {
            "before": summarise(self.config, held, before, None),
            "after": summarise(self.config, held, after, before),
        }
        write_json(self.folder.path / "evaluation.json", results)
        metrics = self.folder.record["metrics"] | values(results["before"], "before") | values(results["after"], "eval")
        self.folder.save(metrics=metrics)


def quiet() -> None:
    """Keep what libraries say to every user on every start out of the log; warnings about this run stay."""
    import transformers

    transformers.logging.set_verbosity_error()
    logging.getLogger("datasets").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning)
    import datasets

    datasets.disable_progress_bars()


def _settings(config: Config) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(config)
