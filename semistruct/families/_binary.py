"""Families of yes and no: bernoulli rows, binomial rows with trials."""

from __future__ import annotations

from abc import ABC
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from semistruct.families._base import Family, FloatArray
from semistruct.families._parameters import Parameter, Theta
from semistruct.families._targets import numeric_target, refuse_rows


class _Binary(Family, ABC):
    """What follows from s successes and f failures of each row."""

    declared = (Parameter("prob", "unit", "logit", 0.5),)
    discrete: ClassVar[bool] = True
    mean_variance = True

    @staticmethod
    def _split(y: Tensor) -> tuple[Tensor, Tensor]:
        """Successes and failures, each (n,)."""
        return y, 1.0 - y

    def _log_prob(self, y: Tensor, *theta: Theta) -> Tensor:
        success, failure = self._split(y)
        (prob,) = theta
        ways = torch.lgamma(success + failure + 1.0)
        ways = ways - torch.lgamma(success + 1.0) - torch.lgamma(failure + 1.0)
        return ways + success * prob.log + failure * prob.log_complement

    def derivatives(
        self, y: Tensor, eta: Tensor, dispersion: float | Tensor = 1.0
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the closed form with logit link; see :meth:`Family.derivatives`."""
        if self._links[0].name != "logit":
            return super().derivatives(y, eta, dispersion)
        success, failure = (part[:, None] for part in self._split(y))
        p, q = torch.sigmoid(eta), torch.sigmoid(-eta)
        hessian = -(success + failure) * p * q
        gradient = success * q - failure * p
        return self.log_density(y, eta), gradient, hessian[:, :, None]

    def third(
        self,
        y: Tensor,
        eta: Tensor,
        direction: Tensor,
        dispersion: float | Tensor = 1.0,
    ) -> Tensor:
        """Return the closed form with logit link; see :meth:`Family.third`."""
        if self._links[0].name != "logit":
            return super().third(y, eta, direction, dispersion)
        success, failure = self._split(y)
        p, q = torch.sigmoid(eta), torch.sigmoid(-eta)
        return -(success + failure)[:, None] * p * q * (q - p) * direction[:, 0]

    def fisher_weight(self, eta: Tensor) -> Tensor:
        """(dp/dη)² / p(1 − p), for one trial."""
        link, point = self._links[0], eta[:, 0]
        log_slope = torch.log(link.derivative(point).abs())
        spread = link.log_inverse(point) + link.log_complement(point)
        return torch.exp(2.0 * log_slope - spread)[:, None]

    def recession(self, y: Tensor, direction: Tensor) -> Tensor | None:
        """Return the change towards y; see :meth:`Family.recession`."""
        if self._links[0].image != (0.0, 1.0):
            return None
        success, failure = self._split(y)
        change = direction[:, 0]
        one_sided = torch.where(success > 0, change, -change)
        return torch.where((success > 0) & (failure > 0), -change.abs(), one_sided)

    def _mean(self, *theta: Tensor) -> Tensor:
        return theta[0]

    def _variance(self, *theta: Tensor) -> Tensor:
        return theta[0] * (1.0 - theta[0])

    def _start(self, y: FloatArray, weight: FloatArray) -> tuple[float, ...]:
        """Share of successes, with half a success and half a failure added."""
        success, failure = self._split(torch.as_tensor(y))
        ones = float(weight @ success.numpy()) + 0.5
        return (ones / (ones + float(weight @ failure.numpy()) + 0.5),)


class Bernoulli(_Binary):
    """Two classes coded 0 and 1; ``prob`` is the probability of 1.

    ℓ = y log p + (1 − y) log(1 − p).

    References
    ----------
    McCullagh and Nelder (1989), doi:10.1007/978-1-4899-3242-6, chapter 4.

    Examples
    --------
    >>> import torch
    >>> from semistruct.families import Bernoulli
    >>> Bernoulli().mean(torch.tensor([[0.0]]))
    tensor([0.5000])
    """

    name = "bernoulli"
    support = "binary"

    def _log_prob(self, y: Tensor, *theta: Theta) -> Tensor:
        (prob,) = theta
        return y * prob.log + (1.0 - y) * prob.log_complement

    def _saturated(self, y: Tensor, *rest: Theta) -> Tensor:
        return torch.zeros_like(y)

    def _frozen(self, *theta: FloatArray) -> Any:
        from scipy import stats

        return stats.bernoulli(*theta)


class Binomial(_Binary):
    """Successes and failures of each row; ``prob`` is the probability of a success.

    The target has two columns, (successes, failures); their sum is the row's number
    of trials. ``mean`` and ``variance`` are those of a single trial. With s successes
    among m: ℓ = log C(m, s) + s log p + (m − s) log(1 − p).

    References
    ----------
    McCullagh and Nelder (1989), doi:10.1007/978-1-4899-3242-6, chapter 4.

    Examples
    --------
    >>> import torch
    >>> from semistruct.families import Binomial
    >>> y = torch.tensor([[1.0, 1.0]])
    >>> Binomial().log_density(y, torch.zeros(1, 1)).exp()
    tensor([0.5000])
    """

    name = "binomial"

    @staticmethod
    def _split(y: Tensor) -> tuple[Tensor, Tensor]:
        return y[..., 0], y[..., 1]

    def check_target(self, y: ArrayLike, owner: str) -> FloatArray:
        """Whole successes and failures (n, 2), at least one trial in each row."""
        target = numeric_target(y, owner, self.name, columns=2)
        bad = ((target < 0) | (target != np.round(target))).any(axis=1)
        need = "(successes, failures), two counts with at least one trial"
        refuse_rows(bad | (target.sum(axis=1) == 0), target, owner, need)
        return target

    def _saturated(self, y: Tensor, *rest: Theta) -> Tensor:
        success, failure = self._split(y)
        share = success / (success + failure)
        log, complement = (s.clamp(min=1e-30).log() for s in (share, 1.0 - share))
        return self._log_prob(y, Theta(share, log, complement))

    def cdf(
        self,
        y: ArrayLike,
        eta: ArrayLike | Tensor,
        dispersion: float | FloatArray = 1.0,
    ) -> FloatArray:
        """Return P(S ≤ s) for y = (s, m − s), (n,)."""
        (prob,) = self._arrays(eta, dispersion)
        success, trials = self._success_and_trials(y)
        return self._mass(trials, prob).cdf(success)

    def cdf_left(
        self,
        y: ArrayLike,
        eta: ArrayLike | Tensor,
        dispersion: float | FloatArray = 1.0,
    ) -> FloatArray:
        """Return P(S < s) for y = (s, m − s), (n,)."""
        (prob,) = self._arrays(eta, dispersion)
        success, trials = self._success_and_trials(y)
        return self._mass(trials, prob).cdf(success - 1.0)

    def quantile(
        self,
        p: ArrayLike,
        eta: ArrayLike | Tensor,
        dispersion: float | FloatArray = 1.0,
        *,
        trials: ArrayLike = 1.0,
    ) -> FloatArray:
        """Return quantiles of the number of successes among ``trials``, (n,)."""
        (prob,) = self._arrays(eta, dispersion)
        return self._mass(np.asarray(trials, float), prob).ppf(np.asarray(p, float))

    def sample(
        self,
        eta: ArrayLike | Tensor,
        generator: np.random.Generator,
        dispersion: float | FloatArray = 1.0,
        *,
        trials: ArrayLike = 1.0,
    ) -> FloatArray:
        """Draw (successes, failures) for each row, (n, 2)."""
        (prob,) = self._arrays(eta, dispersion)
        total = np.broadcast_to(np.asarray(trials, float), prob.shape)
        success = generator.binomial(total.astype(int), prob).astype(float)
        return np.column_stack([success, total - success])

    @staticmethod
    def _success_and_trials(y: ArrayLike) -> tuple[FloatArray, FloatArray]:
        target = np.asarray(y, float)
        return target[..., 0], target.sum(axis=-1)

    @staticmethod
    def _mass(trials: FloatArray, prob: FloatArray) -> Any:
        from scipy import stats

        return stats.binom(trials, prob)
