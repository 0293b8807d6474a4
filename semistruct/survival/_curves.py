"""Kaplan-Meier, Nelson-Aalen and Aalen-Johansen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from semistruct._core.aalen_johansen import incidence_of_counts
from semistruct._core.step import StepFunction
from semistruct._core.surv import Surv
from semistruct._core.validation import check_choice, suggest
from semistruct.exceptions import TargetError
from semistruct.inference._cox_curves import survival_limits
from semistruct.inference._linear import critical_value

from ._counts import Counts, at_risk, count, groups_of

FloatArray = NDArray[np.float64]
_ROUNDING = 1e-9  # of the sums of weights that the numbers at risk are


@dataclass(frozen=True)
class CurveEstimate:
    """Nonparametric curves of G groups with pointwise limits.

    Attributes
    ----------
    estimate : StepFunction
        G functions; their index holds the labels of the groups, or "all".
    std_error : StepFunction
        Standard error of the estimate.
    lower, upper : StepFunction
    table : DataFrame
        Index (group, time), a row for each time that a row of the group leaves at;
        columns "at risk", "events", "censored", "estimate", "std error", "lower",
        "upper".
    """

    estimate: StepFunction
    std_error: StepFunction
    lower: StepFunction
    upper: StepFunction
    table: pd.DataFrame


class _Curve(NamedTuple):
    estimate: FloatArray
    std_error: FloatArray
    lower: FloatArray
    upper: FloatArray


def kaplan_meier(
    y: Any, by: Any = None, *, level: float = 0.95, transform: str = "log-log"
) -> CurveEstimate:
    """Estimate survival functions, Ŝ(t) = Π_{t_j ≤ t} (1 − d_j/n_j).

    Greenwood's variance, Var log Ŝ = Σ d_j / (n_j (n_j − d_j)). Late entry is left
    truncation: a row is at risk in (entry, time].

    Parameters
    ----------
    y : Surv, or what ``Surv.coerce`` takes
        Weights are case weights: 2 is two such rows.
    by : array-like of shape (n,), optional
        Groups; the strata of ``y`` when not given, or all rows together.
    level : float in (0, 1), default 0.95
        Coverage of the pointwise limits.
    transform : {"log-log", "log", "plain"}, default "log-log"
        Scale on which the limits are symmetric.

    Returns
    -------
    CurveEstimate
        Limits are NaN where the estimate is 0.

    References
    ----------
    Kaplan & Meier (1958), Journal of the American Statistical Association 53, 457-481,
    doi:10.1080/01621459.1958.10501452

    Examples
    --------
    >>> import semistruct as ss
    >>> from semistruct.survival import kaplan_meier
    >>> y = ss.Surv([1.0, 2.0, 2.0, 3.0], [1, 1, 0, 0])
    >>> kaplan_meier(y).table["estimate"].tolist()
    [0.75, 0.5, 0.5]
    """
    owner = "kaplan_meier"
    _check_transform(transform, ("log-log", "log", "plain"), owner)
    z = float(critical_value(level, None, owner))

    def curve(counts: Counts, group: Surv) -> _Curve:
        n, d = counts.at_risk, counts.events
        estimate, log_error, hazard = _product_limit(n, d)
        lower, upper = survival_limits(hazard, log_error, z, transform)
        with np.errstate(invalid="ignore"):
            error = np.where(estimate > 0, estimate * log_error, np.nan)
        return _Curve(estimate, error, lower, upper)

    return _by_group(y, by, curve, 1.0, owner)


def nelson_aalen(
    y: Any, by: Any = None, *, level: float = 0.95, transform: str = "log"
) -> CurveEstimate:
    """Estimate cumulative hazards, Λ̂(t) = Σ_{t_j ≤ t} d_j/n_j.

    Variance Σ d_j/n_j².

    Parameters
    ----------
    y : Surv, or what ``Surv.coerce`` takes
        Weights are case weights.
    by : array-like of shape (n,), optional
        Groups; the strata of ``y`` when not given, or all rows together.
    level : float in (0, 1), default 0.95
        Coverage of the pointwise limits.
    transform : {"log", "plain"}, default "log"
        Scale on which the limits are symmetric: log Λ or Λ (then cut at 0).

    Returns
    -------
    CurveEstimate

    References
    ----------
    Aalen (1978), Annals of Statistics 6, 701-726, doi:10.1214/aos/1176344247

    Examples
    --------
    >>> import semistruct as ss
    >>> from semistruct.survival import nelson_aalen
    >>> y = ss.Surv([1.0, 2.0, 2.0, 3.0], [1, 1, 0, 0])
    >>> nelson_aalen(y).estimate([2.5]).round(4).tolist()
    [[0.5833]]
    """
    owner = "nelson_aalen"
    _check_transform(transform, ("log", "plain"), owner)
    z = float(critical_value(level, None, owner))

    def curve(counts: Counts, group: Surv) -> _Curve:
        n = np.where(counts.at_risk > 0, counts.at_risk, 1.0)
        hazard = np.cumsum(counts.events / n)
        error = np.sqrt(np.cumsum(counts.events / n**2))
        if transform == "plain":
            lower, upper = np.maximum(hazard - z * error, 0.0), hazard + z * error
        else:
            factor = np.exp(z * error / np.where(hazard > 0, hazard, 1.0))
            lower, upper = hazard / factor, hazard * factor
        return _Curve(hazard, error, lower, upper)

    return _by_group(y, by, curve, 0.0, owner)


def aalen_johansen(
    y: Any, cause: Any, by: Any = None, *, level: float = 0.95
) -> CurveEstimate:
    """Estimate a cause's cumulative incidence, F̂(t) = Σ_{t_j ≤ t} Ŝ(t_j−) d_kj/n_j.

    Ŝ is Kaplan-Meier's of all causes together. Variance by the delta method,
    Σ_j (F(t) − F_j)² d_j/(n_j (n_j − d_j)) + Ŝ_{j−1}² d_kj (n_j − d_kj)/n_j³
    − 2 (F(t) − F_j) Ŝ_{j−1} d_kj/n_j²; limits symmetric in log(−log F). Ties are taken
    as they are.

    Parameters
    ----------
    y : Surv with ``cause``
        Weights are case weights.
    cause : label
        The cause of interest, one of ``y.causes``.
    by : array-like of shape (n,), optional
        Groups; the strata of ``y`` when not given, or all rows together.
    level : float in (0, 1), default 0.95
        Coverage of the pointwise limits.

    Returns
    -------
    CurveEstimate
        "events" of the table are those of the cause, "censored" all others that leave.

    Raises
    ------
    TargetError
        If ``y`` has no causes, or no event of this one.

    References
    ----------
    Aalen & Johansen (1978), Scandinavian Journal of Statistics 5, 141-150, and
    Marubini & Valsecchi (1995), Analysing Survival Data, section 10.2 (variance);
    Putter, Fiocco & Geskus (2007), Statistics in Medicine 26, 2389-2430,
    doi:10.1002/sim.2712

    Examples
    --------
    >>> import semistruct as ss
    >>> from semistruct.survival import aalen_johansen
    >>> y = ss.Surv([1.0, 2.0, 3.0, 4.0], [1, 1, 1, 0], cause=["a", "b", "a", "a"])
    >>> aalen_johansen(y, "a").estimate([1.0, 3.5]).tolist()
    [[0.25, 0.5]]
    """
    owner = "aalen_johansen"
    z = float(critical_value(level, None, owner))
    y = Surv.coerce(y)
    if y.cause is None:
        raise TargetError(f"{owner}: y has no causes; give Surv(…, cause=…).")
    if cause not in y.causes:
        raise TargetError(
            f"{owner}: no event of y has the cause {cause!r}; there are {y.causes}."
            f"{suggest(str(cause), map(str, y.causes))}"
        )

    def curve(counts: Counts, group: Surv) -> _Curve:
        assert group.cause is not None
        own = count(group, group.event & (group.cause == cause)).events
        every = count(group).events
        estimate, variance = incidence_of_counts(counts.at_risk, every, own)
        error = np.sqrt(variance)
        inside = (estimate > 0) & (estimate < 1)
        safe = np.where(inside, estimate, 0.5)
        factor = np.exp(z * error / (safe * -np.log(safe)))
        lower = np.where(inside, safe**factor, estimate)
        upper = np.where(inside, safe ** (1.0 / factor), estimate)
        return _Curve(estimate, error, lower, upper)

    def counted(group: Surv) -> Counts:
        assert group.cause is not None
        return count(group, group.event & (group.cause == cause))

    return _by_group(y, by, curve, 0.0, owner, counted)


def numbers_at_risk(y: Any, times: ArrayLike, by: Any = None) -> pd.DataFrame:
    """Count the rows at risk just before some times, entry < t <= time.

    Parameters
    ----------
    y : Surv, or what ``Surv.coerce`` takes
    times : array-like of shape (k,)
    by : array-like of shape (n,), optional
        Groups; the strata of ``y`` when not given, or all rows together.

    Returns
    -------
    DataFrame
        A row for each group, a column for each time; weighted where ``y`` has weights.

    Examples
    --------
    >>> import semistruct as ss
    >>> from semistruct.survival import numbers_at_risk
    >>> numbers_at_risk(ss.Surv([1.0, 2.0, 3.0]), [1.0, 2.5])
         1.0  2.5
    all  3.0  1.0
    """
    y = Surv.coerce(y)
    labels, code = groups_of(y, by, "numbers_at_risk")
    asked = np.atleast_1d(np.asarray(times, dtype=np.float64))
    rows = [at_risk(y[code == g], asked) for g in range(len(labels))]
    return pd.DataFrame(rows, index=pd.Index(labels), columns=asked)


def _product_limit(
    n: FloatArray, d: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return Ŝ, the standard error of its logarithm, and −log Ŝ."""
    safe = np.where(n > 0, n, 1.0)
    left = _survivors(n, d)
    with np.errstate(divide="ignore"):
        curve: FloatArray = np.cumprod(np.where(d > 0, left / safe, 1.0), dtype=float)
        step = np.where(d > 0, d / (safe * left), 0.0)
        hazard = np.maximum(-np.log(curve), 0.0)
    return curve, np.sqrt(np.cumsum(step)), hazard


