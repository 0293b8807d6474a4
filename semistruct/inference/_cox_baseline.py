"""Baseline hazards of a Cox model with what limits of its curves need.

Letters: m event times of a stratum, g of them with their p sums, p columns.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semistruct._core.validation import check_number
from semistruct.exceptions import DataError, TargetError
from semistruct.inference._cox_rows import CoxRows
from semistruct.solvers import RiskSets

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

_MOST = 1e200


class StratumBaseline(NamedTuple):
    """Sums over the event times of one stratum, each up to the time.

    Attributes
    ----------
    times : ndarray of shape (m,)
    hazard : ndarray of shape (m,)
        Λ̂ of a row whose η is the ``level`` of the baseline.
    variance : ndarray of shape (m,)
        Σ ω/S0², of that hazard with the coefficients known.
    knots : ndarray of shape (g,)
        Positions in ``times`` at which the drift is held, the last time among them;
        between them it is linear in the hazard.
    drift : ndarray of shape (g, p)
        Σ b ω/S0, b the mean of the centred columns over the risk set.
    """

    times: FloatArray
    hazard: FloatArray
    variance: FloatArray
    knots: IntArray
    drift: FloatArray

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> StratumBaseline:
        """Make it from its fields."""
        times, hazard, variance, drift = (
            np.asarray(state[field], np.float64)
            for field in ("times", "hazard", "variance", "drift")
        )
        return cls(times, hazard, variance, np.asarray(state["knots"], np.intp), drift)

    def at(self, times: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Give hazard (t,), variance (t,) and drift (t, p) at any times."""
        index = np.searchsorted(self.times, times, side="right")  # 0: before the first
        hazard = np.concatenate([[0.0], self.hazard])[index]
        variance = np.concatenate([[0.0], self.variance])[index]
        drift = np.vstack([np.zeros(self.drift.shape[1]), self.drift])
        upper = np.searchsorted(self.knots + 1, index)  # 0: before the first
        upper += (index > 0) & (len(self.knots) > 0)
        lower = np.maximum(upper - 1, 0)
        grid = np.concatenate([[0.0], self.hazard[self.knots]])
        width = grid[upper] - grid[lower]
        share = np.divide(
            hazard - grid[lower], width, out=np.zeros(len(width)), where=width > 0
        )[:, None]
        return hazard, variance, drift[lower] + share * (drift[upper] - drift[lower])


