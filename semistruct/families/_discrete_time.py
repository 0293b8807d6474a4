"""Survival in discrete time: what the families share, and the hazard of each interval.

Letters: n rows, J intervals, C causes, K linear predictors. A target has the columns
s (intervals survived, 0 … J), event code (0 censored, 1 … C) and, with left truncation,
e (intervals that had begun before the row was at risk); see ``TimeGrid.target``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from semistruct._core.validation import check_choice, check_number
from semistruct.exceptions import ParameterError, TargetError
from semistruct.families._base import Family, FloatArray
from semistruct.families._parameters import Parameter, Theta
from semistruct.families._special import log1mexp, softplus
from semistruct.families._targets import numeric_target, refuse_rows


def interval_indicators(y: Tensor, n_intervals: int) -> tuple[Tensor, Tensor]:
    """Say which intervals a row has survived while at risk, and where it failed.

    Parameters
    ----------
    y : Tensor of shape (n, 2) or (n, 3)
        Intervals survived, event code, intervals begun before the row was at risk.
    n_intervals : int
        J.

    Returns
    -------
    survived, failed : Tensor of shape (n, J) of bool
        ``failed`` has at most one True in a row.

    Examples
    --------
    >>> import torch
    >>> from semistruct.families import interval_indicators
    >>> survived, failed = interval_indicators(torch.tensor([[1.0, 1.0]]), 3)
    >>> survived.int().tolist(), failed.int().tolist()
    ([[1, 0, 0]], [[0, 1, 0]])
    """
    intervals = torch.arange(n_intervals, device=y.device)  # (J,)
    survived = intervals < y[:, :1]
    if y.shape[1] == 3:
        survived = survived & (intervals >= y[:, 2:])
    return survived, (intervals == y[:, :1]) & (y[:, 1:2] > 0)


class DiscreteTimeFamily(Family, ABC):
    """Time of an event in one of J intervals, or beyond them; abstract.

    All linear predictors have a formula; there are no other parameters. The response
    of ``mean`` are the probabilities of all cells, (n, C·J + 1): the intervals of
    cause 1, of cause 2, …, and "beyond the last cut". ``cdf`` and ``quantile`` are
    about the interval of the event whatever its cause, 0 … J − 1, and J for beyond.

    Parameters
    ----------
    n_intervals : int
        J ≥ 1.
    formulas
        All parameters or None; see :class:`Family`.

    Attributes
    ----------
    n_intervals, n_causes : int
        J and C.
    """

    discrete: ClassVar[bool] = True
    n_intervals: int
    n_causes: int = 1

    def __init__(self, n_intervals: int, **options: Any) -> None:
        owner = type(self).__name__
        check_number(
            n_intervals, parameter="n_intervals", owner=owner, low=1, integer=True
        )
        self.n_intervals = int(n_intervals)
        self.declared = self._declare()
        super().__init__(**options)
        if self.parameters != self.all_parameters or options.get("links"):
            raise ParameterError(
                parameter="formulas" if not options.get("links") else "links",
                owner=owner,
                allowed="None: all intervals have a formula and the same link",
                given=options.get("links") or self.parameters,
            )

    @abstractmethod
    def _declare(self) -> tuple[Parameter, ...]:
        """Return the parameters of J intervals."""

    # what a family states of its linear predictors

    @abstractmethod
    def log_survival(self, eta: Tensor) -> Tensor:
        """Return log P(T > c_j), (n, J), for linear predictors (n, K)."""

    @abstractmethod
    def cumulative_incidence(self, eta: Tensor) -> Tensor:
        """Return P(T ≤ c_j, cause c), (C, n, J), for linear predictors (n, K)."""

    @abstractmethod
    def hazard(self, eta: Tensor) -> Tensor:
        """Return P(T ≤ c_j | T > c_{j−1}), (n, J), of all causes together."""

    @abstractmethod
    def pmf(self, eta: Tensor) -> Tensor:
        """Return P(c_{j−1} < T ≤ c_j), (n, J), of all causes together."""

    @abstractmethod
    def _log_density(self, y: Tensor, eta: Tensor) -> Tensor:
        """Log-likelihood of the rows, (n,)."""

    @abstractmethod
    def _from_hazards(self, hazards: FloatArray) -> list[float]:
        """Return parameters (K values) of cause-specific hazards (C, J)."""

    def survival(self, eta: Tensor) -> Tensor:
        """Return P(T > c_j), (n, J), for linear predictors (n, K)."""
        return torch.exp(self.log_survival(eta))

    def log_density_shapes(
        self,
        y: Tensor,
        eta: Tensor,
        shapes: Tensor,
        dispersion: float | Tensor = 1.0,
    ) -> Tensor:
        """Return log-likelihoods; see :meth:`Family.log_density`."""
        return self._log_density(y, eta)

    # the contract of a family

    def _constructor_state(self) -> dict[str, Any]:
        return {"n_intervals": self.n_intervals}

    def _default_formulas(self) -> tuple[str, ...]:
        return self.all_parameters

    def check_target(self, y: ArrayLike, owner: str) -> FloatArray:
        """Return y (n, 2) or (n, 3) as float64, or raise ``TargetError``."""
        raw = np.asarray(y)
        late = raw.ndim == 2 and raw.shape[1] == 3
        target = numeric_target(raw, owner, self.name, columns=3 if late else 2)
        J, C = self.n_intervals, self.n_causes
        survived, code = target[:, 0], target[:, 1]
        whole = (target != np.round(target)) | (target < 0)
        refuse_rows(whole.any(axis=1), target, owner, "whole numbers from 0 on")
        refuse_rows(code > C, target, owner, f"(survived, event code 0 to {C})")
        bad = survived > np.where(code > 0, J - 1, J)
        refuse_rows(
            bad, target, owner, f"at most {J} intervals survived ({J - 1} for events)"
        )
        if late:
            need = "at least as many intervals survived as begun before entry"
            refuse_rows(survived < target[:, 2], target, owner, need)
        if not len(target):
            raise TargetError(f"{owner}: y has no rows.")
        return target

    def saturated(self, y: Tensor) -> Tensor:
        """Zero in each row."""
        return torch.zeros_like(y[:, 0])

    def _variance(self, *theta: Tensor) -> Tensor:
        p = self._mean(*theta)
        return p * (1.0 - p)

    def _start(self, y: FloatArray, weight: FloatArray) -> Sequence[float]:
        """Hazards of the life table, with half an event added to each interval."""
        survived, failed = (
            part.numpy()
            for part in interval_indicators(torch.from_numpy(y), self.n_intervals)
        )
        at_risk = weight @ (survived | failed) + 1.0  # (J,)
        causes = np.arange(1, self.n_causes + 1)
        mine = weight * (y[:, 1] == causes[:, None])  # (C, n)
        return self._from_hazards((mine @ failed + 0.5 / len(causes)) / at_risk)

    def _by_interval(self, *theta: FloatArray) -> FloatArray:
        """P(interval ≤ j), (n, J)."""
        cells = self._mean(*(torch.as_tensor(t) for t in theta)).numpy()
        shape = (-1, self.n_causes, self.n_intervals)
        found: FloatArray = np.cumsum(cells[:, :-1].reshape(shape).sum(axis=1), axis=1)
        return found

    def _cdf(self, y: FloatArray, *theta: FloatArray) -> FloatArray:
        total = np.pad(self._by_interval(*theta), ((0, 0), (1, 1)))
        total[:, -1] = 1.0
        at = np.clip(np.floor(y).astype(int) + 1, 0, self.n_intervals + 1)
        return total[np.arange(len(total)), at]

    def _quantile(self, p: FloatArray, *theta: FloatArray) -> FloatArray:
        below = self._by_interval(*theta) < p[..., None]
        return below.sum(axis=-1).astype(float)

    def _draw(self, generator: np.random.Generator, *theta: FloatArray) -> FloatArray:
        """Draw targets (n, 2), censored only beyond the last cut."""
        cells = self._mean(*(torch.as_tensor(t) for t in theta)).numpy()
        level = generator.uniform(size=(len(cells), 1))
        cell = (np.cumsum(cells, axis=1)[:, :-1] < level).sum(axis=1)
        cause, interval = np.divmod(cell, self.n_intervals)
        beyond = cause == self.n_causes
        survived = np.where(beyond, self.n_intervals, interval)
        return np.column_stack([survived, np.where(beyond, 0, cause + 1)]).astype(float)


class LogisticHazard(DiscreteTimeFamily):
    """J intervals, each with the hazard h_j = g⁻¹(η_j) of an event in it.

    ℓ = Σ_{e ≤ j < s} log(1 − h_j) + 1{event} log h_s for a row that has survived s
    intervals and was at risk from interval e on. Derivatives are in closed form, and
    the Hessian in η is diagonal.

    Parameters
    ----------
    n_intervals : int
        J ≥ 1.
    link : {"logit", "cloglog"}, default "logit"
        "cloglog" is the proportional hazards model seen in intervals: a coefficient is
        a log hazard ratio within the interval.
    formulas
        See :class:`DiscreteTimeFamily`.

    References
    ----------
    Gensheimer and Narasimhan (2019), doi:10.7717/peerj.6257; Kvamme and Borgan (2021),
    doi:10.1007/s10985-021-09532-6; for the link, Prentice and Gloeckler (1978),
    doi:10.2307/2529588.

    Examples
    --------
    >>> import torch
    >>> from semistruct.families import LogisticHazard
    >>> LogisticHazard(3).survival(torch.zeros(1, 3))
    tensor([[0.5000, 0.2500, 0.1250]])
    """

    name = "logistic_hazard"

    def __init__(self, n_intervals: int, link: str = "logit", **options: Any) -> None:
        check_choice(
            link, ("logit", "cloglog"), parameter="link", owner="LogisticHazard"
        )
        self.link = link
        super().__init__(n_intervals, **options)

    def _declare(self) -> tuple[Parameter, ...]:
        numbers = range(1, self.n_intervals + 1)
        return tuple(Parameter(f"hazard_{j}", "unit", self.link, 0.5) for j in numbers)

    def _constructor_state(self) -> dict[str, Any]:
        return {"n_intervals": self.n_intervals, "link": self.link}

    def _logs(self, eta: Tensor) -> tuple[Tensor, Tensor]:
        """Log h and log(1 − h)."""
        if self.link == "logit":
            return -softplus(-eta), -softplus(eta)
        rate = _rate(eta)
        # log h = η − e^η/2 + e^{2η}/24 − …
        low = eta < -6.0
        small = torch.where(low, rate, 0.0)
        series = eta - 0.5 * small + small * small / 24.0
        return torch.where(low, series, log1mexp(torch.where(low, 1.0, rate))), -rate

    def _score(self, y: Tensor, log_h: Tensor, log_q: Tensor) -> Tensor:
        survived, failed = interval_indicators(y, self.n_intervals)
        parts = torch.where(survived, log_q, torch.where(failed, log_h, 0.0))
        return parts.sum(dim=1)

    def _log_density(self, y: Tensor, eta: Tensor) -> Tensor:
        return self._score(y, *self._logs(eta))

    def _log_prob(self, y: Tensor, *theta: Theta) -> Tensor:
        blank = torch.zeros(len(y), dtype=theta[0].value.dtype, device=y.device)
        log_h = torch.stack([t.log + blank for t in theta], dim=1)
        log_q = torch.stack([t.log_complement + blank for t in theta], dim=1)
        return self._score(y, log_h, log_q)

    def derivatives(
        self, y: Tensor, eta: Tensor, dispersion: float | Tensor = 1.0
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the closed form; see :meth:`Family.derivatives`."""
        first, second, _ = self._slopes(y, eta)
        return self._log_density(y, eta), first, torch.diag_embed(second)

    def third(
        self,
        y: Tensor,
        eta: Tensor,
        direction: Tensor,
        dispersion: float | Tensor = 1.0,
    ) -> Tensor:
        """Return the closed form; see :meth:`Family.third`."""
        return self._slopes(y, eta)[2] * torch.diagonal(direction, dim1=1, dim2=2)

    def _slopes(self, y: Tensor, eta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """First three derivatives of ℓ in each η_j, (n, J) each."""
        survived, failed = interval_indicators(y, self.n_intervals)
        if self.link == "logit":
            at_risk = (survived | failed).to(eta.dtype)
            h, q = torch.sigmoid(eta), torch.sigmoid(-eta)
            first = torch.where(failed, q, torch.where(survived, -h, 0.0))
            second = -at_risk * h * q
            return first, second, second * (q - h)
        rate = _rate(eta)
        # r = a / (e^a − 1), the slope of log h in η, at a = e^η
        slope = torch.where(rate > 0, rate / torch.expm1(rate), 1.0)
        rest = 1.0 - rate - slope
        # far out r is 0 faster than a is ∞
        flat = slope == 0
        bend = torch.where(flat, 0.0, slope * rest)
        turn = torch.where(flat, 0.0, bend * (rest - slope) - rate * slope)

        def placed(event: Tensor) -> Tensor:
            return torch.where(failed, event, torch.where(survived, -rate, 0.0))

        return placed(slope), placed(bend), placed(turn)

    def recession(self, y: Tensor, direction: Tensor) -> Tensor:
        """Return the sum over intervals; see :meth:`Family.recession`."""
        survived, failed = interval_indicators(y, self.n_intervals)
        up, down = direction.clamp(min=0.0), direction.clamp(max=0.0)
        return torch.where(failed, down, torch.where(survived, -up, 0.0)).sum(dim=1)

    def _from_hazards(self, hazards: FloatArray) -> list[float]:
        return [float(h) for h in hazards[0]]

    def _mean(self, *theta: Tensor) -> Tensor:
        h = torch.stack(theta, dim=-1)  # (n, J)
        left = torch.cumprod(1.0 - h, dim=1)
        before = torch.cat([torch.ones_like(left[:, :1]), left[:, :-1]], dim=1)
        return torch.cat([h * before, left[:, -1:]], dim=1)

    def log_survival(self, eta: Tensor) -> Tensor:
        """Return Σ_{k ≤ j} log(1 − h_k), (n, J)."""
        return torch.cumsum(self._logs(eta)[1], dim=1)

    def cumulative_incidence(self, eta: Tensor) -> Tensor:
        """Return 1 − S(c_j), (1, n, J)."""
        return -torch.expm1(self.log_survival(eta))[None]

    def hazard(self, eta: Tensor) -> Tensor:
        """Return h_j, (n, J)."""
        return torch.exp(self._logs(eta)[0])

    def pmf(self, eta: Tensor) -> Tensor:
        """Return h_j Π_{k < j} (1 − h_k), (n, J)."""
        log_h, log_q = self._logs(eta)
        return torch.exp(log_h + torch.cumsum(log_q, dim=1) - log_q)


def _rate(eta: Tensor) -> Tensor:
    """e^η, at most e^80, so that an interval without risk has no infinite slope."""
    return torch.exp(eta.clamp(max=80.0))
