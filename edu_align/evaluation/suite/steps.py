"""Wrong solutions whose first wrong step teachers marked (StepVerify, Daheim et al. 2024, arXiv:2407.09136).

Three tasks of MathTutorBench (Macina et al. 2025, arXiv:2502.18940): is a solution right, where is its first mistake,
and what is the answer. The first two are asked by likelihood, the third is written.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edu_align.evaluation.bootstrap import SHARE, interval
from edu_align.evaluation.preference import first_place, win
from edu_align.evaluation.suite.data import Settings, SourceAbsentError, SuiteData
from edu_align.evaluation.suite.leak import value_of
from edu_align.evaluation.suite.prompts import Prompt, generate
from edu_align.evaluation.suite.results import MetricResult, Series, Subject
from edu_align.evaluation.suite.retention import ASK, NEW_TOKENS, final
from edu_align.records import Conversation, Message

WHERE = "One step of the solution is the first that is wrong. Which one? Answer with its number alone."
RIGHT = "Is this solution correct? Answer Yes or No."
ANSWERS = ("Yes", "No")
MOST = 100  # solutions that a model writes anew
_ANSWER_ONLY = re.compile(r"[^A-Za-z]*")


@dataclass(frozen=True)
class Solution:
    """A solution of a problem, its steps, and the place of the first wrong one (-1: there is none)."""

    item: str
    group: str
    problem: str
    steps: tuple[str, ...]
    wrong: int
    gold: str

    def asked(self, question: str) -> tuple[Message, ...]:
        numbered = "\n".join(f"Step {place}: {step}" for place, step in enumerate(self.steps, start=1))
        return (Message("user", f"{self.problem}\n\nA student's solution:\n{numbered}\n\n{question}"),)


def wrong_solutions(talks: Sequence[Conversation]) -> list[Solution]:
    """The students' solutions, without the last line where it holds the answer alone."""
    found = []
    for talk in talks:
        steps, wrong = talk.meta["steps"].split("\n"), int(talk.meta["incorrect_index"])
        if _ANSWER_ONLY.fullmatch(steps[-1]) and wrong < len(steps) - 1:
            steps.pop()
        name = f"{talk.source}:{talk.id}"
        found.append(Solution(name, talk.group, talk.meta["problem"], tuple(steps), wrong, talk.meta["gold_answer"]))
    return found


def right_solutions(talks: Sequence[Conversation]) -> list[Solution]:
    """The data's own solutions of the same problems, each once."""
    found: dict[str, Solution] = {}
    for talk in talks:
        steps = [line for line in talk.meta["reference"].split("\n") if not _ANSWER_ONLY.fullmatch(line)]
        name, problem = f"{talk.source}:{talk.id}:right", talk.meta["problem"]
        if steps:
            found.setdefault(problem, Solution(name, talk.group, problem, tuple(steps), -1, talk.meta["gold_answer"]))
    return list(found.values())


def mistake_step(subject: Subject, data: SuiteData, settings: Settings) -> MetricResult:
    """Share of wrong solutions whose first wrong step is the one that the model points at.

    The steps are numbered, and the number that is likeliest as an answer counts; ties count by their share.
    MathTutorBench reads a written number, also of solutions that are right. Beside it: the first, the last and the
    longest step, and chance. A mistake is often in the first steps, so the rules are strong.
    """
    asked = [one for one in wrong_solutions(data.stepverify) if len(one.steps) > 1]
    if not asked:
        raise SourceAbsentError("stepverify: no solution of this split has two steps")
    numbers = [[str(place) for place in range(1, len(one.steps) + 1)] for one in asked]
    scores = subject.score([(one.asked(WHERE), row) for one, row in zip(asked, numbers, strict=True)])
    picked = [_share([logp for logp, _ in row], one.wrong) for one, row in zip(asked, scores, strict=True)]
    rules: dict[str, Callable[[Solution], list[float]]] = {
        "chance": lambda one: [0.0] * len(one.steps),
        "first step": lambda one: [-float(place) for place in range(len(one.steps))],
        "last step": lambda one: [float(place) for place in range(len(one.steps))],
        "longest step": lambda one: [float(len(step.split())) for step in one.steps],
    }
    by_rule = {name: Series.over(asked, [_share(rule(one), one.wrong) for one in asked])
               for name, rule in rules.items()}  # fmt: skip
    return MetricResult.alike(
        "mistake_step", "StepVerify: share of wrong solutions whose first wrong step a model points at, by likelihood.",
        {"mistake_step": Series.over(asked, picked)}, "share", "higher", baselines={"mistake_step": by_rule},
    )  # fmt: skip


