"""What a row says of a single reply: a label in any of its spellings, a score, or a vote of the chat.

{"prompt": "2 + 3?", "reply": "What is 2 + 2?", "label": true}       yes, up, good, 1 ... are good, their opposites bad
{"prompt": "2 + 3?", "reply": "5", "score": 2}                       good from `dataset.threshold` on
{"vote": "left", "prompt": [...], "responses": [...]}                the preferred answer good, the other one bad
{"vote": "both_bad", "prompt": [...], "unranked": [...]}             both bad; of a tie, nobody knows
"""

from typing import Any

from edu_align.data.readers import finite
from edu_align.data.rows.columns import Cells, is_blank, number_in
from edu_align.data.rows.words import RowError, plain
from edu_align.records import Response
from edu_align.utils.words import brief

LABEL = "label"  # among the scores of a reply that somebody labelled: 1 good, 0 bad
GOOD = (
    "true", "yes", "y", "up", "1", "1.0", "+1", "good", "positive", "desirable", "like", "liked", "upvote", "thumbs_up",
    "chosen", "correct", "ja", "gut", "\N{THUMBS UP SIGN}",
)  # fmt: skip
BAD = (
    "false", "no", "n", "down", "0", "0.0", "bad", "negative", "undesirable", "dislike", "disliked",
    "downvote", "thumbs_down", "rejected", "incorrect", "wrong", "nein", "schlecht", "\N{THUMBS DOWN SIGN}",
)  # fmt: skip
VOTES = ("left", "right", "tie", "both_bad", "good", "bad")  # of `chatting.arena`


def is_vote(cells: Cells) -> bool:
    """Whether a row is a line of the chat's file of votes."""
    vote = cells.row.data.get("vote")
    return isinstance(vote, str) and vote in VOTES and (cells.has("responses") or cells.has("unranked"))


def has_label(cells: Cells) -> bool:
    """Whether a row holds one reply, and a label or a score of it."""
    replies = cells.has("completion") or cells.has("messages")
    return replies and (cells.has("label") or cells.has("score"))


def voted(cells: Cells) -> list[Response]:
    """The answers of a vote with their labels. Raises RowError for a tie, which says nothing of either."""
    vote, (ranked, _), (unranked, place) = cells.row.data["vote"], cells.get("responses"), cells.get("unranked")
    cells.get("label")
    if vote == "tie":
        raise RowError("a tie, which labels neither answer", cells.place)
    answers = ranked or [{**answer, "score": 0} for answer in unranked or [] if isinstance(answer, dict)]
    try:
        return [
            Response(
                str(each["text"]), float(each["score"]), {LABEL: float(each["score"])}, str(each.get("author", ""))
            )
            for each in answers
        ]
    except (LookupError, TypeError, ValueError):
        raise RowError("a vote without its answers", place) from None


def label_of(cells: Cells) -> tuple[bool | None, float]:
    """A row's label, None where it has a score only, and its score: 1 or 0 of a label.

    Raises RowError for a row with neither, and for values that are none.
    """
    label, place = cells.get("label")
    if not is_blank(label):
        good = _truth(label)
        if good is None:
            raise RowError("a label that is neither good nor bad", place, f"got {brief(label)}, write true or false")
        return good, float(good)
    value, place = cells.get("score")
    if is_blank(value):
        raise RowError("no label and no score", cells.place)
    number = None if isinstance(value, bool) else finite(number_in(value))
    if number is None:
        raise RowError("a score that is no number", place, f"got {brief(value)}")
    return None, float(number)


def _truth(label: Any) -> bool | None:
    """A label as a truth value; None for what is none, other numbers than 1, 0 and -1 among it."""
    if isinstance(label, bool):
        return label
    if number_in(label) == -1:
        return False
    word = plain(str(label)) if isinstance(label, str | int | float) else ""
    return True if word in GOOD else False if word in BAD else None
