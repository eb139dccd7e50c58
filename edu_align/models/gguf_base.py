"""A GGUF file as base model: made a folder of config.json, tokenizer and safetensors once, under outputs_root.

The folder is written aside and renamed, listed with the sha256 of its files, and made again where one is no longer what
was written. Weights of f32 and f16 files keep their precision; all others are bfloat16, whose rounding is far below
that of the quantization. The dtype does not depend on `hardware`, so that a file is one base model and one folder.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache, lru_cache
from math import prod
from pathlib import Path
from typing import Any

from edu_align.config.compose import name_of
from edu_align.config.schema import ModelConfig
from edu_align.models.content import DIGITS, SEAL, bytes_content, read_content
from edu_align.models.gguf_config import config_of, unread
from edu_align.models.gguf_file import BF16, F16, F32, SUFFIX, Header, read_header
from edu_align.models.gguf_tokenizer import check_tokenizer, put_back, template_of
from edu_align.models.template_choice import chosen_template
from edu_align.utils.errors import UserError, first_line
from edu_align.utils.files import held, read_json, remove_abandoned, write_json
from edu_align.utils.hashing import digest, file_digest, file_digests, records_in
from edu_align.utils.output import quiet

BUNDLED_NAME = "smollm2-135m-instruct"  # the package's model in the folder's name
# Versions of `_dequantize` and, for the package's model, of `_as_transformers_reads`. A mend that gives another folder
# of the same file raises one: then folders are made again under other names, and a run is told that its base changed.
VERSION = 1
BUNDLED_VERSION = 1


def check_gguf(file: Path, model: ModelConfig) -> None:
    """Errors: a file that cannot be a base model, or not with this `model`'s tokenizer and template."""
    header = read_header(file)
    config_of(header)
    if model.tokenizer is None:
        check_tokenizer(header)
        chosen_template(model, template_of(header))


def gguf_folder(file: Path, outputs_root: Path) -> tuple[Path, str]:
    """The folder made of the file, and what it was made of, 16 hex digits: the file's content, and the reader's
    version beyond the first. Errors: see `check_gguf`.
    """
    return _made(file, name_of(str(file)), outputs_root, bundled=False)


def bundled_folder(file: Path, outputs_root: Path) -> tuple[Path, str]:
    """As `gguf_folder`, of the package's model: in float32 and wholly as transformers reads it, as it always was."""
    return _made(file, BUNDLED_NAME, outputs_root, bundled=True)


def folders_made(name: str, outputs_root: Path) -> list[Path]:
    """Folders that were made of files of this name, the last one first, without their content looked at."""
    found = (outputs_root / "cache" / "models").glob(f"{name}-{'[0-9a-f]' * DIGITS}")
    return sorted(found, key=lambda folder: (-folder.stat().st_mtime, folder.name))


def _made(file: Path, name: str, outputs_root: Path, bundled: bool) -> tuple[Path, str]:
    records = records_in(outputs_root)  # the package's file keeps its name, which its content was once taken with
    content = read_content("model.path", [file], records) if bundled else bytes_content("model.path", file, records)
    version = BUNDLED_VERSION if bundled else VERSION
    content = (content if version == 1 else digest(content, version))[:DIGITS]
    folder = outputs_root / "cache" / "models" / f"{name}-{content}"
    _make(folder, file, outputs_root, bundled)
    return folder, content


def _make(folder: Path, file: Path, outputs_root: Path, bundled: bool) -> None:
    if folder.exists():
        damaged = _damaged(folder, records_in(outputs_root))
        if not damaged:
            return
        print(f"edu_align: {folder / damaged} is not what was written there; it is made again", flush=True)
    print(f"edu_align: dequantizing {file.name} into {folder} (once, about a minute)", flush=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left in folder.parent.glob(".dequantized-*"):
        remove_abandoned(left)
    with tempfile.TemporaryDirectory(prefix=".dequantized-", dir=folder.parent) as aside, held(Path(aside)):
        made, older = Path(aside) / "made", Path(aside) / "older"
        quiet(weights_bar=True)
        with _read_once():
            if bundled:
                _as_transformers_reads(file, made, "float32")
            else:
                _dequantize(file, made)
        seal = {each.name: sha256 for each, sha256 in file_digests(sorted(made.iterdir()), None).items()}
        write_json(made / SEAL, seal)
        with suppress(OSError):  # another process may have been faster
            folder.rename(older)
        with suppress(OSError):
            made.rename(folder)


def _damaged(folder: Path, records: Path) -> str:
    """The first file of a sealed folder that is not as it was sealed; "" where all are."""
    seal = read_json(folder / SEAL)
    if not seal:
        return SEAL
    for name, sha256 in seal.items():
        try:
            if file_digest(folder / name, records) != sha256:
                return name
        except OSError:
            return name
    return ""


def dtype_of(header: Header) -> str:
    """float32 or float16 where most of the file's numbers are in it, else bfloat16."""
    counts: dict[int, int] = {}
    for tensor in header.tensors.values():
        counts[tensor.kind] = counts.get(tensor.kind, 0) + prod(tensor.shape)
    return {F32: "float32", F16: "float16", BF16: "bfloat16"}.get(max(counts, key=counts.__getitem__), "bfloat16")


def _dequantize(file: Path, folder: Path) -> None:
    """Errors: a file that transformers cannot read, or reads a part of."""
    header = read_header(file)
    if left := unread(header):
        print(f"edu_align: {file.name} states {', '.join(left)}, which is not gone by", flush=True)
    try:
        with _named(file) as source:
            loaded, tokenizer = _load(header, source)
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"`model.path`: {str(file)!r} cannot be read by transformers ({type(error).__name__}: "
            f"{first_line(error, 200)}). Give the folder with config.json and safetensors that it was made of."
        ) from error
    loaded.save_pretrained(folder)
    if tokenizer is not None:
        tokenizer.save_pretrained(folder)


