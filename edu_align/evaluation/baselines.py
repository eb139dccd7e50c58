"""Rules that read no mathematics. A model that does not beat them on the same pairs has not been shown to help.

A rule gives every response of a group a number (higher is better), as a model does; the metrics treat both alike.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from edu_align.data.records import ResponseGroup

Rule = Callable[[ResponseGroup], tuple[float, ...]]
Author = tuple[str, str]  # (source, author): scores of two sources are on different scales

QUESTION_MARKS = "?？؟"
WORD = re.compile(r"[^\W_]+")


def chance(group: ResponseGroup) -> tuple[float, ...]:
    """The same number for all: a pair accuracy of exactly 1/2, and the mean score as selection score."""
    return (0.0,) * len(group.responses)


def longer(group: ResponseGroup) -> tuple[float, ...]:
    """Words between white space: the longer reply wins."""
    return tuple(float(len(response.text.split())) for response in group.responses)


def question_mark(group: ResponseGroup) -> tuple[float, ...]:
    """1 for a reply with a question mark, else 0."""
    return tuple(float(any(mark in response.text for mark in QUESTION_MARKS)) for response in group.responses)


def overlap(group: ResponseGroup) -> tuple[float, ...]:
    """Share (0 to 1) of the reply's distinct words that occur in the dialogue; system turns do not count."""
    dialogue = dialogue_words(group)
    replies = (set(WORD.findall(response.text.lower())) for response in group.responses)
    return tuple(len(words & dialogue) / len(words) if words else 0.0 for words in replies)


def dialogue_words(group: ResponseGroup) -> set[str]:
    """Distinct words of the dialogue in lower case, system turns left out."""
    texts = (message.content for message in group.prompt if message.role != "system")
    return {word for text in texts for word in WORD.findall(text.lower())}


def oracle(group: ResponseGroup) -> tuple[float, ...]:
    """The human scores themselves: the ceiling of the selection score."""
    return tuple(response.score for response in group.responses)


def author_means(training_groups: Iterable[ResponseGroup]) -> dict[Author, float]:
    """Mean score of every (source, author) over the training groups, on the source's own scale."""
    scores: dict[Author, list[float]] = defaultdict(list)
    for group in training_groups:
        for response in group.responses:
            scores[group.source, response.author].append(response.score)
    return {author: sum(values) / len(values) for author, values in scores.items()}


def tutor_prior(means: Mapping[Author, float], group: ResponseGroup) -> tuple[float, ...]:
    """Mean training score of each reply's author; for an author not in training, the mean over the source's authors.

    With a source that is not in training at all, every reply gets 0 and all pairs tie.
    """
    known = [mean for (source, _), mean in means.items() if source == group.source]
    fallback = sum(known) / len(known) if known else 0.0
    return tuple(means.get((group.source, response.author), fallback) for response in group.responses)


def pair_rules(training_groups: Iterable[ResponseGroup] | None) -> dict[str, Rule]:
    """Name to rule for pair accuracy; the tutor prior is among them only where training groups are given."""
    rules: dict[str, Rule] = {"chance": chance, "longer": longer, "question_mark": question_mark, "overlap": overlap}
    if training_groups is not None:
        rules["tutor_prior"] = partial(tutor_prior, author_means(training_groups))
    return rules
