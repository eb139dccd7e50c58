"""Conversations that are too long become windows, and prompts that are too long lose their start."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edu_align.config.schema import DatasetConfig
from edu_align.data.dataset import load_records
from edu_align.models.chat_template import IGNORED, render
from edu_align.models.template_choice import ZEPHYR_TEMPLATE
from edu_align.models.tokenizer import byte_tokenizer
from edu_align.models.trained_turns import encode
from edu_align.records import Conversation, Message, Pair, Response, ResponseGroup
from edu_align.training.dpo_rows import shorten_prompt, shorten_prompts
from edu_align.training.sft_rows import cut_windows, sft_rows
from edu_align.utils.errors import UserError

AGENT = Path(__file__).resolve().parents[2] / "experiments/zephyr_agentinstruct/samples"
SLOW_START = [HealthCheck.too_slow]
# Mistral's format: the template refuses anything but user and assistant in turn.
STRICT = (
    "{% set talk = messages[1:] if messages[0].role == 'system' else messages %}"
    "{% for m in talk %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('alternate') }}"
    "{% endif %}{% if loop.first and messages[0].role == 'system' %}{{ messages[0].content }}{% endif %}"
    "{{ '[INST] ' + m.content + ' [/INST]' if m.role == 'user' else ' ' + m.content + eos_token }}{% endfor %}"
)


ZEPHYR: Any = byte_tokenizer()
ZEPHYR.chat_template = ZEPHYR_TEMPLATE
MISTRAL: Any = byte_tokenizer()
MISTRAL.chat_template = STRICT
TEXT = st.integers(1, 60).map(lambda n: "x" * n)


@st.composite
def dialogues(draw: Any) -> tuple[Message, ...]:
    """1 to 12 exchanges after an optional system turn; every turn names itself, so that it can be told apart."""
    sizes = draw(st.lists(st.tuples(TEXT, TEXT, st.booleans()), min_size=1, max_size=12))
    turns = [Message("system", "S" + draw(TEXT))] if draw(st.booleans()) else []
    for i, (said, reply, train) in enumerate(sizes):
        turns += [Message("user", f"u{i}.{said}"), Message("assistant", f"a{i}.{reply}", train=train)]
    return tuple(turns)


def trained(turns: tuple[Message, ...]) -> list[str]:
    return [turn.content for turn in turns if turn.train]


@settings(max_examples=150, deadline=None, suppress_health_check=SLOW_START)
@given(turns=dialogues(), limit=st.integers(40, 400), strict=st.booleans())
def test_windows(turns: tuple[Message, ...], limit: int, strict: bool) -> None:
    tokenizer = MISTRAL if strict else ZEPHYR

    def length(part: Any) -> int:
        return len(encode(tokenizer, part)[0])

    found = cut_windows(turns, limit, length)
    again = [text for window in found.windows for text in trained(window)]
    assert again == [text for text in trained(turns) if text in again], "in order, and none twice"
    assert len(again) + found.lost_turns == len(trained(turns))
    known = {turn.content: i for i, turn in enumerate(turns)}
    for window in found.windows:
        assert length(window) <= limit
        assert trained(window), "a window is there to train on"
        places = [known[turn.content] for turn in window]
        assert places == sorted(places), "whole turns, in their order"
        new = places[[turn.train for turn in window].index(True) :]
        assert new == list(range(new[0], new[0] + len(new))), "then consecutive turns"
        assert new[0] - 1 in places, "a reply stands behind what it answers"
        first = next(i for i, turn in enumerate(turns) if turn.role == "user")
        start = tuple(turns[: first + 1])
        unit = turns[new[0] - 2 : new[0] + 1]  # the reply before, what was said to it, and the first trained reply
        if new[0] - 2 > first and length((*start, *unit)) <= limit:
            assert places[: first + 1] == list(range(first + 1)), "system turn and task, where they fit"
    for i, turn in enumerate(turns):
        if turn.train and turn.content not in again:
            assert length(turns[i - 1 : i + 1]) > limit, "only what is too long on its own is lost"


def conversation(*turns: Message) -> Conversation:
    return Conversation(turns, "id", "test", "g")


def turns_of(number: int, size: int) -> list[Message]:
    said = ((f"u{i} " + "q" * size, f"a{i} " + "r" * size) for i in range(number))
    return [turn for user, own in said for turn in (Message("user", user), Message("assistant", own, True))]


def spoken(rows: list[dict[str, Any]]) -> list[str]:
    """What is trained in each row, as text."""
    return [
        ZEPHYR.decode([token for token, label in zip(row["input_ids"], row["labels"], strict=True) if label != IGNORED])
        for row in rows
    ]


def test_rows_of_windows_train_every_reply_once() -> None:
    talk = conversation(Message("system", "Be kind."), *turns_of(6, 40))
    rows, counts = sft_rows(ZEPHYR, [talk], 330, "window")
    assert all(len(row["input_ids"]) == len(row["labels"]) <= 330 for row in rows)
    assert "".join(spoken(rows)) == "".join(f"a{i} {'r' * 40}</s>" for i in range(6))
    texts = [ZEPHYR.decode(row["input_ids"]) for row in rows]
    assert len(texts) > 2
    assert all(text.startswith(texts[0][: texts[0].index("u0") + 40]) for text in texts)
    assert (counts.long, counts.windows, counts.lost_turns, counts.dropped) == (1, len(rows), 0, 0)
    line = counts.describe("window", 330)
    assert line.count("\n") == 0
    assert f"1 of 1 conversations are longer than trainer.max_length=330; cut between turns into {len(rows)}" in line


def test_a_turn_that_is_too_long_is_left_out_and_counted() -> None:
    turns = turns_of(4, 20)
    turns[3] = Message("assistant", "a1 " + "r" * 300, True)
    rows, counts = sft_rows(ZEPHYR, [conversation(*turns)], 200, "window")
    assert [name for name in ("a0", "a1", "a2", "a3") if name in "".join(spoken(rows))] == ["a0", "a2", "a3"]
    assert counts.lost_turns == 1
    assert "1 trained turns are too long for a window of their own and left out" in counts.describe("window", 200)


def test_truncate_loses_the_end_and_drop_the_whole() -> None:
    short, long = conversation(*turns_of(1, 20)), conversation(*turns_of(5, 20))
    rows, counts = sft_rows(ZEPHYR, [short, long], 150, "truncate")
    ids, labels = encode(ZEPHYR, long.messages)
    assert rows[1] == {"input_ids": ids[:150], "labels": labels[:150]}
    said = "1 of 2 conversations are longer than trainer.max_length=150; cut at their end"
    assert said in counts.describe("truncate", 150)
    rows, counts = sft_rows(ZEPHYR, [short, long], 150, "drop")
    assert len(rows) == 1
    assert "left out (trainer.long_conversations=drop)" in counts.describe("drop", 150)
    assert sft_rows(ZEPHYR, [short], 150, "drop")[1].describe("drop", 150) == ""


def test_a_long_trajectory_keeps_its_rules_and_its_task() -> None:
    """Where rules, acknowledgement and task take at most half of a window, all of them open it."""
    data = load_records(DatasetConfig("a", ["agentinstruct"]), AGENT, "unused", 0, "conversation")
    every = [r for part in data.splits.values() for r in part if isinstance(r, Conversation)]
    talk = max(every, key=lambda r: len(r.messages))
    found = cut_windows(talk.messages, 2048, lambda turns: len(encode(ZEPHYR, turns)[0]))
    assert len(found.windows) >= 2
    start = [turn.content for turn in talk.messages[:3]]
    assert all([turn.content for turn in window[:3]] == start for window in found.windows)
    assert sum(len(trained(window)) for window in found.windows) == len(trained(talk.messages))


@pytest.mark.parametrize("mode", ["window", pytest.param("truncate", marks=pytest.mark.slow), "drop"])
def test_training_reports_what_it_does(mode: str, train: Callable[..., Any], capsys: Any) -> None:
    keys = ["dataset=agentinstruct", f"data_root={AGENT}", "dataset.max_train_records=12", "trainer.max_length=1500"]
    train(*keys, f"trainer.long_conversations={mode}", "evaluation.enabled=false", f"run_name=long-{mode}")
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "longer than trainer.max_length" in line]
    assert f"(trainer.long_conversations={mode})" in line


@settings(max_examples=150, deadline=None, suppress_health_check=SLOW_START)
@given(turns=dialogues(), limit=st.integers(40, 400), strict=st.booleans())
def test_short_prompts(turns: tuple[Message, ...], limit: int, strict: bool) -> None:
    tokenizer = MISTRAL if strict else ZEPHYR
    prompt = tuple(Message(turn.role, turn.content) for turn in turns[:-1])
    short = shorten_prompt(tokenizer, prompt, limit)

    def length(part: tuple[Message, ...]) -> int:
        return len(tokenizer(render(tokenizer, part, reply_next=True), add_special_tokens=False)["input_ids"])

    assert length(short) <= limit
    if length(prompt) <= limit:
        assert short == prompt
        return
    talk = short[1:] if short[0].role == "system" else short
    assert [turn.role for turn in talk] == ["user", "assistant"] * (len(talk) // 2) + ["user"]
    assert prompt[-1].content.endswith(talk[-1].content)
    if len(talk) > 1:
        assert talk == prompt[-len(talk) :], "whole turns go before a text is cut"
    if talk[-1] != prompt[-1]:
        assert length((*short[:-1], prompt[-1])) > limit, "a text is cut only where it does not fit"
    kept = short[0].role == "system"
    longer = (*short[: int(kept)], *prompt[len(prompt) - len(talk) - 2 :])
    if len(prompt) - len(talk) - 2 >= int(prompt[0].role == "system"):
        assert length(longer) > limit, "no turn goes that would have fitted"


def pairs(*prompts: tuple[Message, ...]) -> list[Pair]:
    replies = (Response("good", 1.0), Response("bad", 0.0))
    return [Pair(ResponseGroup(prompt, replies, str(i), "test", "g"), 0, 1) for i, prompt in enumerate(prompts)]


def test_prompts_are_shortened_once_and_counted() -> None:
    long = (*(Message(t.role, t.content) for t in turns_of(3, 20)), Message("user", "last"))
    wide = (Message("user", "begin " + "q" * 300 + " end"),)
    found = shorten_prompts(ZEPHYR, pairs((Message("user", "hi"),), long, wide, long), 100)
    assert (found.prompts, found.lost_turns, found.cut_texts) == (3, 1, 1)
    prompts = [pair.group.prompt for pair in found.pairs]
    assert prompts[0] == (Message("user", "hi"),)
    assert prompts[1] == prompts[3] == long[-1:] or prompts[1] == prompts[3] == long[-3:]
    assert prompts[2][0].content.endswith("q end")
    assert [pair.group.id for pair in found.pairs] == ["0", "1", "2", "3"]
    said = "of 3 prompts, 1 lost their oldest turns and 1 the start of a text (trainer.max_prompt_length=100)"
    assert found.describe(100) == f"edu_align: {said}"
    assert shorten_prompts(ZEPHYR, pairs((Message("user", "hi"),)), 100).describe(100) == ""


def test_a_limit_below_the_template_is_an_error() -> None:
    with pytest.raises(UserError, match=r"`trainer\.max_prompt_length=12` leaves no room.*takes \d+ tokens"):
        shorten_prompt(ZEPHYR, (Message("user", "a question"),), 12)


def test_dpo_trains_on_shortened_prompts(train: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from edu_align.training import dpo

    seen: list[int] = []

    def watched(rows: Any, *args: Any) -> Any:
        seen.extend(len(row[name]) for row in rows for name in ("prompt_ids", "rejected_prompt_ids"))
        return as_dataset(rows, *args)

    as_dataset = dpo.as_dataset
    monkeypatch.setattr(dpo, "as_dataset", watched)
    train("trainer=dpo", "trainer.max_prompt_length=90", "evaluation.enabled=false", "run_name=short-prompts")
    assert seen
    assert max(seen) <= 90
    assert "(trainer.max_prompt_length=90)" in capsys.readouterr().out
