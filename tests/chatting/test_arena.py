"""Votes: whole lines whoever writes, and a file that preference training reads as it is."""

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from edu_align.chatting.arena import MAX_MESSAGE, Answer, Arena, Round, Visitor, append_vote, check_writable, vote_row
from edu_align.chatting.model import ChatModel
from edu_align.config.schema import DatasetConfig
from edu_align.data.dataset import load_records
from edu_align.records import Message, ResponseGroup
from edu_align.utils.errors import UserError
from tests.chatting.conftest import json_rows

ASKED = (Message("user", "2 + 3?"),)


@pytest.fixture
def arena(pair: list[ChatModel], tmp_path: Path) -> Arena:
    return Arena(pair, tmp_path / "votes.jsonl", seed=0)


def write_many(path: Path, who: int, count: int) -> None:
    for i in range(count):
        append_vote(path, {"who": who, "i": i, "text": "line\n" * 4000})


def test_threads_and_processes_write_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "votes.jsonl"
    with ThreadPoolExecutor(8) as threads:
        others = [get_context("spawn").Process(target=write_many, args=(path, 100 + n, 20)) for n in range(2)]
        for process in others:
            process.start()
        list(threads.map(lambda n: write_many(path, n, 20), range(8)))
        for process in others:
            process.join()
    found = json_rows(path)
    assert sorted((row["who"], row["i"]) for row in found) == [(n, i) for n in [*range(8), 100, 101] for i in range(20)]
    assert all(len(row["text"]) == 20_000 for row in found)


def test_a_torn_line_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "votes.jsonl"
    append_vote(path, {"a": 1})
    path.write_bytes(path.read_bytes() + b'{"a": 2, "te')
    append_vote(path, {"a": 3})
    lines = path.read_text().splitlines()
    assert (json.loads(lines[0]), lines[1], json.loads(lines[2])) == ({"a": 1}, '{"a": 2, "te', {"a": 3})


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"`votes=.*file/votes\.jsonl` cannot be written"):
        check_writable(tmp_path / "file" / "votes.jsonl")
    with pytest.raises(UserError, match=r"`votes` must end with \.jsonl, got '.*votes\.csv'"):
        check_writable(tmp_path / "votes.csv")
    check_writable(tmp_path / "new" / "votes.jsonl")
    assert os.path.getsize(tmp_path / "new" / "votes.jsonl") == 0


def test_what_a_vote_holds(pair: list[ChatModel]) -> None:
    base, tutor = pair
    row = vote_row("right", ASKED, [Answer(tutor, "5"), Answer(base, "What is 2 + 2?")])
    left, right = (
        {"text": "5", "author": "talker", "score": 0},
        {"text": "What is 2 + 2?", "author": "base", "score": 1},
    )
    wanted = {"prompt": [{"role": "user", "content": "2 + 3?"}], "responses": [left, right], "left": "talker"}
    assert wanted.items() <= row.items()
    with pytest.raises(ValueError, match="'good' is no vote on 2 answers"):
        vote_row("good", ASKED, [Answer(tutor, "5"), Answer(base, "6")])


def test_only_preferences_are_trained_on_and_the_rest_is_counted(pair: list[ChatModel], tmp_path: Path) -> None:
    path = tmp_path / "votes.jsonl"
    for i, vote in enumerate(["tie", "left", "both_bad", "right"]):
        prompt = (Message("user", f"{i} + 3?"),)
        append_vote(path, vote_row(vote, prompt, [Answer(pair[0], "better?"), Answer(pair[1], "or not?")]))
    append_vote(path, vote_row("bad", ASKED, [Answer(pair[1], "5")]))
    append_vote(path, vote_row("left", ASKED, [Answer(pair[0], "same"), Answer(pair[1], "same")]))
    for view in ("conversation", "preference"):
        data = load_records(DatasetConfig(name="local", sources=["local"], path=str(path)), None, tmp_path, 0, view)
        assert data.sources["local"].dropped == {"fewer than two replies": 3, "identical replies": 1}
        kept = [record for part in data.splits.values() for record in part]
        assert len(kept) == 2
    assert all(isinstance(record, ResponseGroup) for record in kept)
    scores = sorted(tuple((reply.text, reply.score) for reply in record.responses) for record in kept)
    assert scores == [(("better?", 0.0), ("or not?", 1.0)), (("better?", 1.0), ("or not?", 0.0))]


