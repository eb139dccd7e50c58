"""How a sweep ends: by SIGTERM as by Ctrl-C, and with a report."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType


def write_report(folder: Path) -> None:
    """Tables and plots of the sweep. A report that cannot be written takes nothing from the sweep."""
    try:
        from edu_align.sweeps.report import write_report as write
    except ImportError:
        return
    try:
        write(folder)
    except Exception as error:
        print(f"edu_align: no report: {type(error).__name__}: {error}", file=sys.stderr, flush=True)


@contextmanager
def stoppable() -> Iterator[None]:
    """SIGTERM ends the block as Ctrl-C does, where this is the main thread."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
