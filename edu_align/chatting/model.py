"""Models to chat with, each loaded once: several adapters, and the base itself, share one base model."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from threading import Event, Lock, Thread
from typing import Any

from edu_align.chatting.source import Source
from edu_align.chatting.text import loop_note, loops
from edu_align.config.schema import GenerationConfig
from edu_align.models.chat_template import chat_ids
from edu_align.models.device import Device
from edu_align.models.locate import require_adapter
from edu_align.records import Message
from edu_align.utils.errors import UserError
from edu_align.utils.output import quiet


class TooLong(UserError):
    """The last message alone does not fit."""


def fit(tokenizer: Any, turns: Sequence[Message], space: int) -> tuple[tuple[Message, ...], int]:
    """The turns that fit `space` tokens with the assistant's next turn opened, and how many were left out.

    The oldest question and its answer go first; a system turn and the last message stay. Raises TooLong where those
    two are too long already.
    """
    head = tuple(turns[:1]) if turns[0].role == "system" else ()
    rest = tuple(turns[len(head) :])
    dropped = 0
    while True:
        length = len(chat_ids(tokenizer, (*head, *rest), reply_next=True))
        if length <= space:
            return (*head, *rest), dropped
        if len(rest) < 3:
            raise TooLong(
                f"the message has {length} tokens with what the template adds, and the model's context leaves {space} "
                "beside the reply. Shorten it, or lower generation.max_new_tokens."
            )
        rest, dropped = rest[2:], dropped + 2


FIRST = "default"  # PEFT's name of the adapter that a model is loaded with


@dataclass(frozen=True)
class ChatModel:
    """A model to chat with. `adapter` is None for the base; `context`: longest input and reply, in tokens.

    Those that share a model share its `lock`, because only one adapter is on at a time.
    """

    label: str
    base: str
    model: Any
    tokenizer: Any
    adapter: str | None
    settings: GenerationConfig
    system_prompt: str | None
    context: int
    batch_size: int
    memory_gb: float | None
    lock: Any

    @contextmanager
    def activated(self) -> Iterator[Any]:
        """The model with this one's adapter on, for this thread alone."""
        with self.lock, self._adapter():
            yield self.model

    def _adapter(self) -> AbstractContextManager[Any]:
        off: AbstractContextManager[Any] = nullcontext()
        if self.adapter is not None:
            self.model.set_adapter(self.adapter)
        elif hasattr(self.model, "disable_adapter"):
            off = self.model.disable_adapter()
        return off

    def prompt(self, turns: Sequence[Message]) -> tuple[tuple[Message, ...], int]:
        """The turns as the model reads them, its system prompt first, and how many old ones were left out."""
        if self.system_prompt and turns[0].role != "system":
            turns = (Message("system", self.system_prompt), *turns)
        return fit(self.tokenizer, turns, self.context - self.settings.max_new_tokens)


def load(sources: Sequence[Source], with_base: bool = False) -> list[ChatModel]:
    """One `ChatModel` a source, and before them the first one's base model where it is asked for.

    Errors: a reply that does not fit the model's context.
    """
    quiet()
    shared: dict[tuple[str, Device], ChatModel] = {}
    models = [_add_adapter_or_load(source, shared) for source in sources]
    return [_base_of(sources[0], models[0]), *models] if with_base else models


def _add_adapter_or_load(source: Source, shared: dict[tuple[str, Device], ChatModel]) -> ChatModel:
    device, config = _device(source), source.config
    if source.run is None or config.adapter.name != "lora":
        return _loaded(source, device, None)
    key = (source.location.identity, device)
    if key not in shared:
        shared[key] = _loaded(source, device, FIRST)
        return shared[key]
    other, adapter, folder = shared[key], f"adapter{id(source)}", source.run.path / "adapter"
    require_adapter(folder)
    other.model.load_adapter(str(folder), adapter_name=adapter, use_safetensors=True)
    settings, system_prompt = config.generation, config.dataset.system_prompt
    return replace(
        other, label=source.label, adapter=adapter, settings=settings, system_prompt=system_prompt,
        tokenizer=_tokenizer_of(source),
    )  # fmt: skip


def _tokenizer_of(source: Source) -> Any:
    from edu_align.models.tokenizer import load_run_tokenizer, load_tokenizer

    model, folder = source.config.model, source.location.folder
    return load_tokenizer(model, folder) if source.run is None else load_run_tokenizer(model, folder, source.run.path)


def _loaded(source: Source, device: Device, adapter: str | None) -> ChatModel:
    from edu_align.models.base_model import build_model
    from edu_align.models.weights import load_model

    config, location = source.config, source.location
    tokenizer = _tokenizer_of(source)
    if source.run is None:
        model = load_model(config.model, location, device, config.seed, config.hardware.double_quantization)
    else:
        model = build_model(config, location, device, source.run.path)
    model.eval()
    model.requires_grad_(False)
    model.config.use_cache = True
    context = int(model.config.max_position_embeddings)
    if config.generation.max_new_tokens > context // 2:
        raise UserError(
            f"`generation.max_new_tokens={config.generation.max_new_tokens}` must be at most {context // 2}, half of "
            f"the context of {source.label} ({context} tokens), to leave room for the dialogue."
        )
    return ChatModel(
        source.label, location.identity, model, tokenizer, adapter, config.generation, config.dataset.system_prompt,
        context, config.hardware.eval_batch_size, config.hardware.memory_gb, Lock(),
    )  # fmt: skip


