"""Curves: what turns the predictors of rows into functions of time.

Letters: n rows, m times, q probabilities.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pandas as pd

from semistruct._core.step import StepFunction
from semistruct.exceptions import ParameterError
from semistruct.inference import (
    CurveBand,
    critical_value,
    incidence_limits,
    restricted_mean,
    survival_limits,
    survival_quantile,
)
from semistruct.solvers import ExactFit

from ._additive import AdditivePredictor
from ._delta import delta_error

__all__ = [
    "Curves",
    "Rows",
    "bounded",
    "curves_from_state",
    "exponential_area",
    "on_times",
    "plain",
    "register_curves",
]


_CELLS = 1 << 22  # numbers of one array of rows and times
_BOUND = 300.0
_TINY = 1e-300


class Rows(NamedTuple):
    """Rows to predict: the fitted predictor, their table and their strata."""

    predictor: AdditivePredictor
    frame: pd.DataFrame
    strata: list[Any] | None = None

    @property
    def labels(self) -> list[Any]:
        """Stratum of each row, None without strata."""
        return [None] * len(self.frame) if self.strata is None else self.strata

    def parts(self, width: int) -> Iterator[Rows]:
        """Divide into parts, so that arrays of ``width`` columns stay small."""
        step = max(1, _CELLS // max(width, 1))
        for start in range(0, len(self.frame), step):
            at = slice(start, start + step)
            strata = None if self.strata is None else self.strata[at]
            yield Rows(self.predictor, self.frame.iloc[at], strata)

    @property
    def eta(self) -> np.ndarray:
        """Linear predictors (n, K)."""
        return self.predictor.linear_predictor(self.frame)

    def covariance(self, fit: ExactFit) -> np.ndarray:
        """Covariance (n, K, K) of the linear predictors; deep terms are known."""
        matrices = self.predictor.matrices(self.frame)
        size = len(matrices)
        out = np.empty((len(self.frame), size, size))
        for a, at in enumerate(fit.slices):
            for b, bt in enumerate(fit.slices[: a + 1]):
                part = matrices[a] @ fit.cov[at, bt]
                out[:, a, b] = out[:, b, a] = np.einsum("ij,ij->i", part, matrices[b])
        return out


class Curves(ABC):
    """What a head keeps of a fit for predictions over time; abstract.

    ``times`` is the default grid; ``causes`` are those of competing risks, empty
    without; ``labels`` are the strata, ``[None]`` without.
    """

    kind: ClassVar[str]
    continuous: ClassVar[bool] = False  # in time; steps otherwise
    times: np.ndarray
    causes: tuple[Any, ...] = ()
    labels: tuple[Any, ...] = (None,)

    @abstractmethod
    def cumulative_hazard(self, rows: Rows, times: np.ndarray) -> np.ndarray:
        """Give Λ(t | x) of any event, (n, m)."""

    @abstractmethod
    def risk(self, rows: Rows) -> np.ndarray:
        """Give a score that is higher for an earlier event: (n,), (n, C) by cause."""

    @abstractmethod
    def to_state(self) -> dict[str, Any]:
        """Give what was learned as a state, ``kind`` among it."""

    @classmethod
    @abstractmethod
    def from_state(cls, state: dict[str, Any]) -> Curves:
        """Make it from what ``to_state`` gave."""

    def survival(self, rows: Rows, times: np.ndarray) -> np.ndarray:
        """Give S(t | x), (n, m)."""
        return np.exp(-self.cumulative_hazard(rows, times))

    def incidence(self, rows: Rows, times: np.ndarray) -> dict[Any, np.ndarray]:
        """Give the cumulative incidence of each cause, (n, m)."""
        raise ParameterError(
            parameter="y",
            owner="predict_cumulative_incidence_function",
            allowed="a model that was fitted to competing risks, Surv(…, cause=…)",
            given="events of one cause",
            hint="With one cause it is 1 - predict_survival_function(X).",
        )

    def incidence_band(
        self,
        rows: Rows,
        fit: ExactFit,
        cause: Any,
        times: np.ndarray,
        level: float,
        transform: str,
    ) -> CurveBand:
        """Give the cumulative incidence of a cause with pointwise limits."""

        def incidence(predictor: AdditivePredictor) -> np.ndarray:
            return self.incidence(rows._replace(predictor=predictor), times)[cause]

        estimate = incidence(rows.predictor)
        error = delta_error(rows.predictor, fit, incidence)
        z = float(critical_value(level, None, "predict_cumulative_incidence_band"))
        lower, upper = incidence_limits(estimate, error, z, transform)
        return _curve_band(rows, times, (estimate, error, lower, upper), 0.0)

    def quantile(self, rows: Rows, p: np.ndarray) -> np.ndarray:
        """Give the times by which shares p have had the event, (n, q)."""
        found = [
            survival_quantile(self._step(part), p).to_numpy()
            for part in rows.parts(len(self.times))
        ]
        return np.concatenate(found)

    def quantile_limits(
        self, rows: Rows, fit: ExactFit, p: np.ndarray, level: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Give the quantiles of the limits of the curve, (n, q) each."""
        times = self._fine()
        find = _crossing if self.continuous else survival_quantile
        lower, upper = [], []
        for part in rows.parts(len(times)):
            band = self.band(part, fit, times, level, "log-log")
            lower.append(np.asarray(find(band.lower, p)))
            upper.append(np.asarray(find(band.upper, p)))
        return np.concatenate(lower), np.concatenate(upper)

    def _fine(self) -> np.ndarray:
        """Give the times at which limits of a quantile are looked for."""
        return self.times

    def restricted_mean_error(
        self, rows: Rows, fit: ExactFit, horizon: float
    ) -> np.ndarray:
        """Give the standard error of the restricted mean, (n,)."""

        def mean(predictor: AdditivePredictor) -> np.ndarray:
            return self.restricted_mean(rows._replace(predictor=predictor), horizon)

        return delta_error(rows.predictor, fit, mean)

    def restricted_mean(self, rows: Rows, horizon: float) -> np.ndarray:
        """Give ∫ S(t | x) dt from 0 to the horizon, (n,)."""
        found = [
            restricted_mean(self._step(part), horizon).to_numpy()
            for part in rows.parts(len(self.times))
        ]
        return np.concatenate(found)

    def band(
        self,
        rows: Rows,
        fit: ExactFit,
        times: np.ndarray,
        level: float,
        transform: str,
    ) -> CurveBand:
        """Give S(t | x) with pointwise limits."""
        raise ParameterError(
            parameter="head",
            owner="predict_survival_band",
            allowed="a head whose curve is fitted exactly, without competing risks",
            given=self.kind,
        )

    def _limits(
        self,
        rows: Rows,
        times: np.ndarray,
        hazard: np.ndarray,
        error: np.ndarray,
        level: float,
        transform: str,
    ) -> CurveBand:
        """Make a band of Λ (n, m) and its standard error."""
        z = float(critical_value(level, None, "predict_survival_band"))
        lower, upper = survival_limits(hazard, error, z, transform)
        return _curve_band(rows, times, (np.exp(-hazard), error, lower, upper), 1.0)

    def _step(self, rows: Rows) -> StepFunction:
        return StepFunction(
            self.times, self.survival(rows, self.times), 1.0, rows.frame.index
        )


