"""What a model's folder would add to how replies are drawn (generation_config.json): read here, used by nobody.

A reply is drawn by the keys of `generation` alone, in training, chat, generate, the suite and an export alike, and so
is measured as it is said to be. Only the ids of tokens are taken. What is left out is said once.
"""

import json
from pathlib import Path
from typing import Any

# Ids of tokens, and how a result is returned: nothing of it decides what is drawn.
_HARMLESS = {
    "bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id", "transformers_version", "use_cache",
    "output_attentions", "output_hidden_states", "output_scores", "output_logits", "return_dict_in_generate",
    "cache_implementation", "cache_config", "max_length", "max_new_tokens", "num_return_sequences",
}  # fmt: skip
_IDS = ("bos_token_id", "eos_token_id", "pad_token_id")
_OFF_AT_ONE = {
    "temperature", "top_p", "typical_p", "repetition_penalty", "encoder_repetition_penalty", "length_penalty",
    "num_beams", "num_beam_groups",
}  # fmt: skip
# Where nothing else is said, transformers' own: not one of these is ever used here.
_USUAL = {"top_k": 50, "num_assistant_tokens": 20, "assistant_confidence_threshold": 0.4, "assistant_lookbehind": 10,
          "target_lookbehind": 10, "num_assistant_tokens_schedule": "constant"}  # fmt: skip
_said: set[tuple[str, str]] = set()


def generation_defaults(folder: Path | None) -> Any:
    """A transformers GenerationConfig that draws nothing by itself, with the ids of tokens that `folder` states.

    Prints once for each folder what was left out.
    """
    from transformers import GenerationConfig

    stated, config = (_read(folder / name) if folder else {} for name in ("generation_config.json", "config.json"))
    known = GenerationConfig().to_dict()
    of_old = {key: value for key, value in config.items() if key in known}  # older versions kept them there
    if left_out := unused(of_old | stated):
        _say(str(folder), left_out)
    own = {} if stated.get("_from_model_config") else stated  # else they may be those of no model but a class
    return GenerationConfig(**{key: own[key] for key in _IDS if _is_ids(own.get(key))})


def unused(stated: dict[str, Any]) -> list[str]:
    """`key=value` of all that would change which tokens are drawn, whether transformers knows the key or not."""
    return [
        f"{key}={json.dumps(value, ensure_ascii=False)[:60]}"
        for key, value in sorted(stated.items())
        if key not in _HARMLESS and not key.startswith("_") and not _is_off(key, value)
    ]


def _is_off(key: str, value: Any) -> bool:
    if value is None or value is False or value in ([], {}, 0, _USUAL.get(key, 0)):
        return True
    return key in _OFF_AT_ONE and value == 1


def _say(folder: str, left_out: list[str]) -> None:
    line = ", ".join(left_out)
    if (folder, line) not in _said:
        _said.add((folder, line))
        print(
            f"edu_align: {folder} would have replies drawn with {line}. They are drawn by the keys of `generation` "
            "alone, and without the rest.",
            flush=True,
        )


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _is_ids(value: Any) -> bool:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return whole or (isinstance(value, list) and bool(value) and all(type(each) is int for each in value))
