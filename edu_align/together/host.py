"""The model that computes several runs at once: the shared base, with every run's adapter on its own rows.

It is a tree of modules of its own over the base's weights, as is every run's model (`twin`); only the weights exist
once. The runs' adapters stay where PEFT put them, in the runs' models, and are read from there.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers.modeling_layers import GradientCheckpointingLayer

from edu_align.packing.decoder import TokenCounts, causal_model, is_packed, share_prefixes
from edu_align.together.layers import Slice, SlicedLinear, Stack


def twin(model: Any) -> Any:
    """A copy of `model` that holds the same leaves (linear layers, norms, embeddings) and so the same weights."""
    leaves = {id(module): module for module in model.modules() if not list(module.children())}
    kept: dict[int, Any] = {**leaves, **{id(value): value for value in (*model.parameters(), *model.buffers())}}
    return copy.deepcopy(model, kept)


@dataclass(frozen=True)
class Conditions:
    """What a thread has set for itself, and the mode of its model."""

    gradient: bool
    autocast: torch.dtype | None
    training: bool

    @classmethod
    def here(cls, backbone: Any, device: str) -> "Conditions":
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
        return cls(torch.is_grad_enabled(), dtype, backbone.training)


@dataclass
class Pass:
    """A stacked forward pass that waits for its backward pass. `leaves` are the slices as the runs got them."""

    hidden: torch.Tensor
    slices: tuple[Slice, ...]
    leaves: list[torch.Tensor]


class Host:
    """`first` is the model of one of the runs, packed or not as all of them are; `base` what it was made from."""

    def __init__(self, base: Any, first: Any, backend: str) -> None:
        self.model = twin(base)
        self.stack = Stack()
        self.waiting: list[Pass] = []
        self.added: set[int] = set()
        self.packed = is_packed(first)
        self.sharing = share_prefixes(self.model, backend) if self.packed else TokenCounts()

    def add(self, number: int, model: Any) -> None:
        """Take the adapter layers of run `number` over; done once a run."""
        from peft.tuners.lora import LoraLayer

        if number in self.added:
            return
        self.added.add(number)
        for name, layer in causal_model(model).named_modules():
            if not isinstance(layer, LoraLayer):
                continue
            parent, _, last = name.rpartition(".")
            owner = self.model.get_submodule(parent)
            if not isinstance(getattr(owner, last), SlicedLinear):
                setattr(owner, last, SlicedLinear(getattr(owner, last), self.stack))
            getattr(owner, last).adapters[number] = layer

    def forward(self, slices: Sequence[Slice], like: Any, options: dict[str, Any], conditions: Conditions) -> list[Any]:
        """The decoder's output for each slice, every one over the batch in `options` (B, L).

        Where gradients are on, a slice's hidden states (B, L, H) are a leaf, and `backward` goes on from the gradient
        that has gathered there. `like` is the backbone of a run: gradient checkpointing is on here where it is there.
        """
        many = len(slices)
        self.stack.slices = tuple(slices)
        backbone = self.model.base_model
        backbone.train(conditions.training)
        _checkpoint_like(like, backbone)
        if self.packed:
            options = {**options, "copies": many}
        else:
            options = {name: _repeated(value, many) for name, value in options.items()}
        device = options["input_ids"].device.type
        autocast = torch.autocast(device, dtype=conditions.autocast, enabled=conditions.autocast is not None)
        with torch.set_grad_enabled(conditions.gradient), autocast:
            output = backbone(**options)
        hidden = output.last_hidden_state
        if not hidden.requires_grad:
            return [_with(output, part) for part in hidden.chunk(many)]
        leaves = [part.requires_grad_() for part in hidden.detach().chunk(many)]
        self.waiting.append(Pass(hidden, self.stack.slices, leaves))
        return [_with(output, leaf) for leaf in leaves]

    def backward(self) -> None:
        """The backward pass of every waiting forward pass: gradients add up in the parameters of each run's adapter."""
        waiting, self.waiting = self.waiting, []
        for done in waiting:
            if all(leaf.grad is None for leaf in done.leaves):
                continue
            self.stack.slices = done.slices  # gradient checkpointing computes the layers again
            parts = [torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for leaf in done.leaves]
            torch.autograd.backward(done.hidden, torch.cat(parts))


def _with(output: Any, hidden: torch.Tensor) -> Any:
    part = copy.copy(output)
    part.last_hidden_state = hidden
    return part


def _repeated(value: Any, many: int) -> Any:
    return value.repeat(many, *[1] * (value.dim() - 1)) if isinstance(value, torch.Tensor) else value


def _checkpoint_like(like: Any, backbone: Any) -> None:
    for given, layer in zip(_layers(like), _layers(backbone), strict=True):
        layer.gradient_checkpointing = given.gradient_checkpointing
        if hasattr(given, "_gradient_checkpointing_func"):
            layer._gradient_checkpointing_func = given._gradient_checkpointing_func


def _layers(backbone: Any) -> list[Any]:
    return [module for module in backbone.modules() if isinstance(module, GradientCheckpointingLayer)]
