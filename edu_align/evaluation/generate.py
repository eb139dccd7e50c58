"""Replies of the model, for people to read."""

from collections.abc import Sequence
from typing import Any

from edu_align.data.records import Conversation, Message, Record, ResponseGroup
from edu_align.models.tokenizer import render


def prompt_and_reference(record: Record) -> tuple[tuple[Message, ...], str]:
    """The turns up to the reply to be written, and the reply that the data set holds up as good."""
    if isinstance(record, ResponseGroup):
        return record.prompt, max(record.responses, key=lambda response: response.score).text
    assert isinstance(record, Conversation)
    last = max(i for i, message in enumerate(record.messages) if message.train)
    return record.messages[:last], record.messages[last].content


def generate(model: Any, tokenizer: Any, prompts: Sequence[Sequence[Message]], max_new_tokens: int) -> list[str]:
    """Greedy replies, one a prompt, batched with left padding; the same on every call."""
    import torch

    model.eval()
    tokenizer.padding_side = "left"
    batch = tokenizer(
        [render(tokenizer, prompt, reply_next=True) for prompt in prompts],
        return_tensors="pt",
        padding=True,
        add_special_tokens=False,
    ).to(model.device)
    batch.pop("token_type_ids", None)
    with torch.no_grad():
        ids = model.generate(
            **batch,
            do_sample=False,
            max_new_tokens=max_new_tokens,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    return [tokenizer.decode(row, skip_special_tokens=True).strip() for row in ids[:, batch["input_ids"].size(1) :]]
