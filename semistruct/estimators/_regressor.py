"""Semi-structured regression."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from scipy import stats
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted

from semistruct._core.randomness import RandomState
from semistruct._core.validation import check_choice, check_number
from semistruct.engine import Training
from semistruct.exceptions import ParameterError
from semistruct.families import Family, get_family

from . import _input
from ._base import SemiStructuredEstimator
from ._heads import GlmHead
from ._state import register

__all__ = ["METHODS", "SemiStructuredRegressor"]

METHODS = ("REML", "ML", "GCV")


@register
class SemiStructuredRegressor(RegressorMixin, SemiStructuredEstimator):
    """Regression on a table and on images or omics, by one line of terms.

    η = Xβ + Σ smooths + Σ d_m(u_m), E[y] = η for the gaussian family. Without deep
    terms it is an exact linear or additive model and no network is trained. With them,
    the structured part is fitted exactly before and after, and each d_m is orthogonal
    to the structured columns over the rows of fit, so that what both could explain is
    credited to the structured part.

    Parameters
    ----------
    terms : str, list of Term, dict or None, default=None
        The predictor, as a formula such as ``"age + s(bmi) + image(scan)"`` or as the
        list that it parses to; None is every column linear. See `semistruct.terms`. A
        dict gives a formula to each of several distribution parameters.
    family : str or Family, default="gaussian"
        Distribution of ``y`` given the terms, see `semistruct.families`. With one
        formula it is that of the first parameter (the mean or location) and the others
        are constants; a dict of formulas gives others theirs:
        ``{"loc": "x + s(z) + image(scan)", "scale": "x"}``.
    method : {"REML", "ML", "GCV"}, default="REML"
        How smoothing parameters are estimated.
    encoders : dict of str to Encoder, torch.nn.Module or str, optional
        Encoder of each deep term, by its column (or by its label). A module is copied,
        never changed. Options are parameters of the estimator: ``scan__width``.
    orthogonalize : {"global", "batch", "post_hoc", "none"}, default="global"
        How structured columns are taken out of the deep terms: over all rows of fit; in
        each batch too (the paper's cell); after it, predictions unchanged; or not.
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
        or by its name; one of a row always stays. ``fuse()`` has an option of its own.
    training : Training, optional
        How deep terms are trained. Its options are parameters of the estimator:
        ``training__max_epochs``.
    missing : {"error", "drop", "indicator"}, default="error"
        Rows that lack a structured column or y: an error; left out of fit; or filled
        (numbers by the mean) and marked by a column ``<name>_missing``, factors by a
        level of their own, in fit and prediction.
    random_state : int, Generator, RandomState or None, default=None
        Source of the split for early stopping, of initial weights, order and dropout.
    progress : bool, default=False
        Whether to show a progress bar on stderr.

    Attributes
    ----------
    coef_ : ndarray of shape (p,)
        Coefficients of the structured part, without the intercept.
    intercept_ : float
        Intercept; 0 where the terms take it out.
    cov_params_ : DataFrame of shape (p + 1, p + 1)
        Bayesian covariance of the structured coefficients.
    params_ : Series
        All structured coefficients by name, intercepts included.
    family_ : Family
        The fitted family, with the estimates of its constant shapes.
    terms_ : tuple of Term, or dict of them
        The terms.
    history_ : DataFrame
        A row for each epoch; empty without deep terms.
    n_features_in_ : int
        Number of columns that the terms use.
    feature_names_in_ : ndarray of str
        Their names, where X had names.

    Notes
    -----
    With deep terms the dispersion is the mean squared residual of the rows that early
    stopping held out, since residuals of the other rows are too small. Standard errors
    are conditional on the deep features: they do not know that these were learned.

    References
    ----------
    Rügamer, Kolb & Klein (2024), The American Statistician 78, 88-99,
    doi:10.1080/00031305.2022.2164054

    Examples
    --------
    >>> import semistruct as ss
    >>> X, y = ss.datasets.load_mcycle()
    >>> model = ss.SemiStructuredRegressor("s(times, k=20)").fit(X, y)
    >>> round(model.score(X, y), 2)
    0.8
    """

    family_: Family

    def __init__(
        self,
        terms: Any = None,
        *,
        family: str | Family = "gaussian",
        method: str = "REML",
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
        self.family = family
        self.method = method
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
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        groups: Any = None,
        var_weights: Any = None,
    ) -> Self:
        """Fit the model.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, p)
            The table; a bare array has the columns ``x0``, ``x1``, …
        y : array-like of shape (n,)
            Response, legal for the family.
        sample_weight : array-like of shape (n,), optional
            Frequency weights, >= 0: they multiply log-likelihood contributions.
        groups : array-like of shape (n,), optional
            Labels that the split for early stopping does not tear apart.
        var_weights : array-like of shape (n,), optional
            Precision weights, > 0: the dispersion of a row is divided by its weight
            (gaussian, gamma and others with a dispersion). Without a dispersion they
            multiply log-likelihood contributions as ``sample_weight`` does.

        Returns
        -------
        self

        Raises
        ------
        FormulaError, ColumnError, DataError, ImageError, TargetError, ParameterError
            Naming what cannot be used, and what to do.
        """
        _, fitted = self._fit(X, y, sample_weight, groups, var_weights)
        if self.family_.n_shapes:
            self.family_ = self.family_.with_shapes(fitted.exact.shapes)
        return self

    def _check_y(self, y: Any, n: int) -> Any:
        binomial = getattr(self.family, "name", self.family) == "binomial"
        if binomial and np.ndim(y) == 2:
            return np.asarray(y)  # successes and failures; the family checks them
        return super()._check_y(y, n)

    def _check_parameters(self) -> None:
        super()._check_parameters()
        owner = type(self).__name__
        check_choice(self.method, METHODS, parameter="method", owner=owner)

    def _family(self, y: np.ndarray) -> Family:
        """Make the family; one of classes, given by name, counts them in y."""
        classes = ("ordinal", "categorical", "multinomial")
        if isinstance(self.family, str) and self.family in classes:
            seen = pd.factorize(y)[1]
            return get_family(self.family, n_classes=max(len(seen), 2))
        return get_family(self.family)

    def _make_head(
        self,
        y: Any,
        weight: np.ndarray | None,
        var_weight: np.ndarray | None,
        formulas: list[str | None],
    ) -> GlmHead:
        family = self._family(y)
        named = [name for name in formulas if name is not None]
        if named:
            family = family.with_formulas(named)
        target = family.check_target(y, type(self).__name__)
        self.family_ = family
        return GlmHead(
            family,
            target,
            tuple(family.parameters),
            weight=weight,
            var_weight=var_weight,
            method=self.method,
            has_intercept=family.needs_intercept,
        )

    def predict(
        self, X: Any, *, interval: float | None = None, var_weights: Any = None
    ) -> Any:
        """Predict the mean of the response.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, p)
            The table; a modality that it lacks, or a null cell, contributes 0.
        interval : float in (0, 1), optional
            Level of a prediction interval.
        var_weights : array-like of shape (n,), optional
            Precision weights v > 0 of the responses that the interval is for: their
            dispersion is φ/v. 1 if not given, whatever the weights of fit were.

        Returns
        -------
        ndarray of shape (n,), or DataFrame of n rows if ``interval`` is given
            The columns are ``mean``, ``lower`` and ``upper``: the quantiles of the
            predicted distribution; for the gaussian family with a constant scale those
            of Student's t, which know that the mean was estimated.

        Notes
        -----
        The mean of ``"categorical"`` and ``"ordinal"`` is the probability of each
        class, (n, C); the mean and the quantiles of ``"binomial"`` are those of one
        trial.
        """
        eta = self._linear_predictor(X)
        mean = self.family_.mean(torch.as_tensor(eta)).numpy()
        if interval is None and var_weights is not None:
            raise ParameterError(
                parameter="var_weights",
                owner=f"{type(self).__name__}.predict",
                allowed="None without an interval: they do not move the mean",
                given=type(var_weights).__name__,
            )
        if interval is None:
            return mean
        self._refuse_classes("predict(interval=)")
        check_number(
            interval,
            parameter="interval",
            owner=f"{type(self).__name__}.predict",
            low=0,
            high=1,
            closed="neither",
        )
        tails = [(1 - interval) / 2, (1 + interval) / 2]
        frame = self.predict_quantiles(X, tails, var_weights)
        frame.columns = ["lower", "upper"]
        frame.insert(0, "mean", mean)
        return frame

    def predict_quantiles(
        self, X: Any, q: Any, var_weights: Any = None
    ) -> pd.DataFrame:
        """Predict quantiles of the response.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, p)
            The table.
        q : float or sequence of float
            Probabilities in (0, 1).
        var_weights : array-like of shape (n,), optional
            Precision weights v > 0 of the responses: their dispersion is φ/v. 1 if
            not given. Refused where the family has no dispersion.

        Returns
        -------
        DataFrame of n rows
            A column for each probability.
        """
        owner = f"{type(self).__name__}.predict_quantiles"
        try:
            levels = np.atleast_1d(np.asarray(q, dtype=np.float64))
        except (TypeError, ValueError):
            levels = np.empty((0, 0))
        if levels.ndim != 1:
            raise ParameterError(
                parameter="q",
                owner=owner,
                allowed="a number in (0, 1) or a sequence of them",
                given=q,
            )
        for level in levels.tolist():
            check_number(
                level, parameter="q", owner=owner, low=0, high=1, closed="neither"
            )
        frame = self._frame(X)
        eta = self.predictor_.linear_predictor(frame)
        phi = _input.dispersions(self, len(frame), var_weights)
        if self.family_.name == "gaussian" and self.family_.has_dispersion:
            df = self.exact_.n_effective - self.exact_.edf.sum()
            spread = np.sqrt(phi + self._linear_predictor_se(X)[:, 0] ** 2)
            values = eta[:, :1] + np.outer(spread, stats.t.ppf(levels, df))
        else:
            values = self.family_.quantile(levels[:, None], eta, phi).T
        return pd.DataFrame(values, index=frame.index, columns=pd.Index(levels))

    def predict_parameters(self, X: Any) -> pd.DataFrame:
        """Predict the distribution parameters, each on its natural scale.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, p)
            The table.

        Returns
        -------
        DataFrame of n rows
            A column for each parameter that has a formula.
        """
        frame = self._frame(X)
        eta = torch.as_tensor(self.predictor_.linear_predictor(frame))
        links = self.family_.links
        values = {
            name: links[name].inverse(eta[:, k]).numpy()
            for k, name in enumerate(self._predictor_names())
        }
        return pd.DataFrame(values, index=frame.index)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Give R² of the predicted mean.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, p)
            The table.
        y : array-like of shape (n,)
            Response. For ``"binomial"`` (n, 2): R² is that of the share of successes,
            each row weighted by its trials.
        sample_weight : array-like of shape (n,), optional
            Weights of the rows.

        Returns
        -------
        float
            At most 1.
        """
        self._refuse_classes("score")
        if self.family_.name == "binomial":
            counts = self._coded(y)
            trials = counts.sum(axis=1)
            weight = trials if sample_weight is None else trials * sample_weight
            return super().score(X, counts[:, 0] / trials, weight)
        return super().score(X, y, sample_weight)

    def _refuse_classes(self, what: str) -> None:
        """Refuse what needs a mean that is one number."""
        check_is_fitted(self, "predictor_")
        if hasattr(self.family_, "n_classes"):
            raise ParameterError(
                parameter="family",
                owner=f"{type(self).__name__}.{what}",
                allowed="a family whose mean is one number",
                given=self.family_.name,
                hint="predict(X) gives the probability of each class.",
            )
