"""Rows of labelled replies: which mismatched reply each gets, how both are cut, and what the cache gives back."""

from pathlib import Path
from typing import Any

import pytest
import torch

from edu_align.cache.run_cache import RunCache
from edu_align.models.device import resolve
from edu_align.models.locate import locate
from edu_align.models.tokenizer import byte_tokenizer
from edu_align.records import LabelledReply, Message, Response, ResponseGroup
from edu_align.training.kto_rows import COLUMNS, PLAIN, ReplyCollator, cached_kto_rows, kto_rows, mismatched


def reply(prompt: int, number: int, text: str = "") -> LabelledReply:
    question = (Message("user", f"Is {prompt} + 1 = {prompt + 1}?"),)
    answers = tuple(Response(text or f"reply {prompt} {i}", 1.0) for i in range(number + 1))
    return LabelledReply(ResponseGroup(question, answers, f"p{prompt}", "local", "g"), number, number % 2 == 0)


@pytest.mark.parametrize(
    ("prompts", "expected"),
    [
        ("abcd", [3, 0, 1, 2]),  # TRL's: the row before, in its step
        ("aabb", [2, 3, 0, 1]),
        ("aaabbc", [3, 4, 5, 0, 1, 2]),
        ("aab", [2, 2, 1]),  # two of three have one prompt: the second takes the nearest other one
        ("a", [0]),
        ("aa", [1, 0]),
    ],
)
def test_a_mismatched_reply_is_one_to_another_prompt(prompts: str, expected: list[int]) -> None:
    assert mismatched(prompts, len(prompts)) == expected


def test_steps_keep_their_own_replies_where_they_can() -> None:
    prompts = "aabb" + "cccc" + "d"
    found = mismatched(prompts, 4)
    assert sorted(found[:4]) == [0, 1, 2, 3]
    assert found[4:8] == [3, 3, 8, 8], "a step of one prompt takes the nearest replies to others"
    assert prompts[found[8]] != "d"
    assert all(prompts[other] != prompt for prompt, other in zip(prompts, found, strict=True))


def test_rows_and_what_is_cut(bytes_tokenizer: Any) -> None:
    replies = [reply(1, 0), reply(1, 1), reply(2, 0)]
    (whole, *_), _ = kto_rows(bytes_tokenizer, replies, 1000, 3)
    text = bytes_tokenizer.decode(whole["prompt_ids"] + whole["completion_ids"])
    assert "Is 1 + 1 = 2?" in text
    assert text.endswith("reply 1 0</s>\n")
    other = bytes_tokenizer.decode(whole["KL_prompt_ids"] + whole["KL_completion_ids"])
    assert "Is 1 + 1 = 2?" in other
    assert other.endswith("reply 2 0</s>\n")
    assert whole["label"] is True
    length = len(whole["completion_ids"]) + 5
    (short, *_), _ = kto_rows(bytes_tokenizer, replies, length, 3)
    assert (len(short["prompt_ids"]), short["completion_ids"]) == (5, whole["completion_ids"])
    assert len(short["KL_prompt_ids"]) + len(short["KL_completion_ids"]) == length
    plain, _ = kto_rows(bytes_tokenizer, replies, 1000, None)
    assert plain[0].keys() == {*PLAIN, "label"}, "a loss without the term has no other replies"


def test_a_reply_that_the_template_refuses_is_left_out_and_counted() -> None:
    chat = byte_tokenizer()
    refusal = "{% if m.content == 'no' %}{{ raise_exception('no') }}{% endif %}"
    chat.chat_template = f"{{% for m in messages %}}{refusal}{{{{ m.content }}}}|{{% endfor %}}"
    rows, counts = kto_rows(chat, [reply(1, 0), reply(2, 0, "no"), reply(3, 0)], 1000, 2)
    assert (len(rows), counts.kept) == (2, [0, 2])
    (line,) = counts.lines()
    assert line.startswith("edu_align: 1 replies are left out; the first: record p2")
    others = [chat.decode(row["KL_completion_ids"]) for row in rows]
    assert ["reply 3 0" in others[0], "reply 1 0" in others[1]] == [True, True], "among those that are left"


def test_a_batch_is_trls() -> None:
    from trl.trainer.kto_trainer import DataCollatorForUnpairedPreference

    rows = [
        {
            "prompt_ids": [1, 2],
            "completion_ids": [3],
            "KL_prompt_ids": [1, 2],
            "KL_completion_ids": [6, 7],
            "label": True,
        },
        {"prompt_ids": [4], "completion_ids": [6, 7], "KL_prompt_ids": [4], "KL_completion_ids": [3], "label": False},
    ]
    logps = {"ref_logps": -1.5, "ref_KL_logps": -2.5}
    for extra in ({}, logps):
        expected = DataCollatorForUnpairedPreference(0, pad_to_multiple_of=8)([row | extra for row in rows])
        found = ReplyCollator(0, 8)([row | extra for row in rows])
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], expected[name]) for name in expected)
    plain = ReplyCollator(0)([{name: row[name] for name in (*PLAIN, "label")} for row in rows])
    assert plain.keys() == {"input_ids", "attention_mask", "completion_mask", "label"}


@pytest.mark.parametrize("step", [2, None])
def test_the_cache_gives_back_the_same_rows(bytes_tokenizer: Any, typed: Any, tmp_path: Path, step: int | None) -> None:
    config = typed("trainer=kto", f"outputs_root={tmp_path}", "cache_gb=1")
    cache = RunCache(config, locate(config.model, tmp_path, config.seed), resolve(config))
    replies = [reply(1, 0), reply(1, 1), reply(2, 0)]
    expected = kto_rows(bytes_tokenizer, replies, 60, step)
    for _ in range(2):
        rows, counts = cached_kto_rows(cache, bytes_tokenizer, replies, 60, step)
        assert rows == expected[0]
        assert counts == expected[1]
    assert set(rows[0]) == {*(COLUMNS if step else PLAIN), "label"}
