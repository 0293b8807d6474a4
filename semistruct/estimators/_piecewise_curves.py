"""Curves of piecewise exponential models.

Letters: n rows, J intervals, C causes, m times, q probabilities, p coefficients.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import logsumexp

from semistruct.design import (
    PersonPeriod,
    PersonPeriodDesign,
    person_period_offset,
)
from semistruct.exceptions import DataError
from semistruct.inference import (
    CurveBand,
    piecewise_cumulative_hazard,
    piecewise_cumulative_hazard_error,
    piecewise_cumulative_incidence,
)
from semistruct.solvers import ExactFit

from ._curves import (
    Curves,
    Rows,
    bounded,
    exponential_area,
    plain,
    register_curves,
)
from ._person_period_head import own_columns

__all__ = ["PiecewiseCurves"]

_CELLS = 1 << 22  # numbers of one array of rows and intervals


@register_curves
class PiecewiseCurves(Curves):
    """Intervals in which the hazard exp(η) of each cause is constant."""

    kind = "piecewise"
    continuous = True

    def __init__(
        self, cuts: np.ndarray, time: str, causes: Sequence[Any], times: np.ndarray
    ) -> None:
        self.cuts, self.time, self.times = cuts, time, times
        self.causes = tuple(causes)
        self.starts = np.concatenate([[0.0], cuts[:-1]])

    # -- hazards --------------------------------------------------------------------

    def predictors(self, rows: Rows) -> np.ndarray:
        """Give η of each cause in each interval, (C, n, J)."""
        n, size = len(rows.frame), len(self.cuts)
        deep = rows.predictor.deep(rows.frame)
        out = np.empty((len(rows.predictor.predictors), n, size))
        step = max(1, _CELLS // size)
        for start in range(0, n, step):
            part = slice(start, min(start + step, n))
            grid = PersonPeriod.grid(part.stop - part.start, self.cuts)
            for k, predictor in enumerate(rows.predictor.predictors):
                own = own_columns(predictor.design, rows.frame.iloc[part], self.time)
                matrix = self._matrix(predictor.design, own, grid)
                offset = person_period_offset(
                    predictor.design, own, grid, time=self.time
                )
                eta = (matrix.dot(predictor.coef) + offset).reshape(-1, size)
                out[k, part] = eta + deep[part, k, None]
        return out

    def _matrix(
        self, design: Any, frame: Any, period: PersonPeriod
    ) -> PersonPeriodDesign:
        return PersonPeriodDesign.from_design(design, frame, period, time=self.time)

    def hazards(self, rows: Rows) -> np.ndarray:
        """Give the hazard of each cause in each interval, (C, n, J)."""
        return np.exp(bounded(self.predictors(rows)))

    def _at_cuts(self, rows: Rows) -> np.ndarray:
        """Give Λ of any event at 0 and at the cuts, (n, J + 1)."""
        total = self.hazards(rows).sum(axis=0) * (self.cuts - self.starts)
        return np.pad(np.cumsum(total, axis=1), ((0, 0), (1, 0)))

    # -- curves ---------------------------------------------------------------------

    def cumulative_hazard(self, rows: Rows, times: np.ndarray) -> np.ndarray:
        hazard = self.hazards(rows).sum(axis=0)
        return piecewise_cumulative_hazard(hazard, self.starts, self.cuts, times)

    def incidence(self, rows: Rows, times: np.ndarray) -> dict[Any, np.ndarray]:
        if not self.causes:
            return super().incidence(rows, times)
        curves = piecewise_cumulative_incidence(
            self.hazards(rows), self.starts, self.cuts, times
        )
        return dict(zip(self.causes, curves, strict=True))

    def risk(self, rows: Rows) -> np.ndarray:
        eta = self.predictors(rows)
        risk = logsumexp(eta, axis=2, b=self.cuts - self.starts).T  # (n, C)
        return risk if self.causes else risk[:, 0]

    def quantile(self, rows: Rows, p: np.ndarray) -> np.ndarray:
        reached, asked = self._at_cuts(rows), -np.log1p(-p)
        edges = np.concatenate([[0.0], self.cuts])
        return np.stack([np.interp(asked, own, edges, right=np.inf) for own in reached])

    def _fine(self) -> np.ndarray:
        last = float(self.cuts[-1])
        return np.union1d(self.times, np.linspace(0.0, last, 2001)[1:])

    def restricted_mean(self, rows: Rows, horizon: float) -> np.ndarray:
        if horizon > self.cuts[-1]:
            raise DataError(
                f"predict_restricted_mean: the horizon {horizon:g} is after the last "
                f"cut, {self.cuts[-1]:g}; nothing is known of the hazard there. Ask "
                "for an earlier one, or fit with later cuts."
            )
        hazard = self.hazards(rows).sum(axis=0)
        width = np.clip(horizon - self.starts, 0.0, self.cuts - self.starts)
        return exponential_area(hazard * width, width)

    def band(
        self,
        rows: Rows,
        fit: ExactFit,
        times: np.ndarray,
        level: float,
        transform: str,
    ) -> CurveBand:
        """Give S(t | x) with limits by the delta method."""
        hazards = self.hazards(rows)
        n, variance = len(rows.frame), np.zeros((len(rows.frame), len(times)))
        grid = PersonPeriod.grid(n, self.cuts)
        for k, predictor in enumerate(rows.predictor.predictors):
            own = own_columns(predictor.design, rows.frame, self.time)
            error = piecewise_cumulative_hazard_error(
                self._matrix(predictor.design, own, grid),
                hazards[k],
                fit.cov[fit.slices[k], fit.slices[k]],
                self.starts,
                self.cuts,
                times,
            )
            variance += error**2
        total = piecewise_cumulative_hazard(
            hazards.sum(axis=0), self.starts, self.cuts, times
        )
        error = np.sqrt(variance)
        return self._limits(rows, times, total, error, level, transform)

    def to_state(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "cuts": self.cuts,
            "time": self.time,
            "causes": [plain(c) for c in self.causes],
            "times": self.times,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> PiecewiseCurves:
        names = ("cuts", "time", "causes", "times")
        return cls(*(state[name] for name in names))
