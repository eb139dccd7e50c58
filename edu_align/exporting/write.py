"""One export, start to finish: merge, write, load back, compare, describe; nothing stays of one that is not right."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edu_align.chatting.tutor import quiet
from edu_align.errors import UserError
from edu_align.exporting.agreement import Agreement, Replies, compare, prompts, replies_of, require
from edu_align.exporting.describe import describe
from edu_align.exporting.gguf_file import check_architecture, context_length, write_gguf
from edu_align.exporting.gguf_vocabulary import vocabulary
from edu_align.exporting.llama_cpp import convert, find_converter
from edu_align.exporting.merge import load_merged, load_tutor, save_merged
from edu_align.exporting.modelfile import write_modelfile
from edu_align.exporting.place import written_aside
from edu_align.exporting.subject import Subject

# Ways to split text that transformers knows when it reads a tokenizer out of a GGUF; for others it guesses.
READ_ALIKE = ("gpt-2", "llama-bpe", "qwen2", "tekken")


def check_before(subject: Subject) -> None:
    """Raise UserError for a GGUF that cannot be written, while nothing has been loaded."""
    export, folder = subject.config.export, subject.location.folder
    if export.gguf is None:
        return
    if export.converter is not None:
        find_converter(export.converter)
    elif folder is None:
        check_architecture({"model_type": subject.config.model.architecture.model_type})
    else:
        check_architecture(json.loads((folder / "config.json").read_text(encoding="utf-8")))


def write_export(subject: Subject, output: Path) -> None:
    """Write the export of `subject` to the folder `output`. Errors: one that does not say what the tutor says."""
    quiet()
    export, system = subject.config.export, subject.config.dataset.system_prompt
    say(f"loading {subject.run.record['base_model']} in {subject.dtype}")
    model, tokenizer = load_tutor(subject)
    if export.gguf is not None and export.converter is None:
        vocabulary(tokenizer, model.get_input_embeddings().weight.size(0))
    tutor = replies_of(model, tokenizer, system)
    learned = _without_adapter(tutor, model)
    with written_aside(output) as folder:
        ends = save_merged(model, tokenizer, subject, folder)
        del model
        checks = [_check_merged(subject, folder, tutor, tokenizer, learned)]
        gguf = None
        if export.gguf is not None:
            gguf = folder / "gguf" / f"{subject.label}-{export.gguf}.gguf"
            gguf.parent.mkdir()
            checks += _write_gguf(subject, folder, gguf, tokenizer, tutor)
            found = write_modelfile(gguf, tokenizer, ends, subject.config.generation, system)
            checks.append(_about_template(found is not None))
        describe(subject, folder, checks, gguf.relative_to(folder) if gguf else None)
    for line in checks:
        say(line)
    say(f"exported to {output}")


def say(text: str) -> None:
    print(f"edu_align: {text}", flush=True)


def _without_adapter(tutor: Replies, model: Any) -> Agreement | None:
    """How far the base is from the tutor: what a merge that failed would look like."""
    if not hasattr(model, "disable_adapter"):
        return None
    with model.disable_adapter():
        return compare(tutor, model)


def _check_merged(subject: Subject, folder: Path, tutor: Replies, tokenizer: Any, learned: Agreement | None) -> str:
    """Load the folder as a user does, compare, and say how it came out."""
    model, read_back = load_merged(folder)
    texts = prompts(tokenizer, subject.config.dataset.system_prompt)
    if _ids(read_back, texts) != _ids(tokenizer, texts) or read_back.chat_template != tokenizer.chat_template:
        raise UserError("the tokenizer was loaded back and reads text in another way. Nothing was kept: it is a bug.")
    found = compare(tutor, model)
    tolerance = require(found, [subject.dtype], f"the merged model ({subject.dtype})")
    line = f"merged ({subject.dtype}), loaded back: {found.describe()} (tolerance {tolerance:g})"
    if learned is None:
        return f"{line}."
    hidden = found.moved > learned.moved / 2
    advice = " Rounding hides what was learned: set export.dtype=float32." if hidden else ""
    return f"{line}; the adapter itself moved {learned.moved:.2g}.{advice}"


def _write_gguf(subject: Subject, folder: Path, gguf: Path, tokenizer: Any, tutor: Replies) -> list[str]:
    export = subject.config.export
    assert export.gguf is not None
    if export.converter is not None:
        convert(find_converter(export.converter), folder, gguf, export.gguf, subject.label)
        return [_or_unread(lambda: _check_gguf(subject, gguf, tokenizer, tutor), gguf)]
    write_gguf(folder, tokenizer, gguf, export.gguf, subject.label)
    return [_check_gguf(subject, gguf, tokenizer, tutor), *_about_context(folder)]


def _or_unread(check: Callable[[], str], gguf: Path) -> str:
    """llama.cpp's converter knows models that transformers cannot read back; those are left to the user."""
    try:
        return check()
    except UserError:
        raise
    except Exception as error:
        why = str(error).strip().splitlines()[0][:160]
        return f"{gguf.name} was written by llama.cpp's converter and could not be compared with the tutor: {why}"


def _check_gguf(subject: Subject, gguf: Path, tokenizer: Any, tutor: Replies) -> str:
    """Load the GGUF alone, weights, shape and tokenizer, and compare it with the tutor."""
    from edu_align.exporting.gguf_reading import load_gguf

    kind = subject.config.export.gguf
    assert kind is not None
    model, read_back, pre = load_gguf(gguf, subject.dtype)
    texts = prompts(tokenizer, subject.config.dataset.system_prompt)
    alike = _ids(read_back, texts) == _ids(tokenizer, texts)
    if not alike and pre in READ_ALIKE:
        raise UserError(
            f"the tokenizer in {gguf.name} was loaded back and reads text in another way. Nothing was kept."
        )
    found = compare(tutor, model)
    tolerance = require(found, [subject.dtype, kind], gguf.name)
    unsure = "" if alike else f" transformers reads its tokenizer ({pre}) in another way; only llama.cpp can tell."
    return f"GGUF ({kind}), loaded back: {found.describe()} (tolerance {tolerance:g}).{unsure}"


def _about_context(folder: Path) -> list[str]:
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(str(folder))
    context = context_length(config)
    if context == config.max_position_embeddings:
        return []
    return [f"the GGUF's context ends at {context} tokens, the model's sliding window, which llama.cpp does not have."]


def _about_template(found: bool) -> str:
    if found:
        return "the Modelfile's TEMPLATE writes dialogues of one to three questions exactly as the chat template does."
    return (
        "the chat template does more than a Modelfile's TEMPLATE can say here, so Ollama goes by the one in the GGUF."
    )


def _ids(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    ids: list[list[int]] = tokenizer(texts, add_special_tokens=False)["input_ids"]
    return ids
