"""How likely a model finds the held-out tutor turns of the data set that a run trained on."""

import inspect

from edu_align.evaluation.suite.data import Settings, SuiteData
from edu_align.evaluation.suite.items import MetricResult, Series, Subject


def own_turn_nll(subject: Subject, data: SuiteData, settings: Settings) -> MetricResult:
    """Mean negative log-likelihood of the held-out trained turns of the run's own data set, in nats a token.

    Each turn is scored after everything that was said before it, its end-of-turn token included, and weighs as many
    tokens as it has. A data set that is none of the public tutoring ones only; models of one tokenizer are comparable.
    """
    turns = [
        (talk, place, message.content)
        for talk in data.own_conversations
        for place, message in enumerate(talk.messages)
        if message.train
    ]
    scored = subject.score([(talk.messages[:place], [text]) for talk, place, text in turns])
    rows = [
        (f"{talk.source}:{talk.id}:{place}", talk.group, -logp / tokens, float(tokens))
        for (talk, place, _), ((logp, tokens),) in zip(turns, scored, strict=True)
    ]
    name = f"own_turn_nll/{'_'.join(sorted({talk.source for talk, _, _ in turns}))}"
    return MetricResult(
        "own_turn_nll",
        inspect.getdoc(own_turn_nll) or "",
        {name: Series.of(rows)},
        units={name: "nats/token"},
        better={name: "lower"},
    )
