"""The Cox model as a head, one for each cause of competing risks.

Letters: n rows, C causes (and linear predictors), m times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch

from semistruct._core.surv import Surv
from semistruct._core.validation import check_bool, check_choice
from semistruct.design import DesignOperator, StructuredDesign
from semistruct.exceptions import ParameterError
from semistruct.inference import RiskRows, cox_covariance, score_residuals
from semistruct.networks import SemiStructuredNetwork
from semistruct.objectives import CoxObjective, Objective
from semistruct.solvers import ExactFit, RiskSets, combine_fits, fit_cox_on, risk_sets

from ._cox_curves import CoxCurves
from ._event_split import EventSplit, cause_codes
from ._fitting import AdditiveFit
from ._survival_model import (
    SurvivalModel,
    check_formulas,
    refuse_without_events,
)

__all__ = ["CoxHead", "CoxModel", "survival_tensors"]


@dataclass(frozen=True)
class CoxHead(EventSplit):
    """Proportional hazards, with Efron's or Breslow's treatment of ties."""

    y: Surv
    ties: str = "efron"
    weight: np.ndarray | None = None
    causes: tuple[Any, ...] = ()
    firth: bool = False
    covariance: str = "model"
    has_intercept: bool = False

    @property
    def names(self) -> tuple[Any, ...]:  # type: ignore[override]
        return self.causes or ("eta",)

    @property
    def n_rows(self) -> int:
        return len(self.y)

    @property
    def surv(self) -> Surv:
        return self.y

    @cached_property
    def codes(self) -> np.ndarray:
        """Which of the predictors has the event of a row, from 1 on; 0 if censored."""
        if not self.causes:
            return self.y.event.astype(np.int8)
        return cause_codes(self.y, self.causes)

    @cached_property
    def sets(self) -> tuple[RiskSets, ...]:
        """Risk sets of each cause; sorted once for all that reads them."""
        y = self.y
        return tuple(
            risk_sets(
                y.time,
                self.codes == k,
                entry=y.entry,
                strata=y.strata,
                sample_weight=self.weight,
                ties=self.ties,
            )
            for k in range(1, len(self.names) + 1)
        )

    def fit_exact(
        self,
        matrices: Sequence[np.ndarray | DesignOperator],
        designs: Sequence[StructuredDesign],
        offset: np.ndarray,
    ) -> ExactFit:
        fits = []
        for k, (design, matrix) in enumerate(zip(designs, matrices, strict=True)):
            if design.constraints:
                raise ParameterError(
                    parameter="terms",
                    owner="head='cox'",
                    allowed="smooths without constraints",
                    given=design.constraints[0].label,
                    hint="Monotone smooths work with head='pamm' or AFT heads.",
                )
            fit = fit_cox_on(
                self.sets[k],
                np.asarray(matrix),
                penalties=design.penalties,
                offset=offset[:, k],
                firth=self.firth,
            )
            if self.covariance == "robust":
                fit = replace(fit, cov=self._robust(k, matrix, fit))
            fits.append(fit)
        return combine_fits(fits, self.causes) if len(fits) > 1 else fits[0]

    def _robust(self, k: int, matrix: Any, fit: ExactFit) -> np.ndarray:
        """Give Lin and Wei's sandwich, of ids where there are."""
        rows = RiskRows(self.sets[k], np.asarray(matrix), fit.linear_predictor)
        kind = "robust" if self.y.id is None else "cluster"
        return cox_covariance(kind, rows, fit.cov, self.y.id)

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
        return survival_tensors(self.y, fit, self.codes, self.weight)

    def take(self, rows: np.ndarray) -> CoxHead:
        weight = None if self.weight is None else self.weight[rows]
        return replace(self, y=self.y[rows], weight=weight)

    def scores(self, matrices: Sequence[Any], fit: ExactFit) -> np.ndarray:
        columns = []
        for k, matrix in enumerate(matrices):
            eta = fit.linear_predictor[:, k]
            rows = RiskRows(self.sets[k], np.asarray(matrix), eta)
            own = np.zeros(matrix.shape)  # of rows that are never at risk, too
            at_risk = self.sets[k].rows
            own[at_risk] = score_residuals(rows)[at_risk]
            columns.append(own)
        scores = np.hstack(columns)
        return scores if self.weight is None else scores * self.weight[:, None]

    def objective(self, network: SemiStructuredNetwork, fit: ExactFit) -> Objective:
        return CoxObjective(network, ties=self.ties)

    def held_out_dispersion(self, fit: ExactFit, held_out: np.ndarray) -> ExactFit:
        return fit


class CoxModel(SurvivalModel):
    """Proportional hazards by the partial likelihood."""

    name = "cox"
    ratio = "hazard ratio"

    def __init__(
        self, ties: str = "efron", firth: bool = False, covariance: str = "model"
    ) -> None:
        self.ties = ties
        self.firth = firth
        self.covariance = covariance

    @property
    def title(self) -> str:
        firth = ", Firth's penalty" if self.firth else ""
        robust = ", robust covariance" if self.covariance == "robust" else ""
        return f"Cox, {self.ties.capitalize()}'s ties{firth}{robust}"

    @property
    def likelihood(self) -> str:
        return self.title.removesuffix(", robust covariance")

    def check(self, owner: str) -> None:
        check_bool(self.firth, parameter="firth", owner=owner)
        allowed = ("model", "robust")
        check_choice(self.covariance, allowed, parameter="covariance", owner=owner)

    def make_head(
        self,
        y: Surv,
        weight: np.ndarray | None,
        formulas: list[str | None],
        owner: str,
    ) -> CoxHead:
        refuse_without_events(y, weight, owner)
        causes = tuple(y.causes) if len(y.causes) > 1 else ()
        check_formulas(formulas, causes, owner)
        return CoxHead(y, self.ties, weight, causes, self.firth, self.covariance)

    def make_curves(self, head: CoxHead, fitted: AdditiveFit) -> CoxCurves:
        return CoxCurves.fit(head.sets, fitted.matrices, fitted.exact, head.causes)


def survival_tensors(
    y: Surv, fit: ExactFit, codes: np.ndarray, weight: np.ndarray | None
) -> dict[str, torch.Tensor]:
    """Give what objectives with risk sets read of the rows."""
    tensors = {
        "offset": torch.as_tensor(fit.linear_predictor, dtype=torch.float32),
        "time": torch.as_tensor(y.time, dtype=torch.float64),
        "event": torch.as_tensor(codes),
    }
    if y.entry is not None:
        tensors["entry"] = torch.as_tensor(y.entry, dtype=torch.float64)
    if y.strata is not None:
        strata = np.unique(y.strata, return_inverse=True)[1]
        tensors["strata"] = torch.as_tensor(strata, dtype=torch.int64)
    if weight is not None:
        tensors["weight"] = torch.as_tensor(weight, dtype=torch.float32)
    return tensors
