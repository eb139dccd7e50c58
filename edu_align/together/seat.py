"""One run's place at the table: an ordinary run whose model asks the meeting before it computes.

The run's model is complete and its own. Three of its calls are led elsewhere first: the decoder's forward pass (which
may be stacked with those of other runs), a forward pass of the reference model (which is the same for all), and the end
of a backward pass.
"""

import functools
from collections.abc import Callable, Hashable
from types import MethodType
from typing import Any

import torch

from edu_align.packing.decoder import causal_model
from edu_align.together.host import Conditions, twin
from edu_align.together.meeting import OWN, Joint, Question
from edu_align.together.place import Place, here
from edu_align.together.turns import Turns

Method = Callable[..., Any]


class Seat(Place):
    """`number` is the run's, `key` names what the runs here share, `bases` holds loaded base models by that key."""

    def __init__(self, number: int, key: str, bases: dict[str, Any], cut: int, backend: str) -> None:
        self.number, self.key, self.bases, self.cut, self.backend = number, key, bases, cut, backend
        self.turns: Turns | None = None
        self.model: Any = None
        self.sharing: Any = None
        self.others = 0  # runs at this table besides this one
        self._computing = False

    @property
    def backbone(self) -> Any:
        return causal_model(self.model).base_model

    def ask(self, question: Question) -> Any:
        assert self.turns is not None
        return self.turns.ask(question)

    def base(self, load: Callable[[], Any]) -> Any:
        if self.key not in self.bases:
            self.bases[self.key] = load()
        return twin(self.bases[self.key])

    def settle(self, model: Any, sharing: Any, folder: Any) -> None:
        self.model, self.sharing = model, sharing
        _led(self.backbone, self._decoder)
        _led(model, self._reference)
        folder.save(trained_beside=self.others)

    def join(self, trainer: Any) -> None:
        """Meet after every backward pass: what it left in the slices goes on through the decoder for all runs."""
        original = trainer.accelerator.backward

        def backward(loss: Any, **options: Any) -> None:
            original(loss, **options)
            self.ask(Question("backward", self.key))

        trainer.accelerator.backward = backward

    def once(self, name: str, work: Callable[[], Any]) -> Any:
        """`work` of one of the runs that ask for `name`, for all of them; where it fails, the next one tries."""
        return self._once((self.key, name), work)

    def ran_out(self, error: str) -> None:
        """Errors: always `Joint`. Alone it has all memory; here, passes of another size would not meet the others'."""
        raise Joint(f"memory ran out with several runs in it ({error})")

    def _once(self, key: Hashable, work: Callable[[], Any]) -> Any:
        answer = self.ask(Question("once", key))
        if answer is not OWN:
            return answer
        self._computing = True
        try:
            result = work()
        finally:
            self._computing = False
        self.ask(Question("done", key, result))
        return result

    def _meets(self, options: dict[str, Any]) -> bool:
        """Whether a call is one of training or scoring; generation has a cache and computes on its own."""
        given = [key for key in ("past_key_values", "position_ids", "inputs_embeds") if options.get(key) is not None]
        ids = options.get("input_ids")
        return here() is self and not self._computing and ids is not None and not given

    def _decoder(self, alone: Method, options: dict[str, Any]) -> Any:
        if not self._meets(options) or options.get("use_cache") is not False:
            return alone(**options)
        conditions = Conditions.here(self.backbone, options["input_ids"].device.type)
        key = (self.key, conditions, _signature(options))
        answer = self.ask(Question("forward", key, (self, self._adapter(), options, conditions)))
        return alone(**options) if answer is OWN else answer

    def _reference(self, alone: Method, options: dict[str, Any]) -> Any:
        adapter = self._adapter()
        scored = options.get("labels") is not None and not torch.is_grad_enabled()
        if adapter == "default" or not scored or not self._meets(options):
            return alone(**options)
        before = self.sharing.asked, self.sharing.computed

        def work() -> Any:
            output = alone(**options)
            return output, self.sharing.asked - before[0], self.sharing.computed - before[1]

        output, asked, computed = self._once((self.key, adapter, _signature(options)), work)
        self.sharing.asked, self.sharing.computed = before[0] + asked, before[1] + computed
        return output

    def _adapter(self) -> str | None:
        """The adapter that is active in the run's model now, None where none is."""
        from peft.tuners.lora import LoraLayer

        layer = next(module for module in self.model.modules() if isinstance(module, LoraLayer))
        return None if layer.disable_adapters else layer.active_adapters[0]


def _led(module: Any, through: Callable[[Method, dict[str, Any]], Any]) -> None:
    """Let calls of `module` with keywords only go to `through(original, keywords)`."""
    original = module.forward

    @functools.wraps(getattr(original, "__func__", original))
    def forward(self: Any, *values: Any, **options: Any) -> Any:
        return original(*values, **options) if values else through(original, options)

    module.forward = MethodType(forward, module)


def _signature(options: dict[str, Any]) -> Hashable:
    """Equal for calls with equal arguments, tensors by what they hold."""

    def told(value: Any) -> Hashable:
        if isinstance(value, torch.Tensor):
            return tuple(value.shape), str(value.dtype), value.detach().cpu().numpy().tobytes()
        return repr(value)

    return tuple((name, told(value)) for name, value in sorted(options.items()))
