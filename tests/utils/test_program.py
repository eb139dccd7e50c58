"""How commands end: one wrapper around all of them, in this process and in processes of their own."""

import ast
import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edu_align.utils import output
from edu_align.utils.errors import Interrupted, RunFailed, UserError
from edu_align.utils.interrupts import exit_code_of
from edu_align.utils.program import SPINS, program

ROOT = Path(__file__).parents[2]
End = Callable[..., tuple[Any, str]]


@pytest.fixture
def end(capsys: pytest.CaptureFixture[str]) -> End:
    """`end(error)`: exit code and stderr of a command in which `error` is raised."""

    def go(error: BaseException, cause: BaseException | None = None) -> tuple[Any, str]:
        @program
        def main() -> None:
            raise error from cause

        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, capsys.readouterr().err

    return go


def wrapped(path: Path) -> bool:
    """Whether the `main` that a module runs as a program is under `program`, or is `launch`, which is."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.names[0].name == "main"]
    if imports:
        return wrapped(ROOT / f"{str(imports[0].module).replace('.', '/')}.py")
    main = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "main")
    decorated = any(isinstance(node, ast.Name) and node.id == "program" for node in main.decorator_list)
    return decorated or "launch(" in ast.unparse(main)


@pytest.mark.parametrize(
    ("given", "then"),
    [
        ({}, {"GOMP_SPINCOUNT": SPINS}),
        ({"GOMP_SPINCOUNT": "7"}, {"GOMP_SPINCOUNT": "7"}),
        ({"OMP_WAIT_POLICY": "active"}, {"OMP_WAIT_POLICY": "active"}),
    ],
)
def test_threads_wait_as_the_user_says_or_after_a_short_spin(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], then: dict[str, str]
) -> None:
    names = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    program(lambda: None)()
    assert {name: os.environ[name] for name in names if name in os.environ} == then


@pytest.mark.cases("C14", "C16")
def test_every_command_is_under_the_one_wrapper() -> None:
    files = [path for top in ("edu_align", "benchmarks", "torture") for path in (ROOT / top).rglob("*.py")]
    programs = [path for path in files if 'if __name__ == "__main__":' in path.read_text(encoding="utf-8")]
    assert len(programs) >= 15
    assert [str(path.relative_to(ROOT)) for path in programs if not wrapped(path)] == []


@pytest.mark.cases("C14")
def test_an_interruption_is_one_line_and_130(end: End) -> None:
    assert end(KeyboardInterrupt()) == (130, "edu_align: interrupted\n")
    assert end(RuntimeError("Failed to import transformers.x"), KeyboardInterrupt()) == (
        130,
        "edu_align: interrupted\n",
    )
    assert end(Interrupted(signal.SIGTERM)) == (143, "edu_align: asked to stop by SIGTERM\n")
    said = Interrupted(signal.SIGINT)
    said.said = True
    assert end(said) == (130, "")
    circle = ValueError("a")
    circle.__cause__ = circle
    assert not exit_code_of(circle)


def test_what_a_user_can_mend_is_one_message(end: End, tmp_path: Path) -> None:
    assert end(UserError("`a=1` is wrong")) == (2, "edu_align: error: `a=1` is wrong\n")
    assert end(RunFailed("it diverged", {})) == (1, "edu_align: error: it diverged\n")

    pytest.importorskip("torch")  # what its allocator says is not looked at where it is not loaded
    file = str(tmp_path / "a")
    for error, said in (
        (
            OSError(errno.ENOSPC, "no room", file),
            f"nothing more can be written (No space left on device: {file}). Make",
        ),
        (OSError(errno.EROFS, "no", file), f"nothing more can be written (Read-only file system: {file}). Make it"),
        (MemoryError(), "out of memory (MemoryError)"),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
            "out of memory ([enforce",
        ),
    ):
        code, err = end(error)
        assert (code, err.count("\n")) == (2, 1), err
        assert err.startswith(f"edu_align: error: {said}")


def test_a_fault_of_the_program_keeps_its_traceback(capsys: Any) -> None:
    for error in (ZeroDivisionError("a bug"), OSError(errno.EACCES, "no file is named")):

        @program
        def main(raised: Exception = error) -> None:
            raise raised

        with pytest.raises(type(error)):
            main()
    assert capsys.readouterr().err == ""


def test_an_exit_code_passes_and_the_callers_handler_of_ctrl_c_comes_back(end: End) -> None:
    before = signal.getsignal(signal.SIGINT)
    assert end(SystemExit(1)) == (1, "")
    assert signal.getsignal(signal.SIGINT) is before


@pytest.fixture
def pipe() -> Any:
    """A guarded stream into a pipe, and the pipe's other end."""
    output._leaving.clear()
    read, write = os.pipe()
    stream = output.GuardedStream(open(write, "wb"), "ascii", "backslashreplace", "\n")  # noqa: SIM115
    yield stream, read
    output._leaving.append(True)
    stream.close()
    output._leaving.clear()


@pytest.mark.cases("C16")
def test_a_reader_that_goes_away_ends_the_command_once(pipe: Any) -> None:
    stream, read = pipe
    stream.write("größer\n")
    stream.flush()
    assert os.read(read, 100) == b"gr\\xf6\\xdfer\n"
    os.close(read)
    stream.write("more\n")
    with pytest.raises(output.ReaderGone) as ended:
        stream.flush()
    assert ended.value.code == 141
    stream.write("what follows goes nowhere\n" * 10000)
    stream.flush()


def run(*words: str, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", *words]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT, **options)


@pytest.mark.cases("C16")
@pytest.mark.parametrize(
    "words",
    [["edu_align.plan", "model=tiny", "dataset.size=20"], ["edu_align.tutoring", "--size=3"]],
    ids=["plan", "corpus"],
)
def test_a_real_command_whose_reader_goes_away(words: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    process = run(*words, stdout=write)
    os.close(write)
    assert (process.communicate()[1], process.returncode) == ("", 141)


@pytest.mark.cases("C16")
def test_a_full_disk_under_the_output_is_one_message() -> None:
    with open("/dev/full", "w") as full:
        process = run("edu_align.plan", "--help", stdout=full)
    err = process.communicate()[1]
    said = "nothing more can be written (No space left on device). Make room where this output goes to."
    assert err == f"edu_align: error: {said}\n"
    assert (process.returncode, err.count("\n")) == (2, 1)


@pytest.mark.cases("C14", "D10")
@pytest.mark.parametrize(
    ("when", "number", "said"),
    [
        (0.15, signal.SIGINT, "interrupted"),
        (1.0, signal.SIGINT, "interrupted"),
        (0.6, signal.SIGTERM, "asked to stop by SIGTERM"),
        (0.8, signal.SIGHUP, "asked to stop by SIGHUP"),
    ],
)
def test_a_signal_while_a_real_command_imports(when: float, number: int, said: str, tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("2 + 3?\n")
    words = [f"input={tmp_path}/prompts.txt", f"output={tmp_path}/replies.jsonl", f"outputs_root={tmp_path}"]
    process = run("edu_align.generate", "model=tiny", *words, stdout=subprocess.PIPE)
    time.sleep(when)
    process.send_signal(number)
    assert (process.communicate()[1], process.returncode) == (f"edu_align: {said}\n", 128 + number)