def _load(header: Header, source: dict[str, Any]) -> tuple[Any, Any]:
    """Model, and tokenizer where one can be made of the file."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GgufConfig

    config = AutoConfig.for_model(**config_of(header))
    both: Any = AutoModelForCausalLM.from_pretrained(
        **source, config=config, quantization_config=GgufConfig(dequantize=True), dtype=dtype_of(header),
        trust_remote_code=False, output_loading_info=True,
    )  # fmt: skip
    model, info = both
    _check_all_read(header, model, info)
    _name_ends(header, model)
    try:
        check_tokenizer(header)
    except UserError:  # `model.tokenizer` names another
        return model, None
    tokenizer = AutoTokenizer.from_pretrained(**source, trust_remote_code=False)
    return model, put_back(tokenizer, header)


def absent_weights(info: dict[str, Any]) -> list[str]:
    """Tensors that files lack, or hold in another shape, by what transformers says of loading: it draws them anew."""
    return sorted({*info["missing_keys"], *(name for name, *_ in info["mismatched_keys"])})


def _check_all_read(header: Header, model: Any, info: dict[str, Any]) -> None:
    """Errors: weights that the file lacks, which would be random, or has and transformers has no place for."""
    absent = absent_weights(info)
    held_there = sum(prod(t.shape) for name, t in header.tensors.items() if not name.startswith("rope_"))
    placed = sum(weights.numel() for weights in model.parameters())
    if absent or held_there != placed:
        first = f"; the first that is missing is {absent[0]}" if absent else ""
        raise UserError(
            f"`model.path`: {header.file.name} holds {held_there:,} weights, and its network in transformers "
            f"{placed:,}{first}. Give the folder with config.json and safetensors that the file was made of."
        )


def _name_ends(header: Header, model: Any) -> None:
    """Let generation end at all tokens that llama.cpp ends a reply at: end of text, of turn, of message."""
    keys = [f"tokenizer.ggml.{name}_token_id" for name in ("eos", "eot", "eom")]
    ends = list(dict.fromkeys(header.values[key] for key in keys if key in header.values))
    if len(ends) > 1:
        model.generation_config.eos_token_id = ends


@contextmanager
def _read_once() -> Iterator[None]:
    """Let transformers parse a file once: it does so for the tokenizer, the config and the weights, and makes the table
    of tensor names anew for each layer, each time to the same result.
    """
    import gguf

    parse, names = gguf.GGUFReader, gguf.get_tensor_name_map
    gguf.GGUFReader, gguf.get_tensor_name_map = lru_cache(1)(parse), cache(names)  # type: ignore[misc, assignment]
    try:
        yield
    finally:
        gguf.GGUFReader, gguf.get_tensor_name_map = parse, names  # type: ignore[misc]


@contextmanager
def _named(file: Path) -> Iterator[dict[str, Any]]:
    """How transformers is given the file: a folder and a name that ends as it expects."""
    with tempfile.TemporaryDirectory() as folder:
        name = f"model{SUFFIX}"
        (Path(folder) / name).symlink_to(file.resolve())
        yield {"pretrained_model_name_or_path": folder, "gguf_file": name}


def _as_transformers_reads(file: Path, folder: Path, dtype: str) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    source: dict[str, Any] = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
    AutoTokenizer.from_pretrained(**source, trust_remote_code=False).save_pretrained(folder)
    loaded = AutoModelForCausalLM.from_pretrained(
        **source, quantization_config=GgufConfig(dequantize=True), dtype=dtype, trust_remote_code=False
    )
    loaded.save_pretrained(folder)
