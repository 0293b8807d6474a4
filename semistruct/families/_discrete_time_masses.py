"""Survival in discrete time by probability masses: softmax over intervals.

Letters: n rows, J intervals, C causes, K = C·J linear predictors, cells: the K pairs of
cause and interval, cause after cause, and "beyond the last cut" as the last.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from semistruct._core.validation import check_number, suggest
from semistruct.exceptions import ParameterError
from semistruct.families._base import FloatArray
from semistruct.families._discrete_time import DiscreteTimeFamily, LogisticHazard
from semistruct.families._parameters import Parameter, Theta


class _Masses(DiscreteTimeFamily):
    """A softmax over cells whose log-odds are linear in the K predictors; abstract.

    Where nothing else is stated the log-odds are the predictors.
    """

    # between linear predictors and log-odds of the cells, both (n, K)

    def _odds(self, eta: Tensor) -> Tensor:
        """Log-odds of the cells against beyond."""
        return eta

    def _pulled(self, slope: Tensor, dim: int) -> Tensor:
        """Take derivatives along an axis from log-odds to linear predictors."""
        return slope

    def _pushed(self, direction: Tensor) -> Tensor:
        """Matrices (n, K, K) of linear predictors as matrices of log-odds."""
        return direction

    # sets of cells

    def _logits(self, eta: Tensor) -> Tensor:
        """Logits of all cells (n, K + 1), the greatest being 0."""
        logits = F.pad(self._odds(eta), (0, 1))
        return logits - logits.detach().amax(dim=1, keepdim=True)

    def _sets(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Cells in which a row's event lies, and those in which it could lie."""
        intervals = torch.arange(self.n_intervals, device=y.device)  # (J,)
        causes = torch.arange(1, self.n_causes + 1, device=y.device)[:, None]  # (C, 1)
        survived, code = y[:, 0, None, None], y[:, 1, None, None]
        here = (intervals == survived) & (causes == code)  # (n, C, J)
        later = (intervals >= survived) & (code == 0)
        found = (here | later).flatten(1)
        beyond = y[:, 1:2] == 0
        if y.shape[1] == 3:
            open_ = (intervals >= y[:, 2, None, None]).expand(here.shape).flatten(1)
        else:
            open_ = torch.ones_like(found)
        possible = torch.cat([open_, torch.ones_like(beyond)], dim=1)
        return torch.cat([found, beyond], dim=1), possible

    def _log_density(self, y: Tensor, eta: Tensor) -> Tensor:
        logits = self._logits(eta)
        found, possible = (
            torch.logsumexp(torch.where(cells, logits, -torch.inf), dim=1)
            for cells in self._sets(y)
        )
        return found - possible

    def _shares(self, y: Tensor, eta: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities (n, K) of the cells, given either set of :meth:`_sets`."""
        logits = self._logits(eta)
        found, possible = (
            torch.softmax(torch.where(cells, logits, -torch.inf), dim=1)[:, :-1]
            for cells in self._sets(y)
        )
        return found, possible

    def _log_prob(self, y: Tensor, *theta: Theta) -> Tensor:
        blank = torch.zeros(len(y), dtype=theta[0].value.dtype, device=y.device)
        return self._log_density(y, torch.stack([t.value + blank for t in theta], 1))

    def derivatives(
        self, y: Tensor, eta: Tensor, dispersion: float | Tensor = 1.0
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the closed form; see :meth:`Family.derivatives`."""
        found, possible = self._shares(y, eta)
        gradient = found - possible
        hessian = possible[:, :, None] * possible[:, None, :]
        hessian.addcmul_(found[:, :, None], found[:, None, :], value=-1)
        torch.diagonal(hessian, dim1=1, dim2=2).add_(gradient)
        hessian = self._pulled(self._pulled(hessian, 1), 2)
        return self._log_density(y, eta), self._pulled(gradient, 1), hessian

    def third(
        self,
        y: Tensor,
        eta: Tensor,
        direction: Tensor,
        dispersion: float | Tensor = 1.0,
    ) -> Tensor:
        """Return the closed form; see :meth:`Family.third`."""
        matrix = self._pushed(direction)
        found, possible = (_third_of_log_sum(p, matrix) for p in self._shares(y, eta))
        return self._pulled(found - possible, 1)

    def recession(self, y: Tensor, direction: Tensor) -> Tensor:
        """Return the change of the greatest logits; see :meth:`Family.recession`."""
        logits = F.pad(self._odds(direction), (0, 1))
        found, possible = (
            torch.where(cells, logits, -torch.inf).amax(dim=1)
            for cells in self._sets(y)
        )
        return found - possible

    # starts and curves

    def _from_hazards(self, hazards: FloatArray) -> list[float]:
        left = np.cumprod(1.0 - hazards.sum(axis=0))  # (J,)
        cells = hazards * np.r_[1.0, left[:-1]]
        return self._from_odds(np.log(cells) - np.log(left[-1]))

    def _from_odds(self, odds: FloatArray) -> list[float]:
        """Return parameters of log-odds (C, J)."""
        return [float(value) for value in odds.ravel()]

    def _mean(self, *theta: Tensor) -> Tensor:
        return torch.softmax(self._logits(torch.stack(theta, dim=-1)), dim=1)

    def _log_masses(self, eta: Tensor) -> Tensor:
        """Log-masses of the intervals, beyond as the last, (n, J + 1)."""
        cells = torch.log_softmax(self._logits(eta), dim=1)
        inner = cells[:, :-1].unflatten(1, (self.n_causes, self.n_intervals))
        return torch.cat([torch.logsumexp(inner, dim=1), cells[:, -1:]], dim=1)

    def log_survival(self, eta: Tensor) -> Tensor:
        """Return the log-sum of the masses after interval j, (n, J)."""
        return _log_tails(self._log_masses(eta))[:, 1:]

    def cumulative_incidence(self, eta: Tensor) -> Tensor:
        """Return sums of the masses up to interval j, (C, n, J)."""
        cells = torch.softmax(self._logits(eta), dim=1)[:, :-1]
        inner = cells.unflatten(1, (self.n_causes, self.n_intervals))
        return torch.cumsum(inner, dim=2).transpose(0, 1)

    def hazard(self, eta: Tensor) -> Tensor:
        """Return the mass of interval j over that of j and all later, (n, J)."""
        masses = self._log_masses(eta)
        return torch.exp(masses - _log_tails(masses))[:, :-1]

    def pmf(self, eta: Tensor) -> Tensor:
        """Return the mass of interval j, (n, J)."""
        return torch.exp(self._log_masses(eta))[:, :-1]


class PMF(_Masses):
    """Probabilities of C causes in J intervals: a softmax with "beyond" as reference.

    P(cause c in interval j) = e^{η_cj} / (1 + Σ e^{η}). An event has the log-mass of
    its cell; a censored row the log of what is left after the s intervals it has
    survived; with left truncation both are divided by S(c_e). All are differences of
    two log-sums, so nothing is clamped. Derivatives are in closed form.

    Parameters
    ----------
    n_intervals : int
        J ≥ 1.
    n_causes : int, default 1
        C ≥ 1 competing causes, coded 1 … C.
    formulas
        See :class:`DiscreteTimeFamily`.

    References
    ----------
    Lee et al. (2018), doi:10.1609/aaai.v32i1.11842; Kvamme and Borgan (2021),
    doi:10.1007/s10985-021-09532-6.

    Examples
    --------
    >>> import torch
    >>> from semistruct.families import PMF
    >>> PMF(3).survival(torch.zeros(1, 3))
    tensor([[0.7500, 0.5000, 0.2500]])
    >>> PMF(2, n_causes=2).cumulative_incidence(torch.zeros(1, 4)).shape
    torch.Size([2, 1, 2])
    """

    name = "pmf"

    def __init__(self, n_intervals: int, n_causes: int = 1, **options: Any) -> None:
        check_number(n_causes, parameter="n_causes", owner="PMF", low=1, integer=True)
        self.n_causes = int(n_causes)
        super().__init__(n_intervals, **options)

    def _declare(self) -> tuple[Parameter, ...]:
        numbers = range(1, self.n_intervals + 1)
        names = (f"logit_{j}" for j in numbers)
        if self.n_causes > 1:
            causes = range(1, self.n_causes + 1)
            names = (f"logit_{c}_{j}" for c in causes for j in numbers)
        return tuple(Parameter(name, "real", "identity", 0.0) for name in names)

    def _constructor_state(self) -> dict[str, Any]:
        return {"n_intervals": self.n_intervals, "n_causes": self.n_causes}


class MTLR(_Masses):
    """Multi-task logistic regression: log-odds of interval j are Σ_{k ≥ j} η_k.

    The k-th linear predictor is the effect of the event's being at most c_k, so a
    coefficient that is smooth in k gives curves that are smooth in time.

    Parameters
    ----------
    n_intervals : int
        J ≥ 1.
    formulas
        See :class:`DiscreteTimeFamily`.

    References
    ----------
    Yu, Greiner, Lin and Baracos (2011), Advances in Neural Information Processing
    Systems 24; Fotso (2018), arXiv:1801.05512.

    Examples
    --------
    >>> import torch
    >>> from semistruct.families import MTLR
    >>> MTLR(3).survival(torch.zeros(1, 3))
    tensor([[0.7500, 0.5000, 0.2500]])
    """

    name = "mtlr"

    def _declare(self) -> tuple[Parameter, ...]:
        numbers = range(1, self.n_intervals + 1)
        return tuple(Parameter(f"step_{j}", "real", "identity", 0.0) for j in numbers)

    def _odds(self, eta: Tensor) -> Tensor:
        return _from_the_end(eta, 1)

    def _pulled(self, slope: Tensor, dim: int) -> Tensor:
        return torch.cumsum(slope, dim=dim)

    def _pushed(self, direction: Tensor) -> Tensor:
        return _from_the_end(_from_the_end(direction, 1), 2)

    def _from_odds(self, odds: FloatArray) -> list[float]:
        return [float(value) for value in -np.diff(np.r_[odds[0], 0.0])]


DISCRETE_TIME: dict[str, type[DiscreteTimeFamily]] = {
    family.name: family for family in (LogisticHazard, PMF, MTLR)
}


def get_discrete_time(
    name: str | DiscreteTimeFamily, **options: Any
) -> DiscreteTimeFamily:
    """Return a discrete-time family by name, or the given family itself.

    Parameters
    ----------
    name : str or DiscreteTimeFamily
        One of "logistic_hazard", "pmf", "mtlr", or an object.
    **options
        ``n_intervals``; ``link`` of "logistic_hazard"; ``n_causes`` of "pmf".

    Raises
    ------
    ParameterError
        When the name is unknown, or options do not fit the family.

    Examples
    --------
    >>> from semistruct.families import get_discrete_time
    >>> family = get_discrete_time("pmf", n_intervals=10, n_causes=2)
    >>> get_discrete_time(**family.to_state()) == family
    True
    """
    if isinstance(name, DiscreteTimeFamily) and not options:
        return name
    if not isinstance(name, str) or name not in DISCRETE_TIME:
        raise ParameterError(
            parameter="name",
            owner="get_discrete_time",
            allowed="one of "
            + ", ".join(map(repr, sorted(DISCRETE_TIME)))
            + ", or an object without options",
            given=name,
            hint=suggest(str(name), DISCRETE_TIME),
        )
    try:
        return DISCRETE_TIME[name](**options)
    except TypeError as error:
        raise ParameterError(
            parameter="options",
            owner=f"family {name!r}",
            allowed="the options of its constructor",
            given=options,
            hint=str(error),
        ) from error


def _third_of_log_sum(p: Tensor, direction: Tensor) -> Tensor:
    """∂/∂η tr(H ∇² log Σ e^η), (n, K), for shares p (n, K) and matrices (n, K, K)."""
    slope = torch.diagonal(direction, dim1=1, dim2=2)
    slope = slope - 2.0 * (direction @ p[:, :, None])[:, :, 0]
    return p * (slope - (p * slope).sum(dim=1, keepdim=True))


def _from_the_end(values: Tensor, dim: int) -> Tensor:
    """Cumulative sums from the last entry on."""
    return torch.cumsum(values.flip(dim), dim=dim).flip(dim)


def _log_tails(masses: Tensor) -> Tensor:
    """Log of the sum from each entry to the last, (n, J + 1)."""
    return torch.logcumsumexp(masses.flip(1), dim=1).flip(1)
