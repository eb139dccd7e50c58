"""What may be changed so that a run takes less memory, as part of an error's message."""

from collections.abc import Iterator
from contextlib import contextmanager

from edu_align.config.schema import Config
from edu_align.planning.alternatives import alternatives
from edu_align.planning.plan import savings
from edu_align.utils.errors import UserError
from edu_align.utils.out_of_memory import OutOfMemory, free_memory, is_out_of_memory, release_traceback


def memory_advice(config: Config) -> str:
    """What may be changed so that a run takes less memory, in the order of what the plan says it saves."""
    try:
        saved = savings(config)
    except UserError:  # a model whose shape is not in the config
        saved = [(name, 0.0) for name, _ in alternatives(config)]
    found = [f"{name} (saves about {size / 2**30:.1f} GB)" if size else name for name, size in saved]
    return f"Change one of: {', '.join([*found, 'hardware=<preset of a larger device>', 'model=<a smaller one>'])}."


@contextmanager
def with_memory_advice(config: Config) -> Iterator[None]:
    """An error of memory in the block that nothing smaller could mend, as `OutOfMemory` with the advice."""
    try:
        yield
        return
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        reason = release_traceback(error)
    free_memory()
    raise OutOfMemory(
        f"out of memory, and not in a pass that could be made smaller: model, optimizer and what training keeps do "
        f"not fit ({reason}). {memory_advice(config)}"
    )
