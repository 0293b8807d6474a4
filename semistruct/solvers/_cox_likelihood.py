"""The Cox partial likelihood with exact derivatives in O((n + m) p²).

Letters: n rows at risk, m distinct event times, s pseudo-steps with weights ω (see
``_risk_sets``), r_i = w_i e^{η_i}, p coefficients, b_s the mean of x over the risk set
of pseudo-step s.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semistruct.solvers._likelihood import Likelihood
from semistruct.solvers._linalg import row_quadratic, weighted_gram
from semistruct.solvers._risk_sets import RiskSets

FloatArray = NDArray[np.float64]


# least risk sum, the largest risk of a stratum being 1: a linear predictor that spreads
# over 460 belongs to a step that runs away
SMALLEST_RISK = 1e-200


@dataclass
class _State:
    """What one β determines.

    Attributes
    ----------
    risk : ndarray of shape (n,)
        r_i, scaled by e^{−shift} within strata.
    total : ndarray of shape (s,)
        S0: the risk sum of each pseudo-step, on the same scale.
    value : float
        Log partial likelihood.
    """

    beta: FloatArray
    risk: FloatArray
    total: FloatArray
    value: float


class CoxLikelihood(Likelihood):
    """Log partial likelihood, after Efron or Breslow.

    ℓ = Σ_deaths w_i η_i − Σ_s ω_s log S0_s. Columns are centred within strata, which
    leaves ℓ as it is and keeps the sums of squares from cancelling.

    Parameters
    ----------
    design : ndarray of shape (n_all, p)
    sets : RiskSets
    offset : ndarray of shape (n_all,)
    """

    def __init__(self, design: FloatArray, sets: RiskSets, offset: FloatArray) -> None:
        self.sets = sets
        self.n_coefficients = design.shape[1]
        self.n_effective = float(sets.weight.sum())
        self.design = self._centre(design[sets.rows], sets)
        self.offset = offset[sets.rows]
        self._deaths = np.zeros(len(sets.rows))
        self._deaths[sets.dead] = sets.weight[sets.dead]
        self._state: _State | None = None

    @staticmethod
    def _centre(design: FloatArray, sets: RiskSets) -> FloatArray:
        count = len(sets.labels)
        mass = np.bincount(sets.stratum, weights=sets.weight, minlength=count)
        means = np.empty((count, design.shape[1]))
        for j in range(design.shape[1]):
            sums = np.bincount(
                sets.stratum, weights=sets.weight * design[:, j], minlength=count
            )
            means[:, j] = sums / np.where(mass > 0, mass, 1.0)
        centred: FloatArray = design - means[sets.stratum]
        size = np.abs(centred).max(axis=0, initial=0.0)
        rounding = 1e-12 * np.abs(design).max(axis=0, initial=0.0)
        centred[:, size <= rounding] = 0.0  # constant within strata
        return centred

    def start(self) -> FloatArray:
        """Zero."""
        return np.zeros(self.n_coefficients)

    def value(self, beta: FloatArray) -> float:
        """Log partial likelihood."""
        return self._at(beta).value

    def derivatives(self, beta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Gradient X'(wδ − γ) and information X' diag(γ) X − B' diag(ω) B.

        γ_i = r_i Σ_s ω_s/S0_s over the time at risk of row i: the expected number of
        events.
        """
        state = self._at(beta)
        expected = self._expected(state)
        means = self._means(state)
        gradient = self.design.T @ (self._deaths - expected)
        information = weighted_gram(self.design, expected)
        information -= weighted_gram(means, self.sets.step_weight)
        return gradient, information

    def expected(self, beta: FloatArray) -> FloatArray:
        """γ (n,), the diagonal weight of the information."""
        return self._expected(self._at(beta))

    def cumulative_hazard(self, beta: FloatArray | None = None) -> FloatArray:
        """Λ̂₀ at each event time, (m,), at a linear predictor of 0 (centred columns)."""
        state = self._at(self.start() if beta is None else beta)
        sets = self.sets
        shift = sets.shift(self.offset + self.design @ state.beta)
        running = sets.forward(sets.by_time(sets.step_weight / state.total))
        hazard: FloatArray = running * np.exp(-np.repeat(shift, np.diff(sets.bounds)))
        return hazard

    def trace_gradient(self, beta: FloatArray, inner: FloatArray) -> FloatArray:
        """∂/∂β tr{M I(β)} for a fixed symmetric M.

        With h_i = x_i'Mx_i and h̄_s its mean over the risk set, the derivative in η_i is
        γ_i h_i − r_i Σ_s ω_s/S0_s (h̄_s − 2 b_s'Mb_s) − 2 x_i'M r_i Σ_s ω_s b_s/S0_s.
        """
        state, sets = self._at(beta), self.sets
        means = self._means(state)
        quadratic = row_quadratic(self.design, inner, self.design)
        average = self._averages(state, quadratic[:, None])[:, 0]
        spread = average - 2.0 * row_quadratic(means, inner, means)
        rate = sets.step_weight / state.total
        slope = sets.over_exposure(rate) * quadratic
        slope -= sets.over_exposure(rate * spread)
        pulled = sets.over_exposure(rate[:, None] * (means @ inner))  # (n, p)
        slope -= 2.0 * np.einsum("ij,ij->i", self.design, pulled)
        return self.design.T @ (state.risk * slope)

    def reach(self, direction: FloatArray) -> float:
        """Largest change of a (centred) linear predictor."""
        return float(np.abs(self.design @ direction).max(initial=0.0))

    def recedes(self, beta: FloatArray, direction: FloatArray) -> bool:
        """Whether at each event time the dead lead their risk set (monotone)."""
        sets = self.sets
        along = self.design @ direction
        slack = 1e-5 * np.abs(along).max(initial=0.0)
        # the largest x'd at risk: rows by decreasing x'd claim their event times
        top = np.full(sets.n_times, -np.inf)
        if not len(sets.late):
            np.maximum.at(top, sets.last, along)
            for start, stop in zip(sets.bounds[:-1], sets.bounds[1:], strict=True):
                part = top[start:stop][::-1]
                top[start:stop] = np.maximum.accumulate(part)[::-1]
        else:
            low = along[sets.dead] + slack
            bar = np.full(sets.n_times, np.inf)
            np.minimum.at(bar, sets.last[sets.dead], low)
            # a row that exceeds the bar at some time at risk refutes it; look only at
            # rows that could exceed the lowest bar
            for i in np.flatnonzero(along > bar.min()):
                if (along[i] > bar[sets.first[i] : sets.last[i] + 1]).any():
                    return False
            return True
        return bool((along[sets.dead] >= top[sets.last[sets.dead]] - slack).all())

    def _at(self, beta: FloatArray) -> _State:
        """Risks and risk sums at β; the last one is remembered."""
        if self._state is not None and np.array_equal(self._state.beta, beta):
            return self._state
        sets = self.sets
        eta = self.offset + self.design @ beta
        shift = sets.shift(eta)
        with np.errstate(over="ignore", invalid="ignore"):
            risk = sets.weight * np.exp(eta - shift[sets.stratum])
        everyone = sets.backward(sets.entering(risk).sum(axis=1))
        total = everyone[sets.step_time]
        if sets.step_share.any():
            total = total - sets.step_share * self._dead_sum(risk)[sets.step_time]
        if not (total > SMALLEST_RISK).all():
            value = -np.inf  # out of the range of floats: the step is refused
        else:
            level = np.repeat(shift, np.diff(sets.bounds))[sets.step_time]
            value = float(self._deaths @ eta)
            value -= float(sets.step_weight @ (np.log(total) + level))
        self._state = _State(beta.copy(), risk, total, value)
        return self._state

    def _dead_sum(self, values: FloatArray) -> FloatArray:
        sets = self.sets
        place = sets.last[sets.dead]
        summed = np.bincount(place, values[sets.dead], minlength=sets.n_times)
        return summed.astype(np.float64)

    def _expected(self, state: _State) -> FloatArray:
        rate = self.sets.step_weight / state.total
        expected: FloatArray = state.risk * self.sets.over_exposure(rate)
        return np.maximum(expected, 0.0)

    def _means(self, state: _State) -> FloatArray:
        """b_s, (s, p)."""
        return self._averages(state, self.design)

    def _averages(self, state: _State, values: FloatArray) -> FloatArray:
        """Risk-weighted means of ``values`` over each risk set, (s, …)."""
        sets = self.sets
        summed = sets.backward(sets.entering(state.risk) @ values)[sets.step_time]
        if sets.step_share.any():
            dead = (sets.dying(state.risk) @ values)[sets.step_time]
            summed = summed - sets.step_share[:, None] * dead
        average: FloatArray = summed / state.total[:, None]
        return average
