"""Risk sets of censored data: indices once, sums over them by cumulative sums.

Letters: n rows, m distinct event times (within strata), s pseudo-steps (one for each
death after Efron, one for each event time after Breslow).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]


@dataclass(frozen=True)
class RiskSets:
    """Who is at risk when.

    Row i is at risk at the event times first[i] ≤ g ≤ last[i]; rows that are never at
    risk are absent (see ``rows``).

    Attributes
    ----------
    rows : ndarray of shape (n,)
        Positions among the rows that were given.
    weight : ndarray of shape (n,)
    first, last : ndarray of shape (n,)
    late : ndarray
        Rows that enter after the first event time of their stratum.
    dead : ndarray
        Rows with an event; their event time is ``last``.
    stratum : ndarray of shape (n,)
        Stratum codes of the rows.
    labels : ndarray
        Labels of the strata that were given.
    bounds : ndarray of shape (S + 1,)
        Where each stratum's event times begin.
    times : ndarray of shape (m,)
        Event times, ascending within strata.
    step_time : ndarray of shape (s,)
        Event time of each pseudo-step.
    step_share : ndarray of shape (s,)
        k/d: the share of the tied deaths that has left the risk set.
    step_weight : ndarray of shape (s,)
        Weight of each pseudo-step: mean weight of the deaths (Efron), sum (Breslow).
    """

    rows: IntArray
    weight: FloatArray
    first: IntArray
    last: IntArray
    late: IntArray
    dead: IntArray
    stratum: IntArray
    labels: NDArray
    bounds: IntArray
    times: FloatArray
    step_time: IntArray
    step_share: FloatArray
    step_weight: FloatArray

    @classmethod
    def build(
        cls,
        time: FloatArray,
        event: NDArray[np.bool_],
        *,
        entry: FloatArray | None,
        strata: NDArray | None,
        weight: FloatArray | None,
        ties: str,
    ) -> RiskSets:
        """Index the risk sets of n rows; weight 0 removes a row."""
        n = len(time)
        mass: FloatArray = np.ones(n) if weight is None else weight
        labels, code = np.zeros(1), np.zeros(n, dtype=np.intp)
        if strata is not None:
            labels, code = np.unique(strata, return_inverse=True)
        event = event & (mass > 0)
        every = time if entry is None else np.concatenate([time, entry])
        values, rank = np.unique(every, return_inverse=True)
        base = code * len(values)
        key = base + rank[:n]
        event_keys = np.unique(key[event])
        start_key = base - 1 if entry is None else base + rank[n:]
        first = np.searchsorted(event_keys, start_key, side="right")
        last = np.searchsorted(event_keys, key, side="right") - 1
        rows = np.flatnonzero((last >= first) & (mass > 0))
        first, last, code = first[rows], last[rows], code[rows]
        mass, event = mass[rows], event[rows]
        bounds = np.searchsorted(
            event_keys, np.arange(len(labels) + 1) * len(values), side="left"
        )
        dead = np.flatnonzero(event)
        dead = dead[np.argsort(last[dead], kind="stable")]
        where = last[dead]
        m = len(event_keys)
        count = np.bincount(where, minlength=m)
        total = np.zeros(m)
        np.add.at(total, where, mass[dead])
        if ties == "efron":
            begins = np.cumsum(count) - count
            step_time = where
            step_share = (np.arange(len(where)) - begins[where]) / count[where]
            step_weight = (total / count)[where]
        else:
            step_time, step_share, step_weight = np.arange(m), np.zeros(m), total
        return cls(
            rows=rows,
            weight=mass,
            first=first,
            last=last,
            late=np.flatnonzero(first > bounds[code]),
            dead=dead,
            stratum=code,
            labels=labels,
            bounds=bounds,
            times=values[event_keys % len(values)],
            step_time=step_time,
            step_share=step_share,
            step_weight=step_weight,
        )

    @property
    def n_times(self) -> int:
        """Number m of distinct event times."""
        return len(self.times)

    def shift(self, eta: FloatArray) -> FloatArray:
        """Largest η of each stratum, (S,), for stable exponentials."""
        top = np.full(len(self.labels), -np.inf)
        np.maximum.at(top, self.stratum, eta)
        return np.where(np.isfinite(top), top, 0.0)

    def entering(self, risk: FloatArray) -> sparse.csr_array:
        """Sparse (m, n): +risk at a row's last event time, −risk before its first."""
        rows, late = np.arange(len(risk)), self.late
        data = np.concatenate([risk, -risk[late]])
        times = np.concatenate([self.last, self.first[late] - 1])
        columns = np.concatenate([rows, late])
        return sparse.csr_array((data, (times, columns)), (self.n_times, len(risk)))

    def dying(self, risk: FloatArray) -> sparse.csr_array:
        """Sparse (m, n): risk at the event time of each death."""
        place = (self.last[self.dead], self.dead)
        return sparse.csr_array((risk[self.dead], place), (self.n_times, len(risk)))

    def backward(self, values: FloatArray) -> FloatArray:
        """Sum from each event time to the end of its stratum, along axis 0."""
        result = np.empty_like(values)
        for start, stop in zip(self.bounds[:-1], self.bounds[1:], strict=True):
            part = values[start:stop][::-1]
            np.cumsum(part, axis=0, out=result[start:stop][::-1])
        return result

    def forward(self, values: FloatArray) -> FloatArray:
        """Sum from the start of the stratum to each event time, along axis 0."""
        result = np.empty_like(values)
        for start, stop in zip(self.bounds[:-1], self.bounds[1:], strict=True):
            np.cumsum(values[start:stop], axis=0, out=result[start:stop])
        return result

    def by_time(self, steps: FloatArray) -> FloatArray:
        """Sum pseudo-steps over each event time, (m, …) from (s, …)."""
        begins = np.searchsorted(self.step_time, np.arange(self.n_times))
        summed: FloatArray = np.add.reduceat(steps, begins, axis=0)
        return summed

    def over_exposure(self, steps: FloatArray) -> FloatArray:
        """Sum pseudo-steps over the time at risk of each row, (n, …).

        A row that dies in a tie is at risk in pseudo-step k with weight 1 − k/d.
        """
        running = self.forward(self.by_time(steps))
        total: FloatArray = running[self.last]
        total[self.late] -= running[self.first[self.late] - 1]
        if self.step_share.any():
            share = self.step_share.reshape((-1,) + (1,) * (steps.ndim - 1))
            total[self.dead] -= self.by_time(steps * share)[self.last[self.dead]]
        return total
