"""Risk sets of censored data: indices once, sums over them by cumulative sums.

Letters: n rows, m distinct event times (within strata), s pseudo-steps (one for each
death after Efron, one for each event time after Breslow), k columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
Block = Callable[[IntArray], FloatArray]  # values (…, k) of some rows at risk

CHUNK = 8192  # rows that are summed up at a time


@dataclass(frozen=True)
class RiskSets:
    """Who is at risk when.

    Row i is at risk at the event times first[i] ≤ g ≤ last[i]; rows that are never at
    risk are absent (see ``rows``). Rows are in order of ``last``; arrays that hold one
    value only may be read-only views of it.

    Attributes
    ----------
    n_rows : int
        Number of rows that were given.
    mass : float
        Sum of their weights.
    rows : ndarray of shape (n,)
        Positions among the rows that were given.
    weight : ndarray of shape (n,)
    first, last : ndarray of shape (n,)
    late : ndarray
        Rows that enter after the first event time of their stratum.
    dead : ndarray
        Rows with an event, in order of their event time, which is ``last``.
    stratum : ndarray of shape (n,)
        Stratum codes of the rows.
    labels : ndarray of shape (S,)
        Labels of the strata that were given; None alone without strata.
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

    n_rows: int
    mass: float
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
        zero = np.broadcast_to(np.intp(0), (n,))
        labels, code = np.array([None]), zero
        if strata is not None:
            labels, code = np.unique(strata, return_inverse=True)
        if strata is None:
            order = np.argsort(time, kind="stable")
        else:
            order = np.lexsort((time, code))
            code = code[order]
        time = time[order]
        mass: FloatArray = np.broadcast_to(1.0, (n,))
        event = event[order]
        if weight is not None:
            mass = weight[order]
            event = event & (mass > 0)
        fresh = np.ones(n, dtype=bool)  # rows with another time than the one before
        fresh[1:] = time[1:] != time[:-1]
        if strata is not None:
            fresh[1:] |= code[1:] != code[:-1]
        group = np.cumsum(fresh)
        group -= 1
        hit = np.zeros(int(fresh.sum()), dtype=bool)
        hit[group[event]] = True
        last = (np.cumsum(hit) - 1)[group]
        del group
        opening = np.flatnonzero(fresh)[hit]
        times, owner = time[opening], code[opening]
        m = len(times)
        bounds = np.searchsorted(owner, np.arange(len(labels) + 1))
        first = zero if strata is None else bounds[code]
        late = np.zeros(0, dtype=np.intp)
        keep = last >= first
        if weight is not None:
            keep &= mass > 0
        if entry is not None:
            start = first
            first = _first_after(entry[order], code, times, owner)
            keep &= last >= first
            late = np.flatnonzero((first > start)[keep])
        if not keep.all():
            order, last, event = order[keep], last[keep], event[keep]
            mass, first, code = (_picked(v, keep) for v in (mass, first, code))
        dead = np.flatnonzero(event)
        where = last[dead]
        count = np.bincount(where, minlength=m)
        total = np.bincount(where, mass[dead], minlength=m)
        if ties == "efron":
            step_time = where
            step_share = np.broadcast_to(0.0, where.shape)
            if len(where) > m:
                begins = np.cumsum(count) - count
                step_share = (np.arange(len(where)) - begins[where]) / count[where]
            step_weight = (total / count)[where]
        else:
            step_time, step_weight = np.arange(m), total
            step_share = np.broadcast_to(0.0, (m,))
        return cls(
            n_rows=n,
            mass=float(n if weight is None else weight.sum()),
            rows=order,
            weight=mass,
            first=first,
            last=last,
            late=late,
            dead=dead,
            stratum=code,
            labels=labels,
            bounds=bounds,
            times=times,
            step_time=step_time,
            step_share=step_share,
            step_weight=step_weight,
        )

    @property
    def n_times(self) -> int:
        """Number m of distinct event times."""
        return len(self.times)

    @cached_property
    def tied(self) -> bool:
        """Whether some pseudo-step has a share of its deaths taken out."""
        return bool(self.step_share.any())

    @cached_property
    def _step_begin(self) -> IntArray:
        """Where the pseudo-steps of each event time begin, (m + 1,)."""
        return np.searchsorted(self.step_time, np.arange(self.n_times + 1))

    @cached_property
    def _dead_begin(self) -> IntArray:
        """Where the deaths of each event time begin in ``dead``, (m + 1,)."""
        return np.searchsorted(self.last[self.dead], np.arange(self.n_times + 1))

    @cached_property
    def _visits(self) -> tuple[IntArray, IntArray]:
        """In which order rows come into the sum that runs back in time.

        A row is added at its last event time; a late one is taken out again before its
        first, which is a visit numbered n and on. Gives the visits that are not just
        0 … n − 1 (those of late rows among them), and where each event time's begin.
        """
        every = np.arange(self.n_times)
        if not len(self.late):
            return self.late, np.searchsorted(self.last, every)
        key = np.concatenate([self.last, self.first[self.late] - 1])
        order = np.argsort(key, kind="stable")
        return order, np.searchsorted(key[order], every)

    def shift(self, eta: FloatArray) -> FloatArray:
        """Largest η of each stratum, (S,), for stable exponentials."""
        if len(self.labels) == 1:
            top = np.full(1, eta.max(initial=-np.inf))
        else:
            top = np.full(len(self.labels), -np.inf)
            np.maximum.at(top, self.stratum, eta)
        return np.where(np.isfinite(top), top, 0.0)

    def totals(self, risk: FloatArray) -> FloatArray:
        """Sum risks (n,) over the risk set of each pseudo-step, (s,)."""
        order, begin = self._visits
        if not self.n_times:
            return np.zeros(0)
        visits = risk
        if len(order):
            visits = np.concatenate([risk, -risk[self.late]])[order]
        everyone = self.backward(np.add.reduceat(visits, begin))
        if not self.tied:
            return everyone[self.step_time]
        place = self.last[self.dead]
        gone = np.bincount(place, risk[self.dead], minlength=self.n_times)
        total: FloatArray = everyone[self.step_time]
        total -= self.step_share * gone[self.step_time]
        return total

    def means(
        self, risk: FloatArray, total: FloatArray, block: Block
    ) -> Iterator[tuple[slice, FloatArray]]:
        """Give risk-weighted means over risk sets, some pseudo-steps at a time.

        Parameters
        ----------
        risk : ndarray of shape (n,)
        total : ndarray of shape (s,)
            What ``totals`` gives for it.
        block : callable
            Gives the values (…, k) of rows, by their places 0 … n − 1.

        Yields
        ------
        steps : slice
            Of the pseudo-steps; the last ones come first.
        means : ndarray of shape (…, k)
        """
        begin = self._step_begin
        for times, sums in self._sums(risk, block):
            steps = slice(int(begin[times.start]), int(begin[times.stop]))
            if self.tied:
                near = self.step_time[steps] - times.start
                sums = sums[near]
                share = self.step_share[steps]
                if share.any():
                    deaths = self._dead_begin[times.start : times.stop + 1]
                    dead = self.dead[deaths[0] : deaths[-1]]
                    gone = _grouped(risk[dead], block(dead), deaths - deaths[0])
                    sums -= share[:, None] * gone[near]
            yield steps, sums / total[steps, None]

    def _sums(
        self, risk: FloatArray, block: Block
    ) -> Iterator[tuple[slice, FloatArray]]:
        """Give risk-weighted sums over risk sets, some event times at a time."""
        order, begin = self._visits
        n = len(self.rows)
        carry: FloatArray | float = 0.0
        stop = n + len(self.late) if self.n_times else 0
        while stop > 0:
            start = max(stop - CHUNK, 0)
            rows = order[start:stop] if len(order) else np.arange(start, stop)
            leaving = rows >= n
            if len(order):
                rows = np.where(leaving, self.late[np.maximum(rows - n, 0)], rows)
            part = np.where(leaving, -risk[rows], risk[rows])
            values = block(rows)
            a, b = np.searchsorted(begin, (start, stop)).tolist()
            ends = np.concatenate([begin[a:b], [stop]]) - start
            rest = part[: ends[0]] @ values[: ends[0]]  # of the event time before
            if a < b:
                inner = slice(ends[0], None)
                sums = _grouped(part[inner], values[inner], ends - ends[0])
                sums[-1] += carry
                self._run_back(sums, a, b)
                yield slice(a, b), sums
                carry = 0.0 if a in self._strata_begin else sums[0]
            carry = carry + rest
            stop = start

    @cached_property
    def _strata_begin(self) -> frozenset[int]:
        """Event times that are the first of a stratum."""
        return frozenset(self.bounds[:-1].tolist())

    def _run_back(self, sums: FloatArray, a: int, b: int) -> None:
        """Sum event times a … b − 1 from the end of each stratum, in place."""
        inside = self.bounds[(self.bounds > a) & (self.bounds < b)].tolist()
        edges = [a, *dict.fromkeys(inside), b]
        for low, high in pairwise(edges):
            part = sums[low - a : high - a][::-1]
            np.cumsum(part, axis=0, out=part)

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
        if len(steps) == self.n_times:
            return steps
        summed: FloatArray = np.add.reduceat(steps, self._step_begin[:-1], axis=0)
        return summed

    def over_exposure(self, steps: FloatArray) -> FloatArray:
        """Sum pseudo-steps over the time at risk of each row, (n, …).

        A row that dies in a tie is at risk in pseudo-step k with weight 1 − k/d.
        """
        running = self.forward(self.by_time(steps))
        total: FloatArray = running[self.last]
        if len(self.late):
            total[self.late] -= running[self.first[self.late] - 1]
        if self.tied:
            share = self.step_share.reshape((-1,) + (1,) * (steps.ndim - 1))
            total[self.dead] -= self.by_time(steps * share)[self.last[self.dead]]
        return total


def _first_after(
    entry: FloatArray, code: IntArray, times: FloatArray, owner: IntArray
) -> IntArray:
    """Give the first event time after each entry, in the row's stratum or beyond."""
    values, rank = np.unique(times, return_inverse=True)
    size = len(values) + 1
    begun = np.searchsorted(values, entry, side="right") - 1
    return np.searchsorted(owner * size + rank, code * size + begun, side="right")


def _picked(values: NDArray, keep: NDArray[np.bool_]) -> NDArray:
    """Pick rows; what is a view of one value stays one."""
    if values.strides == (0,):
        return np.broadcast_to(values[0], (int(keep.sum()),))
    return values[keep]


def _grouped(weight: FloatArray, values: FloatArray, ends: IntArray) -> FloatArray:
    """Weighted sums of the rows of values between consecutive ends, (…, k)."""
    shape = (len(ends) - 1, len(weight))
    matrix = sparse.csr_array((weight, np.arange(len(weight)), ends), shape)
    sums: FloatArray = matrix @ values
    return sums
