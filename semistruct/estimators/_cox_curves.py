"""Curves of Cox models.

Letters: n rows, C causes, m times, S strata.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from semistruct._core.step import StepFunction
from semistruct.exceptions import ParameterError
from semistruct.inference import (
    CoxBaseline,
    CurveBand,
    cox_incidence,
    cox_incidence_band,
    cox_restricted_mean_error,
    cox_survival_band,
)
from semistruct.solvers import ExactFit

from ._curves import Curves, Rows, bounded, plain, register_curves

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
        """Give the cumulative baseline hazard of each (cause and) stratum, at η = 0."""
        causes = self.causes or (None,)
        return {
            (cause, label) if self.causes else label: StepFunction(
                s.times, s.hazard * np.exp(-base.level), before=0.0
            )
            for cause, base in zip(causes, self.baselines, strict=True)
            for label, s in base.strata.items()
        }

    def _hazard(
        self, k: int, eta: np.ndarray, labels: list[Any], times: np.ndarray
    ) -> np.ndarray:
        """Give the cumulative hazard of predictor k, (n, m)."""
        base = self.baselines[k]
        values = np.empty((len(eta), len(times)))
        at = pd.Index(list(base.strata), dtype=object).get_indexer(
            pd.Index(labels, dtype=object)
        )
        for s, part in enumerate(base.strata.values()):
            step = StepFunction(part.times, part.hazard, before=0.0)
            values[at == s] = step(times)
        values *= np.exp(eta[:, k] - base.level)[:, None]
        return values

    def _eta(self, rows: Rows) -> np.ndarray:
        """Give the linear predictors (n, C), not so far out that curves overflow."""
        levels = np.array([base.level for base in self.baselines])
        return bounded(rows.eta - levels) + levels

    def cumulative_hazard(self, rows: Rows, times: np.ndarray) -> np.ndarray:
        eta, labels = self._eta(rows), rows.labels
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
        ratio = bounded(rows.eta - levels)
        found = cox_incidence(hazards, ratio, times, strata=rows.strata)
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
            self._eta(rows),
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
        """Give S(t | x) with limits; hazards of causes are independent."""
        hazard = self.cumulative_hazard(rows, times)
        parts = [
            self._hazard_error(part, fit, times) for part in rows.parts(len(self.times))
        ]
        error = np.concatenate(parts)
        return self._limits(rows, times, hazard, error, level, transform)

    def _hazard_error(self, rows: Rows, fit: ExactFit, times: np.ndarray) -> np.ndarray:
        """Give the standard error of Λ(t | x), the sum over the causes."""
        matrices, eta = rows.predictor.matrices(rows.frame), self._eta(rows)
        variance = np.zeros((len(rows.frame), len(times)))
        for k, (base, at) in enumerate(zip(self.baselines, fit.slices, strict=True)):
            own = cox_survival_band(
                base, matrices[k], eta[:, k], fit.cov[at, at], strata=rows.strata
            )
            variance += own.std_error(times) ** 2
        return np.sqrt(variance)

    def restricted_mean_error(
        self, rows: Rows, fit: ExactFit, horizon: float
    ) -> np.ndarray:
        if self.causes:
            raise ParameterError(
                parameter="y",
                owner="predict_restricted_mean_interval",
                allowed="for head='cox' events of one cause",
                given=f"the causes {list(self.causes)}",
                hint="head='pamm' has it for competing risks, or fit any event: "
                "Surv(time, event).",
            )
        parts = [
            cox_restricted_mean_error(
                self.baselines[0],
                part.predictor.matrices(part.frame)[0],
                self._eta(part)[:, 0],
                fit.cov,
                horizon,
                strata=part.strata,
            )
            for part in rows.parts(len(self.times))
        ]
        return np.concatenate(parts)

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
