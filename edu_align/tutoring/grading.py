"""Does a reply keep the promise of its quality? Judged from the text alone, knowing nothing of moves and templates."""

import re
from collections.abc import Callable

from edu_align.records import Response
from edu_align.tutoring.text import mentions

# Signs of each tone. A reply may be encouraging without them in other corpora; here they are what to expect.
HARSH = re.compile(
    r"by now|careless|have to go over|pay attention|silly|far better|not trying|lazy|stop guessing|tired of"
    r"|embarrassing|without thinking|sloppy|ever listen",
    re.IGNORECASE,
)
KIND = re.compile(
    r"thank|appreciate|good|effort|nice|well done|did well|great|glad|honest|like|you can|well, so I|here to help|worry"
    r"|sure you|happy|keep|believe in you|is fine|what you need|agree|nothing wrong|correct|spot on|exactly right"
    r"|\bright\b|thought about",
    re.IGNORECASE,
)
ASSENT = re.compile(
    r"\bright\b|\bcorrect\b|exactly|spot on|agree|just what I have|perfect|you got it|checks out|is fine|no mistake"
    r"|every step holds|stands",
    re.IGNORECASE,
)
OBJECTION = re.compile(
    r"mistake|one problem|not |error|wrong|off\b|slip|trouble|breaks down|weak|another look|sure|\?|wonder|doubt|maybe"
    r"|may or may|cannot|before I trust|does not",
    re.IGNORECASE,
)
BROKEN = re.compile(r"[{}]|\s\s|\.\.|[?!]\.|\.[?!]|\s[,.?!;]|::|^\s|\s$|\bNone\b")

Check = Callable[[str, dict[str, str]], bool]


def _has(text: str, part: str) -> bool:
    return part.lower() in text.lower()


def _place(text: str, meta: dict[str, str]) -> bool:
    return _has(text, meta["place"])


def _other_place(text: str, meta: dict[str, str]) -> bool:
    return _has(text, meta["wrong_place"])


# What a reply of each quality must show (True) and must not show (False).
PROMISES: dict[str, tuple[tuple[str, Check, bool], ...]] = {
    "guiding": (("the place of the mistake", _place, True),),
    "hinting": (("the place of the mistake", _place, True),),
    "locating": (("the place of the mistake", _place, True),),
    "vague": (
        ("the place of the mistake", _place, False),
        ("a sign that something may be wrong", lambda text, meta: bool(OBJECTION.search(text)), True),
    ),
    "telling": (),
    "agreeing": (
        ("the place of the mistake", _place, False),
        ("the wrong answer", lambda text, meta: _has(text, meta["wrong_answer"]), True),
        ("assent", lambda text, meta: bool(ASSENT.search(text)), True),
    ),
    "misdiagnosing": (("the place of the mistake", _place, False), ("another place", _other_place, True)),
    "scolding": (("the place of the mistake", _place, True), ("harsh words", lambda t, m: bool(HARSH.search(t)), True)),
}


def _score_faults(response: Response, meta: dict[str, str]) -> list[str]:
    """Where the text disagrees with the scores that it carries."""
    text, scores = response.text, response.scores
    faults = []
    if (scores["revealing_of_the_answer"] == 0) != mentions(text, meta["answer"]):
        faults.append("the revealing score and the mention of the answer disagree")
    if (scores["tutor_tone"] == 0) != bool(HARSH.search(text)):
        faults.append("the tone score and the harsh words disagree")
    if scores["tutor_tone"] == 2 and not KIND.search(text):
        faults.append("scored as encouraging without a kind word")
    if (scores["mistake_location"] == 2) != _place(text, meta):
        faults.append("the location score and the place in the text disagree")
    if scores["mistake_identification"] == 2 and not OBJECTION.search(text):
        faults.append("scored as finding a mistake without saying so")
    return faults


def faults_of(response: Response, meta: dict[str, str]) -> list[str]:
    """Broken promises of one generated reply, in words; empty when it keeps them all.

    `meta` is that of its group and must hold `answer`, `wrong_answer`, `place` and `wrong_place`.
    """
    faults = [] if not BROKEN.search(response.text) else ["broken text"]
    if not response.text.endswith((".", "?", "!")):
        faults.append("no mark at the end")
    if response.author in ("guiding", "hinting") and mentions(response.text, meta["answer"]):
        faults.append("gives the answer away")
    for what, check, wanted in PROMISES[response.author]:
        if check(response.text, meta) != wanted:
            faults.append(f"{'lacks' if wanted else 'has'} {what}")
    return faults + _score_faults(response, meta)
