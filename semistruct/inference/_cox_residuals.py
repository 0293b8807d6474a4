"""Residuals, influence and robust covariance of a Cox model.

Letters: n rows, d deaths, p columns, s pseudo-steps (see ``_cox_rows``).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semistruct.exceptions import DataError
from semistruct.inference._cox_rows import CoxRows, RiskRows

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]


class EventResiduals(NamedTuple):
    """Residuals of the events, by stratum and time.

    Attributes
    ----------
    values : ndarray of shape (d, p)
    rows : ndarray of shape (d,)
        Position of each event among the rows that were given.
    time : ndarray of shape (d,)
    """

    values: FloatArray
    rows: IntArray
    time: FloatArray


def martingale_residuals(rows: CoxRows) -> FloatArray:
    """Observed minus expected events, M_i = δ_i − ∫ Y_i exp(η_i) dΛ̂₀.

    Λ̂₀ is Breslow's, or after Efron the one of thinned ties, in which a tied death is at
    risk in the k-th of d pseudo-steps with weight 1 − k/d.

    Parameters
    ----------
    rows : CoxRows

    Returns
    -------
    ndarray of shape (n,)
        In (−∞, 1], not multiplied by case weights; Σ w_i M_i = 0. NaN in rows of
        weight 0.

    References
    ----------
    Therneau, Grambsch & Fleming (1990), Biometrika 77, 147-160,
    doi:10.1093/biomet/77.1.147

    Examples
    --------
    >>> from semistruct.inference import CoxRows, martingale_residuals
    >>> rows = CoxRows([[0.0], [1.0]], [0.0, 0.0], [1.0, 2.0], [1, 1])
    >>> martingale_residuals(rows).tolist()
    [0.5, -0.5]
    """
    sets = rows.sets
    residual = -rows.expected()
    residual[sets.dead] += 1.0
    return rows.spread(residual)


def deviance_residuals(rows: CoxRows) -> FloatArray:
    """Martingale residuals made symmetric.

    sign(M_i) √(−2 [M_i + δ_i log(δ_i − M_i)]).

    Parameters
    ----------
    rows : CoxRows

    Returns
    -------
    ndarray of shape (n,)

    References
    ----------
    Therneau, Grambsch & Fleming (1990), Biometrika 77, 147-160,
    doi:10.1093/biomet/77.1.147

    Examples
    --------
    >>> from semistruct.inference import CoxRows, deviance_residuals
    >>> rows = CoxRows([[0.0], [1.0]], [0.0, 0.0], [1.0, 2.0], [1, 0])
    >>> deviance_residuals(rows).round(4).tolist()
    [0.6215, -1.0]
    """
    martingale = martingale_residuals(rows)
    dead = rows.event.astype(np.float64)
    expected = np.where(rows.event, dead - martingale, 1.0)
    with np.errstate(divide="ignore"):
        inner = martingale + dead * np.log(expected)
    return np.sign(martingale) * np.sqrt(np.maximum(-2.0 * inner, 0.0))


def score_residuals(rows: RiskRows) -> FloatArray:
    """Contribution of each row to the score, ∫ (x_i − b(t)) dM_i(t).

    b is the risk-weighted mean of the columns; after Efron its pseudo-steps are treated
    as in :func:`martingale_residuals`.

    Parameters
    ----------
    rows : CoxRows

    Returns
    -------
    ndarray of shape (n, p)
        Not multiplied by case weights; Σ w_i U_i is the score, 0 at the maximum.

    References
    ----------
    Therneau, Grambsch & Fleming (1990), Biometrika 77, 147-160,
    doi:10.1093/biomet/77.1.147

    Examples
    --------
    >>> from semistruct.inference import CoxRows, score_residuals
    >>> rows = CoxRows([[0.0], [1.0]], [0.0, 0.0], [1.0, 2.0], [1, 0])
    >>> score_residuals(rows).tolist()
    [[-0.25], [-0.25]]
    """
    sets = rows.sets
    pulled = sets.over_exposure(rows.rate[:, None] * rows.means)
    pulled -= rows.design * sets.over_exposure(rows.rate)[:, None]
    score: FloatArray = pulled * rows.hazard_ratio[:, None]
    score[sets.dead] += rows.design[sets.dead] - rows.dead_means
    return rows.spread(score)


def schoenfeld_residuals(rows: CoxRows) -> EventResiduals:
    """Columns of each death minus their mean over its risk set, x_i − b̄(t_i).

    Parameters
    ----------
    rows : CoxRows

    Returns
    -------
    EventResiduals
        Sorted by stratum and time; not multiplied by case weights.

    References
    ----------
    Schoenfeld (1982), Biometrika 69, 239-241, doi:10.1093/biomet/69.1.239

    Examples
    --------
    >>> from semistruct.inference import CoxRows, schoenfeld_residuals
    >>> rows = CoxRows([[0.0], [1.0]], [0.0, 0.0], [1.0, 2.0], [1, 1])
    >>> schoenfeld_residuals(rows).values.tolist()
    [[-0.5], [0.0]]
    """
    sets = rows.sets
    at = sets.rows[sets.dead]
    values = rows.design[sets.dead] - rows.dead_means
    return EventResiduals(values, at, rows.time[at])


def scaled_schoenfeld_residuals(
    rows: CoxRows, coef: ArrayLike, cov: ArrayLike
) -> EventResiduals:
    """Schoenfeld residuals on the scale of time-varying coefficients, β̂ + d r_i V.

    Their smooth over time estimates β(t).

    Parameters
    ----------
    rows : CoxRows
    coef : array-like of shape (p,)
        β̂.
    cov : array-like of shape (p, p)
        V, model-based (not robust).

    Returns
    -------
    EventResiduals

    References
    ----------
    Grambsch & Therneau (1994), Biometrika 81, 515-526, doi:10.1093/biomet/81.3.515

    Examples
    --------
    >>> from semistruct.inference import CoxRows, scaled_schoenfeld_residuals
    >>> rows = CoxRows([[0.0], [1.0]], [0.0, 0.0], [1.0, 2.0], [1, 1])
    >>> scaled_schoenfeld_residuals(rows, [0.0], [[4.0]]).values.tolist()
    [[-4.0], [0.0]]
    """
    plain = schoenfeld_residuals(rows)
    v = _square(cov, rows, "scaled_schoenfeld_residuals")
    beta = np.asarray(coef, dtype=np.float64)
    if beta.shape != (len(v),):
        raise DataError(
            f"scaled_schoenfeld_residuals: coef has shape {beta.shape}, need "
            f"({len(v)},)."
        )
    return plain._replace(values=beta + len(plain.rows) * (plain.values @ v))


def dfbeta(rows: RiskRows, cov: ArrayLike) -> FloatArray:
    """Approximate change of the coefficients by each row, w_i U_i V.

    β̂ − β̂₍ᵢ₎ to first order: one Newton step after taking the row out.

    Parameters
    ----------
    rows : CoxRows
    cov : array-like of shape (p, p)
        V, model-based; the inverse of the penalised information where there are
        penalties.

    Returns
    -------
    ndarray of shape (n, p)
        Case weights included; 0 in rows of weight 0.

    References
    ----------
    Cain & Lange (1984), Biometrics 40, 493-499; Reid & Crépeau (1985), Biometrika 72,
    1-9, doi:10.1093/biomet/72.1.1

    Examples
    --------
    >>> from semistruct.inference import CoxRows, dfbeta
    >>> rows = CoxRows([[0.0], [1.0]], [0.0, 0.0], [1.0, 2.0], [1, 0])
    >>> dfbeta(rows, [[4.0]]).tolist()
    [[-1.0], [-1.0]]
    """
    v = _square(cov, rows, "dfbeta")
    score = np.where(rows.weight[:, None] > 0, score_residuals(rows), 0.0)
    return (score @ v) * rows.weight[:, None]


def dfbetas(rows: RiskRows, cov: ArrayLike) -> FloatArray:
    """Change of the coefficients by each row, in units of their standard errors.

    Parameters
    ----------
    rows : CoxRows
    cov : array-like of shape (p, p)
        V, model-based.

    Returns
    -------
    ndarray of shape (n, p)
        ``dfbeta`` divided by √diag V.

    References
    ----------
    Cain & Lange (1984), Biometrics 40, 493-499; Reid & Crépeau (1985), Biometrika 72,
    1-9, doi:10.1093/biomet/72.1.1

    Examples
    --------
    >>> from semistruct.inference import CoxRows, dfbetas
    >>> rows = CoxRows([[0.0], [1.0]], [0.0, 0.0], [1.0, 2.0], [1, 0])
    >>> dfbetas(rows, [[4.0]]).tolist()
    [[-0.5], [-0.5]]
    """
    v = _square(cov, rows, "dfbetas")
    return dfbeta(rows, v) / np.sqrt(np.diag(v))


def cox_sandwich(
    rows: RiskRows, cov: ArrayLike, clusters: ArrayLike | None = None
) -> FloatArray:
    """Robust covariance D'D, with D the ``dfbeta`` of the rows or of clusters of them.

    Parameters
    ----------
    rows : CoxRows
    cov : array-like of shape (p, p)
        V, model-based.
    clusters : array-like of shape (n,), optional
        Label of the cluster of each row, such as the subject of several rows.

    Returns
    -------
    ndarray of shape (p, p)
        Without a factor for small samples.

    References
    ----------
    Lin & Wei (1989), Journal of the American Statistical Association 84, 1074-1078,
    doi:10.1080/01621459.1989.10478874

    Examples
    --------
    >>> from semistruct.inference import CoxRows, cox_sandwich
    >>> rows = CoxRows([[0.0], [1.0]], [0.0, 0.0], [1.0, 2.0], [1, 0])
    >>> cox_sandwich(rows, [[4.0]]).tolist()
    [[2.0]]
    """
    change = dfbeta(rows, cov)
    if clusters is not None:
        change = sum_by_cluster(change, clusters)[1]
    return change.T @ change


def sum_by_cluster(
    values: FloatArray, clusters: ArrayLike
) -> tuple[NDArray, FloatArray]:
    """Sum rows (n, p) by label; gives the labels (G,), in order, and sums (G, p)."""
    labels = np.asarray(clusters)
    if labels.shape != (len(values),):
        raise DataError(
            f"clusters has shape {labels.shape}, but there are {len(values)} rows; "
            "give one label for each."
        )
    unique, code = np.unique(labels, return_inverse=True)
    sums = np.zeros((len(unique), values.shape[1]))
    np.add.at(sums, code, values)
    return unique, sums


def _square(cov: ArrayLike, rows: RiskRows, owner: str) -> FloatArray:
    v = np.asarray(cov, dtype=np.float64)
    p = rows.design.shape[1]
    if v.shape != (p, p):
        raise DataError(f"{owner}: cov has shape {v.shape}, need ({p}, {p}).")
    return v
