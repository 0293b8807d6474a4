"""Survival curves of a Cox model with pointwise limits.

Letters: p columns, q rows to predict, t times.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semistruct._core.step import StepFunction
from semistruct._core.validation import check_choice
from semistruct.exceptions import DataError
from semistruct.inference._cox_baseline import CoxBaseline
from semistruct.inference._linear import critical_value

FloatArray = NDArray[np.float64]

_WIDEST = 400.0  # of z se / Λ: limits are 0 and 1 long before


class CurveBand(NamedTuple):
    """Survival curves with pointwise limits, q functions each.

    Attributes
    ----------
    estimate : StepFunction
        S(t | x).
    std_error : StepFunction
        Standard error of the cumulative hazard −log S.
    lower, upper : StepFunction
    """

    estimate: StepFunction
    std_error: StepFunction
    lower: StepFunction
    upper: StepFunction


def cox_survival_band(
    baseline: CoxBaseline,
    design: ArrayLike,
    linear_predictor: ArrayLike,
    cov: ArrayLike,
    *,
    strata: Sequence[Hashable] | None = None,
    level: float = 0.95,
    transform: str = "log-log",
    index: Any = None,
) -> CurveBand:
    """Survival curves of rows with pointwise confidence limits.

    Var Λ̂(t | x) = exp(2η) [Σ ω/S0² + a'Va], a(t) = Σ (x − b) ω/S0, sums over the
    pseudo-steps up to t (Breslow's or Efron's ties): the uncertainty of the baseline
    and that of the coefficients. Limits on the scale of log Λ:
    S^exp(±z se(Λ̂)/Λ̂).

    Parameters
    ----------
    baseline : CoxBaseline
        Of the fit.
    design : array-like of shape (q, p)
        Columns of the rows to predict.
    linear_predictor : array-like of shape (q,)
        Their η, offset and deep terms included; the deep terms count as known.
    cov : array-like of shape (p, p)
        Covariance of the coefficients, model-based or robust.
    strata : sequence of length q, optional
        Stratum of each row; needed where the fit had strata.
    level : float in (0, 1), default 0.95
        Coverage.
    transform : {"log-log", "log", "plain"}, default "log-log"
        Scale on which the limits are symmetric: log Λ, Λ (then S exp(±z se)), or S.
        Limits are cut to [0, 1].

    Returns
    -------
    CurveBand
        On the union of the strata's event times; a stratum's curve is constant after
        its last event.

    Raises
    ------
    DataError
        If shapes disagree, or a stratum is unknown or missing.

    References
    ----------
    Tsiatis (1981), Annals of Statistics 9, 93-108, doi:10.1214/aos/1176345335

    Examples
    --------
    >>> from semistruct.inference import CoxBaseline, CoxRows, cox_survival_band
    >>> rows = CoxRows([[0.0], [1.0]], [0.0, 0.0], [1.0, 2.0], [1, 1])
    >>> base = CoxBaseline.from_rows(rows)
    >>> band = cox_survival_band(base, [[0.5]], [0.0], [[1.0]])
    >>> band.estimate([1.0]).round(3).item(), band.lower([1.0]).round(3).item()
    (0.607, 0.029)
    """
    owner = "cox_survival_band"
    check_choice(
        transform, ("log-log", "log", "plain"), parameter="transform", owner=owner
    )
    z = float(critical_value(level, None, owner))
    p = len(baseline.center)
    x = np.asarray(design, dtype=np.float64)
    eta = np.asarray(linear_predictor, dtype=np.float64).reshape(-1)
    v = np.asarray(cov, dtype=np.float64)
    if x.shape != (len(eta), p) or v.shape != (p, p):
        raise DataError(
            f"{owner}: design {x.shape}, linear_predictor {eta.shape} and cov "
            f"{v.shape} do not fit a model of {p} columns."
        )
    x = x - baseline.center
    times = np.unique(np.concatenate([s.times for s in baseline.strata.values()]))
    hazard = np.empty((len(x), len(times)))
    variance = np.empty_like(hazard)
    for label, rows in rows_by_stratum(baseline, strata, len(x), owner).items():
        part = baseline.strata[label]
        base, own, drift = part.at(times)
        ratio = np.exp(eta[rows] - baseline.level)[:, None]
        # a'Va, a = x Λ − drift, without an array (q, t, p)
        xv = x[rows] @ v
        quadratic = np.einsum("ij,ij->i", xv, x[rows])[:, None] * base**2
        quadratic -= 2.0 * (xv @ drift.T) * base
        quadratic += np.einsum("ij,ij->i", drift @ v, drift)
        hazard[rows] = ratio * base
        variance[rows] = ratio**2 * (own + np.maximum(quadratic, 0.0))
    error = np.sqrt(variance)
    lower, upper = survival_limits(hazard, error, z, transform)

    def step(values: FloatArray, before: float) -> StepFunction:
        return StepFunction(times, values, before=before, index=index)

    return CurveBand(
        step(np.exp(-hazard), 1.0), step(error, 0.0), step(lower, 1.0), step(upper, 1.0)
    )


def survival_limits(
    hazard: FloatArray, error: FloatArray, z: float, transform: str
) -> tuple[FloatArray, FloatArray]:
    """Limits of S = exp(−Λ), given Λ and its standard error; NaN where S is 0."""
    hazard = np.where(np.isfinite(hazard), hazard, np.nan)
    if transform == "plain":
        curve = np.exp(-hazard)
        half = z * error * curve
        return np.clip(curve - half, 0, 1), np.clip(curve + half, 0, 1)
    if transform == "log":
        return np.exp(-hazard - z * error), np.exp(np.minimum(z * error - hazard, 0))
    power = z * error / np.where(hazard > 0, hazard, 1.0)
    factor = np.exp(np.minimum(power, _WIDEST))
    return np.exp(-hazard * factor), np.exp(-hazard / factor)


def rows_by_stratum(
    baseline: CoxBaseline, strata: Sequence[Hashable] | None, n: int, owner: str
) -> dict[Hashable, NDArray[np.intp]]:
    known = list(baseline.strata)
    if known == [None]:
        return {None: np.arange(n)}
    if strata is None:
        raise DataError(f"{owner}: the fit had strata; give strata=, of {known}.")
    labels = np.asarray(strata).tolist()
    if len(labels) != n:
        raise DataError(f"{owner}: strata has {len(labels)} rows, the design {n}.")
    unknown = [i for i, label in enumerate(labels) if label not in known]
    if unknown:
        raise DataError(
            f"{owner}: row {unknown[0]} is in stratum {labels[unknown[0]]!r}, which "
            f"was not there in fit; known are {known}."
        )
    found = {label: [i for i in range(n) if labels[i] == label] for label in known}
    return {label: np.asarray(rows) for label, rows in found.items() if rows}