def _survivors(n: FloatArray, d: FloatArray) -> FloatArray:
    """Return n − d, and 0 where it is rounding."""
    return np.where(n - d > _ROUNDING * n, n - d, 0.0)


def _by_group(
    y: Any,
    by: Any,
    curve: Callable[[Counts, Surv], _Curve],
    before: float,
    owner: str,
    counted: Callable[[Surv], Counts] = count,
) -> CurveEstimate:
    y = Surv.coerce(y)
    labels, code = groups_of(y, by, owner)
    tables, found = [], []
    for g in range(len(labels)):
        group = y[code == g]
        counts = counted(group)
        values = curve(counts, group)
        found.append((counts.times, values))
        columns = {
            "at risk": counts.at_risk,
            "events": counts.events,
            "censored": counts.censored,
            "estimate": values.estimate,
            "std error": values.std_error,
            "lower": values.lower,
            "upper": values.upper,
        }
        index = pd.Index(counts.times, name="time")
        tables.append(pd.DataFrame(columns, index=index))
    times = np.unique(np.concatenate([t for t, _ in found]))

    def joined(name: str, start: float) -> StepFunction:
        rows = [
            StepFunction(t, getattr(values, name), start)(times)[0]
            for t, values in found
        ]
        return StepFunction(times, np.array(rows), start, labels)

    return CurveEstimate(
        estimate=joined("estimate", before),
        std_error=joined("std_error", 0.0),
        lower=joined("lower", before),
        upper=joined("upper", before),
        table=pd.concat(tables, keys=labels, names=["group"]),
    )


def _check_transform(value: str, allowed: tuple[str, ...], owner: str) -> None:
    check_choice(value, allowed, parameter="transform", owner=owner)
