"""Where the judge is and how it is asked."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edu_align.config.schema import LOCAL_JUDGE, Config
from edu_align.evaluation.bootstrap import SHARE
from edu_align.evaluation.judge.local import local_model
from edu_align.evaluation.suite.subject import LoadedSubject

KEY_VARIABLE = "OPENAI_API_KEY"
RETRIES = 6  # after 0.5, 1, 2, 4, 8 and 8 s, or when the server says (Retry-After)


@dataclass(frozen=True)
class JudgeSettings:
    """`endpoint`: base URL; the key is read from OPENAI_API_KEY where it is needed and is no field here.

    `pairs`: most pairs that are judged in each part. `timeout`: seconds. `per_minute`: most requests a minute, retries
    included; infinity for no limit. Prices are for a million tokens, None where the user gave none. `seed`, `samples`
    and `confidence` are the bootstrap's. `local`: the judge itself where it is a model on this machine.
    """

    endpoint: str
    model: str
    cache: Path
    pairs: int = 100
    per_minute: float = math.inf
    concurrency: int = 4
    timeout: float = 120.0
    max_tokens: int = 512
    price_in: float | None = None
    price_out: float | None = None
    retries: int = RETRIES
    seed: int = 42
    samples: int = 2000
    confidence: float = 0.95
    local: LoadedSubject | None = None

    @property
    def bootstrap(self) -> dict[str, Any]:
        """Settings of every interval; all of them are of shares."""
        return {"seed": self.seed, "samples": self.samples, "confidence": self.confidence, "bounds": SHARE}

    @classmethod
    def of(cls, config: Config) -> "JudgeSettings | None":
        """The config's settings; None where it names no judge. `validate` has made sure that it names a model too.

        Errors: a local model that is not there.
        """
        asked = config.evaluation
        if asked.judge is None or asked.judge_model is None:
            return None
        return cls(
            endpoint=asked.judge.rstrip("/"),
            model=asked.judge_model,
            cache=Path(config.outputs_root) / "cache" / "judge",
            pairs=asked.judge_pairs,
            per_minute=asked.judge_requests_per_minute or math.inf,
            concurrency=asked.judge_concurrency,
            timeout=asked.judge_timeout,
            max_tokens=asked.judge_max_tokens,
            price_in=asked.judge_price_in,
            price_out=asked.judge_price_out,
            seed=config.seed,
            samples=asked.bootstrap_samples,
            confidence=asked.confidence,
            local=local_model(config, asked.judge_model) if asked.judge == LOCAL_JUDGE else None,
        )

    def cost(self, tokens_in: float, tokens_out: float) -> str:
        """ ", 0.42 at the prices given", or "" where a price is missing."""
        if self.price_in is None or self.price_out is None:
            return ""
        return f", {(tokens_in * self.price_in + tokens_out * self.price_out) / 1e6:.4g} at the prices given"
