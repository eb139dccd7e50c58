"""Tokenizers: found, loaded, and with a chat template and a padding token."""

import json
from contextlib import suppress
from dataclasses import replace
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from edu_align.config.schema import ModelConfig
from edu_align.models.content import SEAL, read_content
from edu_align.models.locate import Location
from edu_align.models.sizes import out_of_reach
from edu_align.models.template_choice import TEMPLATE_FILE, WORDS, chosen_template, stored_template, unpinned
from edu_align.utils.errors import UserError, first_line
from edu_align.utils.files import read_json
from edu_align.utils.hashing import digest

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

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
    revision = _revision(model)
    if model.tokenizer and revision is None and not Path(source).expanduser().is_dir():
        print(f"edu_align: the tokenizer {source} is what its branch main held when it was downloaded", flush=True)
    place = tokenizer_folder(model, folder)
    try:
        tokenizer, otherwise = read_tokenizer(str(place or source), revision or "main")
    except Exception as error:
        bare = place is not None and not any((place / name).is_file() for name in FILES)
        why = "no tokenizer.json is in it" if bare else first_line(error, 160)
        raise UserError(
            f"no tokenizer can be loaded from {source!r} ({why}). "
            "Set model.tokenizer=<hub id or folder>, or model.tokenizer=bytes for the built-in byte-level one."
        ) from error
    if not tokenizer.is_fast:
        raise UserError(f"the tokenizer of {source!r} has no fast version (tokenizer.json). Convert it first.")
    if otherwise and not (
        place and (place / SEAL).is_file()
    ):  # a folder that was made here of a GGUF says what is meant
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


_contents: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
FILES = ("tokenizer.json", "tokenizer.model", "special_tokens_map.json", "added_tokens.json")
READ = (
    *FILES,
    "vocab.*",
    "merges.txt",
    "*.model",
    "*.tiktoken",
    "tekken.json",
)  # by transformers, where they are there
SETTINGS = "tokenizer_config.json"
UNREAD = ("chat_template", "name_or_path", "transformers_version")  # of tokenizer_config.json: not the tokenizer


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
    """The model's tokenizer with a chat template and a padding token. Errors name `model.tokenizer`.

    Errors: no end token, more tokens than the model has rows for, no template, all before weights are loaded.
    """
    tokenizer = byte_tokenizer() if model.tokenizer == "bytes" else tokenizer_from(model, folder)
    check_tokens(tokenizer, model, folder)
    tokenizer.chat_template = chosen_template(model, tokenizer.chat_template)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_run_tokenizer(model: ModelConfig, folder: Path | None, run: Path) -> Any:
    """The tokenizer that the run in the folder `run` was trained with, and its chat template, as the run keeps it.

    Errors: its base has another tokenizer by now.
    """
    if (run / "model" / "tokenizer_config.json").is_file():  # after full fine-tuning
        kept = replace(model, tokenizer=None, chat_template="own", template_args={})
        return load_tokenizer(kept, run / "model")
    file = run / "adapter" / TEMPLATE_FILE
    kept = replace(model, chat_template=str(file), template_args={}) if file.is_file() else model
    tokenizer = load_tokenizer(kept, folder)
    _check_vocabulary(f"run={run.name}", run, tokenizer)
    return tokenizer


def vocabulary_content(tokenizer: Any) -> str:
    """Over the vocabulary, the merges and every rule of a tokenizer, without padding and cutting."""
    if tokenizer not in _contents:
        rules = json.loads(tokenizer.backend_tokenizer.to_str())
        _contents[tokenizer] = digest({k: v for k, v in rules.items() if k not in ("truncation", "padding")})
    return _contents[tokenizer]


def check_start_tokenizer(key: str, run: Path, tokenizer: Any) -> None:
    """Raise UserError where a run that starts from the one in `run` would read text in another way. `key` names it."""
    kept = next((found for kind in ("adapter", "model") if (found := stored_template(run / kind))), None)
    if isinstance(kept, str) and kept != unpinned(tokenizer.chat_template):
        raise UserError(
            f"`{key}`: that run was trained with another chat template than this one would use. Its own lies beside "
            f"its weights: give model.chat_template={next(run.glob(f'*/{TEMPLATE_FILE}'), run / TEMPLATE_FILE)} and no "
            "model.template_args, or train that run again."
        )
    _check_vocabulary(key, run, tokenizer)


def _check_vocabulary(key: str, run: Path, tokenizer: Any) -> None:
    record = read_json(run / "run.json") or {}
    same_code = record.get("versions", {}).get("transformers") == version("transformers")
    if same_code and record.get("tokenizer") not in (None, vocabulary_content(tokenizer)):
        raise UserError(
            f"`{key}`: the tokenizer of its base model reads text in another way than when that run was trained. Put "
            "the tokenizer's files back, or train again."
        )


def tokenizer_identity(model: ModelConfig, location: Location, records: Path | None = None) -> dict[str, str]:
    """What a run's id holds of files of a tokenizer and of its template, by what they are called; read without loading.

    Nothing of the built-in one, and of one that comes in the file of the model's weights. One that a hub id names is
    fetched for it; where that fails, its loading says so.
    """
    found = {}
    place = _own_folder(model, location)
    if place is not None and (model.tokenizer or not location.identity.startswith("gguf:")):
        settings = read_json(place / SETTINGS) or {}
        kept = {key: value for key, value in settings.items() if key not in UNREAD}
        found["tokenizer"] = digest(read_content("model.tokenizer", _files(place), records), kept)[:12]
    if template := known_template(model, location):
        found["chat template"] = digest(template)[:12]
    return found


def known_template(model: ModelConfig, location: Location) -> str | None:
    """The template with its arguments, where a file of the user's has it; None for those that the config names."""
    if model.chat_template == "zephyr":
        return None
    place = _own_folder(model, location)
    own = stored_template(place) if place is not None else None
    if model.chat_template in WORDS and own is None:
        return None
    return unpinned(chosen_template(model, own))


def _own_folder(model: ModelConfig, location: Location) -> Path | None:
    """Where the files of a tokenizer lie that is not ours: neither built in nor the bundled model's."""
    if model.tokenizer is None:
        return None if location.identity.startswith("bundled:") else location.folder
    return tokenizer_folder(model, location.folder)


def tokenizer_folder(model: ModelConfig, folder: Path | None) -> Path | None:
    """Where the files of the tokenizer lie: the folder that is named, the model's, or the hub's cache.

    None for the built-in one, and for one that is neither in the cache nor can be fetched.
    """
    if model.tokenizer is None:
        return folder
    if model.tokenizer == "bytes":
        return None
    named = Path(model.tokenizer).expanduser()
    return named if named.is_dir() else _fetched(model.tokenizer, _revision(model))


def _revision(model: ModelConfig) -> str | None:
    return model.revision if model.tokenizer == model.path else None


@cache
def _fetched(name: str, revision: str | None) -> Path | None:
    """The folder of the hub's cache, downloaded if need be."""
    from huggingface_hub import snapshot_download

    fetch = partial(
        snapshot_download, name, revision=revision, allow_patterns=[*READ, SETTINGS, "config.json", "*.jinja"]
    )
    with suppress(Exception):
        there = Path(fetch(local_files_only=True))
        if _files(there):
            return there
    with suppress(Exception):
        if not out_of_reach(name):
            there = Path(fetch())
            return there if _files(there) else None
    return None


def _files(folder: Path) -> list[Path]:
    """What tokenizers are read from, whatever library wrote them, but for settings and templates."""
    return sorted({file for pattern in READ for file in folder.glob(pattern)})
