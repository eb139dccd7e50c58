"""How a sweep ends: by SIGTERM as by Ctrl-C, and with a report."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any


def conclude(folder: Path, config: Any) -> None:
    """Tables and plots of the sweep, in its folder and in W&B. What cannot be written takes nothing from the sweep."""
    from omegaconf import OmegaConf

    from edu_align.reports.sweep.write import write_report
    from edu_align.tracking.sweeps import log_sweep

    try:
        print(f"edu_align: report {write_report(folder)}", flush=True)
        log_sweep(folder, OmegaConf.to_object(config.tracking))  # type: ignore[arg-type]
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
