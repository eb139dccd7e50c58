"""Training steps in passes that fit: a batch cut into parts, and into smaller ones from the step where memory runs out.

    batch of 8 examples, hardware.per_device_batch_size=4    two passes of 4
    memory runs out in the second one                        the step begins again, in four passes of 2, as do all later

accelerate's `find_executable_batch_size`, which transformers' `auto_find_batch_size` uses, starts the training over
with a smaller batch: what was trained is lost, the effective batch shrinks, and batches are dealt anew. Here only the
step is computed again, from the random numbers that it began with. Parts of a number of examples are those that a
smaller device batch makes, loss for loss. Parts of a number of tokens (packed models) keep the gradient of the whole
step: each part's loss counts by its share of the examples (DPO) or of the trained tokens (SFT, where TRL does it).
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from edu_align.out_of_memory import Halves, forget, make_room, ran_out
from edu_align.random_numbers import random_state, set_random_state
from edu_align.trainers.fits import Fits
from edu_align.trainers.numbered import ROW, names_of
from edu_align.trainers.parts import Batch, referenced, taken, validated, weigh

OneStep = Callable[..., Any]  # TRL's training_step: forward and backward pass of `inputs`


class Before:
    """What a step changes before it is at its end, as it was when the step began."""

    def __init__(self, trainer: Any) -> None:
        keeper = getattr(trainer, "keeper", None)
        self.random = random_state()
        self.metrics = {name: list(values) for name, values in trainer._metrics["train"].items()}
        self.tokens = trainer._total_train_tokens
        self.loss = trainer._tr_loss.clone()
        self.sharing = keeper.sharing if keeper else None
        self.counted = (self.sharing.asked, self.sharing.computed) if self.sharing else (0, 0)

    def restore(self, trainer: Any) -> None:
        set_random_state(self.random)
        trainer._metrics["train"].clear()
        trainer._metrics["train"].update({name: list(values) for name, values in self.metrics.items()})
        trainer._total_train_tokens = self.tokens
        trainer._tr_loss.copy_(self.loss)
        if self.sharing:
            self.sharing.asked, self.sharing.computed = self.counted


class Step:
    """One optimizer step. `losses`: of each pass so far, with the numbers of its rows."""

    def __init__(self, batches: list[Batch]) -> None:
        self.batches = batches
        self.done = 0
        self.losses: list[tuple[Any, Any]] = []
        self.before: Before | None = None

    def next(self, trainer: Any, one: OneStep) -> Any:
        """Compute the next batch and return its loss; where memory ran out, that of all batches so far."""
        fits, number = trainer.fits, trainer.state.global_step + 1
        if self.before is None:
            self.before = Before(trainer)
            fits.begin(number)
        at = self.done
        while True:
            try:
                loss = 0.0
                while at <= self.done:
                    loss += self._passes(trainer, one, self.batches[at])
                    at += 1
                self.done += 1
                return loss
            except (RuntimeError, MemoryError) as error:
                if not ran_out(error):
                    raise
                said = forget(error)
            trainer.model.zero_grad()
            make_room()
            fits.shrink(number, self.batches[at], said, names_of(trainer, self.batches[at].get(ROW)))
            self.before.restore(trainer)
            self.losses.clear()
            at = 0

    def _passes(self, trainer: Any, one: OneStep, batch: Batch) -> Any:
        fits, notes = trainer.fits, trainer._metrics["train"]
        batch, parts, many = dict(batch), fits.parts(batch), fits.examples(batch)
        rows = batch.pop(ROW, None)
        whole = trainer.current_gradient_accumulation_steps
        passes = sum(-(-fits.examples(each) // fits.limit) for each in self.batches)
        loss = 0.0
        for part in parts:
            seen = {name: len(values) for name, values in notes.items()} if fits.by_tokens else {}
            share = whole * many / len(part) if fits.by_tokens else passes
            trainer.current_gradient_accumulation_steps = share
            try:
                own = one(inputs=taken(batch, part, fits.sides, trim=not fits.by_tokens))
            finally:
                trainer.current_gradient_accumulation_steps = whole
            self.losses.append((own, rows if rows is None or len(part) == many else rows[part]))
            loss += own
            if fits.by_tokens:
                weigh(notes, seen, len(part))
        return loss


def fitting(trainer_class: type[Any], fits: Fits) -> type[Any]:
    """`trainer_class` (TRL's) with training steps and evaluation in passes that fit. For one GPU or CPU a process."""
    validating, referring = Halves("validating"), Halves("scoring with the reference model")

    class Fitting(trainer_class):
        step = Step([])

        def get_batch_samples(self, *given: Any) -> Any:
            batches, items = super().get_batch_samples(*given)
            self.step = Step(batches)
            return batches, items

        def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Any:
            return self.step.next(self, partial(super().training_step, model, num_items_in_batch=num_items_in_batch))

        def each_alone(self, model: Any) -> Iterator[tuple[int, Any]]:
            """The row of every example of this step, and its loss after a forward and backward pass of its own."""
            for batch in self.step.batches:
                plain = {name: value for name, value in batch.items() if name != ROW}
                for i in range(fits.examples(batch)):
                    model.zero_grad()
                    yield int(batch[ROW][i]), super().training_step(model, taken(plain, [i], fits.sides))

        def prediction_step(self, model: Any, inputs: Any, *given: Any, **options: Any) -> Any:
            one = super().prediction_step
            return validated(lambda part: one(model, part, *given, **options), inputs, fits.sides, validating)

        def compute_ref_log_probs(self, model: Any, inputs: Any) -> Any:
            one = super().compute_ref_log_probs
            parts = fits.parts(inputs) if fits.by_tokens else [list(range(fits.examples(inputs)))]
            return referenced(lambda part: one(model, part), inputs, parts, referring)

    Fitting.fits = fits
    Fitting.__name__ = trainer_class.__name__
    return Fitting
