"""The Tweedie family between Poisson and gamma.

Letters: n rows, w nodes of the series.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from semistruct.families._base import Family, FloatArray
from semistruct.families._gaussian import mean_and_spread
from semistruct.families._parameters import Parameter, Theta
from semistruct.families._special import stirling_error

_LOG_2PI = 1.8378770664093453
_DROP = 40.0  # terms below e^-40 of the largest are left out
_WIDTHS = 9.0  # standard deviations that fall by e^-40
_POINTS = 2.0  # nodes within one standard deviation


def log_series(log_y: Tensor, phi: Tensor, power: Tensor) -> Tensor:
    r"""Log of Σ_j exp{(1+α)(j + j log(ĵ/j) − ĵ) − ε(j) − ε(αj)}, j = 1, 2, ….

    ε is the error of Stirling's formula, α = (2−p)/(p−1) and ĵ = y^{2−p}/(φ(2−p)). The
    terms are smooth and nearly normal in j around ĵ: where their standard deviation
    is large, a sum with a stride of half of it, times that stride, is the same to
    full precision, so that the number of nodes is bounded.

    Parameters
    ----------
    log_y, phi, power : Tensor of shape (n,)
    """
    alpha = (2.0 - power) / (power - 1.0)
    peak = torch.exp((2.0 - power) * log_y) / (phi * (2.0 - power))
    with torch.no_grad():
        spread = torch.sqrt(peak / (1.0 + alpha))
        drop = _DROP / (1.0 + alpha)
        right = drop / 3.0 + torch.sqrt(drop * drop / 9.0 + 2.0 * drop * peak) + 3.0
        left = _WIDTHS * spread
        smooth = (peak - left > 1.0) & (spread > _POINTS)
        stride = torch.where(smooth, spread / _POINTS, torch.ones_like(spread))
        integer = torch.floor(peak - left).clamp(min=1.0) - peak
        first = torch.where(smooth, -left, integer)
        size = int(torch.ceil((right - first) / stride).max().item()) + 1
        steps = torch.arange(size, dtype=log_y.dtype, device=log_y.device)
        offset = first[:, None] + stride[:, None] * steps  # (n, w), j − ĵ
        node = peak[:, None] + offset
        centre = peak.clone()
    # j stays where it is when ĵ moves
    delta = ((centre - peak)[:, None] + offset) / peak[:, None]
    fall = (1.0 + delta) * torch.log1p(delta) - delta
    exponent = -((1.0 + alpha) * peak)[:, None] * fall
    exponent = exponent - stirling_error(node) - stirling_error(alpha[:, None] * node)
    return torch.logsumexp(exponent, dim=1) + torch.log(stride)


class Tweedie(Family):
    """Compound Poisson-gamma response: zeros, and positive numbers between.

    Mean μ, ``scale`` = σ with φ = σ², and ``power`` p in (1, 2): variance φμ^p. With
    α = (2−p)/(p−1) and the unit deviance d,
    ℓ = −d(y, μ)/2φ + ½ log α − log 2π − log y + log Σ_j (…) for y > 0 (see
    ``log_series``) and ℓ = −μ^{2−p}/(φ(2−p)) for y = 0. A constant scale is the
    dispersion φ; the power is a shape between 1.01 and 1.99, or given.

    References
    ----------
    Dunn and Smyth (2005), doi:10.1007/s11222-005-4070-y.

    Examples
    --------
    >>> import torch
    >>> from semistruct.families import Tweedie
    >>> Tweedie(fixed={"power": 1.5}).log_density(torch.zeros(1), torch.zeros(1, 1))
    tensor([-2.])
    """

    name = "tweedie"
    declared = (
        Parameter("mean", "positive", "log", 1.0),
        Parameter("scale", "positive", "log", 1.0),
        Parameter("power", "power", "logit", 1.5),
    )
    dispersion_parameter = "scale"
    support = "nonnegative"
    mean_variance = True

    def _log_prob(self, y: Tensor, *theta: Theta) -> Tensor:
        mean, scale, power = theta
        p, phi = power.value, torch.exp(2.0 * scale.log)
        none = -torch.exp((2.0 - p) * mean.log) / (phi * (2.0 - p))
        positive = y > 0
        log_y = torch.log(torch.where(positive, y, torch.ones_like(y)))
        ratio = mean.log - log_y
        below = torch.expm1((1.0 - p) * ratio) / (1.0 - p)
        above = torch.expm1((2.0 - p) * ratio) / (2.0 - p)
        half_deviance = torch.exp((2.0 - p) * log_y) * (above - below)
        rows = (t.expand(log_y.shape) for t in (phi, p))
        alpha = (2.0 - p) / (p - 1.0)
        constant = 0.5 * torch.log(alpha) - _LOG_2PI - log_y
        value = constant - half_deviance / phi + log_series(log_y, *rows)
        return torch.where(positive, value, none)

    def _saturated(self, y: Tensor, *rest: Theta) -> Tensor:
        value = super()._saturated(y, *rest)
        return torch.where(y > 0, value, torch.zeros_like(value))

    def _mean(self, *theta: Tensor) -> Tensor:
        return theta[0]

    def _variance(self, *theta: Tensor) -> Tensor:
        mean, scale, power = theta
        return scale * scale * mean**power

    def _start(self, y: FloatArray, weight: FloatArray) -> tuple[float, float, float]:
        mean, spread = mean_and_spread(y, weight)
        mean = max(mean, 1e-3)
        return mean, spread / mean**0.75, 1.5

    def cdf_left(
        self,
        y: ArrayLike,
        eta: ArrayLike | Tensor,
        dispersion: float | FloatArray = 1.0,
    ) -> FloatArray:
        """P(Y < y), (n,): without the mass at y = 0."""
        total = self.cdf(y, eta, dispersion)
        return np.where(np.asarray(y, float) <= 0, 0.0, total)

    def _cdf(self, y: FloatArray, *theta: FloatArray) -> FloatArray:
        parts = np.broadcast_arrays(y, *_compound(*theta))
        flat = [np.ravel(part) for part in parts]
        chunks = [slice(i, i + 512) for i in range(0, len(flat[0]), 512)]
        found = [_compound_cdf(*(f[rows] for f in flat)) for rows in chunks]
        return np.concatenate(found).reshape(parts[0].shape)

    def _quantile(self, p: FloatArray, *theta: FloatArray) -> FloatArray:
        """Bisection in log y."""
        p, mean, scale, power = np.broadcast_arrays(p, *theta)
        start = mean + scale * mean ** (0.5 * power)
        low, high = np.log(start) - 60.0, np.log(start) + 1.0
        while np.any(short := self._cdf(np.exp(high), mean, scale, power) < p):
            high = np.where(short, high + 1.0, high)
        for _ in range(60):
            middle = 0.5 * (low + high)
            short = self._cdf(np.exp(middle), mean, scale, power) < p
            low, high = np.where(short, middle, low), np.where(short, high, middle)
        zero = np.exp(-_compound(mean, scale, power)[0])
        return np.where(p <= zero, 0.0, np.exp(high))

    def _draw(self, generator: np.random.Generator, *theta: FloatArray) -> FloatArray:
        rate, shape, scale = _compound(*theta)
        jumps = generator.poisson(rate)
        total = generator.gamma(np.where(jumps > 0, jumps * shape, 1.0)) * scale
        return np.where(jumps > 0, total, 0.0)


def _compound(mean: FloatArray, scale: FloatArray, power: FloatArray) -> Any:
    """Rate of the jumps, shape and scale of one jump."""
    phi = scale * scale
    rate = mean ** (2.0 - power) / (phi * (2.0 - power))
    return (
        rate,
        (2.0 - power) / (power - 1.0),
        phi * (power - 1.0) * mean ** (power - 1),
    )


def _compound_cdf(
    y: FloatArray, rate: FloatArray, shape: FloatArray, scale: FloatArray
) -> FloatArray:
    """Σ_j Poisson(j; rate) P(gamma sum of j jumps ≤ y)."""
    from scipy import special

    far = 9.0 * np.sqrt(rate)
    first = np.maximum(np.floor(rate - far), 1.0)
    size = int(np.max(np.ceil(rate + far + 25.0) - first)) + 1
    jumps = first[:, None] + np.arange(size)  # (n, w)
    log_rate = np.log(rate)[:, None]
    log_mass = jumps * log_rate - rate[:, None] - special.gammaln(jumps + 1.0)
    sums = special.gammainc(jumps * shape[:, None], np.maximum(y / scale, 0.0)[:, None])
    total = np.exp(-rate) + (np.exp(log_mass) * sums).sum(axis=1)
    return np.where(y < 0, 0.0, np.minimum(total, 1.0))