def test_votes_train_a_tutor(arena: Arena, train: Callable[..., Any]) -> None:
    votes = ["left", "right", "tie", "both_bad"]

    def visit(n: int) -> None:
        visitor = Visitor()
        for i in range(3):
            visitor = answered(arena, visitor, f"What is {n} + {i}?")
            visitor = arena.vote(visitor, votes[(n + i) % 4])

    with ThreadPoolExecutor(4) as visitors:
        list(visitors.map(visit, range(12)))
    assert len(json_rows(arena.votes)) == 36
    data = ["dataset=local", f"dataset.path={arena.votes}", "evaluation.enabled=false"]
    done = train("trainer=dpo", *data, "trainer.max_steps=2", "run_name=voted")
    assert done.record["metrics"]["train/steps"] == 2
    assert done.record["data"]["sources"]["local"]["dropped"]["fewer than two replies"] == 18
    assert any(not (done.before[name] == done.after[name]).all() for name in done.trained)


def answered(arena: Arena, visitor: Visitor, text: str) -> Visitor:
    asked = arena.ask(visitor, text)
    return arena.finish(visitor, asked, list(arena.answers(asked))[-1])


def test_the_better_answer_goes_on(arena: Arena) -> None:
    visitor = answered(arena, Visitor(), "Hi")
    assert visitor.open is not None
    left, right = visitor.open.texts
    assert left != right
    assert visitor.turns[-1].content == left
    for vote, text in (("left", left), ("right", right), ("tie", left), ("both_bad", left)):
        after = arena.vote(visitor, vote)
        assert after == Visitor((Message("user", "Hi"), Message("assistant", text)))
        assert arena.vote(after, vote) == after  # a second click is no second vote
    assert [row["vote"] for row in json_rows(arena.votes)] == ["left", "right", "tie", "both_bad"]
    again = answered(arena, arena.vote(visitor, "left"), "Why?")
    assert again.open is not None
    assert [turn.role for turn in again.open.turns] == ["user", "assistant", "user"]


def test_the_order_is_drawn_by_the_seed(pair: list[ChatModel], tmp_path: Path) -> None:
    def orders(seed: int) -> list[tuple[int, ...]]:
        arena = Arena(pair, tmp_path / "votes.jsonl", seed)
        return [arena.ask(Visitor(), "Hi").order for _ in range(20)]

    assert orders(0) == orders(0) != orders(1)
    assert set(orders(0)) == {(0, 1), (1, 0)}


def test_messages_are_bounded_and_old_turns_left_out(arena: Arena) -> None:
    long = f"has {MAX_MESSAGE + 1} characters, and at most {MAX_MESSAGE}"
    for text, message in (("x" * (MAX_MESSAGE + 1), long), (" \n ", "is empty"), ("x" * 3000, "tokens")):
        with pytest.raises(UserError, match=message):
            arena.ask(Visitor(), text)
    turns = tuple(Message(role, "x" * 500) for _ in range(3) for role in ("user", "assistant"))
    asked = arena.ask(Visitor(turns), "Hi")
    assert asked.dropped in (2, 4)
    assert asked.turns == (*turns[asked.dropped :], Message("user", "Hi"))


def test_two_system_prompts_are_not_put_into_one_vote(pair: list[ChatModel], tmp_path: Path) -> None:
    models = [replace(pair[0], system_prompt="Be kind."), replace(pair[1], system_prompt="Be brief.")]
    for speaking, first in ((models, "user"), ([models[0], replace(models[1], system_prompt="Be kind.")], "system")):
        arena = Arena(speaking, tmp_path / f"{first}.jsonl", seed=0)
        asked = arena.ask(Visitor(), "Hi")
        assert all(prompt[0].role == "system" for prompt in asked.prompts)
        arena.vote(Visitor(open=replace(asked, texts=("a", "b"))), "left")
        assert json_rows(arena.votes)[0]["prompt"][0]["role"] == first


def test_an_answer_without_text_is_not_voted_on(arena: Arena) -> None:
    asked: Round = arena.ask(Visitor(), "Hi")
    assert arena.finish(Visitor(), asked, ("", " ")) == Visitor()
    half = arena.finish(Visitor(), asked, ("", "yes"))
    assert half.turns[-1].content == "yes"
    assert arena.vote(half, "left").turns[-1].content == "yes"
