"""Rules about what is trained on beside plain pairs, and what is measured."""

from collections.abc import Iterator
from typing import Any

from edu_align.config.schema import CONVERSATION_SOURCES, PREFERENCE_SOURCES
from edu_align.config.suggest import listed
from edu_align.errors import UserError

Values = dict[str, Any]


def contrast(values: Values) -> Iterator[str]:
    """Replies from other dialogues come from sources that hold conversations."""
    count = values.get("dataset.contrast_per_prompt", 0)
    given = values.get("dataset.contrast_sources") or []
    known = [name for name in CONVERSATION_SOURCES if name not in PREFERENCE_SOURCES]
    if wrong := [name for name in given if name not in known]:
        yield f"`dataset.contrast_sources` takes conversation data, got {listed(wrong)}. Choose from: {listed(known)}."
    if given and not count:
        yield f"`dataset.contrast_sources={given}` needs dataset.contrast_per_prompt >= 1, got {count}. Set it to 2."


def metrics(values: Values) -> Iterator[str]:
    """Names in `evaluation.metrics` that are none."""
    names = values.get("evaluation.metrics")
    if names:
        from edu_align.evaluation.suite.registry import chosen_metrics

        try:
            chosen_metrics(names)
        except UserError as error:
            yield str(error)
