"""The score test of proportional hazards."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import linalg, stats

from semistruct._core.validation import check_choice
from semistruct.exceptions import DataError
from semistruct.inference._cox_rows import CoxRows

FloatArray = NDArray[np.float64]
TRANSFORMS = ("km", "rank", "identity", "log")


def cox_ph_test(
    rows: CoxRows,
    terms: Mapping[str, Sequence[int]],
    *,
    transform: str | Callable[[FloatArray], FloatArray] = "km",
    penalty: ArrayLike | None = None,
    edf: ArrayLike | None = None,
) -> pd.DataFrame:
    """Test each term, and all of them, for a coefficient that changes with time.

    The score test of θ = 0 in β(t) = β + θ (g(t) − ḡ), ḡ the mean over the deaths:
    u'I⁻¹u with u = (0, Σ_deaths w_i (g_i − ḡ)(x_i − b̄_i)) and I the information of
    (β, θ), Σ_s ω_s Var_s(x) ⊗ [1, g; g, g²] + penalty.

    Parameters
    ----------
    rows : CoxRows
        At the maximum of the partial likelihood.
    terms : mapping of str to sequence of int
        Columns of each term; several columns are tested as one.
    transform : {"km", "rank", "identity", "log"} or callable, default "km"
        g: one minus the Kaplan-Meier curve just before t, the rank of t among all
        times, t, log t, or a function of an array of times.
    penalty : array-like of shape (p, p), optional
        Σ λ_j S_j of a penalised fit, added to both diagonal blocks.
    edf : array-like of shape (p,), optional
        Effective degrees of freedom by coefficient of a penalised fit; χ² has those of
        the term instead of its number of columns.

    Returns
    -------
    DataFrame
        Index: the terms and "GLOBAL"; columns "chi2", "df", "p".

    Raises
    ------
    DataError
        If g is not finite at an event time.

    References
    ----------
    Grambsch & Therneau (1994), Biometrika 81, 515-526, doi:10.1093/biomet/81.3.515

    Examples
    --------
    >>> from semistruct.inference import CoxRows, cox_ph_test
    >>> x = [[0.0], [1.0], [1.0], [0.0]]
    >>> rows = CoxRows(x, [0.0] * 4, [1.0, 2.0, 3.0, 4.0], [1, 1, 1, 0])
    >>> cox_ph_test(rows, {"x": [0]}, transform="identity").round(3)
            chi2  df      p
    x        2.0   1  0.157
    GLOBAL   2.0   1  0.157
    """
    sets = rows.sets
    p = rows.design.shape[1]
    at = sets.rows[sets.dead]
    value = _transformed(rows, transform)[at]
    bad = np.flatnonzero(~np.isfinite(value))
    if bad.size:
        raise DataError(
            f"ph_test: the transform of time is {value[bad[0]]} at the event time "
            f"{rows.time[at[bad[0]]]:g}. Use transform='km', or shift the times."
        )
    value = value - value.mean()
    by_time = np.zeros(sets.n_times)
    by_time[sets.last[sets.dead]] = value  # (m,): tied deaths share it
    g = by_time[sets.step_time]
    extra = np.zeros((p, p)) if penalty is None else np.asarray(penalty, np.float64)
    block = rows.information(g)
    information = np.block(
        [
            [rows.information() + extra, block],
            [block, rows.information(g * g) + extra],
        ]
    )
    residual = rows.design[sets.dead] - rows.dead_means
    slope = residual.T @ (value * rows.weight[at])  # (p,)
    freedom = None if edf is None else np.asarray(edf, dtype=np.float64)
    every = {**terms, "GLOBAL": range(p)}
    table = [
        _score_test(slope, information, list(cols), freedom) for cols in every.values()
    ]
    index = pd.Index(list(every), tupleize_cols=False)
    return pd.DataFrame(table, index=index, columns=["chi2", "df", "p"])


def _score_test(
    slope: FloatArray,
    information: FloatArray,
    columns: list[int],
    edf: FloatArray | None,
) -> tuple[float, float, float]:
    p = len(slope)
    kept = [*range(p), *(p + j for j in columns)]
    score = np.concatenate([np.zeros(p), slope[columns]])
    inner = information[np.ix_(kept, kept)]
    size = np.sqrt(np.maximum(np.diag(inner), 0.0))
    size = np.where(size > 0, size, 1.0)
    inverse = linalg.pinvh(inner / np.outer(size, size), rtol=1e-11)
    score = score / size
    statistic = float(score @ inverse @ score)
    df = len(columns) if edf is None else float(edf[columns].sum())
    return statistic, df, float(stats.chi2.sf(statistic, df))


def _transformed(
    rows: CoxRows, transform: str | Callable[[FloatArray], FloatArray]
) -> FloatArray:
    """Return g of the time of every row, (n,); rows of weight 0 do not count."""
    time = rows.time
    if callable(transform):
        return np.asarray(transform(time), dtype=np.float64)
    check_choice(transform, TRANSFORMS, parameter="transform", owner="ph_test")
    if transform == "identity":
        return time
    if transform == "log":
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log(time)
    used = rows.weight > 0
    if transform == "rank":
        value = np.full(len(time), np.nan)
        value[used] = stats.rankdata(time[used])
        return value
    stop, dead = time[used], rows.event[used]
    start = None if rows.entry is None else rows.entry[used]
    times, count = np.unique(stop[dead], return_counts=True)
    at_risk = len(stop) - np.searchsorted(np.sort(stop), times, side="left")
    if start is not None:
        at_risk -= len(start) - np.searchsorted(np.sort(start), times, side="left")
    curve = np.concatenate([[1.0], np.cumprod(1.0 - count / at_risk)])
    left: FloatArray = 1.0 - curve[np.searchsorted(times, time, side="left")]
    return left
