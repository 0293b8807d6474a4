"""Levels of a column that is read as codes. Letters: n rows, c levels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from semistruct.exceptions import DataError

__all__ = ["find_levels", "level_codes"]


def find_levels(series: pd.Series, owner: str) -> list[Any]:
    """Find the levels of a column: a category's own order, otherwise sorted.

    Parameters
    ----------
    series : Series of length n
        Strings, numbers or booleans; nulls are no level, and an unused category is
        none.
    owner : str
        Term that reads the column, for messages.

    Returns
    -------
    list of c str, int, float or bool

    Raises
    ------
    DataError
        If a cell is something else.
    """
    if isinstance(series.dtype, pd.CategoricalDtype):
        found = list(series.cat.remove_unused_categories().cat.categories)
    else:
        found = list(pd.unique(series.dropna().astype(object)))
    levels = [v.item() if isinstance(v, np.generic) else v for v in found]
    odd = [v for v in levels if not isinstance(v, bool | int | float | str)]
    if odd:
        raise DataError(
            f"The column {series.name!r} of {owner} cannot be a category: a cell is of "
            f"type {type(odd[0]).__name__}. Levels are strings, numbers or booleans."
        )
    if isinstance(series.dtype, pd.CategoricalDtype):
        return levels
    return sorted(levels, key=lambda v: (isinstance(v, str), v))  # numbers first


def level_codes(series: pd.Series, levels: list[Any]) -> np.ndarray:
    """Give each row the place of its level, from 1 on.

    Parameters
    ----------
    series : Series of length n
        The column.
    levels : list of c levels
        What `find_levels` gave.

    Returns
    -------
    ndarray of shape (n,), int64
        0 where the cell is null or its level is not among them.
    """
    own, values = pd.factorize(series)  # -1 where null
    known = pd.Index(levels, dtype=object)
    places = known.get_indexer(pd.Index(values, dtype=object)) + 1
    return np.append(places, 0)[own].astype(np.int64)
