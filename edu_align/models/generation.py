"""Replies of the model, drawn by our keys alone: what a model's generation_config.json would set is left unset."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Any

from edu_align.config.schema import GenerationConfig
from edu_align.models.drawing import SeededDraws
from edu_align.models.reply_end import end_tokens
from edu_align.records import Conversation, Message, Record, ResponseGroup
from edu_align.utils.files import read_json

# Ids of tokens, and how a result is returned: nothing of it decides what is drawn.
_HARMLESS = {
    "bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id", "transformers_version", "use_cache",
    "output_attentions", "output_hidden_states", "output_scores", "output_logits", "return_dict_in_generate",
    "cache_implementation", "cache_config", "max_length", "max_new_tokens", "num_return_sequences",
}  # fmt: skip
_IDS = ("bos_token_id", "eos_token_id", "pad_token_id")
_OFF_AT_ONE = {
    "temperature", "top_p", "typical_p", "repetition_penalty", "encoder_repetition_penalty", "length_penalty",
    "num_beams", "num_beam_groups",
}  # fmt: skip
# Where nothing else is said, transformers' own: not one of these is ever used here.
_USUAL = {"top_k": 50, "num_assistant_tokens": 20, "assistant_confidence_threshold": 0.4, "assistant_lookbehind": 10,
          "target_lookbehind": 10, "num_assistant_tokens_schedule": "constant"}  # fmt: skip
_said: set[tuple[str, str]] = set()


def generation_defaults(folder: Path | None) -> Any:
    """A transformers GenerationConfig that draws nothing by itself, with the ids of tokens that `folder` states.

    Prints once for each folder what was left out.
    """
    from transformers import GenerationConfig

    stated, config = ((folder and read_json(folder / name)) or {} for name in ("generation_config.json", "config.json"))
    known = GenerationConfig().to_dict()
    of_old = {key: value for key, value in config.items() if key in known}  # older versions kept them there
    if left_out := unused(of_old | stated):
        _say(str(folder), left_out)
    own = {} if stated.get("_from_model_config") else stated  # else they may be those of no model but a class
    return GenerationConfig(**{key: own[key] for key in _IDS if _is_ids(own.get(key))})


def unused(stated: dict[str, Any]) -> list[str]:
    """`key=value` of all that would change which tokens are drawn, whether transformers knows the key or not."""
    return [
        f"{key}={json.dumps(value, ensure_ascii=False)[:60]}"
        for key, value in sorted(stated.items())
        if key not in _HARMLESS and not key.startswith("_") and not _is_off(key, value)
    ]


def _is_off(key: str, value: Any) -> bool:
    if value is None or value is False or value in ([], {}, 0, _USUAL.get(key, 0)):
        return True
    return key in _OFF_AT_ONE and value == 1


def _say(folder: str, left_out: list[str]) -> None:
    line = ", ".join(left_out)
    if (folder, line) not in _said:
        _said.add((folder, line))
        print(
            f"edu_align: {folder} would have replies drawn with {line}. They are drawn by the keys of `generation` "
            "alone, and without the rest.",
            flush=True,
        )


def _is_ids(value: Any) -> bool:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return whole or (isinstance(value, list) and bool(value) and all(type(each) is int for each in value))


def prompt_and_reference(record: Record) -> tuple[tuple[Message, ...], str]:
    """The turns up to the reply to be written, and the reply that the data set holds up as good."""
    if isinstance(record, ResponseGroup):
        return record.prompt, max(record.responses, key=lambda response: response.score).text
    assert isinstance(record, Conversation)
    last = max(i for i, message in enumerate(record.messages) if message.train)
    return record.messages[:last], record.messages[last].content


Prompts = Sequence[Sequence[int]]
BATCH_TOKENS = 8192  # padded prompt and reply tokens of one batch of transformers' own


def batched_replies(
    model: Any,
    tokenizer: Any,
    asked: Sequence[tuple[Sequence[int], int | None]],
    settings: GenerationConfig,
    done: Callable[[int], Any],
    keep_end: bool = False,
) -> list[list[int]]:
    """transformers' `generate`, in batches of like length with left padding. `asked`: each prompt, and the seed of its
    reply where it has one of its own (all have, or none). `keep_end`: with the token that ended a reply.
    """
    import torch

    prompts, seeds = [ids for ids, _ in asked], [seed for _, seed in asked]
    order = sorted(range(len(prompts)), key=lambda i: (len(prompts[i]), i))
    sampling, found = sampling_config(settings, tokenizer, model), dict[int, list[int]]()
    ends = frozenset(sampling.eos_token_id)
    while len(found) < len(order):
        batch = _next_batch(order[len(found) :], [len(ids) for ids in prompts], settings.max_new_tokens)
        padded = padded_left([prompts[i] for i in batch], tokenizer.pad_token_id, model.device)
        with torch.no_grad(), _contiguous_head_input(model):
            drawing = _own_draws(settings, [seeds[i] for i in batch])
            ids = model.generate(**padded, generation_config=sampling, logits_processor=drawing)
        written = ids[:, padded["input_ids"].size(1) :].tolist()
        for i, row in zip(batch, written, strict=True):
            reply = list(takewhile(lambda token: token not in ends, row))
            found[i] = row[: len(reply) + 1] if keep_end else reply
        done(len(batch))
    return [found[i] for i in range(len(prompts))]


def _own_draws(settings: GenerationConfig, seeds: Sequence[int | None]) -> list[Any]:
    """The processor that draws by these seeds; none where there are none, or nothing is drawn."""
    own = [seed for seed in seeds if seed is not None]
    return [SeededDraws(settings, own)] if own and settings.temperature > 0 else []


def _next_batch(order: Sequence[int], lengths: Sequence[int], new: int) -> list[int]:
    """The next prompts of `order` (by length) that fit into one batch with their replies; at least one."""
    batch: list[int] = []
    for i in order:
        if batch and (lengths[i] + new) * (len(batch) + 1) > BATCH_TOKENS:
            break
        batch.append(i)
    return batch


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


def padded_left(rows: Prompts, pad: int, device: Any) -> dict[str, Any]:
    """Ids and mask (B, T) of the rows, padded on the left."""
    import torch

    width = max(map(len, rows))
    ids = torch.tensor([[pad] * (width - len(row)) + list(row) for row in rows])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    return {"input_ids": ids.to(device), "attention_mask": mask.to(device)}


def sampling_config(settings: GenerationConfig, tokenizer: Any, model: Any) -> Any:
    """`settings` as transformers' own config. What it leaves unset is unset in `model` (see above)."""
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
