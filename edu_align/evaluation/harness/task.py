"""GSM8K (Cobbe et al. 2021, arXiv 2110.14168) as a task of lm-evaluation-harness, without what a run was trained on."""

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import yaml

from edu_align.data.fetch import DATA_ROOT_VARIABLE
from edu_align.data.read import Row, read_rows
from edu_align.data.records import Message
from edu_align.data.text import history_key, opening, problem_key
from edu_align.errors import UserError

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
    kept.sort(key=lambda row: hashlib.sha256(row["question"].encode()).hexdigest())
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
        lines = (json.dumps(row, ensure_ascii=False) for row in rows)
        (folder / f"{part}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
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
    return {problem_key(question), history_key([Message("user", opening(question))])}


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
