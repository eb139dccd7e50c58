"""What of a config is a sweep: several values for one key, which only a multirun takes."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

from edu_align.config.choices import Layer
from edu_align.config.files import Search
from edu_align.config.overrides import Change

MOST_COMBINATIONS = 64  # of a sweep whose cross-key rules are checked up front; every job is checked again as it starts


def asks_for_sweep(changes: list[Change], layers: list[Layer]) -> bool:
    """Whether `hydra.mode` is MULTIRUN, on the command line or in a file."""
    values = [node["mode"] for node in _hydra_nodes(layers) if "mode" in node]
    values += [change.values[0] for change in changes if change.key == "hydra.mode"]
    return bool(values) and values[-1] == "MULTIRUN"


def sweeper_params(layers: list[Layer]) -> list[str]:
    """`hydra.sweeper.params` of the files, as the overrides that the sweeper makes of them."""
    params: dict[str, Any] = {}
    for node in _hydra_nodes(layers):
        sweeper = node.get("sweeper")
        if isinstance(sweeper, dict):
            params.update(sweeper.get("params") or {})
    return [f"{key}={value}" for key, value in params.items()]


def group_combinations(changes: list[Change], search: Search) -> Iterator[list[Change]]:
    """`changes` with every swept group narrowed to one of its options, for each combination."""
    swept = [change.values if change.sweep and search.options(change.key) else (None,) for change in changes]
    for chosen in product(*swept):
        yield [
            change if value is None else replace(change, values=(value,))
            for change, value in zip(changes, chosen, strict=True)
        ]


def not_swept(change: Change) -> str:
    """The problem of a sweep in a single run."""
    return f"`{change.text}` gives several values. Add -m to run each of them, or write {change.key}=[a,b] for a list."


def no_end(changes: list[Change], layers: list[Layer]) -> Iterator[str]:
    """A problem for every interval in a grid, which would have to try all of its values."""
    nodes = [layer.content.get("sweep") for layer in layers if layer.package == ""]
    values = [node["sampler"] for node in nodes if isinstance(node, dict) and "sampler" in node]
    values += [change.values[0] for change in changes if change.key == "sweep.sampler" and change.values]
    for change in changes:
        if change.endless and values and values[-1] == "grid" and not change.for_hydra:
            yield (
                f"`{change.text}` has no end of values, and sweep.sampler=grid tries all. "
                "List them (0.1,0.2), write range(...), or set sweep.sampler=random or tpe."
            )


def _hydra_nodes(layers: list[Layer]) -> Iterator[dict[str, Any]]:
    """What each layer says under `hydra`, wherever its package puts it."""
    for layer in layers:
        if layer.package == "":
            node = layer.content.get("hydra")
        elif layer.package.split(".")[0] == "hydra":
            node = layer.content
            for part in reversed(layer.package.split(".")[1:]):
                node = {part: node}
        else:
            node = None
        if isinstance(node, dict):
            yield node
