"""Replies of one model to the prompts of the suite: generated once, and shared by every metric that reads replies."""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edu_align.chatting.output import opened
from edu_align.chatting.prompts import Prompt
from edu_align.evaluation.suite.items import Subject
from edu_align.evaluation.suite.prompts import Asked, digest
from edu_align.models.tokenizer import as_chat

BATCH = 16  # prompts that are answered together; more wait longer for the longest reply among them


@dataclass(frozen=True)
class Generated:
    """Prompts, and the reply to each by its item."""

    asked: tuple[Asked, ...]
    replies: Mapping[str, str]

    def only(self, wanted: Callable[[Asked], bool]) -> "Generated":
        """The part whose prompts are `wanted`; the replies are shared."""
        return Generated(tuple(one for one in self.asked if wanted(one)), self.replies)

    def row(self, one: Asked) -> dict[str, Any]:
        """Prompt and reply for people."""
        return {"item": one.item, "prompt": as_chat(one.turns), "reply": self.replies[one.item]}


def generate(
    subject: Subject,
    asked: Iterable[Asked],
    max_new_tokens: int,
    output: Path | None = None,
    made_by: Mapping[str, Any] | None = None,
    batch_size: int = BATCH,
) -> Generated:
    """Greedy replies of at most `max_new_tokens` tokens; equal dialogues are answered once.

    With `output`, a .jsonl file, batches are appended as they finish, and the same call goes on where it was stopped;
    `made_by` says which model writes there, and a file made by another is refused (UserError). Batches hold prompts of
    like length and are the same at every start, so replies do not depend on where a start was stopped.
    """
    everything = tuple(asked)
    distinct = {digest(one.turns): one for one in everything}
    ordered = sorted(distinct, key=lambda key: (sum(len(turn.content) for turn in distinct[key].turns), key))
    prompts = [Prompt(key, distinct[key].turns, None) for key in ordered]
    batches = [prompts[i : i + batch_size] for i in range(0, len(prompts), batch_size)]
    if output is None:
        texts = {key: text for batch in batches for key, text in _answered(subject, batch, max_new_tokens)}
    else:
        settings = {"max_new_tokens": max_new_tokens, "batch_size": batch_size, **(made_by or {})}
        with opened(output, settings, prompts) as file:
            for batch in _shown([batch for batch in batches if any(one.id not in file.done for one in batch)]):
                rows = [
                    {"id": one.id, "prompt": as_chat(one.turns), "reply": text}
                    for one, (_, text) in zip(batch, _answered(subject, batch, max_new_tokens), strict=True)
                ]
                file.add([row for row in rows if row["id"] not in file.done])
        texts = _kept(output)
    return Generated(everything, {one.item: texts[digest(one.turns)] for one in everything})


def _answered(subject: Subject, batch: Sequence[Prompt], max_new_tokens: int) -> list[tuple[str, str]]:
    texts = subject.replies([one.turns for one in batch], max_new_tokens)
    return list(zip((one.id for one in batch), texts, strict=True))


def _shown(batches: Sequence[Sequence[Prompt]]) -> Iterator[Sequence[Prompt]]:
    """The batches one by one, with a line after each that says how far it is."""
    began, done, total = time.monotonic(), 0, sum(len(batch) for batch in batches)
    for batch in batches:
        yield batch
        done += len(batch)
        print(f"edu_align: {done} of {total} replies, {(time.monotonic() - began) / done:.2f} s a reply", flush=True)


def _kept(output: Path) -> dict[str, str]:
    rows = (json.loads(line) for line in output.read_text(encoding="utf-8").splitlines())
    return {row["id"]: row["reply"] for row in rows}
