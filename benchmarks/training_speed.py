"""Training beside TRL on real tutoring data: pairs and tokens a second, and peak memory; smollm2 on this CPU.

Each side runs in a process of its own, in turns, `REPEATS` times; the medians stand in the table. The data is read from
the folder that EDU_ALIGN_DATA names. A step of ours has whole prompts with all their pairs (64 on MRBench). One of TRL
has 4, drawn at random: a padded batch of 64 needs more memory than a laptop has, and is no faster a pair. KTO's replies
come likewise, 8 at once to TRL, whose KL term needs more than one.
"""

from typing import Any

from benchmarks.data import require_data
from benchmarks.side_by_side import Line, rows_of

LINES = (
    Line("dpo_mrbench_pairs_per_second", "dpo_mrbench", "examples_per_second", "pairs/s"),
    Line("kto_mrbench_replies_per_second", "kto_mrbench", "examples_per_second", "replies/s"),
    Line("reward_mrbench_pairs_per_second", "reward_mrbench", "examples_per_second", "pairs/s"),
    Line("dpo_bridge_pairs_per_second", "dpo_bridge", "examples_per_second", "pairs/s"),
    Line("sft_mathdial_tokens_per_second", "sft_mathdial", "tokens_per_second", "tokens/s"),
    Line("dpo_mrbench_peak_memory", "dpo_mrbench", "peak_memory_gib", "GiB", less=True),
    Line("kto_mrbench_peak_memory", "kto_mrbench", "peak_memory_gib", "GiB", less=True),
    Line("reward_mrbench_peak_memory", "reward_mrbench", "peak_memory_gib", "GiB", less=True),
    Line("dpo_mrbench_share_of_matrix_rate", "dpo_mrbench", "share_of_matrix_rate", "share"),
    Line("sft_mathdial_share_of_matrix_rate", "sft_mathdial", "share_of_matrix_rate", "share"),
)


def measure() -> list[dict[str, Any]]:
    """`ratio` is how many times faster ours is, or how many times less memory it takes. Errors: no EDU_ALIGN_DATA."""
    require_data("training_speed", "mrbench", "bridge", "mathdial")
    return rows_of(LINES)
