"""Terms as products of functions of the table's columns and functions of time.

Letters: n rows, J times, a functions of the columns, b of time, q columns of a term.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from semistruct.design._arguments import read_columns
from semistruct.design._columns import read_numeric
from semistruct.design._smooth import SmoothPart, row_kronecker

__all__ = ["Margins", "smooth_margins"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Margins:
    """Columns u_a(i) v_b(t) of a smooth before its constraint, as if ``by`` were one.

    Parameters
    ----------
    subject : ndarray of shape (n, a)
        u; a column of ones for a smooth of time alone.
    time : ndarray of shape (J, b)
        v; a column of ones for a smooth without time.
    order : ndarray of shape (a · b,), int
        Where the smooth's own columns stand among the products, of which those with
        one u are adjacent.
    """

    subject: FloatArray
    time: FloatArray
    order: NDArray[np.int64]


def smooth_margins(
    part: SmoothPart, frame: pd.DataFrame, times: FloatArray, time: str
) -> Margins:
    """Evaluate the functions of a smooth's columns and those of time by themselves.

    Parameters
    ----------
    part : SmoothPart
        A smooth whose penalties may not be there yet.
    frame : DataFrame of n rows
        The table, without the time.
    times : ndarray of shape (J,)
        Times.
    time : str
        Name of the time axis.

    Returns
    -------
    Margins
    """
    term = part.term
    names = term.names
    if time not in names:
        read = read_columns(term, frame, part.regions)
        whole = part.unconstrained(read, slice(0, len(frame)))
        order = np.arange(whole.shape[1])
        return Margins(whole, np.ones((len(times), 1)), order)
    values = []
    for j, name in enumerate(names):
        x = times if name == time else read_numeric(frame, name, term.label)
        value = part.bases[j].evaluate(x)
        values.append(value if part.margins is None else value @ part.margins[j])
    at = names.index(time)
    others = values[:at] + values[at + 1 :]
    subject = row_kronecker(others) if others else np.ones((len(frame), 1))
    before = int(np.prod([v.shape[1] for v in values[:at]], dtype=np.int64))
    b = values[at].shape[1]
    shape = (before, subject.shape[1] // before, b)
    order = np.arange(subject.shape[1] * b).reshape(shape)
    order = order.transpose(0, 2, 1).reshape(-1)
    return Margins(subject, values[at], order)
