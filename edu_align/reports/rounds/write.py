"""report.html and report.md of rounds, under outputs_root/reports/<their name>/."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edu_align.reports import REPORTS
from edu_align.reports.html.charts import Axis, Mark, Panel, Picture, axis_over, colour
from edu_align.reports.html.page import render, write_whole
from edu_align.reports.rounds.reading import (
    AGAIN,
    AGREED,
    KL,
    LEAK,
    QUESTION,
    SCORE,
    SHOWN,
    WORDS,
    Round,
    Row,
    StoredRounds,
    read_rounds,
)
from edu_align.utils.tables import Rows, bullets, cell, markdown, one_line

HERE = Path(__file__).resolve().parent
TITLES = {
    SCORE: "Score", AGREED: "Held-out votes that the tutor agrees with", LEAK: "Replies that give the answer away",
    QUESTION: "Replies with a question", WORDS: "Words a reply", KL: "KL to the base, nats a reply",
    AGAIN: "Replies given to another dialogue, too", "repetition": "Repeated phrases", "empty": "Empty replies",
    "cut_off": "Replies cut off at the most tokens",
}  # fmt: skip
DRAWN = (SCORE, AGREED, LEAK, QUESTION, WORDS, KL, AGAIN)
# What moves when a score is gamed, and the way that it moves then.
SIGNS = (
    (WORDS, -1, "shorter"), (AGAIN, 1, "more alike"), (QUESTION, -1, "without questions"), ("empty", 1, "empty"),
    ("repetition", 1, "more repetitive"), (LEAK, 1, "giving more away"), ("cut_off", 1, "cut off more often"),
)  # fmt: skip


def write_rounds(folder: Path, outputs: Path) -> Path:
    """Write the page of the rounds in `folder`, finished or not; returns report.html."""
    found = read_rounds(folder)
    place = outputs / REPORTS / folder.name
    write_whole(place, {"report.html": page(found), "report.md": as_markdown(found)})
    return place / "report.html"


def page(found: StoredRounds) -> str:
    """The whole page as HTML; what a model or a data set says is escaped."""
    return render(
        HERE,
        title=f"Rounds of {found.record['run']}",
        headline=headline(found),
        facts=facts(found),
        picture=picture(found),
        table=table(found),
        gaps=gaps(found),
        findings=findings(found),
        rewards=samples_table(found),
        dialogues=dialogues(found),
        extremes=extremes(found),
        notes=found.record["notes"],
        runs=[
            ["round", "run", "pairs learned"],
            *([str(r.number), r.run, str(r.learned or "-")] for r in found.rounds),
        ],
    )


def as_markdown(found: StoredRounds) -> str:
    """The text of report.md; what comes from outside cannot break the table or become HTML."""
    lines = [
        f"# Rounds of {one_line(found.record['run'])}",
        "",
        one_line(headline(found)),
        "",
        one_line(facts(found)),
        "",
    ]
    lines += [*markdown(table(found)), "", "## Against round 0", "", *markdown(gaps(found)), ""]
    lines += ["## What to look at", "", *bullets(findings(found)), "", "Replies and pictures are in report.html."]
    return "\n".join(lines) + "\n"


def headline(found: StoredRounds) -> str:
    """What the rounds came to, in a sentence that claims no more than the interval."""
    judged = SCORE if SCORE in found.rounds[0].numbers else AGREED
    result = found.result
    best = found.rounds[result["best_round"]] if result else found.rounds[-1]
    said = f"Best is round {best.number}" if result else f"Round {best.number} is the newest; they are not at their end"
    row = best.numbers.get(judged)
    gap = (row or {}).get("difference")
    if gap is None:
        return f"{said}." + (f" {TITLES[judged]} {cell(row)}." if row else "")
    shown = "told from 0" if excludes_0(gap) else "not told from 0: no gain was shown"
    return f"{said}: {TITLES[judged].lower()} {cell(row)}, against round 0 {cell(gap, '+')}, {shown}."


def facts(found: StoredRounds) -> str:
    record, asked = found.record, found.record["rounds"]
    weights = ", ".join(f"{name} {weight:g}" for name, weight in record["weights"].items()) or "people's votes"
    ended = f" Ended: {found.result['why']}." if found.result else ""
    return (
        f"Scored by {asked['scorer']} ({weights}), learned by {record['trainer']['algorithm']}, {asked['replies']} "
        f"replies to {asked['prompts']} dialogues a round at temperature {asked['temperature']:g}; measured on "
        f"{len(found.rounds[0].validation)} validation dialogues.{ended}"
    )


def excludes_0(gap: Mapping[str, Any]) -> bool:
    """Whether an interval is there and holds no 0."""
    return gap["low"] is not None and (gap["low"] > 0 or gap["high"] < 0)


def named(name: str) -> str:
    """A number in words; a single reward by its own name."""
    return TITLES.get(name, name)


def table(found: StoredRounds) -> Rows:
    """Number by round with intervals, then what people and a constant reply have on the same dialogues."""
    rows = [["number", "n", *(f"round {each.number}" for each in found.rounds), *found.baselines]]
    for name in found.names:
        values = [each.numbers.get(name) for each in found.rounds]
        counts = dict.fromkeys(f"{row['n']} ({row['groups']})" for row in values if row)
        others = [cell(numbers.get(name)) for numbers in found.baselines.values()]
        rows.append([named(name), " / ".join(counts), *map(cell, values), *others])
    return rows


def gaps(found: StoredRounds) -> Rows:
    """The paired differences to round 0; a star marks an interval without 0."""
    rows = [["number", *(f"round {each.number}" for each in found.rounds[1:])]]
    for name in found.names if found.rounds[1:] else []:
        found_gaps = [each.numbers.get(name, {}).get("difference") for each in found.rounds[1:]]
        rows.append([named(name), *(cell(gap, "+") + " *" * bool(gap and excludes_0(gap)) for gap in found_gaps)])
    return rows


def samples_table(found: StoredRounds) -> Rows:
    """The scores of the replies that each round learned from: those of its training dialogues."""
    names = dict.fromkeys(name for each in found.rounds for name in each.samples)
    rows = [["of the replies learned from", *(f"round {each.number}" for each in found.rounds[1:])]]
    return [*rows, *([named(name), *(cell(each.samples.get(name)) for each in found.rounds[1:])] for name in names)]


def findings(found: StoredRounds) -> list[str]:
    """What moved from round 0 to the last one, as far as an interval carries it, and what a gamed score would move."""
    last = found.rounds[-1]
    if not last.number:
        return ["There is round 0 alone so far: nothing to compare."]
    score = last.numbers.get(SCORE, {}).get("difference")
    rose = score is not None and excludes_0(score) and score["value"] > 0
    lines = []
    for name, way, words in SIGNS:
        gap = last.numbers.get(name, {}).get("difference")
        if gap and excludes_0(gap) and gap["value"] * way > 0:
            also = "The score rose, and replies are" if rose else "Replies are"
            lines.append(f"{also} {words}: {named(name).lower()} {cell(gap, '+')} against round 0.")
    if score is not None and not rose:
        lines.append(f"No rise of the score was shown: {cell(score, '+')} against round 0.")
    if rose and not lines:
        lines.append("The score rose, and none of the signs of a gamed score moved as far as its interval can tell.")
    lines.append(
        "The same validation chose the best round, which makes its numbers too good; the test part was not read. The "
        "KL is the mean log-ratio of the tutor's own replies under the tutor and under its base."
    )
    return lines


def picture(found: StoredRounds) -> Picture:
    """Each number over the rounds with its interval, and people's value as a line across."""
    last = found.rounds[-1].number
    x = Axis("round", 0.0, float(max(last, 1)))
    panels = []
    for name in (name for name in DRAWN if name in found.names):
        rows = [(float(each.number), each.numbers[name]) for each in found.rounds if name in each.numbers]
        people = found.baselines.get("people", {}).get(name)
        ends = [end for _, row in rows for end in (row["value"], row["low"], row["high"]) if end is not None]
        marks = [Mark([(at, row["value"]) for at, row in rows], colour(0), f"{named(name)}, mean")]
        marks += [
            Mark([(at, row["low"]), (at, row["high"])], colour(0), f"round {at:g}: {cell(row)}")
            for at, row in rows
            if row["low"] is not None
        ]
        marks += [Mark([(at, row["value"])], colour(0), f"round {at:g}: {cell(row)}") for at, row in rows]
        if people:
            marks.append(Mark([(x.low, people["value"]), (x.high, people["value"])], "c0", f"people: {cell(people)}"))
        values = [*ends, *([people["value"]] if people else [])]
        panels.append(Panel(named(name), x, axis_over("mean with its interval", values), marks))
    legend = [(colour(0), "the round's tutor"), ("c0", "people's replies")]
    return Picture(
        "Round by round", "Validation dialogues, one reply each; upright lines are intervals.", panels, legend
    )


