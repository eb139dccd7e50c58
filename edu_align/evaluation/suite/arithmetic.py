"""Written arithmetic: expressions of numbers and + - * / in a text, and whether "12 / 4 + 1 = 4" holds. Exact."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

_SIGNS = str.maketrans({"×": "*", "·": "*", "÷": "/", "−": "-", "–": "-", "\u00a0": " "})
_TIMES = re.compile(r"(?<=\d)(\s*)x(\s*)(?=[\d(])")  # "3 x 4" and "3x4"; a letter x has no number behind it
_NUMBER = r"[$£€]?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|[$£€]?\.\d+"
_SIDE = rf"\(*-?\(*(?:{_NUMBER})(?:[\s()]*[-+*/][\s()]*-?\(*(?:{_NUMBER})\)*)*"
_CHAIN = re.compile(rf"(?<![\w.,)^%*/+(-])(?:{_SIDE})(?:\s*=\s*(?:{_SIDE}))+")
_BEFORE = re.compile(r"(?:[-+*/^]|\d[a-z]?)\s*$", re.IGNORECASE)  # the term goes on to the left
_AFTER = re.compile(r"\s*[-+*/^]\s*\S|[\w%°(]|[.,:]\d|\s+\d+/\d|\s*(?:r|rem|remainder)\b")  # ... or to the right
_BINARY = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
LONGEST = 200  # characters of an expression; longer ones are not read


@dataclass(frozen=True)
class Equation:
    """Two neighbouring sides of a written chain, without spaces and signs of currency, and whether they are equal."""

    left: str
    right: str
    holds: bool


def value(expression: str) -> Fraction | None:
    """Exact value of numbers joined by + - * / and brackets; None for anything else, or a division by zero."""
    try:
        return _value(ast.parse(expression.strip(), mode="eval").body) if len(expression) <= LONGEST else None
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError):
        return None


def equations(text: str) -> list[Equation]:
    """Every equation of numbers in the text that has an operation on one side; a unit may follow the last number.

    A side with a decimal point also holds where it is the other side rounded to its places ("10 / 3 = 3.33"). What is
    part of a longer term with letters, powers or percents is not read, and neither are mixed numbers and remainders.
    """
    found = []
    text = _TIMES.sub(r"\1*\2", text.translate(_SIGNS))
    for chain in _CHAIN.finditer(text):
        if _BEFORE.search(text[: chain.start()]) or _AFTER.match(text[chain.end() :]):
            continue
        found += list(_links(re.sub(r"[$£€,]", "", chain.group())))
    return found


def _links(chain: str) -> Iterator[Equation]:
    sides = [_balanced(side.strip()) for side in chain.split("=")]
    for left, right in pairwise(sides):
        a, b = value(left), value(right)
        operation = any(re.search(r"(?<=[\d)])\s*[-+*/]", side) for side in (left, right))
        if a is not None and b is not None and operation:
            yield Equation("".join(left.split()), "".join(right.split()), _equal(a, b, left, right))


def _balanced(side: str) -> str:
    """Without the bracket that surrounds the whole equation."""
    surplus = side.count("(") - side.count(")")
    return side[surplus:] if surplus > 0 else side[: len(side) + surplus]


def _equal(a: Fraction, b: Fraction, left: str, right: str) -> bool:
    """Equal, or equal once rounded (half either way) to the places of a side that is one decimal number."""
    if a == b:
        return True
    for side in (left, right):
        if match := re.fullmatch(r"-?\d*\.(\d+)", side):
            return abs(a - b) <= Fraction(1, 2 * 10 ** len(match[1]))
    return False


def swapped(expression: str) -> list[Fraction]:
    """Values of the expression with one of its operations replaced by each of the other three, in order."""
    found = []
    for place in (match.start() for match in re.finditer(r"(?<=[\d)\s])[-+*/](?=[\s\d(.])", expression)):
        for sign in "+-*/":
            if sign != expression[place]:
                result = value(expression[:place] + sign + expression[place + 1 :])
                found += [] if result is None else [result]
    return found


def _value(node: ast.expr) -> Fraction:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        return Fraction(str(node.value))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand)
    if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        a, b = _value(node.left), _value(node.right)
        sign = _BINARY[type(node.op)]
        return a + b if sign == "+" else a - b if sign == "-" else a * b if sign == "*" else a / b
    raise ValueError(ast.dump(node))
