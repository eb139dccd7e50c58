"""Tokenized conversations: the same rows from the cache, and other rows for anything that would change them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edu_align.cache.run_cache import RunCache
from edu_align.models.chat_template import marked
from edu_align.models.device import resolve
from edu_align.models.locate import locate
from edu_align.models.tokenizer import byte_tokenizer, load_tokenizer
from edu_align.records import Conversation, Message
from edu_align.training.sft_rows import KIND, cached_sft_rows, sft_rows

TURNS = (
    Message("user", "Is 1/2 + 1/3 = 2/5?"),
    Message("assistant", "How did you get 2/5?", train=True),
    Message("user", "I added both parts."),
    Message("assistant", "Draw a half and a third: are the pieces equally large?", train=True),
)
TALKS = [Conversation(TURNS, str(i), "local", str(i)) for i in range(3)] + [Conversation(TURNS[:2], "3", "local", "3")]


@pytest.fixture
def shared(typed: Callable[..., Any], tmp_path: Path) -> Callable[[], RunCache]:
    config = typed("trainer=sft", f"outputs_root={tmp_path}")
    return lambda: RunCache(config, locate(config.model, tmp_path, config.seed), resolve(config))


def changed(number: int, **fields: Any) -> list[Conversation]:
    turns = list(TURNS)
    turns[number] = replace(turns[number], **fields)
    return [*TALKS[:2], Conversation(tuple(turns), "2", "local", "2"), TALKS[3]]


@pytest.mark.parametrize("mode", ["window", "truncate", "drop"])
@pytest.mark.parametrize("max_length", [60, 200])
def test_rows_and_counts_come_back(shared: Any, bytes_tokenizer: Any, mode: str, max_length: int) -> None:
    expected = sft_rows(bytes_tokenizer, TALKS, max_length, mode)
    for where in ("computed", "cache"):
        run = shared()
        assert cached_sft_rows(run, bytes_tokenizer, TALKS, max_length, mode) == expected
        assert run.origins == {KIND: where}
    assert cached_sft_rows(None, bytes_tokenizer, TALKS, max_length, mode) == expected


@pytest.mark.parametrize(
    ("talks", "max_length", "mode"),
    [
        (changed(0, content="Is 1/2 + 1/3 = 2/6?"), 150, "window"),
        (changed(1, train=False), 150, "window"),
        (changed(0, role="system"), 150, "window"),
        (TALKS[1:], 150, "window"),
        ([TALKS[3], *TALKS[:3]], 150, "window"),
        (TALKS, 149, "window"),
        (TALKS, 150, "drop"),
    ],
)
def test_other_rows_are_computed(
    shared: Any, bytes_tokenizer: Any, talks: list[Conversation], max_length: int, mode: str
) -> None:
    cached_sft_rows(shared(), bytes_tokenizer, TALKS, 150, "window")
    run = shared()
    found = cached_sft_rows(run, bytes_tokenizer, talks, max_length, mode)
    assert run.origins == {KIND: "computed"}
    assert found == sft_rows(bytes_tokenizer, talks, max_length, mode)


def test_another_template_or_vocabulary_is_another_key(shared: Any, typed: Callable[..., Any]) -> None:
    """And a batch that was padded is none."""
    model = typed("trainer=sft").model
    one, same, padded, template, vocabulary = (load_tokenizer(model, None) for _ in range(5))
    padded(["a", "bc"], padding=True, truncation=True, max_length=1)
    template.chat_template = template.chat_template.replace("<|", "<<")
    vocabulary.add_tokens(["fraction"])
    taken = []
    for tokenizer in (one, same, padded, template, vocabulary):
        run = shared()
        cached_sft_rows(run, tokenizer, TALKS, 150, "window")
        taken.append(run.origins[KIND])
    assert taken == ["computed", "cache", "cache", "computed", "computed"]


LAST = (
    "{% for m in messages %}<{{ m.role[0] }}>{{ '(' if loop.last }}{{ m.content }}{{ ')' if loop.last }}|{% endfor %}"
    "{% if add_generation_prompt %}<a>{% endif %}"
)


def text(chat: Any, row: dict[str, list[int]]) -> str:
    return marked(chat, row["input_ids"], row["labels"])


@pytest.mark.cases("B4")
@pytest.mark.parametrize("mode", ["window", "truncate", "drop"])
def test_a_template_that_rewrites_what_was_said_gives_a_row_each(shared: Any, mode: str) -> None:
    chat = byte_tokenizer()
    chat.chat_template = LAST
    rows, counts = sft_rows(chat, TALKS, 400, mode)
    assert (len(rows), counts.rows, counts.apart, counts.long) == (7, [2, 2, 2, 1], 3, 0)
    assert text(chat, rows[0]) == "<u>Is 1/2 + 1/3 = 2/5?|<a>>>>(How did you get 2/5?)|<<<"
    assert "3 conversations are several rows each (7 rows in all)" in counts.lines(mode, 400)[0]
    assert cached_sft_rows(shared(), chat, TALKS, 400, mode) == cached_sft_rows(shared(), chat, TALKS, 400, mode)

    short, counts = sft_rows(chat, TALKS, 110, mode)  # the second reply fits behind its own question alone
    assert all(len(row["input_ids"]) <= 110 for row in short)
    assert counts.long == 3
    if mode == "window":
        assert counts.rows == [2, 2, 2, 1]
        assert text(chat, short[1]).endswith("<a>>>>(Draw a half and a third: are the pieces equally large?)|<<<")


@pytest.mark.cases("B1", "B5")
def test_what_the_template_refuses_or_leaves_out_is_said_once(shared: Any) -> None:
    chat = byte_tokenizer()
    chat.chat_template = (
        "{% for m in messages %}{% if 'odd' in m.content %}{{ raise_exception('nothing odd') }}{% endif %}"
        "{{ m.content.split('</think>')[-1] }}|{% endfor %}"
    )
    talks = [*changed(0, content="odd"), *changed(1, content="<think>2</think>How?")]
    for _ in range(2):  # computed, cached
        rows, counts = cached_sft_rows(shared(), chat, talks, 400, "window")
        assert (len(rows), counts.rows) == (7, [1, 1, 0, 1, 1, 1, 1, 1])
        refused, left_out = counts.lines("window", 400)
        assert refused.startswith("edu_align: 1 conversations are left out; the first: record 2: the chat template")
        assert "nothing odd" in refused
        assert "text of 1 assistant turns (first: record 2)" in left_out
