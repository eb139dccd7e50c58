"""How much there is to compute: examples, steps, and the tokens of the largest forward pass."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from edu_align.config.batch import cuts_by_tokens, token_budget
from edu_align.config.schema import Config, DPOTrainerConfig
from edu_align.data.datamodule import training_data
from edu_align.models.hub import cached_file
from edu_align.models.locate import is_bundled
from edu_align.packing.budget import cut
from edu_align.records import Message, Pair
from edu_align.utils.distributed import count
from edu_align.utils.errors import UserError

LOCAL = {"edu_tutor", "local"}  # sources that never ask a network
Row = tuple[int, ...]
CHARACTERS_PER_TOKEN = 3.6  # where the tokenizer is not at hand; English with some mathematics
TOKENS_PER_TURN = 5  # what a chat template puts around a turn, where the template is not at hand
GENERATED = 200  # groups of the built-in corpus that are drawn to plan; counts are scaled to dataset.size


@dataclass(frozen=True)
class Rows:
    """Token lengths. `rows`: one tuple an example, in the order of training: (prompt's key, prompt, chosen's key,
    chosen, rejected's key, rejected) for pairs, (length,) for conversations. `examples` is None where nobody knows.
    """

    rows: list[Row]
    examples: int | None
    source: str


@dataclass(frozen=True)
class Work:
    """`tokens`: of the largest forward pass of one process, in training; `width`: of its longest packed row;
    where the data is unknown they follow from `trainer.max_length`. `steps` and `total_tokens` (computed in
    all steps by all processes) are None where the number of examples is unknown. `scored`: tokens under the loss.
    """

    tokens: int
    width: int
    scored: int
    eval_tokens: int
    examples: int | None
    steps: int | None
    total_tokens: int | None
    source: str


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
    tokenizer = None if folder is None else _tokenizer(folder / "tokenizer.json")
    if folder is None or tokenizer is None:
        source = f"tokens estimated at {CHARACTERS_PER_TOKEN} characters each (no tokenizer is at hand)"
        return Lengths(lambda text: int(len(text) / CHARACTERS_PER_TOKEN) + 1, 0, TOKENS_PER_TURN, source)
    known: dict[str, int] = {}

    def count(text: str) -> int:
        if text not in known:
            known[text] = len(tokenizer.encode(text, add_special_tokens=False).ids)
        return known[text]

    opening, turn = _template(folder, count) if config.model.chat_template != "zephyr" else (0, TOKENS_PER_TURN)
    return Lengths(count, opening, turn, "tokens counted")


def _tokenizer(file: Path) -> Any:
    """What training reads text with (models/tokenizer.py); None where the file cannot be read."""
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception:  # tokenizers raises nothing more precise
        return None
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _folders(config: Config) -> list[Path]:
    """Where the tokenizer that training reads may lie on this machine."""
    model = config.model
    place = model.tokenizer or model.path
    if place is not None and Path(place).expanduser().is_dir():
        return [Path(place).expanduser()]
    if model.tokenizer is None and is_bundled(model):
        found = sorted((Path(config.outputs_root) / "cache" / "models").glob("smollm2*"))
        if found:
            return found
    if place is None:
        return []
    cached = cached_file(
        replace(model, path=place, revision=None if model.tokenizer else model.revision), "tokenizer.json"
    )
    return [cached.parent] if cached else []


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


def read_rows(config: Config) -> Rows:
    """Lengths of the training examples where the data is local; no row where it is not (nothing is downloaded).

    Errors: local data that cannot be used, as in training.
    """
    names = set(config.dataset.sources)
    streamed = config.dataset.streaming
    if streamed or (names - LOCAL and not _is_local(config, names)):
        why = "is streamed" if streamed else "is not here"
        return Rows([], None, f"the data {why}: rows are taken to fill trainer.max_length")
    dataset, scale = config.dataset, 1.0
    if "edu_tutor" in names and dataset.size > GENERATED:
        scale = dataset.size / GENERATED
        dataset = replace(dataset, size=GENERATED)
    plain = replace(config, dataset=dataset, evaluation=replace(config.evaluation, enabled=False))
    try:
        data = training_data(plain, set())
    except UserError:
        if scale == 1.0:
            raise
        data, scale = training_data(replace(plain, dataset=config.dataset), set()), 1.0
    lengths = lengths_of(config)
    trainer = config.trainer
    limit = trainer.max_prompt_length if isinstance(trainer, DPOTrainerConfig) else None
    rows = [_lengths(example, lengths, trainer.max_length, limit) for example in data.train]
    examples = round(len(rows) * scale)
    if dataset.max_train_records is not None and scale > 1:
        examples = min(examples, max(len(rows), dataset.max_train_records))
    drawn = f", from {GENERATED} of {config.dataset.size} generated groups" if scale > 1 else ""
    return Rows(rows, examples, f"{lengths.source}{drawn}")


def _is_local(config: Config, names: set[str]) -> bool:
    if config.data_root is None or not os.path.isdir(config.data_root):
        return False
    known = {path.name.lower().replace("-", "_") for path in Path(config.data_root).iterdir()}
    return all(any(part.startswith(name.split("_")[0]) for part in known) for name in names - LOCAL)


def _lengths(example: Any, lengths: Lengths, longest: int, longest_prompt: int | None) -> tuple[int, ...]:
    if not isinstance(example, Pair):
        return (min(lengths.messages(example.messages), longest),)
    group = example.group
    prompt = min(lengths.messages(group.prompt), longest_prompt or longest)
    sides: list[int] = []
    for index in (example.chosen, example.rejected):
        reply = lengths.text(group.responses[index].text) + lengths.turn
        sides += [hash((group.id, index)), min(reply, longest)]
    longest_reply = max(sides[1], sides[3])
    prompt = max(min(prompt, longest - longest_reply), 0)  # TRL keeps the end of what is too long
    return (hash(group.id), prompt, *sides)


def work_of(config: Config, read: Rows, packed: bool) -> Work:
    """Batches as TRL makes them: pairs in their order, conversations shuffled by the seed."""
    trainer, hardware = config.trainer, config.hardware
    share = max(trainer.batch_size // count(), 1)
    pairs = isinstance(trainer, DPOTrainerConfig)
    if not read.rows:
        return _unknown(config, read, share, packed, pairs)
    examples = read.examples or len(read.rows)
    steps = trainer.max_steps if trainer.max_steps > 0 else max(-(-examples // trainer.batch_size), 1)
    steps = steps if trainer.max_steps > 0 else max(round(steps * trainer.epochs), 1)
    rows = list(read.rows)
    if not pairs:
        Random(config.seed).shuffle(rows)
    seen = _batches(config, rows[: steps * share], share, packed)
    sizes = [_size(batch, packed, pairs) for batch in seen]
    tokens, width, scored = max(sizes)
    evaluated = [rows[i : i + hardware.eval_batch_size] for i in range(0, len(rows), hardware.eval_batch_size)]
    eval_tokens = max(_size(batch, packed, pairs)[0] for batch in evaluated)
    mean = sum(size[0] for size in sizes) / sum(len(batch) for batch in seen)
    total = round(mean * steps * trainer.batch_size)
    return Work(tokens, width, scored, eval_tokens, examples, steps, total, read.source)


def _batches(config: Config, rows: list[Row], share: int, packed: bool) -> list[list[Row]]:
    """The examples of each forward pass: a fixed number, or as many as the token budget holds (packing.budget)."""
    device_batch = min(config.hardware.per_device_batch_size, share)
    if not cuts_by_tokens(packed):
        return [rows[i : i + device_batch] for i in range(0, len(rows), device_batch)]
    steps = (rows[start : start + share] for start in range(0, len(rows), share))
    return [[step[i] for i in part] for step in steps for part, _ in cut(step, token_budget(config), _Computed)]


class _Computed:
    """Tokens that a forest computes for rows of lengths: a prompt and a reply of it once, a conversation each time."""

    def __init__(self) -> None:
        self.known: dict[Row, int] = {}

    @property
    def count(self) -> int:
        return sum(self.known.values())

    def begins_like(self, row: Row) -> bool:
        return len(row) > 1 and row[:1] in self.known

    def add(self, row: Row) -> None:
        if len(row) == 1:
            self.known[(len(self.known),)] = row[0]
            return
        key, prompt, chosen, a, rejected, b = row
        self.known |= {(key,): prompt, (key, chosen): a, (key, rejected): b}


def _trees(batch: list[Row]) -> tuple[list[int], int]:
    """Tokens of each prompt with its distinct replies, and of the replies in all."""
    trees: dict[int, tuple[int, dict[int, int]]] = {}
    for key, prompt, chosen, a, rejected, b in batch:
        trees.setdefault(key, (prompt, {}))[1].update({chosen: a, rejected: b})
    replies = [sum(lengths.values()) for _, lengths in trees.values()]
    return [prompt + reply for (prompt, _), reply in zip(trees.values(), replies, strict=True)], sum(replies)


def _size(batch: list[Row], packed: bool, pairs: bool) -> tuple[int, int, int]:
    """Tokens computed, width of the widest row and scored tokens of one batch."""
    if not pairs:
        lengths = [row[0] for row in batch]
        widest = max(lengths)
        return (_filled(lengths) if packed else widest * len(lengths), widest, sum(lengths))
    if not packed:
        widest = max(row[1] + max(row[3], row[5]) for row in batch)
        return 2 * len(batch) * widest, widest, sum(row[3] + row[5] for row in batch)
    lengths, scored = _trees(batch)
    return _filled(lengths), max(lengths), scored


def _filled(lengths: list[int]) -> int:
    """Tokens of packed rows as wide as the longest: first fit, longest first, as in packing.forest."""
    width = max(lengths)
    rows: list[int] = []
    for length in sorted(lengths, reverse=True):
        place = next((i for i, used in enumerate(rows) if used + length <= width), None)
        if place is None:
            rows.append(length)
        else:
            rows[place] += length
    return width * len(rows)


def _unknown(config: Config, read: Rows, share: int, packed: bool, pairs: bool) -> Work:
    trainer, longest = config.trainer, config.trainer.max_length
    prompt = 0
    if isinstance(trainer, DPOTrainerConfig):
        prompt = min(trainer.max_prompt_length or longest // 2, longest)
    reply = longest - prompt
    one = (0, prompt, 1, reply, 2, reply) if pairs else (longest,)
    rows = [(i, *one[1:]) if pairs else one for i in range(share)]
    batch = _batches(config, rows, share, packed)[0]
    tokens, width, scored = _size(batch, packed, pairs)
    many = [(i, *one[1:]) if pairs else one for i in range(config.hardware.eval_batch_size)]
    steps = trainer.max_steps if trainer.max_steps > 0 else None
    total = None if steps is None else steps * trainer.batch_size * tokens // len(batch)
    return Work(tokens, width, scored, _size(many, packed, pairs)[0], None, steps, total, read.source)
