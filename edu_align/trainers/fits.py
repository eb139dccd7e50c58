"""What a training pass takes at most, and what is done where even that is too much."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from edu_align.config.schema import Config, DPOTrainerConfig
from edu_align.out_of_memory import OutOfMemory, ways_out
from edu_align.packing.budget import parts_within
from edu_align.processes import count
from edu_align.runs.folder import RunFolder
from edu_align.trainers.arguments import device_batch, token_budget
from edu_align.trainers.parts import Batch, sequences

ACROSS_PAIRS = ("aot", "aot_unpaired", "sft")  # losses that compare, or average over, the pairs of one forward pass


@dataclass
class Fits:
    """What a forward pass of training takes at most: `limit` examples, or computed tokens where `by_tokens`.

    `sides`: rows of an example in a batch, 1 for SFT, 2 for DPO: its batches hold the chosen rows, then the rejected.
    `known`: what was found so far, by earlier attempts too, [{step, unit, from, to, error}].
    """

    config: Config
    by_tokens: bool
    sides: int
    known: list[dict[str, Any]] = field(default_factory=list)
    folder: RunFolder | None = None
    limit: int = 0

    def __post_init__(self) -> None:
        self.limit = token_budget(self.config) if self.by_tokens else device_batch(self.config, False)

    def kept_in(self, folder: RunFolder) -> None:
        """Go by what the run's record says of earlier attempts, and write there what is found."""
        self.folder, self.known = folder, list(folder.record.get("out_of_memory", []))

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
        """Indices of the batch's examples, a list for each pass."""
        many = self.examples(batch)
        if self.by_tokens:
            return parts_within(sequences(batch, self.sides), self.limit)
        return [list(range(start, min(start + self.limit, many))) for start in range(0, many, self.limit)]

    def shrink(self, step: int, batch: Batch, error: str, names: Sequence[str]) -> None:
        """Halve the limit, as often as it takes for this batch to come in more passes. `names`: of its examples.

        Errors: `OutOfMemory` where every pass is one example already, or several processes would have to agree.
        """
        old, passes = self.limit, len(self.parts(batch))
        if count() > 1:
            raise OutOfMemory(
                f"out of memory at step {step} in one of {count()} processes, which cannot change to smaller passes "
                f"alone ({error}). Use hardware.per_device_batch_size={max(1, device_batch(self.config, False) // 2)}."
            )
        if passes == self.examples(batch):
            one = replace(self.config, hardware=replace(self.config.hardware, per_device_batch_size=1))
            raise OutOfMemory(
                f"out of memory at step {step} with one example in a pass, {batch['input_ids'].shape[-1]} tokens long "
                f"({', '.join(names)}): {error}. {ways_out(one)}"
            )
        while len(self.parts(batch)) == passes:
            self.limit = self._halved()
        entry = {"step": step, "unit": self.unit, "from": old, "to": self.limit, "error": error}
        self.known.append(entry)
        print(self._told(entry), flush=True)
        if self.folder is not None:
            self.folder.save(out_of_memory=self.known)

    def _halved(self) -> int:
        half = self.limit // 2
        return half if self.by_tokens else max(size for size in range(1, half + 1) if self.limit % size == 0)

    def _told(self, entry: dict[str, Any]) -> str:
        trainer, old, new = self.config.trainer, entry["from"], entry["to"]
        batch = trainer.batch_size
        what = f"hardware.per_device_batch_size {old} -> {new}, accumulation {batch // old} -> {batch // new}"
        if self.by_tokens:
            what = f"tokens of a forward pass {old} -> {new}"
        line = f"edu_align: out of memory at step {entry['step']}: {what}; trainer.batch_size stays {batch}"
        setting = across_pairs(trainer)
        return f"{line}; {setting} reads all pairs of a pass, fewer now" if setting else line


def across_pairs(trainer: Any) -> str:
    """The setting whose loss depends on which pairs share a forward pass, "" where it depends on none."""
    if not isinstance(trainer, DPOTrainerConfig):
        return ""
    if trainer.loss_type in ACROSS_PAIRS:
        return f"trainer.loss_type={trainer.loss_type}"
    return f"trainer.sft_weight={trainer.sft_weight:g}" if trainer.sft_weight else ""
