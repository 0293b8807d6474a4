"""Rows of all processes, with gradients, where several train together.

Letters: n rows of this process, N rows of all of them, d numbers of a row.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["SharedBatchNorm", "gather_rows", "own_rows"]


def _together() -> bool:
    dist = torch.distributed
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def _sizes(n: int, device: torch.device) -> list[int]:
    """Rows of each process."""
    mine = torch.tensor([n], device=device)
    found = [torch.empty_like(mine) for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather(found, mine)
    return [int(size) for size in found]


class _Gather(torch.autograd.Function):
    """Rows of all processes; backward adds up what all of them ask of mine."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        sizes = _sizes(len(rows), rows.device)
        ctx.sizes = sizes
        longest = rows.new_zeros(max(sizes), *rows.shape[1:])
        longest[: len(rows)] = rows
        found = [torch.empty_like(longest) for _ in sizes]
        torch.distributed.all_gather(found, longest)
        return torch.cat([part[:n] for part, n in zip(found, sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous()
        torch.distributed.all_reduce(total)
        return total.split(ctx.sizes)[torch.distributed.get_rank()]


def gather_rows(rows: Tensor) -> Tensor:
    """Give the rows of all processes, in the order of the processes.

    The gradient of a row is the sum over what all processes ask of it, so that mean
    gradients over processes are those of one process that holds all rows.

    Parameters
    ----------
    rows : Tensor of shape (n, …)
        Of this process; processes may have different numbers of rows.

    Returns
    -------
    Tensor of shape (N, …)
        The same tensor where there is one process.

    Examples
    --------
    >>> import torch
    >>> from semistruct.vlm.components import gather_rows
    >>> gather_rows(torch.ones(3, 2)).shape
    torch.Size([3, 2])
    """
    return _Gather.apply(rows) if _together() else rows


def own_rows(n: int, device: torch.device) -> Tensor:
    """Give where the rows of this process stand among those of all.

    Parameters
    ----------
    n : int
        Rows of this process.
    device : torch.device
        Where the numbers lie.

    Returns
    -------
    Tensor of int64 of shape (n,)

    Examples
    --------
    >>> import torch
    >>> from semistruct.vlm.components import own_rows
    >>> own_rows(3, torch.device("cpu")).tolist()
    [0, 1, 2]
    """
    before = 0
    if _together():
        before = sum(_sizes(n, device)[: torch.distributed.get_rank()])
    return torch.arange(before, before + n, device=device)


class SharedBatchNorm(nn.BatchNorm1d):
    """Batch normalisation over the rows of all processes.

    Parameters
    ----------
    dim : int
        d.

    Notes
    -----
    Ioffe & Szegedy (2015), doi:10.48550/arXiv.1502.03167.

    Examples
    --------
    >>> import torch
    >>> from semistruct.vlm.components import SharedBatchNorm
    >>> SharedBatchNorm(2)(torch.rand(8, 2)).mean(dim=0).abs().max() < 1e-6
    tensor(True)
    """

    def __init__(self, dim: int) -> None:
        super().__init__(dim)

    def forward(self, rows: Tensor) -> Tensor:
        """Map (n, d) to (n, d)."""
        if not self.training or not _together():
            return self._normed(rows)
        return self._normed(gather_rows(rows))[own_rows(len(rows), rows.device)]

    def _normed(self, rows: Tensor) -> Tensor:
        if self.training and len(rows) < 2:  # one row has no spread: as in evaluation
            return functional.batch_norm(
                rows, self.running_mean, self.running_var, self.weight, self.bias
            )
        return super().forward(rows)
