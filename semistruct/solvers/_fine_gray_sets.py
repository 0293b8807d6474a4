"""Risk sets of the subdistribution hazard: who has had another event stays in, thinned.

Letters: n rows, m distinct event times of the cause of interest (within strata), s
pseudo-steps (one for each death after Efron, one for each event time after Breslow),
A(t) = G(t−) H(t−), with G the survival function of censoring and H the distribution
function of entry.

A row with another event at T counts at t > T with weight A(t)/A(T). The weight is a
product, so sums over the rows that stay are cumulative sums times A(t).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from semistruct.exceptions import DataError
from semistruct.solvers._risk_sets import RiskSets

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]

_WHOLE = 1.0 - 1e-12  # a hazard of 1, but for rounding


class Follow(NamedTuple):
    """Follow-up of n rows: what weights of censoring are estimated from.

    Attributes
    ----------
    time, entry, weight : ndarray of shape (n,)
    event : ndarray of shape (n,) of bool
        Of any cause.
    censored : ndarray of shape (n,) of bool
        The row ends the follow-up of its subject without an event.
    enters : ndarray of shape (n,) of bool
        The row begins it; all False where nobody enters late.
    group : ndarray of shape (n,) of int
        Groups with weights of their own.
    """

    time: FloatArray
    entry: FloatArray
    weight: FloatArray
    event: BoolArray
    censored: BoolArray
    enters: BoolArray
    group: IntArray

    def of(self, rows: IntArray) -> Follow:
        """Take some rows."""
        return Follow(
            self.time[rows],
            self.entry[rows],
            self.weight[rows],
            self.event[rows],
            self.censored[rows],
            self.enters[rows],
            self.group[rows],
        )


class Steps(NamedTuple):
    """Where log A steps in one group, by censorings or by entries, (k,) each.

    Attributes
    ----------
    points : ndarray
        A steps just after them.
    hazard : ndarray
        d/r of the point.
    spare : ndarray
        r − d.
    sign : float
        −1 for censorings, +1 for entries: a step is sign · −log(1 − d/r).
    """

    points: FloatArray
    hazard: FloatArray
    spare: FloatArray
    sign: float

    def log_before(self, times: FloatArray) -> FloatArray:
        """Sum the steps of log A at points < t."""
        running = np.cumsum(-self.sign * np.log1p(-self.hazard))
        at = np.searchsorted(self.points, times, side="left")
        value: FloatArray = np.concatenate([[0.0], running])[at]
        return value


def censoring_steps(follow: Follow, rows: IntArray) -> Steps:
    """Kaplan-Meier's steps of G; at a tie events come before censorings."""
    part = follow.of(rows)
    points = np.unique(part.time[part.censored])
    gone = part.weight * part.censored
    d = _at(points, part.time, gone)
    risk = _from(points, part.time, part.weight) - _from(
        points, part.entry, part.weight
    )
    risk -= _at(points, part.time, part.weight * part.event)
    return _steps(points, d, risk, -1.0)


def entry_steps(follow: Follow, rows: IntArray) -> Steps:
    """Kaplan-Meier's steps of H in reversed time: who had entered by then."""
    part = follow.of(rows)
    points = np.unique(part.entry[part.enters])
    d = _at(points, part.entry, part.weight * part.enters)
    # entry <= v < time
    risk = _from(np.nextafter(points, np.inf), part.time, part.weight)
    risk -= _from(np.nextafter(points, np.inf), part.entry, part.weight)
    return _steps(points, d, risk, 1.0)


def _steps(points: FloatArray, d: FloatArray, risk: FloatArray, sign: float) -> Steps:
    kept = d > 0
    points, d, risk = points[kept], d[kept], np.maximum(risk[kept], d[kept])
    return Steps(points, d / risk, risk - d, sign)


def _at(points: FloatArray, values: FloatArray, mass: FloatArray) -> FloatArray:
    """Σ mass over values equal to each point."""
    place = np.searchsorted(points, values)
    place[place == len(points)] = 0
    if not len(points):
        return np.zeros(0)
    hit = points[place] == values
    summed: FloatArray = np.bincount(place[hit], mass[hit], len(points)).astype(float)
    return summed


def _from(points: FloatArray, values: FloatArray, mass: FloatArray) -> FloatArray:
    """Σ mass over values >= each point."""
    order = np.argsort(values, kind="stable")
    tail = np.concatenate([np.cumsum(mass[order][::-1])[::-1], [0.0]])
    summed: FloatArray = tail[np.searchsorted(values[order], points, side="left")]
    return summed


