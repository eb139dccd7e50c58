"""An OpenAI-compatible endpoint on a loopback port whose answers the test decides: real sockets, real time-outs."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from edu_align.evaluation.judge.rubric import DIMENSIONS, FIRST, SECOND

Body = dict[str, Any]


@dataclass
class Reply:
    """`status`, headers and body of one answer, sent after `delay` seconds."""

    text: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    body: str | None = None  # sent instead of a completion

    def encoded(self) -> bytes:
        if self.body is not None:
            return self.body.encode()
        if self.status != 200:
            return json.dumps({"error": {"message": self.text}}).encode()
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": self.text}}
        usage = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
        head = {"id": "1", "object": "chat.completion", "created": 0, "model": "m"}
        return json.dumps({**head, "choices": [choice], "usage": usage}).encode()


class Judge:
    """The server. `behave(body, number)` answers the request number `number` (from 0); every body is kept."""

    def __init__(self, behave: Callable[[Body, int], Reply]) -> None:
        self.behave = behave
        self.bodies: list[Body] = []
        self.keys: list[str] = []
        self.hung_up = threading.Event()
        self._lock = threading.Lock()
        judge = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # head and body in one packet, or the kernel waits 40 ms between them

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with judge._lock:
                    number = len(judge.bodies)
                    judge.bodies.append(body)
                    judge.keys.append(self.headers.get("Authorization", ""))
                reply = judge.behave(body, number)
                if reply.delay:
                    judge.hung_up.wait(reply.delay)
                content = reply.encoded()
                try:
                    self.send_response(reply.status)
                    kind = "application/json" if reply.body is None else "text/html"
                    for name, value in {"Content-Type": kind, **reply.headers}.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)
                except OSError:  # the client no longer waits
                    self.close_connection = True

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def close(self) -> None:
        self.hung_up.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def shown(body: Body) -> tuple[str, str]:
    """The replies shown first and second in a request."""
    text = body["messages"][1]["content"]
    return tuple(text.split(f"<{tag}>\n")[1].split(f"\n</{tag}>")[0] for tag in ("reply_a", "reply_b"))  # type: ignore


def labels(of: str) -> dict[str, str]:
    """Every label Yes for a reply that asks, No for another; the answer is never revealed."""
    return {name: "Yes" if "?" in of and name != "revealing_answer" else "No" for name in DIMENSIONS}


def opinion(body: Body, better: str) -> str:
    first, second = shown(body)
    return json.dumps({FIRST: labels(first), SECOND: labels(second), "better": better})


def prefers_questions(body: Body, _number: int = 0) -> Reply:
    """A judge that finds a reply with a question mark better, wherever it stands."""
    first, second = ("?" in text for text in shown(body))
    return Reply(opinion(body, "tie" if first == second else "A" if first else "B"))


def prefers_first(body: Body, _number: int = 0) -> Reply:
    return Reply(opinion(body, "A"))
