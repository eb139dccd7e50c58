"""Scores of held-out records: log-probabilities or rewards of replies, and the loss on trained turns."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

import numpy as np

from edu_align.models.chat_template import IGNORED
from edu_align.models.reward import facts_of, pooled, rewards_of
from edu_align.models.sharding import head_logits
from edu_align.models.trained_turns import answered, encode, encode_dialogue
from edu_align.packing.decoder import causal_model
from edu_align.records import Conversation, ResponseGroup
from edu_align.utils.errors import UserError
from edu_align.utils.memory import HalvingBatches

MAX_BATCH_TOKENS = 8192  # padded tokens of one scoring forward; the packed forward computes fewer

Row = tuple[list[int], list[int]]  # token ids and labels, IGNORED where nothing is scored
T = TypeVar("T")
Scored = tuple[float, int]  # log-probability (nats) of a row's labelled tokens, and how many they are


def label_logps(model: Any, rows: Sequence[Row], pad: int) -> list[Scored]:
    """Sum of log-probabilities of the labelled tokens (nats), and how many they are, for each row.

    Only labelled positions go through the LM head. The model is left in eval mode.
    """
    import torch

    if model.training:
        model.eval()
    base = causal_model(model)
    ids, mask, labels = _padded(rows, pad, base.get_output_embeddings().weight.device)
    labels = labels[:, 1:]
    with torch.no_grad():
        hidden = base.base_model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state[:, :-1]
        scored = labels != IGNORED
        logits = head_logits(base, hidden[scored]).float()
        token_logps = -torch.nn.functional.cross_entropy(logits, labels[scored], reduction="none")
        per_row = torch.zeros(labels.shape, dtype=token_logps.dtype, device=labels.device)
        per_row[scored] = token_logps
    return list(zip(per_row.sum(1).tolist(), scored.sum(1).tolist(), strict=True))


def reply_rewards(model: Any, rows: Sequence[Row], pad: int) -> list[tuple[float, int]]:
    """The reward of the labelled tokens, and how many they are, for each row; of a reward model (models/reward.py)."""
    if model.training:
        model.eval()
    ids, mask, labels = _padded(rows, pad, causal_model(model).base_model.device)
    replies = (labels != IGNORED).long()
    return list(zip(rewards_of(model, ids, mask, replies), replies.sum(1).tolist(), strict=True))


def reply_states(model: Any, rows: Sequence[Row], pad: int) -> list[Any]:
    """The mean of the last hidden states over the labelled tokens of each row, (H,) arrays in float32."""
    import torch

    if model.training:
        model.eval()
    base = causal_model(model)
    ids, mask, labels = _padded(rows, pad, base.get_output_embeddings().weight.device)
    with torch.no_grad():
        hidden = base.base_model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
    return list(pooled(hidden, labels != IGNORED, "mean").cpu().numpy())


def _padded(rows: Sequence[Row], pad: int, device: Any) -> tuple[Any, ...]:
    """(B, L) token ids, mask and labels."""
    import torch

    shape = len(rows), max(len(ids) for ids, _ in rows)
    padded, real, asked = np.full(shape, pad), np.zeros(shape, dtype=np.int64), np.full(shape, IGNORED)
    for i, (row, labelled) in enumerate(rows):
        padded[i, : len(row)], real[i, : len(row)], asked[i, : len(row)] = row, 1, labelled
    return tuple(torch.from_numpy(values).to(device) for values in (padded, real, asked))


def reply_rows(tokenizer: Any, group: ResponseGroup, max_length: int) -> list[Row]:
    """One row a response: the prompt and the reply with its end-of-turn token, labelled on the reply.

    A row over `max_length` tokens loses the start of its prompt, as in training, so that the reply stays whole.
    """
    rows = []
    for response in group.responses:
        ids, labels = encode(tokenizer, answered(group.prompt, response.text))
        rows.append((ids[-max_length:], labels[-max_length:]))
    return rows


def conversation_rows(
    tokenizer: Any, conversations: Iterable[Conversation], max_length: int
) -> list[tuple[Conversation, list[Row]]]:
    """Each conversation with a trained token within `max_length`, and its rows.

    Errors: there is none.
    """
    found: list[tuple[Conversation, list[Row]]] = []
    for conversation in conversations:
        encoded = encode_dialogue(tokenizer, conversation.messages).rows
        cut = [(row.ids[:max_length], row.labels[:max_length]) for row in encoded]
        rows = [(ids, labels) for ids, labels in cut if any(label != IGNORED for label in labels[1:])]
        found += [(conversation, rows)] if rows else []
    if not found:
        raise UserError(f"no held-out conversation has a trained token within `trainer.max_length={max_length}`.")
    return found


def columns(scored: Sequence[Scored]) -> tuple[tuple[float, ...], tuple[int, ...]]:
    return tuple(logp for logp, _ in scored), tuple(count for _, count in scored)


def score(model: Any, tokenizer: Any, families: Sequence[Sequence[Row]]) -> list[list[Scored]]:
    """`label_logps` of each row of each family, such as the replies to one prompt; a reward model's `reply_rewards`."""
    return read(model, tokenizer, families, label_logps if facts_of(model) is None else reply_rewards)


def read(
    model: Any, tokenizer: Any, families: Sequence[Sequence[Row]], one: Callable[[Any, Sequence[Row], int], list[T]]
) -> list[list[T]]:
    """What `one` makes of model, rows and pad token, for each row of each family.

    A family is read in one batch, beside those that begin alike, of at most MAX_BATCH_TOKENS padded tokens where
    possible. Where memory runs out a batch is scored in smaller ones.
    """
    from tqdm import tqdm

    order = sorted((i for i, rows in enumerate(families) if rows), key=lambda i: families[i][0][0])
    result: list[list[T]] = [[] for _ in families]
    halves = HalvingBatches("scoring")

    def label(part: Sequence[Row]) -> list[T]:
        return one(model, part, tokenizer.pad_token_id)

    with tqdm(total=sum(map(len, families)), desc="scoring", unit="reply", mininterval=5) as bar:
        for batch in _batches(order, families):
            rows = [row for i in batch for row in families[i]]
            scores = iter(halves.run(label, rows))
            for i in batch:
                result[i] = list(islice(scores, len(families[i])))
            bar.update(len(rows))
    return result


def _batches(order: Sequence[int], families: Sequence[Sequence[Row]]) -> Iterator[list[int]]:
    """Families in their order, as many at once as one forward is to compute."""
    batch: list[int] = []
    rows = width = 0
    for i in order:
        many, longest = len(families[i]), max(len(ids) for ids, _ in families[i])
        if batch and (rows + many) * max(width, longest) > MAX_BATCH_TOKENS:
            yield batch
            batch, rows, width = [], 0, 0
        batch.append(i)
        rows, width = rows + many, max(width, longest)
    if batch:
        yield batch
