"""A GPU for every job of a sweep that runs several at once on one machine.

Each worker of the launcher takes the first GPU that is free as its first job starts, and keeps it: CUDA reads
CUDA_VISIBLE_DEVICES once a process. There are as many workers as GPUs, so the next job goes to the GPU whose job is
done. GPUs are taken by locks of the machine, so two sweeps share them out too; a worker that is killed lets go of its
own. Without GPUs joblib gives each worker its share of the processor's threads.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from omegaconf import DictConfig, open_dict, read_write

from edu_align.utils.errors import UserError
from edu_align.utils.words import listed

QUESTION = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
VISIBLE, ORDER = "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"
JOBLIB = ".JoblibLauncher"
LOOK = 1.0  # seconds between two looks for a free GPU
_held: list[tuple[str, FileLock]] = []  # the one of this process


def visible() -> list[str]:
    """The machine's GPUs as CUDA_VISIBLE_DEVICES names them, without those that it leaves out; found without torch."""
    if shutil.which(QUESTION[0]) is None:
        return []
    try:
        answer = subprocess.run(QUESTION, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    every = [line.strip() for line in answer.split("\n") if line.strip().isdecimal()]
    asked = os.environ.get(VISIBLE)
    if asked is None:
        return every
    named = [word.strip() for word in asked.split(",") if word.strip()]
    return [word for word in named if word in every or not word.lstrip("-").isdecimal()]


def chosen(asked: str, device: str) -> list[str]:
    """The GPUs that jobs get one each of; none where `sweep.gpus` is off or there is none. Errors: one that is not."""
    if asked == "off" or (asked == "auto" and device == "cpu"):
        return []
    there = visible()
    if asked == "auto":
        return there
    wanted = asked.split(",")
    if lacking := [word for word in wanted if word not in there]:
        has = f"It has {listed(there)}." if there else "It has none that nvidia-smi lists."
        only = f" ({VISIBLE}={os.environ[VISIBLE]} leaves out others.)" if VISIBLE in os.environ else ""
        raise UserError(f"`sweep.gpus={asked}`: this machine has no GPU {lacking[0]}. {has}{only} Set sweep.gpus=auto.")
    return wanted


def share_out(config: DictConfig) -> list[str]:
    """The GPUs of a sweep's jobs, and as many workers in the launcher's settings where they said none.

    Errors: GPUs that are not there, more workers than GPUs, another launcher than joblib's.
    """
    asked, launcher = str(config.sweep.gpus), config.hydra.launcher
    if not str(launcher._target_).endswith(JOBLIB):
        if asked not in ("auto", "off"):
            raise UserError(
                f"`sweep.gpus={asked}` gives each of several jobs a GPU, and this launcher "
                f"({config.hydra.runtime.choices.get('hydra/launcher')}) is not joblib. Set hydra/launcher=joblib, or "
                "drop sweep.gpus."
            )
        return []
    gpus = chosen(asked, str(config.hardware.device))
    if not gpus:
        return []
    if launcher.n_jobs < 0:
        with read_write(config), open_dict(config):
            launcher.n_jobs = len(gpus)
    elif launcher.n_jobs > len(gpus):
        raise UserError(
            f"`hydra.launcher.n_jobs={launcher.n_jobs}` is more than the {len(gpus)} GPUs of this sweep "
            f"({listed(gpus)}), and each job gets one. Set hydra.launcher.n_jobs={len(gpus)}, or sweep.gpus=off, which "
            "lets them share."
        )
    return gpus


def take(sweep: dict[str, Any]) -> str | None:
    """The GPU of this process from here on, the first of the sweep's that is free; None where the sweep has none.

    It waits where another sweep's jobs have all of them.
    """
    gpus = [str(each) for each in sweep.get("gpus") or []]
    if not gpus:
        return None
    told = False
    while not _held:
        _held.extend(_free(gpus))
        if not _held:
            if not told:
                print(f"edu_align: waiting for a free GPU of {listed(gpus)}", flush=True)
            told = True
            time.sleep(LOOK)
    gpu = _held[0][0]
    if os.environ.get(VISIBLE) != gpu:
        if "torch" in sys.modules and sys.modules["torch"].cuda.is_initialized():
            raise RuntimeError(f"CUDA began before {VISIBLE} was set")
        if VISIBLE not in os.environ:
            os.environ[ORDER] = "PCI_BUS_ID"  # as nvidia-smi counts
        os.environ[VISIBLE] = gpu
    return gpu


def _free(gpus: list[str]) -> list[tuple[str, FileLock]]:
    """The first GPU whose lock nobody holds, locked; empty where all are held."""
    place = Path(tempfile.gettempdir()) / f"edu_align-gpus-{os.getuid()}"
    place.mkdir(mode=0o700, exist_ok=True)
    for gpu in gpus:
        lock = FileLock(place / f"{gpu}.lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            continue
        return [(gpu, lock)]
    return []
