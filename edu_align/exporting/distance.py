"""How far one model is from another over a fixed text, token by token: what rounding its weights did.

The largest difference (exporting/checks.py) is that of the worst of some tokens. Blocks of few bits move one or the
other of them a lot, so for those the mean over a text is what says whether the model is still the same.
"""

import math
from dataclasses import dataclass
from typing import Any

from edu_align.models.chat_template import render
from edu_align.records import Message
from edu_align.utils.errors import UserError

# Questions and replies as a tutor has them, in turn; written for this, so no run has seen them.
DIALOGUES = (
    (
        "I think 0.35 is bigger than 0.4 because 35 is bigger than 4. Is that right?",
        "You looked at the digits as whole numbers. What does the 4 in 0.4 count, and what does the 3 in 0.35 count? "
        "Try writing both with two digits after the point.",
        "The 4 counts tenths. So 0.4 is 0.40?",
        "Yes, and now both count hundredths. Which of 0.40 and 0.35 is more, and how can you tell?",
    ),
    (
        "How do I solve 3x + 7 = 22?",
        "What would you like to have alone on the left side, and what stands in its way? Take away the same amount "
        "from both sides first: what is 22 - 7?",
        "15. So x = 15?",
        "You are close. 3x = 15 says that three of them make 15. What is one of them? Put it back into the first line "
        "to check.",
    ),
    (
        "Why do we have seasons? My friend says the Earth is closer to the Sun in summer.",
        "That is a common idea. If it were so, which season would Australia have while we have summer here? In fact "
        "the axis of the Earth is tilted, so its light falls more steeply on one half, then on the other.",
    ),
    (
        "Write a function in Python that says whether a number is prime.",
        "Start with what you know: which numbers have to divide n for it not to be prime? Here is a start:\n\n"
        "def is_prime(n):\n    if n < 2:\n        return False\n    for d in range(2, int(n ** 0.5) + 1):\n"
        "        if n % d == 0:\n            return False\n    return True\n\nWhy is it enough to go up to the root?",
    ),
)  # fmt: skip

# Largest mean KL divergence, in nats a token, that rounding to a type may cause: three times or more what it caused
# with a tuned SmolLM2-135M, whose few numbers bear it worst (experiments/few_bits). There 4 bits moved up to 0.27, 5
# bits 0.25, q6_k 0.006.
DIVERGENCE = {
    "q5_1": 1.0, "q5_0": 0.3, "q4_1": 1.0, "q4_0": 1.0,
    "q6_k": 0.1, "q5_k_m": 0.5, "q5_k_s": 0.5, "q4_k_m": 1.0, "q4_k_s": 1.0, "q3_k_m": 1.5,
}  # fmt: skip


@dataclass(frozen=True)
class Reading:
    """What a model expects of the fixed text. `ids`: one list a dialogue; `logps`: one (T - 1, V) each, in float32."""

    ids: list[list[int]]
    logps: list[Any]


@dataclass(frozen=True)
class Distance:
    """From one model to another over `tokens`. `divergence`: mean KL divergence, nats a token; `same`: share of tokens
    before which both expect the same one; `expected` and `found`: the perplexity of the one and the other.
    """

    divergence: float
    same: float
    expected: float
    found: float
    tokens: int

    def describe(self, whose: str) -> str:
        """`"a mean KL divergence of 0.031 nats a token from the tutor, ... (411 tokens of fixed text)"`."""
        return (
            f"a mean KL divergence of {self.divergence:.2g} nats a token from {whose}, the likeliest next token the "
            f"same for {self.same:.1%}, perplexity {self.found:.4g} instead of {self.expected:.4g} "
            f"({self.tokens} tokens of fixed text)"
        )


def read(model: Any, tokenizer: Any, system_prompt: str | None) -> Reading:
    """The dialogues as the chat template writes them, read by `model`."""
    system = (Message("system", system_prompt),) if system_prompt else ()
    roles = ("user", "assistant")
    texts = [
        render(tokenizer, (*system, *(Message(roles[i % 2], text) for i, text in enumerate(turns))))
        for turns in DIALOGUES
    ]
    ids = tokenizer(texts, add_special_tokens=False)["input_ids"]
    return reread(ids, model)


def reread(ids: list[list[int]], model: Any) -> Reading:
    """The same token ids read by `model`."""
    return Reading(ids, [logps(model, each, 1) for each in ids])


def distance(expected: Reading, model: Any) -> Distance:
    """How far `model` is from the one that `expected` was read by, on the same token ids."""
    return between(expected, reread(expected.ids, model))


def between(expected: Reading, found: Reading) -> Distance:
    """How far the model of `found` is from that of `expected`, which read the same token ids."""
    divergence, same, own, other, tokens = 0.0, 0, 0.0, 0.0, 0
    for ids, before, after in zip(expected.ids, expected.logps, found.logps, strict=True):
        divergence += float((before.exp() * (before - after)).sum())
        same += int((before.argmax(dim=1) == after.argmax(dim=1)).sum())
        own += _surprise(before, ids)
        other += _surprise(after, ids)
        tokens += len(after)
    return Distance(divergence / tokens, same / tokens, math.exp(own / tokens), math.exp(other / tokens), tokens)


def require_near(found: Distance, kind: str, what: str) -> float:
    """The tolerance for numbers of the type `kind`. Raises UserError where the distance from the tutor is above it."""
    tolerance = DIVERGENCE[kind]
    if not found.divergence <= tolerance:  # NaN is above too
        raise UserError(
            f"{what} was loaded back and does not say what the tutor says: it has {found.describe('the tutor')}; the "
            f"tolerance for {kind} is {tolerance:g} nats. Nothing was kept. Try export.gguf=q8_0: a small model may "
            "not bear so few bits."
        )
    return tolerance


def _surprise(found: Any, ids: list[int]) -> float:
    """Minus the log-probabilities of the tokens from the second on, summed."""
    return -float(found[range(len(found)), ids[1:]].sum())


def logps(model: Any, ids: list[int], start: int) -> Any:
    """Log-probabilities (T, V) before each of the T tokens from `start` on, in float32."""
    import torch

    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids], device=model.device), use_cache=False).logits
    return logits[0, start - 1 : -1].float().log_softmax(dim=-1)
