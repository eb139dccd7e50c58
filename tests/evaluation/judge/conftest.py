"""What the tests of the judge share: an endpoint, and settings that point at it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edu_align.evaluation.judge.settings import KEY_VARIABLE, JudgeSettings
from edu_align.records import Message, Response, ResponseGroup
from tests.evaluation.judge.server import Body, Judge, Reply

KEY = "sk-a-key-of-the-tests-0123456789"
Serve = Callable[[Callable[[Body, int], Reply]], Judge]

pytest.importorskip("openai", reason="the extra `judge` (package openai) is not installed")


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    servers: list[Judge] = []

    def start(behave: Callable[[Body, int], Reply]) -> Judge:
        servers.append(Judge(behave))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def settings(tmp_path: Path) -> Callable[..., JudgeSettings]:
    """`settings(server, timeout=0.5)`."""

    def build(server: Judge, **changed: Any) -> JudgeSettings:
        fixed: dict[str, Any] = {"timeout": 10.0, "samples": 200, "concurrency": 2, **changed}
        return JudgeSettings(server.url, "m", tmp_path / "cache", **fixed)

    return build


@pytest.fixture
def groups() -> list[ResponseGroup]:
    """Eight dialogues with three replies each: people like the one that asks, then the statement, then the answer.

    Every reply has the same number of words and none of the dialogue's, so only the question mark tells them apart.
    """
    built = []
    for i in range(8):
        replies = [
            Response(f"where went step {i} wrong?", 8.0, dict.fromkeys(DIMENSIONS, 2.0), "Expert"),
            Response(f"look over step {i} again.", 4.0, dict.fromkeys(DIMENSIONS, 1.0), "GPT4"),
            Response(f"great, all of {i} done.", 0.0, dict.fromkeys(DIMENSIONS, 0.0), "Phi3"),
        ]
        turns = (Message("user", f"3 + 4 = 1{i}"),)
        meta = {"gold_answer": "7", "unfit_to_learn": "Phi3"}
        built.append(ResponseGroup(turns, tuple(replies), f"g{i}", "mrbench", f"problem:{i}", meta))
    return built


DIMENSIONS = ("mistake_identification", "mistake_location", "providing_guidance", "actionability")
