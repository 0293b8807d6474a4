"""Several processes under torchrun; one process imports nothing of it."""

from __future__ import annotations

import atexit
import copy
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from semistruct.exceptions import TrainingError
from semistruct.objectives import Objective, StepOutput

PARALLEL = ("ddp", "fsdp")


@dataclass(frozen=True)
class Processes:
    """The processes that train together, seen from one of them.

    Attributes
    ----------
    rank : int
        Number of this process, from 0.
    world : int
        How many there are.
    local_rank : int
        Number of this process on its machine.
    local_world : int
        How many there are on its machine.
    """

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    local_world: int = 1

    def sum(self, values: Tensor) -> Tensor:
        """Add up over processes, in place."""
        if self.world > 1:
            torch.distributed.all_reduce(values)
        return values

    def any(self, flag: bool) -> bool:
        """Whether any process says yes."""
        if self.world == 1:
            return flag
        return bool(self.sum(torch.tensor(int(flag))) > 0)

    def first(self, value: float) -> float:
        """Give what the first process has."""
        if self.world == 1:
            return value
        held = torch.tensor(value, dtype=torch.float64)
        torch.distributed.broadcast(held, 0)
        return float(held)

    def gather(self, values: Tensor) -> Tensor:
        """Stack a CPU tensor of the same shape over processes, (world, …)."""
        if self.world == 1:
            return values[None]
        rows = [torch.empty_like(values) for _ in range(self.world)]
        torch.distributed.all_gather(rows, values)
        return torch.stack(rows)

    def share(self, module: nn.Module) -> None:
        """Give all processes the weights and buffers of the first one."""
        if self.world > 1:
            for value in module.state_dict().values():
                if isinstance(value, Tensor):
                    torch.distributed.broadcast(value, 0)

    def wait(self) -> None:
        """Wait until all are here."""
        if self.world > 1:
            torch.distributed.barrier()

    def agree(self, **numbers: int) -> None:
        """Raise TrainingError where a number is not the same in all processes."""
        if self.world == 1:
            return
        table = self.gather(torch.tensor(list(numbers.values()), dtype=torch.int64))
        for name, column in zip(numbers, table.T.tolist(), strict=True):
            if len(set(column)) > 1:
                raise TrainingError(
                    f"train: the processes differ in {name}: {column}. Each must hold "
                    "the same rows and the same settings; give an int as random_state."
                )


def join_processes(device: torch.device) -> Processes:
    """Join the processes that torchrun started, if it did, until this one ends."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1 or "RANK" not in os.environ:
        return Processes()
    import torch.distributed as dist

    if not dist.is_initialized():
        cuda = device.type == "cuda"
        dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo")
        atexit.register(_leave)
    local, local_world = (
        int(os.environ.get(name, default))
        for name, default in (("LOCAL_RANK", "0"), ("LOCAL_WORLD_SIZE", str(world)))
    )
    return Processes(dist.get_rank(), dist.get_world_size(), local, local_world)


def _leave() -> None:
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


class Forward(nn.Module):
    """A step of an objective as the forward pass that torch wraps."""

    def __init__(self, objective: Objective) -> None:
        super().__init__()
        self.objective = objective

    def forward(self, batch: Mapping[str, Tensor]) -> StepOutput:
        return self.objective.step(batch)


def data_parallel(objective: Objective) -> Any:
    """Wrap an objective by DDP: gradients become means over processes."""
    from torch.nn.parallel import DistributedDataParallel

    return DistributedDataParallel(Forward(objective))


@contextmanager
def sharded(
    objective: Objective, device: torch.device, parallel: str, group: Processes
) -> Iterator[Objective]:
    """Give what is trained: with FSDP2 a copy, its weights shared out over processes.

    All processes begin with the weights of the first one. The copy's weights come back
    into the objective at the end.
    """
    group.share(objective)
    if group.world == 1 or parallel == "ddp":
        yield objective
        return
    from torch.distributed import init_device_mesh
    from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

    copied = copy.deepcopy(objective)
    mesh = init_device_mesh(device.type, (group.world,))
    for child in copied.network.children():
        if any(p.requires_grad for p in child.parameters()) and not isinstance(
            child, nn.ModuleList | nn.ModuleDict
        ):
            fully_shard(child, mesh=mesh, reshard_after_forward=True)
    # the root too: optimisers and snapshots see shards, whatever ran before
    fully_shard(copied, mesh=mesh, reshard_after_forward=True)
    register_fsdp_forward_method(copied, "step")
    try:
        yield copied
    finally:
        whole = {name: full(value) for name, value in copied.state_dict().items()}
        objective.load_state_dict(whole)


def full(value: Any) -> Any:
    """Give a tensor whole, of which each process may hold a shard."""
    return value.full_tensor() if hasattr(value, "full_tensor") else value
