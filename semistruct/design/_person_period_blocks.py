"""A fitted design as products of small matrices: one of rows, one of times.

Letters: n rows, J times, a functions of the table's columns, b of time, q columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from semistruct.design._columns import read_numeric
from semistruct.design._cumulative import CumulativePart, read_exposures
from semistruct.design._design import StructuredDesign
from semistruct.design._person_period_margins import smooth_margins
from semistruct.design._random import RandomPart
from semistruct.design._smooth import SmoothPart
from semistruct.exceptions import DataError

__all__ = ["LaggedColumns", "Matrix", "ProductColumns", "find_blocks"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Matrix = Any  # ndarray or csr_array, which has no types

SMALL = 0.01  # share of a factor's largest value below which it is no divisor


@dataclass(frozen=True, eq=False)
class ProductColumns:
    """Columns (u_i ⊗ v_j) Z of row i at time j.

    Parameters
    ----------
    columns : ndarray of shape (q,), int
        Where they stand in the design.
    subject : ndarray or csr_array of shape (n, a)
        u; a sparse one has one entry in each row.
    time : ndarray of shape (J, b)
        v.
    transform : ndarray of shape (a · b, q), optional
        Z; the identity where it is not given.
    """

    columns: IntArray
    subject: Matrix
    time: FloatArray
    transform: FloatArray | None = None

    @property
    def sizes(self) -> tuple[int, int]:
        """Numbers (a, b) of functions."""
        return self.subject.shape[1], self.time.shape[1]

    def expand(self, coef: FloatArray) -> FloatArray:
        """Give Z β as a matrix (a, b)."""
        whole = coef if self.transform is None else self.transform @ coef
        return np.asarray(whole.reshape(self.sizes))

    def contract(self, products: FloatArray) -> FloatArray:
        """Give Z' x of x (a · b, …), of shape (q, …)."""
        if self.transform is None:
            return products
        return np.asarray(self.transform.T @ products)


@dataclass(frozen=True, eq=False)
class LaggedColumns:
    """Columns Σ_l z_il D_jl of row i at time j.

    Parameters
    ----------
    columns : ndarray of shape (q,), int
        Where they stand in the design.
    subject : ndarray of shape (n, L)
        z.
    time : ndarray of shape (J, L, q)
        D.
    """

    columns: IntArray
    subject: FloatArray
    time: FloatArray


def find_blocks(
    design: StructuredDesign, frame: pd.DataFrame, times: FloatArray, time: str
) -> tuple[list[ProductColumns], list[LaggedColumns]]:
    """Evaluate the factors of all columns of a design.

    Parameters
    ----------
    design : StructuredDesign
        Made by `fit_person_period`.
    frame : DataFrame of n rows
        A table with the design's columns, without the time.
    times : ndarray of shape (J,)
        Times.
    time : str
        Name of the time axis.

    Returns
    -------
    (list of ProductColumns, list of LaggedColumns)
    """
    finder = _Finder(frame, times, time)
    finder.parametric(design)
    start = len(design._parametric.names)
    for part in design._parts:
        if isinstance(part, CumulativePart):
            finder.cumulative(part, start)
        elif isinstance(part, RandomPart):
            finder.random(part, start)
        else:
            finder.smooth(part, start)
        start += part.n_block * len(part.labels)
    return finder.found(), finder.lagged


