"""What a finished run gives back."""

import gc
import os
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from edu_align.caching import memory
from edu_align.runs.facts import peak_memory_gib


class Node:
    """Something that holds itself."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture(autouse=True)
def thawed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    import torch  # noqa: F401  # without it there is nothing to free

    monkeypatch.setattr(memory, "_settled", False)
    gc.unfreeze()
    yield
    gc.unfreeze()


@pytest.mark.parametrize("settled", [False, True])
def test_cycles_are_collected_before_and_after_the_freeze(settled: bool) -> None:
    if settled:
        memory.settle()
    gone = weakref.ref(Node())
    gc.disable()
    try:
        memory.free()
    finally:
        gc.enable()
    assert gone() is None
    assert (gc.get_freeze_count() > 0) is settled


def test_what_was_dropped_before_the_freeze_is_not_kept() -> None:
    gc.disable()
    try:
        gone = weakref.ref(Node())
        memory.settle()
    finally:
        gc.enable()
    assert gone() is None


def test_nothing_is_frozen_later() -> None:
    """What a second run holds when it begins, and drops when it ends."""
    memory.settle()
    held = Node()
    memory.settle()
    gone = weakref.ref(held)
    del held
    gc.collect()
    assert gone() is None


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux can forget a peak")
def test_the_peak_of_one_run_is_not_that_of_the_one_before() -> None:
    memory.keep_freed()
    large = os.urandom(1) * (1 << 29)
    raised = peak_memory_gib()
    del large
    memory.free()
    assert peak_memory_gib() <= raised - 0.4


def test_a_command_without_torch_pays_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch")
    monkeypatch.setattr(gc, "collect", lambda: pytest.fail("this takes time"))
    memory.free()
