"""The page, drawn by Gradio: a chat with one model, or with two unnamed ones side by side, and votes.

What a person or a model wrote is escaped and stands on the page as written. The server refuses long requests before
their body is read.
"""

import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from edu_align.chatting.arena import MAX_MESSAGE, Arena, Visitor, check_writable
from edu_align.chatting.model import ChatModel
from edu_align.chatting.text import escaped, loop_note, printable
from edu_align.records import Message
from edu_align.utils.errors import UserError

MAX_BODY = 256 * 1024  # bytes of one request; a message has at most 4,000 characters
CLOSED = "/upload"  # the page takes no files

App = Callable[[dict[str, Any], Any, Any], Awaitable[None]]


class BodyLimit:
    """ASGI middleware: refuses request bodies above `limit` bytes or of unknown length, and uploads."""

    def __init__(self, app: App, limit: int = MAX_BODY) -> None:
        self.app = app
        self.limit = limit

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        status = self._refusal(scope) if scope["type"] == "http" else None
        if status is None:
            await self.app(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    def _refusal(self, scope: dict[str, Any]) -> int | None:
        """The status of a request that is refused: 403 upload, 411 no length, 413 too long."""
        if scope["method"] in ("GET", "HEAD", "OPTIONS"):
            return None
        if scope["path"].rstrip("/").endswith(CLOSED):
            return 403
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"")
        if b"transfer-encoding" in headers or not length.isdigit():
            return 411
        return 413 if int(length) > self.limit else None


CSS = """
.talk {white-space: pre-wrap; overflow-wrap: anywhere}
.talk > div {padding: .6em .9em; margin: .4em 0; border-radius: .6em; border: 1px solid var(--border-color-primary)}
.talk > .user {margin-left: 15%; background: var(--background-fill-secondary)}
.talk > .note {border: none; opacity: .7; font-size: .9em}
"""


def bubble(kind: str, text: str) -> str:
    """One box; `kind` (user, assistant or note) is its CSS class."""
    return f'<div class="{kind}">{escaped(printable(text))}</div>'


def dialogue(turns: Sequence[Message], note: str = "") -> str:
    """The turns from old to new, and a note under them."""
    boxes = [bubble(turn.role, turn.content) for turn in turns] + ([bubble("note", note)] if note else [])
    return f'<div class="talk">{"".join(boxes)}</div>'


def answers(texts: Sequence[str]) -> list[str]:
    """A box for each answer; an empty one is being waited for."""
    return [f'<div class="talk">{bubble("assistant", text) if text else ""}</div>' for text in texts]


LOOPBACK = "127.0.0.1"
WAITING = 32  # questions that may wait for the model; later ones are turned away
PAIR = {"left": "Left is better", "right": "Right is better", "tie": "Tie", "both_bad": "Both are bad"}
SINGLE = {"good": "Good answer", "bad": "Bad answer"}


def require_gradio() -> None:
    """Raise UserError with the install command where gradio is missing."""
    if find_spec("gradio") is None:
        raise UserError("the page needs gradio, which is not installed. Run: pip install -e '.[web]'")


def serve(models: Sequence[ChatModel], own: Mapping[str, str], port: int | None, seed: int) -> None:
    """Show the page until Ctrl-C. `own`: the program's keys (host, votes, outputs_root)."""
    votes = Path(own.get("votes") or Path(own.get("outputs_root", "outputs")) / "votes.jsonl").expanduser()
    host = own.get("host", LOOPBACK)
    check_writable(votes)
    page = build_page(Arena(models, votes, seed))
    url = launch(page, host, port)
    print(f"edu_align: {' and '.join(model.label for model in models)} on {url}; votes go to {votes}", flush=True)
    if host not in (LOOPBACK, "localhost", "::1"):
        print("edu_align: everyone who reaches this machine can talk and vote there; there is no password", flush=True)
    page.block_thread()


def launch(page: Any, host: str = LOOPBACK, port: int | None = None) -> str:
    """Start the server in a thread and return its address. Nothing is shared, uploaded or reported elsewhere."""
    from starlette.middleware import Middleware

    try:
        _, url, _ = page.launch(
            server_name=host, server_port=port, share=False, quiet=True, prevent_thread_lock=True, inbrowser=False,
            css=CSS, footer_links=[], run_history=False, enable_monitoring=False, ssr_mode=False, mcp_server=False,
            max_file_size=1, app_kwargs={"middleware": [Middleware(BodyLimit)]},
        )  # fmt: skip
    except OSError as error:
        raise UserError(
            f"the page cannot listen on host={host} port={port or 7860} ({error}). Choose others."
        ) from None
    return str(url)


