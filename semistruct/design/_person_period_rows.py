"""Long rows of a design, some at a time.

Letters: n rows of the table, J times, a functions of the row, b of time, q columns; m
long rows that are asked for.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from semistruct.design._operator import row_chunks
from semistruct.design._person_period import PersonPeriod
from semistruct.design._person_period_blocks import LaggedColumns, ProductColumns

__all__ = ["long_rows", "product_rows"]

FloatArray = NDArray[np.float64]


def long_rows(
    products: Iterable[ProductColumns],
    lagged: Iterable[LaggedColumns],
    period: PersonPeriod,
    at: slice,
    width: int,
) -> FloatArray:
    """Give some long rows of ``width`` columns; those of no block are zero."""
    row, interval = period.row[at], period.interval[at]
    result = np.zeros((len(row), width))
    for block in products:
        result[:, block.columns] = product_rows(block, row, interval)
    for late in lagged:
        values = np.empty((len(row), len(late.columns)))
        for part in row_chunks(len(row), late.time[0].size):
            table = late.time[interval[part]]  # (m, L, q)
            values[part] = np.einsum("ml,mlq->mq", late.subject[row[part]], table)
        result[:, late.columns] = values
    return result


def product_rows(
    block: ProductColumns, row: NDArray[np.int32], interval: NDArray[np.int32]
) -> FloatArray:
    """Give the columns of a block in some long rows, of shape (m, q)."""
    subject: Any = block.subject[row]
    if sparse.issparse(subject):
        subject = subject.toarray()
    a, b = block.sizes
    if b == 1:
        values = subject * block.time[interval]
    elif a == 1:
        values = block.time[interval] * subject
    else:
        over_time = block.time[interval]
        values = (subject[:, :, None] * over_time[:, None, :]).reshape(len(row), -1)
    return np.asarray(values if block.transform is None else values @ block.transform)
