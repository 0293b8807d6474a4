"""Modalities: how the column or columns of a deep term become tensors.

What is learned of a modality (size, normalisation, columns) is fixed at fit and is
applied to any rows at all; a null cell becomes a mask, never a zero.
"""

from __future__ import annotations

import fnmatch
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.utils.data import Dataset, Subset

from semistruct._core.terms import DeepTerm, Image, Omics, Tabular
from semistruct._core.validation import suggest
from semistruct.data import ImageColumn, ImageRows
from semistruct.engine import DatasetSource, TensorSource
from semistruct.exceptions import ColumnError, DataError

__all__ = [
    "Modality",
    "expand",
    "fit_modality",
    "key_of",
    "make_source",
    "modality_from_state",
    "subset",
]

Source = TensorSource | DatasetSource

# what a batch holds beside the inputs of deep terms
_RESERVED = frozenset({"y", "weight", "offset", "time", "event", "entry", "strata"})


def key_of(term: DeepTerm) -> str:
    """Give the key of a term in batches: its name, where that is not taken."""
    return term.label if term.name in _RESERVED else term.name


class Modality(ABC):
    """A fitted reader of the columns of one deep term; abstract."""

    input_shape: tuple[int, ...]
    columns: tuple[str, ...]

    @abstractmethod
    def read(self, frame: pd.DataFrame) -> tuple[torch.Tensor, np.ndarray]:
        """Give the rows as float32 (n, *input_shape) and where they are present."""

    @abstractmethod
    def lazy(self, frame: pd.DataFrame) -> Dataset | None:
        """Give a dataset of (tensor, present) where rows are read when needed."""

    @abstractmethod
    def to_state(self) -> dict[str, Any]:
        """Give what was learned as a state."""


class ImageModality(Modality):
    """One column of images."""

    def __init__(self, name: str, column: ImageColumn) -> None:
        self.name, self.column = name, column
        self.columns = (name,)
        self.input_shape = (column.channels, *column.size)

    def read(self, frame: pd.DataFrame) -> tuple[torch.Tensor, np.ndarray]:
        block, present = self.column.read(frame[self.name])
        return torch.as_tensor(block), np.asarray(present)

    def lazy(self, frame: pd.DataFrame) -> Dataset | None:
        if self.column.in_memory(frame[self.name]):
            return None
        return ImageRows(self.column, frame[self.name])

    def to_state(self) -> dict[str, Any]:
        return {"kind": "image", "name": self.name, "column": self.column.to_state()}


class NumericModality(Modality):
    """Numeric columns, centred and scaled as the rows of fit were.

    A row whose cells are all missing is masked; a row that lacks only some is an error,
    since nothing here imputes.
    """

    def __init__(self, names: Sequence[str], mean: np.ndarray, sd: np.ndarray) -> None:
        self.names, self.mean, self.sd = list(names), mean, sd
        self.columns = tuple(names)
        self.input_shape = (len(self.names),)

    @classmethod
    def fit(cls, names: Sequence[str], frame: pd.DataFrame, label: str) -> Any:
        values, present = _numeric_block(names, frame, label)
        if not present.any():
            raise DataError(f"{label}: every row of its columns is missing.")
        mean, sd = values[present].mean(axis=0), values[present].std(axis=0)
        return cls(names, mean, np.where(sd > 0, sd, 1.0))

    def read(self, frame: pd.DataFrame) -> tuple[torch.Tensor, np.ndarray]:
        label = f"columns {self.names[0]!r}…{self.names[-1]!r}"
        values, present = _numeric_block(self.names, frame, label)
        scaled = (np.where(present[:, None], values, self.mean) - self.mean) / self.sd
        return torch.as_tensor(scaled.astype(np.float32)), present

    def lazy(self, frame: pd.DataFrame) -> Dataset | None:
        return None

    def to_state(self) -> dict[str, Any]:
        numbers = {"mean": self.mean, "sd": self.sd}
        return {"kind": "numeric", "names": self.names, **numbers}


def _numeric_block(
    names: Sequence[str], frame: pd.DataFrame, label: str
) -> tuple[np.ndarray, np.ndarray]:
    """Give float64 (n, p), NaN where missing, and which rows are whole."""
    table = frame[list(names)]
    for name in names:
        if not pd.api.types.is_numeric_dtype(table[name].dtype):
            raise DataError(
                f"The column {name!r} of {label} must be numeric; its dtype is "
                f"{table[name].dtype}. Encode it first, or give it to C() instead."
            )
    values = table.to_numpy(dtype=np.float64, na_value=np.nan)
    infinite = np.argwhere(np.isinf(values))
    if len(infinite):
        i, j = infinite[0]
        raise DataError(
            f"The column {names[j]!r} of {label} is infinite in row {frame.index[i]!r}."
        )
    missing = np.isnan(values)
    present = ~missing.all(axis=1)
    partly = np.flatnonzero(missing.any(axis=1) & present)
    if partly.size:
        i = int(partly[0])
        column = names[int(np.flatnonzero(missing[i])[0])]
        raise DataError(
            f"{label}: row {frame.index[i]!r} lacks the column {column!r} but has "
            f"others ({partly.size} such rows). Impute them, or blank the whole row so "
            "that the modality counts as missing."
        )
    return values, present


