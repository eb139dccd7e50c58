"""Training steps in passes that fit: a batch cut into parts, and into smaller ones from the step where memory runs out.

    batch of 8 examples, hardware.per_device_batch_size=4    two passes of 4
    memory runs out in the second one                        the step begins again, in four passes of 2, as do all later

accelerate's `find_executable_batch_size`, which transformers' `auto_find_batch_size` uses, starts the training over
with a smaller batch: what was trained is lost, the effective batch shrinks, and batches are dealt anew. Here only the
step is computed again, from the random numbers that it began with.

However a step is cut, by examples or by tokens (packed models), its gradient and what is logged of it are those of the
step in one pass: a pass counts by its share of the step's pairs (DPO; its SFT term by tokens, see `sft_term`), of its
replies (KTO; its KL term is the step's, see `step_kl`) or of the trained tokens (SFT, where TRL does it). A loss that
compares the pairs of a step is not cut (`COMPARING_LOSSES`). Several processes share what is cut by tokens (`shares`).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from math import inf
from typing import Any

import torch
from transformers import Trainer

from edu_align.config.batch import device_batch, token_budget
from edu_align.config.schema import COMPARING_LOSSES, Config
from edu_align.models.chat_template import IGNORED
from edu_align.models.sharding import is_sharded
from edu_align.packing.budget import split_by_tokens
from edu_align.packing.decoder import TokenCounts
from edu_align.packing.scores import log_probs_only
from edu_align.planning.plan import memory_advice
from edu_align.runs.folder import RunFolder
from edu_align.training.batches import real_examples, reference_in_parts, select_examples, sequences, whole_step
from edu_align.training.means import COUNTER, Batch, Means, Numbers, weights_of
from edu_align.training.shares import average_gradients, deal, in_step, kept_apart
from edu_align.training.snapshot import StepSnapshot
from edu_align.training.trl_dataset import ROW, record_ids
from edu_align.utils.distributed import count, every, rank, total, totals
from edu_align.utils.memory import HalvingBatches, OutOfMemory, free_memory, is_out_of_memory, release_traceback

TrainingStep = Callable[..., Any]  # TRL's training_step: forward and backward pass of `inputs`


@dataclass
class MicroBatches:
    """What a forward pass of training takes at most: `limit` examples, or computed tokens where `by_tokens`.

    `sides`: rows of an example in a batch, 1 for SFT and KTO, 2 for DPO: it holds the chosen rows, then the rejected;
    4 with those of `trainer.pmi_weight` after them.
    `known`: what was found so far, by earlier attempts too, [{step, unit, from, to, error}].
    """

    config: Config
    by_tokens: bool
    sides: int
    known: list[dict[str, Any]] = field(default_factory=list)
    agrees: bool = False  # several processes hear of memory that runs out in one of them
    folder: RunFolder | None = None
    limit: int = 0
    validation: HalvingBatches = field(default_factory=lambda: HalvingBatches("validating"))
    reference: HalvingBatches = field(default_factory=lambda: HalvingBatches("scoring with the reference model"))

    def __post_init__(self) -> None:
        self.limit = token_budget(self.config) if self.by_tokens else device_batch(self.config, False)

    def kept_in(self, folder: RunFolder) -> None:
        """Go by what the run's record says of earlier attempts, and write there what is found."""
        self.folder, self.known = folder, list(folder.record.get("out_of_memory", []))

    @property
    def shared(self) -> bool:
        """Whether several processes share a step's examples by what they cost."""
        return self.by_tokens and count() > 1

    @property
    def unit(self) -> str:
        return "tokens" if self.by_tokens else "examples"

    def begin(self, step: int) -> None:
        """From here on as an earlier attempt found at this step or before."""
        found = [entry["to"] for entry in self.known if entry["unit"] == self.unit and entry["step"] <= step]
        self.limit = min([self.limit, *found])

    def examples(self, batch: Batch) -> int:
        return len(batch["input_ids"]) // self.sides

    def parts(self, batch: Batch) -> list[list[int]]:
        """Indices of the batch's examples, a list for each pass; of a shared step in all processes."""
        many = self.examples(batch)
        if self.by_tokens:
            return split_by_tokens(sequences(batch, self.sides), self.limit)
        return [list(range(start, min(start + self.limit, many))) for start in range(0, many, self.limit)]

    def shrink(self, step: int, batch: Batch, error: str, names: Sequence[str]) -> None:
        """Halve the limit, as often as it takes for this batch to come in more passes. `names`: of its examples.

        Errors: `OutOfMemory` where every pass is one example already, the loss compares the pairs of a step, or several
        processes cannot agree.
        """
        old, passes = self.limit, len(self.parts(batch))
        loss, size = getattr(self.config.trainer, "loss_type", ""), self.config.trainer.batch_size
        if loss in COMPARING_LOSSES:
            raise OutOfMemory(
                f"out of memory at step {step} ({error}), and trainer.loss_type={loss} compares all pairs of a step, "
                f"which is one forward pass. Use trainer.batch_size={max(2, size // 2)}, another loss_type, or: "
                f"{memory_advice(self.config)}"
            )
        if count() > 1 and not self.agrees:
            raise OutOfMemory(
                f"out of memory at step {step} in one of {count()} processes, which cannot change to smaller passes "
                f"alone ({error}). Use hardware.per_device_batch_size={max(1, device_batch(self.config, False) // 2)}."
            )
        if passes == self.examples(batch):
            one = replace(self.config, hardware=replace(self.config.hardware, per_device_batch_size=1))
            raise OutOfMemory(
                f"out of memory at step {step} with one example in a pass, {batch['input_ids'].shape[-1]} tokens long "
                f"({', '.join(names)}): {error}. {memory_advice(one)}"
            )
        while len(self.parts(batch)) == passes:
            self.limit = self._halved()
        entry = {"step": step, "unit": self.unit, "from": old, "to": self.limit, "error": error}
        self.known.append(entry)
        print(self._describe(entry), flush=True)
        if self.folder is not None:
            self.folder.save(out_of_memory=self.known)

    def _halved(self) -> int:
        half = self.limit // 2
        return half if self.by_tokens else max(size for size in range(1, half + 1) if self.limit % size == 0)

    def _describe(self, entry: dict[str, Any]) -> str:
        trainer, old, new = self.config.trainer, entry["from"], entry["to"]
        batch = trainer.batch_size
        what = f"hardware.per_device_batch_size {old} -> {new}, accumulation {batch // old} -> {batch // new}"
        if self.by_tokens:
            what = f"tokens of a forward pass {old} -> {new}"
        return f"edu_align: out of memory at step {entry['step']}: {what}; trainer.batch_size stays {batch}"


