"""Folds for cross-fitting, and what they have found, pooled over repeated splits.

Letters: n rows, F folds, R repeated splits, p coefficients.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semistruct._core.validation import check_number
from semistruct.exceptions import DataError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


class SplitMedian(NamedTuple):
    """Estimates over repeated splits, as one.

    Attributes
    ----------
    coef : ndarray of shape (p,)
        Median of the estimates.
    cov : ndarray of shape (p, p)
        Covariance that counts the spread over the splits.
    spread : ndarray of shape (p,)
        Standard deviation of the estimates over the splits; 0 for one split.
    """

    coef: FloatArray
    cov: FloatArray
    spread: FloatArray


def cross_folds(
    n: int,
    folds: int,
    seed: int,
    *,
    groups: ArrayLike | None = None,
    strata: ArrayLike | None = None,
) -> IntArray:
    """Deal rows into folds; groups are never torn, strata are kept in proportion.

    Parameters
    ----------
    n : int
        Number of rows.
    folds : int
        F, at least 2.
    seed : int
        Of the shuffle.
    groups : array-like of shape (n,), optional
        Labels, such as the ids of patients with several rows.
    strata : array-like of shape (n,), optional
        Labels, such as the event of a censored time.

    Returns
    -------
    ndarray of shape (n,)
        The fold of each row, 0 … F − 1; none is empty.

    Raises
    ------
    ParameterError
        When F is not an integer of 2 or more.
    DataError
        When there are fewer rows, or fewer groups, than folds.

    Examples
    --------
    >>> import numpy as np
    >>> from semistruct.inference import cross_folds
    >>> np.bincount(cross_folds(6, 3, 0)).tolist()
    [2, 2, 2]
    """
    # imported here: it costs a sixth of a second at start
    from sklearn.model_selection import (
        GroupKFold,
        KFold,
        StratifiedGroupKFold,
        StratifiedKFold,
    )

    owner = "cross_folds"
    check_number(folds, parameter="folds", owner=owner, low=2, integer=True)
    labels = None if groups is None else _labels(groups, n, "groups")
    classes = None if strata is None else _labels(strata, n, "strata")
    units = n if labels is None else int(labels.max(initial=-1)) + 1
    if units < folds:
        what = "rows" if labels is None else "groups"
        raise DataError(
            f"{owner}: {units} {what} cannot be dealt into {folds} folds. Use fewer "
            f"folds or give more {what}."
        )
    if classes is not None and np.bincount(classes).min() < folds:
        classes = None  # too few of a kind for one in each fold
    out = np.empty(n, dtype=np.int64)
    options = {"shuffle": True, "random_state": seed}
    splitter: Any
    if labels is not None and classes is not None:
        splitter = StratifiedGroupKFold(folds, **options)
    elif labels is not None:
        splitter = GroupKFold(folds)
        labels = np.random.default_rng(seed).permutation(units)[labels]
    elif classes is not None:
        splitter = StratifiedKFold(folds, **options)
    else:
        splitter = KFold(folds, **options)
    for k, (_, rows) in enumerate(splitter.split(np.zeros((n, 1)), classes, labels)):
        out[rows] = k
    if len(np.unique(out)) < folds:  # few large groups: deal them by themselves
        assert labels is not None
        out = np.random.default_rng(seed).permutation(units)[labels] % folds
    return out


def median_of_splits(coefs: ArrayLike, covs: ArrayLike) -> SplitMedian:
    """Pool the estimates of R repeated splits by their median.

    β̂ = median β_r; the variances are median {V_r + (β_r − β̂)²}, their correlations
    those of the mean of the V_r (Chernozhukov et al. 2018, doi:10.1111/ectj.12097,
    section 3.4).

    Parameters
    ----------
    coefs : array-like of shape (R, p)
        Estimates, R ≥ 1.
    covs : array-like of shape (R, p, p)
        Their covariances.

    Returns
    -------
    SplitMedian

    Examples
    --------
    >>> from semistruct.inference import median_of_splits
    >>> pooled = median_of_splits([[1.0], [2.0], [6.0]], [[[1.0]]] * 3)
    >>> pooled.coef, pooled.cov
    (array([2.]), array([[2.]]))
    """
    beta = np.asarray(coefs, dtype=np.float64)
    each = np.asarray(covs, dtype=np.float64)
    if beta.ndim != 2 or not len(beta) or each.shape != (*beta.shape, beta.shape[-1]):
        raise DataError(
            "median_of_splits: coefs must have shape (R, p) and covs (R, p, p), got "
            f"{beta.shape} and {each.shape}."
        )
    if len(beta) == 1:
        return SplitMedian(beta[0], each[0], np.zeros(beta.shape[1]))
    coef = np.median(beta, axis=0)
    own = np.diagonal(each, axis1=1, axis2=2)
    variance = np.median(own + (beta - coef) ** 2, axis=0)
    mean = each.mean(axis=0)
    size = np.sqrt(np.diag(mean))
    ratio = np.divide(np.sqrt(variance), size, out=np.zeros_like(size), where=size > 0)
    cov = mean * ratio[:, None] * ratio
    return SplitMedian(coef, cov, beta.std(axis=0, ddof=1))


def _labels(values: ArrayLike, n: int, name: str) -> IntArray:
    labels = np.asarray(values)
    if labels.shape != (n,):
        raise DataError(
            f"cross_folds: {name} has shape {labels.shape}, but there are {n} rows; "
            "give one label for each."
        )
    codes: IntArray = np.unique(labels, return_inverse=True)[1]
    return codes
