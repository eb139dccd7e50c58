"""GSM8K (Cobbe et al. 2021, arXiv 2110.14168) by EleutherAI's lm-evaluation-harness, on a finished run.

The task is the harness's own, written to local files without the questions that training has seen. The harness runs in
a process of its own.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from edu_align.config.schema import Config
from edu_align.data.download import DATA_ROOT_VARIABLE
from edu_align.data.questions import history_key, opening, problem_key
from edu_align.data.readers import Row, read_rows
from edu_align.models.locate import is_part, locate
from edu_align.records import Message
from edu_align.runs.finished import check_base
from edu_align.runs.folder import RunFolder
from edu_align.utils.errors import UserError
from edu_align.utils.hashing import sha256
from edu_align.utils.jsonl import as_lines
from edu_align.utils.parent import die_with_parent

TASK = "gsm8k_unseen"
PARTS = {"test": ("test.jsonl", "test_socratic.jsonl"), "train": ("train.jsonl", "train_socratic.jsonl")}
THEIRS = Path("tasks", "gsm8k", "gsm8k.yaml")  # below the package lm_eval
MISSING = 'the package lm-eval is not installed here. Run: pip install "edu_align[lm-eval]" (tried: lm-eval 0.4.13).'


@dataclass(frozen=True)
class Task:
    """A task folder: how many test questions it holds, and how many were left out because training saw them."""

    folder: Path
    questions: int
    left_out: int


def check_installed() -> Path:
    """The harness's own definition of gsm8k. Raises UserError where it is not installed; nothing is imported."""
    package = find_spec("lm_eval")
    if package is None or package.origin is None:
        raise UserError(MISSING)
    definition = Path(package.origin).parent / THEIRS
    if not definition.is_file():
        raise UserError(f"the lm-eval that is installed has no {THEIRS}. Install the version that was tried, 0.4.13.")
    return definition


def unseen(data_root: str | None, seen: Iterable[str]) -> tuple[list[dict[str, str]], int]:
    """GSM8K's test questions without those of the groups `seen`, in the order of their hashes, and how many went.

    The harness's `limit` takes the first ones, which in this order are the same random part for every model. Raises
    UserError for a missing file, or where none is left.
    """
    trained = set(seen)
    every = [question_of(row) for row in _rows("test", data_root)]
    kept = [row for row in every if trained.isdisjoint(keys(row["question"]))]
    if not kept:
        raise UserError(f"training has seen all {len(every)} questions of GSM8K's test set: nothing can be measured.")
    kept.sort(key=lambda row: sha256(row["question"]))
    return kept, len(every) - len(kept)


def write_task(folder: Path, data_root: str | None, seen: Iterable[str]) -> Task:
    """Write the task `gsm8k_unseen` into `folder`: test.jsonl, train.jsonl (for examples in the prompt) and its YAML.

    Prompt, filters and metric are those of the harness's own gsm8k. Raises UserError for missing files or packages.
    """
    definition = check_installed()
    questions, left_out = unseen(data_root, seen)
    parts = {"test": questions, "train": [question_of(row) for row in _rows("train", data_root)]}
    folder.mkdir(parents=True, exist_ok=True)
    for part, rows in parts.items():
        (folder / f"{part}.jsonl").write_text(as_lines(rows), encoding="utf-8")
    content = {
        "include": str(definition),
        "task": TASK,
        "dataset_path": "json",
        "dataset_name": None,
        "dataset_kwargs": {"data_files": {part: str(folder.resolve() / f"{part}.jsonl") for part in parts}},
    }
    (folder / f"{TASK}.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return Task(folder, len(questions), left_out)


def question_of(row: Row) -> dict[str, str]:
    """A row in GSM8K's main form; in the Socratic one every step has its question before it, which goes.

    {"question": "...", "answer": "How many? ** 3*4=<<3*4=12>>12 nuts.\\n#### 12"}
    -> {"question": "...", "answer": "3*4=<<3*4=12>>12 nuts.\\n#### 12"}
    """
    lines = (line.partition(" ** ") for line in row.get("answer", str).split("\n"))
    return {
        "question": row.get("question", str),
        "answer": "\n".join(step if mark else line for line, mark, step in lines),
    }


def keys(question: str) -> set[str]:
    """What ties a question to a group of the split: its own key, and that of a dialogue that it opens."""
    history = history_key([Message("user", opening(question))])
    return {problem_key(question), *([history] if history else [])}


def _rows(part: str, data_root: str | None) -> list[Row]:
    root = data_root or os.environ.get(DATA_ROOT_VARIABLE)
    names = " or ".join(PARTS[part])
    if not root:
        raise UserError(f"`data_root` is not set, and gsm8k/{names} is looked for there. Set data_root=<folder>.")
    found = [path for name in PARTS[part] if (path := Path(root).expanduser() / "gsm8k" / name).is_file()]
    if not found:
        raise UserError(
            f"`data_root={root}` has no gsm8k/{names}. Put the file there (github openai/grade-school-math)."
        )
    return read_rows(found[0])


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
    if of == "tutor" and is_part(location.folder):
        raise UserError(
            f"`of=tutor`: {config.model.name} also sees pictures, and the harness would load the whole, which this "
            "adapter does not fit. Export the run and give of=export."
        )
    base = {"pretrained": str(location.folder)}
    return base if of == "base" else {**base, "peft": str(run.path / "adapter")}


def write_arguments(task: Task, model: dict[str, str], plan: Plan, output: Path) -> Path:
    """The harness's command line as a YAML file, which `python -m lm_eval run --config` reads.

    A chat is read as training reads it: the template writes all control tokens, and the tokenizer adds none.
    """
    content: dict[str, Any] = {
        "model": "hf",
        "model_args": {**model, "add_bos_token": False} if plan.chat else model,
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
    ended = subprocess.run(command, env=environment, check=False, preexec_fn=die_with_parent)
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
