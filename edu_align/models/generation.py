"""Replies of the model, for people to read."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile
from typing import Any

from edu_align.config.schema import GenerationConfig
from edu_align.models.chat_template import chat_ids
from edu_align.models.reply_end import end_tokens
from edu_align.records import Conversation, Message, Record, ResponseGroup
from edu_align.utils.out_of_memory import HalvingBatches


def prompt_and_reference(record: Record) -> tuple[tuple[Message, ...], str]:
    """The turns up to the reply to be written, and the reply that the data set holds up as good."""
    if isinstance(record, ResponseGroup):
        return record.prompt, max(record.responses, key=lambda response: response.score).text
    assert isinstance(record, Conversation)
    last = max(i for i, message in enumerate(record.messages) if message.train)
    return record.messages[:last], record.messages[last].content


def generate(model: Any, tokenizer: Any, prompts: Sequence[Sequence[Message]], max_new_tokens: int) -> list[str]:
    """Greedy replies, one a prompt, batched with left padding; the same on every call."""
    return replies(model, tokenizer, prompts, GenerationConfig(max_new_tokens=max_new_tokens))


def replies(model: Any, tokenizer: Any, prompts: Sequence[Sequence[Message]], settings: GenerationConfig) -> list[str]:
    """Replies by the sampling `settings`, one a prompt, in one batch with left padding, or in smaller ones that fit.

    With temperature 0 they are the likeliest tokens and the same on every call, alone or in a batch; otherwise torch's
    generator decides.
    """
    import torch

    model.eval()

    def write(part: Sequence[Sequence[Message]]) -> list[str]:
        batch = prompt_batch(model, tokenizer, part)
        with torch.no_grad(), _contiguous_head_input(model):
            ids = model.generate(**batch, generation_config=sampling_config(settings, tokenizer, model))
        ends = set(end_tokens(model, tokenizer))
        written = ids[:, batch["input_ids"].size(1) :].tolist()
        kept = [list(takewhile(lambda token: token not in ends, row)) for row in written]
        return [tokenizer.decode(row, skip_special_tokens=True).strip() for row in kept]

    return HalvingBatches("writing replies").run(write, prompts)


@contextmanager
def _contiguous_head_input(model: Any) -> Iterator[None]:
    """The head's input made contiguous.

    After a prompt it is a slice, the last position of each row, for which torch copies the head's weights once a row:
    0.2 s a prompt for SmolLM2-135M on one core, a fifth of its whole reply.
    """
    head = model.get_output_embeddings()
    hook = head.register_forward_pre_hook(lambda module, args: (args[0].contiguous(), *args[1:]))
    try:
        yield
    finally:
        hook.remove()


def prompt_batch(model: Any, tokenizer: Any, prompts: Sequence[Sequence[Message]]) -> dict[str, Any]:
    """The prompts as the model reads them, the assistant's turn opened: ids and mask (B, T), padded on the left."""
    import torch

    rows = [chat_ids(tokenizer, prompt, reply_next=True) for prompt in prompts]
    width = max(map(len, rows))
    ids = torch.tensor([[tokenizer.pad_token_id] * (width - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    return {"input_ids": ids.to(model.device), "attention_mask": mask.to(model.device)}


def sampling_config(settings: GenerationConfig, tokenizer: Any, model: Any) -> Any:
    """`settings` as transformers' own config. What it leaves unset is unset in `model` (see generation_defaults.py)."""
    from transformers import GenerationConfig as Config

    sampled = settings.temperature > 0
    return Config(
        do_sample=sampled,
        temperature=settings.temperature if sampled else 1.0,
        top_p=settings.top_p if sampled else 1.0,
        top_k=settings.top_k if sampled else 0,
        repetition_penalty=settings.repetition_penalty,
        max_new_tokens=settings.max_new_tokens,
        num_beams=1,
        use_cache=True,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=end_tokens(model, tokenizer),
    )
