"""Dialogues that are one text: "\\n\\nHuman: 2 + 3?\\n\\nAssistant: What is 2 + 2?" """

import re

from edu_align.data.rows.words import ROLES, plain

_NAMES = "|".join(sorted((name.replace("_", "[- _]") for name in ROLES), key=len, reverse=True))
_FIRST = re.compile(rf"(?P<before>\s*)(?P<hashes>#{{2,4}}[ ]*)?(?P<name>{_NAMES})[ ]*:", re.IGNORECASE)
_BREAKS = (r"\n[ \t]*\n\s*", r"\n[ \t]*")  # turns are apart by an empty line, else by a line's end


def split_transcript(text: str) -> list[tuple[str, str]] | None:
    """(role, text) of the turns of a text that is a dialogue, or None for any other text.

    It begins with a speaker, and the other side speaks in it, or an empty line stands before the speaker, as in HH
    (Bai et al. 2022). A turn begins where one of these two speakers stands, spelled alike, behind an empty line; where
    the other side never does, behind a line's end; and anywhere in "### Human: ... ### Assistant: ...". A last
    assistant turn without text is an open one, and goes.
    """
    first = _FIRST.match(text)
    if first is None:
        return None
    hashes = bool(first["hashes"])
    strict = hashes or first["before"].count("\n") >= 2
    breaks = (r"\s*",) if hashes else _BREAKS
    found = [(between, _speakers(text, first["name"], between, hashes)) for between in breaks]
    between, speakers = next((pair for pair in found if len(pair[1]) > 1), found[0])
    if len(speakers) < 2 and not strict:
        return None
    turns = _turns(text, _mark(between, "|".join(map(re.escape, speakers)), hashes))
    if ROLES[plain(turns[-1][0])] == "assistant" and not turns[-1][1]:
        turns.pop()
    return [(ROLES[plain(name)], said) for name, said in turns] or None


def _mark(between: str, names: str, hashes: bool, flags: int = 0) -> re.Pattern[str]:
    before = r"#{2,4}[ ]*" if hashes else ""
    return re.compile(rf"(?:\A\s*|{between}){before}(?P<name>{names})[ ]*:", flags)


def _speakers(text: str, first: str, between: str, hashes: bool) -> list[str]:
    """The first speaker, a user behind a system text, and the first one of each other side."""
    found = {ROLES[plain(first)]: first}
    for match in _mark(between, _NAMES, hashes, re.IGNORECASE).finditer(text):
        found.setdefault(ROLES[plain(match["name"])], match["name"])
    sides = {role: name for role, name in found.items() if role != "system" or name == first}
    return list(sides.values())


def _turns(text: str, mark: re.Pattern[str]) -> list[tuple[str, str]]:
    marks = list(mark.finditer(text))
    ends = [match.start() for match in marks[1:]] + [len(text)]
    return [(match["name"], text[match.end() : end].strip()) for match, end in zip(marks, ends, strict=True)]
