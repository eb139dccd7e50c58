"""Replies of the model's own under TRL's GRPOTrainer: written by our engine, scored by rewards, kept over steps.

TRL draws replies inside a forward pass of a step, by torch's global generator. Here a step's are written before it
begins, by a seed of its own, so that a run that was cut off draws what it would have drawn, and the step is then cut
into passes as any other is (`micro_batches`). Prompts, rewards, advantages and the loss go through TRL's code.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import trl
from transformers import Trainer

from edu_align.config.schema import Config, GenerationConfig, GRPOTrainerConfig
from edu_align.models.answers import answer
from edu_align.rewards.asked import Asked, Scoring, Sources
from edu_align.rewards.registry import scoring
from edu_align.training.grpo_rows import PROMPT
from edu_align.training.micro_batches import MicroBatches
from edu_align.training.snapshot import random_state, set_random_state
from edu_align.training.trl_dataset import ROW
from edu_align.training.validation import Validation
from edu_align.utils.hashing import digest

REPLIES = "replies.safetensors"  # in a checkpoint between two steps on the same replies
WHOLE_STEP = "dapo"  # TRL's loss that divides by the tokens of a step, not of a pass
# TRL's numbers on replies that are means over dialogues, and so can be averaged over batches of them.
OF_REPLIES = ("reward", "completions/mean_length", "completions/clipped_ratio")
Batch = dict[str, Any]


class RewardFunction:
    """A reward as TRL calls it: the rewards of N replies, whose dialogues stand in the column `asked`."""

    def __init__(self, name: str, score: Scoring) -> None:
        self.__name__ = name
        self.score = score

    def __call__(self, completions: Sequence[str], asked: Sequence[Asked], **_: Any) -> list[float]:
        return self.score([text.strip() for text in completions], asked)


@contextmanager
def drawn_by(*parts: Any) -> Iterator[None]:
    """Random numbers by a seed that is made of `parts`; afterwards as if none had been drawn."""
    state = random_state()
    torch.manual_seed(int(digest(*parts)[:12], 16))
    try:
        yield
    finally:
        set_random_state(state)


class OwnReplies(trl.GRPOTrainer):
    """Overrides `get_batch_samples` (a step's replies), TRL's `_generate_and_score_completions`, `_tokenize_prompts`
    and `_generate_single_turn` (how they are written), `_get_per_token_logps_and_entropies` (scores of the reference in
    passes that fit), `_compute_loss`, `_prepare_inputs` and `training_step` (replies are there already).

    `asked`: what the rewards know of each training and validation row, by `train` and `eval`.
    """

    passes: MicroBatches
    asked: dict[str, list[Asked]]
    replies: Batch | None = None  # those of the last step
    rows: Sequence[Batch] = ()  # that are answered now
    model: Any
    max_completion_length: Any
    _metrics: Any

    def get_batch_samples(self, *args: Any) -> Any:
        batches, items = super().get_batch_samples(*args)
        return [self._step_replies(rows) for rows in batches], items

    def _step_replies(self, rows: Sequence[Batch]) -> Batch:
        if self.replies is None or self.state.global_step % self.num_iterations == 0:
            self.model.train()
            self.replies = self._generate_and_score_completions(list(rows))
        return dict(self.replies)

    def _generate_and_score_completions(self, inputs: list[Batch]) -> Batch:
        """TRL's batch, each tensor with a row a reply, and both sides in one beside it, as passes are cut by."""
        known = self.asked["train" if self.model.training else "eval"]
        self.rows = [{**row, "asked": known[row[ROW]]} for row in inputs]
        made: Batch = super()._generate_and_score_completions(list(self.rows))
        return {
            **made,
            "input_ids": torch.cat([made["prompt_ids"], made["completion_ids"]], dim=1),
            "attention_mask": torch.cat([made["prompt_mask"], made["completion_mask"]], dim=1),
            ROW: torch.tensor([row[ROW] for row in inputs]),
        }

    def _tokenize_prompts(self, prompts: Any) -> Any:
        return [row[PROMPT] for row in self.rows], None, {}

    def _generate_single_turn(self, prompt_ids: Any, *args: Any, **options: Any) -> Any:
        config, training = self.passes.config, self.model.training
        seed = ["step", self.state.global_step] if training else ["validation", prompt_ids]
        settings = GenerationConfig(max_new_tokens=self.max_completion_length, temperature=self.temperature)
        with drawn_by(config.seed, *seed):
            found = answer(
                self.model,
                self.processing_class,
                [],
                prompt_ids,
                settings,
                memory_gb=config.hardware.memory_gb,
                ends=True,
            )
        self.model.train(training)
        return found.replies, None

    def _get_per_token_logps_and_entropies(
        self, model: Any, input_ids: Any, attention_mask: Any, logits_to_keep: int, **options: Any
    ) -> Any:
        one = super()._get_per_token_logps_and_entropies
        if torch.is_grad_enabled() or options.get("compute_entropy"):
            return one(model, input_ids, attention_mask, logits_to_keep, **options)

        def work(part: Sequence[int]) -> list[Any]:
            rows = list(part)
            scored, _, _ = one(
                model, input_ids[rows], attention_mask[rows], logits_to_keep, **{**options, "batch_size": len(rows)}
            )
            return list(scored)

        parts = self.passes.parts({"input_ids": input_ids, "attention_mask": attention_mask})
        return torch.stack([row for part in parts for row in self.passes.reference.run(work, part)]), None, None

    def _compute_loss(self, model: Any, inputs: Any) -> Any:
        """A pass counts by its share of the step's replies; by its tokens already where TRL divides by the step's."""
        share = self.current_gradient_accumulation_steps
        if self.loss_type == WHOLE_STEP:
            self.current_gradient_accumulation_steps = 1
        try:
            return super()._compute_loss(model, inputs)
        finally:
            self.current_gradient_accumulation_steps = share

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        return Trainer._prepare_inputs(self, generation_batch)

    def training_step(self, *args: Any, **options: Any) -> Any:
        """Not TRL's, which takes the time of each pass."""
        return Trainer.training_step(self, *args, **options)


class KeptReplies(Trainer):
    """Replies that several steps train on. Overrides `_save` and `_load_from_checkpoint`: a checkpoint between two of
    these steps holds them, because the model that wrote them is gone. Inert with `trainer.num_iterations=1`.
    """

    replies: Batch | None
    num_iterations: int

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        super()._save(output_dir, state_dict)
        between = self.state.global_step % self.num_iterations != 0
        if between and self.replies is not None and self.args.should_save and output_dir is not None:
            from safetensors.torch import save_file

            tensors = {name: value.contiguous().cpu() for name, value in self.replies.items()}
            save_file(tensors, Path(output_dir) / REPLIES)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        if (file := Path(resume_from_checkpoint) / REPLIES).is_file():
            from safetensors.torch import load_file

            self.replies = load_file(file, device=str(self.args.device))


class ValidatedReplies(Validation):
    """One reply to each validation dialogue, always by the same seed. Overrides `prediction_step`: what TRL notes of
    replies as they are written is a mean over dialogues.
    """

    def prediction_step(self, model: Any, inputs: Any, *args: Any, **options: Any) -> Any:
        noted = self._metrics["eval"]
        noted.clear()
        trainer: Any = self
        replies = trainer._generate_and_score_completions(inputs)
        for name, values in noted.items():
            if name in OF_REPLIES or (name.startswith("rewards/") and name.endswith("/mean")):
                self.means.add(name, values[-1], float(len(inputs)))
        return super().prediction_step(model, replies, *args, **options)


def reward_functions(config: Config) -> list[RewardFunction]:
    """The rewards of `trainer=grpo` as TRL takes them; a model that one of them asks is loaded."""
    trainer = config.trainer
    assert isinstance(trainer, GRPOTrainerConfig)
    sources = Sources(config, trainer.reward_run)
    return [RewardFunction(name, scoring(name, sources)) for name in trainer.weights]
