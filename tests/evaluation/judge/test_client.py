"""Requests that fail, wait, are limited, are kept; and the key, which is nowhere."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edu_align.evaluation.judge.answers import opinions
from edu_align.evaluation.judge.rubric import Chat, question
from edu_align.evaluation.judge.settings import KEY_VARIABLE, JudgeSettings
from edu_align.utils.errors import UserError
from tests.evaluation.judge.conftest import KEY, Serve
from tests.evaluation.judge.server import Body, Judge, Reply, prefers_questions

Settings = Callable[..., JudgeSettings]


def chats(count: int) -> list[Chat]:
    return [question((), "", f"why {i}?", "so.") for i in range(count)]


def after(first: list[Reply]) -> Callable[[Body, int], Reply]:
    """These answers first, good ones from then on."""
    return lambda body, number: first[number] if number < len(first) else prefers_questions(body)


@pytest.mark.parametrize(
    ("bad", "least"),
    [
        (Reply("slow down", 429, {"Retry-After": "1"}), 1.0),
        (Reply("overloaded", 503, {"retry-after-ms": "10"}), 0.0),
        (Reply("late", delay=30.0), 0.5),
    ],
    ids=["429", "503", "time-out"],
)
def test_what_passes_is_tried_again(serve: Serve, settings: Settings, bad: Reply, least: float) -> None:
    server = serve(after([bad]))
    began = time.monotonic()
    (found,), tally = opinions(settings(server, timeout=0.5), chats(1))
    assert found is not None
    assert found.better == "A"
    assert time.monotonic() - began >= least
    assert len(server.bodies) == 2
    assert (tally.requests, tally.attempts, tally.cached) == (1, 2, 0)


def test_a_server_that_stays_away_ends_it_and_nothing_is_lost(serve: Serve, settings: Settings) -> None:
    gone = Reply("gone", 500, {"retry-after-ms": "1"})
    server = serve(lambda body, number: prefers_questions(body) if number < 3 else gone)
    chosen = settings(server, retries=1, concurrency=1)
    with pytest.raises(UserError, match=r"gave no answer: .*500.* 3 of 6 answers are kept; the same command goes on"):
        opinions(chosen, chats(6))
    assert len(server.bodies) == 5
    server.behave = prefers_questions
    found, tally = opinions(chosen, chats(6))
    assert None not in found
    assert (tally.requests, tally.cached, len(server.bodies)) == (3, 3, 8)


def test_the_second_time_nothing_is_asked(serve: Serve, settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    server = serve(prefers_questions)
    chosen = settings(server, price_in=1000.0, price_out=10000.0)
    first, tally = opinions(chosen, chats(5))
    again, second = opinions(chosen, chats(5))
    assert first == again
    assert len(server.bodies) == 5
    assert (second.requests, second.cached, second.attempts) == (0, 5, 0)
    assert "Tokens: 500 in, 100 out, 1.5 at the prices given" in tally.line(chosen)
    assert "5 questions, 0 of them new; about 0 tokens in and 0 out, 0 at the prices given" in capsys.readouterr().out
    assert "prices" not in tally.line(settings(server))


def test_another_question_model_or_endpoint_is_another_answer(serve: Serve, settings: Settings) -> None:
    server, other = serve(prefers_questions), serve(prefers_questions)
    opinions(settings(server), chats(1))
    opinions(settings(server), [question((), "7", "why 0?", "so.")])
    opinions(settings(server, max_tokens=100), chats(1))
    assert len(server.bodies) == 3
    assert opinions(settings(other), chats(1))[1].cached == 0


@pytest.mark.parametrize(
    "garbage",
    [
        Reply("A is better."), Reply(""), Reply('{"better": "A"}'), Reply(body="<html>busy</html>"),
        Reply(body="{", headers={"Content-Type": "application/json"}),
    ],
    ids=["prose", "nothing", "half", "a page", "broken JSON"],
)  # fmt: skip
def test_garbage_is_asked_for_again_once(serve: Serve, settings: Settings, garbage: Reply) -> None:
    server = serve(after([garbage]))
    found, tally = opinions(settings(server), chats(1))
    assert None not in found
    assert (tally.asked_again, tally.malformed, tally.requests) == (1, 0, 2)
    assert [turn["role"] for turn in server.bodies[1]["messages"]] == ["system", "user", "assistant", "user"]


def test_garbage_for_good_is_counted_and_not_guessed(serve: Serve, settings: Settings) -> None:
    vague = Reply("I like A")
    server = serve(lambda body, _: vague if "why 1?" in body["messages"][1]["content"] else prefers_questions(body))
    found, tally = opinions(settings(server), chats(3))
    assert [one is None for one in found] == [False, True, False]
    assert (tally.asked_again, tally.malformed) == (1, 1)
    assert "1 stayed malformed and are left out" in tally.line(settings(server))
    assert opinions(settings(server), chats(3))[1].requests == 0


def test_options_that_a_model_refuses_are_given_up(serve: Serve, settings: Settings) -> None:
    def behave(body: Body, _number: int) -> Reply:
        if "max_tokens" in body:
            return Reply("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.", 400)
        return Reply("'temperature' must be 1 here.", 400) if "temperature" in body else prefers_questions(body)

    server = serve(behave)
    found, _ = opinions(settings(server, concurrency=1), chats(2))
    assert None not in found
    assert [sorted(body.keys() - {"model", "messages"}) for body in server.bodies] == [
        ["max_tokens", "temperature"], ["max_completion_tokens", "temperature"], *[["max_completion_tokens"]] * 2,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("status", "advice"),
    [(400, "Check that it runs"), (401, f"variable {KEY_VARIABLE}"), (404, "usually ends with /v1")],
)
def test_what_is_refused_is_not_tried_again(serve: Serve, settings: Settings, status: int, advice: str) -> None:
    server = serve(lambda *_: Reply("no", status))
    with pytest.raises(UserError, match=advice):
        opinions(settings(server), chats(1))
    assert len(server.bodies) == 1


def test_no_more_requests_a_minute_than_asked(serve: Serve, settings: Settings) -> None:
    server = serve(after([Reply("busy", 503, {"retry-after-ms": "1"})]))
    began = time.monotonic()
    opinions(settings(server, per_minute=300.0, concurrency=4), chats(4))
    assert len(server.bodies) == 5
    assert time.monotonic() - began >= 4 * 60 / 300  # the retry has waited for its turn, too


def test_several_are_under_way_at_once(serve: Serve, settings: Settings) -> None:
    together = threading.Barrier(3, timeout=10.0)

    def behave(body: Body, _number: int) -> Reply:
        together.wait()
        return prefers_questions(body)

    found, _ = opinions(settings(serve(behave), concurrency=3), chats(3))
    assert None not in found


def test_the_key_is_sent_and_kept_nowhere(serve: Serve, settings: Settings, tmp_path: Path, capsys: Any) -> None:
    server = serve(lambda body, number: Reply(f"your key is {server.keys[number]}"))
    chosen = settings(server)
    _, tally = opinions(chosen, chats(1))
    assert set(server.keys) == {f"Bearer {KEY}"}
    server.behave = lambda body, number: Reply(f"{server.keys[number]} is wrong", 401)
    with pytest.raises(UserError) as refused:
        opinions(chosen, chats(2))
    printed = capsys.readouterr()
    files = "".join(path.read_text() for path in tmp_path.rglob("*.json"))
    assert "your key is Bearer ***" in files
    for text in (files, printed.out, printed.err, str(refused.value), repr(chosen), tally.line(chosen)):
        assert KEY not in text


def test_a_server_of_ones_own_needs_no_key(serve: Serve, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    server = serve(prefers_questions)
    monkeypatch.delenv(KEY_VARIABLE)
    opinions(settings(server), chats(1))
    assert server.keys == ["Bearer none"]
    assert KEY_VARIABLE not in os.environ


def test_a_server_that_is_not_there(settings: Settings, serve: Serve) -> None:
    server = serve(prefers_questions)
    chosen = settings(server, retries=0)
    Judge.close(server)
    with pytest.raises(UserError, match=r"gave no answer: Connection error\. Check that it runs"):
        opinions(chosen, chats(1))
