"""Triangular factors of designs of long rows.

Letters: n rows of the table, N long rows, p columns of the design; a block has a
functions u of the row and b functions of time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse

from semistruct.design._operator import row_chunks
from semistruct.design._person_period_blocks import LaggedColumns, ProductColumns
from semistruct.design._person_period_pairs import Pairs
from semistruct.design._person_period_rows import long_rows

__all__ = ["triangle"]

FloatArray = NDArray[np.float64]
Blocks = Sequence[ProductColumns | LaggedColumns]

MOST_FUNCTIONS = 0.7  # share of p up to which rows are compressed at each time


def triangle(
    products: Sequence[ProductColumns],
    lagged: Sequence[LaggedColumns],
    pairs: Pairs,
    weight: FloatArray | None,
) -> FloatArray | None:
    """Give R (min(N, p), p) with R'R = X'WX; None where there is no short way.

    Columns of groups, of which a long row has one, are projected out first. Otherwise,
    at time j a long row is C_j'u_i, u the functions of the row of all blocks, and a
    factor of the rows' √w u stands for all of them.

    Parameters
    ----------
    products, lagged : sequences of blocks
    pairs : Pairs
    weight : ndarray of shape (N,), or None
        w >= 0.
    """
    half = None if weight is None else np.sqrt(weight)
    for block in products:
        if sparse.issparse(block.subject) and block.time.shape[1] == 1:
            others = [other for other in products if other is not block]
            return _by_groups(block, others, lagged, pairs, half)
    blocks: Blocks = (*products, *lagged)
    functions = sum(block.subject.shape[1] for block in blocks)
    p = sum(len(block.columns) for block in blocks)
    some = any(sparse.issparse(block.subject) for block in blocks)
    if some or functions > MOST_FUNCTIONS * p:
        return None
    return _by_time(blocks, p, pairs, half)


def _by_time(
    blocks: Blocks, p: int, pairs: Pairs, half: FloatArray | None
) -> FloatArray:
    subject = np.hstack([np.asarray(block.subject) for block in blocks])
    upper = np.zeros((0, p))
    waiting: list[FloatArray] = []
    for j, at in pairs.by_time():
        chosen = subject[pairs.period.row[at]]
        if half is not None:
            chosen = chosen * half[at, None]
        if len(chosen) > chosen.shape[1]:
            chosen = _reduce([chosen])
        waiting.append(chosen @ _at_time(blocks, p, j))
        if sum(len(each) for each in waiting) > 8 * p:
            upper, waiting = _reduce([upper, *waiting]), []
    return _reduce([upper, *waiting])


def _at_time(blocks: Blocks, p: int, j: int) -> FloatArray:
    """Give C_j of shape (Σ a, p)."""
    parts = []
    for block in blocks:
        size = block.subject.shape[1]
        if isinstance(block, LaggedColumns):
            own = block.time[j]
        else:
            v = block.time[j]
            own = np.zeros((size, size, len(v)))  # I ⊗ v'
            own[np.arange(size), np.arange(size)] = v
            own = own.reshape(size, -1)
            own = own if block.transform is None else own @ block.transform
        whole = np.zeros((size, p))
        whole[:, block.columns] = own
        parts.append(whole)
    return np.vstack(parts)


def _by_groups(
    block: ProductColumns,
    products: Sequence[ProductColumns],
    lagged: Sequence[LaggedColumns],
    pairs: Pairs,
    half: FloatArray | None,
) -> FloatArray:
    """Give the factor where the columns of one block are orthogonal."""
    period = pairs.period
    size = len(block.columns)
    rest: Blocks = (*products, *lagged)
    p = size + sum(len(other.columns) for other in rest)
    others = np.setdiff1d(np.arange(p), block.columns)
    kept = [replace(b, columns=np.searchsorted(others, b.columns)) for b in products]
    late = [replace(b, columns=np.searchsorted(others, b.columns)) for b in lagged]
    group = block.subject.indices[period.row]
    own = block.subject.data[period.row] * block.time[period.interval, 0]
    own = own if half is None else own * half

    def take(part: slice) -> FloatArray:
        values = long_rows(kept, late, period, part, len(others))
        return values if half is None else values * half[part, None]

    chunks = list(row_chunks(len(period), len(others), 4 * len(others)))
    square = np.bincount(group, own**2, size)
    sums = np.zeros((size, len(others)))
    for part in chunks:
        count = part.stop - part.start
        pointer = np.arange(count + 1)
        one = sparse.csc_array((own[part], group[part], pointer), (size, count))
        sums += one @ take(part)
    slope = np.zeros_like(sums)
    np.divide(sums, square[:, None], out=slope, where=square[:, None] > 0.0)
    upper = np.zeros((0, len(others)))
    for part in chunks:
        left = take(part) - own[part, None] * slope[group[part]]
        upper = _reduce([upper, left])
    norm = np.sqrt(square)
    whole = np.zeros((size + len(upper), p))
    whole[np.arange(size), block.columns] = norm
    whole[np.ix_(np.arange(size), others)] = slope * norm[:, None]
    whole[size:, others] = upper
    return _reduce([whole])


def _reduce(parts: list[FloatArray]) -> FloatArray:
    stacked = np.vstack(parts)
    upper = linalg.qr(stacked, mode="r", check_finite=False)[0]
    return np.asarray(upper[: stacked.shape[1]])
