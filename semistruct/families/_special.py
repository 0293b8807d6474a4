"""Special functions in torch: stable at both ends, differentiable to any order.

Rational and series parts follow the standard expansions; the saddle-point form of
densities that they serve is that of Loader (2000), "Fast and accurate computation of
binomial probabilities".
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

# Coefficients of x^-1, x^-3, … of log Γ(x) − (x − ½) log x + x − ½ log 2π
_STIRLING = (
    1 / 12,
    -1 / 360,
    1 / 1260,
    -1 / 1680,
    1 / 1188,
    -691 / 360360,
    1 / 156,
    -3617 / 122400,
)
_LARGE = 10.0
HALF_LOG_2PI = 0.9189385332046727


def softplus(x: Tensor) -> Tensor:
    """Return log(1 + e^x) with full relative precision at both ends."""
    above = x + torch.log1p(torch.exp(-x.clamp(min=0.0)))
    return torch.where(x > 0, above, torch.log1p(torch.exp(x.clamp(max=0.0))))


def log1mexp(x: Tensor) -> Tensor:
    """Return log(1 − e^{−x}) for x > 0."""
    small = x < 0.6931471805599453
    near = torch.log(-torch.expm1(-torch.where(small, x, 0.5)))
    far = torch.log1p(-torch.exp(-torch.where(small, 1.0, x)))
    return torch.where(small, near, far)


class _Digamma(torch.autograd.Function):
    """ψ(x), whose derivatives are Hurwitz zeta functions in full precision."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return torch.digamma(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return grad * torch.special.zeta(2.0, x)


class _LogGamma(torch.autograd.Function):
    """Log Γ(x) for x > 0."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return torch.lgamma(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return grad * _Digamma.apply(x)


def log_gamma(x: Tensor) -> Tensor:
    """Return log Γ(x) for x > 0."""
    return _LogGamma.apply(x)


def log_add_exp(a: Tensor, b: Tensor) -> Tensor:
    """Return log(e^a + e^b), with finite derivatives however far apart they are."""
    return a + softplus(b - a)


def stirling_error(x: Tensor, log_x: Tensor | None = None) -> Tensor:
    """Return log Γ(x) − (x − ½) log x + x − ½ log 2π, which is 1/(12x) for large x.

    ``x`` is positive, or so small that it is 0 beside a given ``log_x``.
    """
    large = x > _LARGE
    inverse = 1.0 / torch.where(large, x, _LARGE)
    square = inverse * inverse
    series = torch.full_like(inverse, _STIRLING[-1])
    for coefficient in reversed(_STIRLING[:-1]):
        series = series * square + coefficient
    small = torch.where(large, _LARGE, x)
    log_small = small.log()
    if log_x is not None:
        log_small = torch.where(large, log_small.detach(), log_x)
    # log Γ(x) = log Γ(1 + x) − log x
    exact = log_gamma(1.0 + small) - (small + 0.5) * log_small + small - HALF_LOG_2PI
    return torch.where(large, series * inverse, exact)


def log_gamma_ratio(x: Tensor, y: Tensor | float) -> Tensor:
    """Return log Γ(x + y) − log Γ(x) − y log x for x > 0, y ≥ 0; no cancellation."""
    rise = torch.as_tensor(y, dtype=x.dtype, device=x.device)
    change = stirling_error(x + rise) - stirling_error(x)
    return (x + rise - 0.5) * torch.log1p(rise / x) - rise + change
