"""How much there is to compute: examples, steps, and the tokens of the largest forward pass."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from edu_align.config.batch import cuts_by_tokens, token_budget, training_steps
from edu_align.config.compose import name_of
from edu_align.config.schema import REFERENCED, Config, GRPOTrainerConfig, ModelConfig
from edu_align.data.datamodule import training_data
from edu_align.models.chat_template import TemplateError, render
from edu_align.models.gguf_base import BUNDLED_NAME, check_gguf, folders_made
from edu_align.models.gguf_file import gguf_file, read_header
from edu_align.models.gguf_tokenizer import special_tokens, template_of
from edu_align.models.locate import is_bundled
from edu_align.models.sizes import cached_file
from edu_align.models.template_choice import check_choice, chosen_template, stored_template
from edu_align.models.trained_turns import answered, check_dialogue
from edu_align.packing.budget import cut
from edu_align.planning.replies import ASSUMED, replies_work
from edu_align.records import Graded, LabelledReply, Message, Pair, trained_replies, without_dialogue
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
    chosen, rejected's key, rejected) for pairs, both replies once more where they are scored without the dialogue, too;
    (prompt's key, prompt, reply's key, reply) for labelled replies, (length,) for conversations and for dialogues to
    answer. `examples` is None where nobody knows.
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
    prompt, say); `turn`: around each turn. `apart`: it rewrites earlier turns, so each trained turn is a row. `source`
    says how they were found. `template`: the chat template, where it is at hand.
    """

    text: Callable[[str], int]
    opening: int
    turn: int
    apart: bool
    source: str
    template: Any = None

    def messages(self, messages: Sequence[Message]) -> int:
        return self.opening + sum(self.text(message.content) + self.turn for message in messages)


def lengths_of(config: Config) -> Lengths:
    """Counted where the tokenizer lies in a local folder or is the built-in one, else estimated from characters."""
    check_choice(config.model)
    if config.model.tokenizer == "bytes":
        return Lengths(lambda text: len(text.encode()), 0, 16, False, "tokens are bytes")
    folder = next((place for place in _folders(config) if (place / "tokenizer.json").is_file()), None)
    tokenizer = None if folder is None else _tokenizer(folder / "tokenizer.json")
    if folder is None or tokenizer is None:
        return _estimated(config.model)
    known: dict[str, int] = {}

    def count(text: str) -> int:
        if text not in known:
            known[text] = len(tokenizer.encode(text, add_special_tokens=False).ids)
        return known[text]

    from edu_align.planning.light_template import LightTemplate, special_tokens_in

    own = stored_template(folder)
    # The hub's cache may hold a part of a folder.
    if own is None and config.model.chat_template not in ("auto", "zephyr"):
        return Lengths(count, 0, TOKENS_PER_TURN, False, "tokens counted")
    light = LightTemplate(chosen_template(config.model, own), special_tokens_in(folder))
    return Lengths(count, *_around(light, count), "tokens counted", light)


def _estimated(model: ModelConfig) -> Lengths:
    """From characters; the template around them is a GGUF file's own, or a guess."""
    source = f"tokens estimated at {CHARACTERS_PER_TOKEN} characters each"

    def count(text: str) -> int:
        return int(len(text) / CHARACTERS_PER_TOKEN) + 1

    file = gguf_file(model.path) if model.path and model.tokenizer is None else None
    if file is None:
        return Lengths(count, 0, TOKENS_PER_TURN, False, f"{source} (no tokenizer is at hand)")

    from edu_align.planning.light_template import LightTemplate

    check_gguf(file, model)
    header = read_header(file)
    light = LightTemplate(chosen_template(model, template_of(header)), special_tokens(header))
    return Lengths(count, *_around(light, count), f"{source} (they are counted once a run has read the file)", light)


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
        found = folders_made(BUNDLED_NAME, Path(config.outputs_root))
        if found:
            return found
    if place is not None and gguf_file(place):
        return folders_made(name_of(place), Path(config.outputs_root))
    if place is None:
        return []
    cached = cached_file(
        replace(model, path=place, revision=None if model.tokenizer else model.revision), "tokenizer.json"
    )
    return [cached.parent] if cached else []


def _around(template: Any, count: Callable[[str], int]) -> tuple[int, int, bool]:
    """What the template puts before the first turn and around each, and whether it rewrites earlier turns.

    Found by rendering two and four turns; a guess where it refuses them.
    """

    def rendered(turns: int) -> str:
        return render(template, [Message(("user", "assistant")[i % 2], "word") for i in range(turns)])

    try:
        two, four = rendered(2), rendered(4)
    except TemplateError:
        return 0, TOKENS_PER_TURN, False
    turn = (count(four) - count(two) - 2) // 2
    return max(count(two) - 2 - 2 * turn, 0), turn, not four.startswith(two.rstrip())


def _check_template(template: Any, examples: Sequence[Any]) -> None:
    """Errors: TemplateError where the template refuses every one of the examples; the first."""
    first: TemplateError | None = None
    for example in examples:
        try:
            check_dialogue(partial(render, template), _dialogue(example))
            return
        except TemplateError as error:
            first = first or error.of(example.group.id if _sides(example) else example.id)
    if first:
        raise first


def _dialogue(example: Any) -> Sequence[Message]:
    sides = _sides(example)
    if not sides:
        return list(example.messages)
    return answered(example.group.prompt, example.group.responses[sides[0]].text)


