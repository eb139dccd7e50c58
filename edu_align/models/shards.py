"""Tensors of a sharded model in a checkpoint, by name: each process writes and reads its own part of them.

    trained.safetensors    whole tensors, which the first process wrote: an adapter, or a model that is not sharded
    trained/               sharded ones, as torch's distributed checkpoint (DCP) writes them: a safetensors file of each
                           process, whose head says where in the whole its parts lie

Both are read by any number of processes, sharded or not. Neither holds a pickle: DCP's own format would.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

OPTIMIZER = "optimizer"  # in a checkpoint: what of the optimizer is sharded; the rest is in transformers' optimizer.pt


def is_part(tensor: Any) -> bool:
    """Whether a process has only its part of the tensor."""
    from torch.distributed.tensor import DTensor

    return isinstance(tensor, DTensor)


def any_part(tensors: Iterable[Any]) -> bool:
    return any(map(is_part, tensors))


def local(tensor: Any) -> Any:
    """What this process has of it, over the same storage."""
    return tensor.to_local() if is_part(tensor) else tensor


def part_like(value: Any, other: Any) -> Any:
    """`value`, this process's part of a tensor that is sharded as `other` is; as it is where that one is whole."""
    from torch.distributed.tensor import DTensor

    if not is_part(other):
        return value
    return DTensor.from_local(
        value, other.device_mesh, other.placements, run_check=False, shape=other.shape, stride=other.stride()
    )


def cut_like(whole: Any, other: Any) -> Any:
    """`whole` in parts as `other` is, this process's; as it is where that one is whole or has another shape."""
    from torch.distributed.tensor import distribute_tensor

    if not is_part(other) or whole.shape != other.shape:
        return whole
    # Every process has the whole tensor: without a source rank none is sent.
    return distribute_tensor(whole.to(other.device), other.device_mesh, other.placements, src_data_rank=None)


def write_parts(tensors: dict[str, Any], folder: Path) -> None:
    """The tensors into `folder`; all processes call it. What is whole, one of them writes."""
    import torch.distributed.checkpoint as dcp
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter

    with _own_errors():
        dcp.save(tensors, storage_writer=HuggingFaceStorageWriter(str(folder), save_distributed=True))


def read_parts(folder: Path, beside: Callable[[str], Any], device: Any) -> dict[str, Any]:
    """What `write_parts` wrote, by name; all processes call it where there are several.

    `beside`: the tensor that one of this name is sharded like, or None. Where that one is whole or has another shape,
    the tensor is read whole, onto `device`.
    """
    import torch
    import torch.distributed.checkpoint as dcp
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader

    reader: Any = HuggingFaceStorageReader(str(folder))
    found: dict[str, Any] = {}
    for name, known in sorted(reader.read_metadata().state_dict_metadata.items()):
        other, dtype = beside(name), known.properties.dtype
        if is_part(other) and other.shape == known.size:
            found[name] = torch.empty_like(other, dtype=dtype)
        else:
            found[name] = torch.empty(known.size, dtype=dtype, device=device)
    with _own_errors():
        dcp.load(found, storage_reader=reader)
    return found


@contextmanager
def _own_errors() -> Iterator[None]:
    """DCP tells every process of an error in one of them, by one that is no `Exception`: raise what it was about."""
    from torch.distributed.checkpoint.api import CheckpointException

    try:
        yield
    except CheckpointException as error:
        raise next(iter(error.failures.values()))[0] from None


def save_optimizer(optimizer: Any, folder: Path) -> dict[str, Any]:
    """Write the tensors of the optimizer's state into `folder`; all processes call it. Returned is its state without
    them, as `state_dict` has it.
    """
    import torch

    kept = optimizer.state_dict()
    tensors, rest = dict[str, Any](), dict[int, Any]()
    for number, state in kept["state"].items():
        tensors |= {f"{number}.{name}": value for name, value in state.items() if isinstance(value, torch.Tensor)}
        rest[number] = {name: value for name, value in state.items() if not isinstance(value, torch.Tensor)}
    if tensors:
        write_parts(tensors, folder)
    return {**kept, "state": rest}


def complete_optimizer(optimizer: Any, folder: Path, device: Any) -> None:
    """Give an optimizer, into which a checkpoint's optimizer.pt was read, its state as its parameters are now: from
    `folder`, where `save_optimizer` wrote one, or in parts of the whole tensors that it has.
    """
    kept = optimizer.state_dict()
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    if folder.is_dir():
        for name, value in read_parts(folder, lambda name: parameters[int(name.split(".")[0])], device).items():
            number, _, key = name.partition(".")
            kept["state"].setdefault(int(number), {})[key] = value
    elif any_part(parameters):
        import torch

        for number, state in kept["state"].items():
            for key, value in state.items():
                if isinstance(value, torch.Tensor):
                    state[key] = cut_like(value, parameters[number])
    else:
        return
    optimizer.load_state_dict(kept)
