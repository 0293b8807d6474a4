"""One step of the optimisers, of one batch or of several that count as one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from semistruct.engine._distributed import Processes
from semistruct.objectives import Objective, StepOutput


class StepPlan(NamedTuple):
    """Rows of the steps of an epoch, as this process takes them.

    Attributes
    ----------
    pieces : list of Tensor
        Row numbers of each batch, one after the other.
    shares : list of list of float
        For each step, what each of its batches counts: 1, or 0 where a process has
        no row of it and takes one only to keep pace.
    """

    pieces: list[Tensor]
    shares: list[list[float]]

    def after(self, steps: int) -> StepPlan:
        """Leave out the first steps."""
        done = sum(map(len, self.shares[:steps]))
        return StepPlan(self.pieces[done:], self.shares[steps:])


def plan_steps(
    order: Tensor, batch_size: int, accumulate: int = 1, group: Processes | None = None
) -> StepPlan:
    """Cut an order of rows into steps, steps into batches, batches into shards.

    Steps are of nearly equal size, at most ``batch_size * accumulate``, and so are the
    batches of a step; so ``accumulate`` batches hold the rows of one big batch.
    """
    rank, world = (0, 1) if group is None else (group.rank, group.world)
    steps = order.tensor_split(count_steps(len(order), batch_size * accumulate))
    if accumulate == 1 and world == 1:
        return StepPlan(list(steps), [[1.0]] * len(steps))
    pieces: list[Tensor] = []
    shares: list[list[float]] = []
    for rows in steps:
        share = []
        for batch in rows.tensor_split(count_steps(len(rows), batch_size)):
            shard = batch.tensor_split(world)[rank] if world > 1 else batch
            share.append(float(len(shard) > 0))
            pieces.append(shard if len(shard) else batch[:1])
        shares.append(share)
    return StepPlan(pieces, shares)


def count_steps(n: int, size: int) -> int:
    """Count pieces of at most ``size`` rows."""
    return max(1, -(-n // size))


Batches = Iterator[Mapping[str, Tensor]]
TakeStep = Callable[[Batches, Sequence[float]], StepOutput]


def plain_step(
    objective: Objective,
    optimizers: Sequence[torch.optim.Optimizer],
    parameters: Sequence[nn.Parameter],
    clip_norm: float | None,
) -> TakeStep:
    """Make the step of one batch in one process; nothing in it waits for the device."""

    def take(batches: Batches, share: Sequence[float]) -> StepOutput:
        output = objective.step(next(batches))
        for parameter in parameters:
            parameter.grad = None
        output.loss.backward()
        if clip_norm is not None:
            nn.utils.clip_grad_norm_(parameters, clip_norm)
        for optimizer in optimizers:
            optimizer.step()
        return StepOutput(output.loss.detach(), output.parts, output.n)

    return take


class WeightedStep:
    """A step of several batches, in one or several processes.

    What is minimised is Σ n_b loss_b / Σ n_b over all batches of the step and all
    processes: the loss of the big batch, where losses are weighted means over rows.

    Parameters
    ----------
    forward : callable
        Gives the StepOutput of a batch: ``objective.step``, or a wrapped one, whose
        gradients are means over processes.
    optimizers : sequence of Optimizer
    parameters : sequence of Parameter
    clip_norm : float or None
    rows : int
        Rows of a step, roughly: it keeps scaled losses near their size.
    scaler : GradScaler, optional
    group : Processes
    """

    def __init__(
        self,
        forward: Any,
        optimizers: Sequence[torch.optim.Optimizer],
        parameters: Sequence[nn.Parameter],
        clip_norm: float | None,
        rows: int,
        scaler: torch.amp.GradScaler | None,
        group: Processes,
    ) -> None:
        self.forward, self.optimizers = forward, optimizers
        self.parameters, self.clip_norm = parameters, clip_norm
        self.rows, self.scaler, self.group = rows, scaler, group
        # gradients are exchanged once for all batches of a step
        self._alone = getattr(forward, "no_sync", nullcontext)

    def __call__(self, batches: Batches, share: Sequence[float]) -> StepOutput:
        """Take a step of as many batches as ``share`` has entries."""
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        sums: dict[str, Tensor] = {}  # (2,): n, and n times the value
        for i, counts in enumerate(share):
            last = i == len(share) - 1
            with nullcontext() if last else self._alone():
                output: StepOutput = self.forward(next(batches))
                loss = output.loss * (output.n * counts / self.rows)
                if self.scaler is not None:
                    loss = self.scaler.scale(loss)
                loss.backward()
            for name, pair in _weighted(output, counts).items():
                sums[name] = sums[name] + pair if name in sums else pair
        table = self.group.sum(torch.stack(list(sums.values())))  # (1 + parts, 2)
        total = table[0, 0]
        self._finish(total)
        means = table[:, 1] / _positive(table[:, 0])
        loss, *parts = means.unbind()
        return StepOutput(loss, dict(zip(list(sums)[1:], parts, strict=True)), total)

    def _finish(self, total: Tensor) -> None:
        """Make the gradients those of the mean, clip them, step."""
        if self.scaler is not None:
            for optimizer in self.optimizers:
                self.scaler.unscale_(optimizer)
        factor = self.rows * self.group.world / _positive(total)
        grads = [p.grad for p in self.parameters if p.grad is not None]
        # shards of FSDP2 are multiplied by a number only
        torch._foreach_mul_(grads, factor if self.group.world == 1 else float(factor))
        if self.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.parameters, self.clip_norm)
        for optimizer in self.optimizers:
            if self.scaler is None:
                optimizer.step()
            else:
                self.scaler.step(optimizer)
        if self.scaler is not None:
            self.scaler.update()


def _weighted(output: StepOutput, counts: float) -> dict[str, Tensor]:
    """Give (n, n·value) in float64 of the loss, under "", and of each part."""
    loss = output.loss.detach().double()
    n = torch.as_tensor(output.n, dtype=torch.float64, device=loss.device) * counts
    values = {"": loss, **output.parts}
    if not counts:  # a shard that counts 0 may hold anything
        values = dict.fromkeys(values, loss.new_zeros(()))
    return {
        name: torch.stack([n, n * torch.as_tensor(value, device=loss.device)])
        for name, value in values.items()
    }


def _positive(total: Tensor) -> Tensor:
    """Keep a step whose weights are all 0 at a loss of 0."""
    return torch.where(total > 0, total, 1)
