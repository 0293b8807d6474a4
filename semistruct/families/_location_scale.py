"""Families of a location and a scale: student_t, lognormal, logistic, laplace, gumbel.

In each, z = (y − loc) / scale.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from semistruct.families._base import Family, FloatArray
from semistruct.families._gaussian import mean_and_spread
from semistruct.families._parameters import Parameter, Theta
from semistruct.families._special import HALF_LOG_2PI, log_gamma_ratio, softplus

_LOC = Parameter("loc", "real", "identity", 0.0)
_SCALE = Parameter("scale", "positive", "log", 1.0)
_EULER = 0.5772156649015329


def weighted_median(y: FloatArray, weight: FloatArray) -> float:
    """Smallest y below which at least half of the weight lies."""
    order = np.argsort(y)
    total = np.cumsum(weight[order])
    return float(y[order][np.searchsorted(total, 0.5 * total[-1])])


class StudentT(Family):
    """Student's t with location, scale and degrees of freedom ``df``.

    ℓ = log Γ((ν+1)/2) − log Γ(ν/2) − ½ log νπ − log σ − (ν+1)/2 log(1 + z²/ν).
    The mean is NaN for df ≤ 1, the variance infinite for df ≤ 2.

    References
    ----------
    Lange, Little and Taylor (1989), doi:10.1080/01621459.1989.10478852.

    Examples
    --------
    >>> import torch
    >>> from semistruct.families import StudentT
    >>> StudentT(fixed={"df": 1.0}).log_density(torch.zeros(1), torch.zeros(1, 1))
    tensor([-1.1447])
    """

    name = "student_t"
    declared = (_LOC, _SCALE, Parameter("df", "positive", "log", 10.0))

    def _log_prob(self, y: Tensor, *theta: Theta) -> Tensor:
        loc, scale, df = theta
        z = (y - loc.value) / scale.value
        constant = log_gamma_ratio(0.5 * df.value, 0.5) - HALF_LOG_2PI - scale.log
        return constant - 0.5 * (df.value + 1.0) * torch.log1p(z * z / df.value)

    def _mean(self, *theta: Tensor) -> Tensor:
        return torch.where(theta[2] > 1.0, theta[0], torch.nan)

    def _variance(self, *theta: Tensor) -> Tensor:
        _, scale, df = theta
        finite = scale * scale * df / (df - 2.0)
        infinite = torch.where(df > 1.0, torch.inf, torch.nan)
        return torch.where(df > 2.0, finite, infinite)

    def _start(self, y: FloatArray, weight: FloatArray) -> tuple[float, float, float]:
        centre = weighted_median(y, weight)
        deviation = 1.4826 * weighted_median(np.abs(y - centre), weight)
        return centre, deviation or mean_and_spread(y, weight)[1], 10.0

    def _frozen(self, *theta: FloatArray) -> Any:
        from scipy import stats

        loc, scale, df = theta
        return stats.t(df, loc, scale)


class LogNormal(Family):
    """Positive response whose logarithm is normal, with ``loc`` and ``scale``.

    ℓ = −½ log 2π − log σ − log y − (log y − μ)² / 2σ²; the mean is exp(μ + σ²/2).

    Examples
    --------
    >>> import torch
    >>> from semistruct.families import LogNormal
    >>> LogNormal().mean(torch.zeros(1, 1))
    tensor([1.6487])
    """

    name = "lognormal"
    declared = (_LOC, _SCALE)
    support = "positive"

    def _log_prob(self, y: Tensor, *theta: Theta) -> Tensor:
        loc, scale = theta
        log_y = torch.log(y)
        z = (log_y - loc.value) / scale.value
        return -HALF_LOG_2PI - scale.log - log_y - 0.5 * z * z

    def _saturated(self, y: Tensor, *rest: Theta) -> Tensor:
        best = self._reachable(torch.log(y))
        return self._log_prob(y, Theta(best), *rest)

    def _mean(self, *theta: Tensor) -> Tensor:
        loc, scale = theta
        return torch.exp(loc + 0.5 * scale * scale)

    def _variance(self, *theta: Tensor) -> Tensor:
        loc, scale = theta
        square = scale * scale
        return torch.expm1(square) * torch.exp(2.0 * loc + square)

    def _start(self, y: FloatArray, weight: FloatArray) -> tuple[float, float]:
        return mean_and_spread(np.log(y), weight)

    def _frozen(self, *theta: FloatArray) -> Any:
        from scipy import stats

        loc, scale = theta
        return stats.lognorm(scale, scale=np.exp(loc))


class Logistic(Family):
    """Logistic response with location and scale; the variance is π² scale² / 3.

    ℓ = −z − 2 log(1 + e^{−z}) − log s.

    Examples
    --------
    >>> import torch
    >>> from semistruct.families import Logistic
    >>> Logistic().log_density(torch.zeros(1), torch.zeros(1, 1))
    tensor([-1.3863])
    """

    name = "logistic"
    declared = (_LOC, _SCALE)

    def _log_prob(self, y: Tensor, *theta: Theta) -> Tensor:
        loc, scale = theta
        z = (y - loc.value) / scale.value
        return -z - 2.0 * softplus(-z) - scale.log

    def _mean(self, *theta: Tensor) -> Tensor:
        return theta[0]

    def _variance(self, *theta: Tensor) -> Tensor:
        return (math.pi * theta[1]) ** 2 / 3.0

    def _start(self, y: FloatArray, weight: FloatArray) -> tuple[float, float]:
        centre, spread = mean_and_spread(y, weight)
        return centre, spread * math.sqrt(3.0) / math.pi

    def _frozen(self, *theta: FloatArray) -> Any:
        from scipy import stats

        return stats.logistic(*theta)


class Laplace(Family):
    """Laplace response: median ``loc`` and mean absolute deviation ``scale``.

    ℓ = −log 2s − |z|. The log-density has a kink at its median and no curvature in
    ``loc`` elsewhere: ``twice_differentiable`` is False and ``fisher_weight`` gives
    the expected information 1/s². Maximum likelihood is median regression, see
    :func:`semistruct.solvers.fit_glm`.

    References
    ----------
    Koenker and Bassett (1978), doi:10.2307/1913643.

    Examples
    --------
    >>> import torch
    >>> from semistruct.families import Laplace
    >>> Laplace().log_density(torch.ones(1), torch.zeros(1, 1))
    tensor([-1.6931])
    """

    name = "laplace"
    declared = (_LOC, _SCALE)
    twice_differentiable = False

    def _log_prob(self, y: Tensor, *theta: Theta) -> Tensor:
        loc, scale = theta
        return -math.log(2.0) - scale.log - torch.abs(y - loc.value) / scale.value

    def fisher_weight(self, eta: Tensor) -> Tensor | None:
        """(d loc/dη)² / s², for a model of the location alone."""
        if self.parameters != ("loc",):
            return None
        slope = self._links[0].derivative(eta[:, 0])
        return ((slope / self._natural(eta, 1.0)[1]) ** 2)[:, None]

    def _mean(self, *theta: Tensor) -> Tensor:
        return theta[0]

    def _variance(self, *theta: Tensor) -> Tensor:
        return 2.0 * theta[1] ** 2

    def _start(self, y: FloatArray, weight: FloatArray) -> tuple[float, float]:
        centre = weighted_median(y, weight)
        deviation = float(np.average(np.abs(y - centre), weights=weight))
        return centre, deviation or mean_and_spread(y, weight)[1]

    def _frozen(self, *theta: FloatArray) -> Any:
        from scipy import stats

        return stats.laplace(*theta)


class Gumbel(Family):
    """Gumbel distribution of maxima: the long tail is on the right.

    ℓ = −z − e^{−z} − log s, with mode ``loc``, mean loc + 0.5772 scale and variance
    π² scale² / 6. For minima, model −y.

    Examples
    --------
    >>> import torch
    >>> from semistruct.families import Gumbel
    >>> Gumbel().log_density(torch.zeros(1), torch.zeros(1, 1))
    tensor([-1.])
    """

    name = "gumbel"
    declared = (_LOC, _SCALE)

    def _log_prob(self, y: Tensor, *theta: Theta) -> Tensor:
        loc, scale = theta
        z = (y - loc.value) / scale.value
        return -z - torch.exp(-z) - scale.log

    def _mean(self, *theta: Tensor) -> Tensor:
        return theta[0] + _EULER * theta[1]

    def _variance(self, *theta: Tensor) -> Tensor:
        return (math.pi * theta[1]) ** 2 / 6.0

    def _start(self, y: FloatArray, weight: FloatArray) -> tuple[float, float]:
        centre, spread = mean_and_spread(y, weight)
        scale = spread * math.sqrt(6.0) / math.pi
        return centre - _EULER * scale, scale

    def _frozen(self, *theta: FloatArray) -> Any:
        from scipy import stats

        return stats.gumbel_r(*theta)
