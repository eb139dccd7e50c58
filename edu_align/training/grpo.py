"""Group relative policy optimisation through TRL's GRPOTrainer (Shao et al. 2024, arXiv:2402.03300).

To a dialogue q the model writes G replies o_i, which get rewards r_i. A reply's advantage is A_i = (r_i - mean(r)) /
std(r), and the objective is equation 3 of the paper,

    1/G sum_i 1/|o_i| sum_t { min(p_it A_i, clip(p_it, 1 - epsilon, 1 + epsilon) A_i) - beta KL_it }

with p_it the ratio of a token's probability to that when the reply was written, and KL_it the estimate of equation 4
against the reference model (TRL's own default weighs it by p_it, which the paper does not). The reference is the base
model under a new adapter, a frozen copy of the adapter that `init_from` brought, and with full fine-tuning a frozen
copy of the weights.
"""

import copy
from pathlib import Path
from typing import Any

import trl
import trl.trainer.utils as trl_utils
from peft import PeftModel

from edu_align.cache.run_cache import RunCache
from edu_align.config.batch import cuts_by_tokens, prompts_per_step
from edu_align.config.schema import Config, GRPOTrainerConfig
from edu_align.models.device import Device
from edu_align.models.reply_end import end_tokens
from edu_align.packing.decoder import is_packed
from edu_align.rewards.asked import Asked
from edu_align.training.arguments import common_arguments
from edu_align.training.divergence import StopOnDivergence
from edu_align.training.grpo_rows import ASKED, PROMPT
from edu_align.training.lora_plus import LoraPlus
from edu_align.training.micro_batches import MicroBatches
from edu_align.training.resume import ResumableTraining
from edu_align.training.rollouts import KeptReplies, OwnReplies, ValidatedReplies, reward_functions
from edu_align.training.rows import Rows
from edu_align.training.trl_dataset import ROW, as_dataset


class GRPOTrainer(
    KeptReplies,
    StopOnDivergence,
    ResumableTraining,
    LoraPlus,
    ValidatedReplies,
    OwnReplies,
    trl.GRPOTrainer,
):
    """TRL's GRPOTrainer; a call goes through the mixins from left to right, and each says in its docstring what it
    overrides.
    """

    def __init__(self, *args: Any, passes: MicroBatches, asked: dict[str, list[Asked]], **options: Any) -> None:
        self.passes, self.asked = passes, asked
        super().__init__(*args, **options)

    def steps_an_epoch(self) -> int:
        """Each dialogue is answered once, and its replies are trained on `trainer.num_iterations` times."""
        trainer = self.passes.config.trainer
        assert isinstance(trainer, GRPOTrainerConfig)
        return len(self.row_ids) // prompts_per_step(trainer) * trainer.num_iterations


def build_grpo(
    config: Config,
    model: Any,
    tokenizer: Any,
    train: Rows,
    valid: Rows,
    device: Device,
    folder: Path,
    cache: RunCache | None = None,
) -> GRPOTrainer:
    """The trainer over the dialogues in the order given. Nothing of it is taken from `cache`: its replies are new."""
    trainer, by_tokens = config.trainer, cuts_by_tokens(is_packed(model), config.trainer.algorithm)
    assert isinstance(trainer, GRPOTrainerConfig)
    adapted = isinstance(model, PeftModel)
    reference = None if adapted or not trainer.beta else copy.deepcopy(model).eval().requires_grad_(False)
    made = GRPOTrainer(
        model=model,
        reward_funcs=reward_functions(config),
        args=grpo_arguments(config, device, folder, by_tokens, reference is not None),
        train_dataset=as_dataset(_dialogues(train), "train", folder),
        eval_dataset=as_dataset(_dialogues(valid), "validation", folder) if valid.rows else None,
        processing_class=tokenizer,
        passes=MicroBatches(config, by_tokens, sides=1),
        asked={"train": [row[ASKED] for row in train.rows], "eval": [row[ASKED] for row in valid.rows]},
    )
    made.row_ids = tuple(train.ids)
    made.eos_token_ids = end_tokens(model, tokenizer)
    if adapted and config.init_from is None and "ref" in model.peft_config:
        model.delete_adapter("ref")  # a copy that adds nothing: TRL turns adapters off without it
    if reference is not None:  # TRL would read it from the hub
        trl_utils.add_fused_lm_head(reference, temperature=trainer.temperature)
        made.beta, made.ref_model = trainer.beta, reference
    return made


def _dialogues(rows: Rows) -> list[dict[str, Any]]:
    """Rows as TRL reads them. `prompt` is a name: the tokens are ready."""
    return [{"prompt": row[ASKED].id, PROMPT: row[PROMPT], ROW: number} for number, row in enumerate(rows.rows)]


def grpo_arguments(
    config: Config, device: Device, folder: Path, by_tokens: bool, own_reference: bool = False
) -> trl.GRPOConfig:
    """TRL's arguments. A process gets a step at once, which `MicroBatches` cuts; dialogues come in their order, so that
    a run that was cut off goes on with the next ones. `own_reference`: the reference model is given, not TRL's.
    """
    trainer = config.trainer
    assert isinstance(trainer, GRPOTrainerConfig)
    common = common_arguments(config, device, folder, by_tokens=True)
    del common["max_length"]  # prompts are cut already
    return trl.GRPOConfig(
        **{
            "beta": 0.0 if own_reference else trainer.beta,
            "loss_type": trainer.loss_type,
            "epsilon": trainer.epsilon,
            "num_iterations": trainer.num_iterations,
            "num_generations": trainer.num_generations,
            "num_generations_eval": 1,
            "steps_per_generation": 1,
            "max_completion_length": trainer.max_completion_length,
            "temperature": trainer.temperature,
            "scale_rewards": trainer.scale_rewards,
            "reward_weights": list(trainer.weights.values()),
            "shuffle_dataset": False,
            "use_bias_correction_kl": False,  # TRL weighs the KL term by the ratio, and the paper does not
            **common,
            "router_aux_loss_coef": 0.0,
        }
    )
