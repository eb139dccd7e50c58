"""Metric 5, the form panel: what the replies look like, beside what the human tutors wrote to the same prompts.

None of these numbers is better by itself. They show how a leak rate or a preference was reached: a model that asks
nothing back, writes 80 words where an expert writes 18, or repeats itself, differs in form before it differs in help.
"""

import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from edu_align.evaluation.baselines import QUESTION_MARKS
from edu_align.evaluation.suite.prompts import Generated, Prompt
from edu_align.evaluation.suite.results import MetricResult, Series

N = 4  # words of an n-gram
_ROLE = re.compile(r"^\W*(?:tutor|teacher|student|user|assistant|system)\b[^\n:]{0,12}:", re.IGNORECASE | re.MULTILINE)
_END = re.compile(r"[.?!？。！][\"'”’)\]*_]*$")


def repetition(text: str) -> float:
    """Share of word 4-grams that occurred before: 1 - distinct / all, 0 for fewer than four words.

    seq-rep-4 of Welleck et al. 2020, "Neural Text Generation with Unlikelihood Training" (arXiv 1908.04319), section
    6.1, over lower-case words instead of tokens, so that models of different tokenizers compare.
    """
    tokens = text.lower().split()
    grams = [tuple(tokens[i : i + N]) for i in range(len(tokens) - N + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def is_empty(text: str) -> float:
    """1 for a reply without a letter or digit."""
    return float(not any(sign.isalnum() for sign in text))


def has_role(text: str) -> float:
    """1 where a line starts with a speaker's label ("Tutor:", "Student response:"), else 0."""
    return float(bool(_ROLE.search(text)))


def is_unfinished(text: str) -> float:
    """1 where the text does not end a sentence, as when it was cut at the most tokens; 0 also for an empty one."""
    text = text.strip()
    return float(bool(text) and not _END.search(text))


PANEL: Mapping[str, tuple[Callable[[str], float], str, str]] = {
    "question_rate": (lambda text: float(any(mark in text for mark in QUESTION_MARKS)), "share", ""),
    "words": (lambda text: float(len(text.split())), "words", ""),
    "repetition": (repetition, "share", "lower"),
    "empty": (is_empty, "share", "lower"),
    "role_prefix": (has_role, "share", "lower"),
    "unfinished": (is_unfinished, "share", "lower"),
}


def form_panel(generated: Generated, metric: str = "form", suffix: str = "") -> MetricResult:
    """The panel over the prompts that a human tutor answered, with that tutor's own replies as the baseline.

    `suffix` ends the names of its numbers.
    """
    prompts = [one for one in generated.prompts if one.human]
    human = {one.item: one.human for one in prompts}
    measured, baselines, notes = {}, {}, []
    if prompts:
        for kind, (rule, unit, _) in PANEL.items():
            name = f"{kind}{suffix}"
            measured[name] = _series(prompts, generated.replies, rule)
            baselines[name] = {"human tutor": _series(prompts, human, rule)}
            values = baselines[name]["human tutor"].values
            low, high = np.percentile(values, [10, 90])
            notes.append(
                f"{name}: human tutors {np.mean(values):.3g} {unit} on these {len(prompts)} prompts, 10th to 90th "
                f"percentile {low:.3g} to {high:.3g}"
            )
    return MetricResult(
        metric=metric,
        definition="What the replies look like, beside the human tutors' replies to the same prompts.",
        measured=measured,
        baselines=baselines,
        units={name: PANEL[name.removesuffix(suffix)][1] for name in measured},
        better={name: PANEL[name.removesuffix(suffix)][2] for name in measured},
        notes=tuple(notes),
        examples=tuple(generated.row(one) | {"human": one.human} for one in prompts),
    )


def _series(prompts: Sequence[Prompt], texts: Mapping[str, str], rule: Callable[[str], float]) -> Series:
    return Series.over(prompts, (rule(texts[one.item]) for one in prompts))
