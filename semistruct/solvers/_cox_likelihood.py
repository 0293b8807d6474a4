"""The Cox partial likelihood with exact derivatives in O((n + m) p²).

Letters: n rows at risk, m distinct event times, s pseudo-steps with weights ω (see
``_risk_sets``), r_i = w_i e^{η_i}, p coefficients, b_s the mean of x over the risk set
of pseudo-step s.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semistruct.solvers._cox_columns import CentredColumns
from semistruct.solvers._likelihood import Likelihood
from semistruct.solvers._risk_sets import CHUNK, RiskSets

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]


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
    design : ndarray of shape (N, p)
    sets : RiskSets
        Of the N rows.
    offset : ndarray of shape (N,)
    """

    def __init__(self, design: FloatArray, sets: RiskSets, offset: FloatArray) -> None:
        self.sets = sets
        self.n_coefficients = design.shape[1]
        self.n_effective = float(sets.weight.sum())
        self.columns = CentredColumns(design, sets)
        self.offset = np.broadcast_to(0.0, sets.rows.shape)
        if offset.any():
            self.offset = offset[sets.rows]
        self._deaths = sets.weight[sets.dead]
        self._state: _State | None = None

    def start(self) -> FloatArray:
        """Zero."""
        return np.zeros(self.n_coefficients)

    def value(self, beta: FloatArray) -> float:
        """Log partial likelihood."""
        return self._at(beta).value

    def log_likelihood(self, beta: FloatArray) -> float:
        """Log partial likelihood, without any prior."""
        return self._at(beta).value

    def derivatives(self, beta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Gradient X'(wδ − γ) and information X' diag(γ) X − B' diag(ω) B.

        γ_i = r_i Σ_s ω_s/S0_s over the time at risk of row i: the expected number of
        events.
        """
        state, sets = self._at(beta), self.sets
        residual = self._expected(state)
        information = self.columns.gram(self._given(residual))
        np.negative(residual, out=residual)
        residual[sets.dead] += self._deaths
        gradient = self.columns.transpose_dot(self._given(residual))
        for steps, means in sets.means(state.risk, state.total, self._block):
            means *= np.sqrt(sets.step_weight[steps, None])
            information -= means.T @ means
        return gradient, information

    def expected(self, beta: FloatArray) -> FloatArray:
        """γ (n,), the diagonal weight of the information."""
        return self._expected(self._at(beta))

    def trace_gradient(self, beta: FloatArray, inner: FloatArray) -> FloatArray:
        """∂/∂β tr{M I(β)} for a fixed symmetric M.

        With h_i = x_i'Mx_i and h̄_s its mean over the risk set, the derivative in η_i is
        γ_i h_i − r_i Σ_s ω_s/S0_s (h̄_s − 2 b_s'Mb_s) − 2 x_i'M r_i Σ_s ω_s b_s/S0_s.
        """
        state, sets = self._at(beta), self.sets
        quadratic = self.columns.quadratic(inner)[sets.rows]
        pulls = np.empty((len(sets.step_time), self.n_coefficients))  # M b_s
        spread = np.empty(len(sets.step_time))
        for steps, means in sets.means(state.risk, state.total, self._block):
            pulls[steps] = means @ inner
            spread[steps] = -2.0 * np.einsum("ij,ij->i", pulls[steps], means)
        for steps, mean in sets.means(
            state.risk, state.total, lambda rows: quadratic[rows, None]
        ):
            spread[steps] += mean[:, 0]
        rate = sets.step_weight / state.total
        slope = sets.over_exposure(rate) * quadratic
        slope -= sets.over_exposure(rate * spread)
        pulled = sets.over_exposure(rate[:, None] * pulls)  # (n, p)
        for start in range(0, len(slope), CHUNK):
            part = slice(start, start + CHUNK)
            rows = self.columns.at(sets.rows[part])
            slope[part] -= 2.0 * np.einsum("ij,ij->i", rows, pulled[part])
        return self.columns.transpose_dot(self._given(state.risk * slope))

    def reach(self, direction: FloatArray) -> float:
        """Largest change of a (centred) linear predictor."""
        return float(np.abs(self._along(direction)).max(initial=0.0))

    def recedes(self, beta: FloatArray, direction: FloatArray) -> bool:
        """Whether at each event time the dead lead their risk set (monotone)."""
        sets = self.sets
        along = self._along(direction)
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
        self._state, sets = None, self.sets
        eta = self._along(beta)
        eta += self.offset
        shift = sets.shift(eta)
        risk = shift[sets.stratum]
        with np.errstate(over="ignore", invalid="ignore"):
            np.subtract(eta, risk, out=risk)
            np.exp(risk, out=risk)
            risk *= sets.weight
        total = sets.totals(risk)
        if not (total > SMALLEST_RISK).all():
            value = -np.inf  # out of the range of floats: the step is refused
        else:
            level = np.repeat(shift, np.diff(sets.bounds))[sets.step_time]
            value = float(self._deaths @ eta[sets.dead])
            value -= float(sets.step_weight @ (np.log(total) + level))
        self._state = _State(beta.copy(), risk, total, value)
        return self._state

    def _expected(self, state: _State) -> FloatArray:
        rate = self.sets.step_weight / state.total
        expected = self.sets.over_exposure(rate)
        expected *= state.risk
        return np.maximum(expected, 0.0, out=expected)

    def _given(self, values: FloatArray) -> FloatArray:
        """Values (n,) of the rows at risk, for all rows that were given."""
        spread = np.zeros(self.sets.n_rows)
        spread[self.sets.rows] = values
        return spread

    def _along(self, direction: FloatArray) -> FloatArray:
        """Xd of the rows at risk, (n,)."""
        return self.columns.dot(direction)[self.sets.rows]

    def _block(self, rows: IntArray) -> FloatArray:
        return self.columns.at(self.sets.rows[rows])
