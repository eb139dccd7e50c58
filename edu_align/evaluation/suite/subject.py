"""A model under measurement: loaded when first needed, and scored once on the same input."""

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edu_align.cache.run_cache import RunCache, tokenizer_content
from edu_align.cache.store import Codec
from edu_align.config.schema import Config
from edu_align.evaluation.suite.results import Scored
from edu_align.models.chat_template import as_chat
from edu_align.models.content import base_content, trained_content
from edu_align.models.locate import Location, locate, weights_content
from edu_align.models.scoring import score_replies
from edu_align.models.tokenizer import load_run_tokenizer, load_tokenizer
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
    from edu_align.models.base_model import base_model, build_model
    from edu_align.packing.decoder import install_packing

    config = weights.config
    if weights.changed is None:
        model, _ = base_model(config, location, device)
    elif weights.adapter is not None:
        model = _adapted(base_model(config, location, device)[0], weights.adapter)
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


Rows = Sequence[tuple[Sequence[Message], Sequence[str]]]


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
        self._results: dict[str, Any] = {}
        self._scores: dict[str, Scored] = {}  # by prompt and reply

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

    def score(self, rows: Rows) -> list[list[Scored]]:
        """Log-probabilities (nats) and tokens of every reply; all replies of a prompt are computed in one batch.

        A reply that another metric had scored after the same prompt is not computed again.
        """
        keys = [[digest(as_chat(prompt), reply) for reply in replies] for prompt, replies in rows]
        missing = [row for row, known in zip(rows, keys, strict=True) if not self._scores.keys() >= set(known)]
        if missing:
            request = ["replies alone", *([as_chat(prompt), list(replies)] for prompt, replies in missing)]
            found = self._cached("scores", request, lambda: self._score(missing))
            for (prompt, replies), scored in zip(missing, found, strict=True):
                chat = as_chat(prompt)
                self._scores |= {digest(chat, reply): one for reply, one in zip(replies, scored, strict=True)}
        return [[self._scores[key] for key in row] for row in keys]

    def reference_score(self, rows: Rows) -> list[list[Scored]] | None:
        return self.reference.score(rows) if self.reference else None

    def base_score(self, rows: Rows) -> list[list[Scored]] | None:
        base = self.reference
        while base is not None and base.reference is not None:
            base = base.reference
        return None if base is None or base is self.reference else base.score(rows)

    def replies(self, prompts: Sequence[Sequence[Message]], max_new_tokens: int) -> list[str]:
        """Greedy replies, written together."""
        request = [[as_chat(prompt) for prompt in prompts], max_new_tokens]
        return self._cached("replies", request, lambda: self._replies(prompts, max_new_tokens))

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

    def _cached(self, kind: str, request: Any, compute: Any) -> Any:
        from edu_align.cache.run_cache import compute_settings

        how = compute_settings(self.weights.config, self._device)
        key = digest(self.identity | {"reference": None}, how, self.max_length, request)
        if key not in self._results:
            self._results[key] = self._shared.get_or_compute(f"suite {kind}", key, JSON, compute)
        return self._results[key]

    def _score(self, rows: Rows) -> list[list[Scored]]:
        """Of the replies alone: what a dialogue trains on before them is not scored with them."""
        groups = [
            ResponseGroup(
                tuple(replace(turn, train=False) for turn in prompt),
                tuple(Response(text, 0.0) for text in replies),
                str(i),
                "suite",
                str(i),
            )
            for i, (prompt, replies) in enumerate(rows)
        ]
        length = min(self.max_length, int(self._model.config.max_position_embeddings))
        scored = score_replies(self._model, self.tokenizer, groups, length)
        return [[(logp, count) for logp, count in zip(*pair, strict=True)] for pair in scored]

    def _replies(self, prompts: Sequence[Sequence[Message]], max_new_tokens: int) -> list[str]:
        from edu_align.models.generation import generate

        return generate(self._model, self.tokenizer, prompts, max_new_tokens, f"{self.label}: replies")


def _stated_ends(folder: Path | None) -> Any:
    """The end tokens that a base's generation_config.json names: where its replies end."""
    return ((folder and read_json(folder / "generation_config.json")) or {}).get("eos_token_id")


def _decode(content: bytes) -> Any:
    """JSON, whose innermost lists [nats, tokens] become pairs again."""
    found = json.loads(content)
    if found and isinstance(found[0], list):
        return [[(logp, count) for logp, count in row] for row in found]
    return found


JSON: Codec[Any] = Codec("jsonl", lambda value: json.dumps(value, ensure_ascii=False).encode(), _decode)
