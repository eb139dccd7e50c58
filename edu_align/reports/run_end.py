"""What a finished run says at its end, in words: what came out, where it can be read, and what to type next."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edu_align.config.arguments import key_of
from edu_align.config.text import override
from edu_align.reports import REPORTS, SPLITS
from edu_align.reports.main_numbers import main_numbers
from edu_align.runs.folder import RunFolder
from edu_align.utils.errors import UserError
from edu_align.utils.words import in_shell

# What a DPO run takes over from the command of the run that it starts from: where, with what, how large; not how.
KEPT = ("model", "dataset", "hardware", "adapter", "tracking", "evaluation", "generation", "data_root", "outputs_root",
        "seed")  # fmt: skip
SIZES = ("trainer.max_length", "trainer.max_steps", "trainer.batch_size")
CHOICES = ("model", "dataset", "hardware", "adapter")  # groups whose option an experiment decides


def outcome(run: RunFolder) -> list[str]:
    """The run's losses, and its main numbers before and after training with intervals and the strongest baseline."""
    metrics: Mapping[str, Any] = run.record.get("metrics") or {}
    lines = []
    if "train/loss" in metrics:
        steps = metrics.get("train/steps")
        after = f"{metrics['train/loss']:.4g} on average over {steps} step{'s' if steps != 1 else ''}"
        held = f", {metrics['eval/loss']:.4g} on the validation examples after them" if "eval/loss" in metrics else ""
        lines.append(f"edu_align: training loss {after}{held}")
    try:
        found = main_numbers(run.path)
    except UserError as error:  # the run is whole all the same
        return [*lines, f"edu_align: {error}"]
    lines += [f"edu_align: {number.sentence()}" for number in found]
    return lines if found else [*lines, "edu_align: it was not evaluated, so nothing says whether it became better"]


def next_steps(
    run: RunFolder, outputs: str, words: Sequence[str], choices: Mapping[str, str], folders: Sequence[Path]
) -> list[str]:
    """Where the run can be read, and commands as a shell takes them.

    `words` are the overrides of the command that made the run, `choices` the options of its groups and `folders` its
    own config folders; they shape the command of the DPO run that goes on from an SFT run.
    """
    name = _name(run.path, outputs)
    place = [] if outputs == "outputs" else [f"outputs_root={outputs}"]
    page = Path(outputs) / REPORTS / run.path.name / "report.html"
    steps = [("talk to it, beside the model that it was made from", "chat", [f"run={name}", "--compare", *place])]
    if run.record.get("trainer") == "sft":
        about = "teach it which of two replies is better, from here (dataset=local dataset.path=<file> for your own)"
        steps.append(
            (about, "train", [*_dpo(run, name, outputs, words, choices), *map("--config-dir={}".format, folders)])
        )
    if not any((run.path / "evaluation" / f"{split}.json").is_file() for split in SPLITS):
        steps.append(("measure it with the whole suite", "evaluate", [f"run={name}", *place]))
    one = str(run.record.get("id")) if "," in name else name
    steps.append((f"a page with all of it, {page}", "report", [f"runs={one}", *place]))
    steps.append(("take it with you", "export", [f"run={name}", *place]))
    lines = [f"edu_align: card {run.path / 'README.md'}" + (f", page {page}" if page.is_file() else ""), "what next:"]
    for about, command, rest in steps:
        lines += [f"  {about}:", f"    {' '.join(['python -m', f'edu_align.{command}', *map(in_shell, rest)])}"]
    return lines


def _name(run: Path, outputs: str) -> str:
    """What commands call the run: its name, or its folder where it does not lie under `outputs`."""
    return run.name if run.parent == Path(outputs) / "runs" else str(run)


def _dpo(run: RunFolder, name: str, outputs: str, words: Sequence[str], choices: Mapping[str, str]) -> list[str]:
    """Overrides of a DPO run from this one. It takes the same data where they hold replies to choose between."""
    kept = [word for word in words if key_of(word).split(".")[0] in KEPT or key_of(word) in SIZES]
    if any(key_of(word) == "experiment" for word in words):
        given = {key_of(word) for word in kept}
        kept = [*(f"{key}={choices[key]}" for key in CHOICES if key in choices and key not in given), *kept]
    if not words and outputs != "outputs":
        kept = [override("outputs_root", outputs)]
    if not _has_pairs(run):
        kept = [*(word for word in kept if key_of(word).split(".")[0] != "dataset"), "dataset=edu_tutor"]
    return ["trainer=dpo", override("init_from", name), *kept]


def _has_pairs(run: RunFolder) -> bool:
    return any(key.startswith("eval/pair_accuracy") for key in run.record.get("metrics") or {})
