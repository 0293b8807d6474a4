"""Derivatives of row-wise log-densities in a few constants, by autograd.

Letters: n rows, K linear predictors, S constants.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Density = Callable[[Tensor, Tensor], Tensor]  # η (n, K), constants (S,) -> (n,)


def total_derivatives(
    density: Callable[[Tensor], Tensor], weight: Tensor | None, constants: Tensor
) -> tuple[float, Tensor, Tensor]:
    """Value, gradient (S,) and Hessian (S, S) of Σ w ℓ in the constants."""
    point = constants.detach().clone().requires_grad_(True)
    with torch.enable_grad():
        rows = density(point)
        total = rows.sum() if weight is None else (weight * rows).sum()
        first = _gradient(total, point, create_graph=True)
        second = [_gradient(slope, point, create_graph=False) for slope in first]
    stacked = torch.stack(second) if second else torch.zeros(0, 0, dtype=point.dtype)
    return float(total.detach()), first.detach(), stacked.detach()


def mixed_rows(density: Density, eta: Tensor, constants: Tensor) -> Tensor:
    """∂²ℓ_i/∂η_ik ∂s_j, (n, K, S)."""
    point = eta.detach().requires_grad_(True)
    shape = constants.detach().clone().requires_grad_(True)
    probe = torch.ones_like(eta).requires_grad_(True)
    with torch.enable_grad():
        slope = _gradient(density(point, shape).sum(), point, create_graph=True)
        pulled = _gradient((slope * probe).sum(), shape, create_graph=True)  # (S,)
        columns = [_gradient(each, probe, create_graph=False) for each in pulled]
    return torch.stack(columns, dim=2).detach()


def trace_slope(
    density: Density, eta: Tensor, constants: Tensor, direction: Tensor
) -> Tensor:
    """∂/∂s Σ_i Σ_ab H_i,ab ∂²ℓ_i/∂η_a∂η_b (S,) for matrices H (n, K, K)."""
    point = eta.detach().requires_grad_(True)
    shape = constants.detach().clone().requires_grad_(True)
    with torch.enable_grad():
        slope = _gradient(density(point, shape).sum(), point, create_graph=True)
        total = torch.zeros((), dtype=eta.dtype)
        for k in range(eta.shape[1]):
            row = _gradient(slope[:, k].sum(), point, create_graph=True)
            total = total + (row * direction[:, k]).sum()
        return _gradient(total, shape, create_graph=False).detach()


def _gradient(total: Tensor, point: Tensor, *, create_graph: bool) -> Tensor:
    """∂ total / ∂ point, zero where nothing leads back to it."""
    if not total.requires_grad:
        return torch.zeros_like(point)
    (found,) = torch.autograd.grad(
        total, point, create_graph=create_graph, retain_graph=True, allow_unused=True
    )
    return torch.zeros_like(point) if found is None else found
