"""lm-evaluation-harness on a finished run: which model, its arguments as a file, its process, its result."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from edu_align.config.schema import Config
from edu_align.errors import UserError
from edu_align.evaluation.harness.task import TASK, Task
from edu_align.models.locate import locate
from edu_align.runs.finished import check_base
from edu_align.runs.folder import RunFolder

OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}  # everything that it reads is a local file
SUBJECTS = ("tutor", "base", "export")


@dataclass(frozen=True)
class Plan:
    """`limit`: most questions, None for all; `few_shot`: worked examples in every prompt; `chat`: as a chat turn."""

    limit: int | None
    few_shot: int
    batch_size: int
    chat: bool


def model_arguments(run: RunFolder, config: Config, of: str) -> dict[str, str]:
    """What the harness's `hf` model loads: folders of the base, the adapter on it, or the export.

    Raises UserError for a missing export, a base without a folder, or another base than the run's.
    """
    if of == "export":
        folder = run.path / "export"
        if not (folder / "config.json").is_file():
            raise UserError(f"`of=export`: {folder} is not there. Run: python -m edu_align.export run={run.path.name}.")
        return {"pretrained": str(folder)}
    full = config.adapter.name == "full"
    if full and of == "tutor":
        return {"pretrained": str(run.path / "model")}
    location = locate(config.model, Path(config.outputs_root), config.seed)
    check_base(f"run={run.path.name}", run, location)
    if location.folder is None:
        raise UserError(
            f"`of={of}`: {config.model.name} has random weights, which lie in no folder. Export the run and give "
            "of=export."
        )
    base = {"pretrained": str(location.folder)}
    return base if of == "base" else {**base, "peft": str(run.path / "adapter")}


def write_arguments(task: Task, model: dict[str, str], plan: Plan, output: Path) -> Path:
    """The harness's command line as a YAML file, which `python -m lm_eval run --config` reads."""
    content: dict[str, Any] = {
        "model": "hf",
        "model_args": model,
        "tasks": [TASK],
        "include_path": str(task.folder),
        "num_fewshot": plan.few_shot,
        "batch_size": plan.batch_size,
        "apply_chat_template": plan.chat,
        "output_path": str(output / "results"),
        "log_samples": True,
    }
    if plan.limit is not None:
        content["limit"] = plan.limit
    file = output / "lm_eval.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return file


def run_harness(arguments: Path, output: Path) -> dict[str, Any]:
    """Run it in a process of its own, whose output is shown; what it measured. Raises UserError where it fails."""
    command = [sys.executable, "-m", "lm_eval", "run", "--config", str(arguments)]
    print(f"edu_align: {' '.join(command)}", flush=True)
    environment = {**os.environ, **OFFLINE, "HF_DATASETS_CACHE": str(output / "cache")}
    before = set(output.rglob("results_*.json"))
    ended = subprocess.run(command, env=environment, check=False)
    new = sorted(set(output.rglob("results_*.json")) - before)
    if ended.returncode != 0 or not new:
        raise UserError(f"lm-eval ended with exit code {ended.returncode}; its own message stands above.")
    content: dict[str, Any] = json.loads(new[-1].read_text(encoding="utf-8"))
    return content


def lines_of(result: dict[str, Any], task: Task, label: str) -> list[str]:
    """The result for people: exact match by filter, with the harness's standard error, and what was left out."""
    measured, count = result["results"][TASK], result["n-samples"][TASK]["effective"]
    lines = [
        f"{label}: {count} of {task.questions} questions of GSM8K's test set; {task.left_out} more were left out, "
        "because the run, or one that it starts from, was trained on them"
    ]
    for name, value in sorted(measured.items()):
        metric, _, kind = name.partition(",")
        if metric == "exact_match":
            error = measured[f"exact_match_stderr,{kind}"]
            lines.append(f"  exact match, {kind}: {value:.4f}, standard error {error:.4f}")
    return lines
