"""Preference pairs as rows of token ids: prompts that are too long lose their start, then prompt and reply do.

With `trainer.max_prompt_length` the oldest turns of a prompt go first, whole, then the start of the oldest text left,
so that it stays a dialogue. `trainer.max_length` cuts prompt and reply together, at a token, so that the reply's end
stays: the prompt of the longer reply loses more. TRL pads and scores the rows as they are.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from edu_align.cache.run_cache import RunCache, code_content, tokenizer_content
from edu_align.cache.store import TENSORS, Arrays, ragged, rows_of
from edu_align.models.chat_template import IGNORED, TemplateError, chat_ids
from edu_align.models.trained_turns import Encoded, answered, encode_dialogue
from edu_align.models.trained_turns import Row as TrainedRow
from edu_align.records import LabelledReply, Message, Pair, turn_values
from edu_align.training.template_notes import TemplateNotes
from edu_align.utils.errors import UserError
from edu_align.utils.hashing import digest

Row = dict[str, list[int]]
KIND = "tokenized pairs"
# TRL's names, with a prompt for each reply: `prompt_ids` stands before `chosen_ids`.
COLUMNS = ("prompt_ids", "chosen_ids", "rejected_prompt_ids", "rejected_ids")
BLIND = tuple(f"blind_{name}" for name in COLUMNS)  # the same without the dialogue, where `trainer.pmi_weight` asks
BIAS = "bias"  # a number of each training pair, where `trainer.debias` has one


@dataclass
class PairCounts:
    """What became of the pairs. `kept`: the positions of those that are rows, in their order.

    `alike`: both replies read the same once rendered; `cut_alike`: once cut to `trainer.max_length`.
    """

    pairs: int = 0
    alike: int = 0
    cut_alike: int = 0
    template: TemplateNotes = field(default_factory=TemplateNotes)
    kept: list[int] = field(default_factory=list)

    def lines(self, max_length: int) -> list[str]:
        """What is to be said of them; nothing where every pair is a row."""
        lines = self.template.lines("pairs")
        why = {
            "that read the same in the chat template": self.alike,
            f"that are the same once cut to trainer.max_length={max_length}": self.cut_alike,
        }
        lines += [f"edu_align: {n} of {self.pairs} pairs {words} are left out" for words, n in why.items() if n]
        return lines


def cached_dpo_rows(
    cache: RunCache | None, tokenizer: Any, pairs: Sequence[Pair], max_length: int
) -> tuple[list[Row], PairCounts]:
    """What `dpo_rows` makes of the pairs, computed now or earlier."""
    if cache is None or not cache.on:
        return dpo_rows(tokenizer, pairs, max_length)

    def compute() -> tuple[Arrays, dict[str, Any]]:
        rows, counts = dpo_rows(tokenizer, pairs, max_length)
        return token_arrays(rows), asdict(counts)

    texts = [
        [turn_values(pair.group.prompt), *(pair.group.responses[i].text for i in (pair.chosen, pair.rejected))]
        for pair in pairs
    ]
    key = digest(tokenizer_content(tokenizer), code_content(), texts, max_length, [pair.group.id for pair in pairs])
    arrays, facts = cache.get_or_compute(KIND, key, TENSORS, compute)
    columns = [rows_of(arrays, name) for name in COLUMNS]
    counts = PairCounts(**{**facts, "template": TemplateNotes(**facts["template"])})
    return [dict(zip(COLUMNS, row, strict=True)) for row in zip(*columns, strict=True)], counts


def token_arrays(rows: Iterable[Mapping[str, list[int]]], names: Sequence[str] = COLUMNS) -> Arrays:
    """The rows' token ids, column by column, as the cache keeps them."""
    every = list(rows)
    columns = (ragged(name, [row[name] for row in every]) for name in names)
    return {key: array for column in columns for key, array in column.items()}


