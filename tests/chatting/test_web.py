"""The page: what it escapes and refuses, and a visit over HTTP where gradio is installed."""

import html
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edu_align.chat import main
from edu_align.chatting.arena import Arena, Visitor
from edu_align.chatting.model import ChatModel
from edu_align.chatting.page import answers, base_name, dialogue, footer, header, saved
from edu_align.chatting.text import escaped, printable
from edu_align.chatting.web import MAX_BODY, BodyLimit, _vote
from edu_align.config.schema import GenerationConfig
from edu_align.records import Message
from tests.chatting.conftest import Here, json_rows

needs_gradio = pytest.mark.skipif(
    find_spec("gradio") is None, reason="gradio is not installed: pip install -e '.[web]'"
)
NASTY = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[click](javascript:alert(1)) **bold** <b>tag</b>",
    "</div><div class='user'>I said this",
    "{{#each value}}x{{/each}} ${alert(1)} `code` \\u003cscript>",
    "&lt;script&gt;",
]


@pytest.mark.parametrize("text", NASTY)
def test_what_is_written_stays_text(text: str) -> None:
    page = dialogue([Message("user", text), Message("assistant", text)], text) + "".join(answers([text, text]))
    tags = re.findall(r"<[^>]*>", page)
    assert set(tags) == {
        '<div class="talk">', '<div class="user">', '<div class="assistant">', '<div class="note">', "</div>", "<h2>",
        "</h2>",
    }  # fmt: skip
    assert len(tags) == 2 * (1 + 3 + 2 * 3)
    assert not set("{}$`\\") & set(page)
    shown = re.sub(r"<[^>]*>", "\0", page).split("\0")
    assert [html.unescape(part) for part in shown if part] == [text] * 3 + ["Answer A", text, "Answer B", text]
    named: Any = [SimpleNamespace(label=text, base=f"folder:{text}:0") for _ in range(2)]
    told = header(named) + saved([text, text], "left", Path(text)) + footer(named, Path(text), False)
    assert not {"script", "img", "b", "a"} & set(re.findall(r"<(\w+)", told))
    assert not set("{}$`\\") & set(told)
    assert escaped(text).count("<") == 0


@pytest.mark.parametrize(
    ("identity", "name"),
    [
        ("bundled:SmolLM2-135M-Instruct.Q4_1.gguf:0123456789ab", "SmolLM2-135M-Instruct.Q4_1.gguf"),
        ("hub:HuggingFaceH4/zephyr-7b-beta@892b3d7:0123456789ab", "HuggingFaceH4/zephyr-7b-beta"),
        ("folder:parrot:0123456789ab", "parrot"),
        ("random:tiny:seed42", "tiny with random weights"),
    ],
)
def test_the_page_says_who_answers_and_how_votes_are_trained_on(identity: str, name: str) -> None:
    one, base = (SimpleNamespace(label=label, base=identity) for label in ("my_run", "base"))
    models: Any = [base, one]
    assert base_name(identity) == name
    assert f"my_run and the base model that it was trained from, {name}" in header(models)
    assert f"Chat with my_run</h1><p>Its base model is {name}." in header(models[1:])
    assert f"{name}, both" not in header(models)
    command = "python -m edu_align.train trainer=dpo dataset=local dataset.path=here/votes.jsonl"
    assert command in footer(models, Path("here/votes.jsonl"), download=True)
    assert "--compare" in footer(models[1:], Path("here/votes.jsonl"), download=True)
    assert "href" not in footer(models, Path("here/votes.jsonl"), download=False)


def test_control_characters_are_left_out() -> None:
    assert printable("a\x1b[2J\rb\tc\nd\x00\u202ee\ufeff") == "a[2Jb\tc\nde\ufeff"
    joined = "\u0645\u06cc\u200c\u062e 👩\u200d🏫"  # joiners are letters
    assert printable(joined) == joined


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/", {}, 200),
        ("POST", "/gradio_api/queue/join", {b"content-length": b"100"}, 200),
        ("POST", "/gradio_api/queue/join", {b"content-length": str(MAX_BODY + 1).encode()}, 413),
        ("POST", "/gradio_api/queue/join", {}, 411),
        ("POST", "/gradio_api/queue/join", {b"content-length": b"-1"}, 411),
        ("POST", "/gradio_api/queue/join", {b"content-length": b"1", b"transfer-encoding": b"chunked"}, 411),
        ("POST", "/gradio_api/upload", {b"content-length": b"10"}, 403),
    ],
)
def test_requests_are_bounded(method: str, path: str, headers: dict[bytes, bytes], status: int) -> None:
    import asyncio

    sent: list[int] = []

    async def page(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: dict[str, Any]) -> None:
        sent.append(message.get("status", 0))

    scope = {"type": "http", "method": method, "path": path, "headers": list(headers.items())}
    asyncio.run(BodyLimit(page)(scope, None, send))
    assert sent[0] == status


def test_without_gradio_the_command_to_install_it_is_given(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)  # Python's own mark of a module that is not there
    message = "edu_align: error: the page needs gradio, which is not installed. Run: pip install -e '.[web]'\n"
    assert here(main, "model=tiny", "--web") == (2, "", message)


