"""What is said where the disk takes nothing, or a place is none, and what writers that died left."""

import errno
import os
from pathlib import Path

import pytest

from edu_align.utils.errors import UserError
from edu_align.utils.files import disk_error, disk_errors


@pytest.mark.cases("D20")
@pytest.mark.parametrize("number", [errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOENT, errno.ESTALE])
def test_a_place_that_is_none_is_one_message(tmp_path: Path, number: int) -> None:
    file = tmp_path / "gone" / "run.json"
    error = OSError(number, os.strerror(number), str(file))
    told = disk_error(error)
    assert told is not None
    assert str(told).startswith(f"a place cannot be used ({os.strerror(number)}: {file}). ")
    with pytest.raises(UserError, match=f"^`outputs_root={tmp_path}`: a place cannot be used"), disk_errors(tmp_path):
        raise error
    with pytest.raises(OSError, match=os.strerror(number)), disk_errors(tmp_path / "other"):
        raise error


@pytest.mark.cases("D20")
def test_a_file_that_is_not_there_is_a_fault_of_the_program_where_its_folder_is(tmp_path: Path) -> None:
    for error in (
        FileNotFoundError(errno.ENOENT, "No such file", str(tmp_path / "a")),
        FileNotFoundError("a file"),
        OSError(errno.ENOTDIR, "no file is named"),
    ):
        assert disk_error(error) is None


@pytest.mark.cases("D20")
def test_the_current_folder_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "here"
    place.mkdir()
    monkeypatch.chdir(place)
    place.rmdir()
    with pytest.raises(UserError, match="the current folder was removed while the command worked"), disk_errors(Path()):
        Path("a").absolute()
