"""Row-wise derivatives by autograd.

Letters: n rows, K linear predictors.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

RowFunction = Callable[[Tensor], Tensor]


def row_derivatives(density: RowFunction, eta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Value (n,), gradient (n, K) and Hessian (n, K, K) of a function of η (n, K)."""
    point = eta.detach().requires_grad_(True)
    with torch.enable_grad():
        value = density(point)
        gradient = _gradient(value, point, create_graph=True)
        hessian = _rows_of_jacobian(gradient, point, create_graph=False)
    return value.detach(), gradient.detach(), hessian.detach()


def row_third(density: RowFunction, eta: Tensor, direction: Tensor) -> Tensor:
    """Σ_ab H_ab ∂³/∂η_a∂η_b∂η_k (n, K) for matrices H (n, K, K) that stay fixed."""
    point = eta.detach().requires_grad_(True)
    with torch.enable_grad():
        gradient = _gradient(density(point), point, create_graph=True)
        hessian = _rows_of_jacobian(gradient, point, create_graph=True)
        return _gradient((hessian * direction), point, create_graph=False)


def _gradient(value: Tensor, point: Tensor, *, create_graph: bool) -> Tensor:
    """∂ Σ value / ∂ point, zero where nothing leads back to it."""
    total = value.sum()
    if not total.requires_grad:
        return torch.zeros_like(point)
    (found,) = torch.autograd.grad(
        total, point, create_graph=create_graph, retain_graph=True, allow_unused=True
    )
    return torch.zeros_like(point) if found is None else found


def _rows_of_jacobian(gradient: Tensor, point: Tensor, *, create_graph: bool) -> Tensor:
    """Row-wise Jacobian (n, K, K) of a row-wise gradient (n, K)."""
    columns = [
        _gradient(gradient[:, k], point, create_graph=create_graph)
        for k in range(point.shape[1])
    ]
    return torch.stack(columns, dim=1)  # (n, K, K)
