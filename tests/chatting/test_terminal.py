"""The chat as a person meets it: through a pipe, and in a terminal of its own."""

import io
import os
import pty
import re
import select
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edu_align.chat import main
from edu_align.chatting.model import ChatModel
from edu_align.chatting.terminal import Dialogue, side_by_side
from edu_align.chatting.text import printable
from edu_align.records import Message
from tests.chatting.conftest import TALKATIVE, Here, command, environment

SHORT = [TALKATIVE, "generation.max_new_tokens=12"]


@pytest.fixture
def chat(here: Here, talker: str, outputs: Path) -> Here:
    """`chat("Hi\\n", "--compare")`: the program on the talker, with that on its input."""
    return lambda stdin, *more: here(main, f"run={talker}", *SHORT, f"outputs_root={outputs}", *more, stdin=stdin)


def test_a_pipe_is_answered_line_by_line(chat: Callable[..., Any], pair: list[ChatModel]) -> None:
    code, out, err = chat("2 + 3?\n\nWhy?\n")
    dialogue = Dialogue(pair[1])
    expected = ["".join(dialogue.reply(dialogue.ask(line))) for line in ("2 + 3?", "Why?")]
    assert code == 0
    assert out == "".join(f"talker: {printable(text)}\n" for text in expected)
    assert len(dialogue.turns) == 4
    assert err.startswith("(talker on folder:model:")


def test_compare_shows_both(chat: Callable[..., Any], pair: list[ChatModel]) -> None:
    for switch in ("--compare", "compare=true"):
        _, out, _ = chat("2 + 3?\n", switch)
        said = {model.label: "".join(Dialogue(model).reply(Dialogue(model).ask("2 + 3?"))) for model in pair}
        assert out == f"base: {said['base']}\ntalker: {said['talker']}\n"
        assert said["base"] != said["talker"]


def test_several_runs_answer(chat: Here, runs: Callable[[str], Any]) -> None:
    runs("sft")
    _, out, _ = chat("Hi\n", "sft")
    assert re.findall(r"^(\w+): ", out, re.MULTILINE) == ["talker", "sft"]


def test_commands(chat: Callable[..., Any]) -> None:
    _, first, _ = chat("Hi\n")
    code, out, err = chat("Hi\nWhy is it so?\n/reset\nHi\n/nonsense\n/help\n/quit\nnever asked\n")
    assert code == 0
    hi, why, hi_again = out.splitlines()
    assert hi == hi_again == first.strip() != why
    assert "the dialogue begins anew" in err
    assert "/nonsense is no command; there are /reset, /quit, /help" in err
    assert "/reset: forget the dialogue" in err


def test_a_message_that_does_not_fit_is_said(chat: Callable[..., Any]) -> None:
    _, out, err = chat("x" * 2100 + "\nHi\n")
    assert "the message has 2" in err
    assert len(out.splitlines()) == 1


def test_old_turns_are_left_out_and_it_is_said(chat: Callable[..., Any]) -> None:
    _, out, err = chat(("2 + 3? " * 130 + "\n") * 3, "generation.temperature=1.5")  # drawn, so that none is blank
    assert out.count("talker: ") == 3
    assert "(the oldest 2 turns were left out for talker: the dialogue is longer than its context)" in err


def test_an_answer_that_is_stopped_stays_in_the_dialogue(pair: list[ChatModel]) -> None:
    model = replace(pair[1], settings=replace(pair[1].settings, max_new_tokens=500))
    dialogue = Dialogue(model)
    pieces = dialogue.reply(dialogue.ask("Hi"))
    written = next(pieces)
    pieces.close()
    assert dialogue.turns == (Message("user", "Hi"), Message("assistant", written.strip()))
    never_begun = dialogue.reply(dialogue.ask("Why?"))
    never_begun.close()
    assert len(dialogue.turns) == 2


def test_columns_show_both_answers_and_no_markup_of_theirs() -> None:
    from rich.console import Console

    screen = io.StringIO()
    said = {"base": ["Look at ", "[red]3[/red]"], "tutor": ["What is\x1b[2J ", "2 + 2?"]}
    console = Console(file=screen, width=100, force_terminal=True)
    side_by_side([(name, iter(pieces)) for name, pieces in said.items()], console)
    lines = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line) for line in screen.getvalue().splitlines()]
    assert any("base" in line and "tutor" in line for line in lines)
    assert any("[red]3[/red]" in line and "What is[2J 2 + 2?" in line for line in lines)
    assert "\x1b[2J" not in screen.getvalue()


def read_until(handle: int, text: str, seconds: float = 90) -> str:
    """What the terminal shows until `text` is there."""
    shown, end = "", time.monotonic() + seconds
    while text not in shown:
        left = end - time.monotonic()
        ready = left > 0 and select.select([handle], [], [], left)[0]
        assert ready, f"{text!r} did not come; the terminal shows {shown!r}"
        try:
            shown += os.read(handle, 65536).decode(errors="replace")
        except OSError:
            raise AssertionError(f"the terminal closed; it showed {shown!r}") from None
    return shown


def hears_control_c() -> None:
    """A shell that starts the tests in the background lets its children ignore Ctrl-C, and they inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_control_c_stops_the_answer_and_then_the_chat(talker: str, outputs: Path) -> None:
    ours, theirs = pty.openpty()
    words = [f"run={talker}", f"outputs_root={outputs}", "generation.temperature=1", "generation.max_new_tokens=1000"]
    process = subprocess.Popen(
        command("edu_align.chat", *words), stdin=theirs, stdout=theirs, stderr=theirs, env=environment(),
        start_new_session=True, preexec_fn=hears_control_c,
    )  # fmt: skip
    os.close(theirs)
    try:
        read_until(ours, "you: ")
        os.write(ours, b"Hi\n")
        read_until(ours, "talker: ")
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        read_until(ours, "(stopped; Ctrl-C again ends the chat)\r\nyou: ")
        time.sleep(0.5)  # until it waits for the line
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)
