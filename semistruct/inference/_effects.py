"""Average comparisons and slopes on the scale of the response, by the delta method.

Letters: n rows, K linear predictors, p coefficients of all of them together, g the mean
of the response as a function of the linear predictors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semistruct._core.validation import check_choice
from semistruct.exceptions import DataError
from semistruct.inference._linear import critical_value

FloatArray = NDArray[np.float64]
RowFunction = Callable[[FloatArray], FloatArray]


class AverageEffect(NamedTuple):
    """An average over rows, with its standard error and interval.

    ``gradient`` of shape (p,) is its derivative in the coefficients, before the
    logarithm of a ratio: differences of effects have the variance of the difference of
    their gradients.
    """

    estimate: float
    std_error: float
    lower: float
    upper: float
    gradient: FloatArray


def average_comparison(
    designs: Sequence[ArrayLike],
    reference: Sequence[ArrayLike],
    coef: ArrayLike,
    cov: ArrayLike,
    mean: RowFunction,
    derivative: RowFunction,
    *,
    kind: str = "difference",
    offset: ArrayLike | None = None,
    weight: ArrayLike | None = None,
    level: float = 0.95,
    df_residual: float | None = None,
) -> AverageEffect:
    """Compare the average response of the same rows under two settings.

    With μ₁ = Σ w_i g(X₁β)_i / Σ w_i and μ₀ likewise, the difference μ₁ − μ₀ or the
    ratio μ₁ / μ₀; its gradient d in β gives the standard error √(d' Cov d), the rows
    being taken as given (delta method; Oehlert 1992,
    doi:10.1080/00031305.1992.10475842). The interval of a ratio is symmetric on the
    log scale.

    Parameters
    ----------
    designs, reference : sequence of K arrays of shape (n, p_k)
        Design matrices of the rows with the covariate set to its new value, and to its
        reference value.
    coef : array-like of shape (p,)
        p = Σ p_k.
    cov : array-like of shape (p, p)
    mean : callable
        g: linear predictors (n, K) to means (n,).
    derivative : callable
        ∂g/∂η: linear predictors (n, K) to (n, K).
    kind : {"difference", "ratio"}, default "difference"
    offset : array-like of shape (n, K), optional
        Added to both linear predictors.
    weight : array-like of shape (n,), optional
        Weights w of the rows, 1 when not given.
    level : float in (0, 1), default 0.95
    df_residual : float, optional
        Use t with these degrees of freedom instead of the normal.

    Returns
    -------
    AverageEffect

    Examples
    --------
    The risk difference of a logistic model with one binary covariate:

    >>> import numpy as np
    >>> from scipy.special import expit
    >>> from semistruct.inference import average_comparison
    >>> effect = average_comparison(
    ...     [[[1.0, 1.0]]], [[[1.0, 0.0]]], [0.0, 1.0], np.diag([0.01, 0.02]),
    ...     lambda eta: expit(eta[:, 0]),
    ...     lambda eta: expit(eta) * expit(-eta),
    ... )
    >>> round(effect.estimate, 4), round(effect.std_error, 4)
    (0.2311, 0.0283)
    """
    owner = "average_comparison"
    check_choice(kind, ("difference", "ratio"), parameter="kind", owner=owner)
    upper, upper_slope = _average(designs, coef, mean, derivative, offset, weight)
    lower, lower_slope = _average(reference, coef, mean, derivative, offset, weight)
    covariance = np.asarray(cov, dtype=np.float64)
    critical = float(critical_value(level, df_residual, owner))
    if kind == "difference":
        gradient = upper_slope - lower_slope
        estimate = upper - lower
        error = _norm(gradient, covariance)
        half = critical * error
        return AverageEffect(
            estimate, error, estimate - half, estimate + half, gradient
        )
    estimate = upper / lower
    gradient = (upper_slope - estimate * lower_slope) / lower
    error = _norm(gradient, covariance)
    if not estimate > 0:
        raise DataError(
            f"{owner}: a ratio needs averages of one sign, got {upper:g} and {lower:g}."
            " Use kind='difference'."
        )
    factor = float(np.exp(critical * error / estimate))
    return AverageEffect(
        estimate, error, estimate / factor, estimate * factor, gradient
    )


def average_slope(
    upper: Sequence[ArrayLike],
    lower: Sequence[ArrayLike],
    width: float,
    coef: ArrayLike,
    cov: ArrayLike,
    mean: RowFunction,
    derivative: RowFunction,
    *,
    offset: ArrayLike | None = None,
    weight: ArrayLike | None = None,
    level: float = 0.95,
    df_residual: float | None = None,
) -> AverageEffect:
    """Average slope of the mean response in a covariate x, by central differences.

    Σ w_i [g(X₊β)_i − g(X₋β)_i] / (width Σ w_i), with design matrices at x + width/2 and
    x − width/2; the error of the difference is of the order width². A width of 1e-4
    standard deviations of x leaves some ten correct digits.

    Parameters
    ----------
    upper, lower : sequence of K arrays of shape (n, p_k)
        Design matrices of the rows with x raised and lowered by width / 2.
    width : float > 0
    coef, cov, mean, derivative, offset, weight, level, df_residual
        As for :func:`average_comparison`.

    Returns
    -------
    AverageEffect

    Examples
    --------
    >>> import numpy as np
    >>> from semistruct.inference import average_slope
    >>> slope = average_slope(
    ...     [[[1.0, 2.1]]], [[[1.0, 1.9]]], 0.2, [1.0, 3.0], np.eye(2),
    ...     lambda eta: eta[:, 0], np.ones_like,
    ... )
    >>> round(slope.estimate, 6), round(slope.std_error, 6)
    (3.0, 1.0)
    """
    found = average_comparison(
        upper,
        lower,
        coef,
        cov,
        mean,
        derivative,
        offset=offset,
        weight=weight,
        level=level,
        df_residual=df_residual,
    )
    return AverageEffect(
        found.estimate / width,
        found.std_error / width,
        found.lower / width,
        found.upper / width,
        found.gradient / width,
    )


def _average(
    designs: Sequence[ArrayLike],
    coef: ArrayLike,
    mean: RowFunction,
    derivative: RowFunction,
    offset: ArrayLike | None,
    weight: ArrayLike | None,
) -> tuple[float, FloatArray]:
    """Average of g(η) over the rows, and its derivative (p,) in the coefficients."""
    matrices = [np.asarray(x, dtype=np.float64) for x in designs]
    ends = np.cumsum([x.shape[1] for x in matrices])
    beta = np.asarray(coef, dtype=np.float64)
    if beta.shape != (ends[-1],):
        raise DataError(
            f"average_comparison: coef has shape {beta.shape}, but the designs have "
            f"{ends[-1]} columns in all."
        )
    parts = np.split(beta, ends[:-1])
    eta = np.column_stack([x @ b for x, b in zip(matrices, parts, strict=True)])
    if offset is not None:
        eta = eta + np.asarray(offset, dtype=np.float64)
    w = np.ones(len(eta)) if weight is None else np.asarray(weight, dtype=np.float64)
    w = w / w.sum()
    slope = derivative(eta) * w[:, None]  # (n, K)
    gradient = np.concatenate([x.T @ slope[:, k] for k, x in enumerate(matrices)])
    return float(w @ mean(eta)), gradient


def _norm(gradient: FloatArray, cov: FloatArray) -> float:
    """√(d' Cov d)."""
    return float(np.sqrt(max(float(gradient @ cov @ gradient), 0.0)))
