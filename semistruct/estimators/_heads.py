"""Heads: what differs between models when table and image are fitted.

A head owns the target of one fit: it runs the exact path, gives the working weights of
the orthogonalisation, the objective of the deep terms and the split for early stopping.
"""

from __future__ import annotations

import hashlib
import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pandas as pd
import torch

from semistruct._core.terms import StructuredTerm
from semistruct.design import DesignOperator, StructuredDesign
from semistruct.exceptions import DataError, InferenceWarning, ParameterError
from semistruct.families import Family
from semistruct.inference import score_rows
from semistruct.networks import SemiStructuredNetwork
from semistruct.objectives import LikelihoodObjective, Objective
from semistruct.solvers import ExactFit, fit_glm

from ._additive import evaluate, projected

__all__ = ["GlmHead", "Head"]


class Head(ABC):
    """The target of one fit, and what is done with it; abstract."""

    names: tuple[Any, ...]  # of the linear predictors
    has_intercept: bool

    @property
    def provided(self) -> dict[str, float]:
        """Columns that terms may read and the table lacks, with a value of each."""
        return {}

    def completed(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Give the table with typical values of the columns that are provided."""
        return frame

    @property
    def n_predictors(self) -> int:
        """Number K of linear predictors."""
        return len(self.names)

    def fit_design(
        self,
        terms: Sequence[StructuredTerm],
        frame: pd.DataFrame,
        weight: np.ndarray | None,
    ) -> StructuredDesign:
        """Learn levels, knots and constraints of a predictor from the rows of fit."""
        intercept = self.has_intercept
        return StructuredDesign.fit(terms, frame, intercept=intercept, weight=weight)

    def evaluate(
        self, designs: Sequence[StructuredDesign], frame: pd.DataFrame
    ) -> Sequence[np.ndarray | DesignOperator]:
        """Evaluate designs for `fit_exact`; a shared design once."""
        return evaluate(designs, frame)

    def projected(
        self,
        designs: Sequence[StructuredDesign],
        matrices: Sequence[Any],
        frame: pd.DataFrame,
    ) -> list[np.ndarray]:
        """Give the columns (n, p*) of each predictor that deep terms lose."""
        return projected(designs, matrices)

    @abstractmethod
    def fit_exact(
        self,
        matrices: Sequence[np.ndarray | DesignOperator],
        designs: Sequence[StructuredDesign],
        offset: np.ndarray,
    ) -> ExactFit:
        """Fit the structured part.

        ``matrices`` (n, p_k) are the designs of each predictor, evaluated; ``offset``
        is (n, K).
        """

    @abstractmethod
    def projection_columns(self) -> np.ndarray:
        """Columns (n, s) that the projection needs beside those of the design."""

    def units(self, fit: ExactFit) -> np.ndarray:
        """Give the unit (K,) of each linear predictor in which the network learns."""
        return np.ones(self.n_predictors)

    @abstractmethod
    def tensors(
        self, fit: ExactFit, matrices: Sequence[Any], offset: np.ndarray
    ) -> dict[str, torch.Tensor]:
        """Target, offset and weights of the rows, around ``fit``.

        ``matrices`` and ``offset`` are those that it was fitted to.
        """

    @abstractmethod
    def objective(self, network: SemiStructuredNetwork, fit: ExactFit) -> Objective:
        """Objective of the deep terms, with what ``fit`` found of the rest."""

    @abstractmethod
    def held_out_dispersion(self, fit: ExactFit, held_out: np.ndarray) -> ExactFit:
        """Replace the dispersion by that of rows which trained no network."""

    def take(self, rows: np.ndarray) -> Head:
        """Give the head of some rows, which may be there more than once."""
        raise self._not_by_rows()

    def scores(self, matrices: Sequence[Any], fit: ExactFit) -> np.ndarray:
        """Give what each row adds to the score of the coefficients, (n, p)."""
        raise self._not_by_rows()

    def _not_by_rows(self) -> ParameterError:
        return ParameterError(
            parameter="inference",
            owner=type(self).__name__.removesuffix("Head") or "the head",
            allowed="'conditional' for this head",
            given="one that fits some of the rows",
            hint="Cross-fitting is built for regression, classification and Cox; the "
            "bootstrap for accelerated failure times too.",
        )

    def deviances(self, fit: ExactFit) -> tuple[float, float] | None:
        """Give the deviance of a fit and that of the null model, where there are."""
        return None

    @abstractmethod
    def strata(self) -> np.ndarray | None:
        """Labels that the split for early stopping keeps in proportion, or None."""

    def split(
        self, fraction: float, seed: int, groups: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Split the rows into training and validation; groups are never torn."""
        # imported here: it costs a sixth of a second at start
        from sklearn.model_selection import (
            GroupShuffleSplit,
            ShuffleSplit,
            StratifiedGroupKFold,
            StratifiedShuffleSplit,
        )

        strata, n = self.strata(), self.n_rows
        if fraction == 0:
            return np.arange(n), np.empty(0, dtype=np.int64)
        if groups is not None and len(np.unique(groups)) < 2:
            raise DataError(
                "All rows are of one group (or of one id), so early stopping cannot "
                "hold rows out without tearing it. Give two groups or more, or "
                "training=Training(validation_fraction=0)."
            )
        classes = None if strata is None else np.unique(strata, return_counts=True)[1]
        if classes is not None and (classes.min() < 2 or fraction * n < len(classes)):
            strata = None
        blank = np.zeros((n, 1))
        folds = max(2, round(1 / fraction))
        if groups is not None and classes is not None and classes.min() < folds:
            strata = None
        if groups is not None and strata is not None:
            folds = min(folds, len(np.unique(groups)))
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

    def digest(self) -> str:
        """Name the target, so that models of other targets are not compared."""
        return _digest(np.ascontiguousarray(self.target()))

    @abstractmethod
    def target(self) -> np.ndarray:
        """Give the target as numbers, a row for each row of fit."""

    @property
    @abstractmethod
    def n_rows(self) -> int:
        """Number of rows."""


@dataclass(frozen=True)
class GlmHead(Head):
    """Rows are independent: every family, one formula or one for each parameter."""

    family: Family
    y: np.ndarray
    names: tuple[Any, ...] = ()
    weight: np.ndarray | None = None
    var_weight: np.ndarray | None = None
    method: str = "REML"
    firth: bool = False
    has_intercept: bool = True

    @property
    def n_rows(self) -> int:
        return len(self.y)

    def fit_exact(
        self,
        matrices: Sequence[np.ndarray | DesignOperator],
        designs: Sequence[StructuredDesign],
        offset: np.ndarray,
    ) -> ExactFit:
        return fit_glm(
            matrices,
            self.y,
            self.family,
            penalties=[design.penalties for design in designs],
            constraints=[design.constraints for design in designs],
            firth=self.firth,
            sample_weight=self.weight,
            var_weights=self.var_weight,
            offset=offset,
            method=self.method,
        )

    def target(self) -> np.ndarray:
        return np.asarray(self.y, dtype=np.float64)

    def projection_columns(self) -> np.ndarray:
        return np.empty((self.n_rows, 0))

    def units(self, fit: ExactFit) -> np.ndarray:
        """Give 1, or the standard deviation of one row where the link is the identity.

        With W_kk the working weight, that is sqrt(phi / W_kk): one learning rate suits
        every unit of y.
        """
        units = np.ones(self.n_predictors)
        rows = fit.working_weight.sum(axis=0) / fit.n_effective
        for k, name in enumerate(self.family.parameters):
            link = self.family.links.get(name)
            if link is not None and link.name == "identity" and rows[k] > 0:
                # 0 where the fit is perfect
                units[k] = float(np.sqrt(fit.dispersion / rows[k])) or 1.0
        return units

    def tensors(
        self, fit: ExactFit, matrices: Sequence[Any], offset: np.ndarray
    ) -> dict[str, torch.Tensor]:
        # float64: y may be far from 0 in units of its spread
        tensors = {
            "y": torch.as_tensor(self.y, dtype=torch.float64),
            "offset": torch.as_tensor(fit.linear_predictor, dtype=torch.float64),
        }
        factors = [w for w in (self.weight, self.var_weight) if w is not None]
        if factors:
            weight = np.prod(factors, axis=0)
            tensors["weight"] = torch.as_tensor(weight, dtype=torch.float64)
        return tensors

    def objective(self, network: SemiStructuredNetwork, fit: ExactFit) -> Objective:
        family = self.family
        if family.n_shapes:
            family = family.with_shapes(fit.shapes)
        return LikelihoodObjective(network, family, dispersion=fit.dispersion)

    def held_out_dispersion(self, fit: ExactFit, held_out: np.ndarray) -> ExactFit:
        if not self.family.has_dispersion:
            return fit
        if not len(held_out):
            warnings.warn(
                "validation_fraction=0: the dispersion comes from rows that trained "
                "the deep terms, so it and the standard errors are too small.",
                InferenceWarning,
                stacklevel=8,
            )
            return fit
        weight = np.ones(self.n_rows) if self.weight is None else self.weight
        weight = weight[held_out]
        precise = (
            weight if self.var_weight is None else weight * self.var_weight[held_out]
        )
        eta = fit.linear_predictor[held_out]
        deviance = self.family.deviance(self.y[held_out], eta, precise)
        residual_share = 1 - fit.edf.sum() / fit.n_effective
        total = weight.sum() * residual_share
        if total <= 0 or deviance <= 0:
            return fit
        dispersion = deviance / total
        ratio = dispersion / fit.dispersion
        return replace(
            fit,
            dispersion=dispersion,
            cov=fit.cov * ratio,
            cov_frequentist=fit.cov_frequentist * ratio,
        )

    def take(self, rows: np.ndarray) -> Head:
        own = {f.name: getattr(self, f.name) for f in fields(self)}
        kept = ("y", "weight", "var_weight", "given")
        return replace(
            self,
            **{k: v[rows] for k, v in own.items() if k in kept and v is not None},
        )

    def scores(self, matrices: Sequence[Any], fit: ExactFit) -> np.ndarray:
        family = self.family.with_shapes(fit.shapes) if self.family.n_shapes else None
        _, slope, _ = (family or self.family).derivatives(
            torch.as_tensor(self.y),
            torch.as_tensor(fit.linear_predictor),
            fit.dispersion,
        )
        slopes = slope.numpy()
        for factor in (self.weight, self.var_weight):
            if factor is not None:
                slopes = slopes * factor[:, None]
        return score_rows(matrices, slopes)

    def deviances(self, fit: ExactFit) -> tuple[float, float]:
        """Give the deviance of a fit and that of intercepts alone."""
        family = self.family
        if family.n_shapes:
            family = family.with_shapes(fit.shapes)
        weight = np.ones(self.n_rows) if self.weight is None else self.weight
        level = np.asarray(family.initial(self.y, weight), dtype=np.float64)
        null = np.tile(level, (self.n_rows, 1))
        fitted = family.deviance(self.y, fit.linear_predictor, self.weight)
        return float(fitted), float(family.deviance(self.y, null, self.weight))

    def strata(self) -> np.ndarray | None:
        discrete = self.family.name in ("bernoulli", "categorical")
        return self.y if discrete else None


def _digest(values: np.ndarray) -> str:
    return hashlib.sha256(values.tobytes()).hexdigest()[:16]
