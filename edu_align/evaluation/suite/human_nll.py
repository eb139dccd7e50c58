"""Metric 6: the negative log-likelihood of what human tutors wrote, in nats a token and in nats a byte.

Nats a token compare models of one tokenizer; nats a byte (UTF-8, of the reply's text) compare any two. Both count the
end-of-turn token's nats, because a model must also know when to stop. Bridge's experts wrote some of MRBench's Expert
replies too, so the sources are reported apart and never summed. `human_turn_nll` does the same on the run's own data.
"""

import inspect
import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from edu_align.evaluation.suite.data import (
    Settings,
    SuiteData,
    available,
    mathdial_dialogues,
    require_any,
    with_sample_note,
)
from edu_align.evaluation.suite.prompts import Prompt, of_dialogues, of_groups
from edu_align.evaluation.suite.results import MetricResult, Series, Subject

DEFINITION = (
    "Negative log-likelihood of the human tutor's own turn after its dialogue, summed over the turns of a source and "
    "divided by their tokens or their UTF-8 bytes; the end-of-turn token counts."
)
END_OF_BYTES = 256  # the symbol behind the last byte of a reply


class Unigram:
    """A unigram model of replies: p(symbol) = (count + 1) / (total + symbols), add-one smoothing.

    `symbols` is the size of the alphabet; `cut` makes a reply's symbols, its end included.
    """

    def __init__(self, replies: Sequence[str], cut: Callable[[str], list[int]], symbols: int) -> None:
        self.cut = cut
        counts = Counter(symbol for reply in replies for symbol in cut(reply))
        self._counts, self._total = counts, counts.total() + symbols

    def nats(self, reply: str) -> float:
        """-log p(reply), in nats."""
        return sum(math.log(self._total / (self._counts[symbol] + 1)) for symbol in self.cut(reply))


def byte_unigram(replies: Sequence[str]) -> Unigram:
    """Over the 256 bytes and an end: the same for every tokenizer."""
    return Unigram(replies, lambda text: [*text.encode(), END_OF_BYTES], END_OF_BYTES + 1)


def token_unigram(replies: Sequence[str], tokenizer: Any) -> Unigram:
    """Over the tokens of the model's own tokenizer, and its end-of-turn token."""

    def cut(text: str) -> list[int]:
        return [*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]

    return Unigram(replies, cut, len(tokenizer))


def human_nll(subject: Subject, data: SuiteData, settings: Settings) -> MetricResult:
    """Metric 6: nats a token and nats a byte of what MathDial's teachers and Bridge's and MRBench's experts wrote.

    Turns of one dialogue follow each other, so that packing computes what they share once. Baselines are unigrams.
    """
    prompts = [
        *of_dialogues(mathdial_dialogues(data)),
        *of_groups([*available(lambda: data.mrbench), *available(lambda: data.bridge)], {}),
    ]
    known = [
        *of_dialogues(available(lambda: data.mathdial_training)),
        *of_groups([*available(lambda: data.mrbench_training), *available(lambda: data.bridge_training)], {}),
    ]
    return with_sample_note(turns_nll(subject, require_any(prompts), [one.human for one in known if one.human]), data)


def turns_nll(subject: Subject, prompts: Sequence[Prompt], training: Sequence[str]) -> MetricResult:
    """The metric over the human replies of `prompts`; turns of one dialogue should follow each other (shared prefixes).

    `training`: human tutors' turns of the training split, which the unigram baselines are fitted on; without any, there
    are no baselines.
    """
    turns = [one for one in prompts if one.human]
    scores = [row[0] for row in subject.score([(one.turns, [one.human]) for one in turns])]
    nats = [-logp for logp, _ in scores]
    tokens = [float(count) for _, count in scores]
    size = [float(len(one.human.encode())) for one in turns]
    unigrams: dict[str, Unigram] = {}
    if training:
        unigrams["unigram of tokens"] = token_unigram(training, subject.tokenizer)
        unigrams["unigram of bytes"] = byte_unigram(training)
    rules = {name: [model.nats(one.human) for one in turns] for name, model in unigrams.items()}
    measured: dict[str, Series] = {}
    baselines: dict[str, dict[str, Series]] = {}
    units: dict[str, str] = {}
    for source in sorted({one.source for one in turns}):
        places = [i for i, one in enumerate(turns) if one.source == source]
        for unit, weights in (("token", tokens), ("byte", size)):
            name = f"nats_per_{unit}/{source}"
            measured[name] = _series(turns, nats, weights, places)
            baselines[name] = {rule: _series(turns, values, weights, places) for rule, values in rules.items()}
            units[name] = f"nats/{unit}"
    note = f"{len(turns)} turns; unigram baselines fitted on {len(training)} human turns of the training split."
    better = dict.fromkeys(measured, "lower")
    return MetricResult("human_nll", DEFINITION, measured, baselines, units, better, notes=(note,))


def _series(turns: Sequence[Prompt], nats: Sequence[float], weights: Sequence[float], places: Sequence[int]) -> Series:
    return Series.of([(turns[i].item, turns[i].group, nats[i] / weights[i], weights[i]) for i in places])


def human_turn_nll(subject: Subject, data: SuiteData, settings: Settings) -> MetricResult:
    """Mean negative log-likelihood of the held-out trained turns of the run's own data set, in nats a token.

    Each turn is scored after everything that was said before it, its end-of-turn token included, and weighs as many
    tokens as it has. A data set that is none of the public tutoring ones only; models of one tokenizer are comparable.
    The baseline is a unigram of tokens, fitted on the turns of the training side.
    """
    turns = [
        (dialogue, place, message.content)
        for dialogue in data.own_conversations
        for place, message in enumerate(dialogue.messages)
        if message.train
    ]
    scored = [row[0] for row in subject.score([(talk.messages[:place], [text]) for talk, place, text in turns])]

    def series(nats: Sequence[float]) -> Series:
        return Series.of([
            (f"{talk.source}:{talk.id}:{place}", talk.group, value / tokens, float(tokens))
            for (talk, place, _), (_, tokens), value in zip(turns, scored, nats, strict=True)
        ])  # fmt: skip

    known = [m.content for talk in data.own_conversations_training for m in talk.messages if m.train]
    rules = {}
    if known:
        unigram = token_unigram(known, subject.tokenizer)
        rules["unigram of tokens"] = series([unigram.nats(text) for _, _, text in turns])
    name = f"human_turn_nll/{'_'.join(sorted({dialogue.source for dialogue, _, _ in turns}))}"
    definition = inspect.getdoc(human_turn_nll) or ""
    measured = {name: series([-logp for logp, _ in scored])}
    return MetricResult.alike(
        "human_turn_nll", definition, measured, "nats/token", "lower", baselines={name: rules} if rules else {}
    )
