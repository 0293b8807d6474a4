"""Limits of cumulative incidence from cause-specific Cox models, by the delta method.

Letters: C causes, q rows to predict, m event times of any cause in a stratum, t times
that are asked for, p_k columns of cause k.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semistruct._core.step import StepFunction
from semistruct._core.validation import check_choice, check_number
from semistruct.exceptions import DataError
from semistruct.inference._cox_baseline import CoxBaseline
from semistruct.inference._cox_curves import CurveBand
from semistruct.inference._incidence import (
    as_log_ratio,
    blocks,
    mean_survival,
    rows_by_stratum,
    union_times,
)
from semistruct.inference._linear import critical_value
from semistruct.solvers import BaselineSpread

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

TRANSFORMS = ("log-log", "plain")


class _Increments(NamedTuple):
    """Increments of one cause's baseline on the grid of its stratum.

    ``hazard``, ``variance`` have the shape (m,), ``drift`` (m, p_k).
    """

    hazard: FloatArray
    variance: FloatArray
    drift: FloatArray


def cox_incidence_band(
    baselines: Sequence[CoxBaseline],
    designs: Sequence[ArrayLike],
    linear_predictors: ArrayLike,
    cov: ArrayLike,
    cause: int,
    times: ArrayLike,
    *,
    strata: Sequence[Hashable] | None = None,
    level: float = 0.95,
    transform: str = "log-log",
    index: Any = None,
) -> CurveBand:
    """Cumulative incidence of one cause with pointwise confidence limits.

    F_k is a smooth function of the increments h_lj of all hazards ("exponential" of
    :func:`cox_incidence`), ∂F_k(t)/∂h_lj = ∂ΔF_kj/∂h_lj − (F_k(t) − F_k(t_j)). The
    increments vary with exp(2η_l) ω/S0², independently, and with the coefficients by
    exp(η_l)(x − b) ω/S0; both enter, to first order. No row of the data is needed.

    Parameters
    ----------
    baselines : sequence of C CoxBaseline
        One for each cause, with the same strata.
    designs : sequence of C arrays of shape (q, p_k)
        Columns of the rows to predict.
    linear_predictors : array-like of shape (q, C)
        Their η, offset and deep terms included; the deep terms count as known.
    cov : array-like of shape (Σ p_k, Σ p_k)
        Covariance of the coefficients of all causes, one after the other:
        ``combine_fits(fits).cov``, or a robust one.
    cause : int
        Which of the C, from 0.
    times : array-like of shape (t,)
        Increasing.
    strata : sequence of length q, optional
        Stratum of each row; needed where the fit had strata.
    level : float in (0, 1), default 0.95
        Coverage.
    transform : {"log-log", "plain"}, default "log-log"
        Scale on which the limits are symmetric: log(−log(1 − F)), as for survival, or
        F, then cut to [0, 1].

    Returns
    -------
    CurveBand
        ``estimate`` is F_k(t | x), ``std_error`` its standard error.

    Raises
    ------
    DataError
        If shapes disagree, or a stratum is missing or unknown.

    References
    ----------
    Cheng, Fine & Wei (1998), Biometrics 54, 219-228, doi:10.2307/2534009

    Examples
    --------
    >>> from semistruct.inference import CoxBaseline, CoxRows, cox_incidence_band
    >>> rows = [
    ...     CoxRows([[0.0], [1.0], [0.5]], [0.0] * 3, [1.0, 2.0, 3.0], event)
    ...     for event in ([1, 0, 1], [0, 1, 0])
    ... ]
    >>> bases = [CoxBaseline.from_rows(r) for r in rows]
    >>> cov = [[1.0, 0.0], [0.0, 1.0]]
    >>> band = cox_incidence_band(
    ...     bases, [[[0.5]], [[0.5]]], [[0.0, 0.0]], cov, 0, [1.0, 2.0]
    ... )
    >>> band.estimate([2.0]).round(3).item(), band.std_error([2.0]).round(3).item()
    (0.283, 0.239)
    """
    owner = "cox_incidence_band"
    check_choice(transform, TRANSFORMS, parameter="transform", owner=owner)
    check_number(
        cause,
        parameter="cause",
        owner=owner,
        low=0,
        high=len(baselines) - 1,
        integer=True,
    )
    z = float(critical_value(level, None, owner))
    eta = as_log_ratio(linear_predictors, len(baselines), owner)
    columns = [
        np.asarray(design, dtype=np.float64) - base.center
        for design, base in zip(designs, baselines, strict=True)
    ]
    v = np.asarray(cov, dtype=np.float64)
    p = sum(len(base.center) for base in baselines)
    if v.shape != (p, p) or any(len(x) != len(eta) for x in columns):
        raise DataError(
            f"{owner}: designs of {[x.shape for x in columns]}, linear_predictors "
            f"{eta.shape} and cov {v.shape} do not fit models of {p} columns in all."
        )
    ratio = np.exp(eta - np.array([base.level for base in baselines]))
    asked = np.atleast_1d(np.asarray(times, dtype=np.float64))
    estimate = np.empty((len(eta), len(asked)))
    variance = np.empty_like(estimate)
    known = list(baselines[0].strata)
    for label, rows in rows_by_stratum(known, strata, len(eta), owner):
        grid, parts = _on_one_grid(baselines, label)
        at = np.searchsorted(grid, asked, side="right")
        for some in blocks(rows, 4 * len(parts) * max(len(grid), 1)):
            own = [x[some] for x in columns]
            estimate[some], variance[some] = _block(
                parts, own, ratio[some], v, cause, at
            )
    error = np.sqrt(np.maximum(variance, 0.0))
    lower, upper = incidence_limits(estimate, error, z, transform)

    def step(values: FloatArray) -> StepFunction:
        return StepFunction(asked, values, before=0.0, index=index)

    return CurveBand(step(estimate), step(error), step(lower), step(upper))


def fine_gray_band(
    spread: Mapping[Hashable, BaselineSpread],
    level_of_fit: float,
    design: ArrayLike,
    linear_predictor: ArrayLike,
    cov: ArrayLike,
    *,
    strata: Sequence[Hashable] | None = None,
    level: float = 0.95,
    transform: str = "log-log",
    index: Any = None,
) -> CurveBand:
    """Cumulative incidence of a Fine-Gray model with pointwise confidence limits.

    The infinitesimal jackknife of Λ(t | x): rows move the coefficients, the baseline
    hazard and the estimated weights of censoring, see
    :class:`semistruct.solvers.BaselineSpread`. The standard error of F is that of Λ
    times exp(−Λ).

    Parameters
    ----------
    spread : mapping of label to BaselineSpread
        Of ``FineGrayFit.spread()``.
    level_of_fit : float
        ``FineGrayFit.level``.
    design : array-like of shape (q, p)
        Columns of the rows to predict.
    linear_predictor : array-like of shape (q,)
        Their η, offset and deep terms included; the deep terms count as known.
    cov : array-like of shape (p, p)
        ``FineGrayFit.cov_robust``.
    strata : sequence of length q, optional
        Stratum of each row; needed where the fit had strata.
    level : float in (0, 1), default 0.95
        Coverage.
    transform : {"log-log", "plain"}, default "log-log"
        Scale on which the limits are symmetric: log(−log(1 − F)), or F, then cut to
        [0, 1].

    Returns
    -------
    CurveBand
        ``estimate`` is F(t | x), ``std_error`` its standard error, at the times of
        ``spread``.

    Raises
    ------
    DataError
        If shapes disagree, or a stratum is missing or unknown.

    References
    ----------
    Fine & Gray (1999), Journal of the American Statistical Association 94, 496-509,
    doi:10.1080/01621459.1999.10474144

    Examples
    --------
    >>> from semistruct.inference import fine_gray_band
    >>> from semistruct.solvers import fit_fine_gray
    >>> x = [[0.0], [1.0], [0.0], [1.0], [1.0], [0.0]]
    >>> found = fit_fine_gray(
    ...     x, [5.0, 3.0, 4.0, 6.0, 1.0, 2.0], [1, 1, 1, 0, 1, 1],
    ...     ["a", "a", "b", "", "a", "b"], of="a",
    ... )
    >>> band = fine_gray_band(
    ...     found.spread(), found.level, [[1.0]], found.fit.coef, found.cov_robust
    ... )
    >>> band.estimate([3.0]).round(3).item(), band.upper([3.0]).round(3).item()
    (0.454, 0.923)
    """
    owner = "fine_gray_band"
    check_choice(transform, TRANSFORMS, parameter="transform", owner=owner)
    z = float(critical_value(level, None, owner))
    eta = as_log_ratio(np.asarray(linear_predictor, float).reshape(-1, 1), 1, owner)
    x, v = np.asarray(design, dtype=np.float64), np.asarray(cov, dtype=np.float64)
    p = next(iter(spread.values())).drift.shape[1]
    if x.shape != (len(eta), p) or v.shape != (p, p):
        raise DataError(
            f"{owner}: design {x.shape}, linear_predictor ({len(eta)},) and cov "
            f"{v.shape} do not fit a model of {p} columns."
        )
    times = np.unique(np.concatenate([part.times for part in spread.values()]))
    hazard, variance = np.zeros((2, len(eta), len(times)))
    for label, rows in rows_by_stratum(list(spread), strata, len(eta), owner):
        part = spread[label]
        at = np.searchsorted(part.times, times, side="right")
        base = _read(part.hazard[None], at)[0]
        for some in blocks(rows, max(p, 1) * len(times)):
            pull = x[some, None, :] * base[:, None]
            pull -= _read(part.drift.T, at).T
            cross = _read(part.cross.T, at).T
            ratio = np.exp(eta[some] - level_of_fit)
            hazard[some] = ratio * base
            own = _read(part.variance[None], at)
            own = own + 2.0 * np.einsum("rtp,tp->rt", pull, cross)
            own = own + np.einsum("rtp,rtp->rt", pull @ v, pull)
            variance[some] = ratio**2 * own
    estimate = -np.expm1(-hazard)
    error = np.sqrt(np.maximum(variance, 0.0)) * np.exp(-hazard)
    lower, upper = incidence_limits(estimate, error, z, transform)
    curves = (
        StepFunction(times, values, before=0.0, index=index)
        for values in (estimate, error, lower, upper)
    )
    return CurveBand(*curves)


def incidence_limits(
    estimate: FloatArray, error: FloatArray, z: float, transform: str
) -> tuple[FloatArray, FloatArray]:
    """Limits of F, given its standard error."""
    if transform == "plain":
        half = z * error
        return np.clip(estimate - half, 0, 1), np.clip(estimate + half, 0, 1)
    inside = (estimate > 0) & (estimate < 1)
    hazard = -np.log1p(-np.where(inside, estimate, 0.5))
    power = z * error / (np.exp(-hazard) * hazard)
    factor = np.exp(np.minimum(power, 400.0))  # limits are 0 and 1 long before
    lower = np.where(inside, -np.expm1(-hazard / factor), estimate)
    return lower, np.where(inside, -np.expm1(-hazard * factor), estimate)


def _on_one_grid(
    baselines: Sequence[CoxBaseline], label: Hashable
) -> tuple[FloatArray, list[_Increments]]:
    """Event times of a stratum, and the increments of each cause there."""
    own = [base.strata[label] for base in baselines]
    grid = union_times([(part.times, part.hazard) for part in own])
    found = []
    for part in own:
        hazard, variance, drift = part.at(grid)
        found.append(
            _Increments(
                np.diff(hazard, prepend=0.0),
                np.diff(variance, prepend=0.0),
                np.diff(drift, axis=0, prepend=0.0),
            )
        )
    return grid, found


def _block(
    parts: Sequence[_Increments],
    columns: Sequence[FloatArray],
    ratio: FloatArray,
    cov: FloatArray,
    cause: int,
    at: IntArray,
) -> tuple[FloatArray, FloatArray]:
    """F and its variance for rows of one stratum, (r, t) each.

    With d_l = g_l − F(t), sums over j up to t are expanded in powers of F(t).
    """
    steps = np.stack([ratio[:, [k]] * part.hazard for k, part in enumerate(parts)])
    total = steps.sum(axis=0)  # (r, m)
    survival = np.exp(-np.cumsum(total, axis=1))
    before = np.ones_like(survival)
    before[:, 1:] = survival[:, :-1]
    mean = mean_survival(total)
    safe = np.where(total > 0, total, 1.0)
    bend = np.where(total > 1e-4, (np.exp(-total) - mean) / safe, total / 3.0 - 0.5)
    curve = np.cumsum(before * steps[cause] * mean, axis=1)
    f = _read(curve, at)
    common = before * steps[cause] * bend + curve
    variance = np.zeros_like(f)
    pulls = []
    for k, (part, x) in enumerate(zip(parts, columns, strict=True)):
        g = common + before * mean if k == cause else common
        noise = ratio[:, [k]] ** 2 * part.variance
        variance += _read(np.cumsum(g**2 * noise, axis=1), at)
        variance -= 2.0 * f * _read(np.cumsum(g * noise, axis=1), at)
        variance += f**2 * _read(np.cumsum(noise, axis=1), at)
        along = _read(np.cumsum(g * part.hazard, axis=1), at)
        along -= f * _read(np.cumsum(part.hazard), at)
        drift = np.vstack([np.zeros(x.shape[1]), np.cumsum(part.drift, axis=0)])[at]
        pull = x[:, None, :] * along[:, :, None]  # (r, t, p_k)
        pull += f[:, :, None] * drift
        pull -= _segment_sums(g, part.drift, at)
        pulls.append(pull * ratio[:, k, None, None])
    gradient = np.concatenate(pulls, axis=2)
    variance += np.einsum("rtp,rtp->rt", gradient @ cov, gradient)
    return f, variance


def _read(values: FloatArray, at: IntArray) -> FloatArray:
    """Read running sums (…, m) at searchsorted places, 0 before the first."""
    padded = np.zeros((*values.shape[:-1], values.shape[-1] + 1))
    padded[..., 1:] = values
    found: FloatArray = padded[..., at]
    return found


def _segment_sums(weights: FloatArray, values: FloatArray, at: IntArray) -> FloatArray:
    """Σ_{j < at} g_ij v_j for each row and place, (r, t, p), without (r, m, p)."""
    found = np.zeros((len(weights), len(at), values.shape[1]))
    running = np.zeros((len(weights), values.shape[1]))
    done = 0
    for place in np.argsort(at, kind="stable"):
        stop = int(at[place])
        running = running + weights[:, done:stop] @ values[done:stop]
        found[:, place] = running
        done = stop
    return found
