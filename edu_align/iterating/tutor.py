"""A round's tutor at work: it answers dialogues, and says how likely its replies are, and how likely under its base."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from edu_align.chatting.model import load
from edu_align.chatting.source import Source
from edu_align.config.schema import GenerationConfig
from edu_align.iterating.dialogues import Dialogue
from edu_align.iterating.plan import Plan
from edu_align.models.answers import answer, texts
from edu_align.models.chat_template import IGNORED
from edu_align.models.reply_end import end_tokens
from edu_align.models.scoring import Row, Scored
from edu_align.packing.decoder import install_packing
from edu_align.runs.folder import RunFolder
from edu_align.utils.hashing import digest

SEED_DIGITS = 15  # hex digits of a reply's seed: torch takes 63 bits


@dataclass(frozen=True)
class Written:
    """A reply. `logp` and `base_logp`: its log-probability in nats under the tutor and its base, with the token that
    ended it, if one did (`ended`).
    """

    text: str
    tokens: int
    ended: bool
    seed: int
    logp: float
    base_logp: float


def reply_seed(seed: int, when: str, dialogue: str, number: int) -> int:
    """What a reply is drawn by: the run's seed, the round or `validation`, the dialogue, and which of its replies."""
    return int(digest(seed, when, dialogue, number)[:SEED_DIGITS], 16)


class Tutor:
    """The tutor that the finished run `run` is, beside its base model, until it is let go."""

    def __init__(self, plan: Plan, run: RunFolder) -> None:
        self.settings = GenerationConfig(plan.asked.max_new_tokens, plan.asked.temperature)
        config = replace(plan.config, generation=self.settings)
        self.base, self.tutor = load([Source(run.path.name, config, plan.location, run)], with_base=True)
        longest = plan.training.trainer.max_length
        for model in {id(each.model): each.model for each in (self.base, self.tutor)}.values():
            install_packing(config.hardware.packing, model, config.hardware.packing_backend, longest)

    @property
    def tokenizer(self) -> Any:
        return self.tutor.tokenizer

    def write(self, dialogues: Sequence[Dialogue], seeds: Sequence[Sequence[int]]) -> list[list[Written]]:
        """A reply to each dialogue for each of its seeds."""
        asked = [one.ids for one, own in zip(dialogues, seeds, strict=True) for _ in own]
        drawn = list(chain(*seeds))
        with self.tutor.activated() as model:
            written = self._answer(model, [], asked, "replies", seeds=drawn, ends=True).replies
            ends = frozenset(end_tokens(model, self.tokenizer))
        replies = iter(zip(written, texts(self.tokenizer, written), drawn, strict=True))
        of_each = [[next(replies) for _ in own] for own in seeds]
        families = [[_row(one.ids, ids) for ids, _, _ in own] for one, own in zip(dialogues, of_each, strict=True)]
        return [
            [
                Written(text, len(ids), ids[-1] in ends, seed, logp, base_logp)
                for (ids, text, seed), (logp, _), (base_logp, _) in zip(own, *scores, strict=True)
            ]
            for own, scores in zip(of_each, self.score(families), strict=True)
        ]

    def score(self, families: Sequence[Sequence[Row]]) -> list[tuple[list[Scored], list[Scored]]]:
        """The log-probabilities of each family's rows, under the tutor and under the base."""
        with self.tutor.activated() as model:
            own = self._answer(model, families, [], "likelihoods").scores
        with self.base.activated() as model:
            base = self._answer(model, families, [], "likelihoods under the base").scores
        return list(zip(own, base, strict=True))

    def _answer(self, model: Any, families: Any, prompts: Any, bar: str, **options: Any) -> Any:
        memory = self.tutor.memory_gb
        return answer(model, self.tokenizer, families, prompts, self.settings, bar, memory, **options)


def _row(prompt: Sequence[int], reply: Sequence[int]) -> Row:
    """A row that is scored on the reply."""
    return [*prompt, *reply], [*([IGNORED] * len(prompt)), *reply]