@dataclass(frozen=True)
class CoxBaseline:
    """Baseline hazards with all that limits of a predicted curve need.

    Holds O(m p) numbers, or O(m + g p), and no row of the data.

    Attributes
    ----------
    strata : dict of label to StratumBaseline
        The only label is None without strata.
    center : ndarray of shape (p,)
        Means that were taken off the columns.
    level : float
        The η that the hazards belong to.
    """

    strata: Mapping[Hashable, StratumBaseline]
    center: FloatArray
    level: float

    @classmethod
    def from_rows(cls, rows: CoxRows, *, max_knots: int | None = None) -> CoxBaseline:
        """Sum up the rows of a fit.

        Parameters
        ----------
        rows : CoxRows
            Breslow's or Efron's sums, as its ties say.
        max_knots : int, optional
            As for `from_sets`.

        Examples
        --------
        >>> from semistruct.inference import CoxBaseline, CoxRows
        >>> rows = CoxRows([[0.0], [1.0]], [0.0, 0.0], [1.0, 2.0], [1, 1])
        >>> CoxBaseline.from_rows(rows).strata[None].hazard.tolist()
        [0.5, 1.5]
        """

        def block(places: IntArray) -> FloatArray:
            return rows.design.take(places, axis=0)

        return cls(*_sum_up(rows.sets, rows.eta, block, rows.center, max_knots))

    @classmethod
    def from_sets(
        cls,
        sets: RiskSets,
        design: ArrayLike,
        linear_predictor: ArrayLike,
        *,
        max_knots: int | None = None,
    ) -> CoxBaseline:
        """Sum up the rows of a fit, whose risk sets are known, some at a time.

        Parameters
        ----------
        sets : RiskSets
            Of n rows, see :func:`semistruct.solvers.risk_sets`.
        design : array-like of shape (n, p)
            Columns of the structured part, no intercept. It is not copied.
        linear_predictor : array-like of shape (n,) or (n, 1)
            η at the estimate, offsets and deep terms included.
        max_knots : int, optional
            Event times of a stratum, at most, at which the p sums of the coefficients'
            part are held, ≥ 2; all when not given. Hazards are held at all event times,
            and curves are exact; standard errors are interpolated between the knots.

        Returns
        -------
        CoxBaseline

        Raises
        ------
        DataError
            If rows disagree, or η is too far from the others.
        TargetError
            If nobody has an event.

        Examples
        --------
        >>> from semistruct.inference import CoxBaseline
        >>> from semistruct.solvers import risk_sets
        >>> sets = risk_sets([1.0, 2.0], [1, 1])
        >>> base = CoxBaseline.from_sets(sets, [[0.0], [1.0]], [0.0, 0.0])
        >>> base.strata[None].hazard.tolist()
        [0.5, 1.5]
        """
        owner = "CoxBaseline.from_sets"
        matrix = np.asarray(design, dtype=np.float64)
        eta = np.asarray(linear_predictor, dtype=np.float64).reshape(-1)
        n = sets.n_rows
        if matrix.ndim != 2 or len(matrix) != n or len(eta) != n:
            raise DataError(
                f"{owner}: design {matrix.shape} and linear_predictor {eta.shape} do "
                f"not fit risk sets of {n} rows."
            )
        if not len(sets.dead):
            raise TargetError(
                f"{owner}: no row with a positive weight has an event; there is no "
                "hazard."
            )
        weight = np.zeros(n)
        weight[sets.rows] = sets.weight
        center = weight @ matrix / weight.sum()
        del weight

        def block(places: IntArray) -> FloatArray:
            values = matrix.take(sets.rows[places], axis=0)
            values -= center
            return values

        return cls(*_sum_up(sets, eta[sets.rows], block, center, max_knots))

    def to_state(self) -> dict[str, Any]:
        """Give JSON types and arrays that make it again."""
        return {
            "center": self.center,
            "level": self.level,
            "labels": list(self.strata),
            "strata": [part._asdict() for part in self.strata.values()],
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> CoxBaseline:
        """Make it from what ``to_state`` gave."""
        parts = [StratumBaseline.from_state(part) for part in state["strata"]]
        return cls(
            dict(zip(state["labels"], parts, strict=True)),
            np.asarray(state["center"], np.float64),
            float(state["level"]),
        )


def _sum_up(
    sets: RiskSets,
    eta: FloatArray,
    block: Callable[[IntArray], FloatArray],
    center: FloatArray,
    max_knots: int | None,
) -> tuple[dict[Hashable, StratumBaseline], FloatArray, float]:
    """Sum up a baseline, given η and the columns of the rows at risk."""
    check_number(
        max_knots,
        parameter="max_knots",
        owner="CoxBaseline",
        low=2,
        integer=True,
        none=True,
    )
    level = float(np.average(eta, weights=sets.weight))
    top = sets.shift(eta)
    risk = sets.weight * np.exp(eta - top[sets.stratum])
    del eta
    total = sets.totals(risk)
    if not (total > 0).all():
        raise DataError(
            "CoxBaseline: the linear predictors of some risk set lie too far below the "
            "largest of their stratum; its hazard cannot be computed."
        )
    rate = sets.step_weight / total
    edges = list(zip(sets.bounds[:-1].tolist(), sets.bounds[1:].tolist(), strict=True))
    knots = [_knots(stop - start, max_knots) for start, stop in edges]
    held = np.concatenate(
        [k + start for k, (start, _) in zip(knots, edges, strict=True)]
    )
    cell = np.searchsorted(held, sets.step_time)
    drift = np.zeros((len(held), len(center)))
    for steps, means in sets.means(risk, total, block):
        means *= rate[steps, None]
        opens = np.flatnonzero(np.diff(cell[steps], prepend=-1))
        drift[cell[steps][opens]] += np.add.reduceat(means, opens, axis=0)
    del risk, cell
    hazard = sets.forward(sets.by_time(rate))
    with np.errstate(over="ignore"):  # predictors that run away, of a fit that warned
        spread = np.minimum(rate / total, _MOST)
    variance = sets.forward(sets.by_time(spread))
    strata: dict[Hashable, StratumBaseline] = {}
    begin = 0
    for i, key in enumerate(sets.labels.tolist()):
        part = slice(*edges[i])
        own = slice(begin, begin + len(knots[i]))
        factor = np.exp(level - top[i])
        strata[key] = StratumBaseline(
            sets.times[part].copy(),
            hazard[part] * factor,
            variance[part] * factor**2,
            knots[i],
            np.cumsum(drift[own], axis=0) * factor,
        )
        begin = own.stop
    return strata, center, level


def _knots(m: int, most: int | None) -> IntArray:
    """Choose at most so many of m positions, dense at both ends, the last among them.

    Means of risk sets change from event to event where the first die and where few are
    left; between, they drift.
    """
    if most is None or m <= most:
        return np.arange(m)
    angle = np.linspace(0.0, np.pi, most)
    return np.unique((0.5 * (m - 1) * (1.0 - np.cos(angle))).round().astype(np.intp))
