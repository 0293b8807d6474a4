"""Cells of covariates: distinct values, or bins where there are too many of them.

Letters: n rows, m cells, d covariates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["Cells", "distinct", "find_cells", "find_joint", "find_margin"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int32]

FINE = 1 << 16  # cells of the grid that bins are made of
SAMPLE = 10_000  # rows that are looked at first
SPARSE = 8  # products of levels per row up to which a table of all of them is made


@dataclass(frozen=True, eq=False)
class Cells:
    """Cells of one or several covariates, every one of them occupied.

    Parameters
    ----------
    index : ndarray of shape (n,), int32
        Cell of each row.
    values : dict of str to ndarray of shape (m,)
        Values of the covariates in each cell.
    n_cells : int
        m.
    rounding : dict of str to (int, float)
        For each covariate its number of values, and the largest change that putting
        rows into bins made of it, in units of its range (0 where no bins were needed).
    """

    index: IntArray
    values: dict[str, np.ndarray]
    n_cells: int
    rounding: dict[str, tuple[int, float]]


def distinct(values: np.ndarray, limit: int) -> tuple[IntArray, np.ndarray] | None:
    """Give the distinct values and where they stand; None where they are over a limit.

    Parameters
    ----------
    values : ndarray of shape (n,)
        Numbers or codes without missing ones.
    limit : int
        Most distinct values.

    Returns
    -------
    (index, levels) or None
        int32 of shape (n,), and the sorted values of shape (m,), m <= limit.
    """
    step = max(1, len(values) // SAMPLE)
    if len(values) > SAMPLE and len(pd.unique(values[::step])) > limit:
        return None
    codes, levels = pd.factorize(values, sort=True)
    if len(levels) > limit:
        return None
    return codes.astype(np.int32), np.asarray(levels)


def find_margin(values: np.ndarray, limit: int) -> tuple[IntArray, np.ndarray, float]:
    """Give the cells of one covariate: its values, or bins if there are too many.

    Half of the limit are equidistant bins over the range, the other half divides rows
    evenly, so that bins are narrow where knots may be close: for bases with equidistant
    knots and for those with knots at quantiles. A bin stands for the mean of its rows.
    Codes (integers) are never put into bins.

    Parameters
    ----------
    values : ndarray of shape (n,)
        Finite numbers, or codes.
    limit : int
        Most cells of numbers.

    Returns
    -------
    index : ndarray of shape (n,), int32
    levels : ndarray of shape (m,)
    largest : float
        Largest distance of x from its level, over the range of x.
    """
    is_code = values.dtype.kind != "f"
    found = distinct(values, len(values) if is_code else limit)
    if found is not None:
        return (*found, 0.0)
    low, high = float(values.min()), float(values.max())
    sample = values[:: max(1, len(values) // SAMPLE)]
    centre = float(np.median(sample))
    away = np.abs(sample - centre)
    spread = float(np.median(away[away > 0.0])) if away.any() else high - low
    spread = max(spread, 1e-12 * (high - low))
    # a grid that is fine in the middle and coarse in the tails
    t = np.arcsinh((values - centre) / spread)
    first = float(np.arcsinh((low - centre) / spread))
    width = (float(np.arcsinh((high - centre) / spread)) - first) / FINE
    t -= first
    t /= width
    fine = np.clip(t.astype(np.int32), 0, FINE - 1)
    count = np.bincount(fine, minlength=FINE)
    used = np.flatnonzero(count)
    middle = centre + spread * np.sinh(first + width * (used + 0.5))
    even = limit // 2
    by_range = np.clip((middle - low) / (high - low) * even, 0, even - 1).astype(int)
    count = count[used]
    rank = (np.cumsum(count) - 0.5 * count) / len(values)
    by_rank = (rank * (limit - even)).astype(int)
    starts = (np.diff(by_range) != 0) | (np.diff(by_rank) != 0)
    bins = np.zeros(FINE, dtype=np.int32)
    bins[used] = np.concatenate([[0], np.cumsum(starts)])
    index = bins[fine]
    levels = centre + np.bincount(index, values - centre) / np.bincount(index)
    largest = float(np.abs(values - levels.take(index)).max()) / (high - low)
    return index, levels, largest


def find_joint(
    indices: Sequence[IntArray], sizes: Sequence[int]
) -> tuple[IntArray, list[IntArray]]:
    """Give numbers to the combinations that occur.

    Parameters
    ----------
    indices : sequence of d ndarrays of shape (n,), int32
        Cells in each margin.
    sizes : sequence of d int
        Numbers of cells.

    Returns
    -------
    index : ndarray of shape (n,), int32
        Number of each row's combination.
    margins : list of d ndarrays of shape (m,), int32
        Cells of each combination in the margins.
    """
    if len(indices) == 1:
        return indices[0], [np.arange(sizes[0], dtype=np.int32)]
    key = indices[0].astype(np.int64)
    size = sizes[0]
    for index, count in zip(indices[1:], sizes[1:], strict=True):
        if size * count > 2**62:
            key, kept = pd.factorize(key)
            size = len(kept)
        key = key * count + index
        size *= count
    if size <= SPARSE * len(key):
        occupied = np.zeros(size, dtype=bool)
        occupied[key] = True
        number = np.cumsum(occupied, dtype=np.int32) - np.int32(1)
        joint = number[key]
        n_cells = int(number[-1]) + 1
    else:
        codes, levels = pd.factorize(key)
        joint, n_cells = codes.astype(np.int32), len(levels)
    example = np.empty(n_cells, dtype=np.int64)
    example[joint] = np.arange(len(joint))
    return joint, [index[example] for index in indices]


def find_cells(covariates: Mapping[str, np.ndarray], max_bins: int) -> Cells:
    """Give the cells of one or several covariates of a smooth.

    One covariate has at most ``max_bins`` cells. Of several, the combinations that
    occur are cells; where they are more than 10 · ``max_bins``, the covariates are put
    into bins, coarser than that of one: about (10 · ``max_bins``)^(1/d) of each.

    Parameters
    ----------
    covariates : mapping of str to ndarray of shape (n,)
        Numbers (float) or codes (int).
    max_bins : int
        Most cells of one covariate.

    Returns
    -------
    Cells
    """
    most = max_bins if len(covariates) == 1 else 10 * max_bins
    margins = {name: find_margin(x, max_bins) for name, x in covariates.items()}
    index, cells = _combine(margins)
    if len(cells[0]) > most:
        sizes = {name: len(margin[1]) for name, margin in margins.items()}
        room = most
        for left, name in enumerate(sorted(sizes, key=lambda v: sizes[v])):
            share = int(room ** (1.0 / (len(sizes) - left)) + 1e-9)
            if sizes[name] > share:
                margins[name] = find_margin(covariates[name], share)
            room = max(room // len(margins[name][1]), 1)
        index, cells = _combine(margins)
    named = dict(zip(margins, cells, strict=True))
    return Cells(
        index=index,
        values={name: margins[name][1][cell] for name, cell in named.items()},
        n_cells=len(cells[0]),
        rounding={name: (len(m[1]), m[2]) for name, m in margins.items()},
    )


def _combine(
    margins: Mapping[str, tuple[IntArray, np.ndarray, float]],
) -> tuple[IntArray, list[IntArray]]:
    return find_joint(
        [margin[0] for margin in margins.values()],
        [len(margin[1]) for margin in margins.values()],
    )
