"""Cumulative incidence of competing causes from their hazards.

Letters: C causes, n rows, m event times of any cause, t times that are asked for.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semistruct._core.validation import check_choice
from semistruct.exceptions import DataError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
Hazards = Mapping[Hashable, tuple[FloatArray, FloatArray]]

FORMS = ("exponential", "product")
_CELLS = 1 << 21  # of a block (C, rows, m)


class Incidence(NamedTuple):
    """Cumulative incidence of each cause, and the probability of no event.

    Attributes
    ----------
    times : ndarray of shape (t,)
    causes : ndarray of shape (C, n, t)
        F_k(t | x); with ``survival`` they sum to 1.
    survival : ndarray of shape (n, t)
        S(t | x), of events of any cause.
    """

    times: FloatArray
    causes: FloatArray
    survival: FloatArray


def incidence_from_hazards(
    hazards: ArrayLike, *, form: str = "exponential"
) -> tuple[FloatArray, FloatArray]:
    """Cumulative incidence from cumulative hazards that step at the same times.

    With increments h_kj and h_j = Σ_k h_kj: ΔF_kj = S_{j−1} (h_kj/h_j)(1 − exp(−h_j)),
    S_j = S_{j−1} exp(−h_j). This is the exact solution for hazards that are spread over
    the time between two steps; each S_j is exp(−Λ), as that of a Cox model, and can
    never be negative. "product" takes hazards as jumps: ΔF_kj = S_{j−1} h_kj,
    S_j = S_{j−1}(1 − h_j), Aalen and Johansen's estimate where there are no
    covariates; jumps h_j above 1, which a row of high risk may have, are cut to 1. In
    both Σ_k F_k + S = 1.

    Parameters
    ----------
    hazards : array-like of shape (C, n, m)
        Λ_k(t_j | x) at all m event times, not falling.
    form : {"exponential", "product"}, default "exponential"

    Returns
    -------
    incidence : ndarray of shape (C, n, m)
    survival : ndarray of shape (n, m)

    Raises
    ------
    DataError
        If the hazards fall or are not finite.

    References
    ----------
    Aalen & Johansen (1978), Scandinavian Journal of Statistics 5, 141-150; Cheng, Fine
    & Wei (1998), Biometrics 54, 219-228, doi:10.2307/2534009

    Examples
    --------
    >>> from semistruct.inference import incidence_from_hazards
    >>> found, survival = incidence_from_hazards([[[0.2, 0.2]], [[0.0, 0.5]]])
    >>> found[:, 0].round(4).tolist(), survival.round(4).tolist()
    ([[0.1813, 0.1813], [0.0, 0.3221]], [[0.8187, 0.4966]])
    """
    owner = "incidence_from_hazards"
    check_choice(form, FORMS, parameter="form", owner=owner)
    values = np.asarray(hazards, dtype=np.float64)
    if values.ndim != 3:
        raise DataError(f"{owner}: hazards must be (C, n, m); got {values.shape}.")
    steps = np.diff(values, axis=2, prepend=0.0)
    bad = ~(steps >= -1e-12 * np.maximum(values, 1.0))  # NaN is bad
    if bad.any():
        k, i, j = (int(v) for v in np.argwhere(bad)[0])
        raise DataError(
            f"{owner}: a cumulative hazard is at least 0 and never falls; that of "
            f"cause number {k}, row {i} is {values[k, i, j]:g} at time number {j}."
        )
    return _from_steps(np.maximum(steps, 0.0), form)


def _from_steps(steps: FloatArray, form: str) -> tuple[FloatArray, FloatArray]:
    """Incidence and survival from increments of the hazards, (C, n, m)."""
    total = steps.sum(axis=0)
    if form == "product":
        survival = np.cumprod(np.maximum(1.0 - total, 0.0), axis=1)
        share = 1.0 / np.maximum(total, 1.0)
    else:
        survival = np.exp(-np.cumsum(total, axis=1))
        share = mean_survival(total)
    before = np.ones_like(survival)
    before[:, 1:] = survival[:, :-1]
    incidence: FloatArray = np.cumsum(steps * (before * share), axis=2)
    return incidence, survival


def mean_survival(hazard: FloatArray) -> FloatArray:
    """(1 − exp(−h))/h: the mean of exp(−u) over u up to h; 1 at h = 0."""
    safe = np.where(hazard > 0, hazard, 1.0)
    return np.where(hazard > 0, -np.expm1(-safe) / safe, 1.0)


def cox_incidence(
    baselines: Sequence[Hazards],
    log_ratio: ArrayLike,
    times: ArrayLike | None = None,
    *,
    strata: Sequence[Hashable] | None = None,
    form: str = "exponential",
) -> Incidence:
    """Cumulative incidence from cause-specific Cox models.

    Λ_k(t | x) = Λ_k0(t) exp(ℓ_k), put together as :func:`incidence_from_hazards` does.
    Rows go by blocks: no array (C, n, m) of all event times is held.

    Parameters
    ----------
    baselines : sequence of C mappings, label of stratum to (times, hazard)
        As :func:`semistruct.solvers.baseline_hazard` gives them, the only label being
        None without strata.
    log_ratio : array-like of shape (n, C)
        ℓ: linear predictors, less the level that the baselines belong to.
    times : array-like of shape (t,), optional
        Times, any order; all event times when not given.
    strata : sequence of length n, optional
        Stratum of each row; needed where the fit had strata.
    form : {"exponential", "product"}, default "exponential"

    Returns
    -------
    Incidence

    Raises
    ------
    DataError
        If shapes disagree, or a stratum is missing or unknown.

    References
    ----------
    Cheng, Fine & Wei (1998), Biometrics 54, 219-228, doi:10.2307/2534009; Putter,
    Fiocco & Geskus (2007), Statistics in Medicine 26, 2389-2430, doi:10.1002/sim.2712

    Examples
    --------
    >>> import numpy as np
    >>> from semistruct.inference import cox_incidence
    >>> relapse = {None: (np.array([1.0]), np.array([0.2]))}
    >>> death = {None: (np.array([2.0]), np.array([0.5]))}
    >>> found = cox_incidence([relapse, death], [[0.0, 0.0]], [1.5, 2.0])
    >>> found.causes[1].round(4).tolist()
    [[0.0, 0.3221]]
    """
    owner = "cox_incidence"
    check_choice(form, FORMS, parameter="form", owner=owner)
    ratio = as_log_ratio(log_ratio, len(baselines), owner)
    every = union_times([part for base in baselines for part in base.values()])
    asked = every if times is None else np.atleast_1d(np.asarray(times, np.float64))
    causes = np.empty((len(baselines), len(ratio), len(asked)))
    survival = np.empty((len(ratio), len(asked)))
    for label, rows in rows_by_stratum(list(baselines[0]), strata, len(ratio), owner):
        parts = [base[label] for base in baselines]
        own = union_times(parts)
        steps = np.stack([hazard_steps(part, own) for part in parts])  # (C, m)
        at = np.searchsorted(own, asked, side="right")
        for some in blocks(rows, len(baselines) * max(len(own), 1)):
            block = np.exp(ratio[some]).T[:, :, None] * steps[:, None, :]
            found, left = _from_steps(block, form)
            causes[:, some] = at_steps(found, at, 0.0)
            survival[some] = at_steps(left, at, 1.0)
    return Incidence(asked, causes, survival)


def fine_gray_incidence(
    baseline: Hazards,
    log_ratio: ArrayLike,
    times: ArrayLike,
    *,
    strata: Sequence[Hashable] | None = None,
) -> FloatArray:
    """Cumulative incidence from a subdistribution hazard, 1 − exp(−Λ₀(t) exp(ℓ)).

    Parameters
    ----------
    baseline : mapping of label of stratum to (times, hazard)
        The ``baseline`` of :func:`semistruct.solvers.fit_fine_gray`.
    log_ratio : array-like of shape (n,)
        ℓ: linear predictor, less the ``level`` of the fit.
    times : array-like of shape (t,)
    strata : sequence of length n, optional
        Stratum of each row; needed where the fit had strata.

    Returns
    -------
    ndarray of shape (n, t)

    References
    ----------
    Fine & Gray (1999), Journal of the American Statistical Association 94, 496-509,
    doi:10.1080/01621459.1999.10474144

    Examples
    --------
    >>> import numpy as np
    >>> from semistruct.inference import fine_gray_incidence
    >>> baseline = {None: (np.array([1.0, 2.0]), np.array([0.1, 0.3]))}
    >>> fine_gray_incidence(baseline, [0.0], [0.5, 2.0]).round(4).tolist()
    [[0.0, 0.2592]]
    """
    owner = "fine_gray_incidence"
    ratio = as_log_ratio(np.asarray(log_ratio, np.float64).reshape(-1, 1), 1, owner)
    asked = np.atleast_1d(np.asarray(times, dtype=np.float64))
    found = np.empty((len(ratio), len(asked)))
    for label, rows in rows_by_stratum(list(baseline), strata, len(ratio), owner):
        own, hazard = baseline[label]
        at = np.searchsorted(own, asked, side="right")
        found[rows] = np.exp(ratio[rows]) * np.concatenate([[0.0], hazard])[at]
    return -np.expm1(-found)


def as_log_ratio(values: ArrayLike, causes: int, owner: str) -> FloatArray:
    """Check linear predictors (n, C)."""
    ratio = np.asarray(values, dtype=np.float64)
    if causes == 0 or ratio.ndim != 2 or ratio.shape[1] != causes:
        raise DataError(
            f"{owner}: the predictors have shape {ratio.shape}; they must be (n, "
            f"{causes}), a column for each cause."
        )
    if not np.isfinite(ratio).all():
        row = int(np.argwhere(~np.isfinite(ratio))[0][0])
        raise DataError(f"{owner}: the predictors of row {row} are not finite.")
    return ratio


def union_times(parts: Sequence[tuple[FloatArray, FloatArray]]) -> FloatArray:
    """All event times of some hazards, increasing."""
    return np.unique(np.concatenate([times for times, _ in parts]))


def hazard_steps(part: tuple[FloatArray, FloatArray], times: FloatArray) -> FloatArray:
    """Increments of a cumulative hazard on a finer grid, (m,)."""
    steps = np.zeros(len(times))
    steps[np.searchsorted(times, part[0])] = np.diff(part[1], prepend=0.0)
    return steps


def at_steps(values: FloatArray, at: IntArray, before: float) -> FloatArray:
    """Read steps (…, m) at searchsorted places, 0 being before the first."""
    if values.shape[-1] == 0:
        return np.full((*values.shape[:-1], len(at)), before)
    found: FloatArray = values[..., np.maximum(at - 1, 0)]
    return np.where(at == 0, before, found)


def blocks(rows: IntArray, cells: int) -> list[IntArray]:
    """Split rows so that a block of ``cells`` numbers a row stays small."""
    size = max(1, _CELLS // cells)
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def rows_by_stratum(
    known: Sequence[Hashable], strata: Sequence[Hashable] | None, n: int, owner: str
) -> list[tuple[Hashable, IntArray]]:
    """Rows of each stratum that has some."""
    if list(known) == [None]:
        return [(None, np.arange(n))]
    if strata is None:
        raise DataError(f"{owner}: the fit had strata; give strata=, of {list(known)}.")
    labels = np.asarray(strata).tolist()
    if len(labels) != n:
        raise DataError(f"{owner}: strata has {len(labels)} rows, but there are {n}.")
    place = {label: k for k, label in enumerate(known)}
    code = np.array([place.get(label, -1) for label in labels], dtype=np.intp)
    if (code < 0).any():
        row = int(np.flatnonzero(code < 0)[0])
        raise DataError(
            f"{owner}: row {row} is in stratum {labels[row]!r}, which was not there in "
            f"fit; known are {list(known)}."
        )
    found = [(label, np.flatnonzero(code == k)) for label, k in place.items()]
    return [(label, rows) for label, rows in found if len(rows)]
