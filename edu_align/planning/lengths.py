"""Numbers of tokens without transformers, from the tokenizer's file and the chat template where they are here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edu_align.config.schema import Config
from edu_align.data.records import Message

CHARACTERS_PER_TOKEN = 3.6  # where the tokenizer is not at hand; English with some mathematics
TOKENS_PER_TURN = 5  # what a chat template puts around a turn, where the template is not at hand


@dataclass(frozen=True)
class Lengths:
    """`text`: tokens of a string. `opening`: tokens that the template puts before the first turn (a default system
    prompt, say); `turn`: around each turn. `source` says how they were found.
    """

    text: Callable[[str], int]
    opening: int
    turn: int
    source: str

    def messages(self, messages: Sequence[Message]) -> int:
        return self.opening + sum(self.text(message.content) + self.turn for message in messages)


def lengths_of(config: Config) -> Lengths:
    """Counted where the tokenizer lies in a local folder or is the built-in one, else estimated from characters."""
    if config.model.tokenizer == "bytes":
        return Lengths(lambda text: len(text.encode()), 0, 16, "tokens are bytes")
    folder = next((place for place in _folders(config) if (place / "tokenizer.json").is_file()), None)
    if folder is None:
        source = f"tokens estimated at {CHARACTERS_PER_TOKEN} characters each (no tokenizer is at hand)"
        return Lengths(lambda text: int(len(text) / CHARACTERS_PER_TOKEN) + 1, 0, TOKENS_PER_TURN, source)
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    known: dict[str, int] = {}

    def count(text: str) -> int:
        if text not in known:
            known[text] = len(tokenizer.encode(text, add_special_tokens=False).ids)
        return known[text]

    opening, turn = _template(folder, count) if config.model.chat_template != "zephyr" else (0, TOKENS_PER_TURN)
    return Lengths(count, opening, turn, "tokens counted")


def _folders(config: Config) -> list[Path]:
    places = [Path(place) for place in (config.model.tokenizer, config.model.path) if place is not None]
    if config.model.bundled:
        places += sorted((Path(config.outputs_root) / "cache" / "models").glob("smollm2*"))
    return places


def _template(folder: Path, count: Callable[[str], int]) -> tuple[int, int]:
    """What the folder's template puts before the first turn and around each, from rendering two and four turns."""
    file = folder / "chat_template.jinja"
    if not file.is_file():
        return 0, TOKENS_PER_TURN
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    template = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True).from_string(file.read_text("utf-8"))

    def rendered(turns: int) -> int:
        talk: list[dict[str, Any]] = [{"role": ("user", "assistant")[i % 2], "content": "word"} for i in range(turns)]
        return count(template.render(messages=talk, add_generation_prompt=False, bos_token="", eos_token="")) - turns

    turn = (rendered(4) - rendered(2)) // 2
    return max(rendered(2) - 2 * turn, 0), turn