def dpo_rows(tokenizer: Any, pairs: Sequence[Pair], max_length: int) -> tuple[list[Row], PairCounts]:
    """Rows {prompt_ids, chosen_ids, rejected_prompt_ids, rejected_ids} of the pairs, and what became of them.

    Prompt and reply have at most `max_length` tokens together. A reply starts where its dialogue and the prompt that
    generation begins from differ; where the dialogue does not begin with that prompt, where its own text starts.
    """
    rows, counts = [], PairCounts(len(pairs))
    openings: dict[tuple[Message, ...], list[int] | None] = {}
    prompt, known = tuple[Message, ...](), dict[str, Encoded]()  # of neighbours, which share their replies
    for number, pair in enumerate(pairs):
        replies = [pair.group.responses[i].text for i in (pair.chosen, pair.rejected)]
        if pair.group.prompt != prompt:
            prompt, known = pair.group.prompt, {}
        try:
            for text in replies:
                if text not in known:
                    known[text] = encode_dialogue(tokenizer, answered(prompt, text))
            encoded = [known[text] for text in replies]
        except TemplateError as error:
            counts.template.refuse(error, pair.group.id)
            continue
        for each in encoded:
            counts.template.add(each, pair.group.id)
        chosen, rejected = (each.rows[0] for each in encoded)
        if chosen.ids == rejected.ids:
            counts.alike += 1
            continue
        starts = reply_starts(tokenizer, pair.group.prompt, (chosen, rejected), openings)
        cut = [
            cut_at_start(row.ids[:start], row.ids[start:], max_length)
            for row, start in zip((chosen, rejected), starts, strict=True)
        ]
        if [*cut[0][0], *cut[0][1]] == [*cut[1][0], *cut[1][1]]:
            counts.cut_alike += 1
            continue
        rows.append(dict(zip(COLUMNS, (*cut[0], *cut[1]), strict=True)))
        counts.kept.append(number)
    return rows, counts


def reply_starts(
    tokenizer: Any, prompt: tuple[Message, ...], replies: Sequence[TrainedRow], openings: dict[Any, list[int] | None]
) -> list[int]:
    """Where each reply starts, in tokens. `openings` keeps the prompts' own tokens."""
    if prompt not in openings:
        try:
            openings[prompt] = chat_ids(tokenizer, prompt, reply_next=True)
        except TemplateError:
            openings[prompt] = None
    opened = openings[prompt]
    starts = [next((i for i, label in enumerate(row.labels) if label != IGNORED), len(row.ids)) for row in replies]
    if opened is None:
        return starts
    shared = min(_shared_length(opened, row.ids) for row in replies)
    return [shared if start - shared <= 1 else start for start in starts]  # 1: a token of header and reply together


def cut_at_start(prompt: list[int], reply: list[int], max_length: int) -> tuple[list[int], list[int]]:
    """The last `max_length` tokens of prompt and reply: the prompt's part of them, and the reply's."""
    over = max(0, len(prompt) + len(reply) - max_length)
    return prompt[over:], reply[max(0, over - len(prompt)) :]


