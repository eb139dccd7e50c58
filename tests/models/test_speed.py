"""How fast a model is: what it really computed in a block, and nothing where all was found again."""

from typing import Any

from edu_align.config.schema import GenerationConfig
from edu_align.models.answers import answer
from edu_align.models.chat_template import chat_ids
from edu_align.models.scoring import reply_rows
from edu_align.models.speed import Speed, add_work, watched
from edu_align.records import Message, Response, ResponseGroup


def test_what_a_model_computes_is_counted(random_model: Any, bytes_tokenizer: Any) -> None:
    model, prompt = random_model(), (Message("user", "2 + 3?"),)
    group = ResponseGroup(prompt, (Response("5", 1.0), Response("It is 6.", 0.0)), "1", "test", "1")
    rows = reply_rows(bytes_tokenizer, group, 64)
    asked, settings = chat_ids(bytes_tokenizer, prompt, reply_next=True), GenerationConfig(max_new_tokens=5)
    with watched(Speed()) as outer:
        found = answer(model, bytes_tokenizer, [rows, rows], [asked, asked], settings)
        with watched(Speed()) as inner:
            answer(model, bytes_tokenizer, [rows], [], settings)
    assert (inner.tokens, inner.replies) == (0, 2)
    assert (outer.tokens, outer.replies) == (sum(map(len, found.replies)), 6)
    assert 0 < outer.tokens <= 10
    assert 0 < inner.scoring <= inner.seconds < outer.seconds
    assert outer.seconds > outer.scoring + found.writing > outer.scoring > inner.scoring
    answer(model, bytes_tokenizer, [], [asked], settings)  # after the block
    assert outer.tokens <= 10


def test_rates_are_over_their_own_time_and_absent_where_nothing_was_computed() -> None:
    with watched(Speed()) as found:
        pass
    assert set(found.summary().values()) == {None}
    assert found.sentence() == ""
    with watched(found):
        add_work(0, 0.0, 300, 2.0)
        add_work(0, 0.0, 100, 2.0)
    found.seconds = 10.0
    assert found.summary() == {
        "suite_seconds": 10.0, "generation_tokens_per_second": 100.0, "scoring_replies_per_second": None,
    }  # fmt: skip
    with watched(Speed()) as other:
        add_work(30, 4.0, 0, 0.0)
    other.seconds = 5.0
    both = Speed.total([found, other])
    assert both.sentence() == "edu_align: measured in 15 s, 100 tokens a second written and 7.5 replies a second scored"
