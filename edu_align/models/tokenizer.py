"""Tokenizers: found, loaded, and with a chat template and a padding token."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edu_align.config.schema import ModelConfig
from edu_align.models.chat_template import ZEPHYR_TEMPLATE
from edu_align.utils.errors import UserError, first_line

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


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
