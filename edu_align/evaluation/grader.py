"""A grader of replies that is trained here on people's labels: a linear head on a base model's hidden states.

Features: the mean of the last hidden states over the reply's tokens, read after the dialogue. Head: multinomial
logistic regression on their principal components, one a dimension; how strongly it is regularised is chosen by the
likelihood of people's labels in cross-validation over groups of the training side.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edu_align.data.bag_of_words import FOLDS, STRENGTHS
from edu_align.utils.errors import UserError

LABELS = ("No", "To some extent", "Yes")  # by their points, 0 to 2
COMPONENTS = 64
SEED = 0  # of the principal components


@dataclass(frozen=True)
class Grader:
    """`components`: makes states the features; `heads`: a fitted head for each dimension; `majority`: people's most
    frequent label in training.
    """

    components: Any
    heads: Mapping[str, Any]
    majority: Mapping[str, int]

    def chances(self, dimension: str, states: Any) -> Any:
        """(N, H) -> (N, 3): the probability of each of LABELS."""
        head = self.heads[dimension]
        found = np.zeros((len(states), len(LABELS)))
        if head is None:
            found[:, self.majority[dimension]] = 1.0
        elif len(states):
            found[:, head.classes_] = head.predict_proba(self.components.transform(states))
        return found

    def points(self, dimension: str, states: Any) -> list[float]:
        """The points that are expected of each reply, 0 to 2."""
        return list(map(float, self.chances(dimension, states) @ np.arange(len(LABELS))))


def fit(states: Any, labels: Mapping[str, Sequence[int]], groups: Sequence[str]) -> Grader:
    """`states` (N, H) of N labelled replies; `labels` by dimension, 0 to 2. Errors: fewer than two groups."""
    if len(set(groups)) < 2:
        raise UserError(f"A grader needs replies of at least 2 groups to learn from, got {len(set(groups))}.")
    components = _components(states)
    features = components.transform(states)
    heads = {name: _head(features, np.array(values), groups) for name, values in labels.items()}
    return Grader(components, heads, {name: int(np.bincount(values).argmax()) for name, values in labels.items()})


def _components(states: Any) -> Any:
    """Scaled principal components of the training states; no label is read."""
    from sklearn.decomposition import PCA
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), PCA(min(COMPONENTS, *states.shape), random_state=SEED)).fit(states)


def _head(features: Any, labels: Any, groups: Sequence[str]) -> Any:
    """None where people gave one label to all."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, GroupKFold

    if len(set(labels)) < 2:
        return None
    folds = GroupKFold(n_splits=min(FOLDS, len(set(groups))))
    search = GridSearchCV(LogisticRegression(max_iter=1000), {"C": list(STRENGTHS)}, cv=folds, scoring=_log_chance)
    search.fit(features, labels, groups=list(groups))
    return search.best_estimator_


def _log_chance(head: Any, features: Any, labels: Any) -> float:
    """Mean log-probability of people's labels; one that the fold's training part never had is given 1e-6."""
    chances = np.zeros((len(features), len(LABELS)))
    chances[:, head.classes_] = head.predict_proba(features)
    return float(np.log(np.maximum(chances[np.arange(len(labels)), labels], 1e-6)).mean())
