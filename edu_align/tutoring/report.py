"""The numbers of the corpus as Markdown, for the terminal and for the data card."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from edu_align.records import ResponseGroup
from edu_align.tutoring.measure import kinds, pairs, rates
from edu_align.tutoring.splits import SPLITS

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
