"""Accelerated failure time models as a head: log T = loc + scale · W.

Letters: n rows, m times, q probabilities, K linear predictors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from semistruct._core.surv import Surv
from semistruct.exceptions import ParameterError
from semistruct.families import Censored, get_censored
from semistruct.inference import CurveBand
from semistruct.solvers import ExactFit

from ._curves import Curves, Rows, register_curves
from ._event_split import EventSplit
from ._fitting import AdditiveFit
from ._heads import GlmHead
from ._survival_model import (
    SurvivalModel,
    default_times,
    refuse_causes,
    refuse_strata,
    refuse_without_events,
)

__all__ = ["AFTCurves", "AFTHead", "AFTModel"]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(32)
_PANELS = 16
_MOST = 1e130  # S is 0 long before; its square is finite


@dataclass(frozen=True)
class AFTHead(EventSplit, GlmHead):
    """Censored times of a parametric family."""

    given: Surv | None = None

    @property
    def surv(self) -> Surv:
        assert self.given is not None
        return self.given


class AFTModel(SurvivalModel):
    """An accelerated failure time model of a family of times."""

    ratio = "time ratio"
    ratio_of = "loc"
    interval = True

    def __init__(self, distribution: str = "weibull") -> None:
        self.distribution = distribution

    @property
    def title(self) -> str:
        return f"{self.distribution} accelerated failure time"

    @property
    def likelihood(self) -> str:
        return "accelerated failure time"  # densities of the same times

    def formulas(
        self,
        formulas: Mapping[Any, Any],
        constant: Any,
        columns: Sequence[str],
        y: Surv | None,
    ) -> dict[Any, Any]:
        if self.distribution == "exponential" or None not in formulas:
            return dict(formulas)
        return {"loc": formulas[None], "scale": constant}

    def make_head(
        self,
        y: Surv,
        weight: np.ndarray | None,
        formulas: list[str | None],
        owner: str,
    ) -> AFTHead:
        refuse_causes(y, owner)
        refuse_strata(y, owner)
        refuse_without_events(y, weight, owner)
        family: Any = get_censored(self.distribution)
        named = [name for name in formulas if name is not None]
        if named:
            family = family.with_formulas(named)
        return AFTHead(
            family,
            family.check_target(y.bounds(), owner),
            tuple(family.parameters),
            weight=weight,
            given=y,
        )

    def make_curves(self, head: AFTHead, fitted: AdditiveFit) -> AFTCurves:
        family: Any = head.family
        if family.n_shapes:
            family = family.with_shapes(fitted.exact.shapes)
        _, lower, upper = head.y.T
        seen = np.where(np.isfinite(upper), upper, lower)
        return AFTCurves(family, default_times(seen, head.surv.event))


@register_curves
class AFTCurves(Curves):
    """The family, from which every curve follows in closed form."""

    kind = "aft"
    continuous = True

    def __init__(self, family: Censored, times: np.ndarray) -> None:
        self.family, self.times = family, times

    def cumulative_hazard(self, rows: Rows, times: np.ndarray) -> np.ndarray:
        return self.family.cumulative_hazard(times, rows.eta)

    def risk(self, rows: Rows) -> np.ndarray:
        return -rows.eta[:, 0]

    def quantile(self, rows: Rows, p: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):  # inf is the quantile beyond all numbers
            return np.asarray(self.family.quantile(p[:, None], rows.eta)).T

    def _fine(self) -> np.ndarray:
        last = float(self.times[-1])
        return np.union1d(self.times, np.geomspace(1e-6 * last, 1e3 * last, 1000))

    def restricted_mean(self, rows: Rows, horizon: float) -> np.ndarray:
        # t = horizon · u³ takes the steepness at 0 out of the integrand
        edges = np.linspace(0.0, 1.0, _PANELS + 1)
        half = 0.5 / _PANELS
        u = (edges[:-1, None] + half * (1.0 + _NODES)).ravel()
        weight = np.tile(_WEIGHTS * half, _PANELS) * 3.0 * u**2 * horizon
        found = [
            self.survival(part, horizon * u**3) @ weight for part in rows.parts(len(u))
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
        """Give S(t | x) with limits by the delta method in the linear predictors."""
        if self.family.n_shapes:
            raise ParameterError(
                parameter="terms",
                owner="predict_survival_band",
                allowed="a formula for the scale, such as '1'",
                given="a scale that is one constant",
                hint="The covariance of the scale is not known otherwise.",
            )
        eta = rows.eta
        hazard = np.minimum(self.family.cumulative_hazard(times, eta), _MOST)
        slope = self._slopes(times, eta)  # (K, n, m)
        variance = np.einsum("anm,nab,bnm->nm", slope, rows.covariance(fit), slope)
        error = np.sqrt(np.maximum(variance, 0.0))
        return self._limits(rows, times, hazard, error, level, transform)

    def _slopes(self, times: np.ndarray, eta: np.ndarray) -> np.ndarray:
        """Give ∂Λ/∂η_k, (K, n, m): with w = (log t − μ) / σ, −h/σ and −h·w."""
        family = self.family
        loc, scale = family.theta(torch.as_tensor(eta)).values()
        log_t = torch.log(torch.as_tensor(times))
        w = (log_t[None, :] - loc[:, None]) / scale[:, None]
        rate = -family.standard.log_survival(w, 1)[1]  # ∂Λ/∂w
        slopes = {"loc": -rate / scale[:, None], "scale": -rate * w}
        stacked = torch.stack([slopes[name] for name in family.parameters])
        # 0 · ∞ at t = 0; where S is 0 the slope does not matter but has to be finite
        slope = torch.nan_to_num(stacked, nan=0.0).clamp(-_MOST, _MOST)
        return slope.numpy()

    def to_state(self) -> dict[str, Any]:
        family = self.family.to_state()
        return {"kind": self.kind, "family": family, "times": self.times}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> AFTCurves:
        return cls(get_censored(**state["family"]), np.asarray(state["times"]))
