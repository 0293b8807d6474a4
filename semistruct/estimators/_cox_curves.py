"""Curves of Cox models.

Letters: n rows, C causes, m times, S strata.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from semistruct._core.step import StepFunction
from semistruct.inference import (
    CoxBaseline,
    CurveBand,
    cox_incidence,
    cox_incidence_band,
    cox_restricted_mean_error,
    cox_survival_band,
)
from semistruct.solvers import ExactFit

from ._curves import Curves, Rows, on_times, plain, register_curves

__all__ = ["CoxCurves"]

_KNOTS = 1000  # event times at which what limits need of the coefficients is held


@register_curves
class CoxCurves(Curves):
    """Baseline hazards: Λ(t | x) = Λ₀(t) exp(η), for each cause and stratum."""

    kind = "cox"

    def __init__(
        self, baselines: Sequence[CoxBaseline], causes: Sequence[Any] = ()
    ) -> None:
        self.baselines = list(baselines)
        self.causes = tuple(causes)
        self.labels = tuple(self.baselines[0].strata)
        steps = [s.times for base in self.baselines for s in base.strata.values()]
        self.times = np.unique(np.concatenate(steps))

    @classmethod
    def fit(
        cls,
        sets: Sequence[Any],
        matrices: Sequence[np.ndarray],
        fit: ExactFit,
        causes: Sequence[Any],
    ) -> CoxCurves:
        """Sum up the rows of a fit: their risk sets, designs and predictors."""
        baselines = [
            CoxBaseline.from_sets(
                own, matrix, fit.linear_predictor[:, k], max_knots=_KNOTS
            )
            for k, (own, matrix) in enumerate(zip(sets, matrices, strict=True))
        ]
        return cls(baselines, causes)

    def baseline(self) -> dict[Any, StepFunction]:
        """Give the cumulative baseline hazard of each stratum, at η = 0."""
        base = self.baselines[0]
        factor = np.exp(-base.level)
        return {
            label: StepFunction(s.times, s.hazard * factor, before=0.0)
            for label, s in base.strata.items()
        }

    def _hazard(
        self, k: int, eta: np.ndarray, labels: list[Any], times: np.ndarray
    ) -> np.ndarray:
        """Give the cumulative hazard of predictor k, (n, m)."""
        base = self.baselines[k]
        values = np.empty((len(eta), len(times)))
        for label, part in base.strata.items():
            here = np.array([x == label for x in labels], dtype=bool)
            values[here] = StepFunction(part.times, part.hazard, before=0.0)(times)
        values *= np.exp(eta[:, k] - base.level)[:, None]
        return values

    def cumulative_hazard(self, rows: Rows, times: np.ndarray) -> np.ndarray:
        eta, labels = rows.eta, rows.labels
        total = self._hazard(0, eta, labels, times)
        for k in range(1, len(self.baselines)):
            total += self._hazard(k, eta, labels, times)
        return total

    def incidence(self, rows: Rows, times: np.ndarray) -> dict[Any, np.ndarray]:
        if not self.causes:
            return super().incidence(rows, times)
        hazards = [
            {label: (s.times, s.hazard) for label, s in base.strata.items()}
            for base in self.baselines
        ]
        levels = [base.level for base in self.baselines]
        found = cox_incidence(hazards, rows.eta - levels, times, strata=rows.strata)
        return dict(zip(self.causes, found.causes, strict=True))

    def incidence_band(
        self,
        rows: Rows,
        fit: ExactFit,
        cause: Any,
        times: np.ndarray,
        level: float,
        transform: str,
    ) -> CurveBand:
        return cox_incidence_band(
            self.baselines,
            rows.predictor.matrices(rows.frame),
            rows.eta,
            fit.cov,
            self.causes.index(cause),
            times,
            strata=rows.strata,
            level=level,
            transform=transform,
            index=rows.frame.index,
        )

    def risk(self, rows: Rows) -> np.ndarray:
        return rows.eta if self.causes else rows.eta[:, 0]

    def band(
        self,
        rows: Rows,
        fit: ExactFit,
        times: np.ndarray,
        level: float,
        transform: str,
    ) -> CurveBand:
        if self.causes:
            return super().band(rows, fit, times, level, transform)
        band = cox_survival_band(
            self.baselines[0],
            rows.predictor.matrices(rows.frame)[0],
            rows.eta[:, 0],
            fit.cov,
            strata=rows.strata,
            level=level,
            transform=transform,
            index=rows.frame.index,
        )
        return on_times(band, times)

    def restricted_mean_error(
        self, rows: Rows, fit: ExactFit, horizon: float
    ) -> np.ndarray:
        if self.causes:
            return super().restricted_mean_error(rows, fit, horizon)
        return cox_restricted_mean_error(
            self.baselines[0],
            rows.predictor.matrices(rows.frame)[0],
            rows.eta[:, 0],
            fit.cov,
            horizon,
            strata=rows.strata,
        )

    def to_state(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "causes": [plain(c) for c in self.causes],
            "baselines": [base.to_state() for base in self.baselines],
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> CoxCurves:
        bases = [CoxBaseline.from_state(base) for base in state["baselines"]]
        return cls(bases, state["causes"])