@pytest.fixture
def visit(pair: list[ChatModel], tmp_path: Path) -> Iterator[Callable[..., tuple[Any, str, Path]]]:
    """`visit(models)`: a page on a free port of this machine; a visitor, its address and the file of votes."""
    from gradio_client import Client

    from edu_align.chatting.web import build_page, launch

    pages = []

    def go(models: list[ChatModel]) -> tuple[Any, str, Path]:
        votes = tmp_path / "votes.jsonl"
        pages.append(build_page(Arena(models, votes, seed=0)))
        url = launch(pages[-1], votes=votes)
        return Client(url, verbose=False, download_files=False), url, votes

    yield go
    for page in pages:
        page.close()


@needs_gradio
def test_two_answers_are_shown_and_voted_on(visit: Callable[..., Any], pair: list[ChatModel]) -> None:
    import httpx

    client, url, votes = visit(pair)
    assert url.startswith("http://127.0.0.1:")
    job = client.submit("2 + 3?", api_name="/say")
    box, history, left, right, said = job.result(timeout=60)
    assert len(job.outputs()) > 3  # it streamed
    assert box == ""
    assert history == dialogue([Message("user", "2 + 3?")])
    assert left != right
    assert "base" not in left + right + history + said
    assert httpx.get(f"{url}votes.jsonl").status_code == 404
    _, history, *_, said = client.predict(api_name="/vote_right")
    (row,) = json_rows(votes)
    assert row["vote"] == "right"
    best = max(row["responses"], key=lambda response: response["score"])
    assert answers(["", best["text"]])[1] == right
    others = [response["author"] for response in row["responses"] if response is not best]
    assert f"Saved: B is better. A was {others[0]}, B was {best['author']}." in said
    assert str(votes) in html.unescape(said)
    assert httpx.get(f"{url}votes.jsonl").content == votes.read_bytes()
    assert httpx.get(f"{url}votes.jsonl", headers={"host": "elsewhere.example:80"}).status_code == 403
    assert history == dialogue([Message("user", "2 + 3?"), Message("assistant", best["text"])])
    client.predict(api_name="/vote_left")
    assert len(votes.read_text().splitlines()) == 1
    assert client.predict(api_name="/begin_anew")[1] == dialogue([])


@needs_gradio
def test_visitors_have_dialogues_of_their_own(visit: Callable[..., Any], pair: list[ChatModel]) -> None:
    from gradio_client import Client

    client, url, votes = visit(pair[1:])
    other = Client(url, verbose=False, download_files=False)
    client.predict("First?", api_name="/say")
    history = other.predict("Second?", api_name="/say")[1]
    assert "First" not in history
    client.predict(api_name="/vote_good")
    other.predict(api_name="/vote_bad")
    found = [(row["vote"], row["prompt"][0]["content"], row["responses"][0]["score"]) for row in json_rows(votes)]
    assert found == [("good", "First?", 1), ("bad", "Second?", 0)]


@needs_gradio
def test_html_of_a_person_and_too_much_of_it(visit: Callable[..., Any], pair: list[ChatModel]) -> None:
    import httpx

    client, url, votes = visit(pair)
    history = client.predict(NASTY[0], api_name="/say")[1]
    assert "&lt;script&gt;" in history
    assert "<script" not in history
    client.predict(api_name="/begin_anew")
    client.predict("x" * 4001, api_name="/say")
    client.predict(api_name="/vote_left")
    assert not votes.exists()
    assert httpx.post(f"{url}gradio_api/queue/join", content=b"x" * (MAX_BODY + 1)).status_code == 413
    assert httpx.post(f"{url}gradio_api/upload", files={"files": b"x"}).status_code == 403


@needs_gradio
def test_a_place_that_is_taken_is_one_message(visit: Callable[..., Any], pair: list[ChatModel]) -> None:
    from edu_align.chatting.web import build_page, launch
    from edu_align.utils.errors import UserError

    _, url, votes = visit(pair)
    page = build_page(Arena([replace(pair[0])], votes, seed=0))
    with pytest.raises(UserError, match=r"the page cannot listen on host=127\.0\.0\.1 port=\d+"):
        launch(page, port=int(url.rstrip("/").rpartition(":")[2]))


@pytest.mark.cases("D12")
def test_a_vote_that_the_disk_refuses_is_said_and_the_answers_stay_open(tmp_path: Path) -> None:
    model = SimpleNamespace(label="a", base="b", settings=GenerationConfig(), prompt=lambda turns: (tuple(turns), 0))
    arena = Arena([model], Path("/dev/full"), seed=0)  # type: ignore[list-item]
    turn = arena.ask(Visitor(), "2 + 3?")
    visitor = arena.finish(Visitor(), turn, ["5"])
    said: list[str] = []
    gr: Any = SimpleNamespace(Warning=said.append, skip=lambda: "skipped", update=dict)
    assert set(_vote(arena, gr, "good", visitor)) == {"skipped"}
    assert "No space left on device" in said[0]
    assert "vote again" in said[0]
    arena.votes = tmp_path / "votes.jsonl"
    assert _vote(arena, gr, "good", visitor)[1] == Visitor(visitor.turns)
    assert len(json_rows(arena.votes)) == 1
