"""A model under measurement: loaded when first needed, and asked the same once."""

import functools
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edu_align.cache.run_cache import RunCache, compute_settings, tokenizer_content
from edu_align.cache.store import Codec
from edu_align.config.schema import Config, GenerationConfig
from edu_align.evaluation.suite.asking import Dialogue, Prompts, Rows, dialogues, reply_key, score_key
from edu_align.evaluation.suite.results import Scored
from edu_align.models.answers import answer, texts
from edu_align.models.chat_template import as_chat, chat_ids
from edu_align.models.content import base_content, trained_content
from edu_align.models.locate import Location, locate, weights_content
from edu_align.models.scoring import Row, read, reply_rows, reply_states
from edu_align.models.tokenizer import load_run_tokenizer, load_tokenizer
from edu_align.packing.budget import Prefixes, cut
from edu_align.records import Message, Response, ResponseGroup
from edu_align.utils.errors import UserError, first_line
from edu_align.utils.files import read_json
from edu_align.utils.hashing import digest, records_in
from edu_align.utils.memory import is_out_of_memory
from edu_align.utils.output import quiet


@dataclass(frozen=True)
class Weights:
    """What is loaded. `folder` holds `adapter/` or, after full fine-tuning, `model/`; None is the base model.

    `adapter` names an adapter's own folder instead. `config` decides base, number format and hardware.
    """

    config: Config
    folder: Path | None = None
    adapter: Path | None = None

    @property
    def changed(self) -> Path | None:
        """Where the files lie that differ from the base model; None for the base itself."""
        if self.adapter is not None or self.folder is None:
            return self.adapter
        return self.folder / ("model" if self.config.adapter.name == "full" else "adapter")


def load_weights(weights: Weights, location: Location, device: Any, longest: int) -> Any:
    """The model, frozen, in eval mode and with shared prefixes packed. Adapters come on the process's shared base.

    `longest`: the most tokens of a row that is scored. Raises UserError for an adapter of another base model.
    """
    quiet()
    from edu_align.fused.copies import settle_copies
    from edu_align.models.base_model import base_model, build_model
    from edu_align.models.reward import build_reward_model, facts_in
    from edu_align.packing.decoder import install_packing

    config = weights.config
    if weights.changed is None:
        model, _ = base_model(config, location, device)
    elif weights.adapter is not None:
        model = _adapted(base_model(config, location, device)[0], weights.adapter)
        settle_copies(model, config.hardware)
    elif facts := facts_in(weights.folder):
        model = build_reward_model(config, location, device, weights.folder, facts["pooling"])
    else:
        model = build_model(config, location, device, weights.folder)
    model.eval()
    model.requires_grad_(False)
    install_packing(config.hardware.packing, model, config.hardware.packing_backend, longest)
    return model


def _adapted(base: Any, adapter: Path) -> Any:
    from edu_align.models.weights import continue_adapter

    try:
        return continue_adapter(base, adapter)
    except (RuntimeError, ValueError, KeyError) as error:
        if is_out_of_memory(error):
            raise
        reason = first_line(error)
        raise UserError(
            f"`adapter={adapter}` does not fit this base model ({reason}). Give the model it is of."
        ) from None


Said = dict[str, Any]  # what was asked, by its key -> (nats, tokens) of a reply, or the text of one
PART = 10**13  # a model's parameters times the tokens that it computes between two writes of the cache


