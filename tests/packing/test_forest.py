"""The forest against hand-drawn trees and against its own definition on random batches."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edu_align.packing.forest import Forest, build_forest

P, A, B, C = [1, 2, 3, 4], [5, 5], [6, 7, 8], [9]


def batch(rows: list[list[int]], left: bool = False) -> tuple[np.ndarray, np.ndarray]:
    width = max(map(len, rows))
    ids, mask = np.zeros((len(rows), width), dtype=np.int64), np.zeros((len(rows), width), dtype=np.int64)
    for i, row in enumerate(rows):
        at = slice(width - len(row), width) if left else slice(0, len(row))
        ids[i, at], mask[i, at] = row, 1
    return ids, mask


def check(rows: list[list[int]], forest: Forest, mask: np.ndarray, window: int | None = None) -> None:
    """Each row's nodes hold its tokens at its positions, and each attends to exactly the nodes before it in the row."""
    width = forest.tokens.shape[1]
    real = set()
    for b, row in enumerate(rows):
        nodes = forest.place[b, mask[b] == 1]
        real |= set(nodes.tolist())
        assert forest.tokens.reshape(-1)[nodes].tolist() == row
        assert forest.positions.reshape(-1)[nodes].tolist() == list(range(len(row)))
        for depth, node in enumerate(nodes):
            packed, at = divmod(int(node), width)
            seen = (np.flatnonzero(forest.mask()[packed, at]) + packed * width).tolist()
            nearest = 0 if window is None else max(0, depth - window + 1)
            assert seen == sorted(nodes[nearest : depth + 1].tolist())
    assert forest.nodes == len(real)
    assert forest.asked == sum(map(len, rows))


def checked(rows: list[list[int]], left: bool = False, window: int | None = None, **options: Any) -> Forest:
    """The forest of the rows, which is what its definition says."""
    ids, mask = batch(rows, left)
    forest = build_forest(ids, mask, **options).within(window)
    check(rows, forest, mask, window)
    assert (forest.place[mask == 0] == 0).all()
    return forest


def test_in_one_row_no_node_is_padding() -> None:
    rows = [P + A, P + B, [30, 31], [40, 41, 42]]
    forest = checked(rows, one_row=True)
    assert forest.tokens.shape == (1, forest.nodes)
    assert checked(rows).tokens.shape == (2, 9)  # a second row, padded to the first


def test_two_pairs_of_one_prompt_are_one_tree() -> None:
    forest = checked([P + A, P + B, P + A, P + C])
    assert forest.tokens.tolist() == [[1, 2, 3, 4, 5, 5, 6, 7, 8, 9]]
    assert forest.positions.tolist() == [[0, 1, 2, 3, 4, 5, 4, 5, 6, 4]]
    assert (forest.asked, forest.nodes) == (24, 10)
    assert forest.place[0, :6].tolist() == forest.place[2, :6].tolist() == [0, 1, 2, 3, 4, 5]
    assert np.flatnonzero(forest.mask()[0, 9]).tolist() == [0, 1, 2, 3, 9]
    forest = checked([P + A, P + B], window=3)
    assert np.flatnonzero(forest.mask()[0, int(forest.place[1, 6])]).size == 3, "counted along the row"


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize(
    ("rows", "tokens"),
    [
        ([P + A, P + B, P], [[1, 2, 3, 4, 5, 5, 6, 7, 8]]),
        ([P + B, P], [P + B]),  # a row that begins another adds no node
        ([[1, 2, 3, 4, 5], [1, 2, 7, 8, 9]], [[1, 2, 3, 4, 5], [1, 2, 7, 8, 9]]),  # less than half is shared
        ([[1, 2, 3, 4, 5, 6], [7, 8, 9], [10, 11]], [[1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 0]]),  # small trees share
    ],
)
def test_trees_by_hand(rows: list[list[int]], tokens: list[list[int]], left: bool) -> None:
    assert checked(rows, left).tokens.tolist() == tokens


def test_padding_attends_to_itself_alone() -> None:
    assert np.flatnonzero(checked([[1, 2, 3, 4, 5, 6], [7, 8, 9], [10, 11]]).mask()[1, 5]).tolist() == [5]
    with pytest.raises(ValueError, match="without a real token"):
        build_forest(np.array([[1, 2], [0, 0]]), np.array([[1, 1], [0, 0]]))


ROWS = st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=9), min_size=1, max_size=6)


@settings(max_examples=50, deadline=None)
@given(ROWS, st.booleans(), st.one_of(st.none(), st.integers(1, 5)))
def test_any_batch_is_kept_exactly(rows: list[list[int]], left: bool, window: int | None) -> None:
    forest = checked(rows, left, window=window)
    checked(rows, left, window=window, one_row=True)
    assert len({tuple(row[: i + 1]) for row in rows for i in range(len(row))}) <= forest.nodes <= forest.asked
