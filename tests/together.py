"""Several processes over gloo that a test forks, and what each of them does."""

import os
import traceback
from collections.abc import Callable
from typing import Any

from torch.distributed.device_mesh import init_device_mesh

from edu_align.utils.distributed import join
from torture.process import environment, join_others


def together(processes: int, work: Callable[[Any], None]) -> None:
    """`work` in so many processes over gloo; it gets their mesh, None where there is one. Errors: one of them fails."""
    given, children = environment(processes), []
    for rank in range(processes):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                join_others(given, rank)
                join("cpu")
                work(init_device_mesh("cpu", (processes,)) if processes > 1 else None)
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        children.append(pid)
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children] == [0] * processes
