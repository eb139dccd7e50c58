"""Scores of rows and replies to prompts by one model, in one queue where that is exact (see `engine`)."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from typing import Any

from edu_align.config.schema import GenerationConfig
from edu_align.models.chat_template import chat_ids
from edu_align.models.engine import Engine, Score, writes_exactly
from edu_align.models.generation import batched_replies
from edu_align.models.queue import Work
from edu_align.models.reply_end import end_tokens
from edu_align.models.reward import facts_of
from edu_align.models.scoring import Row, Scored, score
from edu_align.models.speed import add_work
from edu_align.packing.budget import reply_memory
from edu_align.packing.decoder import is_packed
from edu_align.records import Message
from edu_align.utils.memory import HalvingBatches

Families = Sequence[Sequence[Row]]


@dataclass(frozen=True)
class Answers:
    """`scores`: of each row of each family. `replies`: token ids, one list a prompt, without those that end a reply.

    `scoring`, `writing`: the seconds that they took. What a dialogue's scores and its reply share is part of scoring.
    """

    scores: list[list[Scored]]
    replies: list[list[int]]
    scoring: float
    writing: float


def answer(
    model: Any,
    tokenizer: Any,
    families: Families,
    prompts: Sequence[Sequence[int]],
    settings: GenerationConfig,
    bar: str | None = None,
    memory_gb: float | None = None,
    ends: bool = False,
    seeds: Sequence[int] | None = None,
) -> Answers:
    """Score the rows of `families`, such as the replies to one prompt, and answer `prompts` (token ids) by the sampling
    `settings`. The model is left in eval mode.

    With temperature 0 replies are the likeliest tokens and the same on every call, alone or beside others; otherwise
    torch's generator decides. They are written by the engine where it is exact, by transformers elsewhere; a reward
    model writes none. Work that memory runs out for is done in halves. `bar`: the name of a progress bar. `memory_gb`:
    that of `hardware`. `ends`: replies keep the token that ended them. `seeds`: one for each prompt, by which its reply
    is drawn instead, whatever is written beside it.
    """
    from tqdm import tqdm

    model.eval()
    exact = facts_of(model) is None and writes_exactly(model)
    rows = list(chain(*families)) if exact and is_packed(model) else []
    own: Sequence[int | None] = seeds or [None] * len(prompts)
    asked = list(zip(prompts, own, strict=True))
    began = time.perf_counter()
    with tqdm(total=len(rows) + len(prompts), desc=bar, unit="reply", mininterval=5, disable=bar is None) as shown:
        scores = score(model, tokenizer, families) if families and not rows else []
        scoring = time.perf_counter() - began
        if exact:
            engine = Engine(model, settings, end_tokens(model, tokenizer), reply_memory(memory_gb))
            scored_first = [Work(i, ids, labels) for i, (ids, labels) in enumerate(rows)]
            work = [*scored_first, *(Work(i, ids, seed=seed) for i, (ids, seed) in enumerate(asked, len(rows)))]
            found = HalvingBatches("scoring and writing replies").run(
                partial(_by_engine, engine, shown.update, ends), work
            )
            written = found[len(rows) :]
            if rows:
                scored, scoring = iter(found), engine.reading
                scores = [list(islice(scored, len(family))) for family in families]
        else:
            write = partial(batched_replies, model, tokenizer, settings=settings, done=shown.update, keep_end=ends)
            written = HalvingBatches("writing replies").run(write, asked)
    writing = time.perf_counter() - began - scoring
    add_work(sum(map(len, families)), scoring, sum(map(len, written)), writing)
    return Answers(scores, written, scoring, writing)


def _by_engine(engine: Engine, done: Callable[[], Any], ends: bool, work: Sequence[Work]) -> list[Any]:
    """A score or the tokens of a reply for each of `work`."""
    found: dict[int, Any] = {each.number: [] for each in work}
    for event in engine.run(work):
        if isinstance(event, Score):
            found[event.number] = event.logp, event.tokens
        elif event.token is not None:
            found[event.number].append(event.token)
            continue
        elif ends and event.end is not None:
            found[event.number].append(event.end)
        done()
    return [found[each.number] for each in work]


def replies(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Sequence[Message]],
    settings: GenerationConfig,
    bar: str | None = None,
    memory_gb: float | None = None,
) -> list[str]:
    """Replies by the sampling `settings`, one a prompt; see `answer`."""
    ids = [chat_ids(tokenizer, prompt, reply_next=True) for prompt in prompts]
    return texts(tokenizer, answer(model, tokenizer, [], ids, settings, bar, memory_gb).replies)


def texts(tokenizer: Any, written: Sequence[Sequence[int]]) -> list[str]:
    """The text of each reply."""
    return [tokenizer.decode(row, skip_special_tokens=True).strip() for row in written]
