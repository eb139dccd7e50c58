"""KTO's KL term as one number for a whole step, however the step is cut into forward passes.

TRL estimates it in every pass, from the mismatched replies of that pass: with a device batch of two it is a mean of two
numbers, and the gradient depends on the hardware. Here all mismatched replies of a step are scored first, without
gradients, and every pass of the step gets their mean. Validation does the same with all of its examples.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import trl

from edu_align.packing.budget import SCORED, split_by_tokens
from edu_align.packing.scores import log_probs_only
from edu_align.training.batches import reference_in_parts, select_examples, sequences
from edu_align.training.means import Batch
from edu_align.training.micro_batches import MicroBatching
from edu_align.utils.distributed import totals
from edu_align.utils.memory import HalvingBatches

NAMES = ("input_ids", "attention_mask", "completion_mask")


class StepKL(MicroBatching, trl.KTOTrainer):
    """Overrides `__init__`, `training_step` and `evaluation_loop` (the KL term is estimated first), `_compute_loss` and
    `_compute_kl_logps` (a pass gets that estimate) and `compute_ref_log_probs` (a row's two replies at once, so that
    their prompt is computed once). Inert for a loss without the term, but for the last.
    """

    kl = 0.0  # nats a reply, mean over the mismatched replies of this step, or of the validation
    estimating: HalvingBatches  # how many mismatched replies fit into a pass

    def __init__(self, *args: Any, **options: Any) -> None:
        self.estimating = HalvingBatches("estimating the KL term")
        super().__init__(*args, **options)

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Any:
        if self.calculate_KL and self.step.done == 0:
            model.train()
            last, real = len(self.step.batches) - 1, self.step.real
            counted = [real if self.step.filled and at == last else None for at in range(last + 1)]
            for batch in self.step.batches:
                batch.update(self._references(batch))
            self._estimate(model, zip(self.step.batches, counted, strict=True), everywhere=True)
        return super().training_step(model, inputs, num_items_in_batch)

    def evaluation_loop(self, dataloader: Any, *args: Any, **options: Any) -> Any:
        """Every process validates on all examples, see `validation`."""
        if self.calculate_KL:
            self.model.eval()
            batches = (self._prepare_inputs(batch) for batch in dataloader)
            self._estimate(self.model, (({**b, **self._references(b)}, None) for b in batches), everywhere=False)
        return super().evaluation_loop(dataloader, *args, **options)

    def _references(self, batch: Batch) -> Batch:
        """The reference model's log-probabilities of a batch that has none; without any where they are precomputed."""
        if self.precompute_ref_logps or "ref_logps" in batch:
            return {}
        found = self.compute_ref_log_probs(self.ref_model or self.model, batch)
        return dict(zip(("ref_logps", "ref_KL_logps"), found, strict=True))

    def _estimate(self, model: Any, batches: Iterable[tuple[Batch, int | None]], everywhere: bool) -> None:
        """Set `kl` from the first so many examples of each batch (None: all); of all processes where `everywhere`."""
        sums = {"nats": 0.0, "replies": 0.0}
        for batch, counted in batches:
            gained = [float(gain) for gain in self._gains(model, batch)][:counted]
            sums = {"nats": sums["nats"] + sum(gained), "replies": sums["replies"] + len(gained)}
        sums = totals(sums) if everywhere else sums
        self.kl = sums["nats"] / max(sums["replies"], 1.0)

    def _gains(self, model: Any, batch: Batch) -> Any:
        """log pi / ref of a batch's mismatched replies, (B,), in passes that fit."""
        mine = {name: batch[f"KL_{name}"] for name in NAMES} | {"ref": batch["ref_KL_logps"]}

        def work(part: Sequence[int]) -> list[Any]:
            some = select_examples(mine, part, 1, trim=not self.passes.by_tokens)
            with self.compute_loss_context_manager(), log_probs_only():
                found = super(StepKL, self)._compute_kl_logps(model, {f"KL_{name}": some[name] for name in NAMES})
            return list(found - some["ref"])

        return [gain for part in self._parts(mine, 1) for gain in self.estimating.run(work, part)]

    def _parts(self, batch: Batch, sides: int) -> list[list[int]]:
        """Indices of the examples of each pass, as `MicroBatches.parts` cuts those of a training step, but `SCORED`
        times as long where that is counted in tokens: no gradients are asked for.
        """
        many, limit = len(batch["input_ids"]) // sides, self.passes.limit
        if self.passes.by_tokens:
            return split_by_tokens(sequences(batch, sides), SCORED * limit)
        return [list(range(start, min(start + limit, many))) for start in range(0, many, limit)]

    def _compute_loss(self, model: Any, inputs: Any, return_outputs: bool) -> Any:
        if not self.calculate_KL:
            return super()._compute_loss(model, inputs, return_outputs)
        live = not self.precompute_ref_logps
        inputs = {**inputs, **self._references(inputs)}
        inputs["ref_KL_logps"] = inputs["ref_KL_logps"].double() * 0.0  # `kl` is the difference already
        self.precompute_ref_logps = True
        try:
            return super()._compute_loss(model, inputs, return_outputs)
        finally:
            self.precompute_ref_logps = not live

    def _compute_kl_logps(self, model: Any, batch: Any) -> Any:
        return batch["ref_KL_logps"] + self.kl if self.calculate_KL else None

    def compute_ref_log_probs(self, model: Any, inputs: Any) -> Any:
        """TRL's reference log-probabilities of the replies and of the mismatched ones, (B,) each; None of those where
        the loss has no KL term.
        """
        sides = 2 if self.calculate_KL else 1
        batch = beside(inputs) if self.calculate_KL else {name: inputs[name] for name in NAMES}

        def one(part: Batch) -> Any:
            kept, self.calculate_KL = self.calculate_KL, False
            try:
                with log_probs_only():
                    logps, _ = trl.KTOTrainer.compute_ref_log_probs(self, model, part)
            finally:
                self.calculate_KL = kept
            return logps.chunk(sides)

        by_tokens = self.passes.by_tokens
        parts = self._parts(batch, sides) if by_tokens else [list(range(len(batch["input_ids"]) // sides))]
        found = reference_in_parts(one, batch, parts, self.passes.reference, sides)
        return found if self.calculate_KL else (*found, None)


def beside(batch: Batch) -> Batch:
    """The replies and below them the mismatched ones, (2 * B, L)."""
    import torch
    from torch.nn.functional import pad

    width = max(batch["input_ids"].shape[1], batch["KL_input_ids"].shape[1])

    def wide(name: str) -> Any:
        return pad(batch[name], (0, width - batch[name].shape[1]))

    return {name: torch.cat([wide(name), wide(f"KL_{name}")]) for name in NAMES}
