"""Families of counts: poisson, negative binomial and their zero-inflated kin."""

from __future__ import annotations

from abc import ABC
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from semistruct.families._base import Family, FloatArray
from semistruct.families._parameters import Parameter, Theta
from semistruct.families._special import log_add_exp, log_gamma_ratio, softplus

_ZERO = Parameter("zero", "unit", "logit", 0.1)
_SIZE = Parameter("size", "positive", "log", 1.0)


def _poisson(y: Tensor, rate: Theta) -> Tensor:
    return y * rate.log - rate.value - torch.lgamma(y + 1.0)


def _negative_binomial(y: Tensor, mean: Theta, size: Theta) -> Tensor:
    """Gamma-mixed Poisson; → Poisson as size → ∞ without cancellation."""
    rising = log_gamma_ratio(size.value, y)
    shrink = softplus(mean.log - size.log)  # log(1 + μ/θ)
    return rising - torch.lgamma(y + 1.0) + y * mean.log - (size.value + y) * shrink


class _Counts(Family, ABC):
    """Counts with a mean as first parameter."""

    support = "count"
    discrete: ClassVar[bool] = True

    def recession(self, y: Tensor, direction: Tensor) -> Tensor | None:
        """Return −d without events, −|d| with events; see :meth:`Family.recession`."""
        if self.parameters != self.all_parameters[:1] or self._links[0].name != "log":
            return None
        change = direction[:, 0]
        return torch.where(y > 0, -change.abs(), -change)


