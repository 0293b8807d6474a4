"""Families of positive responses and of shares: gamma, inverse gaussian, beta."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from semistruct.families._base import Family, FloatArray
from semistruct.families._gaussian import mean_and_spread
from semistruct.families._parameters import Parameter, Theta
from semistruct.families._special import HALF_LOG_2PI, stirling_error

_MEAN = Parameter("mean", "positive", "log", 1.0)
_SCALE = Parameter("scale", "positive", "log", 1.0)


class Gamma(Family):
    """Gamma response: mean μ and coefficient of variation ``scale`` = σ, var σ²μ².

    With φ = σ² and k = 1/φ: ℓ = k log k − log Γ(k) − k (log μ + y/μ) + (k − 1) log y.
    A constant scale is the dispersion φ.

    References
    ----------
    McCullagh and Nelder (1989), doi:10.1007/978-1-4899-3242-6, chapter 8.

    Examples
    --------
    >>> import torch
    >>> from semistruct.families import Gamma
    >>> Gamma().log_density(torch.ones(1), torch.zeros(1, 1))
    tensor([-1.])
    """

    name = "gamma"
    declared = (_MEAN, _SCALE)
    dispersion_parameter = "scale"
    support = "positive"
    mean_variance = True

    def _log_prob(self, y: Tensor, *theta: Theta) -> Tensor:
        mean, scale = theta
        log_y = torch.log(y)
        k = torch.exp(-2.0 * scale.log)
        ratio = log_y - mean.log
        constant = -scale.log - HALF_LOG_2PI - stirling_error(k)
        return constant - log_y - k * (torch.expm1(ratio) - ratio)

    def derivatives(
        self, y: Tensor, eta: Tensor, dispersion: float | Tensor = 1.0
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the closed form with log link; see :meth:`Family.derivatives`."""
        if not self._has_closed_form():
            return super().derivatives(y, eta, dispersion)
        value = self.log_density(y, eta, dispersion).detach()
        k, ratio = self._shape_and_ratio(y, eta, dispersion)
        return value, (k * (ratio - 1.0))[:, None], -(k * ratio)[:, None, None]

    def third(
        self,
        y: Tensor,
        eta: Tensor,
        direction: Tensor,
        dispersion: float | Tensor = 1.0,
    ) -> Tensor:
        """Return the closed form with log link; see :meth:`Family.third`."""
        if not self._has_closed_form():
            return super().third(y, eta, direction, dispersion)
        k, ratio = self._shape_and_ratio(y, eta, dispersion)
        return (k * ratio)[:, None] * direction[:, 0]

    def _has_closed_form(self) -> bool:
        return self.parameters == ("mean",) and self._links[0].name == "log"

    def _shape_and_ratio(
        self, y: Tensor, eta: Tensor, dispersion: float | Tensor
    ) -> tuple[Tensor, Tensor]:
        """K = 1/φ and y/μ."""
        mean, scale = self._theta(eta, self._shapes_like(eta), dispersion)
        k = torch.exp(-2.0 * scale.log.detach())
        return k, y * torch.exp(-mean.log.detach())

    def _mean(self, *theta: Tensor) -> Tensor:
        return theta[0]

    def _variance(self, *theta: Tensor) -> Tensor:
        return (theta[0] * theta[1]) ** 2

    def _start(self, y: FloatArray, weight: FloatArray) -> tuple[float, float]:
        mean, spread = mean_and_spread(y, weight)
        return mean, spread / mean

    def _frozen(self, *theta: FloatArray) -> Any:
        from scipy import stats

        mean, scale = theta
        square = scale * scale
        return stats.gamma(1.0 / square, scale=mean * square)


