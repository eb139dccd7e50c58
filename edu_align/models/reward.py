"""A reward model: a decoder with a scalar head in place of the LM head (Ouyang et al. 2022, arXiv:2203.02155, 3.5).

    r(x, y) = w . h(x, y)      h: the last hidden states over the reply's tokens, their mean or that of the last one

It is transformers' model for sequence classification with one label, over the decoder that is loaded as for every other
method; the head is called `score` there, PEFT trains and saves it by its task type. It begins at zero: every reply ties
until something is learned. Hidden states are pooled and scored in float32, because rewards that differ little are what
is compared.

`reward.json` beside the weights says that they are a reward model's, and how it reads a reply.
"""

import copy
from collections.abc import Sequence
from pathlib import Path
from types import MethodType
from typing import Any

from edu_align.config.schema import Config, ModelConfig
from edu_align.fused.copies import settle_copies
from edu_align.models.base_model import adapter_in, base_model, forget, weights_of
from edu_align.models.device import Device
from edu_align.models.locate import Location, architecture, shape_in
from edu_align.models.weights import add_adapter, add_text_adapter, continue_adapter, load_model
from edu_align.packing.decoder import causal_model
from edu_align.utils.errors import UserError
from edu_align.utils.files import read_json

FACTS = "reward.json"
# Of a loaded model, what TRL and PEFT ask whether its weights are of 4 bits.
QUANTIZED = ("is_loaded_in_4bit", "is_quantized", "quantization_method", "hf_quantizer", "hf_device_map")
Facts = dict[str, Any]


def facts_in(start: Path | None) -> Facts | None:
    """What `reward.json` says in a run's folder, or in that of its weights; None where there is no reward model."""
    places = (start / "adapter", start / "model", start) if start else ()
    found = next((file for place in places if (file := place / FACTS).is_file()), None)
    return None if found is None else dict(read_json(found) or {})


def facts_of(model: Any) -> Facts | None:
    """The same of a model in memory: {pooling, ...}; None of one that writes text."""
    found: Facts | None = getattr(causal_model(model), "reward_facts", None)
    return found


def check_head(model: ModelConfig, location: Location) -> None:
    """Errors: an architecture that transformers has no scalar head for."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES as KNOWN

    kind = (shape_in(location.folder) if location.folder else architecture(model)).model_type
    if kind not in KNOWN:
        raise UserError(
            f"`trainer=reward` with model={model.name}: transformers has no sequence classification for model_type "
            f"{kind!r}. Choose another model, or trainer=dpo."
        )


def build_reward_model(
    config: Config,
    location: Location,
    device: Device,
    start: Path | None,
    pooling: str,
    origins: dict[str, str] | None = None,
) -> Any:
    """The reward model that training begins from, as `base_model.build_model`. `start`: of a run that writes text the
    layers go on under a new head; of a reward model everything does.
    """
    scored = facts_in(start) is not None
    if config.adapter.name == "full":
        forget()
        weights, double = weights_of(config, location, start), config.hardware.double_quantization
        model = load_model(config.model, weights, device, config.seed, double, True, scored)
    else:
        model, there = base_model(config, location, device)
        if origins is not None:
            origins["base model"] = "memory" if there else "loaded"
    network = model if hasattr(model, "score") else with_head(model)
    read_replies(network, {"pooling": pooling})
    network.config.use_cache = False
    if config.adapter.name == "full":
        return network
    if start is None:
        adapted = add_adapter(network, config.adapter, config.seed)
    else:
        adapted = (continue_adapter if scored else add_text_adapter)(network, adapter_in(start))
    settle_copies(adapted, config.hardware)
    return adapted


def with_head(model: Any) -> Any:
    """The decoder of `model`, a causal language model, under a scalar head of zeros; the weights are the same ones."""
    import torch
    from transformers import AutoModelForSequenceClassification

    model.config.num_labels = 1
    with torch.device("meta"):
        network: Any = AutoModelForSequenceClassification.from_config(
            copy.deepcopy(model.config), trust_remote_code=False
        )
    setattr(network, network.base_model_prefix, model.base_model)
    network.score = torch.nn.Linear(model.config.get_text_config().hidden_size, 1, bias=False, device=model.device)
    torch.nn.init.zeros_(network.score.weight)
    network.config = model.config  # the decoder's own: packing and attention are set there
    network.name_or_path = model.name_or_path
    for name in QUANTIZED:
        if hasattr(model, name):
            setattr(network, name, getattr(model, name))
    return network


def read_replies(network: Any, facts: Facts) -> None:
    """Let the forward of `network` score the reply that a mask marks, as `facts["pooling"]` says, with a float32 head.

    It takes input_ids, attention_mask and completion_mask, each (B, L), and gives `logits` (B, 1).
    """
    network.reward_facts = facts
    network.score.float()
    network.forward = MethodType(_forward, network)


def _forward(
    self: Any,
    input_ids: Any,
    attention_mask: Any = None,
    completion_mask: Any = None,
    return_dict: Any = None,
    **_: Any,
) -> Any:
    import torch
    from transformers.modeling_outputs import SequenceClassifierOutputWithPast

    hidden = self.base_model(input_ids=input_ids, attention_mask=attention_mask, use_cache=False).last_hidden_state
    with torch.autocast(hidden.device.type, enabled=False):
        logits = self.score(pooled(hidden, completion_mask, self.reward_facts["pooling"]))
    return SequenceClassifierOutputWithPast(logits=logits)


def pooled(hidden: Any, mask: Any, pooling: str) -> Any:
    """(B, L, H) hidden states and the reply's mask (B, L), at least one token each -> (B, H) in float32."""
    import torch

    if pooling == "last":
        places = torch.arange(mask.size(1), device=mask.device)
        last = (places * mask).argmax(dim=1)
        return hidden[torch.arange(len(hidden), device=hidden.device), last].float()
    share = (mask / mask.sum(dim=1, keepdim=True)).float()
    return torch.einsum("blh,bl->bh", hidden.float(), share)


def rewards_of(model: Any, ids: Any, mask: Any, replies: Any) -> Sequence[float]:
    """The reward of each row, (B, L) tensors as in `read_replies`; without gradients. Under a head of zeros, as one
    begins, it is 0 whatever the decoder says, which is not asked.
    """
    import torch

    if not any(bool(weight.any()) for weight in causal_model(model).score.parameters()):
        return [0.0] * len(ids)
    with torch.no_grad():
        found: list[float] = (
            model(input_ids=ids, attention_mask=mask, completion_mask=replies).logits.squeeze(-1).tolist()
        )
    return found
