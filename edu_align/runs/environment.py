"""What a run has to say about the code and the machine that made it."""

import importlib.metadata
import os
import platform
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from edu_align.utils.files import first_value
from edu_align.utils.hashing import file_sha256, sha256

PACKAGES = ("torch", "transformers", "trl", "peft", "datasets", "accelerate", "hydra-core", "wandb", "bitsandbytes")


def package_versions(names: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Versions of edu_align, Python and those of the packages that are installed. None of them is imported."""
    from edu_align import __version__

    versions = {"edu_align": __version__, "python": platform.python_version()}
    for name in names:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def versions() -> str:
    """What `--version` prints."""
    found = package_versions(("torch", "transformers", "trl"))
    names = ("torch", "transformers", "trl", "python")
    others = ", ".join(f"{name} {found.get(name, 'missing')}" for name in names)
    return f"edu_align {found['edu_align']} ({others})"


def machine() -> str:
    """`"AMD EPYC, 2 cores, 8 GiB"`: processor, cores that this process may use, and memory. Imports nothing heavy."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    processor = first_value(Path("/proc/cpuinfo"), "model name") or platform.processor() or platform.machine()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{processor}, {cores} cores, {memory:.0f} GiB"


def git_state() -> dict[str, str | bool | None]:
    """Commit of the checkout that the package lies in, whether it has uncommitted changes, and which; null outside one.

    `diff`: twelve hex digits over what is changed in the package's own folder, untracked files included; null where
    nothing is.
    """
    here = Path(__file__).resolve().parent

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", str(here), *arguments], capture_output=True, text=True, timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    tracked = git("ls-files", "--error-unmatch", Path(__file__).name) is not None  # not some other project's checkout
    commit = git("rev-parse", "HEAD") if tracked else None
    if commit is None:
        return {"commit": None, "dirty": None, "diff": None}
    changed = git("diff", "HEAD", "--", str(here.parent)) or ""
    added = (git("ls-files", "--others", "--exclude-standard", "--full-name", "--", str(here.parent)) or "").split("\n")
    root = Path(git("rev-parse", "--show-toplevel") or here)
    texts = [
        changed,
        *(f"{name} {file_sha256(root / name) if (root / name).is_file() else ''}" for name in added if name),
    ]
    diff = sha256("\n".join(texts))[:12] if any(texts) else None
    return {"commit": commit, "dirty": bool(git("status", "--porcelain")), "diff": diff}


def peak_memory_gib() -> float:
    """Largest resident memory of this process so far, in GiB; on CUDA add what the allocator peaked at."""
    unit = 1 if sys.platform == "darwin" else 1024  # bytes on macOS, KiB elsewhere
    gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30
    import torch

    if torch.cuda.is_available():
        gib += torch.cuda.max_memory_allocated() / 2**30
    return round(gib, 3)
