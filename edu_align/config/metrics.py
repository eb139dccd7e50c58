"""The names under which a run keeps its numbers: what `objective` can be, known before anything is trained."""

import re
from collections.abc import Iterable

from edu_align.config.schema import REWARDS, SOURCES
from edu_align.utils.errors import UserError
from edu_align.utils.words import nearest

_SPEED = ("runtime", "samples_per_second", "steps_per_second")
_SCORES = ("logp", "mean_logp", "implicit", "implicit_from_base", "reward")
_TRAIN = ("loss", "steps", "epoch", "total_flos", "tokens_per_second", "peak_memory_gib", "shared_prefix_ratio")
_VALID = ("loss", "epoch", "entropy", "num_tokens", "mean_token_accuracy", *_SPEED)
_PAIRS = ("rewards/chosen", "rewards/rejected", "rewards/accuracies", "rewards/margins", "logps/chosen",
          "logps/rejected", "logits/chosen", "logits/rejected", "rewards/mean")  # fmt: skip
_REPLIES = ("reward", *(f"rewards/{name}/mean" for name in REWARDS), "kl", "completions/mean_length",
            "completions/clipped_ratio")  # fmt: skip
_HELD_OUT = ("human_turn_nll", *(f"{what}_{by}" for what in ("pair_accuracy", "selection_score") for by in _SCORES))
RUN_METRICS = (
    *(f"train/{name}" for name in (*_TRAIN, *_SPEED)),
    *(f"eval/{name}" for name in (*_VALID, *_PAIRS, *_REPLIES, *_HELD_OUT)),
    *(f"{when}/{name}" for when in ("before", "base") for name in _HELD_OUT),
)
# A metric is better when it is smaller if one of these words is in its name; every other one when it is larger.
SMALLER_IS_BETTER = frozenset(
    ("loss", "nll", "perplexity", "ppl", "error", "entropy", "seconds", "brier", "ece", "rejected")
)
# What `trainer.keep_metric` may be: TRL's numbers of a validation, by algorithm, and ours.
_SIDES = ("rewards/chosen", "rewards/rejected", "rewards/margins", "logps/chosen", "logps/rejected")
_TRL_CHOOSES = {
    "sft": ("loss", "entropy", "mean_token_accuracy"),
    "dpo": ("loss", "entropy", "mean_token_accuracy", "rewards/accuracies", *_SIDES),
    "kto": ("loss", "entropy", *_SIDES),
    "reward": ("loss", "rewards/accuracies", "rewards/margins"),
    "grpo": ("reward", *(f"rewards/{name}/mean" for name in REWARDS)),  # its loss says nothing of the replies
}  # fmt: skip
_OF_PAIRS = ("rewards/accuracies", "rewards/margins")  # which graded replies do not have


# What the jobs of a sweep are compared by where `objective` is null. Each means the same whatever the loss, beta and
# the learning rate are, unlike DPO's, KTO's and GRPO's own losses; the first that the runs measured is taken.
COMPARABLE = {
    "sft": ("eval/human_turn_nll", "eval/pair_accuracy_mean_logp", "eval/loss", "train/loss"),
    "dpo": ("eval/pair_accuracy_implicit", "eval/rewards/accuracies", "eval/pair_accuracy_mean_logp"),
    "kto": ("eval/pair_accuracy_implicit", "eval/pair_accuracy_mean_logp", "eval/human_turn_nll"),
    "reward": ("eval/pair_accuracy_reward", "eval/rewards/accuracies"),
    "grpo": ("eval/reward", "eval/human_turn_nll"),
}  # fmt: skip


def comparable(algorithms: Iterable[str], held_out: bool = True) -> tuple[str, ...]:
    """Metrics that runs of all these trainers can be compared by, the best first; not `held_out`: they measure none."""
    lists = [COMPARABLE.get(algorithm, ("eval/loss",)) for algorithm in algorithms]
    common = [name for name in lists[0] if all(name in names for names in lists)] if lists else []
    return tuple(name for name in common if held_out or not is_held_out(name))


def choosing_metrics(algorithm: str, graded: bool = False) -> tuple[str, ...]:
    """Names that `trainer.keep_metric` may have: numbers of a validation of which better and worse can be said.

    An implicit reward is none: it is told from the model before training, and `eval/rewards/accuracies` is that of DPO.
    `graded`: a reward model learns from graded replies.
    """
    trl = [name for name in _TRL_CHOOSES.get(algorithm, ("loss",)) if not (graded and name in _OF_PAIRS)]
    scores = ("reward",) if algorithm == "reward" else ("logp", "mean_logp")
    ours = [f"{what}_{by}" for what in ("pair_accuracy", "selection_score") for by in scores]
    return tuple(f"eval/{name}" for name in (*trl, *ours, *(() if algorithm == "reward" else ("human_turn_nll",))))


def is_held_out(metric: str) -> bool:
    """Whether we measure it on held-out records; the others are TRL's, of its validation rows."""
    return metric.removeprefix("eval/") in _HELD_OUT


def direction_of(metric: str, asked: str = "auto") -> str:
    """`minimize` or `maximize`: what was `asked`, or by the words of the metric's name where that is auto."""
    if asked != "auto":
        return asked
    words = re.split(r"[^a-z0-9]+", metric.lower())
    return "minimize" if SMALLER_IS_BETTER.intersection(words) else "maximize"


def check_objective(name: str) -> None:
    """Errors: a name that no run keeps a number under. `eval/bridge/human_turn_nll` is one source's of several."""
    when, _, rest = name.partition("/")
    source, _, metric = rest.partition("/")
    of_source = source in SOURCES and metric in _HELD_OUT and f"{when}/{metric}" in RUN_METRICS
    if name not in RUN_METRICS and not of_source:
        best = nearest(name, RUN_METRICS)
        hint = f"Did you mean objective={best}?" if best else f"Metrics: {', '.join(RUN_METRICS)}."
        raise UserError(f"`objective={name}` is no metric of a run. {hint}")
