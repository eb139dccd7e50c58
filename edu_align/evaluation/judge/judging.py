"""Two models' replies to the same prompts, compared by the judge, which is held against people's labels first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edu_align.evaluation.baselines import pair_rules
from edu_align.evaluation.judge.agreement import agreement
from edu_align.evaluation.judge.answers import LEFT, RIGHT, Contest, Verdict, order_notes, verdicts
from edu_align.evaluation.judge.rubric import DIMENSIONS, REVEALING, TIE
from edu_align.evaluation.judge.settings import JudgeSettings
from edu_align.evaluation.preference import win
from edu_align.evaluation.suite.data import SourceAbsentError
from edu_align.evaluation.suite.prompts import Prompt
from edu_align.evaluation.suite.replies import answered
from edu_align.evaluation.suite.results import MetricResult, Series
from edu_align.evaluation.suite.run import IN_RUN, Suite
from edu_align.models.chat_template import as_chat
from edu_align.records import Response, ResponseGroup
from edu_align.utils.errors import UserError
from edu_align.utils.files import write_json
from edu_align.utils.hashing import sha256

EXAMPLES = 20  # rows for people
Rows = list[tuple[str, str, float, float]]  # item, group, value, weight


def judge(
    subject_replies: Sequence[str],
    others: Mapping[str, Sequence[str]],
    prompts: Sequence[Prompt],
    settings: JudgeSettings,
) -> MetricResult:
    """How often the judge likes the subject's reply better than another model's, and its labels of both.

    Replies are in the order of `prompts`; `others` maps a model's label to its replies. At most `settings.pairs`
    prompts are judged, the same for every model. Equal replies are a tie without a question. Baselines are rules that
    pick one of the same two replies. Raises UserError for lists of unequal length.
    """
    chosen = _chosen(prompts, {"the subject": subject_replies, **others}, settings.pairs)
    measured: dict[str, Series] = {}
    baselines: dict[str, dict[str, Series]] = {}
    notes: list[str] = []
    examples: list[dict[str, Any]] = []
    for label, texts in others.items():
        contests = [
            Contest(prompts[i].item, prompts[i].group, prompts[i].turns, prompts[i].gold, subject_replies[i], texts[i])
            for i in chosen
        ]
        judged, remarks = _compare(settings, label, contests)
        if not judged:
            notes += remarks
            continue
        name = f"preferred/{label}"
        measured[name], baselines[name] = _preferred(judged)
        graded = [one for one in judged if isinstance(one, Verdict)]
        for dimension in DIMENSIONS if graded else ():
            measured[f"{dimension}/{label}"] = _labelled(graded, LEFT, dimension)
            baselines[f"{dimension}/{label}"] = {label: _labelled(graded, RIGHT, dimension)}
        values = measured[name].values
        share = f"{sum(values) / len(values):.3f} of {len(values)} prompts (0.5 is no difference)"
        notes += [*remarks, f"{name}: {share}."]
        examples += [_row(one, label) for one in graded[:EXAMPLES]]
    revealing = {name for name in measured if name.startswith(REVEALING)}
    graded_names = {name for name in measured if not name.startswith("preferred/")} - revealing
    return MetricResult(
        "judge",
        f"{settings.model} compares two replies in both orders: 1 where the subject's is better, 1/2 for a tie or "
        "where the order decided; labels are means of 0 to 2 points (revealing_answer: share).",
        measured,
        baselines,
        {name: "of 2 points" if name in graded_names else "share" for name in measured},
        {name: "lower" if name in revealing else "higher" for name in measured},
        tuple(notes),
        tuple(examples),
    )


def _chosen(prompts: Sequence[Prompt], replies: Mapping[str, Sequence[str]], limit: int) -> list[int]:
    """At most `limit` places in `prompts`, those of the smallest hash. Errors: lists of unequal length."""
    for label, texts in replies.items():
        if len(texts) != len(prompts):
            raise UserError(f"The judge needs one reply of {label} a prompt, got {len(texts)} for {len(prompts)}.")
    return sorted(range(len(prompts)), key=lambda i: sha256(prompts[i].item))[:limit]


def _compare(
    settings: JudgeSettings, label: str, contests: Sequence[Contest]
) -> tuple[list[Verdict | Contest], list[str]]:
    """Verdicts, and the contests of equal replies as they are, in the order of the contests; and notes."""
    differ = [one for one in contests if one.left != one.right]
    found, tally = verdicts(settings, differ) if differ else ([], None)
    by_item = {verdict.contest.item: verdict for verdict in found}
    judged: list[Verdict | Contest] = []
    for one in contests:
        if one.left == one.right:
            judged.append(one)
        elif one.item in by_item:
            judged.append(by_item[one.item])
    same = len(contests) - len(differ)
    notes = [f"{label}: {same} of {len(contests)} pairs of replies are equal and count as ties."] if same else []
    notes += order_notes(found)
    return judged, [*notes, tally.line(settings)] if tally else notes


def _preferred(judged: Sequence[Verdict | Contest]) -> tuple[Series, dict[str, Series]]:
    rows: dict[str, Rows] = {"": []}
    for one in judged:
        contest = one if isinstance(one, Contest) else one.contest
        winner = TIE if isinstance(one, Contest) else one.winner
        rows[""].append((contest.item, contest.group, 0.5 if winner == TIE else float(winner == LEFT), 1.0))
        both = (Response(contest.left, 0.0), Response(contest.right, 0.0))
        group = ResponseGroup(contest.turns, both, contest.item, "judge", contest.group)
        for name, rule in pair_rules(None).items():
            rows.setdefault(name, []).append((contest.item, contest.group, win(*rule(group)), 1.0))
    series = {name: Series.of(found) for name, found in rows.items()}
    return series.pop(""), series


def _labelled(judged: Sequence[Verdict], side: str, dimension: str) -> Series:
    return Series.of([(v.contest.item, v.contest.group, v.points(side, dimension), 1.0) for v in judged])


def _row(verdict: Verdict, label: str) -> dict[str, Any]:
    contest, names = verdict.contest, {LEFT: "subject", RIGHT: label, TIE: TIE}
    row = {"item": contest.item, "prompt": as_chat(contest.turns), "reply": contest.left, label: contest.right}
    return {**row, "verdicts": [names[winner] for winner in verdict.winners]}


@dataclass(frozen=True)
class SuiteJudge:
    """The judge of a suite and how far it agrees with people. Make it with `of`, which asks about that first."""

    suite: Suite
    settings: JudgeSettings
    agreed: MetricResult

    @classmethod
    def of(cls, suite: Suite, settings: JudgeSettings) -> "SuiteJudge":
        """Hold the judge against the human labels of MRBench's measured split, and print how far it agrees.

        Raises UserError for a suite of one model, where MRBench is not there, and for an endpoint that does not answer.
        """
        if len(suite.subjects) < 2:
            raise UserError(
                "`evaluation.judge` compares a trained model with the one that it started from, got "
                f"{suite.subjects[0].label} alone. Give run=<run>, or adapter=<folder> beside model."
            )
        try:
            labelled = suite.data.mrbench
        except SourceAbsentError as absent:
            raise UserError(
                f"`evaluation.judge` is held against the human labels of MRBench first ({absent}). Give data_root a "
                "folder with mrbench/."
            ) from None
        agreed = agreement(settings, labelled, suite.settings.margin, _training(suite))
        _print_notes(agreed)
        return cls(suite, settings, agreed)

    def ask(self) -> dict[str, MetricResult]:
        """The last model's replies to MRBench's dialogues beside every other model's, by metric; also in its run."""
        suite = self.suite
        by_model = {one.label: answered(one, suite.data, suite.settings) for one in suite.subjects}
        prompts = [one for one in next(iter(by_model.values())).prompts if one.source == "mrbench"]
        replies = {label: [generated.replies[one.item] for one in prompts] for label, generated in by_model.items()}
        for subject in suite.subjects:
            subject.release()
        judged = judge(replies.pop(suite.subjects[-1].label), replies, prompts, self.settings)
        _print_notes(judged)
        results = {result.metric: result for result in (self.agreed, judged)}
        if suite.run is not None:
            (suite.run / IN_RUN).mkdir(exist_ok=True)
            content = {"model": self.settings.model} | {name: result.as_json() for name, result in results.items()}
            write_json(suite.run / IN_RUN / f"judge-{suite.settings.split}.json", content)
        return results


def _training(suite: Suite) -> list[ResponseGroup] | None:
    try:
        return suite.data.mrbench_training
    except SourceAbsentError:
        return None


def _print_notes(result: MetricResult) -> None:
    for note in result.notes:
        print(f"edu_align: {note}", flush=True)