def _shared_length(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens both begin with."""
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


class PairCollator:
    """Rows of `dpo_rows` as a batch of TRL's: the chosen sequences, then the rejected ones, padded on the right; then
    both without the dialogue, where the rows have them (`BLIND`).

    input_ids, attention_mask, completion_mask (1 on the reply): (2 * B, L), or (4 * B, L). ref_chosen_logps,
    ref_rejected_logps and bias (B,), where the rows have them.
    """

    def __init__(self, pad_token_id: int, multiple: Any = None) -> None:
        """`multiple`: a number that L becomes a multiple of."""
        self.pad_token_id = pad_token_id
        self.multiple = multiple

    def __call__(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        import torch
        from trl.trainer.utils import pad

        def padded(rows: list[list[int]], value: int) -> Any:
            tensors = [torch.tensor(row, dtype=torch.long) for row in rows]
            return pad(tensors, padding_value=value, padding_side="right", pad_to_multiple_of=self.multiple)

        names = [*COLUMNS, *(BLIND if BLIND[0] in examples[0] else ())]
        sides = zip(names[::2], names[1::2], strict=True)
        sequences = [(each[prompt], each[reply]) for prompt, reply in sides for each in examples]
        batch = {
            "input_ids": padded([prompt + reply for prompt, reply in sequences], self.pad_token_id),
            "attention_mask": padded([[1] * len(prompt + reply) for prompt, reply in sequences], 0),
            "completion_mask": padded([[0] * len(prompt) + [1] * len(reply) for prompt, reply in sequences], 0),
        }
        numbers = [name for name in ("ref_chosen_logps", "ref_rejected_logps", BIAS) if name in examples[0]]
        return batch | {name: torch.tensor([each[name] for each in examples]) for name in numbers}


@dataclass
class Shortened:
    """Pairs or replies whose prompts fit, and how many prompts lost whole turns, or the start of a text as well."""

    pairs: list[Any] = field(default_factory=list)
    prompts: int = 0
    lost_turns: int = 0
    cut_texts: int = 0

    def describe(self, limit: int) -> str:
        """One line, "" where every prompt fits."""
        if not self.lost_turns and not self.cut_texts:
            return ""
        return (
            f"edu_align: of {self.prompts} prompts, {self.lost_turns} lost their oldest turns and {self.cut_texts} the "
            f"start of a text (trainer.max_prompt_length={limit})"
        )


def shorten_prompts(tokenizer: Any, pairs: Sequence[Pair | LabelledReply], limit: int) -> Shortened:
    """The pairs in their order, with prompts of at most `limit` tokens; each prompt is shortened once."""
    result, done = Shortened(), {}
    for pair in pairs:
        prompt = pair.group.prompt
        if prompt not in done:
            short = done[prompt] = _shortened(tokenizer, prompt, limit)
            result.prompts += 1
            result.lost_turns += len(short) < len(prompt)
            result.cut_texts += any(turn not in prompt for turn in short)
        result.pairs.append(replace(pair, group=replace(pair.group, prompt=done[prompt])))
    return result


def _shortened(tokenizer: Any, prompt: tuple[Message, ...], limit: int) -> tuple[Message, ...]:
    try:
        return shorten_prompt(tokenizer, prompt, limit)
    except TemplateError:  # its pairs are refused as rows
        return prompt


def shorten_prompt(tokenizer: Any, prompt: Sequence[Message], limit: int) -> tuple[Message, ...]:
    """The end of a prompt, of at most `limit` tokens together with the header that opens the reply.

        system  You are a tutor.                 system  You are a tutor.
        user    2 + 3?                     ->
        assistant  Count on from 2.
        user    I counted and got 6.             user    counted and got 6.

    User and assistant turns go in twos, so that a user turn stays first; then the start of the only user turn is cut. A
    system turn stays, unless it takes more than half of `limit`. Raises UserError where no text would be left.
    """
    turns = tuple(prompt)
    system, talk = (turns[:1], turns[1:]) if turns and turns[0].role == "system" else ((), turns)
    short_system = _length(tokenizer, (*system, Message("user", "."))) <= limit // 2
    head = system if short_system else ()
    for candidate in (turns, *((*head, *talk[i:]) for i, turn in enumerate(talk) if turn.role == "user")):
        if _length(tokenizer, candidate) <= limit:
            return candidate
    return _cut(tokenizer, head, talk[-1], limit)


def _cut(tokenizer: Any, head: tuple[Message, ...], last: Message, limit: int) -> tuple[Message, ...]:
    """`head` and the longest end of the last turn that fits."""
    offsets = tokenizer(last.content, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    begin = max(1, _length(tokenizer, (*head, last)) - limit)
    while begin < len(offsets):
        turns = (*head, replace(last, content=last.content[offsets[begin][0] :].lstrip()))
        over = _length(tokenizer, turns) - limit
        if over <= 0 and turns[-1].content:
            return turns
        begin += max(1, over)  # the cut may change how the text around it is tokenized
    raise UserError(
        f"`trainer.max_prompt_length={limit}` leaves no room for a prompt: the chat template takes "
        f"{_length(tokenizer, (replace(last, content=''),))} tokens around one turn. Raise trainer.max_prompt_length."
    )


def _length(tokenizer: Any, turns: Sequence[Message]) -> int:
    return len(chat_ids(tokenizer, turns, reply_next=True))
