"""The language model inside a model that also sees pictures: all that is loaded of it, as no data here has pictures.

transformers' AutoModelForCausalLM would load the whole, whose other part no token of a text ever reaches. So weights,
adapter, exported model and plan are those of a language model like any other, and packing knows its family.
"""

from typing import Any

WRAPPED = {"gemma3": "gemma3_text"}  # model_type of the whole: that of its language model
# Names of its weights in the files of the whole, as the hub has them and as transformers 5 may write them: their own.
OWN_NAMES = {
    r"^language_model\.model\.": "model.",
    r"^model\.language_model\.": "model.",
    r"^language_model\.lm_head\.": "lm_head.",
}
SAID = "its language model alone is loaded, and not what sees pictures"


def is_wrapped(content: dict[str, Any]) -> bool:
    """Whether the config.json with this content is that of a whole."""
    kind = content.get("model_type")
    return isinstance(kind, str) and kind in WRAPPED


def own_content(content: dict[str, Any]) -> dict[str, Any]:
    """What config.json of the language model alone would hold."""
    if not is_wrapped(content):
        return content
    part = content.get("text_config")
    return {**(part if isinstance(part, dict) else {}), "model_type": WRAPPED[content["model_type"]]}


def own_config(config: Any) -> Any:
    """The transformers config of the language model in one of the whole."""
    return config.get_text_config() if config.model_type in WRAPPED else config


def keep_own_names(model: Any) -> None:
    """Let a model that was loaded by `OWN_NAMES` be saved by its own names; transformers would write the old ones."""
    vars(model).pop("_weight_conversions", None)
