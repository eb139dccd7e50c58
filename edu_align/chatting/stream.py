"""A reply piece by piece, while the model writes it."""

from collections.abc import Generator, Sequence
from threading import Event, Thread
from typing import Any

from edu_align.chatting.tutor import Voice
from edu_align.data.records import Message


def stream(voice: Voice, prompt: Sequence[Message]) -> Generator[str, None, None]:
    """Pieces of the reply to `prompt` (see `Voice.prompt`) as they are decoded; together they are the whole reply.

    The model runs in a thread of its own, and stops after its next token once the generator is closed or an
    exception passes through it. What the model raises is raised here.
    """
    from transformers import TextIteratorStreamer

    stop = Event()
    streamer: Any = TextIteratorStreamer(voice.tokenizer, skip_prompt=True, skip_special_tokens=True)
    failures: list[BaseException] = []
    thread = Thread(target=_write, args=(voice, prompt, streamer, stop, failures), daemon=True)
    thread.start()
    try:
        for piece in streamer:
            if piece:
                yield piece
    finally:
        stop.set()
        thread.join()
    if failures:
        raise failures[0]


def _write(voice: Voice, prompt: Sequence[Message], streamer: Any, stop: Event, failures: list[BaseException]) -> None:
    import torch
    from transformers import StoppingCriteriaList

    from edu_align.evaluation.generate import drawn_as, inputs

    def stopped(ids: Any, scores: Any, **_: Any) -> Any:
        """(B,) booleans: whether each row ends here."""
        return torch.full((ids.size(0),), stop.is_set(), dtype=torch.bool, device=ids.device)

    try:
        with voice.speaking() as model, torch.no_grad():
            model.generate(
                **inputs(model, voice.tokenizer, [prompt]),
                generation_config=drawn_as(voice.settings, voice.tokenizer),
                stopping_criteria=StoppingCriteriaList([stopped]),
                streamer=streamer,
            )
    except BaseException as error:  # raised again in the thread that reads
        failures.append(error)
        streamer.end()
