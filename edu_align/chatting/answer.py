"""Answering a file of prompts in batches."""

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edu_align.chatting.history import TooLong
from edu_align.chatting.output import Replies, opened, settings_path
from edu_align.chatting.prompts import Prompt
from edu_align.chatting.source import Source
from edu_align.models.tokenizer import as_chat


def settings_of(source: Source, seed: int) -> dict[str, Any]:
    """What the replies depend on besides the prompts; the batch counts where replies are drawn at random."""
    config = source.config
    sampled = config.generation.temperature > 0
    return {
        "run": source.run.path.resolve().name if source.run else None,
        "run_started": source.run.record.get("started") if source.run else None,
        "model": config.model.name,
        "base_model": source.location.identity,
        "system_prompt": config.dataset.system_prompt,
        "generation": asdict(config.generation),
        "quantization": config.hardware.quantization,
        "seed": seed if sampled else None,
        "batch_size": config.hardware.eval_batch_size if sampled else None,
    }


def answer_file(source: Source, prompts: Sequence[Prompt], output: Path, seed: int) -> int:
    """Answer what `output` has no reply to yet, and return how many rows that were.

    Each batch of `hardware.eval_batch_size` prompts is drawn with a seed made of `seed` and its ids, so a file that
    was stopped and taken up again ends as if it had not been.
    """
    with opened(output, settings_of(source, seed), prompts) as replies:
        if replies.cut:
            print(f"edu_align: a half-written row at the end of {output} was removed", flush=True)
        left = sum(prompt.id not in replies.done for prompt in prompts)
        if left < len(prompts):
            print(
                f"edu_align: going on in {output}: {len(prompts) - left} of {len(prompts)} rows are there", flush=True
            )
        if left:
            _answer(source, prompts, replies, seed)
    print(f"edu_align: {left} replies written to {output}; the settings lie in {settings_path(output)}", flush=True)
    return left


def _answer(source: Source, prompts: Sequence[Prompt], replies: Replies, seed: int) -> None:
    from edu_align.chatting.tutor import load

    (voice,) = load([source])
    size, total = voice.batch_size, len(prompts)
    began, fresh = time.monotonic(), 0
    for i in range(0, total, size):
        batch = prompts[i : i + size]
        missing = [prompt for prompt in batch if prompt.id not in replies.done]
        if not missing:
            continue
        # A drawn reply depends on its batch, so a batch is drawn whole even where a part of it is there.
        rows = _batch(voice, batch if voice.settings.temperature > 0 else missing, seed)
        replies.add([row for row in rows if row["id"] not in replies.done])
        fresh += len(missing)
        seconds = time.monotonic() - began
        print(f"edu_align: {i + len(batch)} of {total} rows, {seconds / fresh:.2f} s a reply", flush=True)


def _batch(voice: Any, prompts: Sequence[Prompt], seed: int) -> list[dict[str, Any]]:
    """One row a prompt, in their order. A prompt that is too long for the model has no reply and says why."""
    from transformers import set_seed

    from edu_align.evaluation.generate import replies

    rows, fitted = [], []
    for prompt in prompts:
        row: dict[str, Any] = {"id": prompt.id, "prompt": as_chat(prompt.turns), "reply": None}
        if prompt.reference is not None:
            row["reference_reply"] = prompt.reference
        try:
            turns, dropped = voice.prompt(prompt.turns)
        except TooLong as error:
            row["error"] = str(error)
            print(f"edu_align: row {prompt.id} has no reply: {error}", flush=True)
        else:
            fitted.append((row, turns))
            if dropped:
                row["dropped_turns"] = dropped
        rows.append(row)
    if fitted:
        ids = json.dumps([prompt.id for prompt in prompts])
        set_seed(int.from_bytes(hashlib.sha256(f"{seed}:{ids}".encode()).digest()[:4], "big"))
        with voice.speaking() as model:
            texts = replies(model, voice.tokenizer, [turns for _, turns in fitted], voice.settings)
        for (row, _), text in zip(fitted, texts, strict=True):
            row["reply"] = text
    return rows
