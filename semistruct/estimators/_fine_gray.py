"""The model of Fine and Gray as a head.

Letters: n rows, m times.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from semistruct._core.surv import Surv
from semistruct._core.validation import check_choice
from semistruct.design import DesignOperator
from semistruct.exceptions import ParameterError, TargetError
from semistruct.inference import CurveBand, fine_gray_band, fine_gray_incidence
from semistruct.metrics import CensoringDistribution
from semistruct.networks import SemiStructuredNetwork
from semistruct.objectives import FineGrayObjective, Objective
from semistruct.solvers import BaselineSpread, ExactFit, FineGrayFit, fit_fine_gray

from ._cox_head import survival_tensors
from ._curves import Curves, Rows, bounded, on_times, plain, register_curves
from ._event_split import EventSplit, cause_codes
from ._fitting import AdditiveFit
from ._survival_model import SurvivalModel, only_formula

__all__ = ["FineGray", "FineGrayCurves", "FineGrayHead"]


@dataclass(frozen=True)
class FineGrayHead(EventSplit):
    """Proportional hazards of the subdistribution of one cause."""

    y: Surv
    cause: Any
    ties: str
    censoring: str
    weight: np.ndarray | None = None
    names: tuple[Any, ...] = ("eta",)
    has_intercept: bool = False
    found: list[FineGrayFit] = field(default_factory=list)  # the last fit

    @property
    def surv(self) -> Surv:
        return self.y

    @property
    def n_rows(self) -> int:
        return len(self.y)

    @property
    def codes(self) -> np.ndarray:
        """1 for an event of the cause, 2 for another, 0 for censored."""
        own = cause_codes(self.y, (self.cause,)) == 1
        return np.where(self.y.event, np.where(own, 1, 2), 0)

    @property
    def n_events(self) -> int:
        return int((self.codes == 1).sum())

    def fit_exact(
        self,
        matrices: Sequence[np.ndarray | DesignOperator],
        designs: Sequence[Any],
        offset: np.ndarray,
    ) -> ExactFit:
        (design,), (matrix,) = designs, matrices
        if design.constraints:
            raise ParameterError(
                parameter="terms",
                owner="FineGray",
                allowed="smooths without constraints",
                given=design.constraints[0].label,
            )
        y = self.y
        fit = fit_fine_gray(
            np.asarray(matrix),
            y.time,
            y.event,
            self.codes,
            of=1,
            entry=y.entry,
            strata=y.strata,
            subject=y.id,
            censoring=self.censoring,
            ties=self.ties,
            penalties=design.penalties,
            sample_weight=self.weight,
            offset=offset[:, 0],
        )
        self.found[:] = [fit]
        return replace(fit.fit, cov=fit.cov_robust)

    def target(self) -> np.ndarray:
        return np.column_stack([self.y.time, self.codes])

    def projection_columns(self) -> np.ndarray:
        if self.y.strata is None:
            return np.ones((self.n_rows, 1))
        codes = np.unique(self.y.strata, return_inverse=True)[1]
        return np.eye(codes.max() + 1)[codes]

    def tensors(
        self, fit: ExactFit, matrices: Sequence[Any], offset: np.ndarray
    ) -> dict[str, torch.Tensor]:
        y = self.y
        if y.entry is not None:
            raise TargetError(
                "FineGray: deep terms are fitted without late entry only. Leave out "
                "the entry of y, or take head='pamm', which has all causes and entries."
            )
        g = CensoringDistribution.fit(Surv(y.time, y.event, weights=self.weight))
        remaining = np.asarray(g(y.time, left=True))
        tensors = survival_tensors(y, fit, self.codes, self.weight)
        return tensors | {"remaining": torch.as_tensor(remaining)}

    def objective(self, network: SemiStructuredNetwork, fit: ExactFit) -> Objective:
        return FineGrayObjective(network)

    def held_out_dispersion(self, fit: ExactFit, held_out: np.ndarray) -> ExactFit:
        return fit


@dataclass(frozen=True)
class _Nothing:
    """A design without columns."""

    penalties: tuple[Any, ...] = ()
    constraints: tuple[Any, ...] = ()


class FineGray(SurvivalModel):
    """Proportional hazards of the subdistribution of one of several causes.

    F(t | x) = 1 − exp(−Λ₀(t) exp(η)) is the probability of an event of the cause up to
    t, in the presence of the others: exp(β) says how a covariate moves it. Standard
    errors are those of Fine and Gray, which know that the censoring was estimated.

    Parameters
    ----------
    cause : label
        The cause of interest.
    ties : {"efron", "breslow"}, default="efron"
        Treatment of tied event times; deep terms always learn with Breslow's.
    censoring : {"strata", "pooled"}, default="strata"
        Whether censoring is estimated in each stratum or from all rows.

    References
    ----------
    Fine & Gray (1999), Journal of the American Statistical Association 94, 496-509,
    doi:10.1080/01621459.1999.10474144

    Examples
    --------
    >>> import numpy as np, pandas as pd, semistruct as ss
    >>> X = pd.DataFrame({"x": [0.0, 1.0, 0.0, 1.0, 1.0, 0.0]})
    >>> y = ss.Surv.from_status([5, 3, 4, 6, 1, 2], ["a", "a", "b", 0, "a", "b"])
    >>> head = ss.heads.FineGray(cause="a")
    >>> ss.SemiStructuredSurvival("x", head=head).fit(X, y).coef_.round(3)
    array([1.227])
    """

    name = "fine_gray"
    ratio = "hazard ratio"

    def __init__(
        self, cause: Any = None, ties: str = "efron", censoring: str = "strata"
    ) -> None:
        self.cause = cause
        self.ties = ties
        self.censoring = censoring

    @property
    def title(self) -> str:
        return f"Fine-Gray, cause {self.cause!r}"

    def check(self, owner: str) -> None:
        ties, kinds = ("efron", "breslow"), ("strata", "pooled")
        check_choice(self.ties, ties, parameter="ties", owner="FineGray")
        check_choice(self.censoring, kinds, parameter="censoring", owner="FineGray")

    def make_head(
        self,
        y: Surv,
        weight: np.ndarray | None,
        formulas: list[str | None],
        owner: str,
    ) -> FineGrayHead:
        only_formula(formulas, owner)
        if y.cause is None:
            raise TargetError(
                f"{owner}: FineGray needs the causes of the events: Surv(time, event, "
                "cause=…) or Surv.from_status(time, status)."
            )
        if self.cause not in y.causes:
            raise ParameterError(
                parameter="cause",
                owner="FineGray",
                allowed=f"one of the causes of y, {y.causes}",
                given=self.cause,
            )
        return FineGrayHead(y, self.cause, self.ties, self.censoring, weight)

    def make_curves(self, head: FineGrayHead, fitted: AdditiveFit) -> FineGrayCurves:
        (found,) = head.found
        coef, eta = fitted.exact.coef, fitted.exact.linear_predictor
        if not np.array_equal(found.fit.linear_predictor, eta):
            # what was fitted last had not the deep terms beside it
            head.fit_exact([np.empty((len(eta), 0))], [_Nothing()], eta)
            (found,) = head.found
        spread = found.spread() if np.array_equal(found.fit.coef, coef) else {}
        return FineGrayCurves(self.cause, found.baseline, found.level, spread)


@register_curves
class FineGrayCurves(Curves):
    """The cumulative incidence of one cause."""

    kind = "fine_gray"

    def __init__(
        self,
        cause: Any,
        baseline: Mapping[Any, tuple[np.ndarray, np.ndarray]],
        level: float,
        spread: Mapping[Any, BaselineSpread],
    ) -> None:
        self.causes = (cause,)
        self.baseline, self.level, self.spread = dict(baseline), level, dict(spread)
        self.labels = tuple(self.baseline)
        self.times = np.unique(np.concatenate([t for t, _ in self.baseline.values()]))

    def cumulative_hazard(self, rows: Rows, times: np.ndarray) -> np.ndarray:
        raise ParameterError(
            parameter="head",
            owner="predict_survival_function",
            allowed="a model of all causes, such as 'cox' or 'pamm'",
            given="fine_gray",
            hint="Its curve is predict_cumulative_incidence_function(X).",
        )

    def incidence(self, rows: Rows, times: np.ndarray) -> dict[Any, np.ndarray]:
        ratio = bounded(rows.eta[:, 0] - self.level)
        values = fine_gray_incidence(self.baseline, ratio, times, strata=rows.strata)
        return {self.causes[0]: values}

    def incidence_band(
        self,
        rows: Rows,
        fit: ExactFit,
        cause: Any,
        times: np.ndarray,
        level: float,
        transform: str,
    ) -> CurveBand:
        if not self.spread:
            raise ParameterError(
                parameter="strategy",
                owner="predict_cumulative_incidence_band",
                allowed="for FineGray a fit of all coefficients beside the deep terms",
                given="two_stage, or inference='last_layer'",
                hint="Fit with strategy='joint' and inference='conditional'.",
            )
        band = fine_gray_band(
            self.spread,
            self.level,
            rows.predictor.matrices(rows.frame)[0],
            bounded(rows.eta[:, 0] - self.level) + self.level,
            fit.cov,
            strata=rows.strata,
            level=level,
            transform=transform,
            index=rows.frame.index,
        )
        return on_times(band, times)

    def risk(self, rows: Rows) -> np.ndarray:
        return rows.eta[:, 0]

    def to_state(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "cause": plain(self.causes[0]),
            "level": self.level,
            "labels": [plain(label) for label in self.baseline],
            "baseline": [list(part) for part in self.baseline.values()],
            "spread": [
                s._asdict() if (s := self.spread.get(label)) is not None else None
                for label in self.baseline
            ],
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> FineGrayCurves:
        labels = state["labels"]
        parts = zip(labels, state["baseline"], strict=True)
        spreads = zip(labels, state["spread"], strict=True)
        return cls(
            state["cause"],
            {label: (t, h) for label, (t, h) in parts},
            state["level"],
            {k: BaselineSpread(**s) for k, s in spreads if s is not None},
        )
