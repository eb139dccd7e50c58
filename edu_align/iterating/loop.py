"""The rounds themselves: stages that each leave one file, whole or not at all, and are never done twice.

    rounds.json        what was asked for, and the run that it starts from
    round-0/           the start: validation.jsonl (its replies), measured.json, baselines.json
    round-<n>/         samples.jsonl (replies of the tutor before), scores.jsonl, pairs.jsonl; after its training
                       validation.jsonl (replies of this round's tutor), measured.json
    result.json        how it ended, and which round was best

The training of round n is an ordinary run, `<folder>-<n>` under outputs_root/runs, that starts from the run of the
round before: that one is its reference. Every reply is drawn by a seed of its own, so a command that is cut off goes on
with the bytes that it would have written.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from edu_align.evaluation.suite.leak import CONSTANT
from edu_align.iterating.dialogues import Dialogue, Dialogues
from edu_align.iterating.measures import SCORE, baseline_rows, bounds_of, numbers_of, of_scores, rows_of
from edu_align.iterating.pairs import Reply, label_rows, pair_rows
from edu_align.iterating.plan import Plan, training_config
from edu_align.iterating.scoring import Scorer
from edu_align.iterating.tutor import Tutor, reply_seed
from edu_align.iterating.votes import AGREEMENT, agreement_rows, read_votes, used_votes, vote_rows
from edu_align.runs.folder import RunFolder, read_stored
from edu_align.runs.lock import Lock
from edu_align.training.run import run as train
from edu_align.utils.errors import UserError
from edu_align.utils.files import remove_left_over, write_json, write_text
from edu_align.utils.jsonl import as_lines, read_rows

Row = dict[str, Any]
SAMPLES, SCORES, PAIRS, VALIDATION = "samples.jsonl", "scores.jsonl", "pairs.jsonl", "validation.jsonl"
MEASURED, BASELINES, RECORD, RESULT = "measured.json", "baselines.json", "rounds.json", "result.json"


@dataclass(frozen=True)
class Ending:
    """Why there is no further round, and the number of the best one."""

    why: str
    best: int


def ending(values: Sequence[float | None], most: int, patience: int) -> Ending | None:
    """How the rounds end after those with these validations (that of round 0 first); None where one more is due.

    The first of equal values is the best. A round without a value is better than none before it.
    """
    best = 0
    for number, value in enumerate(values):
        if value is None or values[best] is None or value > values[best]:  # type: ignore[operator]
            best = number
    since = len(values) - 1 - best
    if since >= patience:
        return Ending(f"{since} round{'s' * (since > 1)} in a row brought no better validation", best)
    return Ending(f"{most} rounds were asked for", best) if len(values) > most else None


class Rounds:
    """The rounds of a plan in their folder, in the hands of this process alone."""

    def __init__(self, plan: Plan, dialogues: Dialogues, scorer: Scorer, folder: Path) -> None:
        self.plan, self.dialogues, self.scorer, self.folder = plan, dialogues, scorer, folder
        self.tutor: tuple[Path, Tutor] | None = None  # the last one, as long as it is needed

    def run(self, told: Callable[[Path], None]) -> Ending:
        """Go on where the folder ends; `told` is called after each round that was measured."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with Lock(self.folder):
            remove_left_over(self.folder)
            write_json(self.folder / RECORD, self._record())
            return self._run(told)

    def _run(self, told: Callable[[Path], None]) -> Ending:
        asked, runs = self.plan.asked, [self.plan.run]
        measured = [self._measured(0, self.plan.run)]
        self._baselines()
        told(self.folder)
        while (end := ending(list(map(value_of, measured)), asked.number, asked.patience)) is None:
            number = len(runs)
            print(f"edu_align: round {number} of {asked.number}", flush=True)
            made = self._trained(number, runs[-1])
            if made is None:
                end = Ending(self._without_pairs(runs[-1]), best_of(measured))
                break
            runs.append(made)
            measured.append(self._measured(number, made))
            told(self.folder)
        self.tutor = None
        names = [run.path.name for run in runs]
        result = {"why": end.why, "rounds": len(runs) - 1, "best_round": end.best, "best_run": names[end.best]}
        write_json(self.folder / RESULT, {**result, "runs": names})
        told(self.folder)
        return end

    def place(self, number: int) -> Path:
        """The folder of a round."""
        place = self.folder / f"round-{number}"
        place.mkdir(exist_ok=True)
        remove_left_over(place)
        return place

    def _record(self) -> Row:
        plan, dialogues = self.plan, self.dialogues
        return {
            "run": plan.run.path.name, "base_model": plan.run.record["base_model"], "seed": plan.seed,
            "rounds": asdict(plan.asked), "trainer": asdict(plan.training.trainer), "data": dialogues.fingerprint,
            "weights": plan.asked.weights, "notes": list(dialogues.notes),
            "dialogues": {"train": len(dialogues.train), "validation": len(dialogues.validation)},
        }  # fmt: skip

    def _trained(self, number: int, start: RunFolder) -> RunFolder | None:
        """The run of a round; None where there is no pair to learn from."""
        place = self.place(number)
        name = f"{self.folder.name}-{number}"
        stored = read_stored(Path(self.plan.config.outputs_root) / "runs" / name)
        if (place / MEASURED).is_file() and stored is not None and stored.state == "finished":
            return RunFolder(stored.path, stored.record)
        if not self._pairs(number, start):
            return None
        self.tutor = None
        return train(training_config(self.plan, place / PAIRS, start.path, name))

    def _pairs(self, number: int, start: RunFolder) -> list[Row]:
        place, asked = self.place(number), self.plan.asked
        if (place / PAIRS).is_file():
            return rows_in(place / PAIRS)
        if asked.scorer == "votes":
            rows = self._voted(number)
            return stage(place / PAIRS, lambda: rows) if rows else []  # more may come
        answered = self.dialogues.of_round(number, asked)
        samples = stage(place / SAMPLES, partial(self._samples, number, start, answered))
        scores = stage(place / SCORES, partial(self._scores, answered, samples))
        return stage(place / PAIRS, partial(self._learned, answered, samples, scores))

    def _voted(self, number: int) -> list[Row]:
        """The votes that no round before has learned."""
        before = [self.place(earlier) / PAIRS for earlier in range(1, number)]
        labels = self.plan.training.trainer.reads == "labels"
        return list(vote_rows(read_votes(self.plan, "train"), used_votes(before, rows_in), labels))

    def _samples(self, number: int, start: RunFolder, answered: Sequence[Dialogue]) -> list[Row]:
        """Replies of the tutor `start`, those of a dialogue together."""
        seed, many = self.plan.seed, range(self.plan.asked.replies)
        seeds = [[reply_seed(seed, f"round {number}", one.id, each) for each in many] for one in answered]
        written = self._tutor(start).write(answered, seeds)
        return [
            {"id": one.id, "number": place, **asdict(reply)}
            for one, replies in zip(answered, written, strict=True)
            for place, reply in enumerate(replies)
        ]

    def _scores(self, answered: Sequence[Dialogue], samples: Sequence[Row]) -> list[Row]:
        by_id = {one.id: one.asked for one in answered}
        scores = self.scorer.score([row["text"] for row in samples], [by_id[row["id"]] for row in samples])
        return [
            {"id": row["id"], "number": row["number"], **scored} for row, scored in zip(samples, scores, strict=True)
        ]

    def _learned(self, answered: Sequence[Dialogue], samples: Sequence[Row], scores: Sequence[Row]) -> list[Row]:
        asked = self.plan.asked
        replies: dict[str, list[Reply]] = {}
        for row, scored in zip(samples, scores, strict=True):
            replies.setdefault(row["id"], []).append(Reply(row["text"], scored["score"]))
        make = label_rows if self.plan.training.trainer.reads == "labels" else pair_rows
        return [row for one in answered for row in make(one, replies[one.id], asked.pairs, asked.margin)]

    def _measured(self, number: int, run: RunFolder) -> Row:
        """What the validation says of a round's tutor."""
        place = self.place(number)
        if (place / MEASURED).is_file():
            found = json.loads((place / MEASURED).read_bytes())
            return dict(found)
        rows = stage(place / VALIDATION, partial(self._validation, run))
        first = rows_in(self.place(0) / VALIDATION) if number else None
        content = {"round": number, "run": run.path.name, "numbers": self._numbers(rows, first)}
        if (place / SCORES).is_file():
            content["samples"] = self._of_samples(place)
        write_json(place / MEASURED, content)
        return content

    def _validation(self, run: RunFolder) -> list[Row]:
        dialogues, seed = self.dialogues.validation, self.plan.seed
        seeds = [[reply_seed(seed, "validation", one.id, 0)] for one in dialogues]
        replies = [each[0] for each in self._tutor(run).write(dialogues, seeds)]
        scores = self.scorer.score([reply.text for reply in replies], [one.asked for one in dialogues])
        rows = rows_of(dialogues, replies, scores)
        if self.plan.asked.scorer == "votes":
            rows += agreement_rows(self.plan, self._tutor(run), read_votes(self.plan, "validation"))
        return rows

    def _of_samples(self, place: Path) -> Row:
        """Of the replies that a round learned from: their scores, and how many pairs they gave."""
        groups = {one.id: one.group for one in self.dialogues.train}
        scores = rows_in(place / SCORES)
        rows = [{"id": row["id"], "group": groups[row["id"]], "numbers": of_scores(row)} for row in scores]
        return {"learned": len(rows_in(place / PAIRS)), "replies": len(rows), "numbers": self._numbers(rows, None)}

    def _numbers(self, rows: Sequence[Row], first: Sequence[Row] | None) -> dict[str, Row]:
        given = self.plan.config.evaluation
        settings = {"seed": self.plan.seed, "samples": given.bootstrap_samples, "confidence": given.confidence}
        return numbers_of(rows, first, settings, partial(bounds_of, weights=self.plan.asked.weights))

    def _baselines(self) -> None:
        """What people said to the validation dialogues, and one reply to all of them, in the same numbers."""
        file = self.place(0) / BASELINES
        if file.is_file():
            return
        dialogues = self.dialogues.validation
        asked = [one.asked for one in dialogues]
        found = {}
        for name, texts in {"people": [one.person for one in asked], "constant reply": [CONSTANT] * len(asked)}.items():
            rows = baseline_rows(dialogues, texts, self.scorer.score(texts, asked))
            found[name] = self._numbers(rows, None)
        write_json(file, found)

    def _tutor(self, run: RunFolder) -> Tutor:
        if self.tutor is None or self.tutor[0] != run.path:
            self.tutor = None
            self.tutor = run.path, Tutor(self.plan, run)
        return self.tutor[1]

    def _without_pairs(self, tutor: RunFolder) -> str:
        asked = self.plan.asked
        if asked.scorer == "votes":
            chat = f"python -m edu_align.chat run={tutor.path.name} --compare --web votes={asked.votes}"
            return f"every vote in {asked.votes} is learned. Vote on more answers ({chat}); the same command goes on"
        return f"no two replies to a dialogue are rounds.margin={asked.margin:g} apart: nothing is left to learn from"


def value_of(measured: Row) -> float | None:
    """What a round's validation is judged by; None where nothing scores."""
    found = measured["numbers"].get(SCORE) or measured["numbers"].get(AGREEMENT)
    return None if found is None else float(found["value"])


def best_of(measured: Sequence[Row]) -> int:
    """The number of the best round so far."""
    found = ending(list(map(value_of, measured)), len(measured) - 1, len(measured))
    return found.best if found else 0


def stage(file: Path, make: Callable[[], list[Row]]) -> list[Row]:
    """The rows of a stage: those in its file, or what `make` makes, which are the file's then."""
    if not file.is_file():
        write_text(file, as_lines(make()))
    return rows_in(file)


def rows_in(file: Path) -> list[Row]:
    """Errors: the file is damaged."""
    try:
        return read_rows(file)
    except ValueError as error:
        raise UserError(f"{file} is damaged ({error}). Remove it: the same command makes it again.") from None
