"""The structured design: every structured term as columns, blocks and penalties."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from semistruct._core import terms as t
from semistruct.design._columns import check_frame, read_numeric
from semistruct.design._cumulative import CumulativePart
from semistruct.design._parametric import ParametricPart
from semistruct.design._random import RandomPart
from semistruct.design._side import side_conditions
from semistruct.design._smooth import CHUNK, SmoothPart
from semistruct.design._specification import check_term
from semistruct.design._types import Block, Constraint, Penalty
from semistruct.design._wilkinson import parse_parametric
from semistruct.exceptions import DataError, FormulaError, ParameterError

__all__ = [
    "StructuredDesign",
    "check_terms",
    "factor_columns",
    "linear_formula",
    "structured_columns",
]

_Part = SmoothPart | RandomPart | CumulativePart
_PENALISED = (t.Smooth, t.Tensor, t.RandomEffect, t.Cumulative)


class StructuredDesign:
    """Structured terms, fitted to a table; made by `fit`.

    The columns are the intercept, the parametric terms, then smooths, tensor products
    and random effects in their order. Predicting selects columns by name, so that
    neither their order nor what else the table holds matters, and a row's columns never
    depend on the rows beside it.

    Parameters
    ----------
    terms : tuple of StructuredTerm
        The terms, as they were given.
    parametric : ParametricPart
        Fitted parametric part.
    parts : iterable of SmoothPart, RandomPart or CumulativePart
        Fitted penalised parts, in the order of their terms.

    Attributes
    ----------
    terms : tuple of StructuredTerm
        The terms, as they were given.
    blocks : tuple of Block
        The terms' ranges of columns.
    penalties : tuple of Penalty
        All penalties.
    constraints : tuple of Constraint
        Linear inequalities, of monotone smooths.
    names : tuple of str
        Names of the coefficients, ``"Intercept"`` first.
    columns : tuple of str
        Columns of the table that the terms read.
    n_coefficients : int
        Number p of columns.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from semistruct.design import StructuredDesign, parse_formula
    >>> frame = pd.DataFrame({"x": np.arange(20.0), "g": list("ab") * 10})
    >>> design = StructuredDesign.fit(parse_formula("C(g) + s(x, k=5)"), frame)
    >>> design.names
    ('Intercept', 'C(g)[T.b]', 's(x).1', 's(x).2', 's(x).3', 's(x).4')
    >>> design.matrix(frame).shape
    (20, 6)
    """

    def __init__(
        self,
        terms: tuple[t.Term, ...],
        parametric: ParametricPart,
        parts: Iterable[_Part],
    ) -> None:
        self.terms = terms
        self._parametric = parametric
        self._parts = tuple(parts)
        self._offsets = tuple(v.column for v in terms if isinstance(v, t.Offset))
        self.blocks, self.penalties = self._lay_out()
        self.constraints = self._find_constraints()
        self.names = tuple(name for block in self.blocks for name in block.names)
        self.n_coefficients = len(self.names)
        read = [*parametric.columns, *(c for part in self._parts for c in part.columns)]
        self.columns = tuple(dict.fromkeys([*read, *self._offsets]))

    @classmethod
    def fit(
        cls,
        terms: Iterable[t.Term],
        frame: pd.DataFrame,
        *,
        intercept: bool = True,
        weight: np.ndarray | None = None,
    ) -> StructuredDesign:
        """Fit levels, knots, scalings and constraints to a table.

        Parameters
        ----------
        terms : iterable of StructuredTerm
            `Linear`, `Smooth`, `Tensor`, `RandomEffect`, `Cumulative` and `Offset`
            terms. Without a `Linear` one, the parametric part is the intercept.
        frame : DataFrame of n rows
            The table; n >= 1.
        intercept : bool, default=True
            False (for Cox models): categorical coding is as with an intercept, whatever
            the formula says of it, and its column is dropped.
        weight : ndarray of shape (n,), optional
            How often each row counts in the centring of smooths; once by default.

        Returns
        -------
        StructuredDesign

        Raises
        ------
        FormulaError, ParameterError
            If a term is not well formed, or stands there twice.
        ColumnError, DataError
            If a column is missing, or its cells cannot be used.
        """
        terms = tuple(terms)
        check_frame(frame)
        check_terms(terms)
        if len(frame) == 0:
            raise DataError("The table has no rows; a design needs one or more.")
        others = [term for term in terms if not isinstance(term, t.Offset)]
        if len(frame) == 1 and structured_columns(others):
            raise DataError(
                "The table has one row (n_samples=1); every term is constant in it."
            )
        formula = linear_formula(terms)
        parametric, _ = ParametricPart.fit(formula, frame, intercept)
        parts: list[_Part] = []
        for term in terms:
            if isinstance(term, (t.Smooth, t.Tensor)):
                parts.append(SmoothPart.fit(term, frame, weight=weight))
            elif isinstance(term, t.RandomEffect):
                parts.append(RandomPart.fit(term, frame))
            elif isinstance(term, t.Cumulative):
                parts.append(CumulativePart.fit(term, frame))
            elif isinstance(term, t.Offset):
                read_numeric(frame, term.column, term.label)
        return cls(terms, parametric, side_conditions(parts, frame))

    def matrix(self, frame: pd.DataFrame) -> np.ndarray:
        """Evaluate the design.

        Parameters
        ----------
        frame : DataFrame of n rows
            A table with the columns of ``columns``, in any order.

        Returns
        -------
        ndarray of shape (n, p), float64, C-contiguous
            All finite.

        Raises
        ------
        ColumnError, DataError, UnseenLevelError
            Naming the column and the row.
        """
        check_frame(frame)
        n = len(frame)
        parametric = self._parametric.matrix(frame)
        fixed = len(self._parametric.names)
        if fixed == self.n_coefficients:
            return np.ascontiguousarray(parametric)
        values = np.empty((n, self.n_coefficients))
        values[:, :fixed] = parametric
        del parametric
        read = [part.read(frame) for part in self._parts]
        for begin in range(0, n, CHUNK):
            rows = slice(begin, min(begin + CHUNK, n))
            start = fixed
            for part, columns in zip(self._parts, read, strict=True):
                stop = start + part.n_block * len(part.labels)
                part.write(columns, rows, values[rows, start:stop])
                start = stop
        return values

    def offset(self, frame: pd.DataFrame) -> np.ndarray:
        """Sum the offsets.

        Parameters
        ----------
        frame : DataFrame of n rows
            A table with the columns of the offsets.

        Returns
        -------
        ndarray of shape (n,), float64
            On the scale of the link; zeros where the model has no offset.
        """
        check_frame(frame)
        total = np.zeros(len(frame))
        for column in self._offsets:
            total += read_numeric(frame, column, f"offset({column})")
        return total

    def to_state(self) -> dict[str, Any]:
        """Give the state: JSON types, and arrays."""
        return {
            "terms": [t.term_to_state(term) for term in self.terms],
            "parametric": self._parametric.to_state(),
            "parts": [part.to_state() for part in self._parts],
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> StructuredDesign:
        """Make the design from its state; its matrices are the same to the bit."""
        terms = tuple(t.term_from_state(stored) for stored in state["terms"])
        check_terms(terms)
        penalised = [v for v in terms if isinstance(v, _PENALISED)]
        parts: list[_Part] = []
        for term, stored in zip(penalised, state["parts"], strict=True):
            if isinstance(term, t.RandomEffect):
                parts.append(RandomPart.from_state(term, stored))
            elif isinstance(term, t.Cumulative):
                parts.append(CumulativePart.from_state(term, stored))
            else:
                parts.append(SmoothPart.from_state(term, stored))
        return cls(terms, ParametricPart.from_state(state["parametric"]), parts)

    def __repr__(self) -> str:
        labels = ", ".join(block.label for block in self.blocks)
        return f"StructuredDesign({labels}; {self.n_coefficients} coefficients)"

    def _lay_out(self) -> tuple[tuple[Block, ...], tuple[Penalty, ...]]:
        blocks: list[Block] = []
        penalties: list[Penalty] = []
        names = self._parametric.names
        for label, start, stop, columns in self._parametric.spans:
            kind = "parametric" if columns else "intercept"
            blocks.append(Block(label, kind, start, stop, names[start:stop], columns))
        start = len(names)
        for part in self._parts:
            for i, label in enumerate(part.labels):
                stop = start + part.n_block
                blocks.append(
                    Block(label, part.kind, start, stop, part.names(i), part.columns)
                )
                for suffix, matrix, sp, rank in part.penalties():
                    penalty = Penalty(label + suffix, start, stop, matrix, sp, rank)
                    penalties.append(penalty)
                start = stop
        return tuple(blocks), tuple(penalties)

    def _find_constraints(self) -> tuple[Constraint, ...]:
        found: list[Constraint] = []
        start = len(self._parametric.names)
        for part in self._parts:
            matrix = part.inequality if isinstance(part, SmoothPart) else None
            for label in part.labels:
                stop = start + part.n_block
                if matrix is not None:
                    found.append(Constraint(label, start, stop, matrix))
                start = stop
        return tuple(found)


def structured_columns(terms: Iterable[t.Term]) -> tuple[str, ...]:
    """Give the columns that terms read; those of `Linear` come from its formula.

    Parameters
    ----------
    terms : iterable of Term
        Any terms.

    Returns
    -------
    tuple of str
        Distinct, in order of first appearance.

    Examples
    --------
    >>> from semistruct.design import parse_formula, structured_columns
    >>> structured_columns(parse_formula("np.log(age):C(stage) + s(bmi, by=age)"))
    ('age', 'stage', 'bmi')
    """
    found: dict[str, None] = {}
    for term in terms:
        if isinstance(term, t.Linear):
            found.update(dict.fromkeys(parse_parametric(term.formula).columns))
        else:
            found.update(dict.fromkeys(term.columns))
    return tuple(found)


def factor_columns(terms: Iterable[t.Term]) -> frozenset[str]:
    """Give the columns that some term reads as a factor, whatever their cells are.

    Those in ``C()``, groups of `RandomEffect`, regions of a Markov random field. A
    column of strings is a factor everywhere and need not be among them.

    Parameters
    ----------
    terms : iterable of Term
        Any terms.

    Returns
    -------
    frozenset of str

    Examples
    --------
    >>> from semistruct.design import factor_columns, parse_formula
    >>> sorted(factor_columns(parse_formula("age + C(stage) + re(centre, age)")))
    ['centre', 'stage']
    """
    found: set[str] = set()
    for term in terms:
        if isinstance(term, t.Linear):
            factors = parse_parametric(term.formula).factors
            read = [f.columns for key, f in factors.items() if key.startswith("C(")]
            found.update(*read)
        elif isinstance(term, t.RandomEffect):
            found.add(term.group)
        elif isinstance(term, t.Smooth) and term.bs == "mrf":
            found.update(term.names)
    return frozenset(found)


def check_terms(terms: tuple[t.Term, ...]) -> None:
    """Check that terms are structured, well formed and distinct."""
    seen: set[str] = set()
    for term in terms:
        if not isinstance(term, t.StructuredTerm):
            raise ParameterError(
                parameter="terms",
                owner="StructuredDesign.fit",
                allowed="Linear, Smooth, Tensor, RandomEffect, Cumulative or Offset "
                "objects",
                given=term,
            )
        check_term(term)
        if not isinstance(term, t.Linear):
            if term.label in seen:
                raise FormulaError(f"The term {term.label} stands there twice.")
            seen.add(term.label)


def linear_formula(terms: Iterable[t.Term]) -> str:
    """Join the parametric formulas; ``"1"`` where there are none."""
    formula = ""
    for term in terms:
        if isinstance(term, t.Linear):
            text = term.formula.strip()
            glue = " " if text[0] in "+-" else " + "
            formula = f"{formula}{glue}{text}" if formula else text
    return formula or "1"
