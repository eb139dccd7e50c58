"""Processes that nobody launched, and an environment that cannot be read, are named before anything starts."""

import pytest

from edu_align.utils import distributed
from edu_align.utils.errors import UserError


@pytest.mark.cases("C10")
@pytest.mark.parametrize("value", ["x", "", " ", "0", "-1", "2.0", "²"])
def test_a_number_of_processes_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("WORLD_SIZE", value)
    with pytest.raises(UserError, match="`WORLD_SIZE` must be a whole number from 1") as caught:
        distributed.count()
    assert "`unset WORLD_SIZE`" in str(caught.value)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", value or "x")
    if value != "0":
        with pytest.raises(UserError, match="`RANK` must be a whole number from 0"):
            distributed.rank()


@pytest.mark.cases("C10")
@pytest.mark.parametrize("name", ["RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE"])
def test_leftovers_of_a_launcher_that_are_no_numbers_are_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.setenv(name, "x")
    with pytest.raises(UserError, match=f"`{name}` must be a whole number"):
        distributed.join("cpu")
    monkeypatch.setenv(name, "-1")  # torch's old launcher for one process
    distributed.join("cpu")


@pytest.mark.cases("C10")
def test_processes_that_nobody_launched_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="without RANK, MASTER_ADDR, MASTER_PORT") as caught:
        distributed.join("cpu")
    assert "`unset WORLD_SIZE`, or launch them with torchrun." in str(caught.value)
    monkeypatch.setenv("WORLD_SIZE", "1")
    distributed.join("cpu")
