"""The evaluation suite of one model: ours beside that of an older checkout of this repository, in one run.

EDU_ALIGN_BEFORE names the checkout (`git worktree add <folder> <commit>` makes one), EDU_ALIGN_DATA the data,
EDU_ALIGN_MODEL a model option, folder or GGUF (smollm2) and EDU_ALIGN_ADAPTER, if set, an adapter's folder; further
words for `evaluate`, such as hardware.dtype=float32, stand in EDU_ALIGN_WORDS. Both sides get the same folder of
weights in the same number format, and an empty cache, and measure the same items: the metrics that both have, on
today's validation part, whatever the older one would hold out.

`generation_tokens_per_second` counts the tokens of the replies that the suite asks for and the time that they add: ours
reads a dialogue once, for its scores and its reply, and counts that for `scoring_replies_per_second`.
`suite_difference` is the largest difference of a number between both; a table of all goes to outputs/bench/suite.md.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.data import require_data
from edu_align.runs.environment import machine
from edu_align.utils.errors import UserError

ON_REQUEST = True
TABLE = Path("outputs") / "bench" / "suite.md"
CALL = "import runpy, sys; runpy.run_path(sys.argv[1])['main'](*sys.argv[2:])"
# What both measure; an older checkout knows no newer metric.
METRICS = (
    "pair_accuracy_balanced", "pair_accuracy", "pair_accuracy_bridge", "selection_score", "context_use", "leak", "form",
    "human_nll", "retention",
)  # fmt: skip
ROWS = {
    "suite_seconds": "s",
    "generation_tokens_per_second": "tokens/s",
    "scoring_replies_per_second": "replies/s",
    "suite_peak_memory": "GiB",
}


def measure() -> list[dict[str, Any]]:
    """`ratio`: how many times less time or memory, or more a second. Errors: no checkout, no data."""
    require_data("suite", "mrbench", "bridge", "mathdial", "gsm8k")
    before = os.environ.get("EDU_ALIGN_BEFORE")
    if not before or not (Path(before) / "edu_align").is_dir():
        raise UserError(
            f"suite: `EDU_ALIGN_BEFORE` is {before or 'not set'}. Set it to an older checkout of this repository "
            "(git worktree add <folder> <commit>)."
        )
    words = [f"model={weights()}", f"data_root={Path(os.environ['EDU_ALIGN_DATA']).absolute()}", "hardware=cpu"]
    words += ["evaluation.split=validation", f"evaluation.metrics=[{','.join(METRICS)}]", "tracking=off"]
    if adapter := os.environ.get("EDU_ALIGN_ADAPTER"):
        words.append(f"adapter={Path(adapter).absolute()}")
    words += os.environ.get("EDU_ALIGN_WORDS", "").split()
    with tempfile.TemporaryDirectory() as folder:
        items = Path(folder) / "sides.json"
        items.write_text(json.dumps(sides(words)), encoding="utf-8")
        ours, peer = (measured(checkout, items, words) for checkout in (Path(), Path(before)))
    rows = [
        {
            "name": name, "ours": ours[name], "peer": peer[name], "peer_name": f"checkout {Path(before).name}",
            "ratio": ours[name] / peer[name] if unit.endswith("/s") else peer[name] / ours[name], "unit": unit,
            "machine": machine(),
        }
        for name, unit in ROWS.items()
    ]  # fmt: skip
    TABLE.parent.mkdir(parents=True, exist_ok=True)
    lines, largest = compared(ours["rows"], peer["rows"])
    TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    difference = {"name": "suite_difference", "ours": largest, "peer": None, "ratio": None, "unit": "of any number"}
    return [*rows, {**difference, "peer_name": None, "machine": machine()}]


def weights() -> Path:
    """The folder of the model's weights, made where it is missing."""
    from omegaconf import OmegaConf

    from edu_align.config.compose import compose
    from edu_align.models.locate import locate

    words = [f"model={os.environ.get('EDU_ALIGN_MODEL', 'smollm2')}", "hardware=cpu", "tracking=off"]
    config: Any = OmegaConf.to_object(compose(words))
    folder = locate(config.model, Path(config.outputs_root), config.seed).folder
    if folder is None:
        raise UserError("suite: EDU_ALIGN_MODEL is a model without files. Give smollm2, a folder or a GGUF.")
    return folder.absolute()


def sides(words: list[str]) -> dict[str, str]:
    """`source id` of each public record to the side of the split on which it lies today."""
    from omegaconf import OmegaConf

    from edu_align.config.compose import compose
    from edu_align.evaluation.suite.data import Settings, SuiteData

    of_evaluate = ("evaluation.", "adapter=")
    config: Any = OmegaConf.to_object(compose([word for word in words if not word.startswith(of_evaluate)]))
    data = SuiteData(config.dataset, config.data_root, config.outputs_root, Settings(split="validation"))
    return {
        f"{record.source} {record.id}": data._hashed(record)
        for records in data._sources.records.values()
        for record in records
    }


def measured(checkout: Path, items: Path, words: list[str]) -> dict[str, Any]:
    """What `suite_process` says of the package in `checkout`, on the sides that the file `items` holds."""
    script = Path(__file__).with_name("suite_process.py")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "result.json"
        command = [sys.executable, "-P", "-c", CALL, str(script), str(target), str(items)]
        command += [f"outputs_root={folder}/outputs", *words]
        subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(checkout.absolute())})
        found: dict[str, Any] = json.loads(target.read_text(encoding="utf-8"))
    print(f"edu_align: {checkout.absolute().name}: {found['suite_seconds']:.0f} s", flush=True)
    return found


def compared(ours: list[dict[str, Any]], peer: list[dict[str, Any]]) -> tuple[list[str], float]:
    """A table of every number that both have, and their largest difference."""
    before = {(row["label"], row["name"]): row for row in peer}
    lines, largest = ["| model | number | n before | n | before | after | inside its interval |", "|---" * 7 + "|"], 0.0
    for row in ours:
        other = before.get((row["label"], row["name"]))
        if other is None:
            continue
        largest = max(largest, abs(row["value"] - other["value"]))
        known = other["low"] is not None
        inside = ("yes" if other["low"] <= row["value"] <= other["high"] else "no") if known else "-"
        numbers = f"{other['n']} | {row['n']} | {other['value']:.6f} | {row['value']:.6f}"
        lines.append(f"| {row['label']} | {row['name']} | {numbers} | {inside} |")
    return lines, largest