_KINDS: dict[str, type[Curves]] = {}


def register_curves(cls: type[Curves]) -> type[Curves]:
    """Let `curves_from_state` make curves of this class."""
    _KINDS[cls.kind] = cls
    return cls


def curves_from_state(state: dict[str, Any]) -> Curves:
    """Make curves from their state; KeyError for a kind that is not known."""
    return _KINDS[state["kind"]].from_state(state)


def _crossing(curve: StepFunction, p: np.ndarray) -> np.ndarray:
    """Give the times (n, q) at which curves, known at some times, fall to 1 − p.

    Between two times, and before the first, log S is taken as linear.
    """
    times = np.concatenate([[0.0], curve.times])
    hazard = np.pad(-np.log(np.maximum(curve.values, _TINY)), ((0, 0), (1, 0)))
    rows = np.arange(len(hazard))
    found = []
    for asked in -np.log1p(-p):
        above = hazard >= asked
        after = np.maximum(above.argmax(axis=1), 1)
        low, high = hazard[rows, after - 1], hazard[rows, after]
        share = np.divide(
            asked - low, high - low, out=np.ones(len(rows)), where=high > low
        )
        at = times[after - 1] + share * (times[after] - times[after - 1])
        found.append(np.where(above.any(axis=1), at, np.inf))
    return np.stack(found, axis=1)


def _curve_band(
    rows: Rows, times: np.ndarray, values: tuple[np.ndarray, ...], before: float
) -> CurveBand:
    """Make step functions of an estimate, its error and its limits."""
    firsts = (before, 0.0, before, before)
    pairs = zip(values, firsts, strict=True)
    return CurveBand(*(StepFunction(times, v, f, rows.frame.index) for v, f in pairs))


def bounded(eta: np.ndarray) -> np.ndarray:
    """Bound log hazards so that their exponentials, and squares of them, are finite.

    At ±300 a survival probability is 0 or 1 to the last digit.
    """
    return np.clip(eta, -_BOUND, _BOUND)


def exponential_area(growth: np.ndarray, width: np.ndarray) -> np.ndarray:
    """Give Σ_j ∫ S(t) dt where Λ grows by ``growth`` (n, J) over ``width``, linearly.

    An interval adds S(s_j) w_j (1 − exp(−g_j)) / g_j, whose limit is S(s_j) w_j.
    """
    before = np.cumsum(growth, axis=1) - growth
    share = np.divide(
        -np.expm1(-growth), growth, out=np.ones_like(growth), where=growth > 1e-12
    )
    return (np.exp(-before) * share * width).sum(axis=1)


def on_times(band: CurveBand, times: np.ndarray) -> CurveBand:
    """Evaluate step functions with limits at some times."""
    return CurveBand(*(StepFunction(times, f(times), f.before, f.index) for f in band))


def plain(label: Any) -> Any:
    """Give a label as Python's own type, as states want it."""
    return label.item() if isinstance(label, np.generic) else label
