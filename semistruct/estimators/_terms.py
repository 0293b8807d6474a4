"""What a fitted model says term by term: coefficients, contributions, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from semistruct._core.terms import Term
from semistruct.design import Block, format_terms
from semistruct.solvers import ExactFit

from . import _input
from ._additive import AdditivePredictor
from ._features import Features
from ._missing import MissingIndicator, check_no_missing

__all__ = ["FittedTerms"]


class FittedTerms(BaseEstimator):
    """Reading of a fitted additive predictor; a part of every estimator."""

    predictor_: AdditivePredictor
    exact_: ExactFit
    terms_: Any
    missing_: MissingIndicator
    features_: Features

    # -- prediction -------------------------------------------------------------

    def _frame(self, X: Any) -> pd.DataFrame:
        check_is_fitted(self, "predictor_")
        frame = _input.as_frame(self, X, reset=False)
        if hasattr(self, "missing_"):
            frame = self.missing_.transform(frame)
        frame = self.features_.transform(frame)
        _input.check_columns(self, frame, self.predictor_.columns)
        check_no_missing(self, frame, self.predictor_.columns)
        return frame

    def _linear_predictor(self, X: Any) -> np.ndarray:
        frame = self._frame(X)
        return self.predictor_.linear_predictor(frame)

    def _linear_predictor_se(self, X: Any) -> np.ndarray:
        """Give the standard error (n, K) of each linear predictor."""
        matrices = self.predictor_.matrices(self._frame(X))
        out = []
        for k, (matrix, at) in enumerate(
            zip(matrices, self.exact_.slices, strict=True)
        ):
            variance = _row_se(matrix, self.exact_.cov[at, at]) ** 2
            for block in self.predictor_.designs[k].blocks:
                variance += self._unseen(block, matrix, k)
            out.append(np.sqrt(variance))
        return np.stack(out, axis=1)

    def _unseen(self, block: Block, matrix: np.ndarray, k: int) -> np.ndarray:
        """Give the prior variance of a random intercept to rows of unseen levels."""
        if block.kind != "random" or len(block.columns) > 1:
            return np.zeros(len(matrix))
        penalties = [
            (j, penalty.label)
            for j, design in enumerate(self.predictor_.designs)
            for penalty in design.penalties
        ]
        smoothing = float(self.exact_.sp[penalties.index((k, block.label))])
        unseen = ~matrix[:, block.start : block.stop].any(axis=1)
        return np.where(unseen, self.exact_.dispersion / smoothing, 0.0)

    def predict_linear(self, X: Any) -> pd.DataFrame:
        """Give the linear predictor with its standard error.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, p)
            The table.

        Returns
        -------
        DataFrame of n rows
            The columns ``estimate`` and ``std err``, on the scale of the link; with
            several linear predictors the columns have two levels, (predictor, column).
            Deep terms are conditioned on.
        """
        frame = self._frame(X)
        eta = self.predictor_.linear_predictor(frame)
        se = self._linear_predictor_se(frame)
        names = self._predictor_names()
        parts = {
            name: pd.DataFrame(
                {"estimate": eta[:, k], "std err": se[:, k]}, index=frame.index
            )
            for k, name in enumerate(names)
        }
        return parts[names[0]] if len(names) == 1 else pd.concat(parts, axis=1)

    def predict_terms(self, X: Any, se: bool = False) -> pd.DataFrame:
        """Give the contribution of each term to the linear predictor.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, p)
            The table.
        se : bool, default=False
            Whether to give the standard errors of the contributions and not the
            contributions; those of deep terms, which are conditioned on, are 0.

        Returns
        -------
        DataFrame of n rows
            A column for each term, on the scale of the link; they add up to the linear
            predictor. With several linear predictors the columns have two levels,
            (predictor, term).
        """
        frame = self._frame(X)
        terms = self._terms_se(frame) if se else self.predictor_.terms(frame)
        names = self._predictor_names()
        if len(names) == 1:
            return pd.DataFrame(terms[0], index=frame.index)
        pairs = {
            (name, label): d
            for name, contributions in zip(names, terms, strict=True)
            for label, d in contributions.items()
        }
        return pd.DataFrame(pairs, index=frame.index)

    def _terms_se(self, frame: pd.DataFrame) -> list[dict[str, np.ndarray]]:
        out = []
        known = self.predictor_.terms(frame)
        matrices = self.predictor_.matrices(frame)
        for k, matrix in enumerate(matrices):
            errors = dict.fromkeys(known[k], np.zeros(len(frame)))
            start = self.exact_.slices[k].start
            for block in self.predictor_.designs[k].blocks:
                at = slice(start + block.start, start + block.stop)
                part = matrix[:, block.start : block.stop]
                variance = _row_se(part, self.exact_.cov[at, at]) ** 2
                variance += self._unseen(block, matrix, k)
                errors[block.label] = np.sqrt(variance)
            out.append(errors)
        return out

    # -- coefficients -----------------------------------------------------------

    def _predictor_names(self) -> list[Any]:
        """Names of the linear predictors."""
        return [p.name for p in self.predictor_.predictors]

    @property
    def params_(self) -> pd.Series:
        """All coefficients of the structured part, by name (and linear predictor)."""
        check_is_fitted(self, "predictor_")
        names = self._coefficient_names()
        return pd.Series(self.exact_.coef, index=names, name="coef")

    @property
    def coef_(self) -> np.ndarray:
        """Coefficients of the structured part without intercepts.

        Of shape (p,); (K, p) where K linear predictors share one formula; where each
        has a formula of its own, those of all, one after the other.
        """
        check_is_fitted(self, "predictor_")
        parts = [
            p.coef[[name != "Intercept" for name in p.design.names]]
            for p in self.predictor_.predictors
        ]
        if len(parts) == 1:
            return parts[0]
        return np.stack(parts) if self._shares_design() else np.concatenate(parts)

    @property
    def intercept_(self) -> float | np.ndarray:
        """Intercept, 0 where there is none; (K,) with several linear predictors."""
        check_is_fitted(self, "predictor_")
        values = [
            float(p.coef[[name == "Intercept" for name in p.design.names]].sum())
            for p in self.predictor_.predictors
        ]
        return values[0] if len(values) == 1 else np.array(values)

    @property
    def cov_params_(self) -> pd.DataFrame:
        """Covariance matrix of all structured coefficients."""
        check_is_fitted(self, "predictor_")
        names = self._coefficient_names()
        return pd.DataFrame(self.exact_.cov, index=names, columns=names)

    def _coefficient_names(self) -> pd.Index:
        predictors = self.predictor_.predictors
        if len(predictors) == 1:
            return pd.Index(predictors[0].design.names, name="term")
        pairs = [(p.name, name) for p in predictors for name in p.design.names]
        return pd.MultiIndex.from_tuples(pairs, names=["predictor", "term"])

    def _shares_design(self) -> bool:
        designs = self.predictor_.designs
        return all(design is designs[0] for design in designs)

    def _formula(self) -> str:
        """Write the terms as a formula."""
        if isinstance(self.terms_, dict):
            parts = (f"{k}: {format_terms(v)}" for k, v in self.terms_.items())
            return "; ".join(parts)
        terms: tuple[Term, ...] = self.terms_
        return format_terms(terms)


def _row_se(matrix: np.ndarray, cov: np.ndarray) -> np.ndarray:
    """Give sqrt(x' V x) for each row x."""
    return np.sqrt(np.maximum(np.einsum("ij,ij->i", matrix @ cov, matrix), 0.0))
