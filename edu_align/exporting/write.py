"""One export, start to finish: merge, write, load back, compare, describe; nothing stays of one that is not right."""

import json
from pathlib import Path
from typing import Any

from edu_align.exporting.checks import Tutor, about_context, about_template
from edu_align.exporting.describe import describe
from edu_align.exporting.gguf_file import check_architecture, write_gguf
from edu_align.exporting.gguf_vocabulary import vocabulary
from edu_align.exporting.llama_cpp import convert, find_converter
from edu_align.exporting.merge import load_tutor, save_merged
from edu_align.exporting.modelfile import write_modelfile
from edu_align.exporting.place import written_aside
from edu_align.exporting.subject import Subject
from edu_align.quiet import quiet


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
    export = subject.config.export
    say(f"loading {subject.run.record['base_model']} in {subject.dtype}")
    model, tokenizer = load_tutor(subject)
    if export.gguf is not None and export.converter is None:
        vocabulary(tokenizer, model.get_input_embeddings().weight.size(0))
    tutor = Tutor.of(subject, model, tokenizer)
    with written_aside(output) as folder:
        ends = save_merged(model, tokenizer, subject, folder)
        del model
        checks = [tutor.check_merged(folder)]
        gguf = None
        if export.gguf is not None:
            gguf = Path("gguf") / f"{subject.label}-{export.gguf}.gguf"
            checks += _add_gguf(tutor, folder, folder / gguf, ends)
        describe(subject, folder, checks, gguf)
    for line in checks:
        say(line)
    say(f"exported to {output}")


def say(text: str) -> None:
    print(f"edu_align: {text}", flush=True)


def _add_gguf(tutor: Tutor, folder: Path, gguf: Path, ends: list[int]) -> list[str]:
    """Write the GGUF of the merged `folder` and a Modelfile beside it; what was checked, a sentence each."""
    config, tokenizer = tutor.subject.config, tutor.tokenizer
    kind: Any = config.export.gguf
    gguf.parent.mkdir()
    if config.export.converter is not None:
        convert(find_converter(config.export.converter), folder, gguf, kind, tutor.subject.label)
        told = [tutor.check_converted(gguf)]
    else:
        write_gguf(folder, tokenizer, gguf, kind, tutor.subject.label)
        told = [tutor.check_gguf(gguf), *about_context(folder)]
    found = write_modelfile(gguf, tokenizer, ends, config.generation, config.dataset.system_prompt)
    return [*told, about_template(found is not None)]
