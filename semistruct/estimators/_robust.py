"""Covariances that do not trust the model for the variance of the response."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy import special
from sklearn.utils.validation import check_is_fitted

from semistruct.exceptions import DataError
from semistruct.inference import coefficient_table, sandwich, score_rows

from . import _input
from ._compare import residual_df

__all__ = ["robust_covariance"]


def robust_covariance(
    model: Any,
    X: Any,
    y: Any,
    *,
    groups: Any = None,
    sample_weight: Any = None,
    var_weights: Any = None,
    hc: str = "HC1",
    level: float = 0.95,
) -> pd.DataFrame:
    """Give coefficients with robust or cluster-robust standard errors.

    V M V with V the model's covariance and M the sum of squares of the rows' (or of the
    groups') scores. For the Laplace family V too is free of the model: the density of
    the standardised residuals at their median is estimated by a kernel (Powell).

    Parameters
    ----------
    model : estimator
        Fitted regressor or classifier.
    X, y : DataFrame, array-like
        The rows of fit.
    groups : array-like of shape (n,), optional
        Clusters: centres, scanners, patients.
    sample_weight, var_weights : array-like of shape (n,), optional
        As in fit.
    hc : {"HC0", "HC1"}, default="HC1"
        Correction for few rows or clusters.
    level : float in (0, 1), default=0.95
        Level of the intervals.

    Returns
    -------
    DataFrame
        A row for each structured coefficient; ``.attrs["cov"]`` is the covariance.

    References
    ----------
    White (1980), Econometrica 48, 817-838, doi:10.2307/1912934; Liang & Zeger (1986),
    Biometrika 73, 13-22, doi:10.1093/biomet/73.1.13; Koenker (2005), Quantile
    Regression, section 3.4, doi:10.1017/CBO9780511754098

    Examples
    --------
    >>> import semistruct as ss
    >>> X, y = ss.datasets.load_mcycle()
    >>> model = ss.GAM("times").fit(X, y)
    >>> ss.analysis.robust_covariance(model, X, y)["std err"].round(2).tolist()
    [7.65, 0.22]
    """
    check_is_fitted(model, "predictor_")
    family = getattr(model, "family_", None)
    if family is None:
        raise DataError(
            f"robust_covariance: {type(model).__name__} is not built yet; there are "
            "regressors and classifiers."
        )
    frame = model._frame(X)
    target = model._coded(model._check_y(y, len(frame)))
    weight = _input.check_weight(model, sample_weight, len(frame))
    total = len(frame) if weight is None else weight.sum()
    if not np.isclose(total, model.exact_.n_effective):
        raise DataError(
            "robust_covariance: the rows and sample_weight must be those of fit, "
            f"which had {model.exact_.n_effective:g} rows in all; got {total:g}."
        )
    precision = _input.check_weight(model, var_weights, len(frame), "var_weights")
    eta = model.predictor_.linear_predictor(frame)
    phi = model.exact_.dispersion
    _, gradient, _ = family.derivatives(
        torch.as_tensor(target), torch.as_tensor(eta), phi
    )
    slopes = gradient.numpy()
    for factor in (weight, precision):
        if factor is not None:
            slopes = slopes * factor[:, None]
    matrices = model.predictor_.matrices(frame)
    scores = score_rows(matrices, slopes)
    bread = model.exact_.cov
    if not family.twice_differentiable and "loc" in family.parameters:
        theta = family.theta(torch.as_tensor(eta))
        scale = theta["scale"].numpy()
        factors = [f for f in (weight, precision) if f is not None]
        rows = np.prod(factors, axis=0) if factors else np.ones(len(frame))
        density = _density_at_zero((target - eta[:, 0]) / scale, rows)
        excess = rows * (2.0 * density - 1.0) / scale**2
        bread = _with_curvature(bread, matrices[0], excess)
    clusters = _input.check_groups(groups, len(frame))
    cov = sandwich(scores, bread, clusters, hc)
    names = model._coefficient_names()
    table = coefficient_table(
        names, model.exact_.coef, cov, df_residual=residual_df(model), level=level
    )
    table.attrs["cov"] = cov
    return table


def _density_at_zero(residual: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Rows' shares (n,) in a kernel estimate of a density at 0.

    Epanechnikov's kernel with the bandwidth of Hall and Sheather (1988),
    doi:10.1111/j.2517-6161.1988.tb01735.x, for the median.
    """
    used = np.sort(residual[weight > 0])
    n = float(weight.sum())
    share = (1.5 * special.ndtri(0.975) ** 2 / (2.0 * np.pi * n)) ** (1.0 / 3.0)
    low, high = np.quantile(used, [0.25, 0.75])
    spread = min(float(used.std()), float(high - low) / 1.34)
    width = 2.0 * spread * float(special.ndtri(min(0.5 + share, 0.99)))
    if width <= 0:
        raise DataError(
            "robust_covariance: half of the residuals are 0, so that their density at "
            "0 cannot be estimated."
        )
    scaled = np.clip(residual / width, -1.0, 1.0)
    return np.asarray(0.75 * (1.0 - scaled**2) / width)


def _with_curvature(
    cov: np.ndarray, matrix: np.ndarray, excess: np.ndarray
) -> np.ndarray:
    """Give (V⁻¹ + X' diag(excess) X)⁻¹, X in the first columns."""
    precision = np.linalg.inv(cov)
    p = matrix.shape[1]
    precision[:p, :p] += matrix.T @ (excess[:, None] * matrix)
    return np.linalg.inv(precision)
