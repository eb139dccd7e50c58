"""The keys of `evaluation.judge*`, and the rules between them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

JUDGE_BOUNDS = {
    "evaluation.judge_pairs": (">= 1", "100"),
    "evaluation.judge_requests_per_minute": ("> 0", "60"),
    "evaluation.judge_concurrency": (">= 1", "4"),
    "evaluation.judge_timeout": ("> 0", "120"),
    "evaluation.judge_max_tokens": (">= 64", "512"),
    "evaluation.judge_price_in": (">= 0", "null"),
    "evaluation.judge_price_out": (">= 0", "null"),
}


@dataclass
class JudgeConfig:
    """A language model behind an OpenAI-compatible endpoint that compares replies; see conf/config.yaml."""

    judge: str | None = None
    judge_model: str | None = None
    judge_pairs: int = 100
    judge_requests_per_minute: float | None = None
    judge_concurrency: int = 4
    judge_timeout: float = 120.0
    judge_max_tokens: int = 512
    judge_price_in: float | None = None
    judge_price_out: float | None = None


def problems_of_judge(values: dict[str, Any]) -> Iterator[str]:
    """A problem for an endpoint that is no address or holds a password, a missing model, and half a price."""
    endpoint, model = values.get("evaluation.judge"), values.get("evaluation.judge_model")
    if endpoint is not None:
        yield from _address(endpoint)
        if not model:
            yield "`evaluation.judge` needs a model, got null. Set evaluation.judge_model=<its name at the endpoint>."
    elif model is not None:
        yield f"`evaluation.judge_model` is {model!r}, and `evaluation.judge` is null. Set both, or neither."
    prices = [values.get(f"evaluation.judge_price_{way}") for way in ("in", "out")]
    if prices.count(None) == 1:
        yield (
            "`evaluation.judge_price_in` and `evaluation.judge_price_out` go together, "
            f"got {prices[0]} and {prices[1]}. Set both, or neither."
        )


def _address(endpoint: str) -> Iterator[str]:
    try:
        parts = urlsplit(endpoint)
        host, query = parts.hostname, parts.query
    except ValueError:
        parts, host, query = None, None, ""
    if parts is None or parts.scheme not in ("http", "https") or not host:
        yield (
            f"`evaluation.judge` must be the base URL of an endpoint, got {endpoint!r}. "
            "Example: evaluation.judge=http://localhost:8000/v1."
        )
    elif query:
        yield (
            "`evaluation.judge` must hold no query: the config is kept with the run. Put the key into the environment "
            "variable OPENAI_API_KEY."
        )
