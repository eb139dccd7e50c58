"""What makes two questions the same: letters of every script, digits where they stand, and signs of mathematics.

Case, spaces, width and ordinary punctuation do not matter. What is a sign and what is punctuation depends on what
stands beside it: `12 - 3` takes away, `3-step` does not.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence

from edu_align.records import Message
from edu_align.utils.hashing import sha256

_SAME_SIGN = str.maketrans({**dict.fromkeys("−–—‐‑", "-"), **dict.fromkeys("×⋅∙∗", "*"), **dict.fromkeys("÷∕⁄", "/")})
_WRITTEN_SIGNS = (("<=", "≤"), (">=", "≥"), ("!=", "≠"))
_NUMBER_SIGN = re.compile("[⁰¹²³⁴-⁹⁺⁻₀-₉¼-¾⅐-⅞]")
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])")
_POWER = re.compile(r"(?<=[\d)])\s*\*\*\s*(?=[\d(])")
_OPERATOR = re.compile(r"[-*·]")
_BESIDE = 8  # characters on each side of it that are looked at
_FACTORIAL = re.compile(r"(?<=[\d)])!(?=\s*[-+*/^=<>)!])")
_BRACKETS = re.compile(r"\(([^()]*)\)")
_CALCULATION = re.compile(r"[+/^<>=≤≥≠√−×]")
_WORD = re.compile(r"[^\W\d_]{2}")
_PUNCTUATION = re.compile(r"[-*·!()\s]+|(?<!\d)[,:]|[,:](?!\d)|\.(?!\d)|(?<=[^\W\d_])\.")
_BRACKET = {"[": "(", "{": "(", "]": ")", "}": ")"}
_ORNAMENTS = "\ufe0e\ufe0f©®"
_WELCOME = re.compile(
    r"\W*(hi|hello|hey|hiya|welcome|good (morning|afternoon|evening|day)|hallo|guten (tag|morgen|abend)|willkommen|"
    r"hola|bonjour|salut|ciao|buongiorno|olá|привет|здравствуй\w*|你好|您好|こんにちは)\b",
    re.IGNORECASE,
)
_BETWEEN = re.compile(r"[-*·!.,:()\s]+")
_SPACE = re.compile(r"(?<!\d) +| +(?!\d)")

# Words of which a turn that only says hello is made.
_HELLO = """
welcome back lesson class nice see meet get started work together
hi hello hey hiya yo greetings howdy there good morning afternoon evening night day dear sir madam miss mister
mr mrs ms tutor teacher professor everyone all again how are you u doing today please pls can could would will
may i im am we us me my need want like some any a an the your with on for to of help assist assistance question
questions problem problems homework assignment exercise task math maths mathematics thanks thank ready start
begin lets s ok okay yes have got this hallo guten tag morgen abend moin servus grüezi kannst können du sie mir
helfen bitte ich brauche hilfe eine frage habe bei den meinen hausaufgaben und wie geht es dir ihnen hola buenos
buenas días dias tardes noches qué que tal puedes puede podrías ayudarme ayuda por favor necesito profe bonjour
salut bonsoir coucou peux tu pouvez vous m aider maider moi aide il te plaît plait jai besoin d ça va olá ola oi
bom boa dia tarde noite pode ajudar preciso ajuda ciao buongiorno salve buonasera puoi aiutarmi привет
здравствуйте здравствуй добрый день помогите помоги мне пожалуйста cześć dzień dobry merhaba selam hej 你好 您好 老师好
你好老师 老师你好 こんにちは 안녕하세요 안녕 नमस्ते नमस्कार مرحبا السلام عليكم שלום γεια σου
"""
_GREETINGS = frozenset(_HELLO.casefold().split())


class _Kept(dict[int, str]):
    """What becomes of each character: letters, marks, digits and signs stay, so does what may be a sign."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        kind = unicodedata.category(char)
        if char in _ORNAMENTS or kind == "Cf":
            self[code] = ""
        elif kind[0] in "LNM" or kind in ("Sm", "So") or char in "-*·!.,:()/%^":
            self[code] = char
        else:
            self[code] = _BRACKET.get(char, " ")
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
    text = _FACTORIAL.sub("‼", _OPERATOR.sub(_operator, _POWER.sub("^", text)))
    if "(" in text:
        text = _brackets(text)
    return _SPACE.sub("", _PUNCTUATION.sub(" ", text))


def _operator(found: re.Match[str]) -> str:
    """A sign between numbers, brackets or letters that stand alone, and directly before a number; else a space."""
    text, at = found.string, found.start()
    left, right = text[max(0, at - _BESIDE) : at], text[at + 1 : at + 1 + _BESIDE]
    sign = "−" if found[0] == "-" else "×"
    if _starts_term(right.lstrip()) and _ends_term(left.rstrip()):
        return sign
    if sign == "−" and left.rstrip()[-1:] in tuple("+/^=<>≤≥≠("):
        return sign
    before_number = sign == "−" and not right[:1].isalpha() and _starts_term(right)
    return sign if before_number and not (left[-1:].isalnum() or left[-1:] in tuple(")%")) else " "


def _starts_term(text: str) -> bool:
    if text[:1] == ".":
        return text[1:2].isdigit()
    return text[:1].isdigit() or text[:1] in tuple("-+(√") or (text[:1].isalpha() and not text[1:2].isalpha())


