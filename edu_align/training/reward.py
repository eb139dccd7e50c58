"""A reward model through TRL's RewardTrainer, packed as DPO is: what replies of one dialogue share is computed once.

    bradley_terry   -log sigmoid(r(x, y_w) - r(x, y_l) - m)        Ouyang et al. 2022, arXiv:2203.02155, equation 1;
                                                                   m: Touvron et al. 2023, arXiv:2307.09288, equation 2
    regression      (r(x, y) - z)^2                                z: the reply's score, standardised
    ordinal         -log P(k), P(score <= level k) = sigmoid(b_k - r(x, y))     McCullagh 1980, proportional odds

m is `trainer.margin_weight` times the difference of the two scores. `trainer.args.center_rewards_coefficient` adds the
mean of (r_w + r_l)^2 (Eisenstein et al. 2023, arXiv:2312.09244, equation 2).
"""

from pathlib import Path
from typing import Any

import trl

from edu_align.cache.run_cache import RunCache
from edu_align.config.batch import cuts_by_tokens
from edu_align.config.schema import Config, RewardTrainerConfig
from edu_align.models.chat_template import IGNORED
from edu_align.models.device import Device
from edu_align.models.reward import facts_of
from edu_align.packing.decoder import is_packed
from edu_align.training.arguments import common_arguments
from edu_align.training.divergence import StopOnDivergence
from edu_align.training.dpo_rows import COLUMNS, PairCollator
from edu_align.training.lora_plus import LoraPlus
from edu_align.training.means import COUNTER
from edu_align.training.micro_batches import MicroBatches, MicroBatching
from edu_align.training.resume import ResumableTraining
from edu_align.training.reward_rows import Grades
from edu_align.training.rows import Rows
from edu_align.training.trl_dataset import as_dataset, attach_row_ids
from edu_align.training.validation import Validation

Tensor = Any  # torch.Tensor
# TRL's names of its numbers of a pass -> those of DPO; its least and largest reward are no means of anything.
NUMBERS = {"accuracy": "rewards/accuracies", "margin": "rewards/margins", "mean_reward": "rewards/mean"}
NO_MEANS = ("min_reward", "max_reward")
FAR = 1e4  # a threshold that no reward reaches


class RewardTrainer(StopOnDivergence, ResumableTraining, LoraPlus, Validation, MicroBatching, trl.RewardTrainer):
    """TRL's RewardTrainer; a call goes through the mixins from left to right, and each says in its docstring what it
    overrides. Here: `_prepare_dataset` and `_set_signature_columns_if_needed` (our rows are ready), `compute_loss`
    (`grades` have a loss of their own; numbers are named as DPO's).
    """

    grades: Grades | None
    _signature_columns: Any
    _metrics: Any
    _total_train_tokens: Any

    def __init__(self, *args: Any, passes: MicroBatches, grades: Grades | None, **options: Any) -> None:
        self.passes, self.grades = passes, grades
        super().__init__(*args, **options)

    def _prepare_dataset(self, dataset: Any, processing_class: Any, args: Any, dataset_name: str) -> Any:
        return dataset

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()
        ours = [*COLUMNS, "margin", "input_ids", "labels", "target"]
        self._signature_columns = list(dict.fromkeys([*self._signature_columns, *ours]))

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        noted = self._metrics["train" if self.model.training else "eval"]
        if self.grades is not None:
            return self._graded(model, inputs, return_outputs, noted)
        found = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        for name in NO_MEANS:
            del noted[name]
        for theirs, ours in NUMBERS.items():
            noted[ours] += noted.pop(theirs)
        return found

    def _graded(self, model: Any, inputs: Any, return_outputs: bool, noted: Any) -> Any:
        assert self.grades is not None
        outputs = model(**{name: value for name, value in inputs.items() if name != "target"})
        rewards = outputs.logits.squeeze(-1)
        loss = graded_loss(self.grades, rewards, inputs["target"]).mean()
        if self.model.training:
            tokens = self.accelerator.gather_for_metrics(inputs["attention_mask"].sum()).sum()
            self._total_train_tokens += int(tokens)
        noted[COUNTER] = [self._total_train_tokens]
        mean = self.accelerator.gather_for_metrics(rewards.detach().mean()).mean()
        noted[NUMBERS["mean_reward"]].append(float(mean))
        return (loss, outputs) if return_outputs else loss


