"""What a training's own measurement computed, laid where the suite looks before it asks a model.

A run measures the base, the model that it starts from and itself on the held-out replies, and the suite asks the same
three for the same. Laid down is what the suite would compute of the same tokens.
"""

from typing import Any

from edu_align.cache.run_cache import tokenizer_content
from edu_align.evaluation.held_out import HeldOut, Measurement, encoded
from edu_align.evaluation.suite.asking import reply_key, score_key
from edu_align.evaluation.suite.data import Settings
from edu_align.evaluation.suite.subject import LoadedSubject, Said, Weights
from edu_align.models.generation import prompt_and_reference


def hand_over(weights: Weights, tokenizer: Any, held: HeldOut, measured: Measurement) -> None:
    """Keep `measured`, what the model of `weights` said of `held` with the run's `tokenizer`, for the suite.

    Nothing is kept where the suite would read that model with another chat template.
    """
    subject = LoadedSubject("measured", weights, Settings().max_length)
    if subject.identity["template"] == tokenizer_content(tokenizer):
        subject.keep(said_in(weights, tokenizer, held, measured, subject.max_length))


def said_in(weights: Weights, tokenizer: Any, held: HeldOut, measured: Measurement, max_length: int) -> Said:
    """Scores and replies of a measurement, as the suite knows them.

    Left out are replies whose dialogue is cut, here or in the suite, which reads `max_length` tokens; and turns of
    conversations, of which a measurement has the sum.
    """
    config, said = weights.config, Said()
    longest = min(config.trainer.max_length, max_length)
    families, _ = encoded(config, tokenizer, held)
    for group, rows, (logps, counts) in zip(held.groups, families, measured.replies, strict=True):
        for response, (ids, _), logp, count in zip(group.responses, rows, logps, counts, strict=True):
            if len(ids) < longest:  # one that is as long may have been cut
                said[score_key(group.prompt, response.text)] = logp, count
    for record, sample in zip(held.samples, measured.samples, strict=False):  # the base has none
        said[reply_key(prompt_and_reference(record)[0], config.evaluation.max_new_tokens)] = sample["reply"]
    return said
