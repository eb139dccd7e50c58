"""What is printed is kept in a file besides, and lines of several jobs say whose they are."""

import io
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edu_align.utils.errors import UserError
from edu_align.utils.logs import kept, tagged


def body(path: Path) -> list[str]:
    head, *lines = path.read_text(encoding="utf-8").splitlines()
    assert head.startswith("--- 20")
    return lines


def test_lines_before_and_after_the_file_is_known_are_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, before = tmp_path / "log.txt", sys.stdout
    with kept() as log:
        print("first")
        print("not", "yet", end="")
        log.into(path)
        print(" whole")
        print("an error", file=sys.stderr)
        sys.stdout.writelines(["a\n", "b\n"])
        print("no end", end="")
    assert sys.stdout is before
    assert body(path) == ["first", "not yet whole", "an error", "a", "b", "no end"]
    assert capsys.readouterr().out == "first\nnot yet whole\na\nb\nno end"


def test_of_a_bar_its_last_state_is_kept(tmp_path: Path) -> None:
    with kept() as log:
        log.into(tmp_path / "log.txt")
        for text in ("\r 10%", "\r 50%", "\r100%", "\n\x1b[36mnext\x1b[0m\r\n"):
            sys.stderr.write(text)
    assert body(tmp_path / "log.txt") == ["100%", "next"]


def _ends(path: Path, error: Exception) -> None:
    with kept() as log:
        log.into(path)
        raise error


def test_the_error_that_ends_it_is_kept(tmp_path: Path) -> None:
    with pytest.raises(UserError):
        _ends(tmp_path / "user.txt", UserError("`a` is wrong.\nMend it."))
    assert body(tmp_path / "user.txt") == ["UserError: `a` is wrong.", "Mend it."]
    with pytest.raises(ZeroDivisionError):
        _ends(tmp_path / "crash.txt", ZeroDivisionError("no"))
    lines = body(tmp_path / "crash.txt")
    assert (lines[0], lines[-1]) == ("Traceback (most recent call last):", "ZeroDivisionError: no")


def test_what_cannot_be_written_takes_nothing_from_the_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with kept() as log:
        log.into(tmp_path / "gone" / "log.txt")
        print("goes on")
    with tagged("[job 1] ", tmp_path / "gone" / "log.txt"):
        print("and on")
    assert capsys.readouterr().out == "goes on\n[job 1] and on\n"


@pytest.mark.parametrize("place", [lambda: kept(), lambda: tagged("[1] ", None)])
def test_who_holds_a_copy_writes_to_what_stands_there_later(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the logging of a library does that is first imported by a run: the stream of that time may be closed."""
    first, second = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", first)
    with place():
        handler = logging.StreamHandler()
        print("inside", file=sys.stderr)
    assert sys.stderr is first
    first.close()
    monkeypatch.setattr(sys, "stderr", second)
    handler.stream.write("later\n")
    assert second.getvalue() == "later\n"
    with tagged("[2] ", None):
        handler.stream.write("of another job\n")
    assert second.getvalue() == "later\n[2] of another job\n"


def test_a_secret_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789abcdef0123456789abcdef")
    with kept() as log:
        log.into(tmp_path / "log.txt")
        print("Bearer sk-0123456789abcdef0123456789abcdef")
    assert "0123456789abcdef" not in (tmp_path / "log.txt").read_text(encoding="utf-8")


def test_lines_of_two_jobs_at_once_stay_whole_and_numbered(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from edu_align.utils.logs import tagged\n"
        "with tagged(f'[job {sys.argv[1]}] ', Path('log.txt')):\n"
        "    for n in range(300):\n"
        "        print('line', end=' ', flush=True); print(n, flush=True)\n"
        "    assert not sys.stderr.isatty()\n"
        "    print('last', end='', file=sys.stderr)\n"
    )
    with (tmp_path / "out.txt").open("wb") as out:
        started = [
            subprocess.Popen([sys.executable, "-c", program, str(job)], cwd=tmp_path, stdout=out, stderr=out)
            for job in (3, 4)
        ]
        assert [process.wait(60) for process in started] == [0, 0]
    expected = sorted(f"[job {job}] {text}" for job in (3, 4) for text in [*(f"line {n}" for n in range(300)), "last"])
    assert sorted((tmp_path / "out.txt").read_text().splitlines()) == expected
    assert sorted((tmp_path / "log.txt").read_text().splitlines()) == expected
