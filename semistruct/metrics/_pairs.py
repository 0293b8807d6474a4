"""Sums over all comparable pairs of rows, in O(n log n) and for every row at once.

A pair (i, j) is comparable if row i had its event while row j was known to live on:
same stratum and t_i < t_j, or t_i = t_j where only i had the event. Its weight is
``first[i] * second[j]``; it is concordant if risk_i > risk_j.

Rows get two distinct numbers: a position, which rises with time, and a rank, which
rises with the risk; ties are numbered so that no tied pair counts as concordant. What
is then asked of each row is the weight of all rows at later positions and lower ranks.
Halving the ranks level by level answers it: at each level the rows of a node stand in
order of position, and those of the upper half of its ranks meet those of the lower.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["PairSums", "codes", "pair_sums", "reach"]

_LEAF = 16  # nodes of this size compare all their pairs
_CHUNK = 1 << 13  # leaves at a time


class PairSums(NamedTuple):
    """Sums for each row i of n: as the first of a pair, and as the second.

    ``*_after`` sum ``second`` over the partners of row i as the earlier event;
    ``*_before`` sum ``first`` over the partners of row i as the one that lived on.
    """

    concordant_after: np.ndarray
    tied_after: np.ndarray
    all_after: np.ndarray
    concordant_before: np.ndarray
    tied_before: np.ndarray
    all_before: np.ndarray


def codes(values: np.ndarray) -> np.ndarray:
    """Replace values by their places among the distinct ones, from 0."""
    order = np.argsort(values)
    ordered = values[order]
    new = np.empty(len(values), dtype=np.int64)
    new[:1] = 0
    new[1:] = ordered[1:] != ordered[:-1]
    found = np.empty_like(new)
    found[order] = np.cumsum(new)
    return found


def pair_sums(
    time: np.ndarray,
    event: np.ndarray,
    risk: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    stratum: np.ndarray | None = None,
) -> PairSums:
    """Sum over the comparable pairs of each row.

    Parameters
    ----------
    time, risk : ndarray of shape (n,)
        Finite numbers.
    event : ndarray of shape (n,) of bool
        Only rows with an event are the first of a pair.
    first, second : ndarray of shape (n,)
        Weight of a row as the first and as the second of a pair.
    stratum : ndarray of shape (n,) of int, optional
        Codes from 0; pairs are within a stratum.

    Returns
    -------
    PairSums
        In the order of the rows.
    """
    n = len(time)
    at, value = codes(time), codes(risk)
    if stratum is not None:  # strata one after the other, in times and in risks
        at, value = codes(stratum * n + at), codes(stratum * n + value)
    run = 2 * at + ~event  # tied events first, then the rows censored at that time
    position = np.argsort(run * n + value)
    run, value = run[position], value[position]
    a, b = np.where(event, first, 0.0)[position], second[position]
    by_rank = np.argsort(value * n + np.arange(n))
    rank = np.empty(n, dtype=np.int64)
    rank[by_rank] = np.arange(n)

    lower_after, higher_before = _dominated(rank, a, b)
    whole = np.zeros(n, dtype=np.int64) if stratum is None else stratum[position]
    all_after, all_before = _around(whole, run, a, b)
    tied = _around(value[by_rank], run[by_rank], a[by_rank], b[by_rank])
    tied_after, tied_before = np.empty(n), np.empty(n)
    tied_after[by_rank], tied_before[by_rank] = tied

    sums = (lower_after, tied_after, all_after, higher_before, tied_before, all_before)
    back = np.empty((6, n))
    for row, values in zip(back, sums, strict=True):
        row[position] = values
    return PairSums(*back)


def reach(group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give start and end of the run of equal neighbours that each element is in."""
    edge = np.flatnonzero(group[1:] != group[:-1]) + 1
    starts, ends = np.r_[0, edge], np.r_[edge, len(group)]
    length = ends - starts
    return np.repeat(starts, length), np.repeat(ends, length)


def _around(
    group: np.ndarray, run: np.ndarray, a: np.ndarray, b: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Sum, in each group, b after the run that a row is in, and a before it."""
    if len(group) == 0:
        return np.zeros(0), np.zeros(0)
    start, end = reach(group)
    run_start, run_end = reach(run)
    run_start, run_end = np.maximum(start, run_start), np.minimum(end, run_end)
    total_a, total_b = np.r_[0.0, np.cumsum(a)], np.r_[0.0, np.cumsum(b)]
    return total_b[end] - total_b[run_end], total_a[run_start] - total_a[start]


def _dominated(
    rank: np.ndarray, a: np.ndarray, b: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Sum b over later positions of lower rank, and a over earlier ones of higher.

    ``rank`` is a permutation of 0 … n−1 in order of position.
    """
    n = len(rank)
    size = _LEAF
    while size < n:
        size *= 2
    lower, higher = np.zeros(size), np.zeros(size)  # by rank
    key = np.arange(size, dtype=np.int32)
    key[:n] = rank
    # by rank, so that a node's weights are a slice and a gather stays inside it
    first, second = np.zeros(size), np.zeros(size)
    first[rank], second[rank] = a, b
    width = size
    while width > _LEAF:
        used = -(-n // width) * width  # nodes beyond have no rows
        _split(key[:used], width, first, second, lower, higher)
        width //= 2
    used = -(-n // _LEAF) * _LEAF
    _leaves(key[:used].reshape(-1, _LEAF), first, second, lower, higher)
    return lower[rank], higher[rank]


def _split(
    key: np.ndarray,
    width: int,
    first: np.ndarray,
    second: np.ndarray,
    lower: np.ndarray,
    higher: np.ndarray,
) -> None:
    """Let the halves of each node meet, then put its lower ranks before its upper."""
    half = width // 2
    nodes = len(key) // width
    upper = (key & half).astype(bool)
    at_low, at_up = np.flatnonzero(~upper), np.flatnonzero(upper)
    low, up = key[at_low], key[at_up]
    total_a, total_b = np.zeros((nodes, half + 1)), np.zeros((nodes, half + 1))
    np.cumsum(first[up].reshape(-1, half), axis=1, out=total_a[:, 1:])
    np.cumsum(second[low].reshape(-1, half), axis=1, out=total_b[:, 1:])
    # the k-th of its half, at place p of its node, has p − k of the other half before
    # it: its sum stands at p − k in the totals of its node
    shift = (np.arange(nodes) * (half + 1 - width))[:, None] - np.arange(half)
    at_low += shift.ravel()
    at_up += shift.ravel()
    higher[low] += total_a.ravel()[at_low]
    after = total_b[:, -1:] - total_b.ravel()[at_up].reshape(-1, half)
    lower[up] += after.ravel()
    parts = key.reshape(-1, width)
    parts[:, :half], parts[:, half:] = low.reshape(-1, half), up.reshape(-1, half)


def _leaves(
    key: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    lower: np.ndarray,
    higher: np.ndarray,
) -> None:
    """Compare all pairs within each row of ``key``."""
    later = np.triu(np.ones((_LEAF, _LEAF), dtype=bool), 1)
    for start in range(0, len(key), _CHUNK):
        rows = key[start : start + _CHUNK]
        meets = ((rows[:, :, None] > rows[:, None, :]) & later).astype(np.float64)
        lower[rows] += np.matmul(meets, second[rows][:, :, None])[:, :, 0]
        higher[rows] += np.matmul(first[rows][:, None, :], meets)[:, 0]
