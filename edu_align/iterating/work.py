"""All of `edu_align.rounds` behind its command line: data, scorer, rounds, and what is said of them."""

from pathlib import Path
from typing import Any

from edu_align.iterating.dialogues import read_dialogues
from edu_align.iterating.loop import Ending, Rounds
from edu_align.iterating.measures import KL, LEAK, QUESTION, SCORE, WORDS
from edu_align.iterating.plan import Plan
from edu_align.iterating.scoring import Scorer
from edu_align.models.tokenizer import load_run_tokenizer
from edu_align.reports.rounds.write import write_rounds
from edu_align.rewards.asked import Sources
from edu_align.rewards.registry import identities
from edu_align.utils.files import disk_errors, read_json
from edu_align.utils.tables import cell

SAID = (SCORE, LEAK, QUESTION, WORDS, KL)  # of a round, in one line
Row = dict[str, Any]


def run_rounds(plan: Plan) -> tuple[Path, Ending]:
    """Run them, or go on; returns their folder and how they ended."""
    config = plan.config
    tokenizer = load_run_tokenizer(config.model, plan.location.folder, plan.run.path)
    dialogues = read_dialogues(plan, tokenizer)
    for note in dialogues.notes:
        print(f"edu_align: {note}", flush=True)
    scorer = Scorer.of(plan)
    known = identities(plan.asked.weights, Sources(config, plan.asked.reward_run))
    folder = plan.folder(plan.id(dialogues.fingerprint, known))
    print(f"edu_align: rounds in {folder}", flush=True)
    told = _Told(Path(config.outputs_root))
    with disk_errors(Path(config.outputs_root)):
        end = Rounds(plan, dialogues, scorer, folder).run(told)
    result = read_json(folder / "result.json") or {}
    print(f"edu_align: ended: {end.why}; best is round {end.best}: {result['best_run']}", flush=True)
    print(f"edu_align: page {told.page}", flush=True)
    return folder, end


class _Told:
    """Says what each round's validation found, once, and writes the page anew."""

    def __init__(self, outputs: Path) -> None:
        self.outputs, self.said = outputs, 0

    def __call__(self, folder: Path) -> None:
        while measured := read_json(folder / f"round-{self.said}" / "measured.json"):
            print("\n".join(lines_of(measured)), flush=True)
            self.said += 1
        self.page = write_rounds(folder, self.outputs)


def lines_of(measured: Row) -> list[str]:
    """A line of a round's numbers and, after round 0, one of how far they are from round 0's."""
    numbers = {name: measured["numbers"][name] for name in SAID if name in measured["numbers"]}
    values = ", ".join(f"{name} {cell(row)}" for name, row in numbers.items())
    head = f"edu_align: round {measured['round']} ({measured['run']})"
    lines = [f"{head}: {values}, n {max(row['n'] for row in numbers.values())}"]
    gaps = {name: row["difference"] for name, row in numbers.items() if "difference" in row}
    if gaps:
        told = ", ".join(f"{name} {cell(row, '+')}" for name, row in gaps.items())
        lines.append(f"edu_align: against round 0: {told}; a gap whose interval holds 0 is none that was shown")
    return lines
