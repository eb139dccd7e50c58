"""One export, start to finish: merge, write, load back, compare, describe.

It is written aside and renamed when it is whole. A failed export leaves nothing, and other things are never replaced.
"""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edu_align.exporting.checks import Tutor, context_notes, longest
from edu_align.exporting.gguf import check_architecture, vocabulary, write_gguf
from edu_align.exporting.llama_cpp import WHOLE, convert, find_converter, find_quantizer, quantize
from edu_align.exporting.merge import load_tutor, save_merged
from edu_align.exporting.ollama import context_of, template_note, write_modelfile
from edu_align.exporting.subject import Subject
from edu_align.reports.model_card import ASK, SHOW, Background, Exported, model_card
from edu_align.reports.stages import read_evaluation
from edu_align.runs.environment import package_versions
from edu_align.runs.folder import ancestors, records
from edu_align.runs.seal import RECORD, check_export, differences, export_files, read_export, seal
from edu_align.utils.errors import UserError
from edu_align.utils.files import check_folder, whole_folder, write_json
from edu_align.utils.output import quiet


def is_exported(output: Path, settings: dict[str, Any], overwrite: bool, records: Path, accept: bool = False) -> bool:
    """Whether `output` holds the export that `settings` describe already, whole.

    Errors, without `overwrite`: another one, one that cannot be read, and one whose files were changed, which `accept`
    takes as it is. `records` remembers what files hold.
    """
    if not (output / RECORD).is_file():
        return False
    try:
        record = read_export(output)
    except UserError:
        if overwrite:
            return False
        raise
    before = record.get("settings", {})
    others = [key for key in settings if before.get(key) != settings[key]]
    if others and not overwrite:
        changes = "; ".join(f"{key} was {before.get(key)}, now {settings[key]}" for key in others)
        raise UserError(
            f"`output={output}` holds another export: {changes}. Choose another output, or set export.overwrite=true."
        )
    if others:
        return False
    if overwrite and differences(output, record.get("files", {}), records):
        return False
    check_export(output, records, accept)
    return True


def check_output(output: Path) -> None:
    """Create the folder above `output`, and a file in it for a moment.

    Errors: a place that cannot be written, or that holds something that is no export, which is never replaced.
    """
    check_folder("output", output)
    if output.is_dir() and not (output / RECORD).is_file() and any(output.iterdir()):
        raise UserError(f"`output={output}` is a folder with other things in it. Give one that does not exist yet.")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=output.parent):
            pass
    except OSError as error:
        raise UserError(f"`output={output}` cannot be written ({error.strerror}). Choose another folder.") from None


@contextmanager
def written_aside(output: Path) -> Iterator[Path]:
    """An empty folder beside `output` that takes its place, and that of an older export, once the block is through.

    After an error it is removed, and `output` is what it was.
    """
    with whole_folder(output) as aside:
        yield aside
        _open_to_readers(aside)


def _open_to_readers(folder: Path) -> None:
    """Give folders and files the usual permissions: some libraries make them readable by their owner alone."""
    mask = os.umask(0)
    os.umask(mask)
    for path in (folder, *folder.rglob("*")):
        path.chmod((0o777 if path.is_dir() else 0o666) & ~mask)


def describe(
    subject: Subject, folder: Path, checks: list[str], gguf: Path | None, usage: list[str] | None = None
) -> None:
    """Write README.md and export.json into the folder. `checks` are sentences; `gguf` is relative to the folder;
    `usage`: Markdown lines on how to use it, those of a tutor unless given.
    """
    run = subject.run
    evaluated = (run.path / "evaluation.json").is_file()
    background = Background(
        base_folder=subject.location.folder if subject.adapter else None,
        earlier=records(ancestors(run)[1:]),  # as far back as their folders are still there
        evaluation=read_evaluation(run.path) if evaluated else {},
    )
    export = subject.config.export
    usage = usage or _usage(export.push_to_hub, subject, gguf)
    exported = Exported(subject.label, usage, checks, export.license)
    card = model_card(subject.config, run.record, background, exported)
    (folder / "README.md").write_text(card, encoding="utf-8")
    record = {"settings": subject.settings(), "checks": checks, "versions": package_versions()}
    write_json(folder / RECORD, {**record, "files": seal(folder, export_files(folder))})


