"""What is exported: a finished run, the weights it stands on, and the settings of the export."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from edu_align.config.arguments import Words
from edu_align.config.schema import DTYPES, Config
from edu_align.models.locate import Location, locate
from edu_align.runs.finished import check_base, run_config
from edu_align.runs.folder import RunFolder
from edu_align.utils.errors import UserError


@dataclass(frozen=True)
class Subject:
    """`location` is the adapter's base or, after full fine-tuning, the run's own model; `dtype`: a word of DTYPES."""

    label: str
    run: RunFolder
    config: Config
    location: Location
    dtype: str

    @property
    def adapter(self) -> Path | None:
        """Folder of the adapter to merge; None where all weights were trained."""
        return self.run.path / "adapter" if self.config.adapter.name == "lora" else None

    def settings(self) -> dict[str, Any]:
        """What an export depends on: two with equal settings are the same export."""
        config = self.config
        return {
            "run": self.label,
            "run_started": self.run.record.get("started"),
            "base_model": self.run.record["base_model"],
            "dtype": self.dtype,
            "gguf": config.export.gguf,
            "converter": Path(config.export.converter).name if config.export.converter else None,
            "quantizer": Path(config.export.quantizer).name if config.export.quantizer else None,
            "license": config.export.license,
            "system_prompt": config.dataset.system_prompt,
            "generation": asdict(config.generation),
        }


def read_run(words: Words) -> tuple[RunFolder, Config]:
    """The run that a command line names and its config. Errors: none, an unknown or unfinished one, a wrong key."""
    if not words.runs:
        raise UserError(
            "`run` is missing. Give run=<folder of a finished run, its name under outputs_root/runs, or its id>."
        )
    return run_config(words.runs[0], words.overrides, words.own.get("outputs_root"), words.switch("accept_changed"))


def find_weights(run: RunFolder, config: Config) -> Subject:
    """The subject with its weights found and recognised.

    Errors: a base model that is missing or is not the one that the adapter was trained on, and a run without weights.
    """
    label = run.path.resolve().name
    if config.adapter.name == "full":
        folder = run.path / "model"
        _require(folder / "config.json", run)
        own = replace(config, model=replace(config.model, tokenizer=None))
        return Subject(label, run, own, Location(folder, run.record["base_model"]), _dtype(config, folder))
    _require(run.path / "adapter" / "adapter_model.safetensors", run)
    location = locate(config.model, Path(config.outputs_root), config.seed)
    check_base(f"run={label}", run, location)
    return Subject(label, run, config, location, _dtype(config, location.folder))


def _require(file: Path, run: RunFolder) -> None:
    if not file.is_file():
        raise UserError(f"`run={run.path.name}`: {file.parent.name}/{file.name} is missing from it. Train it again.")


def _dtype(config: Config, folder: Path | None) -> str:
    if config.export.dtype != "auto":
        return config.export.dtype
    stored = json.loads((folder / "config.json").read_text(encoding="utf-8")) if folder else {}
    word = str(stored.get("dtype") or stored.get("torch_dtype")).removeprefix("torch.")
    return word if word in DTYPES else "float32"
