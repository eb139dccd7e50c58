"""Rules that read no mathematics. A model that does not beat them on the same pairs has not been shown to help.

A rule gives every response of a group a number (higher is better), as a model does; the metrics treat both alike. The
fitted ones are logistic regressions on differences of two replies' features (`data/bag_of_words.py`), regularised as
cross-validation over groups of the training side chooses.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from math import log
from typing import Any

from edu_align.data.bag_of_words import WORD, bradley_terry, counter
from edu_align.records import ResponseGroup, pairs_of

Rule = Callable[[ResponseGroup], tuple[float, ...]]
Author = tuple[str, str]  # (source, author): scores of two sources are on different scales

QUESTION_MARKS = "?？؟"


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


FEATURES = ("words", "characters", "question marks", "digits", "overlap", "ends with ?", "starts with praise")
_PRAISE = re.compile(
    r"\W*(?:great|good|nice|excellent|awesome|amazing|fantastic|wonderful|perfect|well done|way to go|thank|"
    r"you(?:'re| are) (?:on the right track|doing|very close|close|almost|right|correct)|i (?:like|love|appreciate)|"
    r"that(?:'s| is) (?:a )?(?:great|good|correct|right))",
    re.IGNORECASE,
)


def surface(group: ResponseGroup) -> list[list[float]]:
    """The seven numbers of FEATURES for every reply of a group."""
    shares = overlap(group)
    return [
        [
            float(len(text.split())),
            float(len(text)),
            float(sum(text.count(mark) for mark in QUESTION_MARKS)),
            float(sum(character.isdigit() for character in text)),
            share,
            float(text.rstrip().endswith(tuple(QUESTION_MARKS))),
            float(bool(_PRAISE.match(text))),
        ]
        for text, share in zip((response.text for response in group.responses), shares, strict=True)
    ]


def fitted_rules(training: Sequence[ResponseGroup], margin: float) -> dict[str, Rule]:
    """`surface_logistic` and `bag_of_words`, fitted on all pairs of the training groups at `margin`.

    Neither is there where fewer than two independent groups have a pair: nothing could be cross-validated.
    """
    with_pairs = [group for group in training if any(True for _ in pairs_of(group, margin))]
    if len({group.group for group in with_pairs}) < 2:
        return {}
    from sklearn.preprocessing import StandardScaler

    logistic = _fitted(with_pairs, margin, surface, StandardScaler(with_mean=False))
    return {"surface_logistic": logistic, "bag_of_words": _words_rule(with_pairs, margin)}


def idf_overlap(documents: Sequence[ResponseGroup]) -> Rule:
    """Sum of log((1 + N) / (1 + n)) over the reply's distinct words that occur in the dialogue.

    N counts the dialogues of `documents`, n those of them with the word: rare words that both share count most.
    """
    counts = Counter(word for group in documents for word in dialogue_words(group))

    def rule(group: ResponseGroup) -> tuple[float, ...]:
        dialogue = dialogue_words(group)
        replies = (set(WORD.findall(response.text.lower())) for response in group.responses)
        return tuple(
            sum(log((1 + len(documents)) / (1 + counts[word])) for word in sorted(words & dialogue))
            for words in replies
        )

    return rule


def _words_rule(training: Sequence[ResponseGroup], margin: float) -> Rule:
    """Whether each word occurs, over words of at least two training replies; the dialogue is not read."""
    words = counter(response.text for group in training for response in group.responses)
    return _fitted(training, margin, lambda group: words.transform([r.text for r in group.responses]).toarray())


def _fitted(
    training: Sequence[ResponseGroup], margin: float, features: Callable[[ResponseGroup], Any], *scaling: Any
) -> Rule:
    """A rule that scores replies by the fitted model's decision function."""
    import numpy as np

    differences, clusters = [], []
    for group in training:
        numbers = np.asarray(features(group), dtype=np.float64)
        for pair in pairs_of(group, margin):
            differences.append(numbers[pair.chosen] - numbers[pair.rejected])
            clusters.append(group.group)
    best = bradley_terry(np.stack(differences), clusters, *scaling)
    return lambda group: tuple(float(score) for score in best.decision_function(np.asarray(features(group), float)))
