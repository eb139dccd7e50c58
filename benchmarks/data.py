"""The public data sets that benchmarks read."""

import os
from pathlib import Path

from edu_align.utils.errors import UserError


def require_data(benchmark: str, *names: str) -> None:
    """Errors: EDU_ALIGN_DATA does not name a folder that holds the data sets `names` as folders."""
    root = os.environ.get("EDU_ALIGN_DATA")
    if root is None or not all(Path(root).joinpath(name).is_dir() for name in names):
        raise UserError(
            f"the benchmark {benchmark} reads {', '.join(names)}: set EDU_ALIGN_DATA to the folder that holds them, "
            f"got {root!r}."
        )
