"""Names, places and disks: what is refused, what is said, and what processes that died leave."""

import errno
import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from edu_align.config.rules import _places
from edu_align.utils.errors import UserError
from edu_align.utils.files import check_folder, disk_error, name_problem, remove_left_over, whole_folder
from edu_align.utils.jsonl import append_synced
from edu_align.utils.program import explanation, program
from tests.killing import in_child


@pytest.mark.cases("D20")
@pytest.mark.parametrize("name", ["../../x", "/abs", "a/b", ".", "..", "", "  ", "a\nb", "a\0b", "n" * 300, "ü" * 121])
def test_a_name_is_one_folder(name: str) -> None:
    problem = name_problem("run_name", name)
    assert problem is not None
    assert problem.startswith("`run_name=")
    assert "\n" not in problem
    assert len(problem) < 300
    assert list(_places({"run_name": name})) == [problem]


@pytest.mark.cases("D20")
@pytest.mark.parametrize("name", ["my_run", "...", "größer", "a b", "2024_01", "n" * 240, "ü" * 120])
def test_a_name_that_is_one_stays(name: str) -> None:
    assert name_problem("run_name", name) is None


@pytest.mark.cases("D20")
def test_a_place_that_is_no_folder_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for place, said in (
        (tmp_path / "file", "is no folder"), (tmp_path / "link" / "deep", "is a link that leads"),
        (Path("/dev/null"), "is no folder"), (tmp_path / "loop", "a link that"),
        (tmp_path / ("n" * 300), "too long"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=f"`outputs_root=.*{said}"):
            check_folder("outputs_root", place)
        assert len(list(_places({"outputs_root": str(place)}))) == 1
        with pytest.raises(OSError, match=r".") as caught:
            (place / "runs").mkdir(parents=True, exist_ok=True)
        assert isinstance(explanation(caught.value), UserError)
    check_folder("outputs_root", tmp_path / "not" / "yet")


@pytest.mark.cases("D20")
def test_a_folder_that_is_deleted_under_a_command_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        (tmp_path / "runs" / "it" / "run.json").write_text("")
    assert str(explanation(caught.value)).startswith(f"{tmp_path / 'runs'} is gone")
    with pytest.raises(FileNotFoundError) as caught:
        (tmp_path / "rows.jsonl").read_text()
    assert explanation(caught.value) is None  # no folder is missing: a fault of the program


@pytest.mark.cases("D20")
def test_a_command_in_a_folder_that_is_gone_is_one_message(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        (tmp_path / "here").mkdir()
        os.chdir(tmp_path / "here")
        shutil.rmtree(tmp_path / "here")
        program(lambda: Path("outputs/runs").mkdir(parents=True))()

    assert in_child(work) == 2
    assert "the folder that this command was started in is gone" in capfd.readouterr().err


@pytest.mark.cases("D12")
@pytest.mark.parametrize(
    "error",
    [
        OSError("8192 requested and 4096 written"),
        RuntimeError("[enforce fail] . PytorchStreamWriter failed writing file data/0: file write failed"),
    ],
    ids=["NumPy", "torch"],
)  # fmt: skip
def test_a_full_disk_is_one_message_whoever_says_it(error: Exception, tmp_path: Path) -> None:
    said = str(explanation(error))
    assert "No space left on device" in said
    assert "MiB are free" in said
    assert f"outputs_root={tmp_path}" in str(disk_error(error, tmp_path))


@pytest.mark.cases("D12")
def test_a_row_of_which_the_disk_takes_a_part_is_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "write", lambda handle, content: 3)
    with (tmp_path / "a").open("a+b") as file, pytest.raises(OSError, match="a part of a row") as caught:
        append_synced(file.fileno(), [{"a": 1}])
    assert caught.value.errno == errno.ENOSPC


@pytest.mark.cases("D17")
def test_what_a_killed_writer_left_goes_with_the_next_one_and_a_living_ones_stays(tmp_path: Path) -> None:
    def die() -> None:
        with whole_folder(tmp_path / "export") as aside:
            (aside / "weights").touch()
            os.kill(os.getpid(), signal.SIGKILL)

    assert in_child(die) == -signal.SIGKILL
    (tmp_path / "export").mkdir()  # else the one below would be put back
    (tmp_path / ".export.older.77").mkdir()
    (tmp_path / ".export.txt.77").mkdir()
    left = {path.name for path in tmp_path.iterdir()} - {".export.txt.77"}
    assert len(left) == 3
    with whole_folder(tmp_path / "export"):
        assert in_child(lambda: _write(tmp_path / "export")) == 0
        assert {path.name for path in tmp_path.iterdir()} == {".export.txt.77", f".export.{os.getpid()}", "export"}


@pytest.mark.cases("D17")
def test_killed_between_two_names_the_older_folder_is_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place, rename = tmp_path / "adapter", Path.rename
    _write(place)
    (place / "weights").write_text("finished")

    def die(self: Path, target: Path) -> None:
        rename(self, target)
        os.kill(os.getpid(), signal.SIGKILL)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", die)
        assert in_child(lambda: _write(place)) == -signal.SIGKILL
    assert not place.exists()
    with pytest.raises(ZeroDivisionError), whole_folder(place):
        raise ZeroDivisionError
    assert (place / "weights").read_text() == "finished"
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]


@pytest.mark.cases("D17")
def test_what_lies_aside_for_long_is_removed_where_others_may_write(tmp_path: Path) -> None:
    for name, age in ((".0001.json.7.8", 100), (".0002.json.7.8", 0), (".lock", 100), ("0003.json", 100)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    remove_left_over(tmp_path, since=60)
    assert {path.name for path in tmp_path.iterdir()} == {".0002.json.7.8", ".lock", "0003.json"}
    remove_left_over(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {".lock", "0003.json"}
    remove_left_over(tmp_path / "none")


def _write(path: Path) -> None:
    with whole_folder(path) as aside:
        (aside / "weights").touch()
