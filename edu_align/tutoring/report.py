"""The numbers of the corpus as Markdown, for the terminal and for the data card."""

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from random import Random

from edu_align.records import Pair, ResponseGroup, pairs_of
from edu_align.tutoring.splits import SPLITS

Rule = Callable[[str, ResponseGroup], float]
_WORDS = re.compile(r"[a-z']+|[^\sa-z]")


def words(text: str) -> list[str]:
    """Lower case words and single other marks, in order."""
    return _WORDS.findall(text.lower())


@lru_cache(maxsize=200_000)
def _bag(text: str) -> dict[str, None]:
    """The different words of a text in alphabetical order, so that sums over them do not depend on hashing."""
    return dict.fromkeys(sorted(set(words(text))))


def _overlap(text: str, group: ResponseGroup) -> float:
    asked = set().union(*(_bag(message.content) for message in group.prompt))
    reply = words(text)
    return sum(word in asked for word in reply) / len(reply)


# Each rule prefers the reply with the larger value; equal values count half.
RULES: dict[str, Rule] = {
    "more words wins": lambda text, group: len(text.split()),
    "question mark wins": lambda text, group: float("?" in text),
    "ends with a question wins": lambda text, group: float(text.endswith("?")),
    "more digits wins": lambda text, group: sum(letter.isdigit() for letter in text),
    "more words of the prompt wins": _overlap,
}


def pairs(groups: Sequence[ResponseGroup], margin: float) -> list[Pair]:
    """Every pair of the groups whose scores differ by at least `margin`."""
    return [pair for group in groups for pair in pairs_of(group, margin)]


def accuracy(found: Sequence[Pair], rule: Rule) -> float:
    """Share of the pairs in which `rule` prefers the chosen reply, ties as half; nan for no pair."""
    won = 0.0
    for pair in found:
        replies = pair.group.responses
        good, bad = (rule(replies[place].text, pair.group) for place in (pair.chosen, pair.rejected))
        won += 1.0 if good > bad else 0.5 if good == bad else 0.0
    return won / len(found) if found else math.nan


def word_weights(found: Sequence[Pair], seed: int = 0, rate: float = 0.1) -> dict[str, float]:
    """Weights of a bag-of-words Bradley-Terry model, fitted to the pairs by one pass of gradient steps.

    Bradley & Terry (1952): P(chosen beats rejected) = sigmoid(w . (words in chosen - words in rejected)). A word counts
    once a reply.
    """
    weights: defaultdict[str, float] = defaultdict(float)
    order = list(found)
    Random(seed).shuffle(order)
    for pair in order:
        replies = pair.group.responses
        good, bad = _bag(replies[pair.chosen].text), _bag(replies[pair.rejected].text)
        more, less = [word for word in good if word not in bad], [word for word in bad if word not in good]
        gap = sum(weights[word] for word in more) - sum(weights[word] for word in less)
        step = rate / (1.0 + math.exp(min(gap, 700.0)))
        for word in more:
            weights[word] += step
        for word in less:
            weights[word] -= step
    return dict(weights)


def bag_of_words(groups: Sequence[ResponseGroup], margin: float) -> Rule:
    """The rule of a bag-of-words model that was fitted to the train split of `groups`."""
    weights = word_weights(pairs([group for group in groups if group.meta["split"] == "train"], margin))
    return lambda text, group: sum(weights.get(word, 0.0) for word in _bag(text))


def rates(groups: Sequence[ResponseGroup], margin: float) -> dict[str, dict[str, float]]:
    """Accuracy of every rule (rule -> part -> share) on the generated groups of each split and on the hand-written."""
    maths = [group for group in groups if group.meta["misconception"]]
    rules = {**RULES, "bag of words, fitted on train": bag_of_words(maths, margin)}
    parts = {split: pairs([group for group in maths if group.meta["split"] == split], margin) for split in SPLITS}
    parts["hand-written"] = pairs([group for group in groups if not group.meta["misconception"]], margin)
    return {name: {part: accuracy(found, rule) for part, found in parts.items()} for name, rule in rules.items()}


