"""The reference model under TRL's DPOTrainer and KTOTrainer: which weights it has, and how it is kept."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transformers import Trainer

from edu_align.models.trainable import save_tensors

REFERENCE = "reference.safetensors"  # in a checkpoint, by the parameters' names


class SyncedReference(Trainer):
    """A reference model that follows the policy (`trainer.args.sync_ref_model`, Gorbatovski et al. 2024,
    arXiv:2404.09656): TRL mixes the policy into it every `ref_model_sync_steps` steps.

    It cannot be built again as at the first start. Overrides `_save` and `_load_from_checkpoint`: a checkpoint holds
    it, too. Inert unless synced.
    """

    args: Any
    ref_model: Any

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        super()._save(output_dir, state_dict)
        if self.args.sync_ref_model and self.args.should_save and output_dir is not None:
            save_tensors(self._reference(), Path(output_dir) / REFERENCE)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        if self.args.sync_ref_model:
            from safetensors.torch import load_file

            found = load_file(Path(resume_from_checkpoint) / REFERENCE)
            for name, value in self._reference().items():
                value.copy_(found[name])

    def _reference(self) -> dict[str, Any]:
        return {name: value.detach() for name, value in self.ref_model.named_parameters()}


class BaseReference(Trainer):
    """No copy of the adapter: the base model is the reference of one that adds nothing yet, or there is no reference.
    Overrides `__init__` and `_precompute_ref_logps`; inert unless `base_is_reference`, which must be set before TRL's
    `__init__`.

    TRL copies whatever adapter a model brings and computes the copy in every pass of the reference model, zeros
    included; without the copy it turns adapters off.
    """

    base_is_reference = False
    model: Any

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._drop_copy()

    def _precompute_ref_logps(self, *args: Any) -> Any:  # in the middle of TRL's own __init__
        self._drop_copy()
        return super()._precompute_ref_logps(*args)  # type: ignore[misc] # TRL's trainers have it

    def _drop_copy(self) -> None:
        if self.base_is_reference and "ref" in getattr(self.model, "peft_config", {}):
            self.model.delete_adapter("ref")


@contextmanager
def hashed_as(key: str, module: Any) -> Iterator[None]:
    """TRL names its own file of reference log-probabilities after a hash of all weights, made for each trainer in its
    `module`. `key` stands in for it: the key of the model, or a constant where the weights are sharded: no process has
    them all then, and the file lies in this run's own folder (`trl_dataset.as_dataset`).
    """
    original = module.hash_module
    module.hash_module = lambda weights: key
    try:
        yield
    finally:
        module.hash_module = original