class InverseGaussian(Family):
    """Inverse gaussian response: mean μ and ``scale`` = σ, variance σ²μ³.

    ℓ = −½ log(2π σ² y³) − (y − μ)² / (2σ² μ² y). A constant scale is the dispersion
    φ = σ².

    References
    ----------
    Tweedie (1957), doi:10.1214/aoms/1177706964.

    Examples
    --------
    >>> import torch
    >>> from semistruct.families import InverseGaussian
    >>> InverseGaussian().log_density(torch.ones(1), torch.zeros(1, 1))
    tensor([-0.9189])
    """

    name = "inverse_gaussian"
    declared = (_MEAN, _SCALE)
    dispersion_parameter = "scale"
    support = "positive"
    mean_variance = True

    def _log_prob(self, y: Tensor, *theta: Theta) -> Tensor:
        mean, scale = theta
        gap = torch.expm1(torch.log(y) - mean.log) / scale.value  # (y − μ) / μσ
        return -HALF_LOG_2PI - scale.log - 1.5 * torch.log(y) - 0.5 * gap * gap / y

    def _mean(self, *theta: Tensor) -> Tensor:
        return theta[0]

    def _variance(self, *theta: Tensor) -> Tensor:
        return theta[0] ** 3 * theta[1] ** 2

    def _start(self, y: FloatArray, weight: FloatArray) -> tuple[float, float]:
        mean, spread = mean_and_spread(y, weight)
        return mean, spread / mean**1.5

    def _frozen(self, *theta: FloatArray) -> Any:
        from scipy import stats

        mean, scale = theta
        square = scale * scale
        return stats.invgauss(mean * square, scale=1.0 / square)


class Beta(Family):
    """Share strictly between 0 and 1: mean μ and ``precision`` = φ.

    y ~ Beta(μφ, (1 − μ)φ), with variance μ(1 − μ) / (1 + φ).

    References
    ----------
    Ferrari and Cribari-Neto (2004), doi:10.1080/0266476042000214501.

    Examples
    --------
    >>> import torch
    >>> from semistruct.families import Beta
    >>> Beta(fixed={"precision": 2.0}).log_density(torch.ones(1) / 3, torch.zeros(1, 1))
    tensor([0.])
    """

    name = "beta"
    declared = (
        Parameter("mean", "unit", "logit", 0.5),
        Parameter("precision", "positive", "log", 10.0),
    )
    support = "unit"

    def _log_prob(self, y: Tensor, *theta: Theta) -> Tensor:
        mean, precision = theta
        log_y, log_rest = torch.log(y), torch.log1p(-y)
        log_a = mean.log + precision.log
        log_b = mean.log_complement + precision.log
        a, b = torch.exp(log_a), torch.exp(log_b)
        error = stirling_error(precision.value, precision.log)
        error = error - stirling_error(a, log_a) - stirling_error(b, log_b)
        half = 0.5 * (precision.log + mean.log + mean.log_complement)
        pull = a * (log_y - mean.log) + b * (log_rest - mean.log_complement)
        return half - HALF_LOG_2PI + error + pull - log_y - log_rest

    def _saturated(self, y: Tensor, *rest: Theta) -> Tensor:
        """Solve ψ(μφ) − ψ((1 − μ)φ) = logit y by Newton's method in logit μ."""
        (precision,) = rest
        phi = precision.value
        goal = torch.log(y) - torch.log1p(-y)
        eta = goal.clone()
        for _ in range(60):
            mean, other = torch.sigmoid(eta), torch.sigmoid(-eta)
            a, b = mean * phi, other * phi
            miss = torch.digamma(a) - torch.digamma(b) - goal
            slope = torch.special.zeta(2.0, a) + torch.special.zeta(2.0, b)
            step = miss / (slope * mean * other * phi)
            eta = eta - step.clamp(-2.0, 2.0)
            if bool((step.abs() < 1e-9).all()):
                break
        best = Theta(torch.sigmoid(eta), *(_log_sigmoid(e) for e in (eta, -eta)))
        return self._log_prob(y, best, precision)

    def _mean(self, *theta: Tensor) -> Tensor:
        return theta[0]

    def _variance(self, *theta: Tensor) -> Tensor:
        mean, precision = theta
        return mean * (1.0 - mean) / (1.0 + precision)

    def _start(self, y: FloatArray, weight: FloatArray) -> tuple[float, float]:
        mean, spread = mean_and_spread(y, weight)
        return mean, max(mean * (1.0 - mean) / spread**2 - 1.0, 0.1)

    def _frozen(self, *theta: FloatArray) -> Any:
        from scipy import stats

        mean, precision = theta
        return stats.beta(mean * precision, np.maximum(1.0 - mean, 1e-300) * precision)


def _log_sigmoid(x: Tensor) -> Tensor:
    return torch.nn.functional.logsigmoid(x)
