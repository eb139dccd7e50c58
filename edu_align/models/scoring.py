"""Scores of held-out records: log-probabilities of replies, and the loss on trained turns."""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from edu_align.models.chat_template import IGNORED
from edu_align.models.sharding import head_logits
from edu_align.models.trained_turns import answered, encode, encode_dialogue
from edu_align.packing.decoder import causal_model
from edu_align.records import Conversation, ResponseGroup
from edu_align.utils.errors import UserError
from edu_align.utils.memory import HalvingBatches

MAX_BATCH_TOKENS = 8192  # padded tokens of one scoring forward; the packed forward computes fewer

Row = tuple[list[int], list[int]]  # token ids and labels, IGNORED where nothing is scored


def label_logps(model: Any, rows: Sequence[Row], pad: int) -> list[tuple[float, int]]:
    """Sum of log-probabilities of the labelled tokens (nats), and how many they are, for each row.

    Only labelled positions go through the LM head. The model is left in eval mode.
    """
    import torch

    model.eval()
    base = causal_model(model)
    width = max(len(ids) for ids, _ in rows)
    ids = torch.tensor([row + [pad] * (width - len(row)) for row, _ in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row, _ in rows])
    labels = torch.tensor([row + [IGNORED] * (width - len(row)) for _, row in rows])
    device = base.get_output_embeddings().weight.device
    ids, mask, labels = ids.to(device), mask.to(device), labels.to(device)[:, 1:]
    with torch.no_grad():
        hidden = base.base_model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state[:, :-1]
        scored = labels != IGNORED
        logits = head_logits(base, hidden[scored]).float()
        token_logps = -torch.nn.functional.cross_entropy(logits, labels[scored], reduction="none")
        per_row = torch.zeros(labels.shape, dtype=token_logps.dtype, device=device)
        per_row[scored] = token_logps
    return list(zip(per_row.sum(1).tolist(), scored.sum(1).tolist(), strict=True))


def reply_rows(tokenizer: Any, group: ResponseGroup, max_length: int) -> list[Row]:
    """One row a response: the prompt and the reply with its end-of-turn token, labelled on the reply.

    A row over `max_length` tokens loses the start of its prompt, as in training, so that the reply stays whole.
    """
    rows = []
    for response in group.responses:
        ids, labels = encode(tokenizer, answered(group.prompt, response.text))
        rows.append((ids[-max_length:], labels[-max_length:]))
    return rows


def score_replies(
    model: Any, tokenizer: Any, groups: Sequence[ResponseGroup], max_length: int
) -> list[tuple[tuple[float, ...], tuple[int, ...]]]:
    """For each group, the log-probability (nats) and the token count of each of its responses."""
    rows = [reply_rows(tokenizer, group, max_length) for group in groups]
    flat = _scored(model, tokenizer, [row for group in rows for row in group], [len(group) for group in rows])
    result, at = [], 0
    for group in rows:
        part = flat[at : at + len(group)]
        result.append((tuple(logp for logp, _ in part), tuple(count for _, count in part)))
        at += len(group)
    return result


def conversation_nll(
    model: Any, tokenizer: Any, conversations: Iterable[Conversation], max_length: int
) -> list[tuple[str, float, int]]:
    """For each conversation with a trained token: its group, the negative log-likelihood in nats, the token count."""
    kept: list[tuple[str, int]] = []  # group, rows
    rows: list[Row] = []
    for conversation in conversations:
        encoded = encode_dialogue(tokenizer, conversation.messages).rows
        cut = [(row.ids[:max_length], row.labels[:max_length]) for row in encoded]
        scored = [(ids, labels) for ids, labels in cut if any(label != IGNORED for label in labels[1:])]
        rows += scored
        kept += [(conversation.group, len(scored))] if scored else []
    if not rows:
        raise UserError(f"no held-out conversation has a trained token within `trainer.max_length={max_length}`.")
    scores = iter(_scored(model, tokenizer, rows, [many for _, many in kept]))
    summed = [(group, list(islice(scores, many))) for group, many in kept]
    return [(group, -sum(logp for logp, _ in found), sum(count for _, count in found)) for group, found in summed]


def _scored(model: Any, tokenizer: Any, rows: list[Row], sizes: list[int]) -> list[tuple[float, int]]:
    """Score rows in batches that never split a group, each at most MAX_BATCH_TOKENS padded tokens where possible.

    Where memory runs out a batch is scored in smaller ones.
    """
    from tqdm import tqdm

    result: list[tuple[float, int]] = []
    halves = HalvingBatches("scoring")
    start = stop = 0

    def score(part: Sequence[Row]) -> list[tuple[float, int]]:
        return label_logps(model, part, tokenizer.pad_token_id)

    with tqdm(total=len(rows), desc="scoring", unit="reply", mininterval=5) as bar:
        for size in [*sizes, 0]:
            width = max((len(ids) for ids, _ in rows[start : stop + size]), default=0)
            if stop > start and (size == 0 or width * (stop + size - start) > MAX_BATCH_TOKENS):
                result += halves.run(score, rows[start:stop])
                bar.update(stop - start)
                start = stop
            stop += size
    return result
