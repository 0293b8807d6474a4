"""Accelerated failure time families: weibull, lognormal and loglogistic.

Letters: n rows, T times, K linear predictors.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from semistruct.exceptions import ParameterError
from semistruct.families._base import Family, FloatArray
from semistruct.families._censored_rows import Derivatives, log_likelihood, row_jets
from semistruct.families._censored_standard import (
    EXTREME,
    LOGISTIC,
    NORMAL,
    Standard,
)
from semistruct.families._censored_target import legal_bounds
from semistruct.families._gaussian import mean_and_spread
from semistruct.families._parameters import Parameter, Theta

_SECOND = torch.tensor([[0, 1], [1, 2]])  # where ∂²/∂i∂j stands in (μμ, μs, ss)


class Censored(Family):
    """Survival times with log T = ``loc`` + ``scale`` · W; abstract.

    The target has three columns (entry, lower, upper), in any unit of time > 0:

    - an event at t: lower = upper = t;
    - right censoring at c: lower = c, upper = inf;
    - left censoring at c: lower = 0, upper = c;
    - an event between a and b: lower = a, upper = b;
    - entry: time from which the row is at risk (left truncation), else 0.

    With w(t) = (log t − μ) / σ, S₀ and f₀ those of W, a row contributes
    log f₀(w) − log σ − log t, or log[S₀(w(lower)) − S₀(w(upper))], and
    −log S₀(w(entry)). The saturated log-likelihood is 0, so that the deviance is
    −2 Σ w ℓ, for censored and for exact rows. A constant scale is a shape.

    Methods that take times read them as (T,), one grid for all rows, or as (n, T).

    References
    ----------
    Klein and Moeschberger (2003), doi:10.1007/b97377, chapters 3 and 12; Kalbfleisch
    and Prentice (2002), doi:10.1002/9781118032985, chapter 3.
    """

    declared = (
        Parameter("loc", "real", "identity", 0.0),
        Parameter("scale", "positive", "log", 1.0),
    )
    support = "positive"
    standard: ClassVar[Standard]

    def check_target(self, y: Any, owner: str) -> FloatArray:
        """Return ``y``, a Surv or an array (n, 3), as float64 (n, 3).

        Raises
        ------
        TargetError
            Naming the row that is not legal; times of 0 are not. Also when a Surv has
            weights, strata or several causes, which the rows would leave out.
        """
        return legal_bounds(y, owner, self.name)

    def _log_prob(self, y: Tensor, *theta: Theta) -> Tensor:
        loc, scale = theta
        return log_likelihood(y, loc.value, scale.value, scale.log, self.standard)

    def saturated(self, y: Tensor) -> Tensor:
        """Zero (n,): the deviance is −2 Σ w ℓ."""
        return torch.zeros_like(y[:, 0])

    # derivatives

    def derivatives(
        self, y: Tensor, eta: Tensor, dispersion: float | Tensor = 1.0
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the closed form; see :meth:`Family.derivatives`."""
        if not self._has_closed_form():
            return super().derivatives(y, eta, dispersion)
        own, jets = self._own(), self._jets(y, eta, 2)
        gradient = torch.stack([jets.first[i] for i in own], dim=1)
        rows = [[jets.second[int(_SECOND[i, j])] for j in own] for i in own]
        hessian = torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)
        return jets.value, gradient, hessian

    def third(
        self,
        y: Tensor,
        eta: Tensor,
        direction: Tensor,
        dispersion: float | Tensor = 1.0,
    ) -> Tensor:
        """Return the closed form; see :meth:`Family.third`."""
        if not self._has_closed_form():
            return super().third(y, eta, direction, dispersion)
        own, third = self._own(), self._jets(y, eta, 3).third
        columns = []
        for k in own:
            column = torch.zeros_like(eta[:, 0])
            for a, i in enumerate(own):
                for b, j in enumerate(own):
                    # i + j + k of them are derivatives in s
                    column = column + direction[:, a, b] * third[i + j + k]
            columns.append(column)
        return torch.stack(columns, dim=1)

    def _has_closed_form(self) -> bool:
        return tuple(link.name for link in self._links) == ("identity", "log")

    def _own(self) -> list[int]:
        """Places in (loc, scale) of the parameters with a formula."""
        return [self.all_parameters.index(name) for name in self.parameters]

    def _jets(self, y: Tensor, eta: Tensor, order: int) -> Derivatives:
        loc, scale = self._theta(eta, self._shapes_like(eta), 1.0)
        return row_jets(y, loc.value, scale.log, self.standard, order)

    def recession(self, y: Tensor, direction: Tensor) -> Tensor | None:
        """Return which rows fall when ``loc`` moves; see :meth:`Family.recession`.

        None where the scale has a formula.
        """
        if self.parameters != ("loc",) or self._links[0].name != "identity":
            return None
        entry, lower, upper = y.unbind(-1)
        change = direction[:, 0]
        # S₀(b) / S₀(a) has a limit above 0 where log S₀ falls linearly
        held = (entry > 0.0) & self.standard.linear_tail
        early = (change < 0.0) & ~held & (lower > entry)
        late = (change > 0.0) & torch.isfinite(upper)
        return torch.where(early | late, -change.abs(), change.abs())

    # starts

    def _start(self, y: FloatArray, weight: FloatArray) -> tuple[float, float]:
        _, lower, upper = y.T
        seen = np.isfinite(upper)
        middle = np.where(seen, 0.5 * (lower + np.where(seen, upper, 0.0)), lower)
        centre, spread = mean_and_spread(np.log(middle), weight)
        scale = spread / self.standard.deviation
        # as for exponential times, whose mean is the time at risk over the events
        share = max(float(np.average(seen, weights=weight)), 1.0 / (1.0 + len(y)))
        return centre - scale * (self.standard.mean + math.log(share)), scale

    # curves

    def survival(self, times: ArrayLike, eta: ArrayLike | Tensor) -> FloatArray:
        """Return S(t) = P(T > t), (n, T).

        Parameters
        ----------
        times : array-like of shape (T,) or (n, T)
            At least 0.
        eta : array-like or Tensor of shape (n, K)
            Linear predictors.

        Examples
        --------
        >>> from semistruct.families import get_censored
        >>> family = get_censored("exponential")
        >>> family.survival([0.0, 1.0, 2.0], [[0.0]]).round(3)
        array([[1.   , 0.368, 0.135]])
        """
        return np.exp(-self.cumulative_hazard(times, eta))

    def cumulative_hazard(
        self, times: ArrayLike, eta: ArrayLike | Tensor
    ) -> FloatArray:
        """Return −log S(t), (n, T); parameters as in :meth:`survival`."""
        loc, scale = self._arrays(eta, 1.0)
        grid = self._grid(times, len(loc))
        return self._hazards(grid, loc[:, None], scale[:, None])

    def median(self, eta: ArrayLike | Tensor) -> FloatArray:
        """Return the times (n,) by which half of the events have happened."""
        return self.quantile(0.5, eta)

    def _grid(self, times: ArrayLike, n: int) -> FloatArray:
        """Return times (1, T) or (n, T), at least 0."""
        grid = np.asarray(times, dtype=np.float64)
        legal = grid.ndim == 1 or (grid.ndim == 2 and grid.shape[0] == n)
        if not legal or not (grid >= 0.0).all():
            raise ParameterError(
                parameter="times",
                owner=type(self).__name__,
                allowed=f"numbers >= 0 of shape (T,) or ({n}, T)",
                given=times,
            )
        return np.atleast_2d(grid)

    def _hazards(self, times: FloatArray, *theta: FloatArray) -> FloatArray:
        """−log S₀((log t − μ)/σ), of the shape that all have together."""
        t, loc, scale = (torch.as_tensor(part) for part in (times, *theta))
        w = (torch.log(t) - loc) / scale
        hazard: FloatArray = -self.standard.log_survival(w, 0)[0].numpy()
        return hazard

    def _cdf(self, y: FloatArray, *theta: FloatArray) -> FloatArray:
        return -np.expm1(-self._hazards(np.maximum(y, 0.0), *theta))

    def _quantile(self, p: FloatArray, *theta: FloatArray) -> FloatArray:
        loc, scale = theta
        w = self.standard.quantile(torch.as_tensor(p)).numpy()
        return np.asarray(np.exp(loc + scale * w))

    def _draw(self, generator: np.random.Generator, *theta: FloatArray) -> FloatArray:
        """Draw times (n,) of events, not censored."""
        return self._quantile(generator.uniform(size=len(theta[0])), *theta)

    def _mean(self, *theta: Tensor) -> Tensor:
        loc, scale = theta
        return self._moment(loc, scale)

    def _variance(self, *theta: Tensor) -> Tensor:
        loc, scale = theta
        mean = self._moment(loc, scale)
        square = self._moment(2.0 * loc, 2.0 * scale)
        return torch.where(torch.isinf(square), square, square - mean * mean)

    @staticmethod
    @abstractmethod
    def _moment(loc: Tensor, scale: Tensor) -> Tensor:
        """E exp(loc + scale W)."""


