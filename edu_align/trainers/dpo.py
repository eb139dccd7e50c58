"""Direct preference optimisation through TRL's DPOTrainer (Rafailov et al. 2023, arXiv:2305.18290).

For a prompt x, a chosen reply y_w and a rejected one y_l the loss is equation 7 of the paper,

    -log sigmoid(beta * [(log pi(y_w|x) - log ref(y_w|x)) - (log pi(y_l|x) - log ref(y_l|x))])

with beta > 0, usually 0.01 to 0.5, or another of TRL's losses. With `trainer.sft_weight` = a > 0 it gains
-a * log pi(y_w|x) / |y_w|, the mean over the chosen tokens of a pass (the NLL term of Pang et al. 2024,
arXiv:2404.19733, who weigh the DPO term instead). The reference model is the policy before its
first step: the base model under a new adapter, or the frozen copy of the adapter that `init_from` brought.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import trl.trainer.dpo_trainer as internals
from peft import PeftModel
from trl import DPOConfig, DPOTrainer

from edu_align.caching.references import remembering
from edu_align.caching.shared import Shared
from edu_align.config.schema import Config, DPOTrainerConfig
from edu_align.data.pairs import preference_rows
from edu_align.data.records import Pair
from edu_align.models.device import Device
from edu_align.models.sharding import is_sharded
from edu_align.models.tokenizer import ChatTokens
from edu_align.packing.decoder import is_packed
from edu_align.processes import count
from edu_align.trainers.arguments import common_arguments, cuts_by_tokens, reference_batch
from edu_align.trainers.divergence import watched
from edu_align.trainers.fits import Fits
from edu_align.trainers.fitting import fitting
from edu_align.trainers.numbered import number
from edu_align.trainers.prompt_length import shorten_prompts
from edu_align.trainers.resume import resumable
from edu_align.trainers.rows import as_dataset


def build_dpo(
    config: Config,
    model: Any,
    tokenizer: Any,
    train: list[Pair],
    valid: list[Pair],
    device: Device,
    folder: Path,
    shared: Shared | None = None,
) -> Any:
    """TRL's DPOTrainer over (prompt, chosen, rejected) rows in the order given: pairs of one prompt are neighbours.

    Prompts are cut to `trainer.max_prompt_length` first, then TRL cuts prompt and reply to `max_length`, at the start.
    Rows and reference log-probabilities that an earlier run computed are taken from `shared`.
    """
    trainer, by_tokens = config.trainer, cuts_by_tokens(is_packed(model))
    assert isinstance(trainer, DPOTrainerConfig)
    if trainer.max_prompt_length is not None:
        short = shorten_prompts(tokenizer, train, trainer.max_prompt_length)
        if line := short.describe(trainer.max_prompt_length):
            print(line, flush=True)
        train, valid = short.pairs, shorten_prompts(tokenizer, valid, trainer.max_prompt_length).pairs
    arguments = {
        "beta": trainer.beta,
        "loss_type": [trainer.loss_type, *(["sft"] if trainer.sft_weight else [])],
        "loss_weights": [1.0, trainer.sft_weight] if trainer.sft_weight else None,
        "label_smoothing": trainer.label_smoothing,
        "precompute_ref_log_probs": trainer.precompute_reference,
        "precompute_ref_batch_size": reference_batch(config, by_tokens),
        "truncation_mode": "keep_end",
        "train_sampling_strategy": "sequential",
        **common_arguments(config, device, folder, by_tokens),
    }
    live_full = not isinstance(model, PeftModel) and not trainer.precompute_reference
    reference = copy.deepcopy(model).eval().requires_grad_(False) if live_full else None
    peer = reading_turns(DPOTrainer)
    if isinstance(model, PeftModel) and config.init_from is None:
        peer = from_base(peer)
    trainer_class = watched(resumable(fitting(peer, Fits(config, by_tokens, sides=2))))
    says = shared.says(model) if shared and shared.on else "sharded" if is_sharded(model) else ""
    if shared and count() == 1:
        trainer_class = remembering(trainer_class, shared, says)
    with _hashed_as(says) if says else nullcontext():
        made = trainer_class(
            model=model,
            ref_model=reference,
            args=DPOConfig(**arguments),
            train_dataset=as_dataset(preference_rows(train), "train", folder),
            eval_dataset=as_dataset(preference_rows(valid), "validation", folder) if valid else None,
            processing_class=tokenizer,
        )
    number(made, [f"{pair.group.id} ({pair.chosen}>{pair.rejected})" for pair in train])
    return made


def reading_turns(trainer_class: type[Any]) -> type[Any]:
    """`trainer_class` (TRL's DPOTrainer), which tokenizes messages, with control tokens in turns read as text."""

    class ReadingTurns(trainer_class):
        def _prepare_dataset(self, dataset: Any, processing_class: Any, args: Any, dataset_name: str) -> Any:
            return super()._prepare_dataset(dataset, ChatTokens(processing_class), args, dataset_name)

    ReadingTurns.__name__ = trainer_class.__name__
    return ReadingTurns


def from_base(trainer_class: type[Any]) -> type[Any]:
    """`trainer_class` (TRL's DPOTrainer) for an adapter that adds nothing yet: the reference model is the base model.

    TRL copies whatever adapter a model brings and computes the copy in every pass of the reference model, zeros
    included; without the copy it turns adapters off.
    """

    def without_copy(model: Any) -> None:
        if "ref" in model.peft_config:
            model.delete_adapter("ref")

    class FromBase(trainer_class):
        def __init__(self, *values: Any, **options: Any) -> None:
            super().__init__(*values, **options)
            without_copy(self.model)

        def _precompute_ref_logps(self, *values: Any) -> Any:  # in the middle of TRL's own __init__
            without_copy(self.model)
            return super()._precompute_ref_logps(*values)

    FromBase.__name__ = trainer_class.__name__
    return FromBase


@contextmanager
def _hashed_as(says: str) -> Iterator[None]:
    """TRL names its own file of reference log-probabilities after a hash of all weights, made for each trainer. `says`
    stands in for it: the key of the model, or a constant where the weights are sharded: no process has them all then,
    and the file lies in this run's own folder (`rows.as_dataset`).
    """
    original = internals.hash_module
    internals.hash_module = lambda module: says
    try:
        yield
    finally:
        internals.hash_module = original
