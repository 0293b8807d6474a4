"""Baseline cumulative hazards of a Cox model."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semistruct.exceptions import DataError
from semistruct.solvers._cox import risk_sets
from semistruct.solvers._risk_sets import RiskSets

FloatArray = NDArray[np.float64]


def baseline_hazard(
    linear_predictor: ArrayLike,
    time: ArrayLike,
    event: ArrayLike,
    *,
    entry: ArrayLike | None = None,
    strata: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    ties: str = "efron",
) -> dict[Hashable, tuple[FloatArray, FloatArray]]:
    """Baseline cumulative hazard of each stratum, at a linear predictor of 0.

    Breslow: Λ̂₀(t) = Σ_{t_g ≤ t} Σ_deaths w / S0_g. Efron: the same sum over thinned
    pseudo-steps, w̄ / (S0_g − (k/d) D_g) for k < d deaths of a tie (Efron 1977,
    doi:10.1080/01621459.1977.10480613).

    Parameters
    ----------
    linear_predictor : array-like of shape (n,) or (n, 1)
        η of each row, offset included.
    time, event, entry, strata, sample_weight, ties
        As for :func:`semistruct.solvers.fit_cox`.

    Returns
    -------
    dict
        Stratum label → (distinct event times, cumulative hazard), both (m,); the only
        key is None when ``strata`` is not given. Strata without events have empty
        arrays.

    Examples
    --------
    >>> from semistruct.solvers import baseline_hazard
    >>> times, hazard = baseline_hazard([0.0, 0.0], [1.0, 2.0], [1, 1])[None]
    >>> hazard.tolist()
    [0.5, 1.5]
    """
    eta = np.asarray(linear_predictor, dtype=np.float64).reshape(-1)
    sets = risk_sets(
        time,
        event,
        entry=entry,
        strata=strata,
        sample_weight=sample_weight,
        ties=ties,
    )
    return baseline_hazard_on(sets, eta)


def baseline_hazard_on(
    sets: RiskSets, linear_predictor: ArrayLike
) -> dict[Hashable, tuple[FloatArray, FloatArray]]:
    """Baseline cumulative hazard of risk sets that are known.

    Parameters
    ----------
    sets : RiskSets
        Of n rows, see :func:`risk_sets`.
    linear_predictor : array-like of shape (n,) or (n, 1)
        η of each row, offset included.

    Returns
    -------
    dict
        As :func:`baseline_hazard` gives it.

    Raises
    ------
    DataError
        When the numbers of rows disagree.

    Examples
    --------
    >>> from semistruct.solvers import baseline_hazard_on, risk_sets
    >>> sets = risk_sets([1.0, 2.0], [1, 1])
    >>> baseline_hazard_on(sets, [0.0, 0.0])[None][1].tolist()
    [0.5, 1.5]
    """
    eta = np.asarray(linear_predictor, dtype=np.float64).reshape(-1)
    if len(eta) != sets.n_rows:
        raise DataError(
            f"baseline_hazard: linear_predictor has {len(eta)} rows, the risk sets "
            f"{sets.n_rows}."
        )
    eta = eta[sets.rows]
    shift = sets.shift(eta)
    risk = sets.weight * np.exp(eta - shift[sets.stratum])
    hazard = sets.forward(sets.by_time(sets.step_weight / sets.totals(risk)))
    result: dict[Hashable, tuple[FloatArray, FloatArray]] = {}
    edges = zip(sets.bounds[:-1], sets.bounds[1:], strict=True)
    for i, (key, (begin, end)) in enumerate(
        zip(sets.labels.tolist(), edges, strict=True)
    ):
        values = hazard[begin:end] * np.exp(-shift[i])
        result[key] = (sets.times[begin:end].copy(), values)
    return result
