"""Global orthogonalisation of latent features to a structured design.

Letters: n rows, p structured columns, q latent features, r rank of the design.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import qr, solve_triangular

from semistruct.exceptions import DataError

FloatArray = NDArray[np.float64]


def fit_projection(
    X: ArrayLike,
    latent: ArrayLike,
    weight: ArrayLike | None = None,
    mask: ArrayLike | None = None,
) -> FloatArray:
    """Regress latent features on structured columns: A = (X'WX)⁻ X'W U.

    Parameters
    ----------
    X : array-like of shape (n, p)
        Structured columns that are to be projected out, the intercept among them. They
        may be linearly dependent.
    latent : array-like of shape (n, q)
        U, the latent features of the same rows.
    weight : array-like of shape (n,), optional
        Diagonal of the metric W, ≥ 0; 1 when not given. Zeros are fine.
    mask : array-like of bool of shape (n,), optional
        True for the rows whose modality is present; the others do not count.

    Returns
    -------
    ndarray of shape (p, q)
        A: by pivoted QR of √W X, 0 in the rows of columns that depend on others. It is
        all that prediction needs, whatever rows it is then applied to.

    Raises
    ------
    DataError
        When lengths differ, or values that count are not finite or weights negative.

    Notes
    -----
    Identifies the effects of a semi-structured model (Rügamer, Kolb & Klein 2024,
    doi:10.1080/00031305.2022.2164054), with the projection of all training rows in
    place of each batch's own.

    Examples
    --------
    >>> import numpy as np
    >>> from semistruct.fusion import apply_projection, fit_projection
    >>> X = np.column_stack([np.ones(4), [0.0, 1.0, 2.0, 3.0]])
    >>> latent = np.array([[1.0], [3.0], [2.0], [4.0]])
    >>> A = fit_projection(X, latent)
    >>> A.round(6)
    array([[1.3],
           [0.8]])
    >>> bool(np.allclose(X.T @ apply_projection(latent, X, A), 0.0))
    True
    """
    design, features = _matrix(X, "X"), _matrix(latent, "latent")
    n, p = design.shape
    metric = np.ones(n) if weight is None else np.array(weight, dtype=np.float64)
    present = np.ones(n, dtype=bool) if mask is None else np.asarray(mask, dtype=bool)
    for name, length in (
        ("latent", features.shape[:1]),
        ("weight", metric.shape),
        ("mask", present.shape),
    ):
        if length != (n,):
            raise DataError(
                f"fit_projection: {name} must have the {n} rows of X, got {length}."
            )
    counted = present & (metric != 0)
    design, features, metric = design[counted], features[counted], metric[counted]
    for name, values in (("X", design), ("latent", features), ("weight", metric)):
        if not np.isfinite(values).all():
            raise DataError(f"fit_projection: {name} has NaN or infinite values.")
    if (metric < 0).any():
        raise DataError("fit_projection: weight has negative values.")
    coefficients = np.zeros((p, features.shape[1]))
    if not len(design) or p == 0:
        return coefficients
    root = np.sqrt(metric / metric.max())[:, None]  # a common factor changes nothing
    design, features = root * design, root * features
    size = np.sqrt(np.square(design).sum(axis=0))
    size[size == 0] = 1.0
    design /= size  # the rank is judged free of the columns' units
    q, r, pivot = qr(
        design, mode="economic", pivoting=True, overwrite_a=True, check_finite=False
    )
    diagonal = np.abs(np.diag(r))
    tolerance = diagonal[0] * max(n, p) * np.finfo(np.float64).eps
    rank = int((diagonal > tolerance).sum())
    if rank:
        kept = pivot[:rank]
        solved = solve_triangular(r[:rank, :rank], q[:, :rank].T @ features)
        coefficients[kept] = solved / size[kept, None]
    return coefficients


def apply_projection(
    latent: ArrayLike,
    X: ArrayLike,
    coefficients: ArrayLike,
    mask: ArrayLike | None = None,
) -> FloatArray:
    """Take the structured part out of latent features: mask · (U − X A), row by row.

    Parameters
    ----------
    latent : array-like of shape (m, q)
        U of any rows, seen in the fit or not.
    X : array-like of shape (m, p)
        Structured columns of those rows.
    coefficients : array-like of shape (p, q)
        A from `fit_projection`.
    mask : array-like of bool of shape (m,), optional
        True where the modality is present.

    Returns
    -------
    ndarray of shape (m, q)
        0 where the modality is missing.

    Examples
    --------
    >>> from semistruct.fusion import apply_projection
    >>> apply_projection([[3.0], [5.0]], [[1.0], [1.0]], [[2.0]], [True, False])
    array([[1.],
           [0.]])
    """
    residual = _matrix(latent, "latent") - _matrix(X, "X") @ np.asarray(coefficients)
    if mask is None:
        return residual
    return np.where(np.asarray(mask, dtype=bool)[:, None], residual, 0.0)


def _matrix(values: ArrayLike, name: str) -> FloatArray:
    matrix = np.asarray(values, dtype=np.float64)
    if matrix.ndim != 2:
        raise DataError(f"{name} must be two-dimensional, got shape {matrix.shape}.")
    return matrix