def _ends_term(text: str) -> bool:
    return text[-1:].isdigit() or text[-1:] in tuple(")%") or (text[-1:].isalpha() and not text[-2:-1].isalpha())


def _number_sign(found: re.Match[str]) -> str:
    """A raised or lowered digit, or a fraction, that plain digits would grow together with: 3² is not 32."""
    kind = unicodedata.decomposition(found[0]).partition(">")[0]
    return {"<super": "^", "<sub": " ", "<fraction": " "}.get(kind, "") + unicodedata.normalize("NFKC", found[0])


def _brackets(text: str) -> str:
    """Brackets around a calculation count, those around words do not; the inner ones first."""

    def kept(found: re.Match[str]) -> str:
        counts = _CALCULATION.search(found[1]) and not _WORD.search(found[1])
        return f"⟨{found[1]}⟩" if counts else f" {found[1]} "

    before = ""
    while before != text:
        before, text = text, _BRACKETS.sub(kept, text)
    return text


def is_greeting(text: str) -> bool:
    """Whether a text only says hello, or asks for help without saying with what."""
    plain = re.sub("['’]", "", unicodedata.normalize("NFKC", text).casefold()).translate(_KEPT)
    words = [word for word in _BETWEEN.split(plain) if any(map(str.isalnum, word))]
    return bool(words) and _GREETINGS.issuperset(words)


Turn = tuple[str, str]  # (role, text)

# First user turn of a dialogue whose record starts in the middle of a lesson, with the tutor speaking.
LESSON_OPENING = "Let us go on with our lesson"

_SPACES = re.compile(r"[^\S\n]+")


def clean(text: str) -> str:
    """Non-breaking and repeated spaces become one space, lines lose their outer spaces; line breaks stay."""
    lines = (_SPACES.sub(" ", line).strip() for line in text.replace("\r\n", "\n").split("\n"))
    return "\n".join(lines).strip()


def _digest(text: str) -> str:
    # Text of which nothing counts is compared as it is: "?!" must not equal every other one.
    return sha256(normalise(text) or text)[:24]


def problem_key(problem: str) -> str:
    """Group key of a maths problem: the same question gives the same key in every source."""
    return "problem:" + _digest(problem)


def question_key(messages: Iterable[Message]) -> str:
    """Group key of a dialogue: that of the first thing its user asks; behind an opening that we added, of the tutor's.

    A turn that only says hello asks nothing, nor does a tutor's that begins so and names no number: many a lesson opens
    with the same words. Where there is nothing else, it is the key of all that is said.
    """
    spoken = [message for message in messages if message.role != "system"]
    said = [message for message in spoken if not message.content.startswith(LESSON_OPENING)]
    asking = said if len(said) < len(spoken) else [message for message in said if message.role == "user"]
    first = next((message.content for message in asking if not _only_opens(message)), None)
    return problem_key(first if first is not None else " ".join(message.content for message in said))


def _only_opens(message: Message) -> bool:
    text = message.content
    welcome = message.role == "assistant" and _WELCOME.match(text) and not any(map(str.isdigit, text))
    return bool(welcome) or is_greeting(text)


def session_key(session: str) -> str:
    """Group key of a Bridge tutoring session: the part of `c_id` before the underscore."""
    return "session:" + session


def history_key(messages: Iterable[Message]) -> str | None:
    """Key of a dialogue history; None for one in which nothing but hello was said.

    An opening turn that we added does not count. The key sorts behind `problem:` and `session:`, so that the smallest
    key of a group, and with it the side of the split, does not depend on which other sources are loaded.
    """
    texts = [m.content for m in messages if m.role != "system" and not m.content.startswith(LESSON_OPENING)]
    return None if all(map(is_greeting, texts)) else "text:" + _digest(" ".join(texts))


def merge_turns(turns: Iterable[Turn], joint: str = " ") -> list[Turn]:
    """Join neighbouring turns of one role; empty turns and repeats within such a run go.

    [("user", "6"), ("user", "6"), ("user", "no, 8"), ("assistant", "Why?")]
    -> [("user", "6 no, 8"), ("assistant", "Why?")]
    """
    runs: list[tuple[str, list[str]]] = []
    for role, raw in turns:
        text = clean(raw)
        if not text:
            continue
        if not runs or runs[-1][0] != role:
            runs.append((role, []))
        if text not in runs[-1][1]:
            runs[-1][1].append(text)
    return [(role, joint.join(texts)) for role, texts in runs]


def opening(problem: str, work: str = "") -> str:
    """The student's first turn: the problem, and below it the work that the tutor has before them."""
    problem, work = clean(problem), clean(work)
    return f"{problem}\n\nMy solution:\n{work}" if work else problem


def to_messages(turns: Sequence[Turn], train: bool) -> tuple[Message, ...]:
    """Turns as messages; `train` marks every assistant turn."""
    return tuple(Message(role, text, train=train and role == "assistant") for role, text in turns)


def final_number(solution: str) -> str:
    """The last number of a worked solution without thousands separators ("... = $1,500" -> "1500"), else ""."""
    numbers = re.findall(r"-?\d[\d,]*(?:\.\d+)?", solution)
    return numbers[-1].replace(",", "") if numbers else ""
