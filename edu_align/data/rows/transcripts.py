"""Dialogues that are one text: "\\n\\nHuman: 2 + 3?\\n\\nAssistant: What is 2 + 2?" """

import re
from collections.abc import Sequence

from edu_align.data.rows.words import ROLES, plain

_NAMES = "|".join(sorted((name.replace("_", "[- _]") for name in ROLES), key=len, reverse=True))
_LINE = re.compile(rf"^[ \t]*(?P<name>{_NAMES})[ ]*:", re.IGNORECASE | re.MULTILINE)
_HASHES = re.compile(rf"#{{2,4}}[ ]*(?P<name>{_NAMES})[ ]*:", re.IGNORECASE)  # wherever it stands

Mark = re.Match[str]


def split_transcript(text: str) -> list[tuple[str, str]] | None:
    """(role, text) of the turns of a text that is a dialogue, or None for any other text.

    It begins with a speaker, and the other side speaks in it, or an empty line stands before the speaker, as in HH
    (Bai et al. 2022). A turn begins where one of these two speakers stands, spelled alike, behind an empty line; where
    the other side never does, behind a line's end; and anywhere in "### Human: ... ### Assistant: ...". A last
    assistant turn without text is an open one, and goes.
    """
    begin = len(text) - len(text.lstrip())
    hashes = text.startswith("##", begin)
    marks = list((_HASHES if hashes else _LINE).finditer(text))
    if not marks or text[: marks[0].start("name")].strip("# \t\r\n"):
        return None
    apart = marks if hashes else [marks[0], *(mark for mark in marks[1:] if _behind_empty_line(text, mark))]
    found = next((some for some in (apart, marks) if len(_speakers(some)) > 1), apart)
    speakers = _speakers(found)
    if len(speakers) < 2 and not hashes and text[:begin].count("\n") < 2:
        return None
    turns = _turns(text, [mark for mark in found if mark["name"] in speakers])
    if turns[-1][0] == "assistant" and not turns[-1][1]:
        turns.pop()
    return turns or None


def _behind_empty_line(text: str, mark: Mark) -> bool:
    at, breaks = mark.start() - 1, 0
    while at >= 0 and text[at].isspace() and breaks < 2:
        breaks += text[at] == "\n"
        at -= 1
    return breaks == 2


def _speakers(marks: Sequence[Mark]) -> list[str]:
    """The first name of each side; a system text counts where it stands first."""
    found: dict[str, str] = {}
    for mark in marks:
        found.setdefault(ROLES[plain(mark["name"])], mark["name"])
    return [name for role, name in found.items() if role != "system" or name == marks[0]["name"]]


def _turns(text: str, marks: Sequence[Mark]) -> list[tuple[str, str]]:
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    return [(ROLES[plain(mark["name"])], text[mark.end() : end].strip()) for mark, end in zip(marks, ends, strict=True)]