class _Finder:
    """Blocks of one table; what is of rows alone, or of time alone, becomes one."""

    def __init__(self, frame: pd.DataFrame, times: FloatArray, time: str) -> None:
        self.frame = frame
        self.times = times
        self.time = time
        self.of_rows: list[tuple[IntArray, FloatArray]] = []
        self.of_time: list[tuple[IntArray, FloatArray]] = []
        self.products: list[ProductColumns] = []
        self.lagged: list[LaggedColumns] = []

    def found(self) -> list[ProductColumns]:
        """Give all products."""
        result = list(self.products)
        if self.of_time:
            at, values = _joined(self.of_time)
            result.insert(0, ProductColumns(at, np.ones((len(self.frame), 1)), values))
        if self.of_rows:
            at, values = _joined(self.of_rows)
            result.insert(0, ProductColumns(at, values, np.ones((len(self.times), 1))))
        return result

    def smooth(self, part: SmoothPart, start: int) -> None:
        term, q = part.term, part.n_block
        margins = smooth_margins(part, self.frame, self.times, self.time)
        subject, over_time = margins.subject, margins.time
        transform: FloatArray | None = None
        if subject.shape[1] == 1 and term.names == (self.time,):
            over_time = _behind(over_time, part.constraint)
        elif over_time.shape[1] == 1 and self.time not in term.names:
            subject = _behind(subject, part.constraint)
        else:
            own = np.eye(q) if part.constraint is None else part.constraint
            transform = np.empty(own.shape)
            transform[margins.order] = own
        if term.by == self.time:
            over_time = over_time * self.times[:, None]
        elif part.levels is not None:
            codes = part.levels.codes(self.frame, term.label)
            for level in range(len(part.levels)):
                mine = subject * (codes == level)[:, None]
                self._add(start + level * q, q, mine, over_time, transform)
            return
        elif term.by is not None:
            by = read_numeric(self.frame, term.by, term.label)
            subject = subject * by[:, None]
        self._add(start, q, subject, over_time, transform)

    def random(self, part: RandomPart, start: int) -> None:
        term, q = part.term, part.n_block
        slope = np.ones(len(self.frame))
        over_time = np.ones((len(self.times), 1))
        if term.slope == self.time:
            over_time = self.times[:, None]
        elif term.slope is not None:
            slope = read_numeric(self.frame, term.slope, term.label)
        if term.group == self.time:
            table = pd.DataFrame({self.time: self.times})
            codes = part.levels.codes(table, term.label, unseen=True)
            one = (codes[:, None] == np.arange(q)).astype(np.float64)
            self._add(start, q, slope[:, None], one * over_time, None)
            return
        codes = part.levels.codes(self.frame, term.label, unseen=True)
        values = np.where(codes < 0, 0.0, slope)
        n = len(codes)
        index = np.maximum(codes, 0), np.arange(n + 1)
        subject = sparse.csr_array((values, *index), shape=(n, q))
        at = np.arange(start, start + q)
        self.products.append(ProductColumns(at, subject, over_time))

    def cumulative(self, part: CumulativePart, start: int) -> None:
        term = part.term
        exposures = read_exposures(self.frame, term.column, term.label)
        if exposures.shape[1] != len(part.times):
            raise DataError(
                f"The cells of the column {term.column!r} of {term.label} hold "
                f"{exposures.shape[1]} exposures; in fit there were {len(part.times)}."
            )
        at = np.arange(start, start + part.n_block)
        self.lagged.append(LaggedColumns(at, exposures, part.table(self.times)))

    def parametric(self, design: StructuredDesign) -> None:
        part = design._parametric
        values = part.matrix(self._at(self.times[0]))  # (n, columns)
        mixed: list[int] = []
        for _, start, stop, columns in part.spans:
            at = np.arange(start, stop)
            if self.time not in columns:
                self.of_rows.append((at, values[:, start:stop]))
            elif set(columns) == {self.time}:
                over_time = part.matrix(self._profile(0))[:, start:stop]
                self.of_time.append((at, over_time))
            else:
                mixed += at.tolist()
        if mixed:
            self._split(design, np.array(mixed), values)

    def _split(
        self, design: StructuredDesign, at: IntArray, values: FloatArray
    ) -> None:
        """Find the two factors of columns u(i) v(j).

        u is the column at a time where v is large, v that of a row where u is largest.
        """
        part = design._parametric
        waiting = list(range(len(self.times)))
        tried: set[int] = set()
        left = set(range(len(at)))
        subject = np.zeros((len(self.frame), len(at)))
        over_time = np.zeros((len(self.times), len(at)))
        while left and waiting:
            j = waiting.pop(0)
            if j in tried:
                continue
            tried.add(j)
            whole = values if j == 0 else part.matrix(self._at(self.times[j]))
            here = whole[:, at]
            top = np.abs(here).argmax(axis=0)
            for i in {int(top[c]) for c in left if here[top[c], c] != 0.0}:
                profile = part.matrix(self._profile(i))[:, at]
                for c in [c for c in left if top[c] == i and here[i, c] != 0.0]:
                    best = int(np.abs(profile[:, c]).argmax())
                    if abs(profile[j, c]) < SMALL * abs(profile[best, c]):
                        waiting.insert(0, best)
                        continue
                    subject[:, c] = here[:, c]
                    over_time[:, c] = profile[:, c] / here[i, c]
                    left.discard(c)
        for c, where in enumerate(at):
            one = np.array([where])
            factors = subject[:, [c]], over_time[:, [c]]
            self.products.append(ProductColumns(one, *factors))

    def _at(self, when: float) -> pd.DataFrame:
        """Give the table with one time."""
        return self.frame.assign(**{self.time: when})

    def _profile(self, row: int) -> pd.DataFrame:
        """Give one row at all times."""
        same = self.frame.iloc[np.full(len(self.times), row)]
        return same.assign(**{self.time: self.times})

    def _add(
        self,
        start: int,
        q: int,
        subject: FloatArray,
        over_time: FloatArray,
        transform: FloatArray | None,
    ) -> None:
        at = np.arange(start, start + q)
        if transform is None and over_time.shape[1] == 1 and _ones(over_time):
            self.of_rows.append((at, subject))
        elif transform is None and subject.shape[1] == 1 and _ones(subject):
            self.of_time.append((at, over_time))
        else:
            self.products.append(ProductColumns(at, subject, over_time, transform))


def _behind(values: FloatArray, constraint: FloatArray | None) -> FloatArray:
    return values if constraint is None else np.asarray(values @ constraint)


def _joined(found: list[tuple[IntArray, FloatArray]]) -> tuple[IntArray, FloatArray]:
    at = np.concatenate([each[0] for each in found])
    return at, np.hstack([each[1] for each in found])


def _ones(values: FloatArray) -> bool:
    return bool((values == 1.0).all())
