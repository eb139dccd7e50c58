"""Direct preference optimisation through TRL's DPOTrainer (Rafailov et al. 2023, arXiv:2305.18290).

For a prompt x, a chosen reply y_w and a rejected one y_l the loss is equation 7 of the paper,

    -log sigmoid(beta * [(log pi(y_w|x) - log ref(y_w|x)) - (log pi(y_l|x) - log ref(y_l|x))])

with beta > 0, usually 0.01 to 0.5, or another of TRL's losses, or of ours (`losses.py`). With `trainer.sft_weight` =
a > 0 it gains -a * log pi(y_w|x) / |y_w|, the mean over the chosen tokens of a step (the NLL term of Pang et al. 2024,
arXiv:2404.19733, who weigh the DPO term instead). The reference model is the policy before its first step: the base
model under a new adapter, or the frozen copy of the adapter that `init_from` brought.
"""

import copy
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import trl
import trl.trainer.dpo_trainer as trl_module
from peft import PeftModel

from edu_align.cache.run_cache import RunCache
from edu_align.config.batch import cuts_by_tokens, reference_batch
from edu_align.config.losses import has_reference
from edu_align.config.schema import Config, DPOTrainerConfig
from edu_align.models.chat_template import IGNORED
from edu_align.models.device import Device
from edu_align.models.sharding import is_sharded
from edu_align.packing.decoder import is_packed
from edu_align.training.arguments import common_arguments
from edu_align.training.debias import REWEIGHT
from edu_align.training.divergence import StopOnDivergence
from edu_align.training.dpo_rows import BIAS, BLIND, COLUMNS, PairCollator
from edu_align.training.lora_plus import LoraPlus
from edu_align.training.losses import BY_TOKEN, LOSSES, PairScores, sigmoid
from edu_align.training.means import Numbers
from edu_align.training.micro_batches import MicroBatches
from edu_align.training.pmi import SIDES as PMI_SIDES
from edu_align.training.pmi import informed
from edu_align.training.reference import BaseReference, SyncedReference, hashed_as
from edu_align.training.reference_cache import CachedReference
from edu_align.training.resume import ResumableTraining
from edu_align.training.rows import Rows
from edu_align.training.sft_term import SFT, SFTTerm
from edu_align.training.trl_dataset import as_dataset, attach_row_ids
from edu_align.training.validation import Validation
from edu_align.utils.distributed import count

STAND_IN = "sigmoid"  # TRL's loss that is computed, with weight 0, beside one of our own
NO_REFERENCE = "no reference"  # in the place of a hash of all weights


class ReadyRows(trl.DPOTrainer):
    """Rows that `dpo_rows` has tokenized and cut. Overrides `_prepare_dataset` and `_set_signature_columns_if_needed`
    (the columns that TRL keeps).
    """

    _signature_columns: Any

    def _prepare_dataset(self, dataset: Any, processing_class: Any, args: Any, dataset_name: str) -> Any:
        return dataset

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()
        self._signature_columns = list(dict.fromkeys([*self._signature_columns, *COLUMNS, *BLIND, BIAS]))


class NoReference(trl.DPOTrainer):
    """No reference model for a loss that reads none: nothing of it is computed, kept or copied. Overrides
    `_precompute_ref_logps`; inert unless `reference_free`, which must be set before TRL's `__init__`.
    """

    reference_free = False

    def _precompute_ref_logps(self, dataset: Any, name: str, batch_size: int) -> Any:
        return dataset if self.reference_free else super()._precompute_ref_logps(dataset, name, batch_size)


