"""What a coefficient at fixed deep features needs: variance that they leave, clusters.

Letters: n rows, p covariates.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semistruct.exceptions import DataError, InferenceWarning

FloatArray = NDArray[np.float64]

LITTLE = 0.1  # share of a covariate's variance below which a warning is given
NOTHING = 0.01  # and below which the model is refused


def residual_share(
    columns: ArrayLike, residuals: ArrayLike, weight: ArrayLike | None = None
) -> FloatArray:
    """Give the share of each column's variance that latent features leave: 1 − R².

    Parameters
    ----------
    columns : array-like of shape (n, p)
        Covariates.
    residuals : array-like of shape (n, p)
        What is left of them, see :func:`cross_residuals`.
    weight : array-like of shape (n,), optional
        Weights of the rows.

    Returns
    -------
    ndarray of shape (p,)
        In [0, 1]; 0 for a column that does not vary.

    Examples
    --------
    >>> from semistruct.inference import residual_share
    >>> residual_share([[0.0], [2.0]], [[-0.5], [0.5]])
    array([0.25])
    """
    values = np.asarray(columns, dtype=np.float64)
    left = np.asarray(residuals, dtype=np.float64)
    rows = np.ones(len(values)) if weight is None else np.asarray(weight, dtype=float)
    rows = rows / rows.sum()
    whole = rows @ (values - rows @ values) ** 2
    rest = rows @ left**2
    some = whole > 1e-20 * (rows @ values**2)
    share = np.divide(rest, whole, out=np.zeros_like(whole), where=some)
    return np.asarray(share.clip(0.0, 1.0))


def check_share(share: ArrayLike, names: Sequence[object], owner: str) -> None:
    """Warn of covariates that deep features nearly determine; refuse if they do.

    Parameters
    ----------
    share : array-like of shape (p,)
        :func:`residual_share`.
    names : sequence of length p
        Of the covariates.
    owner : str
        Whose message it is.

    Raises
    ------
    DataError
        When a share is below 0.01.

    Warns
    -----
    InferenceWarning
        When a share is below 0.1.

    Examples
    --------
    >>> from semistruct.inference import check_share
    >>> check_share([0.5, 0.9], ["age", "bmi"], "model")
    """
    values = np.asarray(share, dtype=np.float64)

    def listed(which: NDArray[np.bool_]) -> str:
        found = np.flatnonzero(which).tolist()
        return ", ".join(f"{str(names[j])!r} ({values[j]:.3f})" for j in found)

    if (values < NOTHING).any():
        raise DataError(
            f"{owner}: given the deep features, hardly anything is left of the "
            f"variance of {listed(values < NOTHING)}: the deep input encodes it, and "
            "its effect at a fixed deep input is not determined. Use "
            "estimand='projection', or take the covariate out of the terms."
        )
    if (values < LITTLE).any():
        warnings.warn(
            f"{owner}: given the deep features, little is left of the variance of "
            f"{listed(values < LITTLE)}. Its effect at a fixed deep input rests on "
            "that rest, and on the deep features being learned well.",
            InferenceWarning,
            stacklevel=3,
        )


def check_clusters(clusters: ArrayLike | None, n: int, owner: str) -> None:
    """Check labels of clusters; warn where each has one row.

    Parameters
    ----------
    clusters : array-like of shape (n,) or None
        Labels.
    n : int
        Number of rows.
    owner : str
        Whose message it is.

    Raises
    ------
    DataError
        When there is one cluster only, or the length is wrong.

    Warns
    -----
    InferenceWarning
        When no cluster has two rows.

    Examples
    --------
    >>> from semistruct.inference import check_clusters
    >>> check_clusters(["a", "a", "b"], 3, "model")
    """
    if clusters is None:
        return
    labels = np.asarray(clusters)
    if labels.shape != (n,):
        raise DataError(
            f"{owner}: clusters has shape {labels.shape}, but there are {n} rows; give "
            "one label for each."
        )
    count = len(np.unique(labels))
    if count < 2:
        raise DataError(f"{owner}: there is only one cluster; two are needed.")
    if count == n:
        warnings.warn(
            f"{owner}: each of the {n} clusters has one row: standard errors by "
            "cluster are those of rows. Check the labels.",
            InferenceWarning,
            stacklevel=3,
        )
