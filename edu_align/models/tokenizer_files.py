"""A tokenizer's files: read as tokenizer.json says, whatever class transformers has for the model."""

import json
from pathlib import Path
from typing import Any

from edu_align.config.schema import ModelConfig
from edu_align.utils.errors import UserError, first_line

RULES = ("normalizer", "pre_tokenizer", "model")  # what decides how text is cut


def check_tokens(tokenizer: Any, model: ModelConfig, folder: Path | None) -> None:
    """Errors: no end token, or more tokens than the model in `folder` has rows for."""
    whose = model.tokenizer or folder or model.name
    if tokenizer.eos_token_id is None:
        raise UserError(
            f"the tokenizer of {str(whose)!r} names no end token, so no reply would end. Name one in its "
            'tokenizer_config.json ("eos_token": "..."), or set model.tokenizer=<hub id or folder>.'
        )
    rows, last = _rows(model, folder), max(tokenizer.get_vocab().values())
    if rows is not None and last >= rows:
        surplus = [token for token, i in tokenizer.get_vocab().items() if i >= rows]
        raise UserError(
            f"the tokenizer of {str(whose)!r} has tokens up to number {last}, and the embedding of model={model.name} "
            f"has only {rows} rows, so {', '.join(map(repr, sorted(surplus)[:4]))} could not be read. Set "
            "model.tokenizer=<the one that belongs to the model>, or save the model after resize_token_embeddings."
        )


def _rows(model: ModelConfig, folder: Path | None) -> int | None:
    """Rows of the embedding, as config.json says; None where it does not."""
    if folder is None:
        return model.architecture.vocab_size
    try:
        content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        found = content.get("vocab_size") or content.get("text_config", {}).get("vocab_size")
    except (OSError, ValueError, AttributeError):
        return None
    return found if isinstance(found, int) else None


def tokenizer_from(model: ModelConfig, folder: Path | None) -> Any:
    """The tokenizer of `model.tokenizer`, or in `folder`, as its tokenizer.json says, padding and cutting nothing.

    Prints where transformers' own class for the model would cut text otherwise. Errors: none that can be used.
    """
    source = model.tokenizer or (str(folder) if folder else None)
    if source is None:
        raise UserError(f"`model.tokenizer` is null and model={model.name} has no folder. Use model.tokenizer=bytes.")
    revision = model.revision if source == model.path else None
    source = str(Path(source).expanduser()) if Path(source).expanduser().is_dir() else source
    if revision is None and not Path(source).is_dir():
        print(f"edu_align: the tokenizer {source} is what its branch main holds today (it has no revision)", flush=True)
    try:
        tokenizer, otherwise = read_tokenizer(source, revision or "main")
    except Exception as error:
        raise UserError(
            f"no tokenizer can be loaded from {source!r} ({first_line(error, 160)}). "
            "Set model.tokenizer=<hub id or folder>, or model.tokenizer=bytes for the built-in byte-level one."
        ) from error
    if not tokenizer.is_fast:
        raise UserError(f"the tokenizer of {source!r} has no fast version (tokenizer.json). Convert it first.")
    if otherwise:
        print(f"edu_align: text is read as tokenizer.json of {source} says; {otherwise}", flush=True)
    tokenizer.backend_tokenizer.no_padding()  # whoever wrote the file may have had them on
    tokenizer.backend_tokenizer.no_truncation()
    return tokenizer


def read_tokenizer(source: str, revision: str = "main") -> tuple[Any, str]:
    """The tokenizer that tokenizer.json of a folder or hub id describes, and how AutoTokenizer's differs; "" if not.

    The class that transformers picks by the model's type may cut text by rules of its own, whatever the file says.
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerFast
    from transformers.utils.hub import cached_file

    picked = AutoTokenizer.from_pretrained(source, revision=revision, trust_remote_code=False)
    file = cached_file(source, "tokenizer.json", revision=revision, _raise_exceptions_for_missing_entries=False)
    if file is None or not picked.is_fast:
        return picked, ""
    plain = PreTrainedTokenizerFast.from_pretrained(source, revision=revision, trust_remote_code=False)
    differing = [part for part in RULES if _state(picked, part) != _state(plain, part)]
    if not differing:
        return picked, ""
    for name in ("bos_token", "eos_token", "unk_token", "pad_token"):  # what the class knows and no file says
        token = getattr(picked, name)
        if getattr(plain, name) is None and token in plain.get_vocab():
            setattr(plain, name, token)
    return plain, f"transformers' {type(picked).__name__} has another {' and '.join(differing)}"


def _state(tokenizer: Any, part: str) -> Any:
    """A part of the rules, as they are written into tokenizer.json."""
    found = getattr(tokenizer.backend_tokenizer, part)
    return found if found is None else found.__getstate__()
