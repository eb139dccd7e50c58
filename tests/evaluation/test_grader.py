"""The grader learns what its features hold and nothing else, and macro-F1 is what its definition says."""

from pathlib import Path

import numpy as np
import pytest

from edu_align.evaluation.grader import LABELS, fit
from edu_align.evaluation.macro_f1 import macro_f1
from edu_align.utils.errors import UserError

GROUPS = [f"g{i // 6}" for i in range(120)]


def test_it_learns_a_label_that_the_states_hold() -> None:
    rng = np.random.default_rng(0)
    labels = [i % 3 for i in range(120)]
    states = rng.normal(size=(120, 12)).astype(np.float32)
    states[:, 4] += 4 * np.array(labels)
    held = np.zeros((3, 12), dtype=np.float32)
    held[:, 4] = [0, 4, 8]
    grader = fit(states, {"seen": labels, "noise": list(rng.permutation(labels)), "one": [2] * 120}, GROUPS)
    assert grader.chances("seen", held).argmax(1).tolist() == [0, 1, 2]
    assert grader.chances("seen", held).sum(1) == pytest.approx(1)
    points = grader.points("seen", held)
    assert points[0] < points[1] < points[2]
    assert np.ptp(grader.points("noise", held)) < np.ptp(points)
    assert (grader.points("one", held), grader.majority["one"]) == ([2.0] * 3, 2)
    assert len(LABELS) == grader.chances("seen", held[:0]).shape[1]


def test_one_group_is_too_few() -> None:
    with pytest.raises(UserError, match="at least 2 groups"):
        fit(np.zeros((4, 2)), {"d": [0, 1, 0, 1]}, ["g"] * 4)


def test_macro_f1_is_that_of_scikit_learn(tmp_path: Path) -> None:
    from sklearn.metrics import f1_score

    rng = np.random.default_rng(1)
    labels, said = (rng.integers(0, 3, 120).tolist() for _ in range(2))
    found = macro_f1(labels, said, GROUPS, 3, seed=0)
    assert found.mean == pytest.approx(f1_score(labels, said, average="macro"))
    assert found.low < found.mean < found.high
    assert (found.n, found.clusters) == (120, 20)
    constant = macro_f1(labels, [2] * 120, GROUPS, 3, seed=0)
    assert constant.mean == pytest.approx(f1_score(labels, [2] * 120, average="macro", zero_division=0))
    assert macro_f1([0, 1], [0, 1], ["g", "g"], 3, seed=0).mean == 1
    assert macro_f1(labels, said, GROUPS, 3, seed=0) == found
