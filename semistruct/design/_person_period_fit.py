"""Structured terms fitted to long rows that are never put side by side.

Letters: n rows of the table, J intervals, N long rows, k functions of a basis.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pandas as pd

from semistruct._core import terms as t
from semistruct.design._basis import Basis
from semistruct.design._columns import read_numeric, select
from semistruct.design._cumulative import CumulativePart
from semistruct.design._design import (
    StructuredDesign,
    check_terms,
    linear_formula,
    structured_columns,
)
from semistruct.design._parametric import ParametricPart
from semistruct.design._person_period import PersonPeriod, check_long_frame
from semistruct.design._person_period_design import PersonPeriodDesign
from semistruct.design._person_period_margins import smooth_margins
from semistruct.design._random import RandomPart
from semistruct.design._side import take_out
from semistruct.design._smooth import CHUNK, SmoothPart
from semistruct.design._specification import basis_names
from semistruct.design._wilkinson import parse_parametric
from semistruct.exceptions import DataError, FormulaError

__all__ = ["fit_person_period", "person_period_offset"]

_Part = SmoothPart | RandomPart | CumulativePart


def fit_person_period(
    terms: Iterable[t.Term],
    frame: pd.DataFrame,
    period: PersonPeriod,
    *,
    time: str = "time",
    intercept: bool = True,
    weight: np.ndarray | None = None,
) -> StructuredDesign:
    """Fit structured terms to long rows, in memory of the order of the table.

    Terms may read the time axis as a column, whose value is the interval's end:
    ``s(time)``, ``s(time, by=x)``, ``te(time, x)``, ``ti(time, x)``, ``time:x``,
    ``C(time)``, ``re(g, time)``, ``cumulative(z)``. Knots, scalings and sum-to-zero
    constraints of smooths are those of the long rows, as if these were a table; so are
    the columns of ``StructuredDesign.matrix`` for a table of long rows. Transforms of
    the parametric part that depend on data (center, scale, poly, bs, cr, cc) see each
    row of the table once and each time about equally often.

    Parameters
    ----------
    terms : iterable of StructuredTerm
        See `StructuredDesign.fit`.
    frame : DataFrame of n rows
        The table, without a column for the time axis.
    period : PersonPeriod
        Its long rows; rows of the table without any are not looked at.
    time : str, default="time"
        Name by which terms read the time axis.
    intercept : bool, default=True
        See `StructuredDesign.fit`.
    weight : ndarray of shape (n,), optional
        How often each row counts in the centring of smooths; once by default.

    Returns
    -------
    StructuredDesign
        It reads a table with the column ``time``; `PersonPeriodDesign` evaluates it.

    Raises
    ------
    FormulaError, ParameterError
        If a term is not well formed, or is no sum of products of a function of time
        and a function of the other columns, such as ``I(time * x)`` or
        ``s(time, x, bs="tp")``.
    ColumnError, DataError
        If a column is missing, cannot be used, or is named as the time axis.

    References
    ----------
    Bender, Groll & Scheipl (2018), doi:10.1177/1471082X17748083

    Examples
    --------
    >>> import pandas as pd
    >>> from semistruct.design import PersonPeriod, fit_person_period, parse_formula
    >>> frame = pd.DataFrame({"x": [0.0, 1.0, 2.0, 0.5, 1.5]})
    >>> long = PersonPeriod.build([1.0, 2.0, 3.0, 4.0, 5.0], [1, 1, 1, 1, 0])
    >>> terms = parse_formula("s(time, k=4) + time:x")
    >>> fit_person_period(terms, frame, long).names
    ('Intercept', 'time:x', 's(time).1', 's(time).2', 's(time).3')
    """
    terms = tuple(terms)
    check_terms(terms)
    check_long_frame(frame, period, time)
    _check_products(terms, time)
    own = [c for c in structured_columns(terms) if c != time]
    _check_there(own, terms, frame)
    table = _Table(frame[own], period, time, weight)
    formula = linear_formula(terms)
    parametric, _ = ParametricPart.fit(formula, table.joint, intercept, time)
    parts: list[_Part] = []
    for term in terms:
        if isinstance(term, (t.Smooth, t.Tensor)):
            parts.append(SmoothPart.fit(term, table.values(term), table))
        elif isinstance(term, t.RandomEffect):
            parts.append(RandomPart.fit(term, table.joint))
        elif isinstance(term, t.Cumulative):
            parts.append(CumulativePart.fit(term, table.joint))
        elif isinstance(term, t.Offset):
            read_numeric(table.joint, term.column, term.label)
    parts = _side_conditions(parts, frame[own], period, time)
    return StructuredDesign(terms, parametric, parts)


def person_period_offset(
    design: StructuredDesign,
    frame: pd.DataFrame,
    period: PersonPeriod,
    *,
    time: str = "time",
) -> np.ndarray:
    """Sum the offsets of the terms in each long row; log exposures are not in it.

    Parameters
    ----------
    design : StructuredDesign
        Fitted terms.
    frame : DataFrame of n rows
        The table.
    period : PersonPeriod
        Its long rows.
    time : str, default="time"
        Name of the time axis.

    Returns
    -------
    ndarray of shape (N,)
        Zeros where the model has no offset.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from semistruct.design import PersonPeriod, fit_person_period, parse_formula
    >>> from semistruct.design import person_period_offset
    >>> frame = pd.DataFrame({"x": [0.5, 1.0]})
    >>> long = PersonPeriod.build([1.0, 2.0], [1, 1])
    >>> design = fit_person_period(parse_formula("offset(x)"), frame, long)
    >>> person_period_offset(design, frame, long)
    array([0.5, 1. , 1. ])
    """
    check_long_frame(frame, period, time)
    total = np.zeros(len(period))
    for term in design.terms:
        if isinstance(term, t.Offset):
            if term.column == time:
                total += period.cuts[period.interval]
            else:
                total += read_numeric(frame, term.column, term.label)[period.row]
    return total


class _Table:
    """Sums over long rows, from the table and the intervals; see `RowSums`."""

    def __init__(
        self,
        frame: pd.DataFrame,
        period: PersonPeriod,
        time: str,
        weight: np.ndarray | None,
    ) -> None:
        self.time = time
        self.period = period
        used = np.flatnonzero(period.count)
        self.frame = frame if len(used) == len(frame) else frame.iloc[used]
        each = np.ones(len(frame)) if weight is None else np.asarray(weight, float)
        if each.shape != (len(frame),):
            raise DataError(
                f"The weights have shape {each.shape}, need ({len(frame)},)."
            )
        self.weight = each[used]
        self.count = period.count[used] * self.weight
        self.number = np.cumsum(period.count > 0) - 1  # of each row among those used
        held = np.flatnonzero(period.at_risk)
        self.cuts = period.cuts[held]
        self.at_risk = np.bincount(period.interval, each[period.row])[held]
        self.total = float(self.count.sum())
        m = max(len(used), len(held))
        rows = (np.arange(m) * len(used)) // m
        at = (np.arange(m) * len(held)) // m
        joint = self.frame if m == len(used) else self.frame.iloc[rows]
        self.joint = joint.assign(**{time: self.cuts[at]})

    def values(self, term: t.Smooth | t.Tensor) -> pd.DataFrame:
        """Give a table with the values that a smooth's bases depend on.

        All but thin plates depend on the distinct values only; for those, the term's
        columns of all long rows.
        """
        if "tp" not in basis_names(term):
            return self.joint
        period = self.period
        own = [c for c in dict.fromkeys(term.columns) if c != self.time]
        long = self.frame[own].iloc[self.number[period.row]]
        return long.assign(**{self.time: period.cuts[period.interval]})

    def margin(self, basis: Basis, name: str) -> np.ndarray:
        """See `RowSums`."""
        if name == self.time:
            x, weight = self.cuts, self.at_risk
        else:
            x, weight = read_numeric(self.frame, name, name), self.count
        total = np.zeros(basis.k)
        for begin in range(0, len(x), CHUNK):
            rows = slice(begin, begin + CHUNK)
            total += weight[rows] @ basis.evaluate(x[rows])
        return total / self.total

    def columns(self, part: SmoothPart) -> tuple[np.ndarray, float]:
        """See `RowSums`."""
        margins = smooth_margins(part, self.frame, self.cuts, self.time)
        subject, over_time = margins.subject, margins.time
        row = self.number[self.period.row]
        held = np.cumsum(self.period.at_risk > 0) - 1
        at = held[self.period.interval]
        sums = np.empty((subject.shape[1], over_time.shape[1]))
        if over_time.shape[1] <= subject.shape[1]:
            for b, column in enumerate(over_time.T):
                over = np.bincount(row, column[at], len(subject)) * self.weight
                sums[:, b] = over @ subject
        else:
            for a, column in enumerate(subject.T):
                weighted = (column * self.weight)[row]
                sums[a] = np.bincount(at, weighted, len(over_time)) @ over_time
        size = np.abs(subject).sum(axis=1)
        reach = np.abs(over_time).sum(axis=1)
        largest = float((size[row] * reach[at]).max())
        return sums.reshape(-1)[margins.order] / self.total, largest


def _side_conditions(
    parts: list[_Part], frame: pd.DataFrame, period: PersonPeriod, time: str
) -> list[_Part]:
    """Take columns out of nested tensor products; see `side_conditions`.

    A triangular factor of all smooths' columns stands for the long rows.
    """
    smooths = [j for j, part in enumerate(parts) if isinstance(part, SmoothPart)]
    if not any(isinstance(parts[j].term, t.Tensor) for j in smooths):
        return parts
    plain = [_without_by(part) for part in parts if isinstance(part, SmoothPart)]
    one = ParametricPart("1", True, {}, frozenset())
    one.names, one.spans = ("Intercept",), (("Intercept", 0, 1, ()),)
    design = StructuredDesign(tuple(v.term for v in plain), one, plain)
    upper = PersonPeriodDesign.from_design(design, frame, period, time=time).triangle()
    ends = np.cumsum([1, *(part.n_block for part in plain)])
    spans = {j: slice(ends[i], ends[i + 1]) for i, j in enumerate(smooths)}
    return take_out(parts, upper[:, :1], lambda j: upper[:, spans[j]])


def _without_by(part: SmoothPart) -> SmoothPart:
    term = replace(part.term, by=None)
    return SmoothPart(
        term, part.bases, part.margins, part.constraint, part.matrices, None
    )


def _check_products(terms: tuple[t.Term, ...], time: str) -> None:
    """Refuse functions of time and something else that are no product."""
    for term in terms:
        if isinstance(term, t.Linear):
            for factor in parse_parametric(term.formula).factors.values():
                if time in factor.columns and len(set(factor.columns)) > 1:
                    others = ", ".join(c for c in factor.columns if c != time)
                    raise FormulaError(
                        f"{factor.text} is a function of {time!r} and {others} "
                        f"together. Write their product as {time}:{others}, or a "
                        "smooth interaction as te()."
                    )
        elif isinstance(term, t.Smooth) and time in term.names and len(term.names) > 1:
            raise FormulaError(
                f"{term.label} is isotropic in {time!r} and other columns, which are "
                f"not in one unit. Write te({', '.join(term.names)})."
            )
        elif isinstance(term, t.Cumulative) and term.time != time:
            raise FormulaError(
                f"{term.label} reads the time from {term.time!r}, but the time axis is "
                f"named {time!r}. Write cumulative(…, time={time!r})."
            )


def _check_there(
    columns: list[str], terms: tuple[t.Term, ...], frame: pd.DataFrame
) -> None:
    """Raise ColumnError for the first column that is not in the table."""
    for column in columns:
        owner = next(v.label for v in terms if column in structured_columns([v]))
        select(frame, column, owner)
