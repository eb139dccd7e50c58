"""LoRA+ (Hayou et al. 2024, arXiv:2402.12354): the second matrix of each update learns faster than the first.

A and B of an update s B A differ in size by a factor of the layer's width, and one learning rate is too low for B. The
paper trains B at `ratio` times A's rate. Every schedule scales both.
"""

from typing import Any

from transformers import Trainer

SECOND = ".lora_B."


class LoraPlus(Trainer):
    """Overrides `create_optimizer`: the second matrices get groups of their own, after the others, so that the rate in
    the log is the first matrices'. Inert while `lora_plus_ratio` is 1.
    """

    lora_plus_ratio = 1.0

    def create_optimizer(self, *args: Any, **options: Any) -> Any:
        made = self.optimizer is None
        model: Any = self.model
        optimizer = super().create_optimizer(*args, **options)
        if made and self.lora_plus_ratio != 1.0:
            second = {id(value) for name, value in model.named_parameters() if SECOND in name}
            faster(optimizer, second, self.lora_plus_ratio)
        return optimizer


def faster(optimizer: Any, second: set[int], ratio: float) -> None:
    """Move the parameters with these ids into groups that learn `ratio` times as fast, before the first step."""
    for group in list(optimizer.param_groups):
        own = [value for value in group["params"] if id(value) in second]
        if own:
            group["params"] = [value for value in group["params"] if id(value) not in second]
            optimizer.add_param_group({**group, "params": own, "lr": group["lr"] * ratio})
