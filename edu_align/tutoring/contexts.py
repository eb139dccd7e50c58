"""From a text sheet and a drawing function to a `Misconception`; names, objects and exact number formatting.

A sheet is a text of `key: text` lines. The keys `id`, `area`, `name`, `source`, `topic`, `place`, `cause` and `sound`
(the `wrong_place` of the case) stand once; `ask` (one problem template per line, >= 4), `work`, `slip` (the first wrong
line of the work, exactly one), `probe`, `hint`, `action` (>= 3 each) and `solution` may repeat. `{fields}` are filled
from `Draw.words`, with `{answer}`, `{wrong}` and freshly drawn `{name}`, `{friend}`, `{things}` and `{good}`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from random import Random
from typing import Any

from edu_align.tutoring.draw import MAX_DRAWS, NAMES, THINGS
from edu_align.tutoring.text import mentions, numbers
from edu_align.tutoring.types import Case, Misconception

GOODS = ("jacket", "bicycle", "lamp", "backpack", "tent", "guitar", "camera", "helmet", "chair", "watch")

ONCE = ("id", "area", "name", "source", "topic", "place", "cause", "sound")
AT_LEAST = {"ask": 4, "work": 1, "slip": 1, "probe": 3, "hint": 3, "action": 3, "solution": 1}

Sheet = list[tuple[str, str]]


@dataclass(frozen=True)
class Draw:
    """One draw of numbers: the exact correct and wrong values, how to display either, and the sheet's fields."""

    right: Any  # compared with `wrong` by `!=`; int, Fraction, or a tuple of them (coefficients)
    wrong: Any
    show: Callable[[Any], str]
    words: Mapping[str, object]  # int and Fraction are written by `num`


def num(value: int | Fraction) -> str:
    """An exact number: an integer or terminating decimal in decimal notation, else `a/b` in lowest terms."""
    value = Fraction(value)
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    if rest != 1:
        return frac(value)
    places = 0
    while (value * 10**places).denominator != 1:
        places += 1
    digits = str(abs(int(value * 10**places))).rjust(places + 1, "0")
    text = f"{digits[:-places]}.{digits[-places:]}" if places else digits
    return f"-{text}" if value < 0 else text


def frac(value: int | Fraction) -> str:
    """A number as `a/b` in lowest terms, an integer as such."""
    return str(Fraction(value))


def money(value: int | Fraction) -> str:
    """Dollars: `$45`, `$45.50`. The value must be a whole number of cents."""
    cents = Fraction(value) * 100
    if cents.denominator != 1:
        raise ValueError(f"{value} dollars is not a whole number of cents")
    return f"${cents.numerator // 100}" + (f".{cents.numerator % 100:02d}" if cents.numerator % 100 else "")


def hours_minutes(minutes: int) -> str:
    """A duration in minutes as `2 h 15 min`."""
    return f"{minutes // 60} h {minutes % 60} min"


def poly(coefficients: Iterable[int | Fraction], letter: str = "x") -> str:
    """A polynomial from its coefficients, highest power first: `(1, 0, -9)` is `x^2 - 9`."""
    values = list(coefficients)
    text = ""
    for power, value in zip(range(len(values) - 1, -1, -1), values, strict=True):
        if value == 0:
            continue
        symbol = {0: "", 1: letter}.get(power, f"{letter}^{power}")
        size = -value if value < 0 else value
        term = symbol if size == 1 and symbol else num(size) + symbol
        sign = (" - " if value < 0 else " + ") if text else ("-" if value < 0 else "")
        text += sign + term
    return text or "0"


def read_sheet(sheet: str) -> Sheet:
    """The `(key, text)` lines of a sheet in order; a ValueError names what is missing, repeated or unknown."""
    lines = [(key, text.strip()) for key, _, text in (line.partition(":") for line in sheet.strip().split("\n"))]
    counts = {key: sum(other == key for other, _ in lines) for key, _ in lines}
    if unknown := set(counts) - {*ONCE, *AT_LEAST}:
        raise ValueError(f"unknown keys {sorted(unknown)} in the sheet that starts {sheet.strip()[:40]!r}")
    wanted = {key: counts.get(key, 0) == 1 for key in (*ONCE, "slip")}
    wanted |= {key: counts.get(key, 0) >= least for key, least in AT_LEAST.items() if key != "slip"}
    if bad := [key for key, met in wanted.items() if not met]:
        raise ValueError(f"missing or repeated keys {bad} in the sheet that starts {sheet.strip()[:40]!r}")
    return lines


def leaks(case: Case) -> bool:
    """Whether a text that may be said before the end holds the correct answer, or a line of the work ends on it."""
    said = (*case.probes, *case.hints, *case.actions, case.topic, case.place, case.cause, case.wrong_place)
    ends = [line for line in case.work if numbers(line)[-1:] == numbers(case.answer)[-1:]]
    return any(mentions(text, case.answer) for text in (*said, *ends))


def fill(lines: Sheet, draw: Draw, rng: Random) -> Case:
    """The case that a sheet makes of one draw of numbers."""
    name, friend = rng.sample(NAMES, 2)
    fields = {"name": name, "friend": friend, "things": rng.choice(THINGS), "good": rng.choice(GOODS)}
    fields |= {"answer": draw.show(draw.right), "wrong": draw.show(draw.wrong)}
    for key, value in draw.words.items():
        fields[key] = num(value) if isinstance(value, int | Fraction) else str(value)

    def texts(*keys: str) -> tuple[str, ...]:
        return tuple(text.format(**fields) for key, text in lines if key in keys)

    return Case(
        question=rng.choice(texts("ask")),
        answer=fields["answer"],
        wrong_answer=fields["wrong"],
        work=texts("work", "slip"),
        wrong_step=[key for key, _ in lines if key in ("work", "slip")].index("slip"),
        topic=texts("topic")[0],
        place=texts("place")[0],
        cause=texts("cause")[0],
        probes=texts("probe"),
        hints=texts("hint"),
        actions=texts("action"),
        solution=texts("solution"),
        wrong_place=texts("sound")[0],
    )


def make_case(lines: Sheet, draw: Callable[[Random], Draw | None], rng: Random) -> Case:
    """Draw until the faulty procedure gives a wrong value and no probe, hint or action gives the answer away.

    `draw` returns None for numbers that do not suit the problem.
    """
    for _ in range(MAX_DRAWS):
        drawn = draw(rng)
        if drawn is not None and drawn.right != drawn.wrong:
            case = fill(lines, drawn, rng)
            if not leaks(case):
                return case
    raise RuntimeError(f"no usable draw in {MAX_DRAWS} for {dict(lines)['id']!r}: a text always contains the answer")


def misconception(sheet: str, draw: Callable[[Random], Draw | None]) -> Misconception:
    """The misconception that a sheet describes, with the numbers and the faulty procedure of `draw`."""
    lines = read_sheet(sheet)
    once = dict(lines)
    make = partial(make_case, lines, draw)
    return Misconception(id=once["id"], area=once["area"], name=once["name"], source=once["source"], make=make)
