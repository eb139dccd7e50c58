"""Labelled replies as rows of token ids, each beside a reply to another prompt, for KTO's KL term.

The KL divergence of model and reference is estimated on mismatched replies (Ethayarajh et al. 2024, arXiv:2402.01306,
section 4.1). TRL pairs a row's prompt with the reply of the row before it in its device batch. Rows of one prompt are
neighbours here, and such a reply would be one to the same prompt; so the replies of a step are turned by as few rows as
give the fewest of those, and what is left takes the nearest reply to another prompt:

    a step of prompts  a a a b b c     turned by 3:  b b c a a a
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from edu_align.cache.run_cache import RunCache, code_content, tokenizer_content
from edu_align.cache.store import TENSORS, Arrays, rows_of
from edu_align.models.chat_template import TemplateError
from edu_align.models.trained_turns import answered, encode_dialogue
from edu_align.records import LabelledReply, turn_values
from edu_align.training.dpo_rows import cut_at_start, reply_starts, token_arrays
from edu_align.training.template_notes import TemplateNotes
from edu_align.utils.hashing import digest

Row = dict[str, Any]
KIND = "tokenized labelled replies"
PLAIN = ("prompt_ids", "completion_ids")
# TRL's names, with a prompt of its own for the mismatched reply: what is too long is cut at its start.
COLUMNS = (*PLAIN, "KL_prompt_ids", "KL_completion_ids")


@dataclass
class ReplyCounts:
    """What became of the replies. `kept`: the positions of those that are rows, in their order."""

    replies: int = 0
    template: TemplateNotes = field(default_factory=TemplateNotes)
    kept: list[int] = field(default_factory=list)

    def lines(self) -> list[str]:
        """What is to be said of them; nothing where every reply is a row."""
        return self.template.lines("replies")


def has_kl(trainer: Any) -> bool:
    """Whether the loss has a KL term."""
    return bool(trainer.loss_type == "kto")


def cached_kto_rows(
    cache: RunCache | None, tokenizer: Any, replies: Sequence[LabelledReply], max_length: int, step: int | None
) -> tuple[list[Row], ReplyCounts]:
    """What `kto_rows` makes of the replies, computed now or earlier."""
    if cache is None or not cache.on:
        return kto_rows(tokenizer, replies, max_length, step)
    names = PLAIN if step is None else COLUMNS

    def compute() -> tuple[Arrays, dict[str, Any]]:
        rows, counts = kto_rows(tokenizer, replies, max_length, step)
        return token_arrays(rows, names), asdict(counts)

    texts = [[turn_values(reply.group.prompt), reply.text, reply.group.id] for reply in replies]
    key = digest(tokenizer_content(tokenizer), code_content(), texts, max_length, step)
    arrays, facts = cache.get_or_compute(KIND, key, TENSORS, compute)
    counts = ReplyCounts(**{**facts, "template": TemplateNotes(**facts["template"])})
    columns = zip(*(rows_of(arrays, name) for name in names), strict=True)
    made = [dict(zip(names, row, strict=True)) for row in columns]
    return [{**row, "label": replies[at].good} for row, at in zip(made, counts.kept, strict=True)], counts


def kto_rows(
    tokenizer: Any, replies: Sequence[LabelledReply], max_length: int, step: int | None
) -> tuple[list[Row], ReplyCounts]:
    """Rows {prompt_ids, completion_ids, KL_prompt_ids, KL_completion_ids, label} of the replies, and their counts.

    Prompt and reply have at most `max_length` tokens together. `step`: rows of an optimizer step, among which replies
    are mismatched; None for a loss without the KL term, whose rows have no `KL_` columns.
    """
    counts = ReplyCounts(len(replies))
    whole: list[tuple[list[int], list[int]]] = []
    openings: dict[Any, list[int] | None] = {}
    for number, reply in enumerate(replies):
        prompt = reply.group.prompt
        try:
            encoded = encode_dialogue(tokenizer, answered(prompt, reply.text))
        except TemplateError as error:
            counts.template.refuse(error, reply.group.id)
            continue
        counts.template.add(encoded, reply.group.id)
        ids, (start,) = encoded.rows[0].ids, reply_starts(tokenizer, prompt, encoded.rows[:1], openings)
        whole.append((ids[:start], ids[start:]))
        counts.kept.append(number)
    rows: list[Row] = [
        {**dict(zip(PLAIN, cut_at_start(*each, max_length), strict=True)), "label": replies[at].good}
        for each, at in zip(whole, counts.kept, strict=True)
    ]
    if step is not None:
        others = mismatched([replies[at].group.id for at in counts.kept], step)
        for row, (asked, _), other in zip(rows, whole, others, strict=True):
            row |= dict(zip(COLUMNS[2:], cut_at_start(asked, whole[other][1], max_length), strict=True))
    return rows, counts


def mismatched(prompts: Sequence[str], step: int) -> list[int]:
    """For each row the row whose reply it gets: one of another prompt, of its own step as far as possible.

    `prompts`: the name of each row's prompt. Where all rows have one prompt it is the row before.
    """
    found: list[int] = []
    for begin in range(0, len(prompts), step):
        mine = prompts[begin : begin + step]
        turns = range(1, max(len(mine), 2))
        alike = {turn: sum(one == mine[i - turn] for i, one in enumerate(mine)) for turn in turns}
        turn = min(turns, key=lambda turn: (alike[turn], turn))
        for i, one in enumerate(mine):
            near = begin + (i - turn) % len(mine)
            found.append(near if prompts[near] != one else _nearest_other(prompts, begin + i))
    return found


def _nearest_other(prompts: Sequence[str], row: int) -> int:
    """The nearest row of another prompt, an earlier one first; the row before where there is none."""
    many = len(prompts)
    for away in range(1, many):
        for other in (row - away, row + away):
            if 0 <= other < many and prompts[other] != prompts[row]:
                return other
    return (row - 1) % many


class ReplyCollator:
    """Rows of `kto_rows` as a batch of TRL's, padded on the right: input_ids, attention_mask, completion_mask (1 on the
    reply), each (B, L), the same of the mismatched replies as KL_..., (B, M), where there are any, and label (B,).

    ref_logps and ref_KL_logps (B,), where the rows have them.
    """

    def __init__(self, pad_token_id: int, multiple: Any = None) -> None:
        """`multiple`: a number that L and M become multiples of."""
        self.pad_token_id = pad_token_id
        self.multiple = multiple

    def __call__(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        import torch

        batch: dict[str, Any] = {}
        for prefix in ("", "KL_") if "KL_completion_ids" in examples[0] else ("",):
            parts = [(each[f"{prefix}prompt_ids"], each[f"{prefix}completion_ids"]) for each in examples]
            batch |= {
                f"{prefix}input_ids": self._padded([prompt + reply for prompt, reply in parts], self.pad_token_id),
                f"{prefix}attention_mask": self._padded([[1] * len(prompt + reply) for prompt, reply in parts], 0),
                f"{prefix}completion_mask": self._padded(
                    [[0] * len(prompt) + [1] * len(reply) for prompt, reply in parts], 0
                ),
            }
        names = [name for name in ("ref_logps", "ref_KL_logps", "label") if name in examples[0]]
        return batch | {name: torch.tensor([each[name] for each in examples]) for name in names}

    def _padded(self, rows: list[list[int]], value: int) -> Any:
        import torch
        from trl.trainer.utils import pad

        tensors = [torch.tensor(row, dtype=torch.long) for row in rows]
        return pad(tensors, padding_value=value, padding_side="right", pad_to_multiple_of=self.multiple)
