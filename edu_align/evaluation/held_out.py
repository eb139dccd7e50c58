"""Measuring one model on held-out records, before and after training, with the same items both times."""

import json
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from itertools import compress
from typing import Any, TypeVar

from edu_align.cache.run_cache import RunCache, tokenizer_content
from edu_align.cache.store import Codec
from edu_align.config.schema import Config, GenerationConfig
from edu_align.data.datamodule import TrainingData
from edu_align.evaluation.bootstrap import difference, interval
from edu_align.evaluation.preference import Metric, ScoredGroup, evaluate_preferences, evaluate_scores
from edu_align.models.answers import Answers, answer, texts
from edu_align.models.base_model import build_model
from edu_align.models.chat_template import as_chat, chat_ids
from edu_align.models.device import Device
from edu_align.models.generation import prompt_and_reference
from edu_align.models.locate import Location
from edu_align.models.reward import facts_of
from edu_align.models.scoring import Row, columns, conversation_rows, reply_rows
from edu_align.models.sharding import is_sharded, release_gathered_weights
from edu_align.packing.decoder import install_packing
from edu_align.records import Conversation, Record, ResponseGroup, pairs_of, turn_values
from edu_align.utils.errors import UserError
from edu_align.utils.hashing import digest, sha256
from edu_align.utils.jsonl import as_lines

BY_SOURCE = "by_source"  # in evaluation.json, where several sources are held out
R = TypeVar("R", bound=Record)
Encoded = tuple[list[list[Row]], list[tuple[Conversation, list[Row]]]]  # rows of the groups; of the conversations
ReplyScores = list[tuple[tuple[float, ...], tuple[int, ...]]]


@dataclass(frozen=True)
class HeldOut:
    """What is measured on: response groups and conversations of one held-out split, and prompts to answer."""

    groups: list[ResponseGroup]
    conversations: list[Conversation]
    training_groups: list[ResponseGroup]
    samples: list[Record]
    encoded: list[Encoded] = field(default_factory=list)  # one, once a model was measured; the next takes it


@dataclass(frozen=True)
class Measurement:
    """One model's scores and replies on a `HeldOut`; `replies`: log-probabilities, of a reward model rewards."""

    replies: ReplyScores
    nll: list[tuple[str, float, int]]  # group, nats, tokens
    samples: list[dict[str, Any]]

    @classmethod
    def of(cls, plain: dict[str, Any]) -> "Measurement":
        """The reverse of `dataclasses.asdict`, also through JSON, which keeps floats to the bit and tuples as lists."""
        replies = [(tuple(logp), tuple(tokens)) for logp, tokens in plain["replies"]]
        return cls(replies, [(group, nats, count) for group, nats, count in plain["nll"]], plain["samples"])


def choose(records: Sequence[R], count: int | None) -> list[R]:
    """At most `count` records, by the hash of their ids: the same ones for every seed, model and order."""
    ordered = sorted(records, key=lambda record: sha256(f"{record.source}:{record.id}"))
    return ordered if count is None else ordered[:count]


def held_out(config: Config, data: TrainingData) -> HeldOut:
    """At most `evaluation.max_groups` of the measured groups and as many conversations, and the prompts to answer.

    Errors: groups in which no two replies differ by the margin, so that there would be nothing to measure afterwards.
    """
    groups = choose(data.groups, config.evaluation.max_groups)
    margin = config.dataset.margin
    if groups and not any(True for group in groups for _ in pairs_of(group, margin)):
        raise UserError(
            f"no two replies of the {len(groups)} held-out groups differ by `dataset.margin={margin}`, so nothing "
            "could be measured after training. Lower dataset.margin, or set evaluation.enabled=false."
        )
    conversations = choose(data.conversations, config.evaluation.max_groups)
    samples: list[Record] = choose([*(groups or conversations)], config.evaluation.samples)
    return HeldOut(groups, conversations, data.training_groups, samples)


def measure(config: Config, model: Any, tokenizer: Any, held: HeldOut) -> Measurement:
    """One pass of the model over everything held out."""
    groups, talks = encoded(config, tokenizer, held)
    found, samples = _answered(config, model, tokenizer, [*groups, *(rows for _, rows in talks)], held.samples)
    scores = [columns(scored) for scored in found.scores]
    told = zip(talks, scores[len(groups) :], strict=True)
    nll = [(talk.group, -sum(logps), sum(counts)) for (talk, _), (logps, counts) in told]
    return Measurement(scores[: len(groups)], nll, samples)


