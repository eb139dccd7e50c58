"""Kahneman-Tversky optimisation through TRL's KTOTrainer (Ethayarajh et al. 2024, arXiv:2402.01306).

For a prompt x and a reply y that is labelled good or bad the loss is equation 7 of the paper, as TRL numbers it,

    good   desirable_weight   * (1 - sigmoid(beta * (log pi(y|x) - log ref(y|x) - KL)))
    bad    undesirable_weight * (1 - sigmoid(beta * (KL - log pi(y|x) + log ref(y|x))))

with KL >= 0 the mean of log pi(y'|x) - log ref(y'|x) over replies y' to other prompts, which gets no gradient; or TRL's
`apo_zero_unpaired`, which has none. The reference model is that of DPO (`dpo.py`).
"""

import copy
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import trl
import trl.trainer.kto_trainer as trl_module
from peft import PeftModel

from edu_align.cache.run_cache import RunCache
from edu_align.config.batch import cuts_by_tokens, reference_batch
from edu_align.config.schema import Config, KTOTrainerConfig
from edu_align.models.device import Device
from edu_align.models.sharding import is_sharded
from edu_align.packing.decoder import is_packed
from edu_align.training.arguments import common_arguments
from edu_align.training.divergence import StopOnDivergence
from edu_align.training.kto_rows import COLUMNS, PLAIN, ReplyCollator, has_kl
from edu_align.training.lora_plus import LoraPlus
from edu_align.training.micro_batches import MicroBatches
from edu_align.training.reference import BaseReference, SyncedReference, hashed_as
from edu_align.training.reference_cache import CachedReference
from edu_align.training.resume import ResumableTraining
from edu_align.training.rows import Rows
from edu_align.training.step_kl import StepKL
from edu_align.training.trl_dataset import as_dataset, attach_row_ids
from edu_align.training.validation import Validation
from edu_align.utils.distributed import count


class ReadyReplies(trl.KTOTrainer):
    """Rows that `kto_rows` has tokenized, cut and mismatched. Overrides `_prepare_dataset` and
    `_set_signature_columns_if_needed` (the columns that TRL keeps).
    """

    _signature_columns: Any

    def _prepare_dataset(self, dataset: Any, processing_class: Any, args: Any, dataset_name: str) -> Any:
        return dataset

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()
        self._signature_columns = list(dict.fromkeys([*self._signature_columns, *COLUMNS]))


class KTOTrainer(
    CachedReference,
    SyncedReference,
    StopOnDivergence,
    ResumableTraining,
    LoraPlus,
    Validation,
    StepKL,
    BaseReference,
    ReadyReplies,
    trl.KTOTrainer,
):
    """TRL's KTOTrainer; a call goes through the mixins from left to right, and each says in its docstring what it
    overrides.
    """

    def __init__(
        self,
        *args: Any,
        passes: MicroBatches,
        cache: RunCache | None,
        model_key: str,
        base_is_reference: bool,
        **options: Any,
    ) -> None:
        self.passes, self.cache, self.model_key = passes, cache, model_key
        self.base_is_reference = base_is_reference
        kl = has_kl(passes.config.trainer)
        self.row_columns = COLUMNS if kl else PLAIN
        self.logps = ("ref_logps", "ref_KL_logps") if kl else ("ref_logps",)
        super().__init__(*args, **options)  # TRL scores the reference in here, so ours must be set before


def build_kto(
    config: Config,
    model: Any,
    tokenizer: Any,
    train: Rows,
    valid: Rows,
    device: Device,
    folder: Path,
    cache: RunCache | None = None,
) -> KTOTrainer:
    """The trainer over the rows of the labelled replies in the order given: a step's are mismatched with each other.

    Reference log-probabilities that an earlier run computed are taken from `cache`.
    """
    trainer, by_tokens = config.trainer, cuts_by_tokens(is_packed(model), config.trainer.algorithm)
    assert isinstance(trainer, KTOTrainerConfig)
    arguments = kto_arguments(config, device, folder, by_tokens)
    live_full = not isinstance(model, PeftModel) and not trainer.precompute_reference
    reference = copy.deepcopy(model).eval().requires_grad_(False) if live_full else None
    key = cache.model_key(model) if cache and cache.on else "sharded" if is_sharded(model) else ""
    with hashed_as(key, trl_module) if key else nullcontext():
        made = KTOTrainer(
            model=model,
            ref_model=reference,
            args=arguments,
            data_collator=ReplyCollator(tokenizer.pad_token_id, arguments.pad_to_multiple_of),
            train_dataset=as_dataset(train.rows, "train", folder),
            eval_dataset=as_dataset(valid.rows, "validation", folder) if valid.rows else None,
            processing_class=tokenizer,
            passes=MicroBatches(config, by_tokens, sides=1),
            cache=cache if count() == 1 else None,
            model_key=key,
            base_is_reference=isinstance(model, PeftModel) and config.init_from is None,
        )
    attach_row_ids(made, train.ids)
    return made


def kto_arguments(config: Config, device: Device, folder: Path, by_tokens: bool) -> trl.KTOConfig:
    """TRL's arguments. A process gets its whole share of a step at once, which `MicroBatches` cuts: the KL term is over
    all of it.
    """
    trainer = config.trainer
    assert isinstance(trainer, KTOTrainerConfig)
    return trl.KTOConfig(
        **{
            "beta": trainer.beta,
            "loss_type": trainer.loss_type,
            "desirable_weight": trainer.desirable_weight,
            "undesirable_weight": trainer.undesirable_weight,
            "precompute_ref_log_probs": trainer.precompute_reference,
            "precompute_ref_batch_size": reference_batch(config, by_tokens),
            "train_sampling_strategy": "sequential",
            **common_arguments(config, device, folder, by_tokens=True),
            "max_length": None,  # the rows are cut already
            "router_aux_loss_coef": 0.0,
        }
    )
