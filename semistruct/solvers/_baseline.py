"""Baseline cumulative hazards of a Cox model."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semistruct._core.validation import check_choice
from semistruct.solvers._checks import as_weight
from semistruct.solvers._cox import check_survival
from semistruct.solvers._cox_likelihood import CoxLikelihood
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
    check_choice(ties, ("efron", "breslow"), parameter="ties", owner="baseline_hazard")
    eta = np.asarray(linear_predictor, dtype=np.float64).reshape(-1)
    n = len(eta)
    stop, dead, start, groups = check_survival(
        time, event, entry=entry, strata=strata, n=n, owner="baseline_hazard"
    )
    sets = RiskSets.build(
        stop,
        dead,
        entry=start,
        strata=groups,
        weight=as_weight(sample_weight, n),
        ties=ties,
    )
    keys: list[Hashable] = [None] if groups is None else sets.labels.tolist()
    hazard = np.zeros(0)
    if sets.n_times:
        hazard = CoxLikelihood(np.zeros((n, 0)), sets, eta).cumulative_hazard()
    result: dict[Hashable, tuple[FloatArray, FloatArray]] = {}
    for key, begin, end in zip(keys, sets.bounds[:-1], sets.bounds[1:], strict=True):
        result[key] = (sets.times[begin:end].copy(), hazard[begin:end].copy())
    return result