def kinds(groups: Sequence[ResponseGroup]) -> dict[str, tuple[int, float, float]]:
    """Each quality's number of replies, mean score (0 to 12) and mean length in words, best first."""
    found: dict[str, list[tuple[float, int]]] = {}
    for group in groups:
        for reply in group.responses:
            found.setdefault(reply.author, []).append((reply.score, len(reply.text.split())))
    table = {
        kind: (len(rows), sum(row[0] for row in rows) / len(rows), sum(row[1] for row in rows) / len(rows))
        for kind, rows in found.items()
    }
    return dict(sorted(table.items(), key=lambda item: (-item[1][1], item[0])))


CARD = Path(__file__).parent / "DATA_CARD.md"
START, END = "<!-- numbers: start -->", "<!-- numbers: end -->"


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _of(groups: Sequence[ResponseGroup], **wanted: str) -> list[ResponseGroup]:
    return [group for group in groups if all(group.meta[key] == value for key, value in wanted.items())]


def _counts(maths: Sequence[ResponseGroup], margin: float) -> str:
    rows: list[tuple[object, ...]] = []
    for split in SPLITS:
        part = _of(maths, split=split)
        turns = sum(len(group.prompt) > 1 for group in part)
        replies = sum(len(group.responses) for group in part)
        used = len({group.group for group in part})
        rows.append((split, len(part), used, turns, replies, len(pairs(part, margin))))
    return _table(("split", "groups", "misconceptions", "with earlier turns", "replies", "pairs"), rows)


def _areas(groups: Sequence[ResponseGroup]) -> str:
    areas = sorted({group.meta["area"] for group in groups})
    rows = [(area, *(len(_of(groups, area=area, split=split)) for split in SPLITS)) for area in areas]
    return _table(("area", *SPLITS), rows)


def _kinds(maths: Sequence[ResponseGroup]) -> str:
    rows = [(kind, n, f"{score:.2f}", f"{length:.1f}") for kind, (n, score, length) in kinds(maths).items()]
    return _table(("quality", "replies", "mean score", "mean words"), rows)


def _rates(groups: Sequence[ResponseGroup], margin: float) -> str:
    rows = [(rule, *(f"{share:.3f}" for share in parts.values())) for rule, parts in rates(groups, margin).items()]
    return _table(("rule", *SPLITS, "hand-written"), rows)


def numbers(groups: Sequence[ResponseGroup], seed: int, margin: float = 2.0) -> str:
    """Counts by split, area and quality, and the accuracy of trivial rules on pairs of at least `margin`."""
    maths = [group for group in groups if group.meta["misconception"]]
    written = [group for group in groups if not group.meta["misconception"]]
    parts = (
        f"Generated: {len(maths)} groups (seed {seed}). Hand-written: {len(written)} groups. Pairs: margin {margin:g}.",
        _counts(maths, margin),
        "Generated groups by area:",
        _areas(maths),
        "Hand-written groups by subject:",
        _areas(written),
        "Generated replies by quality (score from 0 to 12):",
        _kinds(maths),
        f"Share of pairs at margin {margin:g} that a trivial rule gets right (0.500 is chance):",
        _rates(groups, margin),
    )
    return "\n\n".join(parts)


def with_numbers(card: str, block: str) -> str:
    """The text of a card with `block` between its two number marks, in place of what stood there."""
    before, rest = card.split(START)
    return f"{before}{START}\n{block}\n{END}{rest.split(END)[1]}"


def shown(group: ResponseGroup) -> str:
    """One group as plain text: its turns, and its replies from best to worst with their scores."""
    lines = [f"{group.id} ({group.meta['area']}, {group.meta['split']})"]
    lines += [f"  [{message.role}] {message.content}".replace("\n", "\n    ") for message in group.prompt]
    for reply in sorted(group.responses, key=lambda reply: -reply.score):
        lines.append(f"  {reply.score:4.0f} {reply.author}: {reply.text}")
    return "\n".join(lines)
