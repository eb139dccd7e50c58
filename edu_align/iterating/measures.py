"""What a round's tutor does on the validation dialogues, in numbers with intervals, and against the tutor of round 0.

A score can rise because replies got better, or because the scorer is gamed. So beside the score stand numbers that no
scorer was asked for: leaks, questions, lengths, replies that come again, and how far the tutor is from its base.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any

from edu_align.evaluation.bootstrap import SHARE, Bounds, Interval, difference, interval
from edu_align.evaluation.suite.form import PANEL
from edu_align.evaluation.suite.leak import leaks, stands_in, value_of
from edu_align.iterating.dialogues import Dialogue
from edu_align.iterating.tutor import Written
from edu_align.rewards.registry import REWARDS

Row = dict[str, Any]
Settings = Mapping[str, Any]  # of `interval`: seed, samples, confidence
SCORE, KL, LEAK, QUESTION, WORDS, AGAIN = "score", "kl", "leak_rate", "question_rate", "words", "same_reply"
ONE_REWARD = "reward/"
FORM = (QUESTION, WORDS, "repetition", "empty")
UNITS = {
    SCORE: "weighed rewards", KL: "nats a reply", LEAK: "share", QUESTION: "share", WORDS: "words",
    "repetition": "share of 4-grams", "empty": "share", "cut_off": "share", AGAIN: "share", "votes_agreement": "share",
}  # fmt: skip


def rows_of(dialogues: Sequence[Dialogue], replies: Sequence[Written], scores: Sequence[Row]) -> list[Row]:
    """A row for each validation reply: what was written, its scores, and `numbers` by name as far as they have one."""
    texts = Counter(reply.text for reply in replies)
    found = []
    for one, reply, scored in zip(dialogues, replies, scores, strict=True):
        numbers = of_text(one, reply.text) | of_scores(scored)
        numbers |= {KL: reply.logp - reply.base_logp, "cut_off": float(not reply.ended)}
        numbers[AGAIN] = float(texts[reply.text] > 1)
        facts = {
            "id": one.id,
            "group": one.group,
            "seed": reply.seed,
            "student": one.asked.student,
            "reply": reply.text,
        }
        found.append(
            {**facts, "tokens": reply.tokens, "logp": reply.logp, "base_logp": reply.base_logp, "numbers": numbers}
        )
    return found


def of_text(dialogue: Dialogue, text: str) -> dict[str, float]:
    """The numbers that a text alone has: of its form, and whether it leaks an answer that the dialogue has not yet."""
    numbers = {name: PANEL[name][0](text) for name in FORM}
    gold = value_of(dialogue.asked.gold)
    if gold is not None and not stands_in(dialogue.asked.text, gold):
        numbers[LEAK] = float(leaks(text, dialogue.asked.gold))
    return numbers


def of_scores(scored: Row) -> dict[str, float]:
    """The score of a reply and each of its rewards."""
    if not scored:
        return {}
    return {SCORE: scored["score"], **{ONE_REWARD + name: value for name, value in scored["rewards"].items()}}


def bounds_of(name: str, weights: Mapping[str, float]) -> Bounds | None:
    """The least and the largest value that a number can have; None where there is none."""
    if name.startswith(ONE_REWARD):
        return _range(name.removeprefix(ONE_REWARD))
    if name == SCORE:
        ends = [(_range(each), weight) for each, weight in weights.items()]
        if any(span is None for span, _ in ends):
            return None
        both = [sorted((weight * span[0], weight * span[1])) for span, weight in ends if span]
        return sum(low for low, _ in both), sum(high for _, high in both)
    return SHARE if UNITS.get(name, "").startswith("share") else None


def _range(reward: str) -> Bounds | None:
    span = REWARDS[reward].least, REWARDS[reward].most
    return span if all(map(isfinite, span)) else None


def numbers_of(
    rows: Sequence[Row],
    first: Sequence[Row] | None,
    settings: Settings,
    bounds: Callable[[str], Bounds | None],
) -> dict[str, Row]:
    """Each number's mean with n, groups and interval and, beside `first` (the rows of round 0), the paired difference.

    `bounds`: of a number's name. A dialogue of which a number is not known is left out of that number.
    """
    names = dict.fromkeys(name for row in rows for name in row["numbers"])
    before = {row["id"]: row["numbers"] for row in first or []}  # votes may have come since
    found = {}
    for name in names:
        having = [row for row in rows if name in row["numbers"]]
        values, groups = [row["numbers"][name] for row in having], [row["group"] for row in having]
        found[name] = _as_row(interval(values, groups, bounds=bounds(name), **settings))
        both = [row for row in having if row["id"] in before]
        if both:
            now, then = [row["numbers"][name] for row in both], [before[row["id"]][name] for row in both]
            groups = [row["group"] for row in both]
            found[name]["difference"] = _as_row(difference(now, then, groups, bounds=bounds(name), **settings))
    return found


def _as_row(found: Interval) -> Row:
    """JSON has no NaN: an end that is not known is null."""
    low, high = (end if isfinite(end) else None for end in (found.low, found.high))
    return {"value": found.mean, "low": low, "high": high, "n": found.n, "groups": found.clusters}


def baseline_rows(dialogues: Sequence[Dialogue], texts: Sequence[str], scores: Sequence[Row]) -> list[Row]:
    """Rows for replies that nobody drew: what people said, or one and the same text."""
    return [
        {"id": one.id, "group": one.group, "reply": text, "numbers": of_text(one, text) | of_scores(scored)}
        for one, text, scored in zip(dialogues, texts, scores, strict=True)
    ]
