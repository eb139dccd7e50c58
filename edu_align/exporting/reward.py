"""A reward model as one folder: adapter merged, head kept, loaded back as transformers loads it and compared."""

from pathlib import Path
from typing import Any

from edu_align.exporting.checks import QUESTIONS
from edu_align.exporting.merge import LOCAL_KEYS, merged_weights, read_base
from edu_align.exporting.subject import Subject
from edu_align.exporting.write import describe, log, written_aside
from edu_align.models.reward import FACTS, facts_in, read_replies, with_head
from edu_align.models.scoring import reply_rows, score
from edu_align.models.tokenizer import load_run_tokenizer
from edu_align.records import Message, Response, ResponseGroup
from edu_align.reports.reward_card import scoring, whole
from edu_align.runs.folder import RunFolder
from edu_align.utils.errors import UserError
from edu_align.utils.files import read_json, write_json
from edu_align.utils.output import quiet

REPLIES = ("How many quarters do you have in all?", "The answer is 1.", "Well done! Please recheck your work.", "No.")
# Largest share of the largest reward that rounding to a number format may move one by.
TOLERANCE = {"float32": 1e-3, "float16": 0.03, "bfloat16": 0.2}


def refuse_gguf(run: RunFolder, kind: str | None) -> None:
    """Raise UserError where a GGUF is asked for."""
    if kind is not None:
        raise UserError(
            f"`export.gguf={kind}`: run={run.path.resolve().name} is a reward model, and a GGUF for llama.cpp or "
            "Ollama holds none of its head. Drop export.gguf: the merged folder keeps the head."
        )


def write_reward_export(subject: Subject, output: Path) -> None:
    """Write the export of `subject`, a reward model's run. Errors: one that gives other rewards than the run's own."""
    import torch

    quiet()
    log(f"loading {subject.run.record['base_model']} in {subject.dtype}")
    facts = facts_in(subject.run.path)
    assert facts is not None
    tokenizer = load_run_tokenizer(subject.config.model, subject.location.folder, subject.run.path)
    model = _trained(subject, facts)
    before = _rewards(model, tokenizer)
    with written_aside(output) as folder:
        merged = merged_weights(model, subject) if subject.adapter is not None else model
        merged.config.use_cache, merged.config.pad_token_id = True, tokenizer.pad_token_id
        merged.save_pretrained(str(folder))
        tokenizer.save_pretrained(str(folder))
        _without_paths(folder)
        write_json(folder / FACTS, facts)
        del model, merged
        back = _loaded(folder, facts, getattr(torch, subject.dtype))
        checks = [_check(before, _rewards(back, tokenizer), subject)]
        describe(subject, folder, checks, None, scoring(subject.config, whole("path/to/this/folder")))
    for line in checks:
        log(line)
    log(f"exported to {output}")


def _trained(subject: Subject, facts: dict[str, Any]) -> Any:
    """Base, adapter and head, or the whole model, in the export's dtype; the head in float32."""
    import torch

    dtype = getattr(torch, subject.dtype)
    if subject.adapter is None:
        return _loaded(subject.location.folder, facts, dtype)
    from peft import PeftModel

    network = with_head(read_base(subject))
    read_replies(network, facts)
    adapted = PeftModel.from_pretrained(network, str(subject.adapter), use_safetensors=True)
    return adapted.eval().requires_grad_(False)


def _loaded(folder: Path | None, facts: dict[str, Any], dtype: Any) -> Any:
    """The folder as a user loads it; no code and no pickle in it is run."""
    from transformers import AutoModelForSequenceClassification

    model: Any = AutoModelForSequenceClassification.from_pretrained(
        str(folder), use_safetensors=True, trust_remote_code=False, dtype=dtype
    )
    read_replies(model, facts)
    return model.eval().requires_grad_(False)


def _rewards(model: Any, tokenizer: Any) -> list[float]:
    groups = [
        ResponseGroup((Message("user", question),), tuple(Response(text, 0.0) for text in REPLIES), question, "", "")
        for question in QUESTIONS
    ]
    length = int(model.config.max_position_embeddings)
    families = [reply_rows(tokenizer, group, length) for group in groups]
    return [reward for scored in score(model, tokenizer, families) for reward, _ in scored]


def _check(before: list[float], after: list[float], subject: Subject) -> str:
    """A sentence on how far the folder is from the run. Errors: too far."""
    largest = max(map(abs, before))
    moved = max(abs(a - b) for a, b in zip(before, after, strict=True)) / (largest or 1.0)
    if not moved <= TOLERANCE[subject.dtype]:  # NaN is outside too
        raise UserError(
            f"the merged folder was loaded back and gives other rewards than the run: one moved by {moved:.2g} of the "
            f"largest, and {subject.dtype} may move it by {TOLERANCE[subject.dtype]:g}. Nothing was kept. Try "
            "export.dtype=float32."
        )
    return f"the merged folder gives the run's rewards: none moved by more than {moved:.2g} of the largest"


def _without_paths(folder: Path) -> None:
    for name in ("config.json", "tokenizer_config.json"):
        content = read_json(folder / name) or {}
        write_json(folder / name, {key: value for key, value in content.items() if key not in LOCAL_KEYS})
