"""The encoding of a text file, which nobody wrote down: told by marks and by trial, else guessed, else refused.

A wrong guess trains on other letters than were written, so it has to be the only one that makes sense, and is said.
`Found` is what every reader of a file format gives."""

import codecs
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from edu_align.utils.errors import UserError
from edu_align.utils.words import brief, in_shell

LOOKED_AT = 2**24  # bytes from which the encoding of a file is told
GUESSED_FROM = 2**16  # bytes of lines with other letters than ASCII that charset-normalizer looks at
KANA = 0.1  # share of kana from which a text is Japanese
LEAD, CLEAR = 0.015, 0.1  # by which its best guess has to lead the next: in mess, or in how well letters fit a language

_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16",
}  # fmt: skip
# Python's name -> that of iconv, with which people convert
_GUESSES = {
    "cp1252": "CP1252", "cp1250": "CP1250", "iso8859_2": "ISO-8859-2", "cp1251": "CP1251", "koi8_r": "KOI8-R",
    "cp1253": "CP1253", "cp1254": "CP1254", "cp1255": "CP1255", "cp1256": "CP1256", "cp932": "CP932",
    "euc_jp": "EUC-JP", "gb18030": "GB18030", "big5": "BIG5", "cp949": "CP949", "mac_roman": "MACINTOSH",
    "cp850": "CP850",
}  # fmt: skip
_KANA = re.compile("[\u3041-\u30fe]")
_WESTERN = re.compile(
    "[\t\n\r\x20-\x7eÄÖÜäöüßÀÁÂÃÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕØÙÚÛàáâãåæçèéêëìíîïñòóôõøùúûÿŒœ€…‰‘’‚“”„•–—™\xa0¡¢£§©ª«¬®°±²³µ·¹º»¼½¾¿×÷]*"
)
# What western words never hold: marks between letters, an opening quote behind one, three accents in a row.
_NOT_WESTERN = re.compile(
    r"[^\W\d_][¡¿§©®¬£¢‰„‚“”•…–—°±µ·ªº¹²³][^\W\d_]|[^\W\d_][„‚¿¡]|[¹²³][^\W\d_]|[a-zß-ÿ][À-ÖØ-Þ]|[À-ÖØ-öø-ÿ]{3}"
)


@dataclass(frozen=True)
class Encoding:
    """Python's `name` of it. `note`: what was guessed, for people; "" for Unicode."""

    name: str
    note: str = ""

    @property
    def narrow(self) -> bool:
        """Whether letters of ASCII are one byte."""
        return not self.name.startswith(("utf-16", "utf-32"))

    @property
    def errors(self) -> str:
        """What becomes of bytes that the encoding does not know: text that is no Unicode, where it can be."""
        return "surrogateescape" if self.narrow else "strict"


def encoding_of(head: bytes, path: Path) -> Encoding:
    """The encoding of a file that begins with `head`, as far as `LOOKED_AT`.

    A file of UTF-8 with a few broken bytes is UTF-8. Raises UserError, with the way to convert, for an encoding that
    cannot be told.
    """
    for mark, name in _MARKS.items():
        if head.startswith(mark):
            return Encoding(name, "" if name.startswith("utf-8") else f"read as {name.upper()}")
    if wide := _without_mark(head[:4096]):
        return Encoding(wide, f"read as {wide.upper()}")
    decoded = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode(head)  # may end within a letter
    if decoded.isascii() or not (broken := len(re.findall("[\udc80-\udcff]", decoded))):
        return Encoding("utf-8")
    if len(re.findall("[^\x00-\x7f\udc80-\udcff]", decoded)) > broken:
        return Encoding("utf-8")
    if b"\x00" in head:
        raise UserError(f"{path}: not a file of rows, but binary data. Save the rows as .jsonl, .csv or .parquet.")
    lines = b"\n".join(line for line in head.split(b"\n") if not line.isascii())[:GUESSED_FROM]
    guessed, maybe = _guess(lines)
    if not guessed:
        raise UserError(_cannot_tell(path, head, [each for each in maybe if each in _GUESSES][:4], lines))
    return Encoding(guessed, f"read as {guessed}")


def _without_mark(sample: bytes) -> str:
    """UTF-16 without a mark: every other byte of ASCII letters is zero."""
    even, odd = (sample[i::2].count(0) / max(1, len(sample) // 2) for i in (0, 1))
    if max(even, odd) < 0.25 or min(even, odd) > 0.05:
        return ""
    return "utf-16-le" if odd > even else "utf-16-be"


def _guess(lines: bytes) -> tuple[str, list[str]]:
    """The encoding of lines that are no UTF-8, "" where it is not clear, and which may be meant."""
    from charset_normalizer import from_bytes

    western = _western(lines)
    found = list(from_bytes(lines, cp_isolation=list(_GUESSES)))
    names = [match.encoding for match in found]
    if not found:
        return "cp1252" if western else "", names
    best, *others = found
    if western is not None:
        like = next((match for match in found if str(match) == western), None)
        as_good = like and like.chaos <= best.chaos + LEAD and like.coherence >= best.coherence - CLEAR
        if as_good or best.coherence == 0:
            return "cp1252", names
    for match in found:
        if match.encoding in ("cp932", "euc_jp") and len(_KANA.findall(str(match))) > KANA * len(str(match)):
            return match.encoding, names
    if best.chaos >= CLEAR or (best.encoding == "cp1252" and western is None):
        return "", names
    for rival in others:
        behind = rival.chaos >= best.chaos + (LEAD if best.coherence else CLEAR)
        if str(rival) != str(best) and not behind and best.coherence < rival.coherence + CLEAR:
            return "", names
    return best.encoding, names


def _western(lines: bytes) -> str | None:
    """The text in cp1252 (which latin-1 is a part of), if it looks like a language of western Europe."""
    try:
        text = lines.decode("cp1252")
    except UnicodeDecodeError:
        return None
    return text if _WESTERN.fullmatch(text) and not _NOT_WESTERN.search(text) else None


def _cannot_tell(path: Path, head: bytes, maybe: list[str], lines: bytes) -> str:
    start = next((i for i, byte in enumerate(lines) if byte > 127), 0)
    word = lines[max(0, start - 8) :][:24].split(b"\n")[0]
    shown = [f"{_GUESSES[name]} ({brief(word.decode(name, 'replace'))})" for name in maybe]
    target = path.with_name(f"{path.stem}.utf8{path.suffix}")
    return (
        f"{path}: not UTF-8 at byte {_first_error(head)}, and which encoding it is cannot be told"
        f"{': it may be ' if shown else ''}{' or '.join(shown)}. Save the file as UTF-8, or convert it from the "
        f"encoding that it was saved in, as in: "
        f"iconv -f {_GUESSES[maybe[0]] if maybe else 'CP1252'} -t UTF-8 {in_shell(path)} > {in_shell(target)}"
    )


def _first_error(head: bytes) -> int:
    try:
        return len(head.decode())
    except UnicodeDecodeError as error:
        return error.start


class Found(NamedTuple):
    """One row of a file, with its number from 1.

    `fault`: why it cannot be used, in words that such rows share; "" where it can. `detail`: the same in words of this
    row, or what was made of a row that can be used.
    """

    number: int
    value: Any
    fault: str = ""
    detail: str = ""