class Poisson(_Counts):
    """Counts with expectation ``rate``.

    ℓ = y log μ − μ − log y!.

    References
    ----------
    McCullagh and Nelder (1989), doi:10.1007/978-1-4899-3242-6, chapter 6.

    Examples
    --------
    >>> import torch
    >>> from semistruct.families import Poisson
    >>> Poisson().log_density(torch.tensor([0.0]), torch.tensor([[0.0]]))
    tensor([-1.])
    """

    name = "poisson"
    declared = (Parameter("rate", "positive", "log", 1.0),)
    mean_variance = True

    def _log_prob(self, y: Tensor, *theta: Theta) -> Tensor:
        return _poisson(y, theta[0])

    def derivatives(
        self, y: Tensor, eta: Tensor, dispersion: float | Tensor = 1.0
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the closed form with log link; see :meth:`Family.derivatives`."""
        if self._links[0].name != "log":
            return super().derivatives(y, eta, dispersion)
        mean = torch.exp(eta)
        return self.log_density(y, eta), y[:, None] - mean, -mean[:, :, None]

    def third(
        self,
        y: Tensor,
        eta: Tensor,
        direction: Tensor,
        dispersion: float | Tensor = 1.0,
    ) -> Tensor:
        """Return the closed form with log link; see :meth:`Family.third`."""
        if self._links[0].name != "log":
            return super().third(y, eta, direction, dispersion)
        return -torch.exp(eta) * direction[:, 0]

    def _mean(self, *theta: Tensor) -> Tensor:
        return theta[0]

    def _variance(self, *theta: Tensor) -> Tensor:
        return theta[0]

    def _start(self, y: FloatArray, weight: FloatArray) -> tuple[float, ...]:
        return (_raised_mean(y, weight),)

    def _frozen(self, *theta: FloatArray) -> Any:
        from scipy import stats

        return stats.poisson(*theta)


class NegativeBinomial(_Counts):
    """Overdispersed counts: mean μ and ``size`` = θ, variance μ + μ²/θ.

    ℓ = log Γ(y+θ) − log Γ(θ) − log y! + y log μ + θ log θ − (y + θ) log(μ + θ).

    References
    ----------
    Lawless (1987), doi:10.2307/3314912.

    Examples
    --------
    >>> import torch
    >>> from semistruct.families import NegativeBinomial
    >>> NegativeBinomial().log_density(torch.zeros(1), torch.zeros(1, 1))
    tensor([-0.6931])
    """

    name = "negative_binomial"
    declared = (Parameter("mean", "positive", "log", 1.0), _SIZE)
    mean_variance = True

    def _log_prob(self, y: Tensor, *theta: Theta) -> Tensor:
        return _negative_binomial(y, *theta)

    def derivatives(
        self, y: Tensor, eta: Tensor, dispersion: float | Tensor = 1.0
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the closed form with log link; see :meth:`Family.derivatives`."""
        if not self._has_closed_form():
            return super().derivatives(y, eta, dispersion)
        share, rest, size = self._shares(eta)
        gradient = y[:, None] * rest - size * share
        hessian = -(y[:, None] + size) * share * rest
        return self.log_density(y, eta), gradient, hessian[:, :, None]

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
        share, rest, size = self._shares(eta)
        return (y[:, None] + size) * share * rest * (share - rest) * direction[:, 0]

    def _has_closed_form(self) -> bool:
        return self.parameters == ("mean",) and self._links[0].name == "log"

    def _shares(self, eta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """μ/(μ+θ), θ/(μ+θ) and θ."""
        size = self._theta(eta, self._shapes_like(eta), 1.0)[1]
        odds = eta - size.log
        return torch.sigmoid(odds), torch.sigmoid(-odds), size.value

    def _mean(self, *theta: Tensor) -> Tensor:
        return theta[0]

    def _variance(self, *theta: Tensor) -> Tensor:
        mean, size = theta
        return mean * (1.0 + mean / size)

    def _start(self, y: FloatArray, weight: FloatArray) -> tuple[float, float]:
        mean = _raised_mean(y, weight)
        return mean, _size(mean, y, weight)

    def _frozen(self, *theta: FloatArray) -> Any:
        from scipy import stats

        mean, size = theta
        return stats.nbinom(size, size / (size + mean))


class _ZeroInflated(_Counts, ABC):
    """A count, or with probability ``zero`` a zero of another kind."""

    base: ClassVar[type[_Counts]]

    def _inflate(self, y: Tensor, log_mass: Tensor, zero: Theta) -> Tensor:
        shrunk = zero.log_complement + log_mass
        return torch.where(y > 0, shrunk, log_add_exp(zero.log, shrunk))

    def _saturated(self, y: Tensor, *rest: Theta) -> Tensor:
        value = super()._saturated(y, *rest)
        return torch.where(y > 0, value, torch.zeros_like(value))

    def recession(self, y: Tensor, direction: Tensor) -> Tensor | None:
        """−|d| with events, 0 without; see :meth:`Family.recession`."""
        margin = super().recession(y, direction)
        return None if margin is None else torch.where(y > 0, margin, 0.0)

    def _cdf(self, y: FloatArray, *theta: FloatArray) -> FloatArray:
        *counts, zero = theta
        below = self.base()._cdf(y, *counts)
        return np.where(y < 0, 0.0, zero + (1.0 - zero) * below)

    def _quantile(self, p: FloatArray, *theta: FloatArray) -> FloatArray:
        *counts, zero = theta
        left = np.clip((p - zero) / (1.0 - zero), 0.0, 1.0)
        return np.maximum(self.base()._quantile(left, *counts), 0.0)

    def _draw(self, generator: np.random.Generator, *theta: FloatArray) -> FloatArray:
        *counts, zero = theta
        draws = self.base()._draw(generator, *counts)
        return np.where(generator.uniform(size=len(zero)) < zero, 0.0, draws)


class ZeroInflatedPoisson(_ZeroInflated):
    """Poisson counts of expectation ``rate`` with extra zeros of probability ``zero``.

    P(0) = π + (1 − π) e^{−μ} and P(y) = (1 − π) Poisson(y; μ) for y > 0.

    References
    ----------
    Lambert (1992), doi:10.2307/1269547.

    Examples
    --------
    >>> import torch
    >>> from semistruct.families import ZeroInflatedPoisson
    >>> family = ZeroInflatedPoisson(fixed={"zero": 0.5})
    >>> family.mean(torch.zeros(1, 1))
    tensor([0.5000])
    """

    name = "zero_inflated_poisson"
    declared = (Parameter("rate", "positive", "log", 1.0), _ZERO)
    base = Poisson

    def _log_prob(self, y: Tensor, *theta: Theta) -> Tensor:
        rate, zero = theta
        return self._inflate(y, _poisson(y, rate), zero)

    def _mean(self, *theta: Tensor) -> Tensor:
        rate, zero = theta
        return (1.0 - zero) * rate

    def _variance(self, *theta: Tensor) -> Tensor:
        rate, zero = theta
        return (1.0 - zero) * rate * (1.0 + zero * rate)

    def _start(self, y: FloatArray, weight: FloatArray) -> tuple[float, float]:
        zero, rate = _inflation(y, weight)
        return rate, zero


class ZeroInflatedNegativeBinomial(_ZeroInflated):
    """Negative binomial counts (``mean``, ``size``) with extra zeros (``zero``).

    P(0) = π + (1 − π) NB(0; μ, θ) and P(y) = (1 − π) NB(y; μ, θ) for y > 0.

    References
    ----------
    Greene (1994), "Accounting for excess zeros and sample selection in Poisson and
    negative binomial regression models", NYU working paper EC-94-10.

    Examples
    --------
    >>> import torch
    >>> from semistruct.families import ZeroInflatedNegativeBinomial
    >>> ZeroInflatedNegativeBinomial().shape_names
    ('size', 'zero')
    """

    name = "zero_inflated_negative_binomial"
    declared = (Parameter("mean", "positive", "log", 1.0), _SIZE, _ZERO)
    base = NegativeBinomial

    def _log_prob(self, y: Tensor, *theta: Theta) -> Tensor:
        mean, size, zero = theta
        return self._inflate(y, _negative_binomial(y, mean, size), zero)

    def _mean(self, *theta: Tensor) -> Tensor:
        mean, _, zero = theta
        return (1.0 - zero) * mean

    def _variance(self, *theta: Tensor) -> Tensor:
        mean, size, zero = theta
        return (1.0 - zero) * mean * (1.0 + mean / size + zero * mean)

    def _start(self, y: FloatArray, weight: FloatArray) -> tuple[float, float, float]:
        zero, mean = _inflation(y, weight)
        positive = y > 0
        size = _size(mean, y[positive], weight[positive]) if positive.any() else 1.0
        return mean, size, zero


def _raised_mean(y: FloatArray, weight: FloatArray) -> float:
    """Weighted mean with half an event added."""
    return float((weight @ y + 0.5) / weight.sum())


def _size(mean: float, y: FloatArray, weight: FloatArray) -> float:
    """Moment estimate of θ in μ + μ²/θ, between 0.1 and 1000."""
    total = weight.sum()
    spread = float(weight @ (y - mean) ** 2 / total) if total else mean
    return float(np.clip(mean**2 / max(spread - mean, 1e-3 * mean**2), 0.1, 1e3))


def _inflation(y: FloatArray, weight: FloatArray) -> tuple[float, float]:
    """Share of extra zeros and rate that match the mean and the share of zeros."""
    mean, total = _raised_mean(y, weight), float(weight.sum())
    none = float(weight[y == 0].sum()) / total
    rate = max(mean, 1e-3)
    for _ in range(50):  # mean = (1 − π) μ and none = π + (1 − π) e^{−μ}
        share = np.clip((none - np.exp(-rate)) / -np.expm1(-rate), 0.02, 0.95)
        rate = mean / (1.0 - share)
    return float(share), float(rate)
