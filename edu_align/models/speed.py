"""How fast models wrote and scored, over what was really computed: what was found again counts for nothing."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass


@dataclass(eq=False)
class Speed:
    """`tokens` of replies written in `writing` seconds, `replies` scored in `scoring` seconds; `seconds` of it all."""

    seconds: float = 0.0
    tokens: int = 0
    writing: float = 0.0
    replies: int = 0
    scoring: float = 0.0

    @classmethod
    def total(cls, speeds: "Iterable[Speed]") -> "Speed":
        return cls(*map(sum, zip(*map(astuple, speeds), strict=True)))

    def summary(self) -> dict[str, float | None]:
        """`suite_seconds`, `generation_tokens_per_second` and `scoring_replies_per_second`, None where nothing was
        computed. Tokens that end a reply are not counted. Reading what is scored and answered is part of scoring.
        """
        return {
            "suite_seconds": round(self.seconds, 1) if self.tokens or self.replies else None,
            "generation_tokens_per_second": round(self.tokens / self.writing, 1) if self.tokens else None,
            "scoring_replies_per_second": round(self.replies / self.scoring, 1) if self.replies else None,
        }

    def sentence(self) -> str:
        """The same in words; "" where nothing was computed."""
        total, writing, scoring = self.summary().values()
        if total is None:
            return ""
        rates = [f"{writing:.0f} tokens a second written"] if writing else []
        rates += [f"{scoring:.1f} replies a second scored"] if scoring else []
        return f"edu_align: measured in {total:.0f} s, {' and '.join(rates)}"


_watching: list[Speed] = []


@contextmanager
def watched(speed: Speed) -> Iterator[Speed]:
    """Add to `speed` what this process computes in the block."""
    began = time.monotonic()
    _watching.append(speed)
    try:
        yield speed
    finally:
        speed.seconds += time.monotonic() - began
        _watching.remove(speed)


def add_work(replies: int, scoring: float, tokens: int, writing: float) -> None:
    """So many replies, or turns of conversations, were scored, and replies of so many tokens written, in seconds."""
    for speed in _watching:
        speed.replies += replies
        speed.scoring += scoring
        speed.tokens += tokens
        speed.writing += writing
