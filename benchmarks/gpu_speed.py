"""QLoRA of a 7B shape beside TRL on one GPU: random weights, the built-in corpus, a token a byte, at most 1,024 tokens.

`make bench-gpu` runs it; `make bench` leaves it out. The T4-sized run is float16 with 15 GiB of the card's memory.
It was not run yet: no GPU was at hand when it was written.
"""

from typing import Any

from benchmarks.side_by_side import Line, rows_of
from edu_align.utils.errors import UserError

ON_REQUEST = True
LINES = tuple(
    line
    for task, unit, key in (
        ("gpu_dpo_7b", "pairs/s", "examples_per_second"),
        ("gpu_sft_7b", "tokens/s", "tokens_per_second"),
        ("gpu_dpo_7b_t4_size", "pairs/s", "examples_per_second"),
    )
    for line in (
        Line(f"{task}_speed", task, key, unit),
        Line(f"{task}_peak_memory", task, "peak_memory_gib", "GiB", less=True),
        Line(f"{task}_share_of_matrix_rate", task, "share_of_matrix_rate", "share"),
    )
)


def measure() -> list[dict[str, Any]]:
    """Rows as in `training_speed`. Errors: no CUDA GPU."""
    import torch

    if not torch.cuda.is_available():
        raise UserError("the benchmark gpu_speed needs a CUDA GPU, and torch finds none. Run it on a machine with one.")
    return rows_of(LINES, machine=torch.cuda.get_device_name(0))