def build_page(arena: Arena) -> Any:
    """The page of an arena. What a visitor sends is a text or a vote; the dialogue itself stays with the server."""
    import gradio as gr

    with gr.Blocks(title="edu_align", analytics_enabled=False) as page:
        visitor = gr.State(Visitor(), time_to_live=24 * 3600)
        history = gr.HTML(dialogue(()), js_on_load=None, autoscroll=True, max_height=500)
        with gr.Row(equal_height=True):
            panes = [gr.HTML("", js_on_load=None) for _ in arena.models]
        with gr.Row():
            buttons = {vote: gr.Button(name, interactive=False) for vote, name in _votes(arena).items()}
        text = gr.Textbox(label="Your message", max_length=MAX_MESSAGE, submit_btn=True, autofocus=True)
        restart = gr.Button("Begin anew", variant="secondary")
        shown = [text, visitor, history, *panes, *buttons.values()]
        text.submit(partial(_ask, arena, gr), [text, visitor], shown, api_name="say")
        for vote, button in buttons.items():
            button.click(
                partial(_vote, arena, gr, vote),
                visitor,
                shown,
                api_name=f"vote_{vote}",
                concurrency_id="vote",
                concurrency_limit=1,
            )
        restart.click(lambda: _page_values(gr, arena, Visitor()), None, shown, api_name="begin_anew")
    page.queue(max_size=WAITING, default_concurrency_limit=1)
    return page


def _votes(arena: Arena) -> dict[str, str]:
    """Vote -> the text of its button."""
    return PAIR if len(arena.models) == 2 else SINGLE


def _ask(arena: Arena, gr: Any, text: str, visitor: Visitor) -> Iterator[list[Any]]:
    """The page's values, once more with every piece of an answer."""
    try:
        turn = arena.ask(visitor, text)
    except UserError as error:
        gr.Warning(str(error))
        yield [gr.skip() for _ in _page_values(gr, arena, visitor)]
        return
    note = f"{turn.dropped} old turns were left out: the dialogue is longer than the context" if turn.dropped else ""
    texts: tuple[str, ...] = ("",) * len(arena.models)
    before = Visitor(visitor.turns)  # what stays of the dialogue if the visitor leaves now
    yield _page_values(gr, arena, before, texts, note, turn.turns)
    cut: list[str] = []
    for texts in arena.answers(turn, cut):
        yield _page_values(gr, arena, before, texts, note, turn.turns)
    if cut:  # whose answer it was is for the visitor to find out
        note = "; ".join([*([note] if note else []), loop_note("an answer")])
    visitor = arena.finish(visitor, turn, texts)
    if visitor.open is None:
        gr.Warning("There was no answer. Ask in another way.")
        yield _page_values(gr, arena, visitor, texts, note)
    else:
        yield _page_values(gr, arena, visitor, visitor.open.texts, note, visitor.open.turns)


def _vote(arena: Arena, gr: Any, vote: str, visitor: Visitor) -> list[Any]:
    try:
        return _page_values(gr, arena, arena.vote(visitor, vote))
    except OSError as error:  # the answers stay open, and the chat goes on
        why = error.strerror or error
        said = f"The vote could not be saved in {arena.votes} ({why}). Make room there, and vote again."
        print(f"edu_align: {said}", file=sys.stderr, flush=True)
        gr.Warning(said)
        return [gr.skip() for _ in _page_values(gr, arena, visitor)]


def _page_values(
    gr: Any,
    arena: Arena,
    visitor: Visitor,
    texts: Sequence[str] = (),
    note: str = "",
    turns: Sequence[Any] | None = None,
) -> list[Any]:
    """Values of the page's parts in their order. `turns` stand above the answers, the visitor's own unless given."""
    panes = answers(texts or [""] * len(arena.models))
    votes = [gr.update(interactive=visitor.open is not None) for _ in _votes(arena)]
    return ["", visitor, dialogue(visitor.turns if turns is None else turns, note), *panes, *votes]
