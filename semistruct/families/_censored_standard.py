"""The standardised log times W of accelerated failure time models.

Each is stated by the derivatives of log S₀ and log f₀ of W, orders 0 to 3, stable in
both tails; log F₀ follows for the symmetric ones. A *jet* is the list of the first
derivatives of a function of w, the function itself first.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from semistruct.families._special import HALF_LOG_2PI, log1mexp, softplus

JetFunction = Callable[[Tensor, int], list[Tensor]]

_ROOT_HALF = math.sqrt(0.5)
_ROOT_2_OVER_PI = math.sqrt(2.0 / math.pi)
_EULER = 0.5772156649015329


class Standard(NamedTuple):
    """A distribution of W in log T = μ + σW.

    Attributes
    ----------
    log_survival, log_density, log_cdf : callable (w, order) -> list of Tensor
        Derivatives 0 … order of log S₀, log f₀ and log F₀, each of the shape of w.
    quantile : callable
        Inverse of F₀.
    mean, deviation : float
        Of W.
    symmetric : bool
        S₀(w) = F₀(−w).
    linear_tail : bool
        log S₀ falls linearly far out on the right (T has a power tail).
    """

    log_survival: JetFunction
    log_density: JetFunction
    log_cdf: JetFunction
    quantile: Callable[[Tensor], Tensor]
    mean: float
    deviation: float
    symmetric: bool
    linear_tail: bool


class _Derivative(torch.autograd.Function):
    """Derivative of some order of a function with a jet; differentiable to order 3."""

    @staticmethod
    def forward(w: Tensor, jet: JetFunction, order: int) -> Tensor:
        return jet(w, order)[order]

    @staticmethod
    def setup_context(
        ctx: Any, inputs: tuple[Tensor, JetFunction, int], output: Tensor
    ) -> None:
        w, ctx.jet, ctx.order = inputs
        ctx.save_for_backward(w)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (w,) = ctx.saved_tensors
        return grad * _Derivative.apply(w, ctx.jet, ctx.order + 1), None, None


def differentiable(jet: JetFunction, w: Tensor) -> Tensor:
    """Return the function of a jet at w, for autograd up to third derivatives."""
    return _Derivative.apply(w, jet, 0)


def _mirrored(jet: JetFunction) -> JetFunction:
    """Return the jet of g(−w)."""

    def reflected(w: Tensor, order: int) -> list[Tensor]:
        found = jet(-w, order)
        return [-g if k % 2 else g for k, g in enumerate(found)]

    return reflected


# minimum extreme value: S₀ = exp(−eʷ)


def _extreme_log_survival(w: Tensor, order: int) -> list[Tensor]:
    return [-torch.exp(w)] * (order + 1)


def _extreme_log_density(w: Tensor, order: int) -> list[Tensor]:
    e = torch.exp(w)
    return [w - e, 1.0 - e, -e, -e][: order + 1]


def _extreme_log_cdf(w: Tensor, order: int) -> list[Tensor]:
    """Differentiate log(1 − exp(−x)), x = eʷ; t = x / (eˣ − 1)."""
    x = torch.exp(w)
    # for tiny x the logarithm is w, where x itself may be 0
    tiny = w < -40.0
    value = torch.where(tiny, w, log1mexp(torch.where(tiny, 1.0, x)))
    t = torch.where(tiny, 1.0, x / torch.expm1(x).clamp(min=1e-30))
    t = torch.where(x > 700.0, 0.0, t)
    x = x.clamp(max=700.0)  # beyond, t is 0
    rest = 1.0 - x - t
    return [value, t, t * rest, t * (rest * (rest - t) - x)][: order + 1]


# logistic: S₀ = 1 / (1 + eʷ)


def _logistic_log_survival(w: Tensor, order: int) -> list[Tensor]:
    up, down = torch.sigmoid(w), torch.sigmoid(-w)
    cross = up * down
    return [-softplus(w), -up, -cross, -cross * (down - up)][: order + 1]


def _logistic_log_density(w: Tensor, order: int) -> list[Tensor]:
    up, down = torch.sigmoid(w), torch.sigmoid(-w)
    size = torch.abs(w)
    value = -size - 2.0 * torch.log1p(torch.exp(-size))
    cross = -2.0 * up * down
    return [value, down - up, cross, cross * (down - up)][: order + 1]


# normal


def _normal_log_survival(w: Tensor, order: int) -> list[Tensor]:
    """Differentiate log Φ(−w), by the hazard φ(w) / Φ(−w)."""
    value = torch.special.log_ndtr(-w)
    if order == 0:
        return [value]
    hazard = _ROOT_2_OVER_PI / torch.special.erfcx(w * _ROOT_HALF)
    gap = hazard - w
    third = -hazard * (gap * (gap + hazard) - 1.0)
    return [value, -hazard, -hazard * gap, third][: order + 1]


def _normal_log_density(w: Tensor, order: int) -> list[Tensor]:
    one = torch.ones_like(w)
    return [-0.5 * w * w - HALF_LOG_2PI, -w, -one, torch.zeros_like(w)][: order + 1]


EXTREME = Standard(
    _extreme_log_survival,
    _extreme_log_density,
    _extreme_log_cdf,
    lambda p: torch.log(-torch.log1p(-p)),
    -_EULER,
    math.pi / math.sqrt(6.0),
    symmetric=False,
    linear_tail=False,
)
NORMAL = Standard(
    _normal_log_survival,
    _normal_log_density,
    _mirrored(_normal_log_survival),
    torch.special.ndtri,
    0.0,
    1.0,
    symmetric=True,
    linear_tail=False,
)
LOGISTIC = Standard(
    _logistic_log_survival,
    _logistic_log_density,
    _mirrored(_logistic_log_survival),
    lambda p: torch.log(p) - torch.log1p(-p),
    0.0,
    math.pi / math.sqrt(3.0),
    symmetric=True,
    linear_tail=True,
)
