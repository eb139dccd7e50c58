"""Tokenizers and chat templates: messages -> token ids, with the trained ones marked."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edu_align.config.schema import ModelConfig
from edu_align.models.control_tokens import control_tokens
from edu_align.records import Message
from edu_align.utils.errors import UserError, first_line

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

IGNORED = -100  # label of a token without a loss

Read = tuple[list[int], list[tuple[int, int]]]  # token ids, and where each stands in the text

# The format of Zephyr-7B (Tunstall et al. 2023, arXiv:2310.16944): a role line, the text, the end-of-sequence token.
ZEPHYR_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>\n' + message['content'] + eos_token + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)


def byte_tokenizer() -> "PreTrainedTokenizerFast":
    """One token a byte, and four control tokens: 260 in all. For tests and for models without a tokenizer."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    control = ["<unk>", "<s>", "</s>", "<pad>"]
    vocab = {token: i for i, token in enumerate(control + sorted(pre_tokenizers.ByteLevel.alphabet()))}
    raw = Tokenizer(models.BPE(vocab=vocab, merges=[], unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=raw, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    )


def load_tokenizer(model: ModelConfig, folder: Path | None) -> Any:
    """The model's tokenizer with a chat template and a padding token. Errors name `model.tokenizer`."""
    tokenizer = byte_tokenizer() if model.tokenizer == "bytes" else _from_folder(model, folder)
    if model.chat_template == "zephyr" or (model.chat_template == "auto" and not tokenizer.chat_template):
        tokenizer.chat_template = ZEPHYR_TEMPLATE
    if not tokenizer.chat_template:
        raise UserError(
            f"`model.chat_template=own`, but the tokenizer of model={model.name} has none. "
            "Use model.chat_template=zephyr."
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _from_folder(model: ModelConfig, folder: Path | None) -> Any:
    from transformers import AutoTokenizer

    source = model.tokenizer or (str(folder) if folder else None)
    if source is None:
        raise UserError(f"`model.tokenizer` is null and model={model.name} has no folder. Use model.tokenizer=bytes.")
    revision = model.revision if source == model.path else None
    if revision is None and not Path(source).is_dir():
        print(f"edu_align: the tokenizer {source} is what its branch main holds today (it has no revision)", flush=True)
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, revision=revision or "main", trust_remote_code=False)
    except Exception as error:
        raise UserError(
            f"no tokenizer can be loaded from {source!r} ({first_line(error, 160)}). "
            "Set model.tokenizer=<hub id or folder>, or model.tokenizer=bytes for the built-in byte-level one."
        ) from error
    if not tokenizer.is_fast:
        raise UserError(f"the tokenizer of {source!r} has no fast version (tokenizer.json). Convert it first.")
    return tokenizer


def as_chat(messages: Sequence[Message]) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.content} for message in messages]


def render(tokenizer: Any, messages: Sequence[Message], reply_next: bool = False) -> str:
    """Messages as the one text that the model reads; `reply_next` opens the assistant's next turn."""
    text: str = tokenizer.apply_chat_template(as_chat(messages), tokenize=False, add_generation_prompt=reply_next)
    return text


def chat_ids(tokenizer: Any, messages: Sequence[Message], reply_next: bool = False) -> list[int]:
    """Token ids of the dialogue; `reply_next` opens the assistant's next turn. Control tokens in turns are text."""
    text, read = _reader(tokenizer, messages)
    return read(text(messages, reply_next))[0]


def encode(tokenizer: Any, messages: Sequence[Message], max_length: int | None = None) -> tuple[list[int], list[int]]:
    """Token ids and labels of a dialogue, both of length T <= max_length; labels are `IGNORED` off trained turns.

    A trained turn's tokens are its text and its end-of-turn token: what the template adds for it beyond the header
    that generation starts from. Control tokens in turns are text. Errors: a template whose prefix changes when a turn
    is added, which would put the marks in the wrong place.
    """
    render_turns, read = _reader(tokenizer, messages)
    text = render_turns(messages, False)
    spans = []
    for i, message in enumerate(messages):
        if not message.train:
            continue
        head, whole = render_turns(messages[:i], True), render_turns(messages[: i + 1], False)
        if not (text.startswith(whole) and whole.startswith(head)):
            raise UserError(
                "the chat template renders a dialogue differently when turns are added, so trained turns cannot be "
                "located. Use model.chat_template=zephyr."
            )
        spans.append((len(head), len(whole.rstrip("\n"))))
    ids, offsets = read(text)
    ids, offsets = ids[:max_length], offsets[:max_length]
    trained = [any(start <= a and b <= stop and a < b for start, stop in spans) for a, b in offsets]
    return ids, [token if keep else IGNORED for token, keep in zip(ids, trained, strict=True)]


def _reader(tokenizer: Any, messages: Sequence[Message]) -> tuple[Callable[..., str], Callable[[str], Read]]:
    """How turns of this dialogue become text, and that text ids and character offsets (see `control_tokens`)."""
    control = control_tokens(tokenizer)
    if any(control.may_contain(message.content) for message in messages):
        return partial(control.render, tokenizer), control.encode

    def read(text: str) -> Read:
        encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        return encoded["input_ids"], encoded["offset_mapping"]

    return partial(render, tokenizer), read


def marked(tokenizer: Any, ids: Sequence[int], labels: Sequence[int]) -> str:
    """The dialogue as text with every run of trained tokens between >>> and <<<."""
    pieces: list[str] = []
    for trained, run in groupby(zip(ids, labels, strict=True), key=lambda pair: pair[1] != IGNORED):
        text = tokenizer.decode([token for token, _ in run])
        pieces.append(f">>>{text}<<<" if trained else text)
    return "".join(pieces)
