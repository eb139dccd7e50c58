"""What the words of two replies say of which is better: a logistic regression on the difference of their features.

That is the model of Bradley & Terry (1952, Biometrika 39) with the score of a reply linear in its features, so a
reply's score needs no partner. How strongly it is regularised is chosen by cross-validation over questions.
"""

import re
from collections.abc import Iterable, Sequence
from random import Random
from typing import Any

from edu_align.records import Pair

WORD = re.compile(r"[^\W_]+")
FOLDS = 5
STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0, 10.0)  # inverse regularisation of scikit-learn's LogisticRegression
LOG_LOSS = "neg_log_loss"  # scikit-learn's word


def counter(texts: Iterable[str]) -> Any:
    """scikit-learn's CountVectorizer: whether each word occurs, over words of at least two of the texts.

    Errors: ValueError where there is no such word.
    """
    from sklearn.feature_extraction.text import CountVectorizer

    return CountVectorizer(binary=True, min_df=2, token_pattern=WORD.pattern).fit(list(texts))


def bradley_terry(differences: Any, clusters: Sequence[str], *scaling: Any, scoring: str | None = None) -> Any:
    """The fitted pipeline, whose decision function is linear and has no intercept.

    `differences`: features of the chosen reply minus those of the rejected one, (pairs, features), dense or sparse.
    `clusters`: what is never on two sides of the cross-validation, one a pair. `scoring`: what it chooses by; None:
    accuracy. Every pair is seen once, turned around at every other pair, so that both answers are equally frequent.
    """
    import numpy as np
    from scipy.sparse import issparse
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, GroupKFold
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(*scaling, LogisticRegression(fit_intercept=False, max_iter=1000))
    sign = np.where(np.arange(differences.shape[0]) % 2 == 0, 1.0, -1.0)
    turned = differences.multiply(sign[:, None]).tocsr() if issparse(differences) else differences * sign[:, None]
    folds = GroupKFold(n_splits=min(FOLDS, len(set(clusters))))
    search = GridSearchCV(model, {"logisticregression__C": list(STRENGTHS)}, cv=folds, scoring=scoring)
    return search.fit(turned, sign, groups=clusters).best_estimator_


def held_out_odds(pairs: Sequence[Pair], seed: int) -> list[float]:
    """For each pair the log-odds that its chosen reply is the better one, by a bag of words that was fitted on the
    pairs of other questions: FOLDS parts of the groups, drawn by `seed`.

    sigmoid of it is the model's probability of the right order. 0 where the other pairs share no word. At least
    2 * FOLDS groups are needed: each fit is cross-validated itself, by its log-likelihood.
    """
    groups = sorted({pair.group.group for pair in pairs})
    if len(groups) < 2 * FOLDS:
        raise ValueError(f"pairs of {len(groups)} groups are too few to fit on the others, {2 * FOLDS} are needed")
    Random(seed).shuffle(groups)
    fold = {group: number % FOLDS for number, group in enumerate(groups)}
    sides = [[pair.group.responses[i].text for i in (pair.chosen, pair.rejected)] for pair in pairs]
    odds = [0.0] * len(pairs)
    for number in range(FOLDS):
        mine = [i for i, pair in enumerate(pairs) if fold[pair.group.group] == number]
        others = [i for i, pair in enumerate(pairs) if fold[pair.group.group] != number]
        for i, value in zip(mine, _odds(pairs, sides, others, mine), strict=True):
            odds[i] = value
    return odds


def _odds(pairs: Sequence[Pair], sides: list[list[str]], known: list[int], asked: list[int]) -> list[float]:
    try:
        words = counter({text for i in known for text in sides[i]})
    except ValueError:
        return [0.0] * len(asked)
    fitted, scored = (
        words.transform([sides[i][0] for i in some]) - words.transform([sides[i][1] for i in some])
        for some in (known, asked)
    )
    model = bradley_terry(fitted.astype(float), [pairs[i].group.group for i in known], scoring=LOG_LOSS)
    return [float(value) for value in model.decision_function(scored.astype(float))]
