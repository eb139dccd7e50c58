"""What makes two questions the same: letters of every script, digits where they stand, and signs of mathematics.

Case, spaces, width and ordinary punctuation do not matter. What is a sign and what is punctuation depends on what
stands beside it: `12 - 3` takes away, `3-step` does not.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence

from edu_align.records import Message
from edu_align.utils.hashing import sha256

# First user turn of a dialogue whose record starts in the middle of a lesson, with the tutor speaking.
LESSON_OPENING = "Let us go on with our lesson"

_SAME_SIGN = str.maketrans(
    {"−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-", "×": "*", "⋅": "*", "∙": "*", "∗": "*", "÷": "/", "∕": "/", "⁄": "/"}
)
_WRITTEN_SIGNS = (("<=", "≤"), (">=", "≥"), ("!=", "≠"))
_NUMBER_SIGN = re.compile("[⁰¹²³⁴-⁹⁺⁻₀-₉¼-¾⅐-⅞]")
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])")
_LETTER = r"[^\W\d_]"
_POWER = re.compile(r"(?<=[\d)])\s*\*\*\s*(?=[\d(])")
# Between a number, a bracket or a letter that stands alone, and another of them.
_BINARY = re.compile(rf"([\d)%]|(?<!\w){_LETTER})\s*([-*·])\s*(?=[-+.(√\d]|{_LETTER}(?!{_LETTER}))")
_MINUS = re.compile(r"(?<![\w)%])-(?=[.(√\d])")
_FACTORIAL = re.compile(r"(?<=[\d)])!(?=\s*[-+*/^=<>)!?])")
_BRACKETS = re.compile(r"\(([^()]*)\)")
_CALCULATION = re.compile(r"[+/^<>=≤≥≠√−×]")
_WORD = re.compile(rf"{_LETTER}{{2}}")
_PUNCTUATION = re.compile(r"(?<![\w.,:)])(\.)(?=\d)|(?<=\d)([.,:])(?=\d)|[-*·!.,:()\s]+")
_SPACE = re.compile(r"(?<!\d) +| +(?!\d)")

# Words of which a turn that only says hello is made.
_GREETINGS = frozenset(
    """hi hello hey hiya yo greetings howdy there good morning afternoon evening night day dear sir madam miss mister mr
    mrs ms tutor teacher professor everyone all again how are you u doing today please pls can could would will may i im
    am we us me my need want like some any a an the your with on for to of help assist assistance question questions
    problem problems homework assignment exercise task math maths mathematics thanks thank ready start begin lets let s
    ok okay yes have got this
    hallo guten tag morgen abend moin servus gruezi kannst können du sie mir helfen bitte ich brauche hilfe eine frage
    habe bei den meinen hausaufgaben und wie geht es dir ihnen
    hola buenos buenas días dias tardes noches qué que tal puedes puede podrías ayudarme ayuda por favor necesito profe
    bonjour salut bonsoir coucou peux tu pouvez vous m aider moi aide s il te plaît plait j ai besoin d ça va
    olá ola oi bom boa dia tarde noite pode ajudar preciso ajuda ciao buongiorno salve buonasera puoi aiutarmi
    привет здравствуйте здравствуй добрый день помогите помоги мне пожалуйста cześć dzień dobry merhaba selam hej
    你好 您好 老师好 你好老师 老师你好 こんにちは 안녕하세요 안녕 नमस्ते नमस्कार مرحبا السلام عليكم אהלן שלום γεια σου""".split()
)


class _Kept(dict[int, str]):
    """What becomes of each character: letters, marks, digits and signs stay, so does what may be a sign."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        kind = unicodedata.category(char)
        keep = kind[0] in "LN" or kind in ("Mn", "Mc", "Me", "Sm", "So") or char in "-*·!.,:()/%^"
        self[code] = char if keep and char not in "\ufe0e\ufe0f©®" else "" if kind == "Cf" or kind == "Mn" else " "
        return self[code]


_KEPT = _Kept()


def normalise(text: str) -> str:
    """What of a question counts; "teacher" is read as "tutor" (MRBench renames MathDial's teachers).

    "A Teacher's 3-step plan!" -> "atutors3stepplan"; "What is 12 - 3.5 × 1,000?" -> "whatis12−3.5×1000"
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", _NUMBER_SIGN.sub(_number_sign, text)).translate(_SAME_SIGN)
    text = text.casefold().replace("teacher", "tutor")
    for written, sign in _WRITTEN_SIGNS:
        text = text.replace(written, sign)
    text = _THOUSANDS.sub(lambda found: found[0].replace(",", ""), text.translate(_KEPT))
    text = _BINARY.sub(lambda found: found[1] + ("−" if found[2] == "-" else "×"), _POWER.sub("^", text))
    text = _FACTORIAL.sub("‼", _MINUS.sub("−", text))
    if "(" in text:
        text = _brackets(text)
    text = _PUNCTUATION.sub(lambda found: found[1] or found[2] or " ", text)
    return _SPACE.sub("", text)


def _number_sign(found: re.Match[str]) -> str:
    """A raised or lowered digit, or a fraction, that plain digits would grow together with: 3² is not 32."""
    kind = unicodedata.decomposition(found[0]).partition(">")[0]
    return {"<super": "^", "<sub": "^ ", "<fraction": " "}.get(kind, "") + unicodedata.normalize("NFKC", found[0])


def _brackets(text: str) -> str:
    """Brackets around a calculation count, those around words do not; the inner ones first."""

    def kept(found: re.Match[str]) -> str:
        counts = _CALCULATION.search(found[1]) and not _WORD.search(found[1])
        return f"⟨{found[1]}⟩" if counts else f" {found[1]} "

    before = ""
    while before != text:
        before, text = text, _BRACKETS.sub(kept, text)
    return text


def _digest(text: str) -> str:
    # Text of which nothing counts is compared as it is: "?!" must not equal every other one.
    return sha256(normalise(text) or text)[:24]


def problem_key(problem: str) -> str:
    """Group key of a maths problem: the same question gives the same key in every source."""
    return "problem:" + _digest(problem)


def question_key(messages: Iterable[Message]) -> str:
    """Group key of a dialogue: that of the first thing its user asks. A turn that only says hello asks nothing.

    Where there is no other, it is that of all that is said.
    """
    spoken = [message for message in messages if message.role != "system"]
    asked = [message.content for message in spoken if message.role == "user"]
    first = next((text for text in asked if not is_greeting(text)), None)
    return problem_key(first if first is not None else " ".join(message.content for message in spoken))


def is_greeting(text: str) -> bool:
    """Whether a text only says hello, or asks for help without saying with what."""
    words = re.findall(r"[^\W_]+", unicodedata.normalize("NFKC", text).casefold().replace("'", "").replace("’", ""))
    return bool(words) and _GREETINGS.issuperset(words)


def session_key(session: str) -> str:
    """Group key of a Bridge tutoring session: the part of `c_id` before the underscore."""
    return "session:" + session


def history_key(messages: Sequence[Message]) -> str | None:
    """Key of a dialogue history; None for one in which nothing but hello was said.

    An opening turn that we added does not count. The key sorts behind `problem:` and `session:`, so that the smallest
    key of a group, and with it the side of the split, does not depend on which other sources are loaded.
    """
    texts = [m.content for m in messages if m.role != "system" and not m.content.startswith(LESSON_OPENING)]
    if texts and all(map(is_greeting, texts)):
        return None
    return "text:" + _digest(" ".join(texts))