def _sides(example: Any) -> tuple[int, ...]:
    """Which responses of its group an example trains: two of a pair, one of a single reply; none: a conversation."""
    if isinstance(example, Pair):
        return (example.chosen, example.rejected)
    return (example.index,) if isinstance(example, LabelledReply | Graded) else ()


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
    if lengths.template is not None:
        _check_template(lengths.template, data.train)
    trainer = config.trainer
    limit = trainer.max_prompt_length if isinstance(trainer, REFERENCED) else None
    blind = getattr(trainer, "pmi_weight", 0.0) > 0
    rows = [row for example in data.train for row in _lengths(example, lengths, trainer.max_length, limit, blind)]
    if isinstance(trainer, GRPOTrainerConfig):
        longest = trainer.max_length - trainer.max_completion_length
        asked = (talk.messages[:place] for talk in data.train for place in trained_replies(talk))
        rows = [(min(lengths.messages(turns), longest),) for turns in asked]
    examples = round(len(rows) * scale)
    if dataset.max_train_records is not None and scale > 1:
        examples = min(examples, max(len(rows), dataset.max_train_records))
    drawn = f", from {GENERATED} of {config.dataset.size} generated groups" if scale > 1 else ""
    used = data.describe_sources() if scale == 1.0 else ""
    return Rows(rows, examples, f"{lengths.source}{drawn}{used and f'; {used}'}")


def _is_local(config: Config, names: set[str]) -> bool:
    if config.data_root is None or not os.path.isdir(config.data_root):
        return False
    known = {path.name.lower().replace("-", "_") for path in Path(config.data_root).iterdir()}
    return all(any(part.startswith(name.split("_")[0]) for part in known) for name in names - LOCAL)


def _lengths(example: Any, lengths: Lengths, longest: int, longest_prompt: int | None, blind: bool) -> list[Row]:
    """The rows of an example; `blind`: each reply is scored without its dialogue, too (`trainer.pmi_weight`)."""
    if not _sides(example):
        turns = example.messages
        ends = [i + 1 for i, turn in enumerate(turns) if turn.train] if lengths.apart else [len(turns)]
        return [(min(lengths.messages(turns[:end]), longest),) for end in ends]
    group = example.group
    prompt = min(lengths.messages(group.prompt), longest_prompt or longest)
    sides: list[int] = []
    for index in _sides(example):
        reply = lengths.text(group.responses[index].text) + lengths.turn
        sides += [hash((group.id, index)), min(reply, longest)]
    longest_reply = max(sides[1::2])
    prompt = max(min(prompt, longest - longest_reply), 0)  # TRL keeps the end of what is too long
    if blind:
        empty, room = lengths.messages(without_dialogue(group.prompt)), longest - prompt
        for key, reply in list(zip(sides[::2], sides[1::2], strict=True)):
            sides += [hash((key, "")), min(reply + empty, room)]
    return [(hash(group.id), prompt, *sides)]


def work_of(config: Config, read: Rows, packed: bool) -> Work:
    """Batches as TRL makes them: pairs and labelled replies in their order, conversations shuffled by the seed."""
    trainer, hardware = config.trainer, config.hardware
    share = max(trainer.batch_size // count(), 1)
    if isinstance(trainer, GRPOTrainerConfig):
        found: dict[str, Any] = replies_work(config, [row[0] for row in read.rows], read.examples, packed)
        return Work(**found, source=f"{read.source}; {ASSUMED}")
    pairs = trainer.reads != "conversations"
    if not read.rows:
        return _unknown(config, read, share, packed, pairs)
    examples = read.examples or len(read.rows)
    steps = training_steps(config, examples)
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
    if not cuts_by_tokens(packed, config.trainer.algorithm):
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
        key, prompt, *sides = row
        self.known[(key,)] = prompt
        self.known |= {(key, reply): n for reply, n in zip(sides[::2], sides[1::2], strict=True)}


def _trees(batch: list[Row]) -> tuple[list[int], int]:
    """Tokens of each prompt with its distinct replies, and of the replies in all."""
    trees: dict[int, tuple[int, dict[int, int]]] = {}
    for key, prompt, *sides in batch:
        trees.setdefault(key, (prompt, {}))[1].update(zip(sides[::2], sides[1::2], strict=True))
    replies = [sum(lengths.values()) for _, lengths in trees.values()]
    return [prompt + reply for (prompt, _), reply in zip(trees.values(), replies, strict=True)], sum(replies)


def _size(batch: list[Row], packed: bool, pairs: bool) -> tuple[int, int, int]:
    """Tokens computed, width of the widest row and scored tokens of one batch."""
    if not pairs:
        lengths = [row[0] for row in batch]
        widest = max(lengths)
        return (_filled(lengths) if packed else widest * len(lengths), widest, sum(lengths))
    if not packed:
        widest = max(row[1] + max(row[3::2]) for row in batch)
        return len(batch[0][3::2]) * len(batch) * widest, widest, sum(sum(row[3::2]) for row in batch)
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
    if pairs:
        prompt = min(getattr(trainer, "max_prompt_length", None) or longest // 2, longest)
    reply = longest - prompt
    sides: tuple[int, ...] = (1, reply, 2, reply) if trainer.reads == "preferences" else (1, reply)
    sides += (3, reply, 4, reply) if getattr(trainer, "pmi_weight", 0.0) else ()
    one = (0, prompt, *sides) if pairs else (longest,)
    rows = [(i, *one[1:]) if pairs else one for i in range(share)]
    batch = _batches(config, rows, share, packed)[0]
    tokens, width, scored = _size(batch, packed, pairs)
    many = [(i, *one[1:]) if pairs else one for i in range(config.hardware.eval_batch_size)]
    steps = trainer.max_steps if trainer.max_steps > 0 else None
    total = None if steps is None else steps * trainer.batch_size * tokens // len(batch)
    return Work(tokens, width, scored, _size(many, packed, pairs)[0], None, steps, total, read.source)