def _share(scores: Sequence[float], right: int) -> float:
    """1 where the right place has the highest score, shared with those that tie with it."""
    return first_place([scores[right], *scores[:right], *scores[right + 1 :]])


def solution_correctness(subject: Subject, data: SuiteData, settings: Settings) -> MetricResult:
    """Share of solutions, half of them right, that the model judges as they are.

    Yes or No, whichever is likelier; of each problem with a wrong solution the data's own is the right one, so always
    saying one word gets one half. Its F1 of finding wrong ones, as MathTutorBench counts, is in the notes: there always
    saying that it is wrong gets 2/3.
    """
    wrong, right = wrong_solutions(data.stepverify), right_solutions(data.stepverify)
    first = {one.problem: one for one in wrong}
    every = [both for one in right for both in (first[one.problem], one)]
    scores = subject.score([(one.asked(RIGHT), ANSWERS) for one in every])
    says_wrong = [_share([logp for logp, _ in row], 1) for row in scores]
    hits = [said if one.wrong >= 0 else 1 - said for one, said in zip(every, says_wrong, strict=True)]
    longer = [win(_length(one), _length(first[one.problem])) for one in right for _ in range(2)]
    by_rule = {
        "always wrong": Series.over(every, [float(one.wrong >= 0) for one in every]),
        "shorter is wrong": Series.over(every, longer),
    }
    return MetricResult.alike(
        "solution_correctness", "StepVerify: share of solutions, half of them right, that a model judges as they are.",
        {"solution_correctness": Series.over(every, hits)}, "share", "higher",
        baselines={"solution_correctness": by_rule}, notes=(_f1_note(every, says_wrong, settings.seed),),
    )  # fmt: skip


def _length(one: Solution) -> float:
    return float(sum(len(step.split()) for step in one.steps))


def _f1_note(every: Sequence[Solution], says_wrong: Sequence[float], seed: int) -> str:
    """F1 = 2 TP / (2 TP + FP + FN) is a mean whose weights depend on the model, so it is no number of the result."""
    rows = [(one, float(one.wrong >= 0), said) for one, said in zip(every, says_wrong, strict=True)]
    weights = [is_wrong + said for _, is_wrong, said in rows]
    hits = [2 * is_wrong * said / weight if weight else 0.0
            for (_, is_wrong, said), weight in zip(rows, weights, strict=True)]  # fmt: skip
    found = interval(hits, [one.group for one in every], seed=seed, weights=weights, bounds=SHARE)
    return f"F1 of finding the wrong ones {found.mean:.3f} [{found.low:.3f}, {found.high:.3f}]; always wrong 0.667."


def mistake_correction(subject: Subject, data: SuiteData, settings: Settings) -> MetricResult:
    """Share of wrong solutions after which the model's own solution comes to the right answer.

    The model sees the problem and the wrong steps, and is asked to solve it. Beside it the student's own answer, which
    is wrong, and the last number of the problem. At most 100 solutions, by the hash of their ids.
    """
    asked = [one for one in wrong_solutions(data.stepverify) if value_of(one.gold) is not None][:MOST]
    prompts = [
        Prompt(one.item, one.group, "stepverify", one.asked(f"It holds a mistake. {ASK}"), one.gold) for one in asked
    ]
    written = generate(subject, prompts, NEW_TOKENS)
    texts: dict[str, Callable[[Solution], str]] = {
        "answer of the student": lambda one: one.steps[-1],
        "last number of the problem": lambda one: one.problem,
    }

    def hits(text: Callable[[Solution], str]) -> Series:
        return Series.over(asked, [float(final(text(one)) == value_of(one.gold)) for one in asked])

    return MetricResult.alike(
        "mistake_correction", "StepVerify: share of wrong solutions after which the model's own reaches the answer.",
        {"mistake_correction": hits(lambda one: written.replies[one.item])}, "share", "higher",
        baselines={"mistake_correction": {name: hits(text) for name, text in texts.items()}},
        examples=tuple(written.row(one) | {"gold": one.gold} for one in prompts[:5]),
    )  # fmt: skip