def _base_of(source: Source, chat_model: ChatModel) -> ChatModel:
    """The first source's base model: the same weights with the adapter off, or loaded beside a fully trained one."""
    if chat_model.adapter is not None:
        return replace(chat_model, label="base", adapter=None)
    return replace(_loaded(replace(source, run=None), _device(source), None), label="base")


def _device(source: Source) -> Device:
    from edu_align.models.device import resolve

    return replace(resolve(source.config), reasons=())


def stream(
    chat_model: ChatModel, prompt: Sequence[Message], notes: list[str] | None = None
) -> Generator[str, None, None]:
    """Pieces of the reply to `prompt` (see `ChatModel.prompt`) as they are decoded; together they are the whole reply.

    The model runs in a thread of its own, and stops after its next token once the generator is closed or an
    exception passes through it. What the model raises is raised here. A greedy reply that goes round in circles is cut
    off, which `notes` then says.
    """
    from transformers import TextIteratorStreamer

    streamer: Any = TextIteratorStreamer(chat_model.tokenizer, skip_prompt=True, skip_special_tokens=True)
    writing = _Writing(chat_model, streamer)
    thread = Thread(target=writing.write, args=(prompt,), daemon=True)
    thread.start()
    try:
        for piece in streamer:
            if piece:
                yield piece
    finally:
        writing.stop.set()
        thread.join()
    if writing.failures:
        raise writing.failures[0]
    if writing.looped and notes is not None:
        notes.append(loop_note(chat_model.label))


@dataclass
class _Writing:
    """One reply on its way from the model to `streamer`: what stops it, and what became of it."""

    chat_model: ChatModel
    streamer: Any
    stop: Event = field(default_factory=Event)
    failures: list[BaseException] = field(default_factory=list)
    looped: bool = False
    written: list[int] | None = None  # None until the prompt has come
    ends: frozenset[int] = frozenset()

    def write(self, prompt: Sequence[Message]) -> None:
        """Run the model, in the thread that is made for it."""
        from edu_align.models.engine import writes_exactly
        from edu_align.models.reply_end import end_tokens

        chat_model = self.chat_model
        try:
            with chat_model.activated() as model:
                ids = chat_ids(chat_model.tokenizer, prompt, reply_next=True)
                self.ends = frozenset(end_tokens(model, chat_model.tokenizer))
                (self._by_engine if writes_exactly(model) else self._by_transformers)(model, ids)
        except BaseException as error:  # raised again in the thread that reads
            self.failures.append(error)
            self.streamer.end()

    def _by_engine(self, model: Any, prompt: Sequence[int]) -> None:
        import torch

        from edu_align.models.engine import Engine
        from edu_align.packing.budget import reply_memory

        self.put(torch.tensor([prompt]))
        memory = reply_memory(self.chat_model.memory_gb)
        for _, token in Engine(model, self.chat_model.settings, sorted(self.ends), memory).write([prompt]):
            if token is None or self._is_over():
                break
            self.put(torch.tensor([token]))
        self.end()

    def _by_transformers(self, model: Any, prompt: Sequence[int]) -> None:
        import torch
        from transformers import StoppingCriteriaList

        from edu_align.models.generation import padded_left, sampling_config

        with torch.no_grad():
            model.generate(
                **padded_left([prompt], self.chat_model.tokenizer.pad_token_id, model.device),
                generation_config=sampling_config(self.chat_model.settings, self.chat_model.tokenizer, model),
                stopping_criteria=StoppingCriteriaList([self._stopped]),
                streamer=self,
            )

    def put(self, ids: Any) -> None:
        """What transformers writes: first the prompt's ids, then each token's. Those that end a reply are no text."""
        if self.written is None:
            self.written = []
            self.streamer.put(ids)
            return
        kept = [token for token in ids.flatten().tolist() if token not in self.ends]
        self.written += kept
        if kept:
            self.streamer.put(ids)

    def end(self) -> None:
        self.streamer.end()

    def _is_over(self) -> bool:
        greedy = self.chat_model.settings.temperature == 0
        self.looped = self.looped or (greedy and loops(self.written or ()))
        return self.stop.is_set() or self.looped

    def _stopped(self, ids: Any, scores: Any, **_: Any) -> Any:
        """(B,) booleans: whether each row ends here. It is asked after each token, before `put` is given that one."""
        import torch

        return torch.full((ids.size(0),), self._is_over(), dtype=torch.bool, device=ids.device)
