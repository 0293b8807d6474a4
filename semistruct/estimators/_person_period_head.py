"""Models of long rows as a head: a row of the table in each of its intervals.

Letters: n rows, J intervals, N long rows, C causes (and linear predictors), m times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch

from semistruct._core.surv import Surv
from semistruct._core.terms import StructuredTerm
from semistruct.design import (
    PersonPeriod,
    PersonPeriodDesign,
    StructuredDesign,
    fit_person_period,
)
from semistruct.families import Family
from semistruct.networks import SemiStructuredNetwork
from semistruct.objectives import ColumnwiseObjective, Objective
from semistruct.solvers import ExactFit, combine_fits, fit_glm

from ._additive import evaluate, projected
from ._event_split import EventSplit, cause_codes

__all__ = ["PersonPeriodHead", "own_columns"]

_TINY = 1e-300


@dataclass(frozen=True)
class PersonPeriodHead(EventSplit):
    """A piecewise exponential model: a Poisson model of the events of long rows.

    With d_i the deep terms and M_i = Σ_j t_ij exp(η_ij) over the intervals of row i,
    the log-likelihood of d is Σ_i δ_i d_i − M_i exp(d_i): that of n Poisson counts δ_i
    with the offset log M_i. So a deep term is evaluated once for each row.
    """

    y: Surv
    period: PersonPeriod
    family: Family
    causes: tuple[Any, ...] = ()
    weight: np.ndarray | None = None
    time: str = "time"
    has_intercept: bool = True

    @property
    def names(self) -> tuple[Any, ...]:  # type: ignore[override]
        return self.causes or ("eta",)

    @property
    def surv(self) -> Surv:
        return self.y

    @property
    def n_rows(self) -> int:
        return len(self.y)

    @property
    def provided(self) -> dict[str, float]:
        return {self.time: float(self.period.cuts[-1])}

    def completed(self, frame: pd.DataFrame) -> pd.DataFrame:
        reached = np.cumsum(self.period.at_risk)
        shares = (np.arange(len(frame)) + 0.5) / len(frame)
        at = np.searchsorted(reached, shares * reached[-1])
        return frame.assign(**{self.time: self.period.cuts[at]})

    @cached_property
    def codes_of_causes(self) -> np.ndarray:
        """From 1 on, the number of the cause of a row's event; 0 if censored."""
        if not self.causes:
            return self.y.event.astype(np.int16)
        return cause_codes(self.y, self.causes)

    def events(self, k: int) -> np.ndarray:
        """Give the events (N,) of the k-th cause in long rows."""
        if not self.causes:
            return self.period.event
        return self.period.events_of(self.codes_of_causes == k + 1)

    def fit_design(
        self,
        terms: Sequence[StructuredTerm],
        frame: pd.DataFrame,
        weight: np.ndarray | None,
    ) -> StructuredDesign:
        own = frame.drop(columns=self.time, errors="ignore")
        return fit_person_period(
            terms,
            own,
            self.period,
            time=self.time,
            intercept=self.has_intercept,
            weight=weight,
        )

    def evaluate(
        self, designs: Sequence[StructuredDesign], frame: pd.DataFrame
    ) -> list[PersonPeriodDesign]:
        done: dict[int, PersonPeriodDesign] = {}
        for design in designs:
            if id(design) not in done:
                own = own_columns(design, frame, self.time)
                done[id(design)] = PersonPeriodDesign.from_design(
                    design, own, self.period, time=self.time
                )
        return [done[id(design)] for design in designs]

    def projected(
        self,
        designs: Sequence[StructuredDesign],
        matrices: Sequence[Any],
        frame: pd.DataFrame,
    ) -> list[np.ndarray]:
        at_end = evaluate(designs, frame.assign(**self.provided))
        return projected(designs, at_end, self.provided)

    def fit_exact(
        self,
        matrices: Sequence[Any],
        designs: Sequence[StructuredDesign],
        offset: np.ndarray,
    ) -> ExactFit:
        row = self.period.row
        weight = None if self.weight is None else self.weight[row]
        fits = []
        for k, (design, matrix) in enumerate(zip(designs, matrices, strict=True)):
            fit = fit_glm(
                [matrix],
                self.events(k),
                self.family,
                penalties=[design.penalties],
                constraints=[design.constraints],
                sample_weight=weight,
                offset=offset[row, k] + self._log_exposure(),
            )
            fits.append(self._by_row(fit))
        return combine_fits(fits, self.causes) if len(fits) > 1 else fits[0]

    def _log_exposure(self) -> np.ndarray:
        return np.log(self.period.exposure)

    def _by_row(self, fit: ExactFit) -> ExactFit:
        """Give the predictor of each row as the log of its mean hazard, (n, 1)."""
        expected = self._sums(np.exp(fit.linear_predictor[:, 0]))
        hazard = np.log(np.maximum(expected, _TINY)) - self._log_follow_up()
        return self._aggregated(fit, hazard)

    def _aggregated(self, fit: ExactFit, eta: np.ndarray) -> ExactFit:
        """Replace what is of long rows by what is of rows, ``eta`` (n,) among it."""
        seen = self.period.count > 0
        eta = np.where(seen, eta, eta[seen].mean())
        weight = self._sums(fit.working_weight[:, 0])
        return replace(
            fit, linear_predictor=eta[:, None], working_weight=weight[:, None]
        )

    def _sums(self, values: np.ndarray) -> np.ndarray:
        """Sum over the long rows of each row, (n,)."""
        return np.bincount(self.period.row, values, self.n_rows)

    def _log_follow_up(self) -> np.ndarray:
        return np.log(np.maximum(self._sums(self.period.exposure), _TINY))

    def target(self) -> np.ndarray:
        return np.column_stack([self.y.time, self.codes_of_causes])

    def _intervals(self) -> tuple[np.ndarray, ...]:
        return (self.period.cuts,)

    def projection_columns(self) -> np.ndarray:
        return np.empty((self.n_rows, 0))

    def tensors(
        self, fit: ExactFit, matrices: Sequence[Any], offset: np.ndarray
    ) -> dict[str, torch.Tensor]:
        counts = [self._sums(self.events(k)) for k in range(len(self.names))]
        expected = fit.linear_predictor + self._log_follow_up()[:, None]  # log M
        tensors = {
            "y": torch.as_tensor(np.column_stack(counts)),
            "offset": torch.as_tensor(expected),
        }
        if self.weight is not None:
            tensors["weight"] = torch.as_tensor(self.weight)
        return tensors

    def objective(self, network: SemiStructuredNetwork, fit: ExactFit) -> Objective:
        return ColumnwiseObjective(network, self.family)

    def held_out_dispersion(self, fit: ExactFit, held_out: np.ndarray) -> ExactFit:
        return fit


def own_columns(
    design: StructuredDesign, frame: pd.DataFrame, time: str
) -> pd.DataFrame:
    """Give the columns that a design reads, but for the time axis."""
    return frame[[c for c in design.columns if c != time]]
