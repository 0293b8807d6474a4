"""The reader of the columns of a table as one block of numbers.

Letters: n rows, p columns of the block, k of them codes of categories.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from semistruct._core.validation import check_choice
from semistruct.data._levels import find_levels, level_codes
from semistruct.exceptions import ColumnError, DataError, shown

__all__ = ["TableColumns"]

_STATE = ("owner", "names", "mean", "sd", "indicators", "levels", "missing")


class TableColumns:
    """Reader of columns as one block of numbers; made by `TableColumns.fit`.

    The block holds first the numeric columns, centred and scaled as the rows of fit
    were, then an indicator for each column that had gaps at fit (with
    ``missing="mean"``), then the categories as codes. Code 0 stands for a level that
    was not there at fit, and for a gap; the levels of fit have the codes from 1 on. An
    encoder takes as the embedding of code 0 the mean of the levels' embeddings.

    A row whose cells are all missing is masked. A row that lacks only some is an error,
    or, with ``missing="mean"``, its numbers are the means of the rows of fit.

    Attributes
    ----------
    owner : str
        Term that reads the columns, for messages.
    names : tuple of str
        The columns that are read.
    mean, sd : ndarray of shape (number of numeric columns,)
        Over the rows of fit. ``sd`` is 1 where a column is constant.
    indicators : tuple of str
        Columns that have an indicator.
    levels : dict of str to list
        For each column of categories its levels.
    missing : {"error", "mean"}
        What happens to a row that lacks some of the cells.

    Examples
    --------
    >>> import pandas as pd
    >>> from semistruct.data import TableColumns
    >>> table = pd.DataFrame({"sex": ["f", "m", "f"], "age": [50.0, 60.0, 70.0]})
    >>> reader = TableColumns.fit(["sex", "age"], table, owner="tabular(sex, age)")
    >>> reader.columns, reader.facts["cardinalities"]
    (('age', 'sex'), (3,))
    >>> block, mask = reader.read(pd.DataFrame({"age": [60.0], "sex": ["x"]}))
    >>> block.tolist()
    [[0.0, 0.0]]
    """

    def __init__(
        self,
        *,
        owner: str,
        names: Sequence[str],
        mean: Any,
        sd: Any,
        indicators: Sequence[str],
        levels: Mapping[str, Sequence[Any]],
        missing: str,
    ) -> None:
        self.owner = owner
        self.names = tuple(names)
        self.mean = np.asarray(mean, dtype=np.float64)
        self.sd = np.asarray(sd, dtype=np.float64)
        self.indicators = tuple(indicators)
        self.levels = {name: list(found) for name, found in levels.items()}
        self.missing = missing

    @classmethod
    def fit(
        cls,
        names: Sequence[str],
        frame: pd.DataFrame,
        *,
        owner: str,
        categories: bool = True,
        missing: str = "error",
    ) -> TableColumns:
        """Learn means, standard deviations and levels from the rows of fit.

        Parameters
        ----------
        names : sequence of str
            Columns of the table.
        frame : DataFrame of n rows
            The table.
        owner : str
            Term that reads the columns, as ``"tabular(age, sex)"``.
        categories : bool, default=True
            Whether columns of strings, booleans, categories and other objects are read
            as categories; otherwise every column must be numeric (booleans are).
        missing : {"error", "mean"}, default="error"
            What happens to a row that lacks some of the cells: an error, or gaps are
            filled and marked by indicators.

        Returns
        -------
        TableColumns

        Raises
        ------
        ColumnError
            If the table lacks a column.
        DataError
            If a column cannot be read, every row is missing, a column has no cell at
            all, or (``missing="error"``) a row lacks some of the cells.
        """
        check_choice(missing, ("error", "mean"), parameter="missing", owner=owner)
        dtypes = _table(names, frame, owner).dtypes
        coded = [
            name
            for name in names
            if categories
            and (
                pd.api.types.is_bool_dtype(dtypes[name])
                or not pd.api.types.is_numeric_dtype(dtypes[name])
            )
        ]
        found = cls(
            owner=owner,
            names=names,
            mean=[],
            sd=[],
            indicators=(),
            levels={name: find_levels(frame[name], owner) for name in coded},
            missing=missing,
        )
        values, gaps, present = found._parts(frame)
        if not present.any():
            raise DataError(f"{owner}: every row of its columns is missing.")
        counts = (~gaps[present]).sum(axis=0)  # one for each name
        if not counts.all():
            name = names[int(np.argmin(counts))]
            raise DataError(
                f"{owner}: the column {name!r} has no cell at all. Leave it out."
            )
        if missing == "mean":
            holes = gaps[present].any(axis=0)
            found.indicators = tuple(np.asarray(names, dtype=object)[holes])
        rows = values[present]
        found.mean = np.nanmean(rows, axis=0)
        sd = np.nanstd(rows, axis=0)
        found.sd = np.where(sd > 0, sd, 1.0)
        return found

    @property
    def numeric(self) -> tuple[str, ...]:
        """The numeric columns, in the order of ``names``."""
        return tuple(name for name in self.names if name not in self.levels)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the p columns of the block."""
        marks = tuple(f"{name}_missing" for name in self.indicators)
        return (*self.numeric, *marks, *self.levels)

    @property
    def shape(self) -> tuple[int]:
        """Shape (p,) of one row as it is read."""
        return (len(self.columns),)

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """Number of codes of each of the last k columns, that of code 0 included."""
        return tuple(len(found) + 1 for found in self.levels.values())

    @property
    def facts(self) -> dict[str, Any]:
        """What an encoder may need to know beside the shape."""
        return {"columns": self.columns, "cardinalities": self.cardinalities}

    def __repr__(self) -> str:
        return f"TableColumns({self.owner!r}, shape={self.shape})"

    def read(
        self, frame: pd.DataFrame, rows: Any = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Read rows.

        Parameters
        ----------
        frame : DataFrame of n rows
            A table with the columns, in any order.
        rows : array-like of int of shape (m,), optional
            Positions (not labels) of the rows. Default: all.

        Returns
        -------
        block : Tensor of shape (m, p), float32
            Zero in a row that is missing.
        mask : Tensor of bool of shape (m,)
            True where the row has a cell at all.

        Raises
        ------
        ColumnError
            If the table lacks a column.
        DataError
            If a numeric column holds something else or an infinite number, or
            (``missing="error"``) a row lacks some of the cells.
        """
        if rows is not None:
            frame = frame.iloc[np.asarray(rows, np.intp)]
        values, gaps, present = self._parts(frame)
        scaled = (np.where(np.isnan(values), self.mean, values) - self.mean) / self.sd
        chosen = [self.names.index(name) for name in self.indicators]
        codes = [level_codes(frame[name], found) for name, found in self.levels.items()]
        block = np.column_stack([scaled, gaps[:, chosen], *codes])
        block[~present] = 0.0
        return torch.from_numpy(block.astype(np.float32)), torch.from_numpy(present)

    def _parts(self, frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Give the numbers, NaN where missing; the gaps (n, names); rows present."""
        table = _table(self.names, frame, self.owner)
        numeric = list(self.numeric)
        for name, dtype in table[numeric].dtypes.items():
            if not pd.api.types.is_numeric_dtype(dtype):
                raise DataError(
                    f"The column {name!r} of {self.owner} must be numeric; its dtype "
                    f"is {dtype}. Encode it first, or give it to C() instead."
                )
        values = table[numeric].to_numpy(dtype=np.float64, na_value=np.nan)
        infinite = np.argwhere(np.isinf(values))
        if len(infinite):
            i, j = infinite[0]
            raise DataError(
                f"The column {numeric[j]!r} of {self.owner} is infinite in row "
                f"{shown(frame.index[i])}."
            )
        gaps = np.asarray(table.isna(), dtype=bool)
        present = np.asarray(~gaps.all(axis=1))
        partly = np.flatnonzero(gaps.any(axis=1) & present)
        if partly.size and self.missing == "error":
            i = int(partly[0])
            column = self.names[int(np.flatnonzero(gaps[i])[0])]
            raise DataError(
                f"{self.owner}: row {shown(frame.index[i])} lacks the column "
                f"{column!r} but has others ({partly.size} such rows). Impute them, or "
                "blank the whole row so that the modality counts as missing."
            )
        return values, gaps, present

    def to_state(self) -> dict[str, Any]:
        """Give all that was learned, as JSON types and NumPy arrays."""
        state: dict[str, Any] = {name: getattr(self, name) for name in _STATE}
        lists = {"names": list(self.names), "indicators": list(self.indicators)}
        # pairs, since the order of the columns of codes is that of the dict
        pairs = {"levels": [[name, found] for name, found in self.levels.items()]}
        return {**state, **lists, **pairs}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> TableColumns:
        """Make the reader from what `to_state` gave."""
        return cls(**{**state, "levels": dict(state["levels"])})


def _table(names: Sequence[str], frame: pd.DataFrame, owner: str) -> pd.DataFrame:
    """Give the columns of a table, or name one that it lacks."""
    lacking = [name for name in names if name not in frame.columns]
    if lacking:
        raise ColumnError(
            f"{owner} reads the column {lacking[0]!r}, which is not in the table "
            f"({len(lacking)} of {len(names)} columns)."
        )
    return frame[list(names)]
