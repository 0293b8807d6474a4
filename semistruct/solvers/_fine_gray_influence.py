"""How the rows move a Fine-Gray fit, through the score and through the weights.

Letters as in ``_fine_gray_sets``; V the inverse of the penalised information.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from semistruct.solvers._fine_gray_likelihood import FineGrayLikelihood
from semistruct.solvers._fine_gray_sets import Steps

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

_COLUMNS = 16  # times at which the influence of all rows is held


class BaselineSpread(NamedTuple):
    """What limits of F(t | x) need to know of one stratum, at some event times.

    With D (n, p) the influences on the coefficients and Φ(t) (n,) those on Λ₀(t), the
    coefficients being fixed: Var Λ(t | x) = exp(2(η − level)) (Φ'Φ + 2 a'D'Φ + a'D'Da),
    a = x Λ₀(t) − drift(t).

    Attributes
    ----------
    times : ndarray of shape (t,)
    hazard : ndarray of shape (t,)
        Λ₀ at η = ``level``.
    variance : ndarray of shape (t,)
        Φ'Φ.
    drift : ndarray of shape (t, p)
        Σ b ω/S0 up to t, b the mean of the columns over the weighted risk set.
    cross : ndarray of shape (t, p)
        D'Φ.
    """

    times: FloatArray
    hazard: FloatArray
    variance: FloatArray
    drift: FloatArray
    cross: FloatArray


def influence(likelihood: FineGrayLikelihood, beta: FloatArray) -> FloatArray:
    """w_i ∂U/∂w_i of all rows given, (n_all, p), U the score at β.

    The first part is ∫ (x_i − b) dM_i with the weights of row i, the η of Fine and
    Gray; the second what row i does to the estimated weights of others, their ψ: a
    step of log A at u moves U by q(u).
    """
    subsets = likelihood.subsets
    follow, sets = subsets.follow, subsets.sets
    score = np.zeros((len(follow.time), likelihood.n_coefficients))
    score[sets.rows] = _scores(likelihood, beta)
    group = follow.group[sets.rows]
    for g, parts in subsets.steps.items():
        rows = np.flatnonzero(follow.group == g)
        strata = np.unique(sets.stratum[group == g])
        for steps in parts:
            if not len(steps.points):
                continue
            pull = sum(_pull(likelihood, beta, s, steps.points) for s in strata)
            score[rows] += _through_steps(likelihood, steps, rows, np.asarray(pull))
    return score * follow.weight[:, None]


def _scores(likelihood: FineGrayLikelihood, beta: FloatArray) -> FloatArray:
    """∫ (x_i − b) dM_i of the rows of the risk sets, (n, p), free of w_i."""
    subsets, sets = likelihood.subsets, likelihood.sets
    state, means = likelihood.at(beta), likelihood.means(beta)
    rate = sets.step_weight / state.total
    ratio = state.risk / sets.weight
    pulled = subsets.over_exposure(rate[:, None] * means)
    pulled -= likelihood.design * subsets.over_exposure(rate)[:, None]
    score: FloatArray = pulled * ratio[:, None]
    count = np.bincount(sets.step_time, minlength=sets.n_times)
    dead_means = sets.by_time(means) / count[:, None]
    dead = sets.dead
    score[dead] += likelihood.design[dead] - dead_means[sets.last[dead]]
    return score


def _pull(
    likelihood: FineGrayLikelihood, beta: FloatArray, s: int, points: FloatArray
) -> FloatArray:
    """q(u) of a stratum: ∂U by a step of log A at u, (k, p).

    Rows that stay from T <= u, at event times t > u:
    q(u) = −Σ_t (Σ_i r_i/A(T_i) (x_i − b_t)) A(t) ω/S0.
    """
    subsets, sets = likelihood.subsets, likelihood.sets
    state, means = likelihood.at(beta), likelihood.means(beta)
    times = slice(sets.bounds[s], sets.bounds[s + 1])
    rate = sets.step_weight / state.total
    mass = (sets.by_time(rate) * subsets.factor)[times]
    moment = (sets.by_time(rate[:, None] * means) * subsets.factor[:, None])[times]
    after = np.searchsorted(sets.times[times], points, side="right")
    a = np.concatenate([np.cumsum(mass[::-1])[::-1], [0.0]])[after]
    c = np.vstack([np.cumsum(moment[::-1], axis=0)[::-1], np.zeros(means.shape[1])])
    mine = np.flatnonzero(sets.stratum[subsets.tail] == s)
    r, x = _staying(likelihood, beta, mine, points)
    found: FloatArray = r[:, None] * c[after] - x * a[:, None]
    return found


def _staying(
    likelihood: FineGrayLikelihood, beta: FloatArray, mine: IntArray, points: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Σ r_i/A(T_i) and Σ x_i r_i/A(T_i) over some rows that stay from T_i <= u."""
    subsets = likelihood.subsets
    tail = subsets.tail[mine]
    begins = subsets.follow.time[likelihood.sets.rows[tail]]
    order = np.argsort(begins, kind="stable")
    risk = (likelihood.at(beta).risk[tail] * subsets.gain[mine])[order]
    there = np.searchsorted(begins[order], points, side="right")
    moved = np.cumsum(risk[:, None] * likelihood.design[tail][order], axis=0)
    none = np.zeros((1, likelihood.n_coefficients))
    r: FloatArray = np.concatenate([[0.0], np.cumsum(risk)])[there]
    return r, np.vstack([none, moved])[there]


def _through_steps(
    likelihood: FineGrayLikelihood,
    steps: Steps,
    rows: IntArray,
    pull: FloatArray,
) -> FloatArray:
    """Σ_u q(u) ∂(step of log A at u)/∂w_i of some rows, (r, p).

    The step is sign · −log(1 − d/n), whose derivative in w_i is
    sign · (1{row i is one of the d} − 1{it is one of the n} d/n) / (n − d).
    """
    follow = likelihood.subsets.follow
    time, entry = follow.time[rows], follow.entry[rows]
    pull = steps.sign * pull / steps.spare[:, None]
    running = np.vstack(
        [np.zeros(pull.shape[1]), np.cumsum(pull * steps.hazard[:, None], axis=0)]
    )
    if steps.sign < 0:  # censorings: at risk in (entry, time], events leave before
        own, marked = time, follow.censored[rows]
        low = np.searchsorted(steps.points, entry, side="right")
        high = np.searchsorted(steps.points, time, side="right")
        before = np.searchsorted(steps.points, time, side="left")
        high = np.where(follow.event[rows], before, high)
    else:  # entries, backwards: at risk in [entry, time)
        own, marked = entry, follow.enters[rows]
        low = np.searchsorted(steps.points, entry, side="left")
        high = np.searchsorted(steps.points, time, side="left")
    found: FloatArray = running[low] - running[np.maximum(low, high)]
    at = np.minimum(np.searchsorted(steps.points, own), len(steps.points) - 1)
    hit = marked & (steps.points[at] == own)
    found[hit] += pull[at[hit]]
    return found


def baseline_spread(
    likelihood: FineGrayLikelihood,
    beta: FloatArray,
    change: FloatArray,
    clusters: IntArray,
    level: float,
    s: int,
    count: int,
) -> BaselineSpread:
    """Sum up influences on the baseline hazard of stratum s at up to ``count`` times.

    ``change`` are the influences on the coefficients by cluster, (G, p), ``clusters``
    the codes of all rows that were given.
    """
    sets = likelihood.sets
    state, means = likelihood.at(beta), likelihood.means(beta)
    begin, end = int(sets.bounds[s]), int(sets.bounds[s + 1])
    picked = np.unique(np.linspace(begin, end - 1, min(count, end - begin)).astype(int))
    rate = sets.step_weight / state.total
    hazard = sets.forward(sets.by_time(rate))[picked]
    drift = sets.forward(sets.by_time(rate[:, None] * means))[picked]
    drift = drift + hazard[:, None] * likelihood.means_of_stratum[s]
    variance = np.zeros(len(picked))
    cross = np.zeros((len(picked), change.shape[1]))
    for start in range(0, len(picked), _COLUMNS):
        part = slice(start, start + _COLUMNS)
        moved = _hazard_influence(likelihood, beta, s, picked[part])
        summed = np.zeros((len(change), moved.shape[1]))
        np.add.at(summed, clusters, moved)
        variance[part] = np.einsum("gt,gt->t", summed, summed)
        cross[part] = summed.T @ change
    centre = float(likelihood.means_of_stratum[s] @ beta)
    scale = float(np.exp(level - centre - state.shift[s]))
    return BaselineSpread(
        sets.times[picked].copy(),
        hazard * scale,
        variance * scale**2,
        drift * scale,
        cross * scale,
    )


def _hazard_influence(
    likelihood: FineGrayLikelihood, beta: FloatArray, s: int, picked: IntArray
) -> FloatArray:
    """w_i ∂Λ₀(t)/∂w_i of all rows given, at some event times of stratum s, (n_all, t).

    On the scale of the risks of the stratum.
    """
    subsets = likelihood.subsets
    follow, sets = subsets.follow, subsets.sets
    state = likelihood.at(beta)
    until = sets.step_time[:, None] <= picked
    until &= sets.step_time[:, None] >= sets.bounds[s]
    fall = np.where(until, (sets.step_weight / state.total**2)[:, None], 0.0)
    own = -subsets.over_exposure(fall) * (state.risk / sets.weight)[:, None]
    number = np.bincount(sets.step_time, minlength=sets.n_times)
    rise = sets.by_time(np.where(until, 1.0 / state.total[:, None], 0.0))
    own[sets.dead] += (rise / number[:, None])[sets.last[sets.dead]]
    own[sets.stratum != s] = 0.0
    found = np.zeros((len(follow.time), len(picked)))
    found[sets.rows] = own
    times = slice(sets.bounds[s], sets.bounds[s + 1])
    mass = (sets.by_time(fall) * subsets.factor[:, None])[times]
    tail = np.vstack([np.cumsum(mass[::-1], axis=0)[::-1], np.zeros(len(picked))])
    mine = np.flatnonzero(sets.stratum[subsets.tail] == s)
    for g, parts in subsets.steps.items():
        if not len(mine) or follow.group[sets.rows[subsets.tail[mine[0]]]] != g:
            continue
        rows = np.flatnonzero(follow.group == g)
        for steps in (part for part in parts if len(part.points)):
            r = _staying(likelihood, beta, mine, steps.points)[0]
            after = np.searchsorted(sets.times[times], steps.points, side="right")
            found[rows] += _through_steps(
                likelihood, steps, rows, -r[:, None] * tail[after]
            )
    return found * follow.weight[:, None]
