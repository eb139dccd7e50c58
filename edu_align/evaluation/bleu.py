"""BLEU of one sentence (Papineni et al. 2002), as sacreBLEU's `sentence_bleu` counts it (Post 2018, arXiv:1804.08771).

BLEU = BP exp(mean_n log p_n)      p_n: share of the n-grams, n = 1 to 4, that a reference holds as often
BP = min(1, exp(1 - r / c))        r: length of the reference nearest in length; c: of the hypothesis

Orders that the hypothesis is too short for are left out of the mean; an order without a match counts half a match the
first time, a quarter the next (exponential smoothing, Chen & Cherry 2014).
"""

import math
import re
from collections import Counter
from collections.abc import Sequence

ORDER = 4
# Words and signs as sacreBLEU's default cuts them: a point or comma between digits stays, a dash behind a digit goes.
_SIGNS = re.compile(r"([{-~\[-` -&(-+:-@/])")
_RULES = (
    (re.compile(r"([^0-9])([.,])"), r"\1 \2 "),
    (re.compile(r"([.,])([^0-9])"), r" \1 \2"),
    (re.compile(r"([0-9])(-)"), r"\1 \2 "),
)


def words(text: str) -> list[str]:
    """The text cut into words and signs; case counts."""
    text = _SIGNS.sub(r" \1 ", f" {text.rstrip()} ")
    for rule, parted in _RULES:
        text = rule.sub(parted, text)
    return text.split()


def sentence_bleu(hypothesis: str, references: Sequence[str]) -> float:
    """From 0 to 1; 0 for an empty hypothesis, or one that shares no word with any reference."""
    found, others = words(hypothesis), [words(text) for text in references]
    if not found or not others:
        return 0.0
    logs: list[float] = []
    halved = 1.0
    for order in range(1, min(ORDER, len(found)) + 1):
        own = _grams(found, order)
        most: Counter[tuple[str, ...]] = Counter()
        for other in others:
            most |= _grams(other, order)
        matches, total = (own & most).total(), own.total()
        if order == 1 and not matches:
            return 0.0
        if not matches:
            halved *= 2
        logs.append(math.log(matches / total if matches else 1 / (halved * total)))
    nearest = min((len(other) for other in others), key=lambda length: (abs(length - len(found)), length))
    brevity = min(0.0, 1 - nearest / len(found))
    return math.exp(brevity + sum(logs) / len(logs))


def _grams(tokens: Sequence[str], order: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(tokens[i : i + order]) for i in range(len(tokens) - order + 1))
