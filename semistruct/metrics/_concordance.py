"""Concordance indices: Harrell's, Uno's and Antolini's, with standard errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from semistruct._core.step import StepFunction
from semistruct._core.surv import Surv
from semistruct._core.validation import check_choice, check_number
from semistruct.exceptions import DataError

from ._censoring import case_ipcw, resolve
from ._checks import (
    case_weights,
    clusters,
    no_entry,
    one_cause,
    risk_array,
    strata_codes,
    survival_function,
)
from ._pairs import PairSums, codes, pair_sums, reach
from ._score import Score

__all__ = ["TIES", "antolini", "concordance_index", "harrell", "score_pairs", "uno"]

TIES = ("half", "zero", "drop")
_FEW = 64  # events of a step that are compared with all rows one by one


def concordance_index(
    y: Any, risk: Any, *, ties: str = "half", sample_weight: Any = None
) -> float:
    """Share of comparable pairs that the risk orders rightly; ties count one half.

    The estimate of `harrell`, as a number.

    Parameters
    ----------
    y : Surv, or what ``Surv.coerce`` takes
        Times and events of n rows; strata, late entry and weights are used.
    risk : array-like of shape (n,)
        Predicted risk, higher for an earlier event; any unit.
    ties : {"half", "zero", "drop"}, default="half"
        What a comparable pair of equal risks counts; "drop" leaves it out.
    sample_weight : array-like of shape (n,), optional
        Case weights, >= 0; not together with weights in ``y``.

    Returns
    -------
    float
        In [0, 1]; 0.5 for a constant risk.

    Raises
    ------
    DataError
        If no pair is comparable, the lengths differ, or a risk is not finite.

    References
    ----------
    Harrell, Lee & Mark (1996), Statistics in Medicine 15, 361-387,
    doi:10.1002/(SICI)1097-0258(19960229)15:4<361::AID-SIM168>3.0.CO;2-4

    Examples
    --------
    >>> import semistruct as ss
    >>> y = ss.Surv([1.0, 2.0, 3.0], [1, 1, 0])
    >>> ss.metrics.concordance_index(y, [3.0, 2.0, 1.0])
    1.0
    """
    return harrell(y, risk, ties=ties, sample_weight=sample_weight).estimate


def harrell(
    y: Any, risk: Any, *, ties: str = "half", sample_weight: Any = None
) -> Score:
    """Harrell's concordance index with its standard error, in O(n log n).

    C = Σ w_i w_j (1{r_i > r_j} + ½ 1{r_i = r_j}) / Σ w_i w_j over the comparable pairs:
    row i had its event at t_i, and row j was known to be free of it then (t_j > t_i, or
    t_j = t_i and row j censored). Rows of other strata are not compared; with late
    entry row j must have entered before t_i. This is the estimate, and the
    infinitesimal-jackknife standard error, of R's ``survival::concordance``.

    Parameters
    ----------
    y : Surv, or what ``Surv.coerce`` takes
        Times and events of n rows. Rows of one ``id`` count as one for the standard
        error.
    risk : array-like of shape (n,)
        Predicted risk, higher for an earlier event; any unit.
    ties : {"half", "zero", "drop"}, default="half"
        What a comparable pair of equal risks counts; "drop" leaves it out.
    sample_weight : array-like of shape (n,), optional
        Case weights, >= 0; not together with weights in ``y``.

    Returns
    -------
    Score
        Estimate in [0, 1]; 0.5 for a constant risk.

    Raises
    ------
    DataError
        If no pair is comparable, the lengths differ, or a risk is not finite.

    References
    ----------
    Harrell, Lee & Mark (1996), Statistics in Medicine 15, 361-387,
    doi:10.1002/(SICI)1097-0258(19960229)15:4<361::AID-SIM168>3.0.CO;2-4

    Examples
    --------
    >>> import semistruct as ss
    >>> X, y = ss.datasets.load_rossi()
    >>> ss.metrics.harrell(y, X["prio"])
    Score(harrell = 0.5879, se = 0.0276)
    """
    y = Surv.coerce(y)
    check_choice(ties, TIES, parameter="ties", owner="harrell()")
    one_cause(y, "harrell()")
    risk, weight = risk_array(risk, y), case_weights(y, sample_weight, "harrell()")
    sums = _at_risk_sums(y, risk, weight, weight)
    parts = [(sums, np.where(y.event, weight, 0.0), weight)]
    return score_pairs("harrell", y, parts, ties)


def uno(
    y_train: Any,
    y: Any,
    risk: Any,
    tau: float | None = None,
    *,
    ties: str = "half",
    ipcw: str = "left",
    X: Any = None,
    sample_weight: Any = None,
) -> Score:
    """Uno's concordance index: what Harrell's estimates, free of the censoring.

    Each comparable pair whose event is before τ gets the weight 1/G(t_i)², G the
    survival function of censoring. The standard error is the infinitesimal jackknife
    given G, which is right where G comes from other data than ``y``.

    Parameters
    ----------
    y_train : Surv, CensoringDistribution, or callable
        What tells about the censoring: the training data, the estimator's
        ``censoring_``, or a model that is called as ``model(times, X)`` and gives
        G(times | X) of shape (n, m).
    y : Surv, or what ``Surv.coerce`` takes
        Times and events of the n rows to be scored.
    risk : array-like of shape (n,)
        Predicted risk, higher for an earlier event.
    tau : float, optional
        Only events before τ count. Default: all.
    ties : {"half", "zero", "drop"}, default="half"
        What a comparable pair of equal risks counts.
    ipcw : {"left", "scikit-survival", "pycox"}, default="left"
        Weights 1/G(t−)², or scikit-survival's 1/G(t)².
    X : table of n rows, optional
        For a censoring model that depends on covariates.
    sample_weight : array-like of shape (n,), optional
        Case weights, >= 0.

    Returns
    -------
    Score
        Estimate in [0, 1]; 0.5 for a constant risk.

    Raises
    ------
    DataError
        If no pair is comparable, G is zero where it is needed, or an event lies beyond
        the horizon of the training data.

    References
    ----------
    Uno, Cai, Pencina, D'Agostino & Wei (2011), Statistics in Medicine 30, 1105-1117,
    doi:10.1002/sim.4154

    Examples
    --------
    >>> import semistruct as ss
    >>> X, y = ss.datasets.load_rossi()
    >>> ss.metrics.uno(y, y, X["prio"], tau=50)
    Score(uno = 0.5911, se = 0.0285)
    """
    y, owner = Surv.coerce(y), "uno()"
    check_choice(ties, TIES, parameter="ties", owner=owner)
    check_number(tau, parameter="tau", owner=owner, low=0, closed="neither", none=True)
    no_entry(y, owner)
    one_cause(y, owner)
    censoring = resolve(y_train, X, y, ipcw, owner)
    risk, weight = risk_array(risk, y), case_weights(y, sample_weight, owner)
    until = np.inf if tau is None else np.nextafter(tau, 0)
    first = weight * case_ipcw(censoring, X, y, until, ipcw) ** 2
    sums = _at_risk_sums(y, risk, first, weight)
    return score_pairs("uno", y, [(sums, first, weight)], ties)


def antolini(
    y: Any, survival: StepFunction, *, ties: str = "half", sample_weight: Any = None
) -> Score:
    """Antolini's time-dependent concordance index of predicted survival curves.

    A comparable pair (i, j) is concordant if S(t_i | x_i) < S(t_i | x_j). Pairs are
    those of `harrell`, and so is the result if the curves never cross.

    Parameters
    ----------
    y : Surv, or what ``Surv.coerce`` takes
        Times and events of n rows; strata and weights are used.
    survival : StepFunction of n rows
        Predicted survival.
    ties : {"half", "zero", "drop"}, default="half"
        What a pair of equal survival counts. A constant model scores 0.5 with "half";
        "zero" is the definition of the article, by which it scores 0.
    sample_weight : array-like of shape (n,), optional
        Case weights, >= 0.

    Returns
    -------
    Score
        Estimate in [0, 1].

    Raises
    ------
    DataError
        If no pair is comparable, the lengths differ, or survival is not in [0, 1].

    References
    ----------
    Antolini, Boracchi & Biganzoli (2005), Statistics in Medicine 24, 3927-3944,
    doi:10.1002/sim.2427

    Examples
    --------
    >>> import numpy as np, semistruct as ss
    >>> y = ss.Surv([1.0, 2.0, 3.0], [1, 1, 0])
    >>> curves = ss.StepFunction([1.0, 2.0], [[0.5, 0.4], [0.8, 0.3], [0.9, 0.7]])
    >>> float(ss.metrics.antolini(y, curves))
    1.0
    """
    y, owner = Surv.coerce(y), "antolini()"
    check_choice(ties, TIES, parameter="ties", owner=owner)
    no_entry(y, owner)
    one_cause(y, owner)
    survival = survival_function(survival, y, owner)
    weight = case_weights(y, sample_weight, owner)
    sums = _curve_sums(y, survival, weight)
    parts = [(sums, np.where(y.event, weight, 0.0), weight)]
    return score_pairs("antolini", y, parts, ties)


def _at_risk_sums(
    y: Surv, risk: np.ndarray, first: np.ndarray, second: np.ndarray
) -> PairSums:
    """Sum over pairs; late entry takes away those that came after the event.

    A row that enters at e is not at risk at events up to e: as the second of a pair it
    counts from its time on, and is taken away again as if censored at e.
    """
    strata = strata_codes(y)
    if y.entry is None or not np.any(y.entry > 0):
        return pair_sums(y.time, y.event, risk, first, second, strata)
    n, none = len(y), np.zeros(len(y))
    sums = pair_sums(
        np.r_[y.time, y.entry],
        np.r_[y.event, none.astype(bool)],
        np.r_[risk, risk],
        np.r_[first, none],
        np.r_[second, -second],
        None if strata is None else np.r_[strata, strata],
    )
    after = (s[:n] for s in sums[:3])
    before = (s[:n] - s[n:] for s in sums[3:])
    return PairSums(*after, *before)


def _curve_sums(y: Surv, survival: StepFunction, weight: np.ndarray) -> PairSums:
    """Sum over pairs that are compared at the time of their event."""
    n, strata = len(y), strata_codes(y)
    order = np.lexsort((~y.event, y.time))
    time, event, w = y.time[order], y.event[order], weight[order]
    stratum = None if strata is None else strata[order]
    _, after = reach(2 * codes(time) + ~event)  # where the partners of an event begin
    curves = np.ascontiguousarray(survival.values[order].T)  # (m, n)
    step = np.searchsorted(survival.times, time, side="right")
    total = np.zeros((6, n))
    events = np.flatnonzero(event)
    for group in np.split(events, np.flatnonzero(np.diff(step[events])) + 1):
        k = step[group[0]] if len(group) else 0
        curve = curves[k - 1] if k else np.full(n, survival.before)
        if len(group) > _FEW:  # all compare the same values: as a fixed risk
            rows = slice(int(group[0]), n)
            first = np.zeros(n)
            first[group] = w[group]
            within = None if stratum is None else stratum[rows]
            parts = (time[rows], event[rows], -curve[rows], first[rows], w[rows])
            sums = np.stack(pair_sums(*parts, within))
            mine = np.isin(np.arange(group[0], n), group, assume_unique=True)
            sums[:3] *= mine
            total[:, rows] += sums
            continue
        for i in group:
            rows = slice(int(after[i]), n)
            pairs = np.ones((3, n - after[i]), dtype=bool)
            np.greater(curve[rows], curve[i], out=pairs[0])
            np.equal(curve[rows], curve[i], out=pairs[1])
            if stratum is not None:
                pairs &= stratum[rows] == stratum[i]
            total[:3, i] += pairs @ w[rows]
            total[3:, rows] += w[i] * pairs
    back = np.empty_like(total)
    back[:, order] = total
    return PairSums(*back)


def score_pairs(
    name: str,
    y: Surv,
    parts: Sequence[tuple[PairSums, np.ndarray, np.ndarray]],
    ties: str,
) -> Score:
    """Make the ratio of the sums, and its derivative in the weight of each row.

    Each part has its sums, and the weights of a row as the first (0 without an event)
    and as the second of a pair.
    """
    half, left_out = 0.5 * (ties == "half"), float(ties == "drop")
    right, pairs = np.zeros((2, len(y)))
    for sums, first, _ in parts:
        right += first * (sums.concordant_after + half * sums.tied_after)
        pairs += first * (sums.all_after - left_out * sums.tied_after)
    enough = sum(first.sum() * second.max(initial=0.0) for _, first, second in parts)
    total = pairs.sum()
    if not total > 1e-12 * enough:
        raise DataError(
            "No pair of rows is comparable, so a concordance index is not defined: "
            f"{y!r} has no event before another row's time"
            + (", or all its comparable pairs are tied." if left_out else ".")
        )
    estimate = float(right.sum() / total)
    for sums, _, second in parts:
        right += second * (sums.concordant_before + half * sums.tied_before)
        pairs += second * (sums.all_before - left_out * sums.tied_before)
    influence = (right - estimate * pairs) / total
    return Score(name, estimate, clusters(influence, y), (0.0, 1.0))
