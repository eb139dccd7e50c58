"""The page: a chat with one voice, or with two unnamed ones side by side, and votes. It is drawn by Gradio."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from edu_align.chatting.limits import BodyLimit
from edu_align.chatting.panes import CSS, answers, dialogue
from edu_align.chatting.room import MAX_MESSAGE, Room, Seat
from edu_align.chatting.tutor import Voice
from edu_align.chatting.votes import check_writable
from edu_align.errors import UserError

LOOPBACK = "127.0.0.1"
WAITING = 32  # questions that may wait for the model; later ones are turned away
PAIR = {"left": "Left is better", "right": "Right is better", "tie": "Tie", "both_bad": "Both are bad"}
SINGLE = {"good": "Good answer", "bad": "Bad answer"}


def require_gradio() -> None:
    """Raise UserError with the install command where gradio is missing."""
    if find_spec("gradio") is None:
        raise UserError("the page needs gradio, which is not installed. Run: pip install -e '.[web]'")


def serve(voices: Sequence[Voice], own: Mapping[str, str], port: int | None, seed: int) -> None:
    """Show the page until Ctrl-C. `own`: the program's keys (host, votes, outputs_root)."""
    votes = Path(own.get("votes") or Path(own.get("outputs_root", "outputs")) / "votes.jsonl").expanduser()
    host = own.get("host", LOOPBACK)
    check_writable(votes)
    page = build_page(Room(voices, votes, seed))
    url = launch(page, host, port)
    print(f"edu_align: {' and '.join(voice.label for voice in voices)} on {url}; votes go to {votes}", flush=True)
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


def build_page(room: Room) -> Any:
    """The page of a room. What a visitor sends is a text or a vote; the dialogue itself stays with the server."""
    import gradio as gr

    two = len(room.voices) == 2
    names = PAIR if two else SINGLE
    with gr.Blocks(title="edu_align", analytics_enabled=False) as page:
        seat = gr.State(Seat(), time_to_live=24 * 3600)
        told = gr.HTML(dialogue(()), js_on_load=None, autoscroll=True, max_height=500)
        with gr.Row(equal_height=True):
            panes = [gr.HTML("", js_on_load=None) for _ in room.voices]
        with gr.Row():
            buttons = {vote: gr.Button(name, interactive=False) for vote, name in names.items()}
        text = gr.Textbox(label="Your message", max_length=MAX_MESSAGE, submit_btn=True, autofocus=True)
        anew = gr.Button("Begin anew", variant="secondary")
        shown = [text, seat, told, *panes, *buttons.values()]
        text.submit(partial(_say, room, gr), [text, seat], shown, api_name="say")
        for vote, button in buttons.items():
            click = partial(_vote, room, gr, vote)
            button.click(click, seat, shown, api_name=f"vote_{vote}", concurrency_id="vote", concurrency_limit=1)
        anew.click(lambda: _drawn(gr, room, Seat()), None, shown, api_name="begin_anew")
    page.queue(max_size=WAITING, default_concurrency_limit=1)
    return page


def _say(room: Room, gr: Any, text: str, seat: Seat) -> Iterator[list[Any]]:
    """Everything that is shown, again with every piece of an answer."""
    try:
        asked = room.ask(seat, text)
    except UserError as error:
        gr.Warning(str(error))
        yield [gr.skip() for _ in _drawn(gr, room, seat)]
        return
    note = f"{asked.dropped} old turns were left out: the dialogue is longer than the context" if asked.dropped else ""
    texts: tuple[str, ...] = tuple("" for _ in room.voices)
    before = Seat(seat.turns)  # what stays of the dialogue if the visitor leaves now
    yield _drawn(gr, room, before, texts, note, asked.turns)
    for texts in room.answers(asked):
        yield _drawn(gr, room, before, texts, note, asked.turns)
    seat = room.answered(seat, asked, texts)
    if seat.open is None:
        gr.Warning("There was no answer. Ask in another way.")
        yield _drawn(gr, room, seat, texts, note)
    else:
        yield _drawn(gr, room, seat, seat.open.texts, note, seat.open.turns)


def _vote(room: Room, gr: Any, vote: str, seat: Seat) -> list[Any]:
    return _drawn(gr, room, room.vote(seat, vote))


def _drawn(
    gr: Any, room: Room, seat: Seat, texts: Sequence[str] = (), note: str = "", turns: Sequence[Any] | None = None
) -> list[Any]:
    """Values of the page's parts in their order. `turns` stand above the answers, the visitor's own unless given."""
    panes = answers(texts) if texts else answers(["" for _ in room.voices])
    names = PAIR if len(room.voices) == 2 else SINGLE
    votes = [gr.update(interactive=seat.open is not None) for _ in names]
    return ["", seat, dialogue(seat.turns if turns is None else turns, note), *panes, *votes]
