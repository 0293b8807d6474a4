"""Heads: what differs between a GLM and a Cox model when table and image are fitted.

A head owns the target of one fit: it runs the exact path, gives the working weights of
the orthogonalisation, the objective of the deep terms and the split for early stopping.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from sklearn.model_selection import (
    GroupShuffleSplit,
    ShuffleSplit,
    StratifiedGroupKFold,
    StratifiedShuffleSplit,
)

from semistruct._core.surv import Surv
from semistruct.design import Penalty
from semistruct.exceptions import DataError
from semistruct.families import Family
from semistruct.networks import SemiStructuredNetwork
from semistruct.objectives import CoxObjective, LikelihoodObjective, Objective
from semistruct.solvers import ExactFit, fit_cox, fit_glm

__all__ = ["CoxHead", "GlmHead", "Head"]


class Head(ABC):
    """The target of one fit, and what is done with it; abstract."""

    n_predictors: int
    has_intercept: bool

    @abstractmethod
    def fit_exact(
        self,
        matrix: np.ndarray,
        penalties: Sequence[Penalty],
        offset: np.ndarray,
        sp: np.ndarray | None = None,
    ) -> ExactFit:
        """Fit the structured part; ``matrix`` (n, p), ``offset`` (n, K)."""

    @abstractmethod
    def projection_columns(self) -> np.ndarray:
        """Columns (n, s) that the projection needs beside those of the design."""

    @abstractmethod
    def scale(self, fit: ExactFit) -> float:
        """Unit of the linear predictor in which the network learns."""

    @abstractmethod
    def tensors(self, scale: float) -> dict[str, torch.Tensor]:
        """Target and weights as float32 tensors, in the network's unit."""

    @abstractmethod
    def objective(self, network: SemiStructuredNetwork) -> Objective:
        """Objective of the deep terms."""

    @abstractmethod
    def held_out_dispersion(
        self, fit: ExactFit, held_out: np.ndarray
    ) -> ExactFit:
        """Replace the dispersion by that of rows which trained no network."""

    @abstractmethod
    def strata(self) -> np.ndarray | None:
        """Labels that the split for early stopping keeps in proportion, or None."""

    def split(
        self, fraction: float, seed: int, groups: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Split the rows into training and validation; groups are never torn."""
        strata, n = self.strata(), self.n_rows
        classes = None if strata is None else np.unique(strata, return_counts=True)[1]
        if classes is not None and (
            classes.min() < 2 or fraction * n < len(classes)
        ):
            strata = None
        blank = np.zeros((n, 1))
        if groups is not None and strata is not None:
            folds = max(2, min(len(np.unique(groups)), round(1 / fraction)))
            splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
            parts = splitter.split(blank, strata, groups)
        elif groups is not None:
            group_split = GroupShuffleSplit(1, test_size=fraction, random_state=seed)
            parts = group_split.split(blank, groups=groups)
        elif strata is not None:
            stratified = StratifiedShuffleSplit(
                1, test_size=fraction, random_state=seed
            )
            parts = stratified.split(blank, strata)
        else:
            parts = ShuffleSplit(1, test_size=fraction, random_state=seed).split(blank)
        train, held_out = next(iter(parts))
        return np.sort(train), np.sort(held_out)

    @property
    @abstractmethod
    def n_rows(self) -> int:
        """Number of rows."""


@dataclass(frozen=True)
class GlmHead(Head):
    """Rows are independent: gaussian, bernoulli, categorical, poisson."""

    family: Family
    y: np.ndarray
    weight: np.ndarray | None = None
    has_intercept: bool = True

    @property
    def n_predictors(self) -> int:  # type: ignore[override]
        return self.family.n_predictors

    @property
    def n_rows(self) -> int:
        return len(self.y)

    def fit_exact(
        self,
        matrix: np.ndarray,
        penalties: Sequence[Penalty],
        offset: np.ndarray,
        sp: np.ndarray | None = None,
    ) -> ExactFit:
        k = self.n_predictors
        return fit_glm(
            [matrix] * k,
            self.y,
            self.family,
            penalties=[tuple(penalties)] * k,
            sample_weight=self.weight,
            offset=offset,
        )

    def projection_columns(self) -> np.ndarray:
        return np.empty((self.n_rows, 0))

    def scale(self, fit: ExactFit) -> float:
        return float(np.sqrt(fit.dispersion)) if self.family.has_dispersion else 1.0

    def tensors(self, scale: float) -> dict[str, torch.Tensor]:
        tensors = {"y": torch.as_tensor(self.y / scale, dtype=torch.float32)}
        if self.weight is not None:
            weight = torch.as_tensor(self.weight, dtype=torch.float32)
            tensors["weight"] = weight
        return tensors

    def objective(self, network: SemiStructuredNetwork) -> Objective:
        return LikelihoodObjective(network, self.family)

    def held_out_dispersion(self, fit: ExactFit, held_out: np.ndarray) -> ExactFit:
        if not self.family.has_dispersion:
            return fit
        weight = np.ones(self.n_rows) if self.weight is None else self.weight
        weight = weight[held_out]
        y = torch.as_tensor(self.y[held_out], dtype=torch.float64)
        eta = torch.as_tensor(fit.linear_predictor[held_out])
        deviance = self.family.deviance(y, eta, torch.as_tensor(weight))
        residual_share = 1 - fit.edf.sum() / self.n_rows
        total = weight.sum() * residual_share
        if total <= 0 or deviance <= 0:
            return fit
        dispersion = float(deviance / total)
        ratio = dispersion / fit.dispersion
        return replace(
            fit,
            dispersion=dispersion,
            cov=fit.cov * ratio,
            cov_frequentist=fit.cov_frequentist * ratio,
        )

    def strata(self) -> np.ndarray | None:
        discrete = self.family.name in ("bernoulli", "categorical")
        return self.y if discrete else None


@dataclass(frozen=True)
class CoxHead(Head):
    """Proportional hazards, with Efron's or Breslow's treatment of ties."""

    y: Surv
    ties: str = "efron"
    weight: np.ndarray | None = None
    n_predictors: int = 1
    has_intercept: bool = False

    @property
    def n_rows(self) -> int:
        return len(self.y)

    def fit_exact(
        self,
        matrix: np.ndarray,
        penalties: Sequence[Penalty],
        offset: np.ndarray,
        sp: np.ndarray | None = None,
    ) -> ExactFit:
        return fit_cox(
            matrix,
            self.y.time,
            self.y.event,
            entry=self.y.entry,
            strata=self.y.strata,
            ties=self.ties,
            penalties=tuple(penalties),
            sample_weight=self.weight,
            offset=offset[:, 0],
        )

    def projection_columns(self) -> np.ndarray:
        if self.y.strata is None:
            return np.ones((self.n_rows, 1))
        codes = np.unique(self.y.strata, return_inverse=True)[1]
        return np.eye(codes.max() + 1)[codes]

    def scale(self, fit: ExactFit) -> float:
        return 1.0

    def tensors(self, scale: float) -> dict[str, torch.Tensor]:
        y = self.y
        tensors = {
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

    def objective(self, network: SemiStructuredNetwork) -> Objective:
        return CoxObjective(network, ties=self.ties)

    def held_out_dispersion(self, fit: ExactFit, held_out: np.ndarray) -> ExactFit:
        return fit

    def strata(self) -> np.ndarray | None:
        return self.y.event

    def split(
        self, fraction: float, seed: int, groups: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        ids = self.y.id if groups is None else groups
        train, held_out = super().split(fraction, seed, ids)
        if not (self.y.event[train].any() and self.y.event[held_out].any()):
            raise DataError(
                f"Early stopping needs events in both parts of the rows, but there are "
                f"only {int(self.y.event.sum())} in all. Give more rows, or another "
                "training=Training(validation_fraction=…)."
            )
        return train, held_out