class OwnLoss(trl.DPOTrainer):
    """A loss of our own (`own_loss`, a word of `losses.LOSSES`, or sigmoid) with TRL's rows, metrics and SFT term.
    Overrides `_compute_loss`; inert for TRL's own losses.

    A batch may bring a number of each pair (`trainer.debias`): its weight, or log-odds. A validation's brings none.

    Without a reference model TRL is given one that finds every reply certain: then its rewards are beta times the
    log-probability of a reply. Options of TRL's that change a loss (`ld_alpha`, `use_weighting`, `f_divergence_type`)
    do not reach it.

    With `pmi_weight` a batch has each reply without its dialogue, too (`pmi`): TRL sees the other rows, and reference
    log-probabilities are `informed` ones (overrides `compute_ref_log_probs`, which gets a part of a batch).
    """

    own_loss = ""
    debias = "none"
    simpo_gamma = 0.0
    pmi_weight = 0.0
    reference_free = False

    def compute_ref_log_probs(self, model: Any, inputs: Any) -> Any:
        found = super().compute_ref_log_probs(model, inputs)
        return informed(torch.cat(found), self.pmi_weight).chunk(2) if self.pmi_weight else found

    def _compute_loss(self, model: Any, inputs: Any, return_outputs: bool) -> Any:
        if not self.own_loss:
            return super()._compute_loss(model, inputs, return_outputs)
        inputs = dict(inputs)
        bias = inputs.pop(BIAS, None)  # TRL would give it to the model
        live, outputs = not self.precompute_ref_logps, []
        if self.reference_free:
            nothing = torch.zeros(len(inputs["input_ids"]) // 2, device=inputs["input_ids"].device)
            inputs = {**inputs, "ref_chosen_logps": nothing, "ref_rejected_logps": nothing}
        elif live:
            chosen, rejected = self.compute_ref_log_probs(self.ref_model or self.model, inputs)
            inputs = {**inputs, "ref_chosen_logps": chosen, "ref_rejected_logps": rejected}
        shown = inputs if not self.pmi_weight else first_half(inputs, inputs["input_ids"])

        def scored(**given: Any) -> Any:
            """The model, which is given every row; TRL gets the outputs of those that it gave."""
            outputs.append(model(**given | ({} if shown is inputs else _labelled(inputs))))
            return outputs[0] if shown is inputs else SimpleNamespace(**first_half(outputs[0], inputs["input_ids"]))

        self.precompute_ref_logps = True
        try:
            found = super()._compute_loss(scored, shown, return_outputs)
        finally:
            self.precompute_ref_logps = not live
        weights, odds = (1.0, 0.0) if bias is None else (bias, 0.0) if self.debias == REWEIGHT else (1.0, bias)
        scores = self._scores(outputs[0], inputs, odds)
        if self.own_loss in BY_TOKEN:
            self._note_rewards(*scores.means())
        elif self.pmi_weight:
            self._note_rewards(
                scores.chosen_logps - scores.ref_chosen_logps, scores.rejected_logps - scores.ref_rejected_logps
            )
        own = (weights * LOSSES.get(self.own_loss, sigmoid)(scores)).mean()
        return (found[0] + own, found[1]) if return_outputs else found + own

    def _scores(self, output: Any, inputs: Any, odds: Any) -> PairScores:
        mask = inputs["completion_mask"][:, 1:]
        sums, tokens = output.log_probs[:, -mask.size(1) :].sum(dim=1), mask.sum(dim=1)
        if self.pmi_weight:
            sums, tokens = informed(sums, self.pmi_weight), tokens.chunk(2)[0]
        chosen, rejected = sums.chunk(2)
        chosen_tokens, rejected_tokens = tokens.chunk(2)
        return PairScores(
            chosen,
            rejected,
            inputs["ref_chosen_logps"],
            inputs["ref_rejected_logps"],
            chosen_tokens,
            rejected_tokens,
            self.beta,
            self.label_smoothing,
            self.simpo_gamma,
            odds,
        )

    def _note_rewards(self, *rewards: Any) -> None:
        """beta times nats a token, or informed nats, in the place of TRL's rewards: beta times nats a reply."""
        model: Any = self.model
        noted = self._metrics["train" if model.training else "eval"]
        chosen, rejected = (self.accelerator.gather(self.beta * reward.detach()) for reward in rewards)
        better = (chosen > rejected).float()
        numbers = {"chosen": chosen, "rejected": rejected, "accuracies": better, "margins": chosen - rejected}
        for name, values in numbers.items():
            noted[f"rewards/{name}"][-1] = values.mean().item()


class DPOTrainer(
    NoReference,
    CachedReference,
    SyncedReference,
    StopOnDivergence,
    ResumableTraining,
    LoraPlus,
    Validation,
    SFTTerm,
    BaseReference,
    OwnLoss,
    ReadyRows,
    trl.DPOTrainer,
):
    """TRL's DPOTrainer; a call goes through the mixins from left to right, and each says in its docstring what it
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
        keys = passes.config.trainer
        assert isinstance(keys, DPOTrainerConfig)
        self.reference_free = not has_reference(keys)
        self.base_is_reference = base_is_reference or self.reference_free
        self.debias = keys.debias
        self.own_loss = keys.loss_type if is_own(keys) else ""
        self.simpo_gamma = keys.simpo_gamma or 0.0
        self.pmi_weight = keys.pmi_weight
        self.row_columns = (*COLUMNS, *BLIND) if keys.pmi_weight else COLUMNS
        super().__init__(*args, **options)  # TRL scores the reference in here, so ours must be set before

    def loss_terms(self, loss: float, numbers: Numbers, weights: Numbers) -> list[tuple[str, float, float]]:
        """The SFT term, a mean over the chosen tokens of the pass, beside the rest, a mean over its pairs."""
        factor = sum(weight for name, weight in zip(self.loss_types, self.loss_weights, strict=True) if name == SFT)
        if not factor or self.ld_alpha is not None:
            return super().loss_terms(loss, numbers, weights)
        pairs, tokens = weights["loss"], weights["logits/chosen"]
        term = -factor * numbers["logps/chosen"] * pairs / tokens
        return [("loss", loss - term, pairs), ("sft", term, tokens)]


def first_half(tensors: Any, rows: Any) -> dict[str, Any]:
    """The mapping with the first half of each tensor that has as many rows as `rows`."""
    many = len(rows)
    return {
        name: value[: many // 2] if hasattr(value, "dim") and value.dim() and len(value) == many else value
        for name, value in tensors.items()
    }


def _labelled(inputs: Any) -> dict[str, Any]:
    """What TRL gives the model of all rows."""
    labels = inputs["input_ids"].masked_fill(inputs["completion_mask"] == 0, IGNORED)
    return {"input_ids": inputs["input_ids"], "attention_mask": inputs["attention_mask"], "labels": labels}


def is_own(trainer: DPOTrainerConfig) -> bool:
    """Whether the loss is computed here. DPO's own is where its pairs are weighed one by one, or its reward differs."""
    return trainer.loss_type in LOSSES or trainer.debias != "none" or trainer.pmi_weight > 0


def build_dpo(
    config: Config,
    model: Any,
    tokenizer: Any,
    train: Rows,
    valid: Rows,
    device: Device,
    folder: Path,
    cache: RunCache | None = None,
) -> DPOTrainer:
    """The trainer over the rows of the pairs in the order given: pairs of one prompt are neighbours.

    Reference log-probabilities that an earlier run computed are taken from `cache`.
    """
    trainer, by_tokens = config.trainer, cuts_by_tokens(is_packed(model), config.trainer.algorithm)
    assert isinstance(trainer, DPOTrainerConfig)
    arguments = dpo_arguments(config, device, folder, by_tokens)
    live_full = not isinstance(model, PeftModel) and not trainer.precompute_reference
    reference = copy.deepcopy(model).eval().requires_grad_(False) if live_full else None
    key = NO_REFERENCE
    if has_reference(trainer):
        key = cache.model_key(model) if cache and cache.on else "sharded" if is_sharded(model) else ""
    with hashed_as(key, trl_module) if key else nullcontext():
        made = DPOTrainer(
            model=model,
            ref_model=reference,
            args=arguments,
            data_collator=PairCollator(tokenizer.pad_token_id, arguments.pad_to_multiple_of),
            train_dataset=as_dataset(train.rows, "train", folder),
            eval_dataset=as_dataset(valid.rows, "validation", folder) if valid.rows else None,
            processing_class=tokenizer,
            passes=MicroBatches(config, by_tokens, sides=PMI_SIDES if trainer.pmi_weight else 2),
            cache=cache if count() == 1 else None,
            model_key=key,
            base_is_reference=isinstance(model, PeftModel) and config.init_from is None,
        )
    if train.bias is not None:
        plain: Any = made.train_dataset
        made.train_dataset = plain.add_column(BIAS, train.bias)
    attach_row_ids(made, train.ids)
    return made


def dpo_arguments(config: Config, device: Device, folder: Path, by_tokens: bool) -> trl.DPOConfig:
    """TRL's arguments. A loss of our own has weight 0 among TRL's, see `OwnLoss`."""
    trainer = config.trainer
    assert isinstance(trainer, DPOTrainerConfig)
    own = is_own(trainer)
    losses = [STAND_IN if own else trainer.loss_type, *(["sft"] if trainer.sft_weight else [])]
    weights = [0.0 if own else 1.0, *([trainer.sft_weight] if trainer.sft_weight else [])]
    return trl.DPOConfig(
        **{
            "beta": trainer.beta,
            "loss_type": losses,
            "loss_weights": weights if own or trainer.sft_weight else None,
            "label_smoothing": trainer.label_smoothing,
            "precompute_ref_log_probs": trainer.precompute_reference,
            "precompute_ref_batch_size": reference_batch(config, by_tokens),
            "train_sampling_strategy": "sequential",
            **common_arguments(config, device, folder, by_tokens),
            "max_length": None,  # the rows are cut already
            "router_aux_loss_coef": 0.0,
        }
    )
