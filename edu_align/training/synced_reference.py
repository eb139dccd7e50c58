"""A reference model that follows the policy (`trainer.args.sync_ref_model`, Gorbatovski et al. 2024, arXiv:2404.09656).

TRL mixes the policy into it every `ref_model_sync_steps` steps, so that it cannot be built again as at the first start.
"""

from pathlib import Path
from typing import Any

import trl

from edu_align.models.trainable import save_tensors

REFERENCE = "reference.safetensors"  # in a checkpoint, by the parameters' names


class SyncedReference(trl.DPOTrainer):
    """Overrides `_save` and `_load_from_checkpoint`: a checkpoint holds the reference, too. Inert unless synced."""

    args: trl.DPOConfig
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
