"""The rows of a Cox model at one linear predictor: risk sums and risk-set means.

Letters: n rows given, r rows in some risk set, d deaths, m distinct event times (within
strata), s pseudo-steps with weights ω (one for each death after Efron, one for each
event time after Breslow), p columns.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semistruct._core.validation import check_choice
from semistruct.exceptions import DataError, TargetError
from semistruct.solvers import RiskSets, as_matrix, as_weight, check_survival

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]


class RiskRows:
    """Rows of a Cox model on their risk sets, at one linear predictor.

    Sums over risk sets are cumulative sums: O((n + m) p).

    Parameters
    ----------
    sets : RiskSets
        Of n rows, see :func:`semistruct.solvers.risk_sets`; with an event at least.
    design : array-like of shape (n, p)
        Columns of the structured part, no intercept.
    linear_predictor : array-like of shape (n,) or (n, 1)
        η at the estimate, offsets and deep terms included.

    Raises
    ------
    DataError
        If shapes disagree, or η is not finite or too far from the others.
    TargetError
        If nobody has an event.

    Examples
    --------
    >>> from semistruct.inference import RiskRows, cox_sandwich
    >>> from semistruct.solvers import risk_sets
    >>> rows = RiskRows(risk_sets([1.0, 2.0], [1, 0]), [[0.0], [1.0]], [0.0, 0.0])
    >>> cox_sandwich(rows, [[4.0]]).tolist()
    [[2.0]]
    """

    def __init__(
        self, sets: RiskSets, design: ArrayLike, linear_predictor: ArrayLike
    ) -> None:
        owner = type(self).__name__
        matrix = as_matrix(design)
        n = sets.n_rows
        eta = np.asarray(linear_predictor, dtype=np.float64).reshape(-1)
        if len(matrix) != n or len(eta) != n:
            raise DataError(
                f"{owner}: linear_predictor has {len(eta)} rows, the design "
                f"{len(matrix)}, the times {n}."
            )
        if not np.isfinite(eta).all():
            row = int(np.flatnonzero(~np.isfinite(eta))[0])
            raise DataError(f"{owner}: linear_predictor is {eta[row]} in row {row}.")
        if not len(sets.dead):
            raise TargetError(
                f"{owner}: no row with a positive weight has an event; there is "
                "nothing to diagnose."
            )
        self.n = n
        self.sets = sets
        self.weight: FloatArray = np.zeros(n)
        self.weight[sets.rows] = sets.weight
        self.center: FloatArray = np.average(matrix, axis=0, weights=self.weight)
        self.design = matrix[sets.rows] - self.center  # (r, p)
        self.eta = eta[sets.rows]

    @cached_property
    def level(self) -> FloatArray:
        """Largest η of each stratum, (S,): exponentials are taken against it."""
        return self.sets.shift(self.eta)

    @cached_property
    def hazard_ratio(self) -> FloatArray:
        """exp(η − level) of the rows at risk, (r,)."""
        ratio: FloatArray = np.exp(self.eta - self.level[self.sets.stratum])
        return ratio

    @cached_property
    def total(self) -> FloatArray:
        """S0: the weighted risk sum of each pseudo-step, (s,)."""
        total = self.sets.totals(self.sets.weight * self.hazard_ratio)
        if not (total > 0).all():
            raise DataError(
                "The linear predictors of some risk set lie too far below the largest "
                "of their stratum; its hazard cannot be computed. Look for a monotone "
                "likelihood or an outlying covariate."
            )
        return total

    @cached_property
    def means(self) -> FloatArray:
        """b_s: the risk-weighted mean of the columns in each pseudo-step, (s, p)."""
        risk = self.sets.weight * self.hazard_ratio
        means = np.empty((len(self.total), self.design.shape[1]))
        for steps, values in self.sets.means(risk, self.total, self._block):
            means[steps] = values
        return means

    @cached_property
    def rate(self) -> FloatArray:
        """ω/S0: the hazard of each pseudo-step where η is the level, (s,)."""
        rate: FloatArray = self.sets.step_weight / self.total
        return rate

    @cached_property
    def dead_means(self) -> FloatArray:
        """b̄: mean of the columns in the risk set of each death, (d, p)."""
        sets = self.sets
        count = np.bincount(sets.step_time, minlength=sets.n_times)
        means = sets.by_time(self.means) / count[:, None]
        at: FloatArray = means[sets.last[sets.dead]]
        return at

    def _block(self, rows: IntArray) -> FloatArray:
        return self.design.take(rows, axis=0)

    def expected(self) -> FloatArray:
        """Count the events that each row at risk was due, free of its weight, (r,)."""
        over = self.hazard_ratio * self.sets.over_exposure(self.rate)
        return np.maximum(over, 0.0)

    def information(self, factor: FloatArray | None = None) -> FloatArray:
        """Σ_s f_s ω_s Var_s(x), (p, p), for factors f (s,) of the pseudo-steps."""
        sets = self.sets
        factor = np.ones(len(sets.step_time)) if factor is None else factor
        risk = sets.weight * self.hazard_ratio
        outer = risk * sets.over_exposure(self.rate * factor)
        square = (self.design * outer[:, None]).T @ self.design
        inner = (self.means * (sets.step_weight * factor)[:, None]).T @ self.means
        matrix: FloatArray = square - inner
        return 0.5 * (matrix + matrix.T)

    def spread(self, values: FloatArray, fill: float = 0.0) -> FloatArray:
        """Give values of the rows at risk to all n; NaN where the weight is 0."""
        result = np.full((self.n, *values.shape[1:]), fill)
        result[self.sets.rows] = values
        result[self.weight == 0] = np.nan
        return result


class CoxRows(RiskRows):
    """Data of a Cox model with everything that one linear predictor determines.

    Made once, read by all residuals, the test of proportional hazards and the curves.
    Sums over risk sets are cumulative sums: O(n log n + (n + m) p).

    Parameters
    ----------
    design : array-like of shape (n, p)
        Columns of the structured part, no intercept.
    linear_predictor : array-like of shape (n,) or (n, 1)
        η at the estimate, offsets and deep terms included.
    time : array-like of shape (n,)
        End of follow-up.
    event : array-like of shape (n,)
        True for an event at ``time``.
    entry : array-like of shape (n,), optional
        Start of being at risk, below ``time``.
    strata : array-like of shape (n,), optional
        Labels of strata with baseline hazards of their own.
    sample_weight : array-like of shape (n,), optional
        Case weights >= 0. A row of weight 0 is not in the model.
    ties : {"efron", "breslow"}, default "efron"

    Raises
    ------
    DataError
        If shapes disagree, or η is not finite or too far from the others.
    TargetError
        If times, events or entries cannot be used, or nobody has an event.

    Examples
    --------
    >>> from semistruct.inference import CoxRows, martingale_residuals
    >>> rows = CoxRows([[0.0], [1.0]], [0.0, 0.0], [1.0, 2.0], [1, 0])
    >>> martingale_residuals(rows).tolist()
    [0.5, -0.5]
    """

    def __init__(
        self,
        design: ArrayLike,
        linear_predictor: ArrayLike,
        time: ArrayLike,
        event: ArrayLike,
        *,
        entry: ArrayLike | None = None,
        strata: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        ties: str = "efron",
    ) -> None:
        check_choice(ties, ("efron", "breslow"), parameter="ties", owner="CoxRows")
        n = len(np.asarray(design))
        self.time, self.event, self.entry, self.strata = check_survival(
            time, event, entry=entry, strata=strata, n=n, owner="CoxRows"
        )
        weight = as_weight(sample_weight, n)
        sets = RiskSets.build(
            self.time,
            self.event,
            entry=self.entry,
            strata=self.strata,
            weight=weight,
            ties=ties,
        )
        super().__init__(sets, design, linear_predictor)
        if weight is None:  # rows that are never at risk have theirs too
            weight = np.ones(n)
        self.weight = weight
        self.ties = ties
