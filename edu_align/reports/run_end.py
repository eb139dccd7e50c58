"""What a finished run says at its end, in words: what came out, where it can be read, and what to type next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edu_align.config.arguments import key_of
from edu_align.config.metrics import direction_of
from edu_align.config.text import override
from edu_align.reports import REPORTS, SPLITS
from edu_align.reports.stages import Stage, baselines_of, metric_names, read_evaluation
from edu_align.reports.words import choice_in_words, in_words
from edu_align.runs.finished import REWARD
from edu_align.runs.folder import RunFolder, read_record
from edu_align.utils.errors import UserError
from edu_align.utils.words import in_shell

UNITS = {"human_turn_nll": "nats a token"}  # of the main numbers; of the others it is a share
TALKS = ("human_turn_nll", "pair_accuracy_mean_logp")  # of a run that learned from conversations, most telling first
PREFERENCES = ("pair_accuracy_implicit", "pair_accuracy_mean_logp", "pair_accuracy_reward")


@dataclass(frozen=True)
class MainNumber:
    """One number of a run, measured on the same `n` items in `groups` independent groups before and after training.

    `before` and `after` are {value, low, high}; `low` and `high` are None where there is one group, `before` is None
    for what has no value then (an implicit reward compares the model with itself). `change` is the paired difference
    after - before. `strongest` is the trivial rule with the best value on the same items, `strongest_value` its value,
    and `beaten` says whether the whole interval of the difference to it lies on the better side; None without a rule.
    """

    name: str
    words: str
    unit: str
    better: str
    before: dict[str, Any] | None
    after: dict[str, Any]
    change: dict[str, Any] | None
    n: int
    groups: int
    strongest: str | None = None
    strongest_value: float | None = None
    beaten: bool | None = None

    def sentence(self) -> str:
        """All of it in one line for people."""
        start = f"{_cell(self.before)} before, " if self.before else ""
        parts = [f"{self.words}: {start}{_cell(self.after)} after training"]
        if self.change is not None:
            parts.append(f"changed by {_cell(self.change, '+')}{'' if _sure(self.change) else ', which shows nothing'}")
        if self.strongest is not None:
            said = "beats" if self.beaten else "not shown to beat"
            parts.append(f"{said} the rule {self.strongest!r} ({self.strongest_value:.3f})")
        counted = f"{self.n} items in {self.groups} groups"
        return f"{'; '.join(parts)} ({self.unit}, {self.better} is better; {counted})"


def main_numbers(run: Path) -> list[MainNumber]:
    """One or two numbers of the run in this folder, the most telling first; none where it was not evaluated."""
    if not (run / "evaluation.json").is_file():
        return []
    parts = read_evaluation(run)
    after = parts.get("after") or {}
    known = metric_names([Stage("after", after)])
    trainer = (read_record(run) or {}).get("trainer")
    return [_number(name, parts) for name in (TALKS if trainer == "sft" else PREFERENCES) if name in known]


def _number(name: str, parts: dict[str, dict[str, Any]]) -> MainNumber:
    said, unit = in_words(name), UNITS.get(name, "share")
    better = "lower" if direction_of(name) == "minimize" else "higher"
    before, after = parts.get("before", {}).get(name), parts["after"][name]
    strongest = after.get("strongest_baseline")
    rules = dict(baselines_of([Stage("after", parts["after"])], name))
    return MainNumber(
        name, said[0].lower() + said[1:], unit, better, before, after, after.get("change"), after["n"],
        after["clusters"], strongest, rules.get(strongest), after.get("beats_baseline"),
    )  # fmt: skip


def _cell(entry: dict[str, Any], sign: str = "") -> str:
    ends = (
        "one group, no interval" if entry["low"] is None else f"{entry['low']:{sign}.3f} to {entry['high']:{sign}.3f}"
    )
    return f"{entry['value']:{sign}.3f} ({ends})"


def _sure(change: dict[str, Any]) -> bool:
    return change["low"] is not None and (change["low"] > 0 or change["high"] < 0)


# What a DPO run takes over from the command of the run that it starts from: where, with what, how large; not how.
KEPT = ("model", "dataset", "hardware", "adapter", "tracking", "evaluation", "generation", "data_root", "outputs_root",
        "seed")  # fmt: skip
SIZES = ("trainer.max_length", "trainer.max_steps", "trainer.batch_size")
CHOICES = ("model", "dataset", "hardware", "adapter")  # groups whose option an experiment decides


def outcome(run: RunFolder) -> list[str]:
    """The run's losses, and its main numbers before and after training with intervals and the strongest baseline."""
    metrics: Mapping[str, Any] = run.record.get("metrics") or {}
    lines = []
    if line := rewards_line(run):
        lines.append(line)
    elif "train/loss" in metrics:
        steps = metrics.get("train/steps")
        after = f"{metrics['train/loss']:.4g} on average over {steps} step{'s' if steps != 1 else ''}"
        held = f", {metrics['eval/loss']:.4g} on the validation examples after them" if "eval/loss" in metrics else ""
        lines.append(f"edu_align: training loss {after}{held}")
    if choice := choice_in_words(run.record):
        lines.append(f"edu_align: {choice}")
    try:
        found = main_numbers(run.path)
    except UserError as error:  # the run is whole all the same
        return [*lines, f"edu_align: {error}"]
    lines += [f"edu_align: {number.sentence()}" for number in found]
    return lines if found else [*lines, "edu_align: it was not evaluated, so nothing says whether it became better"]


def rewards_line(run: RunFolder) -> str:
    """The mean reward of a GRPO run's replies, whose loss says nothing; "" for another run."""
    found = [float(row["reward"]) for row in run.rows("metrics.jsonl") if row.get("reward") is not None]
    if not found:
        return ""
    part = max(len(found) // 5, 1)
    first, last = sum(found[:part]) / part, sum(found[-part:]) / part
    held = (run.record.get("metrics") or {}).get("eval/reward")
    after = "" if held is None else f"; {held:.3f} on the validation dialogues after them"
    steps = f"{part} step{'s' if part > 1 else ''}"
    return f"edu_align: mean reward {first:.3f} over the first {steps}, {last:.3f} over the last{after}"


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
    if run.record.get("trainer") == REWARD:
        steps = [("score a tutor's replies with it", "evaluate", ["run=<run>", f"reward={name}", *place])]
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
    sources = (run.record.get("data") or {}).get("sources") or {}
    measured = any(key.startswith("eval/pair_accuracy") for key in run.record.get("metrics") or {})
    return measured or any(source.get("choices") for source in sources.values())
