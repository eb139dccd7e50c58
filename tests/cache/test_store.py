"""The store: what was written is found, what is damaged is dropped, room is made, processes share one computation."""

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edu_align.cache.store import TENSORS, Codec, Store, content, ragged, rows_of
from edu_align.utils.files import held
from tests.killing import in_child

TEXT: Codec[str] = Codec("jsonl", lambda value: json.dumps(value).encode(), lambda found: json.loads(found.decode()))


def entries(root: Path) -> list[Path]:
    return sorted(path for path in root.glob("*/*") if path.suffix in (".jsonl", ".safetensors"))


def never() -> Any:
    raise AssertionError("this was computed again")


def test_an_entry_is_computed_once(tmp_path: Path) -> None:
    store = Store(tmp_path, 1)
    assert store.get_or_compute("words", "aa", TEXT, lambda: "first") == ("first", False)
    assert Store(tmp_path, 1).get_or_compute("words", "aa", TEXT, never) == ("first", True)
    assert store.get_or_compute("words", "ab", TEXT, lambda: "other key") == ("other key", False)
    assert store.get_or_compute("texts", "aa", TEXT, lambda: "other kind") == ("other kind", False)
    assert not list(tmp_path.rglob("*.aside"))


def test_an_entry_that_is_not_enough_is_extended_and_replaced(tmp_path: Path) -> None:
    store = Store(tmp_path, 1)

    def longer(length: int) -> tuple[str, bool]:
        return store.get_or_extend(
            "words", "aa", TEXT, lambda found: len(found) >= length, lambda found: (found or "").ljust(length, "x")
        )

    assert longer(2) == ("xx", False)
    assert longer(1) == ("xx", True)
    assert longer(4) == ("xxxx", False)
    assert longer(4) == ("xxxx", True)
    assert len(entries(tmp_path)) == 1


def test_a_limit_of_zero_keeps_nothing(tmp_path: Path) -> None:
    for _ in range(2):
        assert Store(tmp_path, 0).get_or_compute("words", "aa", TEXT, lambda: "new") == ("new", False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["cut", "bit", "empty", "not what it says"])
def test_a_damaged_entry_is_named_dropped_and_computed_again(tmp_path: Path, capsys: Any, damage: str) -> None:
    store = Store(tmp_path, 1)
    store.get_or_compute("words", "aa", TEXT, lambda: "a longer text")
    (path,) = entries(tmp_path)
    whole = path.read_bytes()
    if damage == "not what it says":  # the checksum fits, the content is none of ours
        other: Codec[bytes] = Codec("jsonl", lambda value: value, lambda found: found)
        path.unlink()
        store.get_or_compute("words", "aa", other, lambda: b"{")
        (path,) = entries(tmp_path)
    else:
        path.write_bytes({"cut": whole[:-3], "bit": b"#" + whole[1:], "empty": b""}[damage])
    assert store.get_or_compute("words", "aa", TEXT, lambda: "again") == ("again", False)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert str(path) in said
    assert "damaged" in said
    assert store.get_or_compute("words", "aa", TEXT, never) == ("again", True)
    assert len(entries(tmp_path)) == 1


def test_what_was_not_used_for_longest_makes_room(tmp_path: Path) -> None:
    store = Store(tmp_path, 2.5e-6)  # 2,500 bytes
    for key in ("a", "b"):
        store.get_or_compute("words", key, TEXT, lambda: "x" * 1000)
    old = time.time() - 100
    for path in entries(tmp_path):
        os.utime(path, (old, old))
    store.get_or_compute("words", "a", TEXT, never)
    store.get_or_compute("words", "c", TEXT, lambda: "x" * 1000)
    assert [path.name[0] for path in entries(tmp_path)] == ["a", "c"]


@pytest.mark.cases("D17")
def test_what_killed_writers_left_is_removed_and_a_living_ones_stays(tmp_path: Path) -> None:
    store = Store(tmp_path, 1)
    (tmp_path / "words").mkdir()
    for name in ("dead", "living"):
        (tmp_path / "words" / f".{name}.aside").write_text("half")
    with held(tmp_path / "words" / ".living.aside"):
        store.get_or_compute("words", "aa", TEXT, lambda: "whole")
    assert [path.name for path in tmp_path.rglob("*.aside")] == [".living.aside"]


def test_a_full_disk_costs_the_entry_and_not_the_run(tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "words").write_text("a file where the folder should be")
    assert Store(tmp_path, 1).get_or_compute("words", "aa", TEXT, lambda: "value") == ("value", False)
    assert "the cache keeps no words" in capsys.readouterr().err


def _compute(root: Path, computed: Path, gate: Any) -> None:
    def make() -> str:
        with computed.open("a") as file:
            file.write("x")
        time.sleep(0.3)
        return "value"

    gate.wait()
    assert Store(root, 1).get_or_compute("words", "aa", TEXT, make)[0] == "value"


def test_of_several_processes_one_computes(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    gate = context.Barrier(4)
    computed = tmp_path / "computed"
    workers = [context.Process(target=_compute, args=(tmp_path / "cache", computed, gate)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert computed.read_text() == "x"


def test_a_killed_process_lets_go(tmp_path: Path) -> None:
    def die() -> Any:
        os.kill(os.getpid(), signal.SIGKILL)

    assert in_child(lambda: Store(tmp_path, 1).get_or_compute("words", "aa", TEXT, die)) == -9
    assert Store(tmp_path, 1).get_or_compute("words", "aa", TEXT, lambda: "mine") == ("mine", False)
    assert Store(tmp_path, 1).get_or_compute("words", "aa", TEXT, never) == ("mine", True)


def test_rows_and_columns_come_back_as_they_were(tmp_path: Path) -> None:
    rows = [[1, 2, 3], [], [-100, 49151]]
    arrays = ragged("ids", rows) | {"logps": np.array([-1.5, -0.1], dtype=np.float32)}
    store = Store(tmp_path, 1)
    store.get_or_compute("rows", "aa", TENSORS, lambda: (arrays, {"long": 2}))
    (found, facts), there = store.get_or_compute("rows", "aa", TENSORS, never)
    assert there
    assert facts == {"long": 2}
    assert rows_of(found, "ids") == rows
    assert found["logps"].tobytes() == arrays["logps"].tobytes()
    assert content(ragged("ids", rows)) != content(ragged("ids", [[1, 2], [3], [-100, 49151]]))
