"""The partially linear model: coefficients at a fixed value of deep features.

Letters: n rows, p covariates, q latent features, F folds, R repeated splits.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semistruct._core.validation import check_number
from semistruct.exceptions import DataError, InferenceWarning
from semistruct.inference._adjusted_checks import (
    check_clusters,
    check_share,
    residual_share,
)
from semistruct.inference._folds import cross_folds, median_of_splits
from semistruct.inference._ridge import predict_by, ridge_predict
from semistruct.inference._sandwich import sandwich

FloatArray = NDArray[np.float64]


class PartiallyLinear(NamedTuple):
    """A fitted partially linear model.

    Attributes
    ----------
    coef : ndarray of shape (p,)
        Effects of the covariates at a fixed value of the latent features.
    cov : ndarray of shape (p, p)
        Their covariance: the sandwich, and the spread over repeated splits.
    residual_share : ndarray of shape (p,)
        1 − R² of each covariate on the latent features, out of fold, in [0, 1].
    spread : ndarray of shape (p,)
        Standard deviation of the coefficients over repeated splits; 0 for one.
    residual : ndarray of shape (n,)
        y − Ê[y|U] − (X − Ê[X|U])β of the last split.
    """

    coef: FloatArray
    cov: FloatArray
    residual_share: FloatArray
    spread: FloatArray
    residual: FloatArray


def partially_linear(
    X: ArrayLike,
    y: ArrayLike,
    latent: ArrayLike | Sequence[ArrayLike],
    *,
    folds: ArrayLike | int = 5,
    repeats: int = 1,
    weight: ArrayLike | None = None,
    clusters: ArrayLike | None = None,
    learner: Any = None,
    names: Sequence[object] | None = None,
    seed: int = 0,
) -> PartiallyLinear:
    """Fit y = Xβ + g(U) + ε by residuals on residuals, cross-fitted.

    With X̃ = X − Ê[X|U] and ỹ = y − Ê[y|U], each predicted by a learner that did not see
    the row, β̂ = (X̃'X̃)⁻¹X̃'ỹ (Robinson 1988, doi:10.2307/1912705; Chernozhukov et al.
    2018, doi:10.1111/ectj.12097). The score is Neyman-orthogonal: errors of the two
    learners enter by their product. It holds for the identity link and additive errors
    of any distribution; not for other links and not for hazards, where the conditional
    mean of a residual is no difference of predictors.

    Parameters
    ----------
    X : array-like of shape (n, p)
        Covariates, no constant.
    y : array-like of shape (n,)
        Response, less its offset.
    latent : array-like of shape (n, q), or sequence of F of them
        U. Where the features were themselves learned from y, one array for each fold,
        of all rows, by the network that did not see that fold; ``folds`` are then the
        labels of that split.
    folds : int or array-like of shape (n,), default 5
        Number of folds, or the fold 0 … F − 1 of each row.
    repeats : int, default 1
        R, splits whose median is taken; 1 where ``folds`` are labels.
    weight : array-like of shape (n,), optional
        Weights > 0 or = 0 of the rows.
    clusters : array-like of shape (n,), optional
        Labels that no split tears, and over which the scores are summed.
    learner : scikit-learn regressor, optional
        Copied and fitted for each column and fold; a ridge regression on the latents
        when not given, its penalty by generalised cross-validation.
    names : sequence of length p, optional
        Names of the covariates in messages.
    seed : int, default 0
        Of the splits.

    Returns
    -------
    PartiallyLinear

    Raises
    ------
    DataError
        When lengths differ, values are not finite, p is not below n, a covariate has
        nothing left given the latents (share below 0.01), or covariates depend on one
        another.

    Warns
    -----
    InferenceWarning
        When a covariate has little left (share below 0.1), the latents are constant, or
        every cluster has one row.

    Examples
    --------
    >>> import numpy as np
    >>> from semistruct.inference import partially_linear
    >>> rng = np.random.default_rng(0)
    >>> U = rng.normal(size=(500, 2))
    >>> x = U[:, :1] + rng.normal(size=(500, 1))
    >>> y = 0.5 * x[:, 0] + 2.0 * U[:, 0] + rng.normal(size=500)
    >>> fit = partially_linear(x, y, U)
    >>> fit.coef.round(2), fit.residual_share.round(1)
    (array([0.52]), array([0.5]))
    """
    owner = "partially_linear"
    covariates = np.asarray(X, dtype=np.float64)
    if covariates.ndim != 2 or np.shape(y) != covariates.shape[:1]:
        raise DataError(
            f"{owner}: X must have shape (n, p) and y (n,), got {covariates.shape} and "
            f"{np.shape(y)}."
        )
    n, p = covariates.shape
    check_number(repeats, parameter="repeats", owner=owner, low=1, integer=True)
    own = [str(v) for v in (range(p) if names is None else names)]
    if p >= n:
        raise DataError(
            f"{owner}: {p} covariates need more than {p} rows, got {n}. Put some into "
            "a penalised or a deep term."
        )
    check_clusters(clusters, n, owner)
    columns = np.column_stack([covariates, np.asarray(y, dtype=np.float64)])
    coefs, covs, shares = [], [], []
    residual = np.zeros(n)
    many = repeats if np.ndim(folds) == 0 else 1
    for r in range(many):
        labels = (
            cross_folds(n, int(folds), seed + r, groups=clusters)  # type: ignore[arg-type]
            if np.ndim(folds) == 0
            else np.asarray(folds)
        )
        left = cross_residuals(columns, latent, labels, weight=weight, learner=learner)
        shares.append(residual_share(columns[:, :p], left[:, :p], weight))
        check_share(shares[-1], own, owner)
        coef, cov, residual = _regress(left, weight, clusters, own, owner)
        coefs.append(coef)
        covs.append(cov)
    pooled = median_of_splits(coefs, covs)
    share = np.median(shares, axis=0)
    return PartiallyLinear(pooled.coef, pooled.cov, share, pooled.spread, residual)


def cross_residuals(
    columns: ArrayLike,
    latent: ArrayLike | Sequence[ArrayLike],
    folds: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    learner: Any = None,
) -> FloatArray:
    """Take out of columns what latent features predict of them, out of fold.

    Parameters
    ----------
    columns : array-like of shape (n, c)
        Covariates and responses.
    latent : array-like of shape (n, q), or sequence of F of them
        U; one array for each fold where features were learned fold by fold.
    folds : array-like of shape (n,)
        The fold 0 … F − 1 of each row.
    weight : array-like of shape (n,), optional
        Weights of the rows in the regressions.
    learner : scikit-learn regressor, optional
        As for :func:`partially_linear`.

    Returns
    -------
    ndarray of shape (n, c)
        column − Ê[column | U].

    Warns
    -----
    InferenceWarning
        When the latents of a fold are constant.

    Examples
    --------
    >>> import numpy as np
    >>> from semistruct.inference import cross_residuals
    >>> u = np.arange(20.0)[:, None]
    >>> left = cross_residuals(3 * u + 1, u, np.arange(20) % 2)
    >>> bool(np.abs(left).max() < 0.1)
    True
    """
    owner = "cross_residuals"
    targets = np.asarray(columns, dtype=np.float64)
    labels = np.asarray(folds)
    n = len(targets)
    each = latent if isinstance(latent, list | tuple) else [latent]
    features = [np.asarray(u, dtype=np.float64) for u in each]
    metric = np.ones(n) if weight is None else np.asarray(weight, dtype=np.float64)
    for name, length in (
        ("folds", labels.shape),
        ("weight", metric.shape),
        *(("latent", u.shape[:1]) for u in features),
    ):
        if length != (n,):
            raise DataError(f"{owner}: {name} must have {n} rows, got {length}.")
    for name, values in (("columns", targets), *(("latent", u) for u in features)):
        if values.ndim != 2 or not np.isfinite(values).all():
            raise DataError(f"{owner}: {name} must be a matrix of finite numbers.")
    known = np.unique(labels)
    if len(known) < 2:
        raise DataError(f"{owner}: all rows are in one fold; two are needed.")
    if len(features) > 1 and known.tolist() != list(range(len(features))):
        raise DataError(
            f"{owner}: {len(features)} arrays of latents need the folds 0 … "
            f"{len(features) - 1}, got {known.tolist()}."
        )
    left = np.empty_like(targets)
    for k, fold in enumerate(known):
        u = features[k] if len(features) > 1 else features[0]
        rows, rest = labels == fold, labels != fold
        if not (np.ptp(u[rest], axis=0) > 0).any():
            warnings.warn(
                "The latent features are constant: the deep term says nothing, so that "
                "adjusting for it changes nothing.",
                InferenceWarning,
                stacklevel=2,
            )
        if learner is None:
            fitted = ridge_predict(u[rest], targets[rest], metric[rest], u[rows])
        else:
            fitted = predict_by(learner, u[rest], targets[rest], metric[rest], u[rows])
        left[rows] = targets[rows] - fitted
    return left


def _regress(
    left: FloatArray,
    weight: ArrayLike | None,
    clusters: ArrayLike | None,
    names: Sequence[str],
    owner: str,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Regress the residuals of y, the last column, on those of X."""
    x, y = left[:, :-1], left[:, -1]
    rows = np.ones(len(y)) if weight is None else np.asarray(weight, dtype=float)
    gram = x.T @ (rows[:, None] * x)
    size = np.sqrt(np.diag(gram))
    values, vectors = np.linalg.eigh(gram / np.outer(size, size))
    if values[0] < 1e-10:
        found = np.abs(vectors[:, 0]) > 1e-4
        listed = ", ".join(repr(names[j]) for j in np.flatnonzero(found).tolist())
        raise DataError(
            f"{owner}: given the deep features, the columns {listed} are linear "
            "combinations of one another. Take some of them out."
        )
    bread = np.linalg.inv(gram)
    coef = bread @ (x.T @ (rows * y))
    residual = y - x @ coef
    scores = x * (rows * residual)[:, None]
    return coef, sandwich(scores, bread, clusters), residual
