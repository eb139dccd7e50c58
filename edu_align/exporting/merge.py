"""Base model and adapter, merged into one folder that transformers, vLLM and others load."""

import json
from pathlib import Path
from typing import Any

from edu_align.config.schema import GenerationConfig
from edu_align.exporting.subject import Subject
from edu_align.models.device import Device, resolve
from edu_align.models.reply_end import end_tokens
from edu_align.models.template_choice import unpinned
from edu_align.models.tokenizer import load_run_tokenizer, read_tokenizer
from edu_align.models.weights import load_model
from edu_align.utils.errors import UserError

# Where transformers read a model from; a path of this machine is of no use to others.
LOCAL_KEYS = ("_name_or_path", "name_or_path", "is_local", "local_files_only")


def load_tutor(subject: Subject) -> tuple[Any, Any]:
    """The tutor, not yet merged, and its tokenizer, on the CPU.

    The base is never quantized, whatever it was while training: an adapter can only be merged into whole weights.
    """
    model = _with_adapter(read_base(subject), subject)
    tokenizer = load_run_tokenizer(subject.config.model, subject.location.folder, subject.run.path)
    tokenizer.chat_template = unpinned(tokenizer.chat_template)
    return model, tokenizer


def load_trained(subject: Subject) -> Any:
    """Base and adapter as they were trained, on the CPU: the base quantized, what is not in the dtype of the export.

    Errors: whatever bitsandbytes raises where it is missing or cannot do it.
    """
    return _with_adapter(_read_base(subject, subject.config.hardware.quantization), subject)


def _with_adapter(model: Any, subject: Subject) -> Any:
    if subject.adapter is not None:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, str(subject.adapter), use_safetensors=True)
    model.eval()
    model.requires_grad_(False)
    return model


def read_base(subject: Subject) -> Any:
    """What lies under the adapter, whole, in the dtype of the export."""
    import torch

    return _read_base(subject, "none").to(getattr(torch, subject.dtype))


def _read_base(subject: Subject, quantization: str) -> Any:
    config, location, dtype = subject.config, subject.location, subject.dtype
    if location.folder is None:  # random weights as in training, then rounded: another format would give others
        dtype = resolve(config).dtype
    device = Device("cpu", dtype, "sdpa", quantization, ())
    return load_model(config.model, location, device, config.seed, config.hardware.double_quantization)


def save_merged(model: Any, tokenizer: Any, subject: Subject, folder: Path) -> list[int]:
    """Merge, write weights, config, generation config and tokenizer into `folder`; returns ids that end a reply.

    Tied embeddings are written once, as the config says. Errors: an adapter with broken numbers.
    """
    merged = merged_weights(model, subject) if subject.adapter is not None else model
    merged.config.use_cache = True
    ends = end_tokens(merged, tokenizer)
    merged.generation_config = generation_config(ends, tokenizer, subject.config.generation)
    for key in ("bos_token_id", "eos_token_id", "pad_token_id"):
        setattr(merged.config, key, getattr(merged.generation_config, key))
    merged.save_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))
    for name in ("config.json", "tokenizer_config.json"):
        content = json.loads((folder / name).read_text(encoding="utf-8"))
        kept = {key: value for key, value in content.items() if key not in LOCAL_KEYS}
        (folder / name).write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return ends


def merged_weights(model: Any, subject: Subject) -> Any:
    """The model with its adapter in its weights. Errors: an adapter with broken numbers."""
    try:
        return model.merge_and_unload(safe_merge=True)
    except ValueError as error:  # how PEFT says that a merged weight is not finite
        raise UserError(
            f"`run={subject.label}`: its adapter cannot be merged ({error}). The training diverged: train it "
            "again with a lower trainer.learning_rate."
        ) from error


def load_merged(folder: Path) -> tuple[Any, Any, str]:
    """Model and tokenizer of the folder as a user loads it; no code and no pickle in it is run.

    And how AutoTokenizer cuts text otherwise than the tokenizer's own file, which the tutor was trained by; "" if not.
    """
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(str(folder), use_safetensors=True, trust_remote_code=False)
    return model.eval(), *read_tokenizer(str(folder))


def generation_config(ends: list[int], tokenizer: Any, settings: GenerationConfig) -> Any:
    """The model's defaults for generation: the run's sampling settings, and every id of `ends` ends a reply."""
    import transformers

    found = transformers.GenerationConfig(do_sample=settings.temperature > 0)
    if found.do_sample:
        found.update(temperature=settings.temperature, top_p=settings.top_p, top_k=settings.top_k)
    if settings.repetition_penalty != 1.0:
        found.repetition_penalty = settings.repetition_penalty
    found.bos_token_id, found.pad_token_id = tokenizer.bos_token_id, tokenizer.pad_token_id
    found.eos_token_id = ends[0] if len(ends) == 1 else ends
    return found
