"""Semi-structured classification."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets

from semistruct._core.randomness import RandomState
from semistruct._core.validation import check_bool
from semistruct.engine import Training
from semistruct.exceptions import TargetError
from semistruct.families import Bernoulli, Categorical, Family

from ._base import SemiStructuredEstimator
from ._heads import GlmHead, Head
from ._state import register

__all__ = ["SemiStructuredClassifier"]


@register
class SemiStructuredClassifier(ClassifierMixin, SemiStructuredEstimator):
    """Logistic and multinomial regression on a table and on images or omics.

    Two classes: logit P(y = classes_[1]) = η. C classes: log(P(y = c) / P(y = first)) =
    η_c for each class but the first, in the order of ``classes_``. Everything else is
    as in `SemiStructuredRegressor`.

    Parameters
    ----------
    terms : str, list of Term or None, default=None
        The predictor, such as ``"age + s(bmi) + image(scan)"``; None is every column
        linear.
    firth : bool, default=False
        Whether to add Firth's penalty, which keeps coefficients finite where the data
        separate the classes; for two classes and terms without smooths.
    encoders : dict of str to Encoder, torch.nn.Module or str, optional
        Encoder of each deep term, by its column.
    orthogonalize : {"global", "batch", "post_hoc", "none"}, default="global"
        How structured columns are taken out of the deep terms: once, over all rows of
        fit; in each batch of training too (the paper's cell); after the fit, with
        predictions unchanged; or not.
    strategy : {"joint", "two_stage", "backfit"}, default="joint"
        The structured part is fitted before the deep terms and again beside them
        ("joint"); before them only ("two_stage"); or in turns with them ("backfit").
    inference : str, `CrossFit` or `Bootstrap`, default="conditional"
        What standard errors know of the deep terms: nothing ("conditional"); their last
        layer, a ridge block of the same fit ("last_layer"); that they were learned, by
        networks that saw other rows ("cross_fit") or by refits of everything
        ("bootstrap").
    estimand : {"projection", "adjusted"}, default="projection"
        A coefficient is the effect of its covariate without adjustment for the deep
        terms, or at fixed deep features (gaussian, with ``inference="cross_fit"``).
    modality_dropout : float or dict of str to float, default=0.0
        Probability in [0, 1) that a deep term is left out of a row in training, for all
        or by its name; one of a row always stays. For the terms within ``fuse()`` it
        has an option of its own.
    training : Training, optional
        How deep terms are trained.
    missing : {"error", "drop", "indicator"}, default="error"
        Rows that lack a structured column or y: an error; left out of fit; or filled
        (numbers by the mean) and marked by a column ``<name>_missing``, factors by a
        level of their own, in fit and prediction.
    random_state : int, Generator, RandomState or None, default=None
        Source of the split, of initial weights, order and dropout.
    progress : bool, default=False
        Whether to show a progress bar on stderr.

    Attributes
    ----------
    classes_ : ndarray of shape (C,)
        The classes, sorted; the first is the reference.
    coef_ : ndarray of shape (p,) or (C - 1, p)
        Log odds ratios, without the intercepts.
    intercept_ : float or ndarray of shape (C - 1,)
        Intercepts.
    cov_params_ : DataFrame
        Bayesian covariance of the structured coefficients.
    history_ : DataFrame
        A row for each epoch; empty without deep terms.

    References
    ----------
    Rügamer, Kolb & Klein (2024), The American Statistician 78, 88-99,
    doi:10.1080/00031305.2022.2164054

    Examples
    --------
    >>> import numpy as np, pandas as pd, semistruct as ss
    >>> x = np.linspace(-2, 2, 50)
    >>> X, y = pd.DataFrame({"x": x}), np.where(np.sin(9 * x) + x > 0, "ill", "well")
    >>> model = ss.SemiStructuredClassifier("x").fit(X, y)
    >>> model.predict_proba(X.head(1)).round(2)
    array([[0.01, 0.99]])
    """

    def __init__(
        self,
        terms: Any = None,
        *,
        firth: bool = False,
        encoders: Mapping[str, Any] | None = None,
        orthogonalize: str = "global",
        strategy: str = "joint",
        inference: Any = "conditional",
        estimand: str = "projection",
        modality_dropout: float | Mapping[str, float] = 0.0,
        training: Training | None = None,
        missing: str = "error",
        random_state: RandomState = None,
        progress: bool = False,
    ) -> None:
        self.terms = terms
        self.firth = firth
        self.encoders = encoders
        self.orthogonalize = orthogonalize
        self.strategy = strategy
        self.inference = inference
        self.estimand = estimand
        self.modality_dropout = modality_dropout
        self.training = training
        self.missing = missing
        self.random_state = random_state
        self.progress = progress

    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None
    ) -> SemiStructuredClassifier:
        """Fit the model.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, p)
            The table.
        y : array-like of shape (n,)
            Class of each row; two classes or more.
        sample_weight : array-like of shape (n,), optional
            Frequency weights, >= 0.
        groups : array-like of shape (n,), optional
            Labels that the split for early stopping does not tear apart.

        Returns
        -------
        self

        Raises
        ------
        FormulaError, ColumnError, DataError, ImageError, TargetError, ParameterError
            Naming what cannot be used, and what to do.
        """
        self._fit(X, y, sample_weight, groups)
        return self

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_bool(self.firth, parameter="firth", owner=type(self).__name__)

    def _make_head(
        self,
        y: Any,
        weight: np.ndarray | None,
        var_weight: np.ndarray | None,
        formulas: list[str | None],
    ) -> Head:
        self._only_formula(formulas)
        name = type(self).__name__
        bad = ~np.isfinite(y) if y.dtype.kind == "f" else pd.isna(y)
        if bad.any():
            raise TargetError(
                f"{name}: y is missing or infinite in {int(bad.sum())} row(s), first "
                f"at row {int(np.argmax(bad))}. Leave these rows out."
            )
        try:
            check_classification_targets(y)
        except ValueError as error:
            raise TargetError(f"{name}: {error}") from error
        counted = y if weight is None else y[weight > 0]
        classes = np.unique(counted)
        if len(classes) < 2:
            raise TargetError(
                f"{name}: y has one class only, {classes[0]!r}; a "
                "classifier needs two or more."
            )
        codes = _codes(classes, y)
        family: Family = Bernoulli() if len(classes) == 2 else Categorical(len(classes))
        self.classes_, self.family_ = classes, family
        names = tuple(_plain(label) for label in classes[1:])
        return GlmHead(family, codes, names, weight=weight, firth=self.firth)

    _ratio = "odds ratio"

    def _likelihood_kind(self) -> str:
        return f"{len(self.classes_)} classes"

    def _coded(self, y: np.ndarray) -> np.ndarray:
        return _codes(self.classes_, y)

    def decision_function(self, X: Any) -> np.ndarray:
        """Give the linear predictors.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, p)
            The table.

        Returns
        -------
        ndarray of shape (n,) or (n, C)
            Log odds of the second class; with C > 2 classes log odds of each against
            the first, whose own column is 0.
        """
        eta = self._linear_predictor(X)
        if eta.shape[1] == 1:
            return eta[:, 0]
        return np.hstack([np.zeros((len(eta), 1)), eta])

    def predict_proba(self, X: Any) -> np.ndarray:
        """Predict the probability of each class.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, p)
            The table.

        Returns
        -------
        ndarray of shape (n, C)
            Rows add up to 1; columns in the order of ``classes_``.
        """
        eta = self._linear_predictor(X)
        log_odds = np.hstack([np.zeros((len(eta), 1)), eta])
        return torch.softmax(torch.as_tensor(log_odds), dim=1).numpy()

    def predict(self, X: Any) -> np.ndarray:
        """Predict the most probable class.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, p)
            The table.

        Returns
        -------
        ndarray of shape (n,)
        """
        codes = self.predict_proba(X).argmax(axis=1)
        return self.classes_[codes]


def _codes(classes: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Give the number of each class, as float64."""
    codes = np.searchsorted(classes, y).clip(max=len(classes) - 1)
    return codes.astype(np.float64)


def _plain(label: Any) -> Any:
    return label.item() if isinstance(label, np.generic) else label