def encoded(config: Config, tokenizer: Any, held: HeldOut) -> Encoded:
    """The rows of `held`, cut to `trainer.max_length` tokens; made once."""
    if not held.encoded:
        length = config.trainer.max_length
        groups = [reply_rows(tokenizer, group, length) for group in held.groups]
        talks = conversation_rows(tokenizer, held.conversations, length) if held.conversations else []
        held.encoded.append((groups, talks))
    return held.encoded[0]


def sample(config: Config, model: Any, tokenizer: Any, records: Sequence[Record]) -> list[dict[str, Any]]:
    """Rows {id, prompt, reply, reference_reply}: what the model answers to the prompts of `records`, greedily; none of
    a reward model.
    """
    return _answered(config, model, tokenizer, [], records)[1]


def _answered(
    config: Config, model: Any, tokenizer: Any, families: Sequence[list[Row]], records: Sequence[Record]
) -> tuple[Answers, list[dict[str, Any]]]:
    """What the model says of `families`, and the rows of `sample`: a dialogue of both is read once."""
    records = records if facts_of(model) is None else []
    asked = [prompt_and_reference(record) for record in records]
    prompts = [chat_ids(tokenizer, prompt, reply_next=True) for prompt, _ in asked]
    settings = GenerationConfig(max_new_tokens=config.evaluation.max_new_tokens)
    bar = "measuring" if families else None
    found = answer(model, tokenizer, families, prompts, settings, bar, config.hardware.memory_gb)
    return found, [
        {"id": record.id, "prompt": as_chat(prompt), "reply": reply, "reference_reply": reference}
        for record, (prompt, reference), reply in zip(records, asked, texts(tokenizer, found.replies), strict=True)
    ]


def summarise(
    config: Config,
    held: HeldOut,
    measured: Measurement,
    reference: Measurement | None = None,
    base: Measurement | None = None,
) -> dict[str, Any]:
    """Metrics with n, intervals and baselines; `reference` and `base` add the implicit reward against that model.

    `human_turn_nll` is the mean negative log-likelihood of the held-out trained turns, in nats a token; its interval
    resamples groups of conversations, each weighted by its tokens. `change` is the paired difference to `reference`.
    Where several sources are held out, `by_source` has the same of each source alone, as far as it has such records.
    """
    result = _summary(config, held, measured, reference, base)
    records: list[Record] = [*held.groups, *held.conversations]
    sources = sorted({record.source for record in records})
    if len(sources) > 1:
        result[BY_SOURCE] = {name: _of_source(config, name, held, measured, reference, base) for name in sources}
    return result


def _of_source(config: Config, name: str, held: HeldOut, measured: Measurement, *others: Measurement | None) -> Any:
    """`_summary` of one source's records."""
    groups = [group.source == name for group in held.groups]
    told = [talk for talk, _ in held.encoded[0][1]] if held.encoded else held.conversations
    talks = [talk.source == name for talk in told]  # of those that have a trained token

    def part(model: Measurement) -> Measurement:
        return Measurement([*compress(model.replies, groups)], [*compress(model.nll, talks)], [])

    known = [group for group in held.training_groups if group.source == name]
    own = HeldOut([*compress(held.groups, groups)], [*compress(told, talks)], known, [])
    return _summary(config, own, part(measured), *(model and part(model) for model in others))


def _summary(
    config: Config, held: HeldOut, measured: Measurement, reference: Measurement | None, base: Measurement | None
) -> dict[str, Any]:
    """Metrics of all that is held out, or of what one source has of it, which may be no pair."""
    result: dict[str, Any] = {}
    if held.groups and not config.trainer.writes:
        return _summarise_rewards(config, held, measured, reference)
    if any(True for group in held.groups for _ in pairs_of(group, config.dataset.margin)):
        others = [_logps(model, held) for model in (reference, base)]
        scored = [
            ScoredGroup(group, logp, tokens, *other_logps)
            for group, (logp, tokens), *other_logps in zip(held.groups, measured.replies, *others, strict=True)
        ]
        result |= evaluate_preferences(
            scored,
            config.dataset.margin,
            seed=config.seed,
            samples=config.evaluation.bootstrap_samples,
            confidence=config.evaluation.confidence,
            training_groups=held.training_groups or None,
        )
    if measured.nll:
        result["human_turn_nll"] = _nll(config, measured, reference).as_json()
    return result


