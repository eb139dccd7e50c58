"""A GGUF file's tokenizer: which ones are read, and what transformers' reader leaves out of them.

transformers builds the vocabulary and merges. It splits text by GPT-2's rule where it does not know the file's name for
the way to split, takes merges where a whole token is meant, puts a space before a text only at its very beginning, and
adds tokens that the vocabulary lacks (<|endoftext|> to Llama 3's), which no row of the embedding stands for.
"""

import json
from typing import Any

from edu_align.models.gguf_file import Header
from edu_align.models.template_choice import Own
from edu_align.utils.errors import UserError

# Names of ways to split text before a byte-level BPE (`tokenizer.ggml.pre`), as llama.cpp groups them.
_AS_GPT2 = ("gpt-2", "phi-2", "mpt", "olmo")
_DIGITS_APART = ("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b")
# A token that is there as a whole counts before all merges, and texts begin with the begin token.
_WHOLE = ("llama3", "llama-v3", "llama-bpe", "falcon3", "pixtral", "tekken")
_OTHERS = ("qwen2", "deepseek-r1-qwen", "megrez", "dbrx", "smaug-bpe", "gpt-4o", "llama4", "qwen35")
SPLITS = (*_AS_GPT2, *_DIGITS_APART, *_WHOLE, *_OTHERS)
_OWN_SPACES = ("gemma2", "gemma3")  # transformers' rules for these architectures add none


def template_of(header: Header) -> Own:
    """The chat template in the file, or several by name; None without one."""
    key = "tokenizer.chat_template"
    named = {name.removeprefix(f"{key}."): text for name, text in header.values.items() if name.startswith(f"{key}.")}
    default = header.values.get(key)
    if not named:
        return default
    return {**({"default": default} if default else {}), **named}


def special_tokens(header: Header) -> dict[str, str]:
    """`{"bos_token": "<s>", ...}`, as chat templates read them."""
    names = {"bos": "bos", "eos": "eos", "unk": "unknown", "pad": "padding"}
    found = {f"{name}_token": header.token(key) for name, key in names.items()}
    return {name: token for name, token in found.items() if token is not None}


def check_tokenizer(header: Header) -> None:
    """Errors: a tokenizer that cannot be read out of the file, or has no end token."""
    kind, pre = header.values.get("tokenizer.ggml.model"), header.values.get("tokenizer.ggml.pre")
    if kind not in ("gpt2", "llama"):
        problem = f"is of the kind {kind}" if kind and kind != "no_vocab" else "is not in it"
    elif kind == "gpt2" and pre not in SPLITS:
        problem = f"splits text in a way ({pre or 'not stated'}) that is not known here"
    elif header.token("eos") is None:
        problem = "names no end token"
    else:
        return
    raise UserError(
        f"`model.path`: the tokenizer of {str(header.file)!r} {problem}. Set model.tokenizer=<hub id or folder of the "
        "model that the file was made of>."
    )


def put_back(tokenizer: Any, header: Header) -> Any:
    """A tokenizer of the one that transformers has read out of the file, which reads text as llama.cpp does."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    rules, values = json.loads(tokenizer.backend_tokenizer.to_str()), header.values
    pre, pieces = values.get("tokenizer.ggml.pre"), values["tokenizer.ggml.model"] == "llama"
    size = len(values["tokenizer.ggml.tokens"])
    rules["added_tokens"] = [added for added in rules["added_tokens"] if added["id"] < size]
    rules["post_processor"] = None
    if pieces and header.architecture not in _OWN_SPACES:
        rules["normalizer"] = _spaces(values.get("tokenizer.ggml.add_space_prefix", True))
        rules["pre_tokenizer"] = None
    elif pre in _DIGITS_APART:
        rules["pre_tokenizer"] = _DIGITS
    elif pre in _WHOLE:
        rules["model"]["ignore_merges"] = True
    begins = values.get("tokenizer.ggml.add_bos_token", pieces or pre in _WHOLE)
    found = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(rules)),
        add_bos_token=bool(begins) and header.token("bos") is not None,
        **special_tokens(header),
    )
    found.chat_template = template_of(header)
    return found


_DIGITS = {
    "type": "Sequence",
    "pretokenizers": [
        {"type": "Digits", "individual_digits": True},
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
    ],
}


def _spaces(prefix: bool) -> dict[str, Any]:
    """Underlines for spaces; `prefix`: and one before each stretch of text between control tokens."""
    underlines = {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}
    return {
        "type": "Sequence",
        "normalizers": [*([{"type": "Prepend", "prepend": "\u2581"}] if prefix else []), underlines],
    }