def expand(term: DeepTerm, known: Sequence[str]) -> tuple[str, ...]:
    """Give the columns of a deep term, its patterns replaced by what they match."""
    if not isinstance(term, Omics | Tabular):
        return tuple(c for c in term.columns if c != getattr(term, "by", None))
    names: dict[str, None] = {}
    for pattern in term.names:
        if pattern in known:
            names[pattern] = None
            continue
        matched = [c for c in known if fnmatch.fnmatchcase(c, pattern)]
        if not matched:
            raise ColumnError(
                f"{term.label}: no column of the table matches {pattern!r}."
                f"{suggest(pattern, known)}"
            )
        names.update(dict.fromkeys(matched))
    return tuple(names)


def fit_modality(term: DeepTerm, names: Sequence[str], frame: pd.DataFrame) -> Modality:
    """Learn how to read a deep term from the rows of fit."""
    if isinstance(term, Image):
        size = term.size
        column = ImageColumn.fit(frame[term.column], size=size, owner=term.label)
        return ImageModality(term.column, column)
    # other kinds of deep terms are refused where terms are read
    return NumericModality.fit(names, frame, term.label)


def modality_from_state(state: dict[str, Any]) -> Modality:
    """Rebuild a modality from its state."""
    if state["kind"] == "image":
        return ImageModality(state["name"], ImageColumn.from_state(state["column"]))
    return NumericModality(state["names"], state["mean"], state["sd"])


class _Rows(Dataset):
    """Rows of lazily read modalities beside those in memory."""

    def __init__(
        self, tensors: dict[str, torch.Tensor], lazy: dict[str, Dataset]
    ) -> None:
        self.tensors, self.lazy = tensors, lazy
        self.n = len(next(iter(lazy.values())))  # type: ignore[arg-type]

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, row: int) -> dict[str, torch.Tensor]:
        out = {name: tensor[row] for name, tensor in self.tensors.items()}
        for name, dataset in self.lazy.items():
            out[name], present = dataset[row]
            out[f"{name}:mask"] = torch.as_tensor(present)
        return out


def make_source(
    modalities: dict[str, Modality],
    by: dict[str, str],
    frame: pd.DataFrame,
    extra: dict[str, torch.Tensor],
    num_workers: int,
) -> Source:
    """Make a source of batches of the deep terms' inputs.

    Parameters
    ----------
    modalities : dict of str to Modality
        By name of the deep term.
    by : dict of str to str
        Column that multiplies a deep term, where it has one.
    frame : DataFrame of n rows
        Table; a modality whose columns it lacks is masked in every row.
    extra : dict of str to Tensor of n rows
        Offset, target and weights.
    num_workers : int
        Processes that read files.
    """
    tensors, lazy = dict(extra), {}
    for name, modality in modalities.items():
        if name in by:
            values, _ = _numeric_block([by[name]], frame, f"by= of {name}")
            if np.isnan(values).any():
                row = frame.index[int(np.flatnonzero(np.isnan(values[:, 0]))[0])]
                raise DataError(f"The column {by[name]!r} is missing in row {row!r}.")
            values_f32 = torch.as_tensor(values[:, 0], dtype=torch.float32)
            tensors[f"{name}:by"] = values_f32
        if _absent(modality, name, frame):
            blank = torch.zeros((1, *modality.input_shape))
            tensors[name] = blank.expand(len(frame), *modality.input_shape)
            tensors[f"{name}:mask"] = torch.zeros(len(frame), dtype=torch.bool)
            continue
        dataset = modality.lazy(frame)
        if dataset is None:
            block, present = modality.read(frame)
            tensors[name] = block
            tensors[f"{name}:mask"] = torch.as_tensor(present)
        else:
            lazy[name] = dataset
    if lazy:
        return DatasetSource(_Rows(tensors, lazy), num_workers)
    return TensorSource(tensors)


def subset(source: Source, rows: np.ndarray) -> Source:
    """Give some rows of a source as a source."""
    if isinstance(source, TensorSource):
        index = torch.as_tensor(rows)
        return TensorSource({name: t[index] for name, t in source.tensors.items()})
    part = Subset(source.dataset, rows.tolist())
    return DatasetSource(part, source.num_workers, seed=source.seed)


def _absent(modality: Modality, name: str, frame: pd.DataFrame) -> bool:
    """Whether the table lacks the modality; an error if it lacks only a part of it."""
    names = list(modality.columns)
    lacking = [c for c in names if c not in frame.columns]
    if lacking and len(lacking) < len(names):
        raise ColumnError(
            f"The table lacks the column {lacking[0]!r} of the term on {name!r} "
            f"({len(lacking)} of {len(names)} columns).{suggest(lacking[0], names)}"
        )
    return bool(lacking)