def dialogues(found: StoredRounds) -> list[dict[str, Any]]:
    """The first validation dialogues, with what each round's tutor replied."""
    shown = found.rounds[0].validation[:SHOWN]
    by_round = [{row["id"]: row for row in each.validation} for each in found.rounds]
    return [
        {
            "id": row["id"],
            "student": row.get("student", ""),
            "replies": [
                (f"round {each.number}", rows[row["id"]]["reply"], _score_text(rows[row["id"]]["numbers"].get(SCORE)))
                for each, rows in zip(found.rounds, by_round, strict=True)
                if row["id"] in rows
            ],
        }
        for row in shown
    ]


def extremes(found: StoredRounds) -> list[tuple[str, list[Row]]]:
    """The replies that the scorer liked most and least in the last round that learned: where it is gamed, it shows."""
    learned = [each for each in found.rounds if any("score" in row for row in each.replies)]
    if not learned:
        return []
    last: Round = learned[-1]
    order: Sequence[Row] = sorted(last.replies, key=lambda row: -row["score"])
    parts = (("highest", order[:SHOWN]), ("lowest", order[-SHOWN:]))
    return [
        (
            f"The {word} scores of round {last.number}",
            [{"reply": r["text"], "score": _score_text(r["score"])} for r in rows],
        )
        for word, rows in parts
    ]


def _score_text(score: float | None) -> str:
    return "" if score is None else f"{score:.3f}"