def _usage(repository: str | None, subject: Subject, gguf: Path | None) -> list[str]:
    where = repository or "path/to/this/folder"
    lines = [
        "```python",
        "from transformers import AutoModelForCausalLM, AutoTokenizer",
        "",
        f'tokenizer = AutoTokenizer.from_pretrained("{where}")',
        f'model = AutoModelForCausalLM.from_pretrained("{where}")',
        *ASK,
        f"reply = model.generate(**inputs, max_new_tokens={subject.config.generation.max_new_tokens})",
        SHOW,
        "```",
        "",
        "As a server that speaks OpenAI's protocol:",
        "",
        "```",
        f"transformers serve {where}",
        f"vllm serve {where}",
        "```",
    ]
    if prompt := subject.config.dataset.system_prompt:
        lines += ["", "It was trained with this system prompt, so put it first:", "", f"> {' '.join(prompt.split())}"]
    if gguf is not None:
        folder = gguf.parent.as_posix()
        create = f"ollama create {subject.label} -f {folder}/Modelfile"
        lines += ["", "With Ollama, from the GGUF:", "", "```", create, f"ollama run {subject.label}", "```"]
    return lines


def check_before(subject: Subject) -> None:
    """Raise UserError for a GGUF that cannot be written, while nothing has been loaded."""
    export, folder = subject.config.export, subject.location.folder
    if export.gguf is None:
        return
    if export.quantizer is not None:
        find_quantizer(export.quantizer)
    if export.converter is not None:
        find_converter(export.converter)
    elif folder is None:
        check_architecture({"model_type": subject.config.model.architecture.model_type})
    else:
        check_architecture(json.loads((folder / "config.json").read_text(encoding="utf-8")))


def write_export(subject: Subject, output: Path) -> None:
    """Write the export of `subject` to the folder `output`. Errors: one whose replies are not the tutor's."""
    quiet()
    export = subject.config.export
    log(f"loading {subject.run.record['base_model']} in {subject.dtype}")
    model, tokenizer = load_tutor(subject)
    if export.gguf is not None and export.converter is None:
        vocabulary(tokenizer, model.get_input_embeddings().weight.size(0))
    tutor = Tutor.of(subject, model, tokenizer)
    with written_aside(output) as folder:
        ends = save_merged(model, tokenizer, subject, folder)
        del model
        checks = tutor.check_merged(folder)
        gguf = None
        if export.gguf is not None:
            gguf = Path("gguf") / f"{subject.label}-{export.gguf}.gguf"
            checks += _add_gguf(tutor, folder, folder / gguf, ends)
        describe(subject, folder, checks, gguf)
    for line in checks:
        log(line)
    log(f"exported to {output}")


def log(text: str) -> None:
    print(f"edu_align: {text}", flush=True)


def _add_gguf(tutor: Tutor, folder: Path, gguf: Path, ends: list[int]) -> list[str]:
    """Write the GGUF of the merged `folder` and a Modelfile beside it. Returns what was checked, a sentence each."""
    config, tokenizer = tutor.subject.config, tutor.tokenizer
    export: Any = config.export
    gguf.parent.mkdir()
    if export.quantizer is None:
        _write(tutor, folder, gguf, export.gguf)
    else:
        with tempfile.TemporaryDirectory(dir=gguf.parent) as aside:
            whole = Path(aside) / "whole.gguf"
            _write(tutor, folder, whole, WHOLE[tutor.subject.dtype])
            quantize(find_quantizer(export.quantizer), whole, gguf, export.gguf)
    checks = (
        [tutor.check_gguf(gguf), *context_notes(folder)] if export.converter is None else [tutor.check_converted(gguf)]
    )
    context = context_of(longest(gguf), config.trainer.max_length)
    found = write_modelfile(gguf, tokenizer, ends, config.generation, config.dataset.system_prompt, context)
    return [*checks, template_note(found is not None)]


def _write(tutor: Tutor, folder: Path, file: Path, kind: str) -> None:
    """The GGUF of the merged `folder`, in a format that is written here or, where one is given, by the converter."""
    converter, label = tutor.subject.config.export.converter, tutor.subject.label
    if converter is None:
        write_gguf(folder, tutor.tokenizer, file, kind, label)
    else:
        convert(find_converter(converter), folder, file, kind, label)
