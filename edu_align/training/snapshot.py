"""What a training step changes before it is at its end, kept so that it can be computed again."""

import random
from typing import Any


def random_state() -> dict[str, Any]:
    import numpy as np
    import torch

    state = {"python": random.getstate(), "numpy": np.random.get_state(), "torch": torch.get_rng_state()}
    if torch.cuda.is_initialized():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def set_random_state(state: dict[str, Any]) -> None:
    """The reverse of `random_state`."""
    import numpy as np
    import torch

    random.setstate(state["python"])
    np.random.set_state(state["numpy"])
    torch.set_rng_state(state["torch"])
    if "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"])


class StepSnapshot:
    """What a step changes before it is at its end, as it was when the step began."""

    def __init__(self, trainer: Any) -> None:
        self.random = random_state()
        self.metrics = {name: list(values) for name, values in trainer._metrics["train"].items()}
        self.tokens = trainer._total_train_tokens
        self.loss = trainer._tr_loss.clone()
        counts = trainer.token_counts
        self.counts = (counts.asked, counts.computed) if counts else (0, 0)

    def restore(self, trainer: Any) -> None:
        set_random_state(self.random)
        trainer._metrics["train"].clear()
        trainer._metrics["train"].update({name: list(values) for name, values in self.metrics.items()})
        trainer._total_train_tokens = self.tokens
        trainer._tr_loss.copy_(self.loss)
        if trainer.token_counts:
            trainer.token_counts.asked, trainer.token_counts.computed = self.counts
