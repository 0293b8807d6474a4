"""Linear contrasts of coefficients, adjusted for their number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from semistruct._core.validation import check_choice
from semistruct.exceptions import DataError
from semistruct.inference._linear import coefficient_table, linear_combination
from semistruct.inference._simultaneous import max_abs_draws

FloatArray = NDArray[np.float64]

_N_DRAWS = 100_000
_ADJUST = ("none", "holm", "bonferroni", "simultaneous")


def contrasts(
    combination: ArrayLike,
    coef: ArrayLike,
    cov: ArrayLike,
    names: Sequence[object] | None = None,
    df_residual: float | None = None,
    adjust: str = "none",
    level: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Estimates, tests and intervals of several contrasts L β.

    ``adjust`` says how p-values and intervals answer for the m contrasts together:
    "bonferroni" multiplies p by m; "holm" steps down through the ordered p-values
    (Holm 1979, https://www.jstor.org/stable/4615733) and has Bonferroni's intervals,
    having none of its own; "simultaneous" takes P(max_j |t_j| ≥ |t|) and the quantile
    of max_j |t_j| from the joint normal or t distribution of the estimates (Hothorn,
    Bretz and Westfall 2008, doi:10.1002/bimj.200810425), by simulation of 100,000
    draws, p being kept between its unadjusted and Bonferroni value.

    Parameters
    ----------
    combination : array-like of shape (p,) or (m, p)
        L.
    coef : array-like of shape (p,)
    cov : array-like of shape (p, p)
    names : sequence of length m, optional
        Row labels, 0 to m − 1 when not given.
    df_residual : float, optional
        Degrees of freedom of an estimated dispersion: t is used. Without it, z.
    adjust : {"none", "holm", "bonferroni", "simultaneous"}, default "none"
    level : float in (0, 1), default 0.95
        Coverage, of all intervals together where they are adjusted.
    seed : int >= 0, default 0
        Of the simulation.

    Returns
    -------
    DataFrame
        The columns of :func:`coefficient_table`.

    Examples
    --------
    >>> from semistruct.inference import contrasts
    >>> table = contrasts([[1, -1]], [3.0, 1.0], [[0.5, 0], [0, 0.5]], ["a - b"])
    >>> table.round(3)
           coef  std err    z  P>|z|  [0.025  0.975]
    a - b   2.0      1.0  2.0  0.046    0.04    3.96
    """
    check_choice(adjust, _ADJUST, parameter="adjust", owner="contrasts")
    rows = np.atleast_2d(np.asarray(combination, dtype=np.float64))
    covariance = np.asarray(cov, dtype=np.float64)
    m = len(rows)
    labels = list(range(m)) if names is None else list(names)
    if len(labels) != m:
        raise DataError(f"contrasts: {len(labels)} names for {m} contrasts.")
    estimate, error = linear_combination(rows, coef, covariance)
    table = coefficient_table(
        labels, estimate, np.diag(error**2), df_residual=df_residual, level=level
    )
    if adjust == "none":
        return table
    t, p, low, high = table.columns[2:]
    raw = table[p].to_numpy()
    if adjust == "simultaneous":
        draws = np.sort(max_abs_draws(rows, covariance, _N_DRAWS, seed, df_residual))
        above = _N_DRAWS - np.searchsorted(draws, np.abs(table[t].to_numpy()))
        adjusted = np.clip(above / _N_DRAWS, raw, np.minimum(m * raw, 1.0))
        half = float(np.quantile(draws, level)) * error
        limits = [estimate - half, estimate + half]
    else:
        adjusted = np.minimum(m * raw, 1.0) if adjust == "bonferroni" else _holm(raw)
        each = 1.0 - (1.0 - level) / m
        wide = coefficient_table(
            labels, estimate, np.diag(error**2), df_residual=df_residual, level=each
        )
        limits = [wide.iloc[:, 4].to_numpy(), wide.iloc[:, 5].to_numpy()]
    table[p], table[low], table[high] = adjusted, limits[0], limits[1]
    return table


def _holm(p: FloatArray) -> FloatArray:
    """Holm's adjusted p-values."""
    order = np.argsort(p, kind="stable")
    stepped = p[order] * np.arange(len(p), 0, -1)
    out = np.empty_like(p)
    out[order] = np.minimum(np.maximum.accumulate(stepped), 1.0)
    return out
