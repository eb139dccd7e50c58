"""When a sweep starts no further job: after a failure (`sweep.stop_on_error`), or after several that are the same.

Each process that runs jobs asks before it starts one, so that every launcher stops alike. Counted are the failures of
one call of the sweep: the same command again starts the others, and tries those that failed once more.
"""

import re
from collections import Counter
from pathlib import Path
from typing import Any

from edu_align.sweeps.state import SweepFolder

_OWN = re.compile(r"[0-9a-f]{8,}|\d[\d.]*(e[-+]?\d+)?")  # ids and numbers, in which equal failures differ


def rule(config: Any) -> dict[str, Any]:
    """What sweep.json keeps of the keys of `sweep`."""
    return {"on_error": bool(config.stop_on_error), "after": config.stop_after}


def stop_reason(path: Path) -> str:
    """Why the sweep in the folder `path` starts no further job; "" while it does."""
    folder = SweepFolder(path)
    asked = folder.record.get("stop") or {}
    if not asked.get("on_error") and asked.get("after") is None:
        return ""
    call = folder.record.get("call")
    failed = [job for job in folder.jobs() if job["state"] == "failed" and job.get("call") == call]
    if failed and asked.get("on_error"):
        return f"job {failed[0]['number']} failed, and sweep.stop_on_error=true"
    alike = Counter(_OWN.sub("#", str(job["error"])) for job in failed)
    if failed and max(alike.values()) >= asked["after"]:
        return f"{max(alike.values())} jobs failed alike, and sweep.stop_after={asked['after']}"
    return ""