def _summarise_rewards(
    config: Config, held: HeldOut, measured: Measurement, reference: Measurement | None
) -> dict[str, Any]:
    """`pair_accuracy_reward` and `selection_score_reward`; before training every reply ties."""
    model, earlier = (
        {"reward": [rewards for rewards, _ in one.replies]} if one else {} for one in (measured, reference)
    )
    return evaluate_scores(
        held.groups,
        model,
        earlier,
        config.dataset.margin,
        seed=config.seed,
        samples=config.evaluation.bootstrap_samples,
        confidence=config.evaluation.confidence,
        training_groups=held.training_groups or None,
    )


def _nll(config: Config, measured: Measurement, reference: Measurement | None) -> Metric:
    clusters = [group for group, _, _ in measured.nll]
    options: dict[str, Any] = {
        "seed": config.seed,
        "weights": [float(count) for _, _, count in measured.nll],
        "samples": config.evaluation.bootstrap_samples,
        "confidence": config.evaluation.confidence,
    }
    own, *others = ([nats / count for _, nats, count in one.nll] for one in (measured, reference) if one is not None)
    change = difference(own, others[0], clusters, **options) if others else None
    return Metric("human_turn_nll", interval(own, clusters, **options), change=change)


def _logps(model: Measurement | None, held: HeldOut) -> Sequence[tuple[float, ...] | None]:
    return [logp for logp, _ in model.replies] if model else [None] * len(held.groups)


def values(result: dict[str, Any], prefix: str) -> dict[str, float]:
    """The bare values of a result's metrics, named for run.json and W&B; of one source `<prefix>/<source>/<name>`."""
    found = {
        f"{prefix}/{name}": entry["value"]
        for name, entry in result.items()
        if isinstance(entry, dict) and "value" in entry
    }
    for source, apart in result.get(BY_SOURCE, {}).items():
        found |= values(apart, f"{prefix}/{source}")
    return found


def measure_base(
    config: Config, location: Location, device: Device, model: Any, tokenizer: Any, cache: RunCache, held: HeldOut
) -> Measurement:
    """The base model in `location`: `model` with its adapter off, or, under full fine-tuning, loaded for this only.

    `cache`: the run's, which knows what lies under the adapter. Taken from earlier work where that measured the same.
    """
    if config.adapter.name == "full":
        model, cache = build_model(config, location, device, None), RunCache(config, location, device)
        install_packing(config.hardware.packing, model, config.hardware.packing_backend, config.trainer.max_length)
    with nullcontext() if config.adapter.name == "full" else model.disable_adapter():
        measured = cached_measurement(cache, model, tokenizer, held)
    release_gathered_weights(model)
    return measured


CACHE_KIND = "measurement before training"


def cached_measurement(cache: RunCache, model: Any, tokenizer: Any, held: HeldOut) -> Measurement:
    """What `measure` returns, computed now or earlier; the model is left in eval mode, as `measure` leaves it."""
    work = partial(measure, cache.config, model, tokenizer, held)
    if not cache.on or is_sharded(model):
        return work()
    key = digest(cache.model_key(model), facts_of(model), tokenizer_content(tokenizer), _inputs(cache.config, held))
    measured = cache.get_or_compute(CACHE_KIND, key, CODEC, work)
    model.eval()
    return measured


def _inputs(config: Config, held: HeldOut) -> list[Any]:
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
    return as_lines(rows).encode()


def _decode(content: bytes) -> Measurement:
    rows = [json.loads(line) for line in content.decode().split("\n")[:-1]]
    return Measurement(
        [(tuple(row["logps"]), tuple(row["tokens"])) for row in rows if "logps" in row],
        [(row["group"], row["nats"], row["tokens"]) for row in rows if "nats" in row],
        [row["sample"] for row in rows if "sample" in row],
    )


CODEC: Codec[Measurement] = Codec("jsonl", _encode, _decode)
