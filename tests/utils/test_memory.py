"""What a finished run gives back."""

import errno
import gc
import os
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from edu_align.models.device import cpu_flags
from edu_align.runs.environment import peak_memory_gib
from edu_align.utils import memory
from edu_align.utils.errors import UserError
from edu_align.utils.program import explanation


class Node:
    """Something that holds itself."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture(autouse=True)
def thawed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    import torch  # noqa: F401  # without it there is nothing to free

    monkeypatch.setattr(memory, "_frozen", False)
    gc.unfreeze()
    yield
    gc.unfreeze()


@pytest.mark.parametrize("settled", [False, True])
def test_cycles_are_collected_before_and_after_the_freeze(settled: bool) -> None:
    if settled:
        memory.freeze_imported_objects()
    gone = weakref.ref(Node())
    gc.disable()
    try:
        memory.free()
    finally:
        gc.enable()
    assert gone() is None
    assert (gc.get_freeze_count() > 0) is settled


def test_what_was_dropped_before_the_freeze_is_not_kept() -> None:
    gc.disable()
    try:
        gone = weakref.ref(Node())
        memory.freeze_imported_objects()
    finally:
        gc.enable()
    assert gone() is None


def test_nothing_is_frozen_later() -> None:
    """What a second run holds when it begins, and drops when it ends."""
    memory.freeze_imported_objects()
    held = Node()
    memory.freeze_imported_objects()
    gone = weakref.ref(held)
    del held
    gc.collect()
    assert gone() is None


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux can forget a peak")
def test_the_peak_of_one_run_is_not_that_of_the_one_before() -> None:
    memory.keep_freed()
    large = os.urandom(1) * (1 << 29)
    raised = peak_memory_gib()
    del large
    memory.free()
    assert peak_memory_gib() <= raised - 0.4


def test_a_command_without_torch_pays_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch")
    monkeypatch.setattr(gc, "collect", lambda: pytest.fail("this takes time"))
    memory.free()


GROWN = """
import sys
import torch
from pathlib import Path
from edu_align.utils.memory import keep_few_kernels
if sys.argv[1] == "few":
    keep_few_kernels()
torch.set_num_threads(1)
rows, weight = torch.ones(1, 64, dtype=torch.bfloat16).expand(600, 64).contiguous(), torch.ones(64, 64).bfloat16()
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20
torch.nn.functional.linear(rows, weight)
before = resident()
for many in range(10, 610):
    torch.nn.functional.linear(rows[:many], weight)
print(resident() - before)
"""


def grown(how: str) -> float:
    """MiB by which a process grows that multiplies matrices of 600 sizes; they take a hundredth of one."""
    done = subprocess.run([sys.executable, "-c", GROWN, how], capture_output=True, text=True, check=True)
    return float(done.stdout)


@pytest.mark.skipif("avx512_bf16" not in cpu_flags(), reason="oneDNN multiplies where the CPU has bfloat16")
def test_kernels_of_sizes_long_gone_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in memory.KERNEL_CACHES:
        monkeypatch.delenv(name, raising=False)
    assert grown("few") < grown("all") / 2


def test_what_the_user_says_of_the_caches_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(memory.KERNEL_CACHES[0], "7")
    monkeypatch.setenv(memory.KERNEL_CACHES[1], "7")
    monkeypatch.delenv(memory.KERNEL_CACHES[1])
    memory.keep_few_kernels()
    assert [os.environ[name] for name in memory.KERNEL_CACHES] == ["7", str(memory.KERNELS)]


MEMORY = [
    MemoryError(), OSError(errno.ENOMEM, "Cannot allocate memory"), RuntimeError("could not create a primitive"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."),
    RuntimeError("std::bad_alloc"), RuntimeError("CUDA error: out of memory\nCompile with"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("unable to mmap 4096 bytes from file <x>: Cannot allocate memory (12)"),
    RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"),
    type("SafetensorError", (Exception,), {})("I/O error: Cannot allocate memory (os error 12)"),
    type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory. Tried to allocate 2.00 GiB"),
]  # fmt: skip
OTHERS = [
    RuntimeError("could not create a primitive descriptor for a matmul primitive"), OSError(errno.ENOSPC, "No space"),
    RuntimeError("memory format option is only supported by strided tensors"), ValueError("std::bad_alloc"),
    RuntimeError("index out of memory-mapped range"), UserError("CUDA out of memory."), KeyError("out of memory."),
    RuntimeError("unable to mmap 4096 bytes from file <x>: Permission denied (13)"),
    RuntimeError("row 3 says that it is out of memory."), RuntimeError("no device was ever said to be out of memory"),
]  # fmt: skip


@pytest.mark.cases("D19")
@pytest.mark.parametrize("error", MEMORY, ids=str)
def test_memory_that_a_library_cannot_get_is_out_of_memory(error: Exception) -> None:
    assert memory.is_out_of_memory(error)
    said = str(explanation(error))
    assert said.startswith("out of memory (")
    assert memory.GENERAL_ADVICE in said


@pytest.mark.cases("D19")
@pytest.mark.parametrize("error", OTHERS, ids=str)
def test_an_error_that_only_has_such_words_is_none(error: Exception) -> None:
    assert not memory.is_out_of_memory(error)


LOADING = """
import sys
from pathlib import Path
import torch
from edu_align.utils.memory import keep_freed, return_freed

def held():
    lines = Path("/proc/self/status").read_text().split("\\n")
    return int(next(line for line in lines if line.startswith("RssAnon")).split()[1]) * 1024

torch.set_num_threads(1)
keep_freed()
if sys.argv[1] == "returned":
    return_freed()
kept, before = [], held()
for i in range(60):
    size = (5 + 3 * (i % 3)) << 20
    read = torch.ones(size, dtype=torch.bfloat16)
    whole = read.float()
    kept += [torch.ones(size // 2, dtype=torch.uint8), torch.ones(size // 64)]
    del read, whole
print((held() - before) / sum(tensor.nbytes for tensor in kept))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc")
def test_what_is_freed_between_what_stays_is_returned() -> None:
    """Tensors are widened, and a small part of each is kept: what weights in 4 bits do at each product."""

    def share(how: str) -> float:
        done = subprocess.run([sys.executable, "-c", LOADING, how], check=True, capture_output=True, text=True)
        return float(done.stdout)

    assert share("returned") < 1.1 < 1.25 < share("kept")
