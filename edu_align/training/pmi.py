"""What a reply is worth in its dialogue beyond what it is worth anywhere: pointwise mutual information as DPO's reward.

With l(y|x) = log pi(y|x) - log ref(y|x), DPO's implicit reward of a reply is beta * l(y|x) (Rafailov et al. 2023,
arXiv:2305.18290, equation 5). With lambda = `trainer.pmi_weight` it is here

    beta * [l(y|x) - lambda * l(y|0)]

where 0 is the prompt without the dialogue: its system turns and an empty user turn, as in the metric `context_use`.
With lambda = 1 that is beta times what training added to PMI(y; x) = log p(y|x) - log p(y|0), the score that Li et al.
2016 (arXiv:1510.03055, MMI-antiLM) rank replies by, lambda their weight. A style that is liked whatever was said raises
l(y|x) and l(y|0) alike and earns nothing.

As l is linear in log-probabilities, the loss stays DPO's: each log pi and log ref of a reply gives way to what
`informed` gives. An example has four rows, chosen and rejected, each with the dialogue and without, in one packed pass.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from edu_align.cache.run_cache import RunCache
from edu_align.records import Pair, without_dialogue
from edu_align.training.dpo_rows import BLIND, COLUMNS, Row, cached_dpo_rows
from edu_align.utils.errors import UserError

SIDES = 4


def informed(scores: Any, weight: float) -> Any:
    """Scores of (4 * B,) rows, those with the dialogue first, -> (2 * B,): with it, minus `weight` times without."""
    with_it, without = scores.chunk(2)
    return with_it - weight * without


def with_blind_rows(
    cache: RunCache | None, tokenizer: Any, rows: Sequence[Row], pairs: Sequence[Pair], max_length: int
) -> list[Row]:
    """The rows of the pairs, each with the columns `BLIND`: the same replies without the dialogue.

    Errors: the chat template takes no dialogue of an empty turn.
    """
    alone = [replace(pair, group=replace(pair.group, prompt=without_dialogue(pair.group.prompt))) for pair in pairs]
    found, counts = cached_dpo_rows(cache, tokenizer, alone, max_length)
    if len(found) < len(rows):
        raise UserError(
            "`trainer.pmi_weight` scores each reply without its dialogue, to an empty user turn, and the chat template "
            f"makes a row of {len(found)} of {len(rows)} pairs so. Set trainer.pmi_weight=0, or another "
            "model.chat_template.\n" + "\n".join(counts.lines(max_length))
        )
    return [
        row | dict(zip(BLIND, (other[name] for name in COLUMNS), strict=True))
        for row, other in zip(rows, found, strict=True)
    ]
