"""The columns that a system reads, and how rows become batches.

Letters: n rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import Dataset

from semistruct._core.validation import suggest
from semistruct.data import ImageColumn, ImageRows, TextColumn
from semistruct.engine import DatasetSource, Source, TensorSource
from semistruct.exceptions import ColumnError, DataError, shown
from semistruct.vlm.components import Facts

__all__ = ["Columns", "as_table"]

Reader = ImageColumn | TextColumn


def as_table(X: Any, column: str, owner: str) -> pd.DataFrame:
    """Give a DataFrame that has a column.

    Parameters
    ----------
    X : DataFrame, Series or sequence
        A Series, or a sequence of cells, is taken as the column.
    column : str
        Its name.
    owner : str
        Who is named in messages.

    Returns
    -------
    DataFrame
    """
    if isinstance(X, pd.Series):
        return X.rename(column).to_frame()
    if not isinstance(X, pd.DataFrame):
        raise DataError(
            f"{owner}: a DataFrame with the column {column!r}, or a Series, is needed; "
            f"got {type(X).__name__}."
        )
    if column not in X.columns:
        raise ColumnError(
            f"{owner}: there is no column {column!r}. The table has "
            f"{list(X.columns)}.{suggest(column, X.columns)}"
        )
    return X


class Columns:
    """Fitted readers of the columns, by what a system calls them.

    Parameters
    ----------
    names : dict of str to str
        ``"image"`` and ``"text"``, whichever are read, to the column's name.
    readers : dict of str to ImageColumn or TextColumn
    owner : str
        Who is named in messages.
    """

    def __init__(
        self, names: dict[str, str], readers: dict[str, Any], owner: str
    ) -> None:
        self.names, self.readers, self.owner = names, readers, owner

    @classmethod
    def fit(
        cls, X: pd.DataFrame, names: dict[str, str], owner: str, *, size: Any = None
    ) -> Columns:
        """Learn the readers from the training rows."""
        readers: dict[str, Any] = {}
        for kind, name in names.items():
            series = as_table(X, name, owner)[name]
            place = f"{owner}: {kind}({name})"
            if kind == "image":
                readers[kind] = ImageColumn.fit(series, size=size, owner=place)
            else:
                readers[kind] = TextColumn.fit(series, owner=place)
        return cls(names, readers, owner)

    @property
    def facts(self) -> Facts:
        """What the readers know, as towers need it."""
        image, text = self.readers.get("image"), self.readers.get("text")
        return Facts(
            image=None if image is None else image.shape,
            vocabulary=None if text is None else text.vocabulary,
            length=None if text is None else text.length,
            pad_id=0 if text is None else text.pad_id,
        )

    def complete(self, X: pd.DataFrame) -> np.ndarray:
        """Tell in which rows no cell is null, (n,)."""
        parts = [~as_table(X, c, self.owner)[c].isna() for c in self.names.values()]
        return np.logical_and.reduce([part.to_numpy() for part in parts])

    def source(
        self, X: pd.DataFrame, kinds: Any = None, extra: Any = None, workers: int = 0
    ) -> Source:
        """Give the rows as a source; files are read when needed.

        Parameters
        ----------
        X : DataFrame of n rows
        kinds : sequence of str, optional
            Which of ``"image"`` and ``"text"``; all that are read when not given.
        extra : dict of str to Tensor, optional
            More entries of the rows.
        workers : int, default=0
            Processes that read files.

        Raises
        ------
        DataError
            If a cell is null.
        """
        tensors: dict[str, Tensor] = dict(extra or {})
        lazy: ImageRows | None = None
        for kind in self.names if kinds is None else kinds:
            name, reader = self.names[kind], self.readers[kind]
            series = as_table(X, name, self.owner)[name]
            if series.isna().any():
                row = series.index[int(np.flatnonzero(series.isna())[0])]
                raise DataError(
                    f"{self.owner}: column {name!r}, row {shown(row)}: the cell is "
                    "null, and there is nothing to embed. Leave the row out."
                )
            if kind == "image" and not reader.in_memory(series):
                lazy = ImageRows(reader, series)
            else:
                tensors[kind] = reader.read(series)[0]
        if lazy is None:
            return TensorSource(tensors)
        return DatasetSource(_Rows(lazy, tensors), workers)

    def to_state(self) -> dict[str, Any]:
        """Give all that was learned, as JSON types and NumPy arrays."""
        readers = {kind: reader.to_state() for kind, reader in self.readers.items()}
        return {"names": self.names, "readers": readers, "owner": self.owner}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Columns:
        """Make the readers from what `to_state` gave."""
        kinds: dict[str, Any] = {"image": ImageColumn, "text": TextColumn}
        readers = {k: kinds[k].from_state(s) for k, s in state["readers"].items()}
        return cls(state["names"], readers, state["owner"])


class _Rows(Dataset):
    """Images that are read when asked for, and what is in memory beside them."""

    def __init__(self, images: ImageRows, tensors: dict[str, Tensor]) -> None:
        self.images, self.tensors = images, tensors

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: int) -> dict[str, Tensor]:
        others = {name: tensor[row] for name, tensor in self.tensors.items()}
        return {"image": self.images[row][0], **others}


def codes_of(series: pd.Series) -> Tensor:
    """Give each row the number of its value in a column, (n,) of int64."""
    return torch.from_numpy(pd.factorize(series)[0].astype(np.int64))
