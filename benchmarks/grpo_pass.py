"""GRPO's training pass on a CPU: a dialogue computed once for its eight replies, beside TRL's own pass over eight rows.

Every side runs in a process of its own and trains on the same replies to MRBench's dialogues, which are given
(`given_replies`): nothing is written and no reference model scored, so a step is one pass forward, one backward and the
optimizer. The data is read from the folder that EDU_ALIGN_DATA names; the model is smollm2.
"""

from typing import Any

from benchmarks.data import require_data
from benchmarks.side_by_side import Line, rows_of

ON_REQUEST = True
LINES = (
    Line("grpo_pass_replies_per_second", "grpo_mrbench", "examples_per_second", "replies/s"),
    Line("grpo_pass_peak_memory", "grpo_mrbench", "peak_memory_gib", "GiB", less=True),
)


def measure() -> list[dict[str, Any]]:
    """`ratio` is how many times faster ours is, or how many times less memory it takes. Errors: no EDU_ALIGN_DATA."""
    require_data("grpo_pass", "mrbench")
    return rows_of(LINES)
