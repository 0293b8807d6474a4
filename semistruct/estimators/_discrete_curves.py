"""Curves of discrete-time models.

Letters: n rows, J intervals, C causes, m times, K linear predictors.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from scipy.special import expit

from semistruct.design import PersonPeriod, PersonPeriodDesign
from semistruct.families import (
    DiscreteTimeFamily,
    get_discrete_time,
    interpolate_incidence,
    interpolate_survival,
)
from semistruct.inference import CurveBand, piecewise_cumulative_hazard_error
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
from ._piecewise_curves import PiecewiseCurves

__all__ = ["IntervalsCurves", "ProportionalCurves"]

_TINY = 1e-300


class _Discrete(Curves):
    """Survival at the ends of intervals; the hazard is constant inside them."""

    continuous = True
    cuts: np.ndarray

    @abstractmethod
    def log_survival(self, rows: Rows) -> np.ndarray:
        """Give log S at the cuts, (n, J)."""

    def cumulative_hazard(self, rows: Rows, times: np.ndarray) -> np.ndarray:
        if self.causes:
            return -np.log(np.maximum(self.survival(rows, times), _TINY))
        hazard = np.pad(-self.log_survival(rows), ((0, 0), (1, 0)))
        at = self._at(times)
        low = np.minimum(at.astype(int), len(self.cuts) - 1)
        share = at - low
        return (1.0 - share) * hazard[:, low] + share * hazard[:, low + 1]

    def survival(self, rows: Rows, times: np.ndarray) -> np.ndarray:
        if not self.causes:
            return super().survival(rows, times)
        curves = np.exp(self.log_survival(rows))
        return interpolate_survival(self.cuts, curves, times)

    def quantile(self, rows: Rows, p: np.ndarray) -> np.ndarray:
        edges = np.concatenate([[0.0], self.cuts])
        if self.causes:  # S is linear between the cuts, otherwise log S is
            reached, asked = 1.0 - self.survival(rows, edges), p
        else:
            reached, asked = self.cumulative_hazard(rows, edges), -np.log1p(-p)
        return np.stack([np.interp(asked, own, edges, right=np.inf) for own in reached])

    def _fine(self) -> np.ndarray:
        last = float(self.cuts[-1])
        return np.union1d(self.times, np.linspace(0.0, last, 2001)[1:])

    def restricted_mean(self, rows: Rows, horizon: float) -> np.ndarray:
        edges = np.concatenate([[0.0], self.cuts[self.cuts < horizon], [horizon]])
        width = np.diff(edges)
        if self.causes:
            curve = self.survival(rows, edges)
            return 0.5 * (curve[:, :-1] + curve[:, 1:]) @ width
        growth = np.diff(self.cumulative_hazard(rows, edges), axis=1)
        return exponential_area(growth, width)

    def risk(self, rows: Rows) -> np.ndarray:
        return np.log(np.maximum(-self.log_survival(rows)[:, -1], _TINY))

    def _at(self, times: np.ndarray) -> np.ndarray:
        """Count the intervals before each time, the fraction of its own included."""
        edges = np.concatenate([[0.0], self.cuts])
        return np.interp(times, edges, np.arange(len(edges), dtype=np.float64))


@register_curves
class ProportionalCurves(_Discrete):
    """The predictor of long rows, as in a piecewise exponential model."""

    kind = "discrete_proportional"

    def __init__(self, cuts: np.ndarray, time: str, link: str) -> None:
        self.cuts, self.times, self.time, self.link = cuts, cuts, time, link
        self._long = PiecewiseCurves(cuts, time, (), cuts)

    def _growth(self, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        """Give −log(1 − h) in each interval and its derivative in η, (n, J)."""
        eta = self._long.predictors(rows)[0]
        if self.link == "cloglog":
            hazard = np.exp(bounded(eta))
            return hazard, hazard
        return np.logaddexp(0.0, eta), expit(eta)

    def log_survival(self, rows: Rows) -> np.ndarray:
        return -np.cumsum(self._growth(rows)[0], axis=1)

    def band(
        self,
        rows: Rows,
        fit: ExactFit,
        times: np.ndarray,
        level: float,
        transform: str,
    ) -> CurveBand:
        """Give S(t | x) with limits by the delta method."""
        size = len(self.cuts)
        design = rows.predictor.predictors[0].design
        matrix = PersonPeriodDesign.from_design(
            design,
            own_columns(design, rows.frame, self.time),
            PersonPeriod.grid(len(rows.frame), self.cuts),
            time=self.time,
        )
        error = piecewise_cumulative_hazard_error(
            matrix,
            self._growth(rows)[1],
            fit.cov,
            np.arange(size),
            np.arange(1, size + 1),
            self._at(times),
        )
        hazard = self.cumulative_hazard(rows, times)
        return self._limits(rows, times, hazard, error, level, transform)

    def to_state(self) -> dict[str, Any]:
        names = ("kind", "cuts", "time", "link")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> ProportionalCurves:
        return cls(np.asarray(state["cuts"]), state["time"], state["link"])


@register_curves
class IntervalsCurves(_Discrete):
    """A family with a predictor for each interval (and cause)."""

    kind = "discrete"

    def __init__(
        self, cuts: np.ndarray, family: DiscreteTimeFamily, causes: Sequence[Any] = ()
    ) -> None:
        self.cuts, self.times, self.family = cuts, cuts, family
        self.causes = tuple(causes)

    def log_survival(self, rows: Rows) -> np.ndarray:
        return self.family.log_survival(torch.as_tensor(rows.eta)).numpy()

    def incidence(self, rows: Rows, times: np.ndarray) -> dict[Any, np.ndarray]:
        if not self.causes:
            return super().incidence(rows, times)
        at_cuts = self.family.cumulative_incidence(torch.as_tensor(rows.eta)).numpy()
        curves = interpolate_incidence(self.cuts, at_cuts, times)
        return dict(zip(self.causes, curves, strict=True))

    def risk(self, rows: Rows) -> np.ndarray:
        if not self.causes:
            # a shift of the end of the curve is no shift of all of it here
            return -self.restricted_mean(rows, float(self.cuts[-1]))
        at_end = self.incidence(rows, self.cuts[-1:])
        shares = np.column_stack([at_end[cause][:, 0] for cause in self.causes])
        return np.log(np.maximum(-np.log1p(-shares.clip(max=1 - 1e-15)), _TINY))

    def band(
        self,
        rows: Rows,
        fit: ExactFit,
        times: np.ndarray,
        level: float,
        transform: str,
    ) -> CurveBand:
        """Give S(t | x) with limits by the delta method."""
        if self.causes:
            return super().band(rows, fit, times, level, transform)
        eta = torch.as_tensor(rows.eta).requires_grad_()
        hazard = -self.family.log_survival(eta)
        slopes = [
            torch.autograd.grad(column.sum(), eta, retain_graph=True)[0].numpy()
            for column in hazard.unbind(1)
        ]
        stacked = np.stack([np.zeros_like(slopes[0]), *slopes])  # (J + 1, n, K)
        # Λ is linear between the cuts, and so is its derivative
        at = self._at(times)
        low = np.minimum(at.astype(int), len(self.cuts) - 1)
        share = (at - low)[:, None, None]
        slope = (1.0 - share) * stacked[low] + share * stacked[low + 1]  # (m, n, K)
        square = np.einsum("mna,nab,mnb->nm", slope, rows.covariance(fit), slope)
        error = np.sqrt(np.maximum(square, 0.0))
        total = self.cumulative_hazard(rows, times)
        return self._limits(rows, times, total, error, level, transform)

    def to_state(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "cuts": self.cuts,
            "family": self.family.to_state(),
            "causes": [plain(c) for c in self.causes],
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> IntervalsCurves:
        family = get_discrete_time(**state["family"])
        return cls(np.asarray(state["cuts"]), family, state["causes"])
