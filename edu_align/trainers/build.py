"""The one place where a trainer's name becomes a trainer."""

from edu_align.trainers.dpo import build_dpo
from edu_align.trainers.sft import build_sft

BUILDERS = {"sft": build_sft, "dpo": build_dpo}
