"""What an untouched model says about held-out records: the measurement before training, kept as JSON lines."""

import json
from functools import partial
from typing import Any

from edu_align.caching.keys import tokenizer_content
from edu_align.caching.shared import RunCache
from edu_align.caching.store import Codec
from edu_align.config.schema import Config
from edu_align.data.records import turn_values
from edu_align.evaluation.held_out import HeldOut, Measurement, measure
from edu_align.models.generation import prompt_and_reference
from edu_align.models.sharding import is_sharded
from edu_align.utils.hashing import digest

KIND = "measurement before training"


def remembered_measurement(cache: RunCache, model: Any, tokenizer: Any, held: HeldOut) -> Measurement:
    """What `measure` returns, computed now or earlier; the model is left in eval mode, as `measure` leaves it."""
    work = partial(measure, cache.config, model, tokenizer, held)
    if not cache.on or is_sharded(model):
        return work()
    key = digest(cache.model_key(model), tokenizer_content(tokenizer), _asked(cache.config, held))
    measured = cache.get_or_compute(KIND, key, CODEC, work)
    model.eval()
    return measured


def _asked(config: Config, held: HeldOut) -> list[Any]:
    """All that reaches the model, and what is kept beside it."""
    groups = [[turn_values(group.prompt), [response.text for response in group.responses]] for group in held.groups]
    talks = [[talk.group, turn_values(talk.messages)] for talk in held.conversations]
    prompts = [(record.id, *prompt_and_reference(record)) for record in held.samples]
    asked = [[name, turn_values(prompt), reference] for name, prompt, reference in prompts]
    return [groups, talks, asked, config.trainer.max_length, config.evaluation.max_new_tokens]


def _encode(measured: Measurement) -> bytes:
    rows: list[dict[str, Any]] = [{"logps": logps, "tokens": tokens} for logps, tokens in measured.replies]
    rows += [{"group": group, "nats": nats, "tokens": tokens} for group, nats, tokens in measured.nll]
    rows += [{"sample": sample} for sample in measured.samples]
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def _decode(content: bytes) -> Measurement:
    rows = [json.loads(line) for line in content.decode().split("\n")[:-1]]
    return Measurement(
        [(tuple(row["logps"]), tuple(row["tokens"])) for row in rows if "logps" in row],
        [(row["group"], row["nats"], row["tokens"]) for row in rows if "nats" in row],
        [row["sample"] for row in rows if "sample" in row],
    )


CODEC: Codec[Measurement] = Codec("jsonl", _encode, _decode)
