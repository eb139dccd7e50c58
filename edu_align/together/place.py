"""Where a run trains: on its own, or at a seat among others that share its base model. Light: everything asks here."""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, TypeVar

T = TypeVar("T")


class Place:
    """A run on its own; `seat.Seat` is the other kind."""

    cut = 1  # parts into which what fits on the device is divided, because that many runs are computed at once

    def base(self, load: Callable[[], Any]) -> Any:
        """A base model that this run may put its adapter on."""
        return load()

    def settle(self, model: Any, sharing: Any, folder: Any) -> None:
        """The run's model is complete: adapter on, packing installed."""

    def join(self, trainer: Any) -> None:
        """The run's trainer is complete."""

    def once(self, name: str, work: Callable[[], T]) -> T:
        """What is the same for all runs here, computed by one of them."""
        return work()

    def ran_out(self, error: str) -> None:
        """Memory ran out in this run, which is about to try smaller passes or to end."""


ALONE = Place()
_here: ContextVar[Place] = ContextVar("place", default=ALONE)


def here() -> Place:
    """The place of the run that this thread trains."""
    return _here.get()


def take(place: Place) -> None:
    """Make `place` the one of this thread."""
    _here.set(place)
