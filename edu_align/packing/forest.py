"""Rows of a batch as a forest: what several rows begin with is one path, laid out once.

Before, two pairs of one prompt as four rows (p prompt tokens, r reply tokens, . padding):

    p p p p a a .        After, one tree:   p p p p a a b b b c
    p p p p b b b                           0 1 2 3 4 5 4 5 6 4    positions restart at each branch
    p p p p a a .
    p p p p c . .

A token attends to itself and to its ancestors, which are what stood before it in every row that it came from, so each
row's hidden states are those of the row computed alone.
"""

from dataclasses import dataclass, replace

import numpy as np

from edu_align.packing.budget import SHARED_SHARE, common


@dataclass(frozen=True)
class Tree:
    """A tree's place: packed row `row`, from node `start` on. seen: bool (n, n), True where its node (first axis) may
    attend to its other node (second).
    """

    row: int
    start: int
    seen: np.ndarray


@dataclass(frozen=True)
class Forest:
    """R packed rows of at most W nodes, for B rows of length L.

    tokens, positions: int64 (R, W), padding is 0. trees: what the rows hold, one tree behind the other. place: int64
    (B, L), flat index r * W + w of the node that holds the row's token (0 where the row is padding). asked: real tokens
    of the B rows.
    """

    tokens: np.ndarray
    positions: np.ndarray
    trees: tuple[Tree, ...]
    place: np.ndarray
    asked: int

    @property
    def nodes(self) -> int:
        """Real nodes in all: what is computed for the `asked` tokens."""
        return sum(len(tree.seen) for tree in self.trees)

    def within(self, window: int | None) -> "Forest":
        """The same nodes as layers with a sliding window see them: those `window` tokens before a node, or further
        along its row, are hidden from it. Itself where nothing is.
        """
        if window is None or self.positions.max() < window:
            return self
        trees = []
        for tree in self.trees:
            depths = self.positions[tree.row, tree.start : tree.start + len(tree.seen)]
            trees.append(replace(tree, seen=tree.seen & (depths[:, None] - depths[None, :] < window)))
        return replace(self, trees=tuple(trees))

    def mask(self) -> np.ndarray:
        """bool (R, W, W), True where the node (second axis) may attend to the other (third)."""
        rows, width = self.tokens.shape
        mask = np.zeros((rows, width, width), dtype=bool)
        mask[:, np.arange(width), np.arange(width)] = True  # padding nodes attend to themselves, never to nothing
        for tree in self.trees:
            stop = tree.start + len(tree.seen)
            mask[tree.row, tree.start : stop, tree.start : stop] = tree.seen
        return mask


_Path = tuple[int, np.ndarray, np.ndarray]  # tree, nodes, columns


@dataclass
class _Trie:
    """Nodes in the order in which sorted rows bring them.

    tokens, depths: one array a row, of the nodes that it adds. branches: what stands before these: the nodes from the
    root on.
    """

    tokens: list[np.ndarray]
    depths: list[np.ndarray]
    branches: list[np.ndarray]
    size: int = 0

    def add(self, ids: np.ndarray, branch: np.ndarray) -> np.ndarray:
        """Nodes of the row `ids` from the root on; those of `branch` are there already."""
        new = np.arange(self.size, self.size + len(ids) - len(branch))
        self.tokens.append(ids[len(branch) :])
        self.depths.append(np.arange(len(branch), len(ids)))
        self.branches.append(branch)
        self.size += len(new)
        return np.concatenate([branch, new])


def build_forest(
    input_ids: np.ndarray, attention_mask: np.ndarray, one_row: bool = False, share: bool = True
) -> Forest:
    """Merge the rows of (B, L) `input_ids` that begin alike; padding, right or left, is where `attention_mask` is 0.

    `one_row`: all trees behind each other in a single row, which has no padding; otherwise they are packed into rows no
    longer than the longest tree (first fit, longest first), which keeps a dense mask small. `share`: false gives each
    row a tree of its own.
    """
    tries, where = _build_tries(input_ids, attention_mask, share)
    sizes = [trie.size for trie in tries]
    width = sum(sizes) if one_row else max(sizes)
    home, rows = _placements(sizes, width)
    tokens = np.zeros((rows, width), dtype=np.int64)
    positions = np.zeros((rows, width), dtype=np.int64)
    for trie, (row, start) in zip(tries, home, strict=True):
        tokens[row, start : start + trie.size] = np.concatenate(trie.tokens)
        positions[row, start : start + trie.size] = np.concatenate(trie.depths)
    place = np.zeros(input_ids.shape, dtype=np.int64)
    for b, (t, path, columns) in enumerate(where):
        row, start = home[t]
        place[b, columns] = row * width + start + path
    trees = [Tree(row, start, _ancestors(trie)) for trie, (row, start) in zip(tries, home, strict=True)]
    trees.sort(key=lambda tree: (tree.row, tree.start))
    return Forest(tokens, positions, tuple(trees), place, int((attention_mask != 0).sum()))


def _placements(sizes: list[int], width: int) -> tuple[list[tuple[int, int]], int]:
    """(packed row, first node) of each tree, and the number of rows: first fit, longest first."""
    used: list[int] = []
    home = [(0, 0)] * len(sizes)
    for t in sorted(range(len(sizes)), key=lambda t: -sizes[t]):
        row = next((r for r, nodes in enumerate(used) if nodes + sizes[t] <= width), len(used))
        if row == len(used):
            used.append(0)
        home[t] = (row, used[row])
        used[row] += sizes[t]
    return home, len(used)


def _build_tries(input_ids: np.ndarray, attention_mask: np.ndarray, share: bool) -> tuple[list[_Trie], list[_Path]]:
    """Tries of the rows, and for each row its tree, its path of nodes and its real columns."""
    columns = [np.flatnonzero(keep) for keep in attention_mask]
    rows = [row[real] for row, real in zip(input_ids, columns, strict=True)]
    if not all(map(len, rows)):
        raise ValueError("a row without a real token cannot be packed")
    keys = [row.astype(">u8").tobytes() for row in rows]  # bytes that sort as the tokens do
    trees: list[_Trie] = []
    paths: list[_Path | None] = [None] * len(rows)
    previous, before = b"", np.zeros(0, dtype=np.int64)  # the row before in this order, and its path
    for b in sorted(range(len(rows)), key=keys.__getitem__):  # no row before shares more with a row than its neighbour
        ids = rows[b]
        shared = common(previous, keys[b], size=8)
        if not trees or not share or shared < SHARED_SHARE * min(len(before), len(ids)):
            trees.append(_Trie([], [], []))
            shared = 0
        path = trees[-1].add(ids, before[:shared])
        paths[b] = (len(trees) - 1, path, columns[b])
        previous, before = keys[b], path
    return trees, [path for path in paths if path is not None]


def _ancestors(tree: _Trie) -> np.ndarray:
    """bool (n, n): node i may attend to j, when j is i or an ancestor of i."""
    allowed = np.zeros((tree.size, tree.size), dtype=bool)
    start = 0
    for branch, new in zip(tree.branches, tree.tokens, strict=True):
        stop = start + len(new)
        allowed[start:stop, branch] = True
        allowed[start:stop, start:stop] = np.tri(len(new), dtype=bool)
        start = stop
    return allowed
