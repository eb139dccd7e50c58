"""Whether an exported model says what the tutor says: greedy replies, and how likely their tokens are."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from edu_align.data.records import Message
from edu_align.errors import UserError
from edu_align.models.tokenizer import render

QUESTIONS = (
    "I added 3/4 and 1/4 and got 4/8. Is that right?",
    "Why is 7 x 8 = 56? Ça fait 54 € chez moi, naïve as I am...\n\n\t100000 / 3.5 = ?",
    "Explain to me, in one sentence, why the sky is blue.",
)
REPLY = 24  # tokens of each reply
# Largest share of a next-token probability that rounding to a number format may move. What it moved of a tuned
# SmolLM2-135M: float32 4e-6, float16 0.008, bfloat16 0.06; as GGUF, with float32 before it: f16 0.0014, bf16 0.01,
# q8_0 0.035. To leave the adapter out moved 0.8.
TOLERANCE = {
    "float32": 1e-4, "float16": 0.03, "bfloat16": 0.2, "f32": 1e-4, "f16": 0.01, "bf16": 0.05, "q8_0": 0.15,
}  # fmt: skip


@dataclass(frozen=True)
class Replies:
    """What the tutor replies. `ids`: prompt and reply; `starts`: length of each prompt; `logps`: one (T, V) a reply."""

    ids: list[list[int]]
    starts: list[int]
    logps: list[Any]


@dataclass(frozen=True)
class Agreement:
    """`same` of `tokens` greedy tokens are the tutor's; `moved`: largest share of a next-token probability that moved.

    That is the total variation distance of two distributions: 0 where they are equal, 1 where they share no token.
    """

    moved: float
    same: int
    tokens: int

    def describe(self) -> str:
        """`"72 of 72 greedy tokens are the same, and at most 0.000012 of a next-token probability moved"`."""
        return (
            f"{self.same} of {self.tokens} greedy tokens are the same, and at most {self.moved:.2g} of a next-token "
            "probability moved"
        )


def prompts(tokenizer: Any, system_prompt: str | None) -> list[str]:
    """The questions as the model reads them, with the assistant's turn opened."""
    system = (Message("system", system_prompt),) if system_prompt else ()
    return [render(tokenizer, (*system, Message("user", text)), reply_next=True) for text in QUESTIONS]


def replies_of(model: Any, tokenizer: Any, system_prompt: str | None) -> Replies:
    """Greedy replies of `REPLY` tokens, whether they end before that or not, and every position's distribution."""
    texts = prompts(tokenizer, system_prompt)
    starts, ids = [], []
    for prompt in tokenizer(texts, add_special_tokens=False)["input_ids"]:
        starts.append(len(prompt))
        ids.append(prompt + list(_greedy(model, prompt)))
    logps = [_logps(model, each, start) for each, start in zip(ids, starts, strict=True)]
    return Replies(ids, starts, logps)


def compare(tutor: Replies, model: Any) -> Agreement:
    """How far `model` is from the tutor at every position of the tutor's replies.

    It reads the tutor's own tokens, so it writes the same greedy replies exactly where every token is the same; a token
    that is not the tutor's has moved at least half the gap between the tutor's probabilities of the two.
    """
    moved, same, tokens = [], 0, 0
    for ids, start, expected in zip(tutor.ids, tutor.starts, tutor.logps, strict=True):
        found = _logps(model, ids, start)
        moved.append(float((found.exp() - expected.exp()).abs().sum(dim=1).max() / 2))
        same += int((found.argmax(dim=1) == expected.argmax(dim=1)).sum())
        tokens += len(found)
    return Agreement(max(moved), same, tokens)


def require(agreement: Agreement, formats: Sequence[str], what: str) -> float:
    """The tolerance of the coarsest of the number `formats`. Raises UserError where the agreement is outside it."""
    tolerance = max(TOLERANCE[each] for each in formats)
    if not agreement.moved <= tolerance:  # NaN is outside too
        raise UserError(
            f"{what} was loaded back and does not say what the tutor says: {agreement.describe()}; the tolerance for "
            f"{' and '.join(dict.fromkeys(formats))} is {tolerance:g}. Nothing was kept. Try export.dtype=float32; if "
            "that fails too, it is a bug of edu_align."
        )
    return tolerance


def _greedy(model: Any, prompt: Sequence[int]) -> Iterator[int]:
    import torch

    past, fresh = None, torch.tensor([list(prompt)], device=model.device)
    with torch.no_grad():
        for _ in range(REPLY):
            output = model(input_ids=fresh, past_key_values=past, use_cache=True)
            past, fresh = output.past_key_values, output.logits[:, -1].argmax(dim=-1, keepdim=True)
            yield int(fresh)


def _logps(model: Any, ids: Sequence[int], start: int) -> Any:
    """Log-probabilities (T, V) before each of the T tokens from `start` on, in float32."""
    import torch

    with torch.no_grad():
        logits = model(input_ids=torch.tensor([list(ids)], device=model.device), use_cache=False).logits
    return logits[0, start - 1 : -1].float().log_softmax(dim=-1)
