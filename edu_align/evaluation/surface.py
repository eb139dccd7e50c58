"""Baselines that are fitted on training groups: what style alone, or the words of a reply alone, say of its score.

Both are logistic regressions on differences of two replies' features (Bradley & Terry 1952, Biometrika 39, with the
score of a reply linear in its features), so a reply's score needs no partner. How strongly they are regularised is
chosen by cross-validation over groups of the training side.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from math import log
from typing import Any

from edu_align.data.records import ResponseGroup, pairs_of
from edu_align.evaluation.baselines import QUESTION_MARKS, WORD, Rule, dialogue_words, overlap

FOLDS = 5
STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0, 10.0)  # inverse regularisation of scikit-learn's LogisticRegression
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
    return {"surface_logistic": _surface_rule(with_pairs, margin), "bag_of_words": _words_rule(with_pairs, margin)}


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


def _surface_rule(training: Sequence[ResponseGroup], margin: float) -> Rule:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(with_mean=False), LogisticRegression(fit_intercept=False, max_iter=1000))
    return _fitted(training, margin, model, surface)


def _words_rule(training: Sequence[ResponseGroup], margin: float) -> Rule:
    """Whether each word occurs, over words of at least two training replies; the dialogue is not read."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    counter = CountVectorizer(binary=True, min_df=2, token_pattern=WORD.pattern)
    counter.fit([response.text for group in training for response in group.responses])

    def words(group: ResponseGroup) -> Any:
        return counter.transform([response.text for response in group.responses]).toarray()

    return _fitted(training, margin, make_pipeline(LogisticRegression(fit_intercept=False, max_iter=1000)), words)


def _fitted(
    training: Sequence[ResponseGroup], margin: float, model: Any, features: Callable[[ResponseGroup], Any]
) -> Rule:
    """A rule that scores replies by the fitted model's decision function, which is linear and has no intercept.

    Every pair is seen once, turned around at every other pair, so that both answers are equally frequent.
    """
    import numpy as np
    from sklearn.model_selection import GridSearchCV, GroupKFold

    differences, clusters = [], []
    for group in training:
        numbers = np.asarray(features(group), dtype=np.float64)
        for pair in pairs_of(group, margin):
            differences.append(numbers[pair.chosen] - numbers[pair.rejected])
            clusters.append(group.group)
    sign = np.where(np.arange(len(differences)) % 2 == 0, 1.0, -1.0)
    folds = GroupKFold(n_splits=min(FOLDS, len(set(clusters))))
    search = GridSearchCV(model, {"logisticregression__C": list(STRENGTHS)}, cv=folds)
    search.fit(np.stack(differences) * sign[:, None], sign, groups=clusters)
    best = search.best_estimator_
    return lambda group: tuple(float(score) for score in best.decision_function(np.asarray(features(group), float)))
