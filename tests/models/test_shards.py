"""Sharded tensors in a checkpoint: written by one number of processes, read by any."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributed.tensor import Replicate, Shard, distribute_tensor

from edu_align.models.device import Device
from edu_align.models.locate import Location
from edu_align.models.sharding import init_fsdp_root, release_gathered_weights
from edu_align.models.shards import complete_optimizer, cut_like, local, read_parts, save_optimizer, write_parts
from edu_align.models.weights import add_adapter, load_model
from tests.together import together

# Over four processes 5 rows are 2, 2, 1 and none; of 1 and 2 rows some have none at all.
SHAPES = {"wide": (8, 3), "odd": (5, 3), "few": (2,), "one": (1, 4)}


def whole(name: str) -> torch.Tensor:
    shape = SHAPES[name]
    return torch.arange(torch.Size(shape).numel(), dtype=torch.float32).view(shape) / 7 + len(name)


def parts(mesh: Any) -> dict[str, Any]:
    if mesh is None:
        return {name: whole(name) for name in SHAPES}
    return {name: distribute_tensor(whole(name), mesh, [Shard(0)]) for name in SHAPES}


def optimizer_of(mesh: Any, steps: int) -> torch.optim.Optimizer:
    """AdamW over such tensors, and one that every process has whole, after so many steps."""
    parameters = [torch.nn.Parameter(torch.zeros_like(value)) for value in parts(mesh).values()]
    parameters.append(torch.nn.Parameter(torch.zeros(3)))
    made = torch.optim.AdamW(parameters, lr=0.1, weight_decay=0.0)
    for _ in range(steps):
        for parameter, gradient in zip(parameters, [*parts(mesh).values(), torch.ones(3)], strict=True):
            parameter.grad = gradient
        made.step()
    return made


def check(found: Any, expected: Any) -> None:
    assert torch.equal(found.full_tensor() if hasattr(found, "full_tensor") else found, expected)


@pytest.mark.parametrize(("before", "after"), [(2, 2), (2, 1), (2, 4), (4, 2), (4, 1)])
def test_tensors_are_read_by_any_number_of_processes(tmp_path: Path, before: int, after: int) -> None:
    def write(mesh: Any) -> None:
        write_parts(parts(mesh) | {"step": torch.tensor(3.0)}, tmp_path / "trained")

    def read(mesh: Any) -> None:
        own = parts(mesh)
        found = read_parts(tmp_path / "trained", own.get, "cpu")
        assert found.keys() == {*SHAPES, "step"}
        assert found["step"] == 3
        for name in SHAPES:
            assert local(found[name]).shape == local(own[name]).shape
            check(found[name], whole(name))

    together(before, write)
    assert {file.suffix for file in (tmp_path / "trained").iterdir()} == {".safetensors"}  # no pickles
    together(after, read)


@pytest.mark.parametrize(("before", "after"), [(2, 2), (2, 1), (1, 2), (2, 4)])
def test_an_optimizer_goes_on(tmp_path: Path, before: int, after: int) -> None:
    def write(mesh: Any) -> None:
        made = optimizer_of(mesh, 3)
        kept = made.state_dict() if mesh is None else save_optimizer(made, tmp_path / "optimizer")
        if mesh is None or mesh.get_rank() == 0:
            torch.save(kept, tmp_path / "optimizer.pt")

    def read(mesh: Any) -> None:
        made = optimizer_of(mesh, 0)
        made.load_state_dict(torch.load(tmp_path / "optimizer.pt", weights_only=True))
        complete_optimizer(made, tmp_path / "optimizer", "cpu")
        expected = optimizer_of(None, 3)
        for one, two in zip(made.state.values(), expected.state.values(), strict=True):
            assert one.keys() == two.keys() == {"step", "exp_avg", "exp_avg_sq"}
            for name, value in two.items():
                check(one[name], value)
        for parameter, state in made.state.items():
            assert type(state["exp_avg"]) is type(parameter.data)
            assert local(state["exp_avg"]).shape == local(parameter).shape

    together(before, write)
    together(after, read)


def test_a_disk_that_refuses_is_an_os_error_in_every_process(tmp_path: Path) -> None:
    (tmp_path / "trained").write_text("a file where the folder belongs", encoding="utf-8")

    def write(mesh: Any) -> None:
        with pytest.raises(OSError, match="trained"):
            write_parts(parts(mesh), tmp_path / "trained")

    together(2, write)


def test_what_is_whole_everywhere_stays_so() -> None:
    def work(mesh: Any) -> None:
        value = whole("wide")
        assert cut_like(value, None) is value
        assert cut_like(value, torch.zeros(8, 3)) is value
        copied = distribute_tensor(torch.zeros(8, 3), mesh, [Replicate()])
        assert torch.equal(local(cut_like(value, copied)), value)
        assert cut_like(value, distribute_tensor(torch.zeros(4, 3), mesh, [Shard(0)])) is value

    together(2, work)


def test_4_bit_weights_under_an_adapter_are_shared(typed: Callable[..., Any]) -> None:
    """Half of them in each of two processes, also after steps; loss and gradients are those of one process."""
    config = typed("trainer=sft", "hardware.quantization=nf4", "model.architecture.tie_word_embeddings=true")
    ids = torch.arange(24).view(2, 12)

    def adapted(sharding: str) -> Any:
        device = Device("cpu", "float32", "sdpa", "nf4", (), sharding)
        model = load_model(config.model, Location(None, "random:tiny"), device, 0, double_quantization=True)
        return add_adapter(model, config.adapter, 0)

    def step(model: Any) -> list[Any]:
        """Loss, and the gradients of all adapters after two passes that are added up."""
        model.zero_grad()
        for _ in range(2):
            loss = model(input_ids=ids, labels=ids).loss
            loss.backward()
        return [loss.detach(), *(each.grad for each in model.parameters() if each.requires_grad)]

    def packed(model: Any) -> list[int]:
        """Bytes of each layer's 4-bit weights in this process."""
        kept = {name: local(each) for name, each in model.named_parameters() if name.endswith("base_layer.weight")}
        assert {each.dtype for each in kept.values()} == {torch.uint8}
        return [each.numel() for each in kept.values()]

    alone = adapted("none")
    expected, whole = step(alone), packed(alone)

    def work(mesh: Any) -> None:
        model = adapted("fsdp")
        init_fsdp_root(model)
        for _ in range(2):
            for found, value in zip(step(model), expected, strict=True):
                torch.testing.assert_close(found, value)
            release_gathered_weights(model)
            assert packed(model) == [size // 2 for size in whole]

    together(2, work)