class WeibullAFT(Censored):
    """Weibull times: W has the minimum extreme value distribution.

    S(t) = exp{−(t/λ)^k} with λ = exp(loc), k = 1/scale; mean λ Γ(1 + scale). The
    hazards of two rows of the same scale are proportional, with log hazard ratio
    −Δloc / scale.

    Examples
    --------
    >>> import semistruct as ss
    >>> from semistruct.families import WeibullAFT
    >>> from semistruct.solvers import fit_glm
    >>> X, y = ss.datasets.load_rossi()
    >>> design = X.assign(one=1.0)[["one", "fin", "prio"]]
    >>> fit = fit_glm([design], y, WeibullAFT())
    >>> fit.coef.round(3), fit.shape_values.round(3)
    (array([ 4.913,  0.289, -0.076]), array([0.72]))
    """

    name = "weibull_aft"
    standard = EXTREME

    @staticmethod
    def _moment(loc: Tensor, scale: Tensor) -> Tensor:
        return torch.exp(loc + torch.lgamma(1.0 + scale))


class LogNormalAFT(Censored):
    """Log-normal times: W is standard normal; mean exp(loc + scale²/2).

    Examples
    --------
    >>> import torch
    >>> from semistruct.families import LogNormalAFT
    >>> y = torch.tensor([[0.0, 1.0, torch.inf]])  # censored at the median
    >>> LogNormalAFT().log_density(y, torch.zeros(1, 1)).exp()
    tensor([0.5000])
    """

    name = "lognormal_aft"
    standard = NORMAL

    @staticmethod
    def _moment(loc: Tensor, scale: Tensor) -> Tensor:
        return torch.exp(loc + 0.5 * scale * scale)


class LogLogisticAFT(Censored):
    """Log-logistic times: W is standard logistic.

    S(t) = 1 / (1 + (t/λ)^k) with λ = exp(loc), k = 1/scale: the log odds of survival
    of two rows of the same scale differ by Δloc / scale at all times. The mean is
    λπσ / sin(πσ) for σ < 1, else infinite; the variance is infinite from σ = ½ on.

    Examples
    --------
    >>> import torch
    >>> from semistruct.families import LogLogisticAFT
    >>> LogLogisticAFT(fixed={"scale": 0.5}).mean(torch.zeros(1, 1))
    tensor([1.5708])
    """

    name = "loglogistic_aft"
    standard = LOGISTIC

    @staticmethod
    def _moment(loc: Tensor, scale: Tensor) -> Tensor:
        inner = torch.where(scale < 1.0, scale, 0.5)
        value = torch.exp(loc) / torch.sinc(inner)
        return torch.where(scale < 1.0, value, torch.inf)
