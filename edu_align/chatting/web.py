"""The page, drawn by Gradio: a chat with one model, or with two unnamed ones side by side, and votes.

What a person or a model wrote is escaped and stands on the page as written. The server refuses long requests before
their body is read.
"""

import re
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from edu_align.chatting.arena import MAX_MESSAGE, Arena, Visitor, check_writable
from edu_align.chatting.model import ChatModel
from edu_align.chatting.page import (
    CSS,
    EXAMPLES,
    KEYS,
    VOTES_URL,
    answers,
    dialogue,
    footer,
    header,
    saved,
    status,
    title,
    votes_of,
)
from edu_align.chatting.text import loop_note
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


class VotesFile:
    """ASGI middleware: GET /votes.jsonl is the file of votes as it is now.

    It holds everyone's dialogues, so it is given to this machine alone: a page of another site that had its own name
    point here would ask under that name.
    """

    def __init__(self, app: App, votes: Path) -> None:
        self.app = app
        self.votes = votes

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] != VOTES_URL:
            await self.app(scope, receive, send)
            return
        from starlette.responses import FileResponse, PlainTextResponse

        host = re.sub(r":\d*$", "", dict(scope["headers"]).get(b"host", b"").decode("latin-1")).strip("[]")
        if scope["method"] not in ("GET", "HEAD") or host not in LOCAL:
            answer: Any = PlainTextResponse("The votes are read on the machine of the page alone.", 403)
        elif not self.votes.is_file():
            answer = PlainTextResponse("There is no vote yet.", 404)
        else:
            answer = FileResponse(self.votes, media_type="application/jsonl", filename=self.votes.name)
        await answer(scope, receive, send)


LOOPBACK = "127.0.0.1"
LOCAL = (LOOPBACK, "localhost", "::1")
WAITING = 32  # questions that may wait for the model; later ones are turned away


def require_gradio() -> None:
    """Raise UserError with the install command where gradio is missing."""
    if find_spec("gradio") is None:
        raise UserError("the page needs gradio, which is not installed. Run: pip install -e '.[web]'")


def serve(models: Sequence[ChatModel], own: Mapping[str, str], port: int | None, seed: int) -> None:
    """Show the page until Ctrl-C. `own`: the program's keys (host, votes, outputs_root)."""
    votes = Path(own.get("votes") or Path(own.get("outputs_root", "outputs")) / "votes.jsonl").expanduser()
    host = own.get("host", LOOPBACK)
    check_writable(votes)
    page = build_page(Arena(models, votes, seed), download=host in LOCAL)
    url = launch(page, host, port, votes)
    print(f"edu_align: {' and '.join(model.label for model in models)} on {url}; votes go to {votes}", flush=True)
    if host not in LOCAL:
        print("edu_align: everyone who reaches this machine can talk and vote there; there is no password", flush=True)
    page.block_thread()


def launch(page: Any, host: str = LOOPBACK, port: int | None = None, votes: Path | None = None) -> str:
    """Start the server in a thread and return its address. Nothing is shared, uploaded or reported elsewhere.

    `votes`: the file that can be downloaded on this machine, if it listens to no other.
    """
    import gradio as gr
    from starlette.middleware import Middleware

    middleware = [Middleware(BodyLimit)]
    if votes is not None and host in LOCAL:
        middleware.append(Middleware(VotesFile, votes))
    theme = gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
    try:
        _, url, _ = page.launch(
            server_name=host, server_port=port, share=False, quiet=True, prevent_thread_lock=True, inbrowser=False,
            css=CSS, js=KEYS, theme=theme, footer_links=[], run_history=False, enable_monitoring=False, ssr_mode=False,
            mcp_server=False, max_file_size=1, app_kwargs={"middleware": middleware},
        )  # fmt: skip
    except OSError as error:
        raise UserError(
            f"the page cannot listen on host={host} port={port or 7860} ({error}). Choose others."
        ) from None
    return str(url)


def build_page(arena: Arena, download: bool = True) -> Any:
    """The page of an arena. What a visitor sends is a text or a vote; the dialogue itself stays with the server.

    `download`: whether it has a link to the file of votes (see `launch`).
    """
    import gradio as gr

    with gr.Blocks(title=title(arena.models), analytics_enabled=False) as page:
        visitor = gr.State(Visitor(), time_to_live=24 * 3600)
        gr.HTML(header(arena.models), js_on_load=None, elem_classes="bare")
        history = gr.HTML(dialogue(()), js_on_load=None, elem_classes="bare", autoscroll=True, max_height=560)
        with gr.Row(elem_classes="panes"):
            panes = [gr.HTML("", js_on_load=None, elem_classes="pane bare") for _ in arena.models]
        with gr.Row(elem_classes="votes"):
            votes = votes_of(arena.models)
            buttons = {vote: gr.Button(name, size="md", interactive=False) for vote, name in votes.items()}
        said = gr.HTML(status(), js_on_load=None, elem_classes="bare")
        with gr.Row(elem_classes="examples"):
            examples = [(text, gr.Button(text, size="md")) for text in EXAMPLES]
        text = gr.Textbox(
            label="Your message", placeholder="Write to the tutor", max_length=MAX_MESSAGE, submit_btn="Send",
            autofocus=True, elem_classes="message", max_lines=8,
        )  # fmt: skip
        restart = gr.Button("Begin anew", size="sm", elem_classes="restart")
        gr.HTML(footer(arena.models, arena.votes, download), js_on_load=None, elem_classes="bare")
        shown = [text, visitor, history, *panes, said, *buttons.values()]
        text.submit(partial(_ask, arena, gr), [text, visitor], shown, api_name="say", show_progress="hidden")
        for example, button in examples:
            button.click(
                partial(_ask, arena, gr, example), visitor, shown, api_visibility="private", show_progress="hidden"
            )
        for vote, button in buttons.items():
            button.click(
                partial(_vote, arena, gr, vote),
                visitor,
                shown,
                api_name=f"vote_{vote}",
                concurrency_id="vote",
                concurrency_limit=1,
                show_progress="hidden",
            )
        anew = partial(_page_values, gr, arena, Visitor())
        restart.click(anew, None, shown, api_name="begin_anew", show_progress="hidden")
    page.queue(max_size=WAITING, default_concurrency_limit=1)
    return page


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
        after = arena.vote(visitor, vote)
    except OSError as error:  # the answers stay open, and the chat goes on
        why = error.strerror or error
        said = f"The vote could not be saved in {arena.votes} ({why}). Make room there, and vote again."
        print(f"edu_align: {said}", file=sys.stderr, flush=True)
        gr.Warning(said)
        return [gr.skip() for _ in _page_values(gr, arena, visitor)]
    if visitor.open is None:
        return _page_values(gr, arena, after)
    return _page_values(gr, arena, after, said=saved(arena.labels(visitor.open), vote, arena.votes))


def _page_values(
    gr: Any,
    arena: Arena,
    visitor: Visitor,
    texts: Sequence[str] = (),
    note: str = "",
    turns: Sequence[Any] | None = None,
    said: str = status(),
) -> list[Any]:
    """Values of the page's parts in their order. `turns` stand above the answers, the visitor's own unless given."""
    waiting = turns is not None and visitor.open is None
    panes = answers(texts, waiting) if texts else [""] * len(arena.models)
    votes = [gr.update(interactive=visitor.open is not None) for _ in votes_of(arena.models)]
    return ["", visitor, dialogue(visitor.turns if turns is None else turns, note), *panes, said, *votes]
