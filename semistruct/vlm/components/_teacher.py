"""A teacher that follows its student, and a queue of what was seen before.

Letters: t updates so far, d numbers of a row, K rows of a queue.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from semistruct._core.validation import check_number

__all__ = ["AtRest", "EmaTeacher", "Queue"]


class EmaTeacher(nn.Module):
    """Exponential moving average of a student; it has no gradient.

    Update t: w ← m w + (1 − m) w_student with m rising linearly from ``start`` to
    ``decay`` over ``ramp`` updates; buffers are copied. The teacher is always in
    evaluation mode unless ``as_student``.

    Parameters
    ----------
    student : torch.nn.Module
        Copied.
    decay : float
        m in the end, in [0, 1].
    start : float, optional
        m at first; ``decay`` when not given.
    ramp : int, default=0
        Updates until m is ``decay``, at least 0.
    as_student : bool, default=False
        Whether it takes the mode of the objective, so that batch norm uses the batch.

    Notes
    -----
    Tarvainen & Valpola (2017), doi:10.48550/arXiv.1703.01780; the ramp is that of
    Baevski et al. (2022), doi:10.48550/arXiv.2202.03555.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from semistruct.vlm.components import EmaTeacher
    >>> student = nn.Linear(2, 1)
    >>> teacher = EmaTeacher(student, decay=0.9)
    >>> with torch.no_grad():
    ...     _ = student.bias.add_(1.0)
    >>> before = teacher.module.bias.item()
    >>> teacher.update(student)
    >>> round(teacher.module.bias.item() - before, 4)
    0.1
    """

    updates: Tensor

    def __init__(
        self,
        student: nn.Module,
        decay: float,
        *,
        start: float | None = None,
        ramp: int = 0,
        as_student: bool = False,
    ) -> None:
        super().__init__()
        owner = "EmaTeacher"
        for name, value in (("decay", decay), ("start", start)):
            check_number(
                value, parameter=name, owner=owner, low=0, high=1, none=name == "start"
            )
        check_number(ramp, parameter="ramp", owner=owner, low=0, integer=True)
        self.module = copy.deepcopy(student).requires_grad_(False)
        self.decay, self.ramp = decay, ramp
        self.start = decay if start is None else start
        self.as_student = as_student
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        self.train(self.training)

    def train(self, mode: bool = True) -> EmaTeacher:
        """Set the mode; the module's stays evaluation unless ``as_student``."""
        super().train(mode)
        if not self.as_student:
            self.module.eval()
        return self

    @property
    def momentum(self) -> float:
        """The m of the next update."""
        share = 1.0 if self.ramp == 0 else min(1.0, float(self.updates) / self.ramp)
        return self.start + (self.decay - self.start) * share

    @torch.no_grad()
    def update(self, student: nn.Module) -> None:
        """Move towards the student's present weights.

        Parameters
        ----------
        student : torch.nn.Module
            The module that was copied.
        """
        mine = [p.data for p in self.module.parameters()]
        theirs = [p.data for p in student.parameters()]
        torch._foreach_lerp_(mine, theirs, 1.0 - self.momentum)
        pairs = zip(self.module.buffers(), student.buffers(), strict=True)
        for buffer, given in pairs:
            buffer.copy_(given)
        self.updates += 1

    @torch.no_grad()
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the module without gradients."""
        return self.module(*args, **kwargs)


class Queue(nn.Module):
    """The last K rows that were pushed.

    Parameters
    ----------
    size : int
        K, at least 1.
    dim : int
        d.

    Notes
    -----
    He et al. (2020), doi:10.1109/CVPR42600.2020.00975.

    Examples
    --------
    >>> import torch
    >>> from semistruct.vlm.components import Queue
    >>> queue = Queue(3, 1)
    >>> queue.push(torch.tensor([[1.0], [2.0]]))
    >>> queue.push(torch.tensor([[3.0], [4.0]]))
    >>> sorted(queue.rows[:, 0].tolist())
    [2.0, 3.0, 4.0]
    """

    held: Tensor
    pushed: Tensor

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        check_number(size, parameter="size", owner="Queue", low=1, integer=True)
        self.register_buffer("held", torch.zeros(size, dim))
        self.register_buffer("pushed", torch.zeros((), dtype=torch.int64))

    @property
    def rows(self) -> Tensor:
        """What it holds, (at most K, d), in no certain order."""
        return self.held[: int(self.pushed)]

    @torch.no_grad()
    def push(self, rows: Tensor) -> None:
        """Take rows in; the oldest go.

        Parameters
        ----------
        rows : Tensor of shape (n, d)
        """
        size = len(self.held)
        rows = rows.detach()[-size:].to(self.held.dtype)
        place = (int(self.pushed) + torch.arange(len(rows), device=rows.device)) % size
        self.held[place] = rows
        self.pushed += len(rows)


class AtRest(nn.Module):
    """A module that is never trained: no gradients, always in evaluation mode.

    Parameters
    ----------
    module : torch.nn.Module
        Its parameters are frozen.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from semistruct.vlm.components import AtRest
    >>> AtRest(nn.Dropout(0.9)).train()(torch.ones(2)).tolist()
    [1.0, 1.0]
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> AtRest:
        """Set the mode; the module's stays evaluation."""
        super().train(mode)
        self.module.eval()
        return self

    @torch.no_grad()
    def forward(self, rows: Tensor) -> Tensor:
        """Run the module without gradients."""
        return self.module(rows)
