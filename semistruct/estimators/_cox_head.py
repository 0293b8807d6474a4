"""The Cox model as a head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from semistruct._core.step import StepFunction
from semistruct._core.surv import Surv
from semistruct.design import DesignOperator, StructuredDesign
from semistruct.exceptions import DataError
from semistruct.networks import SemiStructuredNetwork
from semistruct.objectives import CoxObjective, Objective
from semistruct.solvers import ExactFit, baseline_hazard, fit_cox

from ._curves import Curves, Rows, register_curves
from ._heads import Head

__all__ = ["CoxCurves", "CoxHead"]


@dataclass(frozen=True)
class CoxHead(Head):
    """Proportional hazards, with Efron's or Breslow's treatment of ties."""

    y: Surv
    ties: str = "efron"
    weight: np.ndarray | None = None
    names: tuple[Any, ...] = ("eta",)
    has_intercept: bool = False

    @property
    def n_rows(self) -> int:
        return len(self.y)

    def fit_exact(
        self,
        matrices: Sequence[np.ndarray | DesignOperator],
        designs: Sequence[StructuredDesign],
        offset: np.ndarray,
    ) -> ExactFit:
        (design,), (matrix,) = designs, matrices
        if design.constraints:
            raise NotImplementedError(
                f"{design.constraints[0].label}: monotone smooths are not built yet "
                "for Cox models."
            )
        return fit_cox(
            np.asarray(matrix),
            self.y.time,
            self.y.event,
            entry=self.y.entry,
            strata=self.y.strata,
            ties=self.ties,
            penalties=design.penalties,
            sample_weight=self.weight,
            offset=offset[:, 0],
        )

    def target(self) -> np.ndarray:
        return np.column_stack([self.y.time, self.y.event])

    def projection_columns(self) -> np.ndarray:
        if self.y.strata is None:
            return np.ones((self.n_rows, 1))
        codes = np.unique(self.y.strata, return_inverse=True)[1]
        return np.eye(codes.max() + 1)[codes]

    def tensors(self, fit: ExactFit) -> dict[str, torch.Tensor]:
        y = self.y
        tensors = {
            "offset": torch.as_tensor(fit.linear_predictor, dtype=torch.float32),
            "time": torch.as_tensor(y.time, dtype=torch.float64),
            "event": torch.as_tensor(y.event),
        }
        if y.entry is not None:
            tensors["entry"] = torch.as_tensor(y.entry, dtype=torch.float64)
        if y.strata is not None:
            codes = np.unique(y.strata, return_inverse=True)[1]
            tensors["strata"] = torch.as_tensor(codes, dtype=torch.int64)
        if self.weight is not None:
            tensors["weight"] = torch.as_tensor(self.weight, dtype=torch.float32)
        return tensors

    def objective(self, network: SemiStructuredNetwork, fit: ExactFit) -> Objective:
        return CoxObjective(network, ties=self.ties)

    def held_out_dispersion(self, fit: ExactFit, held_out: np.ndarray) -> ExactFit:
        return fit

    def curves(self, fit: ExactFit) -> CoxCurves:
        """Give the baseline hazards of a fit."""
        eta = fit.linear_predictor[:, 0]
        shift = float(eta.mean())  # exp() of a far predictor would overflow
        hazards = baseline_hazard(
            eta - shift,
            self.y.time,
            self.y.event,
            entry=self.y.entry,
            strata=self.y.strata,
            sample_weight=self.weight,
            ties=self.ties,
        )
        steps = {
            label: StepFunction(times, hazard, before=0.0)
            for label, (times, hazard) in hazards.items()
        }
        return CoxCurves([steps], [shift])

    def strata(self) -> np.ndarray | None:
        return self.y.event

    def split(
        self, fraction: float, seed: int, groups: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        ids = groups
        if groups is None and self.y.id is not None:
            ids = pd.factorize(self.y.id)[0]
        train, held_out = super().split(fraction, seed, ids)
        parts = (train, held_out) if len(held_out) else (train,)
        if not all(self.y.event[part].any() for part in parts):
            raise DataError(
                f"Early stopping needs events in both parts of the rows, but there are "
                f"only {int(self.y.event.sum())} in all. Give more rows, or another "
                "training=Training(validation_fraction=…)."
            )
        return train, held_out


@register_curves
class CoxCurves(Curves):
    """Baseline hazards: Λ(t | x) = Λ₀(t) exp(η), for each cause and stratum.

    ``hazards`` holds for each linear predictor (one for each cause) and each stratum
    Λ₀ at η = ``shift``; exp() of a far predictor would overflow.
    """

    kind = "cox"

    def __init__(
        self,
        hazards: Sequence[Mapping[Any, StepFunction]],
        shifts: Sequence[float],
        causes: Sequence[Any] = (),
    ) -> None:
        self.hazards = [dict(h) for h in hazards]
        self.shifts = [float(s) for s in shifts]
        self.causes = tuple(causes)
        self.labels = tuple(self.hazards[0])
        steps = [h.times for parts in self.hazards for h in parts.values()]
        self.times = np.unique(np.concatenate(steps))

    def baseline(self) -> dict[Any, StepFunction]:
        """Give the cumulative baseline hazard of each stratum, at η = 0."""
        factor = np.exp(-self.shifts[0])
        return {
            label: StepFunction(h.times, h.values * factor, before=0.0)
            for label, h in self.hazards[0].items()
        }

    def _hazard(
        self, k: int, eta: np.ndarray, labels: list[Any], times: np.ndarray
    ) -> np.ndarray:
        """Give the cumulative hazard of predictor k, (n, m)."""
        values = np.empty((len(eta), len(times)))
        for label, hazard in self.hazards[k].items():
            here = np.array([x == label for x in labels], dtype=bool)
            values[here] = hazard(times)
        values *= np.exp(eta[:, k] - self.shifts[k])[:, None]
        return values

    def cumulative_hazard(self, rows: Rows, times: np.ndarray) -> np.ndarray:
        eta = rows.eta
        labels = self._labels_of(rows)
        parts = [self._hazard(k, eta, labels, times) for k in range(len(self.hazards))]
        return np.sum(parts, axis=0) if len(parts) > 1 else parts[0]

    def risk(self, rows: Rows) -> np.ndarray:
        eta = rows.eta
        return eta if self.causes else eta[:, 0]

    def _labels_of(self, rows: Rows) -> list[Any]:
        if rows.strata is None:
            return [None] * len(rows.frame)
        return rows.strata

    def to_state(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "shifts": self.shifts,
            "causes": [_plain(c) for c in self.causes],
            "labels": [_plain(label) for label in self.labels],
            "times": [[h.times for h in p.values()] for p in self.hazards],
            "values": [[h.values for h in p.values()] for p in self.hazards],
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> CoxCurves:
        hazards = [
            {
                label: StepFunction(t, v, before=0.0)
                for label, t, v in zip(state["labels"], times, values, strict=True)
            }
            for times, values in zip(state["times"], state["values"], strict=True)
        ]
        return cls(hazards, state["shifts"], state["causes"])


def _plain(label: Any) -> Any:
    return label.item() if isinstance(label, np.generic) else label
