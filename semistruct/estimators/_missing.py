"""Missing cells of structured columns: typical values, and columns that say so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import pandas as pd

from semistruct._core.terms import Linear, StructuredTerm
from semistruct.design import factor_columns, quote_column, structured_columns
from semistruct.exceptions import ColumnError, DataError, shown

__all__ = ["MISSING_LEVEL", "MissingIndicator", "check_no_missing"]

MISSING_LEVEL = "missing"


class MissingIndicator:
    """Fill missing cells as fit did, and mark them.

    A missing number becomes the (weighted) mean of the column in fit, and the column
    ``<name>_missing`` is 1 there and 0 elsewhere: the predictor needs it as a term, see
    `terms`. A missing level of a factor becomes the level "missing". Columns without a
    missing cell in fit are left alone; a missing cell in them is refused later, since
    nothing was learned about it. Prediction is right where cells are missing for
    reasons that stay the same; coefficients of the columns themselves can be biased
    (Jones 1996, doi:10.1080/01621459.1996.10476680).

    Parameters
    ----------
    means : dict of str to float
        Value that fills each numeric column.
    factors : sequence of str
        Columns whose missing cells are a level of their own.

    Examples
    --------
    >>> import pandas as pd
    >>> from semistruct.design import parse_formula
    >>> table = pd.DataFrame({"x": [1.0, None, 3.0], "g": ["a", "b", None]})
    >>> filler = MissingIndicator.fit(parse_formula("x + C(g)"), table)
    >>> filler.transform(table)
         x        g  x_missing
    0  1.0        a        0.0
    1  2.0        b        1.0
    2  3.0  missing        0.0
    >>> [term.label for term in filler.terms(parse_formula("s(x)"))]
    ['s(x)', 'x_missing']
    """

    def __init__(self, means: Mapping[str, float], factors: Sequence[str]) -> None:
        self.means = dict(means)
        self.factors = tuple(factors)

    @classmethod
    def fit(
        cls,
        terms: Sequence[StructuredTerm],
        frame: pd.DataFrame,
        weight: np.ndarray | None = None,
    ) -> Self:
        """Find the columns with missing cells, and what fills them.

        Parameters
        ----------
        terms : sequence of StructuredTerm
            Of all predictors.
        frame : DataFrame of n rows
            The rows of fit.
        weight : ndarray of shape (n,), optional
            How often each row counts in the means.
        """
        means, factors = {}, []
        always = factor_columns(terms)
        for column in structured_columns(terms):
            if column not in frame.columns:
                continue  # the design names it
            absent = frame[column].isna().to_numpy()
            if not absent.any():
                continue
            if absent.all():
                raise DataError(
                    f"missing='indicator': the column {column!r} has no cell at all. "
                    "Take it out of the terms."
                )
            if column in always or not pd.api.types.is_numeric_dtype(frame[column]):
                if (frame[column] == MISSING_LEVEL).any():
                    raise DataError(
                        f"missing='indicator': the column {column!r} has the level "
                        f"{MISSING_LEVEL!r} beside missing cells. Rename the level."
                    )
                factors.append(column)
                continue
            name = _indicator(column)
            if name in frame.columns:
                raise ColumnError(
                    f"missing='indicator' makes a column {name!r}, which the table "
                    "has. Rename it."
                )
            known = frame.loc[~absent, column].to_numpy(dtype=np.float64)
            counts = None if weight is None else weight[~absent]
            if counts is not None and not counts.any():
                counts = None
            means[column] = float(np.average(known, weights=counts))
        return cls(means, factors)

    def transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Fill and mark the missing cells of a table; other columns are not copied.

        Parameters
        ----------
        frame : DataFrame of n rows
            A table with the columns of fit; one that it lacks is left out.

        Returns
        -------
        DataFrame of n rows
            With a column ``<name>_missing`` for each numeric column of ``means``.
        """
        filled: dict[str, Any] = {}
        for column in self.factors:
            if column in frame.columns:
                filled[column] = frame[column].astype(object).map(_level)
        for column, mean in self.means.items():
            if column in frame.columns:
                absent = frame[column].isna()
                cells = frame[column].astype(np.float64)
                filled[column] = cells.where(~absent, mean)
                filled[_indicator(column)] = absent.astype(np.float64)
        return frame.assign(**filled) if filled else frame

    def terms(self, terms: Sequence[StructuredTerm]) -> tuple[StructuredTerm, ...]:
        """Add the indicators of the numeric columns that a predictor's terms read."""
        read = [c for c in structured_columns(terms) if c in self.means]
        if not read:
            return tuple(terms)
        formula = " + ".join(quote_column(_indicator(column)) for column in read)
        return (*terms, Linear(formula))

    @property
    def indicators(self) -> dict[str, str]:
        """Name of each indicator, with the column that it is of."""
        return {_indicator(column): column for column in self.means}

    def to_state(self) -> dict[str, Any]:
        """Give the state, as JSON types."""
        return {"means": self.means, "factors": list(self.factors)}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Make it from its state."""
        return cls(state["means"], state["factors"])


def check_no_missing(
    estimator: Any, frame: pd.DataFrame, columns: Sequence[str]
) -> None:
    """Refuse missing structured cells at prediction, by column and row.

    Says what the estimator's ``missing`` does and what it does not.
    """
    for column in columns:
        if column not in frame.columns:
            continue
        absent = frame[column].isna().to_numpy()
        if not absent.any():
            continue
        row, count = frame.index[int(np.argmax(absent))], int(absent.sum())
        why = {
            "drop": "missing='drop' drops rows in fit only: a prediction has one value "
            "for each row",
            "indicator": "it had none in fit, so that nothing is known of rows "
            "without it",
        }.get(estimator.missing, "missing='error' allows none")
        raise DataError(
            f"{type(estimator).__name__}: the column {column!r} has {count} missing "
            f"value{'s' if count > 1 else ''}, the first in row {shown(row)}; {why}. "
            "Fill the cells or leave the rows out."
        )


def _level(value: Any) -> Any:
    """Level of a cell; numbers that are not whole become text beside text."""
    if pd.isna(value):
        return MISSING_LEVEL
    if isinstance(value, float):
        return int(value) if value.is_integer() else str(value)
    return value


def _indicator(column: str) -> str:
    return f"{column}_missing"