class StepState:
    """One optimizer step. `examples`: of all processes together; `sizes`: what they have, as `weights_of` counts it;
    `losses`: of each pass so far, with the numbers of its rows.

    accelerate fills the last step of an epoch up with rows that were seen, so that all processes get as many. Those
    (`filled`, in the last batches) count nothing; passes are of one example there, because TRL takes means of a pass.
    `shared`: the one batch holds the examples of all processes, and each computes its passes of it.
    """

    def __init__(self, batches: list[Batch], sides: int, examples: int, filled: int = 0, shared: bool = False) -> None:
        self.batches, self.examples, self.filled, self.shared = batches, examples, filled, shared
        self.real = real_examples(len(batches[-1]["input_ids"]) // sides, filled) if batches else 0
        self.done = 0
        self.losses: list[tuple[Any, Any]] = []
        self.means = Means()
        self.before: StepSnapshot | None = None
        each = [weights_of(self._real(batch, sides), sides) for batch in batches]
        own = {name: sum(size[name] for size in each) for name in each[0]} if each else {}
        self.sizes = totals(own) if each and not shared else own

    def _real(self, batch: Batch, sides: int) -> Batch:
        last = self.filled and batch is self.batches[-1]
        return select_examples(batch, range(self.real), sides) if last else batch

    def next(self, trainer: "MicroBatching", one: TrainingStep) -> Any:
        """Compute the next batch and return its loss; where memory ran out, that of all batches so far."""
        passes, number = trainer.passes, trainer.state.global_step + 1
        if self.before is None:
            self.before = StepSnapshot(trainer)
            passes.begin(number)
        at = self.done
        while True:
            reason, loss = "", 0.0
            try:
                while at <= self.done:
                    loss += self._passes(trainer, one, self.batches[at])
                    at += 1
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                reason = release_traceback(error)
            if passes.agrees:
                reason = next(filter(None, every(reason)), "")
            if not reason:
                self.done += 1
                if self.done == len(self.batches):
                    self._note(trainer)
                return loss
            at = min(at, self.done)
            trainer.model.zero_grad()
            free_memory()
            passes.shrink(number, self.batches[at], reason, record_ids(trainer, self.batches[at].get(ROW)))
            self.before.restore(trainer)
            self.losses.clear()
            self.means = Means()
            at = 0

    def _passes(self, trainer: "MicroBatching", one: TrainingStep, batch: Batch) -> Any:
        limits, whole = trainer.passes, trainer.current_gradient_accumulation_steps
        filled = self.filled > 0 and batch is self.batches[-1]
        batch, many = dict(batch), limits.examples(batch)
        parts = [[i] for i in range(many)] if filled and "labels" not in batch else limits.parts(batch)
        if self.shared:
            dealt = deal(sequences(batch, limits.sides), limits.limit, count())
            parts = dealt[rank()] + [[]] * (max(map(len, dealt)) - len(dealt[rank()]))
        rows = batch.pop(ROW, None)
        loss = 0.0
        for mine in parts:
            part = mine or [0]  # an example that counts nothing, where others have one more
            chosen = select_examples(batch, part, limits.sides, trim=not limits.by_tokens)
            real = [i for i in mine if not filled or i < self.real]
            if not mine and "labels" in chosen:
                chosen["labels"] = torch.full_like(chosen["labels"], IGNORED)
            weights = weights_of(chosen, limits.sides)
            weights = weights if real else dict.fromkeys(weights, 0.0)
            weights = weights if self.shared else totals(weights)
            # TRL divides the loss of a pass by it, but for SFT's; gradients are means over the processes.
            share: Any = self.examples / (count() * len(real)) if real else inf
            trainer.current_gradient_accumulation_steps = share
            try:
                with trainer.apart() if self.shared else nullcontext():
                    own = one(inputs=chosen)
            finally:
                trainer.current_gradient_accumulation_steps = whole
            self.losses.append((own, rows if rows is None or len(part) == many else rows[part]))
            loss += own
            self._take(trainer._metrics["train"], weights)
        return loss

    def _take(self, noted: dict[str, list[float]], weights: Numbers) -> None:
        """Take what TRL noted of a pass."""
        before = self.before.metrics if self.before else {}
        for name, values in noted.items():
            if name != COUNTER:
                for value in values[len(before.get(name, [])) :]:
                    self.means.add(name, value, weights.get(name, weights["loss"]))
                del values[len(before.get(name, [])) :]

    def _note(self, trainer: "MicroBatching") -> None:
        """Note the numbers of the step: TRL logs their mean over steps, as transformers does with the loss."""
        noted = trainer._metrics["train"]
        if self.shared:
            self.means.join()
            if passes_are_summed_apart(trainer):
                average_gradients(trainer.model)
        for name, value in self.means.all().items():
            noted[name].append(value)
        if (self.filled or self.shared) and self.before is not None:
            trainer._total_train_tokens = self.before.tokens + self._tokens(trainer.passes.sides)
            noted[COUNTER] = [trainer._total_train_tokens]

    def _tokens(self, sides: int) -> int:
        """Tokens of the step in all processes, without what is filled up."""
        mine = sum(float(self._real(batch, sides)["attention_mask"].sum()) for batch in self.batches)
        return int(mine if self.shared else total(mine))


class MicroBatching(Trainer):
    """Training steps in passes that fit, for one GPU or CPU a process.

    Overrides `get_batch_samples` (a step begins), `training_step` (its passes), `floating_point_ops`, `log` (what an
    epoch is) and TRL's `compute_ref_log_probs` (in halves where memory runs out). `passes` must be set before TRL's
    `__init__`, which may score the reference model.
    """

    passes: MicroBatches
    row_ids: tuple[str, ...] = ()  # the record of each training row, see `trl_dataset.attach_row_ids`
    token_counts: TokenCounts | None = None  # counts that a step which is computed again must not count twice
    step = StepState([], 1, 0)
    model: Any
    model_wrapped: Any
    _metrics: Any  # {"train": {name: numbers}}; TRL's, as is the next
    _total_train_tokens: Any

    def get_batch_samples(self, *args: Any) -> Any:
        items: Any  # trained tokens, by which SFT's loss is divided
        batches, items = super().get_batch_samples(*args)
        mine = sum(self.passes.examples(batch) for batch in batches)
        self.step = StepState(batches, self.passes.sides, *self._dealt(mine * count()))
        if self.step.filled and items is not None:
            labels = batches[-1]["labels"][self.step.real :]
            items -= total(float((labels[:, 1:] != IGNORED).sum()))
            labels.fill_(IGNORED)
        if self.passes.shared and batches:
            (mine,) = batches
            dealt = select_examples(mine, range(self.step.real), self.passes.sides)
            batches = [whole_step(dealt, self.passes.sides)]
            self.step = StepState(batches, self.passes.sides, self.step.examples, shared=True)
            self.passes.agrees = passes_are_summed_apart(self)
        return batches, items

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Inside the block a pass is this process's own: its numbers and, where DDP would sum it, its gradient."""
        alone = self.model_wrapped.no_sync() if passes_are_summed_apart(self) else nullcontext()
        with kept_apart(self.accelerator), alone:
            yield

    def _dealt(self, all_processes: int) -> tuple[int, int]:
        """The examples of this step, and how many were dealt out beyond them."""
        size, rows = self.passes.config.trainer.batch_size, len(self.row_ids)
        if count() == 1 or not rows:
            return all_processes, 0
        begun = self.state.global_step % -(-rows // size) * size
        examples = min(size, rows - begun)
        return examples, all_processes - examples

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Any:
        return self.step.next(self, partial(super().training_step, model, num_items_in_batch=num_items_in_batch))

    def floating_point_ops(self, inputs: Any) -> int:
        """Of a shared step every process has all examples, and transformers adds up what all have."""
        found: int = super().floating_point_ops(inputs)
        return found // count() if self.step.shared else found

    def steps_an_epoch(self) -> int:
        return -(-len(self.row_ids) // self.passes.config.trainer.batch_size)

    def log(self, logs: dict[str, float], *args: Any) -> None:
        """An epoch is counted in steps: transformers counts device batches, of which a short step has fewer."""
        if self.state.epoch is not None and self.row_ids:
            self.state.epoch = self.state.global_step / self.steps_an_epoch()
        super().log(logs, *args)

    def each_example_alone(self, model: Any) -> Iterator[tuple[int, Any]]:
        """The row of every example of this step, and its loss after a forward and backward pass of its own."""
        for batch in self.step.batches:
            plain = {name: value for name, value in batch.items() if name != ROW}
            for i in range(self.passes.examples(batch)):
                model.zero_grad()
                yield int(batch[ROW][i]), super().training_step(model, select_examples(plain, [i], self.passes.sides))

    def compute_ref_log_probs(self, model: Any, inputs: Any) -> Any:
        one = super().compute_ref_log_probs  # type: ignore[misc] # TRL's DPOTrainer has it
        passes = self.passes
        parts = passes.parts(inputs) if passes.by_tokens else [list(range(passes.examples(inputs)))]
        if passes.shared and is_sharded(model) and self.step.before is None:  # before training; in a pass it is one
            parts = in_step(parts, sequences(inputs, passes.sides))
        with log_probs_only():
            return reference_in_parts(lambda part: one(model, part), inputs, parts, passes.reference, passes.sides)


def passes_are_summed_apart(trainer: Any) -> bool:
    """Whether DDP would sum up gradients; of sharded weights every layer is gathered, and its gradient is summed."""
    return hasattr(trainer.model_wrapped, "no_sync")
