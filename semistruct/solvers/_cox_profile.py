"""Profiles of the (penalised) partial likelihood."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semistruct._core.validation import check_number
from semistruct.exceptions import DataError
from semistruct.solvers._checks import as_matrix, as_offset
from semistruct.solvers._cox_firth import FirthCoxLikelihood
from semistruct.solvers._cox_likelihood import CoxLikelihood
from semistruct.solvers._likelihood import Likelihood
from semistruct.solvers._newton import maximise
from semistruct.solvers._penalty import Penalty
from semistruct.solvers._risk_sets import RiskSets

FloatArray = NDArray[np.float64]


def cox_profile(
    sets: RiskSets,
    design: ArrayLike,
    index: int,
    *,
    offset: ArrayLike | None = None,
    firth: bool = False,
) -> Callable[[float], float]:
    """Give the profile of one coefficient: the likelihood, maximised over the others.

    Parameters
    ----------
    sets : RiskSets
        Of n rows, see :func:`risk_sets`.
    design : array-like of shape (n, p)
        No intercept column.
    index : int
        Which coefficient, 0 … p − 1.
    offset : array-like of shape (n,), optional
        Known part of the log relative hazard.
    firth : bool, default False
        Whether ½ log|I(β)| is part of it, I that of all coefficients.

    Returns
    -------
    callable
        From a value of the coefficient to the log-likelihood; −∞ where it is out of
        the range of floats.

    Raises
    ------
    DataError
        When the numbers of rows disagree.
    ParameterError
        When there is no such coefficient.

    References
    ----------
    Heinze and Schemper (2001), Biometrics 57, 114-119,
    doi:10.1111/j.0006-341X.2001.00114.x

    Examples
    --------
    >>> from semistruct.solvers import cox_profile, risk_sets
    >>> sets = risk_sets([1.0, 2.0, 3.0], [1, 1, 0])
    >>> profile = cox_profile(sets, [[0.0], [1.0], [0.0]], 0)
    >>> round(profile(0.0), 4)  # −log 3 − log 2
    -1.7918
    """
    x = as_matrix(design)
    n, p = x.shape
    if n != sets.n_rows:
        raise DataError(
            f"cox_profile: the design has {n} rows, the times {sets.n_rows}."
        )
    check_number(
        index,
        parameter="index",
        owner="cox_profile",
        low=0,
        high=p - 1,
        integer=True,
    )
    kind = FirthCoxLikelihood if firth else CoxLikelihood
    whole = kind(x, sets, as_offset(offset, n, 1)[:, 0])
    if p == 1:
        return lambda value: whole.value(np.array([value]))
    none = Penalty(np.zeros((p - 1, p - 1)), np.zeros((0, p - 1)))
    last = np.zeros(p - 1)

    def profile(value: float) -> float:
        nonlocal last
        held = _HeldCoefficient(whole, index, value)
        if not np.isfinite(held.value(last)):
            last = np.zeros(p - 1)
            if not np.isfinite(held.value(last)):
                return -np.inf
        found = maximise(held, last, none)
        last = found.beta
        return found.value

    return profile


class _HeldCoefficient(Likelihood):
    """A likelihood of the other coefficients, where one has a given value."""

    def __init__(self, whole: Likelihood, index: int, value: float) -> None:
        self.whole = whole
        self.n_coefficients = whole.n_coefficients - 1
        self.n_effective = whole.n_effective
        self._free = np.delete(np.arange(whole.n_coefficients), index)
        self._base = np.zeros(whole.n_coefficients)
        self._base[index] = value

    def start(self) -> FloatArray:
        return np.zeros(self.n_coefficients)

    def value(self, beta: FloatArray) -> float:
        return self.whole.value(self._with(beta))

    def derivatives(self, beta: FloatArray) -> tuple[FloatArray, FloatArray]:
        gradient, information = self.whole.derivatives(self._with(beta))
        return gradient[self._free], information[np.ix_(self._free, self._free)]

    def trace_gradient(self, beta: FloatArray, inner: FloatArray) -> FloatArray:
        size = self.whole.n_coefficients
        middle = np.zeros((size, size))
        middle[np.ix_(self._free, self._free)] = inner
        return self.whole.trace_gradient(self._with(beta), middle)[self._free]

    def reach(self, direction: FloatArray) -> float:
        return self.whole.reach(self._along(direction))

    def recedes(self, beta: FloatArray, direction: FloatArray) -> bool:
        return self.whole.recedes(self._with(beta), self._along(direction))

    def _with(self, beta: FloatArray) -> FloatArray:
        full = self._base.copy()
        full[self._free] = beta
        return full

    def _along(self, direction: FloatArray) -> FloatArray:
        full = np.zeros(len(self._base))
        full[self._free] = direction
        return full
