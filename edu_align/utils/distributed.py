"""The processes of one run, as `torchrun` and `accelerate launch` start them; alone where nothing was launched.

The first process makes the run's folder, prints, measures, tracks and saves. All of them train.
"""

import contextlib
import io
import os
from collections.abc import Callable, Iterator
from typing import TypeVar

from edu_align.utils.errors import UserError

T = TypeVar("T")
# How long the others wait while the first process measures. torch gives up after 10 minutes on GPUs otherwise.
PATIENCE_HOURS = 24


def count() -> int:
    """How many processes train this run together."""
    return _number("WORLD_SIZE", "1", least=1)


def _number(name: str, default: str, least: int = 0) -> int:
    """A whole number in the environment. Errors: it is none."""
    text = os.environ.get(name, default)
    if not (text.isascii() and text.isdecimal()) or int(text) < least:
        raise UserError(
            f"the environment variable `{name}` must be a whole number from {least}, got {text!r}. torchrun sets it; "
            f"`unset {name}` for a run of one process."
        )
    return int(text)


def launched() -> bool:
    """Whether `torchrun` or `accelerate launch` started this process."""
    return "WORLD_SIZE" in os.environ


def is_first() -> bool:
    return rank() == 0


def join(device: str) -> None:
    """Form the group of processes and give each its device (auto | cpu | cuda); nothing where there is only one.

    Errors: others that nobody launched; more on this machine than it has GPUs; accelerate's own FSDP or DeepSpeed.
    """
    for name in ("RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE"):  # accelerate reads them in a run of one process too
        if os.environ.get(name, "-1") != "-1":
            _number(name, "0")
    if count() == 1:
        return
    lacking = [name for name in ("RANK", "MASTER_ADDR", "MASTER_PORT") if not os.environ.get(name)]
    if lacking:
        raise UserError(
            f"`WORLD_SIZE={count()}` stands in the environment without {', '.join(lacking)}: this run would wait for "
            "processes that nobody started. `unset WORLD_SIZE`, or launch them with torchrun."
        )
    for name in ("FSDP", "DEEPSPEED"):
        if os.environ.get(f"ACCELERATE_USE_{name}", "false").lower() == "true":
            raise UserError(
                f"`accelerate launch` was told to use {name}, and weights are sharded by the config here. Launch it "
                "without (--config_file=<another>, or torchrun), and set hardware.sharding=fsdp."
            )
    from datetime import timedelta

    import torch
    from accelerate import PartialState

    cpu = device == "cpu" or not torch.cuda.is_available()
    here = _number("LOCAL_WORLD_SIZE", "1", least=1)
    if not cpu and here > torch.cuda.device_count():
        raise UserError(
            f"{here} processes were launched on a machine with {torch.cuda.device_count()} GPUs. "
            f"Launch {torch.cuda.device_count()}, or train on the CPU with hardware=cpu."
        )
    PartialState(cpu=cpu, timeout=timedelta(hours=PATIENCE_HOURS))


@contextlib.contextmanager
def silence_other_ranks() -> Iterator[None]:
    """What the other processes print inside the block goes nowhere: it is the same as what the first one prints."""
    with contextlib.nullcontext() if is_first() else contextlib.redirect_stdout(io.StringIO()):
        yield


def wait() -> None:
    """Go on when every process is here."""
    if count() > 1:
        from accelerate.utils import wait_for_everyone

        wait_for_everyone()


def first(work: Callable[[], T]) -> T:
    """What `work` returns in the first process, in all of them. Errors: where it ends with one, all end."""
    if count() == 1:
        return work()
    from accelerate.utils import broadcast_object_list

    result: list[T | None] = [None]
    failure: UserError | None = None
    if is_first():
        try:
            result = [work()]
        except UserError as error:
            failure = error
    outcome = [result[0], failure is not None]
    broadcast_object_list(outcome, from_process=0)
    if outcome[1]:
        raise failure or UserError("this process ends because the first one ended with an error; see its message.")
    return outcome[0]  # type: ignore[return-value]


def first_then_others(work: Callable[[], T]) -> T:
    """`work` in each process, in the others once the first is done: what it downloads or writes, they find."""
    done: list[T] = []
    first(lambda: done.append(work()))
    return done[0] if is_first() else work()


def rank() -> int:
    """Which of the run's processes this is, from 0."""
    return _number("RANK", "0") if count() > 1 else 0


def any_process(mine: bool) -> bool:
    """Whether it is true in any process; all of them must ask."""
    return total(float(mine)) > 0


def total(value: float) -> float:
    """The sum of `value` over all processes."""
    return value if count() == 1 else float(sum(every(value)))


def every(value: T) -> list[T]:
    """`value` of each process, in their order."""
    if count() == 1:
        return [value]
    from accelerate.utils import gather_object

    found: list[T] = gather_object([value])
    return found


def totals(values: dict[str, float]) -> dict[str, float]:
    """The sum of each value over all processes, which have the same names."""
    if count() == 1:
        return values
    found = every(values)
    return {name: sum(each[name] for each in found) for name in values}
