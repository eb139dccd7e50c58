"""What an export says of itself: its model card and export.json."""

from pathlib import Path
from typing import Any

from edu_align.exporting.place import RECORD
from edu_align.exporting.subject import Subject
from edu_align.reports.model_card import Background, Exported, model_card
from edu_align.reports.stages import read_evaluation
from edu_align.runs.facts import package_versions
from edu_align.runs.folder import RunFolder, ancestors, records
from edu_align.runs.writing import write_json


def describe(subject: Subject, folder: Path, checks: list[str], gguf: Path | None) -> None:
    """Write README.md and export.json into the folder. `checks` are sentences; `gguf` is relative to the folder."""
    run = subject.run
    evaluated = (run.path / "evaluation.json").is_file()
    background = Background(
        base_folder=subject.location.folder if subject.adapter else None,
        earlier=earlier_records(run),
        evaluation=read_evaluation(run.path) if evaluated else {},
    )
    export = subject.config.export
    exported = Exported(subject.label, _usage(export.push_to_hub, subject, gguf), checks, export.license)
    card = model_card(subject.config, run.record, background, exported)
    (folder / "README.md").write_text(card, encoding="utf-8")
    write_json(folder / RECORD, {"settings": subject.settings(), "checks": checks, "versions": package_versions()})


def earlier_records(run: RunFolder) -> list[dict[str, Any]]:
    """run.json of the runs that this one continues, as far back as their folders are still there."""
    return records(ancestors(run)[1:])


def _usage(repository: str | None, subject: Subject, gguf: Path | None) -> list[str]:
    where = repository or "path/to/this/folder"
    lines = [
        "```python",
        "from transformers import AutoModelForCausalLM, AutoTokenizer",
        "",
        f'tokenizer = AutoTokenizer.from_pretrained("{where}")',
        f'model = AutoModelForCausalLM.from_pretrained("{where}")',
        'messages = [{"role": "user", "content": "I added 3/4 and 1/4 and got 4/8. Is that right?"}]',
        "inputs = tokenizer.apply_chat_template(",
        '    messages, add_generation_prompt=True, return_tensors="pt", return_dict=True',
        ")",
        f"reply = model.generate(**inputs, max_new_tokens={subject.config.generation.max_new_tokens})",
        'print(tokenizer.decode(reply[0, inputs["input_ids"].size(1) :], skip_special_tokens=True))',
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
        made = f"ollama create {subject.label} -f {folder}/Modelfile"
        lines += ["", "With Ollama, from the GGUF:", "", "```", made, f"ollama run {subject.label}", "```"]
    return lines
