"""Programs in processes of their own that need not import torch and TRL anew: they are forked from a server that has.

`program("edu_align.train", "trainer=dpo")` is `python -m edu_align.train trainer=dpo`, with its own process, working
folder, environment, input and output. A library that reads a variable while it is imported (HF_HOME) saw the server's:
where that matters, or the import itself is looked at, a test starts Python.
"""

import atexit
import os
import runpy
import subprocess
import sys
import tempfile
from multiprocessing import forkserver, get_context
from pathlib import Path
from threading import Lock
from unittest.mock import patch
from weakref import finalize

LOADED = ["edu_align.training.session", "edu_align.evaluation.suite.run", "edu_align.chatting.model"]
_AT_START = dict(os.environ)
_STARTING = Lock()  # two that are started at once change one environment


def program(
    start: str | Path, *words: str, cwd: Path | None = None, env: dict[str, str] | None = None, stdin: str = "",
    timeout: float = 600,
) -> "subprocess.CompletedProcess[str]":  # fmt: skip
    """The ended `python -m start words`, or `python start words` where `start` is a file."""
    context = get_context("forkserver")
    context.set_forkserver_preload(LOADED)
    with _STARTING, patch.dict(os.environ, _AT_START, clear=True):
        forkserver.ensure_running()
    with tempfile.TemporaryDirectory() as folder:
        streams = [Path(folder) / name for name in ("stdin", "stdout", "stderr")]
        streams[0].write_text(stdin, encoding="utf-8")
        environment = dict(os.environ if env is None else env)
        child = context.Process(target=_run, args=(start, list(words), str(cwd or Path.cwd()), environment, streams))
        child.start()
        child.join(timeout)
        if child.exitcode is None:
            child.kill()
            child.join()
            raise subprocess.TimeoutExpired([str(start), *words], timeout)
        out, err = (stream.read_text(encoding="utf-8") for stream in streams[1:])
        return subprocess.CompletedProcess([str(start), *words], child.exitcode, out, err)


def _run(start: str | Path, words: list[str], cwd: str, environment: dict[str, str], streams: list[Path]) -> None:
    atexit._clear()  # what the server's imports left to do at its end is not this process's
    for each in list(finalize._registry):
        each.detach()
    for number, stream in enumerate(streams):
        handle = os.open(stream, os.O_RDWR | os.O_CREAT)
        os.dup2(handle, number)
        os.close(handle)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    sys.argv = [str(start), *words]
    sys.path[:0] = [cwd if isinstance(start, str) else str(start.parent)]
    try:
        if isinstance(start, str):
            runpy.run_module(start, run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(str(start), run_name="__main__")
    finally:
        atexit._run_exitfuncs()