def graded_loss(grades: Grades, rewards: Tensor, targets: Tensor) -> Tensor:
    """Rewards and targets (B,) as `Grades.target` gives them -> the loss of each reply, (B,)."""
    import torch
    from torch.nn.functional import logsigmoid

    if grades.loss == "regression":
        return (rewards - targets).square()
    bounds = torch.tensor([-FAR, *grades.thresholds, FAR], device=rewards.device)
    places = targets.long()
    upper, lower = bounds[places + 1] - rewards, bounds[places] - rewards
    # sigmoid(u) - sigmoid(l) = sigmoid(u) sigmoid(-l) (1 - exp(l - u)), for u > l
    return -(logsigmoid(upper) + logsigmoid(-lower) + torch.log1p(-torch.exp(bounds[places] - bounds[places + 1])))


class MarginCollator(PairCollator):
    """The batch of `PairCollator`, with `margin` (B,) where the rows have one."""

    def __call__(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        import torch

        batch = super().__call__(examples)
        if "margin" in examples[0]:
            batch["margin"] = torch.tensor([each["margin"] for each in examples])
        return batch


class GradedCollator:
    """Rows of `graded_rows` as a batch: input_ids, attention_mask, completion_mask (1 on the reply), each (B, L) and
    padded on the right; target (B,).
    """

    def __init__(self, pad_token_id: int) -> None:
        self.pad_token_id = pad_token_id

    def __call__(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        import torch
        from trl.trainer.utils import pad

        def padded(rows: list[list[int]], value: int) -> Any:
            tensors = [torch.tensor(row, dtype=torch.long) for row in rows]
            return pad(tensors, padding_value=value, padding_side="right")

        return {
            "input_ids": padded([each["input_ids"] for each in examples], self.pad_token_id),
            "attention_mask": padded([[1] * len(each["input_ids"]) for each in examples], 0),
            "completion_mask": padded([[int(x != IGNORED) for x in each["labels"]] for each in examples], 0),
            "target": torch.tensor([each["target"] for each in examples]),
        }


def build_reward(
    config: Config,
    model: Any,
    tokenizer: Any,
    train: Rows,
    valid: Rows,
    device: Device,
    folder: Path,
    cache: RunCache | None = None,
) -> RewardTrainer:
    """The trainer over the rows in the order given: those of one prompt are neighbours."""
    by_tokens = cuts_by_tokens(is_packed(model), config.trainer.algorithm)
    grades, pad = train.grades, tokenizer.pad_token_id
    if grades is not None:
        facts = facts_of(model)
        assert facts is not None
        facts |= {"loss": grades.loss, "mean": grades.mean, "deviation": grades.deviation}
        facts |= {"levels": list(grades.levels), "thresholds": list(grades.thresholds)} if grades.levels else {}
    made = RewardTrainer(
        model=model,
        args=reward_arguments(config, device, folder, by_tokens),
        data_collator=MarginCollator(pad) if grades is None else GradedCollator(pad),
        train_dataset=as_dataset(train.rows, "train", folder),
        eval_dataset=as_dataset(valid.rows, "validation", folder) if valid.rows else None,
        processing_class=tokenizer,
        passes=MicroBatches(config, by_tokens, sides=1 if grades else 2),
        grades=grades,
    )
    attach_row_ids(made, train.ids)
    return made


def reward_arguments(config: Config, device: Device, folder: Path, by_tokens: bool) -> trl.RewardConfig:
    """TRL's arguments."""
    assert isinstance(config.trainer, RewardTrainerConfig)
    given = common_arguments(config, device, folder, by_tokens)
    return trl.RewardConfig(**{"train_sampling_strategy": "sequential", **given, "max_length": None})
