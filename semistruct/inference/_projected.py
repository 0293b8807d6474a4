"""Covariance of coefficients beside deep features that were projected by estimation.

Letters: n rows, p coefficients.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semistruct.exceptions import DataError
from semistruct.inference._sandwich import sandwich

FloatArray = NDArray[np.float64]


def projected_sandwich(
    scores: ArrayLike,
    projected: ArrayLike,
    bread: ArrayLike,
    clusters: ArrayLike | None = None,
    n_parameters: float | None = None,
) -> FloatArray:
    """Sandwich covariance beside a deep contribution that was orthogonalised.

    Coefficients solve Σ s_i(β, a) = 0 with s_i = x_i ∂ℓ_i/∂η_i and η_i = x_i'β + d_i −
    x_i'a, and a, the projection of d, solves Σ x_i w_i (d_i − x_i'a) = 0. Since a moves
    the score by X'WX, the influence of a row is V (s_i + x_i w_i d⊥_i): a deep
    contribution that is orthogonal in the sample takes its noise out of s_i, but the
    effect of the covariates in the population is no better known for it. For the
    gaussian family with the identity link this is the sandwich of the structured model
    alone (stacked estimating equations; Stefanski & Boos 2002,
    doi:10.1198/000313002753631330).

    Parameters
    ----------
    scores : array-like of shape (n, p)
        s_i at the estimate.
    projected : array-like of shape (n, p)
        x_i w_i d⊥_i, W on the scale of the scores (observed information of ℓ).
    bread : array-like of shape (p, p)
        V, the inverse of the negative Hessian of the (penalised) log-likelihood.
    clusters : array-like of shape (n,), optional
        Labels of clusters.
    n_parameters : float, optional
        As for :func:`sandwich`.

    Returns
    -------
    ndarray of shape (p, p)

    Raises
    ------
    DataError
        When the shapes differ.

    Examples
    --------
    >>> from semistruct.inference import projected_sandwich
    >>> projected_sandwich([[1.0], [-1.0]], [[1.0], [-1.0]], [[0.5]], n_parameters=0)
    array([[2.]])
    """
    rows = np.asarray(scores, dtype=np.float64)
    deep = np.asarray(projected, dtype=np.float64)
    if rows.ndim != 2 or rows.shape != deep.shape:
        raise DataError(
            "projected_sandwich: scores and projected must have one shape (n, p), got "
            f"{rows.shape} and {deep.shape}."
        )
    return sandwich(rows + deep, bread, clusters, n_parameters=n_parameters)