@dataclass(frozen=True)
class SubdistributionSets:
    """Who is at risk of the cause of interest when, and with what weight.

    Attributes
    ----------
    sets : RiskSets
        Rows with another event last to the end of their stratum in it.
    own_last : ndarray of shape (n,)
        Last event time up to the own time of each row of ``sets``.
    tail : ndarray of shape (c,)
        Rows that stay after another event.
    gain : ndarray of shape (c,)
        1/A at their own times.
    factor : ndarray of shape (m,)
        A at the event times.
    follow : Follow
        Of all rows that were given.
    steps : dict of int to list of Steps
        By group of censoring.
    """

    sets: RiskSets
    own_last: IntArray
    tail: IntArray
    gain: FloatArray
    factor: FloatArray
    follow: Follow
    steps: dict[int, list[Steps]]

    @classmethod
    def build(
        cls,
        follow: Follow,
        target: BoolArray,
        *,
        entry: FloatArray | None,
        strata: NDArray | None,
        ties: str,
    ) -> SubdistributionSets:
        """Index n rows; ``target`` marks the events of the cause of interest."""
        time, competing = follow.time, follow.event & ~target
        sets = RiskSets.build(
            np.where(competing, time.max(initial=0.0), time),
            target,
            entry=entry,
            strata=strata,
            weight=follow.weight,
            ties=ties,
        )
        rows = sets.rows
        values, rank = np.unique(
            np.concatenate([time[rows], sets.times]), return_inverse=True
        )
        count = len(rows)
        stratum = np.repeat(np.arange(len(sets.labels)), np.diff(sets.bounds))
        event_keys = stratum * len(values) + rank[count:]
        own_keys = sets.stratum * len(values) + rank[:count]
        own_last = np.searchsorted(event_keys, own_keys, side="right") - 1
        tail = np.flatnonzero(competing[rows] & (own_last < sets.last))
        group = follow.group[rows]
        codes = np.unique(group)
        steps = {
            int(g): [
                make(follow, np.flatnonzero(follow.group == g))
                for make, there in (
                    (censoring_steps, True),
                    (entry_steps, bool(follow.enters.any())),
                )
                if there
            ]
            for g in codes
        }
        of_stratum = np.zeros(len(sets.labels), dtype=np.intp)
        of_stratum[sets.stratum] = group
        of_event = of_stratum[stratum]
        log_event, log_own = np.zeros(sets.n_times), np.zeros(len(tail))
        for g, parts in steps.items():
            here, mine = of_event == g, group[tail] == g
            if not mine.any():  # nobody stays: no weights are needed
                steps[g] = []
                continue
            starts = time[rows[tail[mine]]]
            steps[g] = [_within(part, starts.min(), sets.times[here]) for part in parts]
            for part in steps[g]:
                log_event[here] += part.log_before(sets.times[here])
                log_own[mine] += part.log_before(starts)
        return cls(
            sets=sets,
            own_last=own_last,
            tail=tail,
            gain=np.exp(-log_own),
            factor=np.exp(log_event),
            follow=follow,
            steps=steps,
        )

    def _tailed(self, risk: FloatArray) -> sparse.csr_array:
        """Sparse (m, n): risk/A(T) where a row that stays begins to do so."""
        places = (self.own_last[self.tail] + 1, self.tail)
        shape = (self.sets.n_times, len(risk))
        return sparse.csr_array((risk[self.tail] * self.gain, places), shape)

    def sums(self, risk: FloatArray, values: FloatArray | None = None) -> FloatArray:
        """Sum risk · values over each risk set, (m,) or (m, q)."""
        sets = self.sets
        shape = (sets.n_times, len(risk))
        here = np.flatnonzero(self.own_last >= sets.first)
        late = here[sets.first[here] > sets.bounds[sets.stratum[here]]]
        entering = sparse.csr_array(
            (
                np.concatenate([risk[here], -risk[late]]),
                (
                    np.concatenate([self.own_last[here], sets.first[late] - 1]),
                    np.concatenate([here, late]),
                ),
            ),
            shape,
        )
        tailed = self._tailed(risk)
        if values is None:
            ordinary = sets.backward(entering.sum(axis=1))
            return ordinary + self.factor * sets.forward(tailed.sum(axis=1))
        ordinary = sets.backward(entering @ values)
        return ordinary + self.factor[:, None] * sets.forward(tailed @ values)

    def dying(self, risk: FloatArray, values: FloatArray | None = None) -> FloatArray:
        """Sum risk · values over the deaths of each event time."""
        matrix = self.sets.dying(risk)
        summed: FloatArray = matrix.sum(axis=1) if values is None else matrix @ values
        return summed

    def over_exposure(self, steps: FloatArray) -> FloatArray:
        """Sum pseudo-steps over the weighted time at risk of each row, (n, …)."""
        sets = self.sets
        by_time = sets.by_time(steps)
        wide = (-1,) + (1,) * (steps.ndim - 1)
        running = sets.forward(by_time)
        begin = sets.bounds[sets.stratum]
        total = np.zeros((len(sets.rows), *steps.shape[1:]))
        here = self.own_last >= sets.first
        total[here] = running[self.own_last[here]]
        late = here & (sets.first > begin)
        total[late] -= running[sets.first[late] - 1]
        if sets.step_share.any():
            share = sets.step_share.reshape(wide)
            total[sets.dead] -= sets.by_time(steps * share)[sets.last[sets.dead]]
        if len(self.tail):
            rest = sets.backward(by_time * self.factor.reshape(wide))
            total[self.tail] += (
                self.gain.reshape(wide) * rest[self.own_last[self.tail] + 1]
            )
        return total


def _within(steps: Steps, first: float, times: FloatArray) -> Steps:
    """Keep the steps between the first row that stays and the last event time."""
    last = times.max(initial=-np.inf)
    kept = (steps.points >= first) & (steps.points < last)
    if (steps.hazard[kept] > _WHOLE).any():
        at = steps.points[kept][steps.hazard[kept] > _WHOLE][0]
        what = "is censored" if steps.sign < 0 else "has just entered"
        raise DataError(
            f"fit_fine_gray: at time {at:g} everybody who is at risk {what}, so the "
            "weights of rows with another event do not exist after it. Leave out "
            "the follow-up beyond that time, pool strata, or give "
            "censoring='pooled'."
        )
    return Steps(steps.points[kept], steps.hazard[kept], steps.spare[kept], steps.sign)
