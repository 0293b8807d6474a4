"""The weighted partial likelihood of the subdistribution hazard, in O((n + m) p²).

Letters as in ``_fine_gray_sets``; r_i = w_i e^{η_i}, p coefficients, b_s the mean of x
over the weighted risk set of pseudo-step s, ω_s its weight.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from semistruct.solvers._cox_likelihood import SMALLEST_RISK
from semistruct.solvers._fine_gray_sets import SubdistributionSets
from semistruct.solvers._likelihood import Likelihood
from semistruct.solvers._linalg import row_quadratic, weighted_gram

FloatArray = NDArray[np.float64]


class State(NamedTuple):
    """What one β determines; risks are scaled by e^{−shift} within strata."""

    beta: FloatArray
    shift: FloatArray  # (S,)
    risk: FloatArray  # r, (n,)
    total: FloatArray  # S0, (s,)
    value: float


class FineGrayLikelihood(Likelihood):
    """ℓ = Σ_deaths w_i η_i − Σ_s ω_s log S0_s, rows with another event thinned in S0.

    Parameters
    ----------
    design : ndarray of shape (n_all, p)
    subsets : SubdistributionSets
    offset : ndarray of shape (n_all,)
    """

    def __init__(
        self, design: FloatArray, subsets: SubdistributionSets, offset: FloatArray
    ) -> None:
        sets = subsets.sets
        self.subsets, self.sets = subsets, sets
        self.n_coefficients = design.shape[1]
        self.n_effective = float(sets.weight.sum())
        rows = design[sets.rows]
        size = np.abs(rows).max(axis=0, initial=0.0)
        place = (sets.stratum, np.arange(len(rows)))
        shape = (len(sets.labels), len(rows))
        mass = sparse.csr_array((sets.weight, place), shape)
        count = mass.sum(axis=1)
        self.means_of_stratum = (mass @ rows) / np.where(count > 0, count, 1.0)[:, None]
        rows -= self.means_of_stratum[sets.stratum]  # sums of squares do not cancel
        spread = np.abs(rows).max(axis=0, initial=0.0)
        rows[:, spread <= 1e-12 * size] = 0.0  # constant within strata
        self.design = rows
        self.offset = offset[sets.rows]
        self._deaths = np.zeros(len(sets.rows))
        self._deaths[sets.dead] = sets.weight[sets.dead]
        self._state: State | None = None

    def start(self) -> FloatArray:
        """Zero."""
        return np.zeros(self.n_coefficients)

    def value(self, beta: FloatArray) -> float:
        """Log partial likelihood."""
        return self.at(beta).value

    def derivatives(self, beta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Gradient X'(wδ − γ) and information X' diag(γ) X − B' diag(ω) B."""
        expected = self.expected(beta)
        means = self.means(beta)
        gradient = self.design.T @ (self._deaths - expected)
        information = weighted_gram(self.design, expected)
        information -= weighted_gram(means, self.sets.step_weight)
        return gradient, information

    def trace_gradient(self, beta: FloatArray, inner: FloatArray) -> FloatArray:
        """∂/∂β tr{M I(β)}, as that of the Cox likelihood with these risk sets."""
        state, sets, over = self.at(beta), self.sets, self.subsets.over_exposure
        means = self.means(beta)
        quadratic = row_quadratic(self.design, inner, self.design)
        average = self._averages(state, quadratic[:, None])[:, 0]
        spread = average - 2.0 * row_quadratic(means, inner, means)
        rate = sets.step_weight / state.total
        slope = over(rate) * quadratic - over(rate * spread)
        pulled = over(rate[:, None] * (means @ inner))
        slope -= 2.0 * np.einsum("ij,ij->i", self.design, pulled)
        return self.design.T @ (state.risk * slope)

    def reach(self, direction: FloatArray) -> float:
        """Largest change of a (centred) linear predictor."""
        return float(np.abs(self.design @ direction).max(initial=0.0))

    def recedes(self, beta: FloatArray, direction: FloatArray) -> bool:
        """Whether at each event time the dead lead all who are at risk (monotone)."""
        sets = self.sets
        along = self.design @ direction
        low = along[sets.dead] + 1e-5 * np.abs(along).max(initial=0.0)
        bar = np.full(sets.n_times, np.inf)
        np.minimum.at(bar, sets.last[sets.dead], low)
        for i in np.flatnonzero(along > bar.min()):  # rows that could exceed a bar
            if (along[i] > bar[sets.first[i] : sets.last[i] + 1]).any():
                return False
        return True

    def at(self, beta: FloatArray) -> State:
        """Risks and risk sums at β; the last one is remembered."""
        if self._state is not None and np.array_equal(self._state.beta, beta):
            return self._state
        sets = self.sets
        eta = self.offset + self.design @ beta
        shift = sets.shift(eta)
        with np.errstate(over="ignore", invalid="ignore"):
            risk = sets.weight * np.exp(eta - shift[sets.stratum])
        total = self.subsets.sums(risk)[sets.step_time]
        if sets.step_share.any():
            total = total - sets.step_share * self.subsets.dying(risk)[sets.step_time]
        value = -np.inf  # out of the range of floats: the step is refused
        if (total > SMALLEST_RISK).all():
            level = np.repeat(shift, np.diff(sets.bounds))[sets.step_time]
            value = float(self._deaths @ eta)
            value -= float(sets.step_weight @ (np.log(total) + level))
        self._state = State(beta.copy(), shift, risk, total, value)
        return self._state

    def expected(self, beta: FloatArray) -> FloatArray:
        """γ (n,), the diagonal weight of the information."""
        state = self.at(beta)
        over = self.subsets.over_exposure(self.sets.step_weight / state.total)
        expected: FloatArray = np.maximum(state.risk * over, 0.0)
        return expected

    def means(self, beta: FloatArray) -> FloatArray:
        """b_s, (s, p)."""
        return self._averages(self.at(beta), self.design)

    def _averages(self, state: State, values: FloatArray) -> FloatArray:
        """Risk-weighted means of ``values`` over each risk set, (s, …)."""
        sets = self.sets
        summed = self.subsets.sums(state.risk, values)[sets.step_time]
        if sets.step_share.any():
            dead = self.subsets.dying(state.risk, values)[sets.step_time]
            summed = summed - sets.step_share[:, None] * dead
        average: FloatArray = summed / state.total[:, None]
        return average