class LoadedSubject:
    """See `results.Subject`. `reference` is the model that training started from; None for a base model.

    Scores and replies are cached in outputs_root/cache/shared (see `cache.run_cache`), under the weights and everything
    that may change a bit, so that the reference of several runs is scored once. `max_length` as in `Settings`.
    """

    def __init__(self, label: str, weights: Weights, max_length: int, reference: "LoadedSubject | None" = None) -> None:
        self.label = label
        self.weights = weights
        self.max_length = max_length
        self.reference = reference
        self._said: Said = {}

    @functools.cached_property
    def location(self) -> Location:
        config = self.weights.config
        return locate(config.model, Path(config.outputs_root), config.seed)

    @functools.cached_property
    def tokenizer(self) -> Any:
        model, folder = self.weights.config.model, self.location.folder
        run = self.weights.folder
        return load_tokenizer(model, folder) if run is None else load_run_tokenizer(model, folder, run)

    @functools.cached_property
    def identity(self) -> dict[str, Any]:
        """What tells this model from every other one, as JSON: base, trained files, number format, chat template."""
        config, changed = self.weights.config, self.weights.changed
        return {
            "base": base_content(self.location.identity),
            "base_weights": weights_content(config, self.location),
            "trained": trained_content(changed, records_in(config.outputs_root)) if changed else None,
            "reply_ends": _stated_ends(self.location.folder),
            "hardware": [config.hardware.device, config.hardware.dtype, config.hardware.quantization],
            "template": tokenizer_content(self.tokenizer),
            "reference": self.reference.key if self.reference else None,
        }

    @property
    def key(self) -> str:
        """Twelve hex digits over `identity`."""
        return digest(self.identity)[:12]

    @property
    def base(self) -> "LoadedSubject":
        """The model that everything here started from; itself, where it is that."""
        return self if self.reference is None else self.reference.base

    @property
    def first(self) -> "LoadedSubject | None":
        """The base model, where the reference was itself trained from another; else None."""
        return None if self.base in (self, self.reference) else self.base

    def prepare(self, rows: Rows, prompts: Prompts) -> None:
        """Compute what is not known yet of all that is going to be asked, in one queue."""
        if not dialogues(rows, prompts, self._said):
            return
        kept = self._shared.store.read(KIND, self._cache_key, JSON)
        self._said |= kept or {}
        for part in self._parts(dialogues(rows, prompts, self._said)):
            wanted = {key for one in part for key in (*one.scored, *one.asked)}
            compute = functools.partial(self._extended, part)
            found = self._shared.get_or_extend(KIND, self._cache_key, JSON, wanted.issubset, compute)
            self._said |= found

    def keep(self, said: Said) -> None:
        """Lay what this model is known to have said where every subject of the same model finds it."""
        self._shared.get_or_extend(
            KIND, self._cache_key, JSON, lambda known: said.keys() <= known.keys(), lambda known: said | (known or {})
        )

    def score(self, rows: Rows) -> list[list[Scored]]:
        """Log-probabilities (nats) and tokens of every reply."""
        self.prepare(rows, [])
        return [[self._said[score_key(prompt, reply)] for reply in replies] for prompt, replies in rows]

    def reference_score(self, rows: Rows) -> list[list[Scored]] | None:
        return self.reference.score(rows) if self.reference else None

    def base_score(self, rows: Rows) -> list[list[Scored]] | None:
        return self.first.score(rows) if self.first else None

    def rewards(self, rows: Rows) -> list[list[float]] | None:
        """None: it writes text. See `reward.RewardSubject`."""
        return None

    def replies(self, prompts: Sequence[Sequence[Message]], max_new_tokens: int) -> list[str]:
        """Greedy replies, written together."""
        self.prepare([], [(prompt, max_new_tokens) for prompt in prompts])
        return [self._said[reply_key(prompt, max_new_tokens)] for prompt in prompts]

    def base_replies(self, prompts: Sequence[Sequence[Message]], max_new_tokens: int) -> list[str]:
        """Greedy replies by the base model, which is freed after them."""
        try:
            return self.base.replies(prompts, max_new_tokens)
        finally:
            if self.base is not self:
                self.base.release()

    def base_states(self, rows: Rows) -> list[Any]:
        """Mean hidden states (replies, H) of each row's replies in the base model, which is freed after them."""
        base, flat = self.base, [[as_chat(prompt), *replies] for prompt, replies in rows]
        found = base._shared.get_or_compute(STATES, digest(base._cache_key, flat), ARRAY, lambda: base._states(rows))
        if base is not self:
            base.release()
        counts = [len(replies) for _, replies in rows]
        return np.split(found, np.cumsum(counts)[:-1])

    def _states(self, rows: Rows) -> Any:
        length = min(self.max_length, int(self._model.config.max_position_embeddings))
        asked = [
            Dialogue(prompt, {str(place): reply for place, reply in enumerate(replies)}) for prompt, replies in rows
        ]
        families = [_rows(self.tokenizer, one, length) for one in asked]
        states = read(self._model, self.tokenizer, families, reply_states)
        return np.stack([state for family in states for state in family])

    def release(self) -> None:
        """Free the model; its scores and replies stay."""
        self.__dict__.pop("_model", None)

    @functools.cached_property
    def _device(self) -> Any:
        from edu_align.models.device import resolve

        return resolve(self.weights.config)

    @functools.cached_property
    def _shared(self) -> RunCache:
        return RunCache(self.weights.config, self.location, self._device)

    @functools.cached_property
    def _model(self) -> Any:
        return load_weights(self.weights, self.location, self._device, self.max_length)

    @functools.cached_property
    def _cache_key(self) -> str:
        how = compute_settings(self.weights.config, self._device)
        return digest(self.identity | {"reference": None}, how, self.max_length)

    def _parts(self, missing: Sequence[Dialogue]) -> Iterator[list[Dialogue]]:
        """Dialogues that begin alike together, as many as are computed between two writes of the cache."""
        if not missing:
            return
        encoded = [chat_ids(self.tokenizer, one.prompt, reply_next=True) for one in missing]
        order = sorted(range(len(missing)), key=encoded.__getitem__)
        budget = PART // sum(each.numel() for each in self._model.parameters())
        for part, _ in cut([[encoded[i]] for i in order], max(1, budget), Prefixes):
            yield [missing[order[place]] for place in part]

    def _extended(self, part: Sequence[Dialogue], known: Said | None) -> Said:
        """`known` and what the model says of `part`."""
        said = dict(known or {})
        length = min(self.max_length, int(self._model.config.max_position_embeddings))
        rest = dialogues([(one.prompt, [*one.scored.values()]) for one in part], [], said)
        families = [_rows(self.tokenizer, one, length) for one in rest]
        for most in sorted({most for one in part for most in one.asked.values()}) or [1]:
            asked = {key: one.prompt for one in part for key, each in one.asked.items() if each == most}
            prompts = [chat_ids(self.tokenizer, prompt, reply_next=True) for prompt in asked.values()]
            settings = GenerationConfig(max_new_tokens=most)
            room = self.weights.config.hardware.memory_gb
            found = answer(self._model, self.tokenizer, families, prompts, settings, self.label, room)
            for one, scores in zip(rest if families else [], found.scores, strict=True):
                said |= zip(one.scored, scores, strict=True)
            said |= zip(asked, texts(self.tokenizer, found.replies), strict=True)
            families = []
        return said


def _rows(tokenizer: Any, one: Dialogue, max_length: int) -> list[Row]:
    """Of the replies alone: what a dialogue trains on before them is not scored with them."""
    prompt = tuple(replace(turn, train=False) for turn in one.prompt)
    group = ResponseGroup(prompt, tuple(Response(text, 0.0) for text in one.scored.values()), "", "suite", "")
    return reply_rows(tokenizer, group, max_length)


def _stated_ends(folder: Path | None) -> Any:
    """The end tokens that a base's generation_config.json names: where its replies end."""
    return ((folder and read_json(folder / "generation_config.json")) or {}).get("eos_token_id")


def _decode(content: bytes) -> Said:
    """JSON, whose [nats, tokens] become pairs again."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in json.loads(content).items()}


def _bytes(array: Any) -> bytes:
    with io.BytesIO() as file:
        np.save(file, array, allow_pickle=False)
        return file.getvalue()


KIND, STATES = "suite answers", "reply states"  # of the cache
ARRAY: Codec[Any] = Codec("npy", _bytes, lambda content: np.load(io.BytesIO(content), allow_pickle=False))
JSON: Codec[Said] = Codec("jsonl", lambda said: json.dumps(said, ensure_ascii=False).encode(), _decode)
