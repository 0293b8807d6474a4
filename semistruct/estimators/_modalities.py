"""Modalities: the columns of deep terms, from a table to batches."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.utils.data import Dataset, Subset

from semistruct._core.terms import (
    PCA,
    DeepTerm,
    Fuse,
    Image,
    Omics,
    Pretrained,
    Tabular,
    Text,
)
from semistruct._core.validation import suggest
from semistruct.data import (
    ImageBagColumn,
    ImageColumn,
    TableColumns,
    TextColumn,
    holds_bags,
)
from semistruct.encoders import HuggingFace
from semistruct.engine import DatasetSource, MaskUnreadable, TensorSource
from semistruct.exceptions import ColumnError, DataError, FormulaError

from ._early_names import early_columns
from ._readers import (
    BagModality,
    FusedModality,
    ImageModality,
    Modality,
    NumericModality,
    TextModality,
    modality_from_state,
)

__all__ = [
    "Modality",
    "NumericModality",
    "child_keys",
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


def expand(term: DeepTerm, known: Sequence[str]) -> tuple[str, ...]:
    """Give the columns of a deep term, its patterns replaced by what they match."""
    if isinstance(term, PCA | Pretrained):
        return early_columns(term, known)
    if isinstance(term, Fuse):
        inner = [c for child in term.terms for c in expand(child, known)]
        return tuple(dict.fromkeys(inner))
    if not isinstance(term, Omics | Tabular):
        return tuple(c for c in term.columns if c != getattr(term, "by", None))
    names: dict[str, None] = {}
    for pattern in term.names:
        if isinstance(pattern, DeepTerm):
            names.update(dict.fromkeys(early_columns(pattern, known)))
            continue
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


def child_keys(term: Fuse) -> dict[str, DeepTerm]:
    """Give the keys in a batch of the terms that are fused, in their order."""
    key = key_of(term)
    keys = {f"{key}/{child.name}": child for child in term.terms}
    if len(keys) < len(term.terms):
        raise FormulaError(f"{term.label}: two of its terms read the same column.")
    for child in term.terms:
        if isinstance(child, Fuse) or getattr(child, "by", None) is not None:
            raise FormulaError(
                f"{term.label}: {child.label} cannot stand in it; fuse plain terms, "
                "and give by= to fuse() itself."
            )
    return keys


def fit_modality(
    term: DeepTerm,
    names: Sequence[str],
    frame: pd.DataFrame,
    encoder: Any = None,
    on_unreadable: str = "raise",
) -> Modality:
    """Learn how to read a deep term from the rows of fit.

    ``encoder`` is what reads it: a bag of images is read for one that takes bags, texts
    by the tokenizer that an encoder brings along. For a fused term it is a dict by the
    keys of `child_keys`.
    """
    if isinstance(term, Fuse):
        given = encoder or {}
        return FusedModality(
            {
                key: fit_modality(
                    child,
                    expand(child, list(frame.columns)),
                    frame,
                    given.get(key),
                    on_unreadable,
                )
                for key, child in child_keys(term).items()
            }
        )
    if isinstance(term, Image):
        series = frame[term.column]
        if getattr(encoder, "bags", False) or holds_bags(series):
            bags = ImageBagColumn.fit(
                series, size=term.size, max_tiles=term.max_tiles, owner=term.label
            )
            return BagModality(term.column, bags)
        column = ImageColumn.fit(
            series, size=term.size, owner=term.label, on_unreadable=on_unreadable
        )
        return ImageModality(term.column, column)
    if isinstance(term, Text):
        own = encoder.load_tokenizer() if isinstance(encoder, HuggingFace) else None
        texts = TextColumn.fit(
            frame[term.column],
            owner=term.label,
            vocabulary=8000 if term.vocabulary is None else term.vocabulary,
            max_length=term.max_length,
            tokenizer=own,
        )
        return TextModality(term.column, texts)
    table = TableColumns.fit(
        names, frame, owner=term.label, categories=isinstance(term, Tabular)
    )
    return NumericModality(table)


def _multiplier(name: str, column: str, frame: pd.DataFrame) -> torch.Tensor:
    """Read the column of ``by=``, which may not be missing."""
    series = frame[column]
    if not pd.api.types.is_numeric_dtype(series.dtype):
        raise DataError(
            f"The column {column!r} of by= of {name} must be numeric; its dtype is "
            f"{series.dtype}. Encode it first."
        )
    values = series.to_numpy(dtype=np.float64, na_value=np.nan)
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        row = frame.index[int(bad[0])]
        what = "missing" if np.isnan(values[bad[0]]) else "infinite"
        raise DataError(f"The column {column!r} is {what} in row {row!r}.")
    return torch.as_tensor(values, dtype=torch.float32)


class _Rows(Dataset):
    """Rows of lazily read modalities beside those in memory."""

    def __init__(
        self, tensors: dict[str, torch.Tensor], lazy: dict[str, Dataset]
    ) -> None:
        self.tensors, self.lazy = tensors, lazy
        self.n = len(next(iter(lazy.values())))  # type: ignore[arg-type]

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, row: int) -> dict[str, Any]:
        out: dict[str, Any] = {name: t[row] for name, t in self.tensors.items()}
        for name, dataset in self.lazy.items():
            out[name], present, *report = dataset[row]
            out[f"{name}:mask"] = torch.as_tensor(present)
            if report:
                out[f"{name}:unreadable"] = report[0]
        return out

    def digest(self) -> str:
        """Name what is in memory, so that a checkpoint knows its data."""
        return TensorSource(self.tensors).digest()


class _Part(Subset):
    """Some rows, which a checkpoint can tell from others."""

    def digest(self) -> str:
        rows = torch.as_tensor(self.indices)
        tensors = {k: t[rows] for k, t in self.dataset.tensors.items()}  # type: ignore[attr-defined]
        return TensorSource(tensors).digest()


def make_source(
    modalities: Mapping[str, Modality],
    by: Mapping[str, str],
    frame: pd.DataFrame,
    extra: Mapping[str, torch.Tensor],
    num_workers: int,
    on_unreadable: str = "raise",
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
    on_unreadable : {"raise", "mask"}, default="raise"
        What happens to a row whose file cannot be read.
    """
    tensors: dict[str, torch.Tensor] = dict(extra)
    lazy: dict[str, Any] = {}
    for name, column in by.items():
        tensors[f"{name}:by"] = _multiplier(name, column, frame)
    for name, modality in _single(modalities):
        if _absent(modality, name, frame):
            blank = torch.zeros((1, *modality.input_shape), dtype=modality.blank)
            tensors[name] = blank.expand(len(frame), *modality.input_shape)
            tensors[f"{name}:mask"] = torch.zeros(len(frame), dtype=torch.bool)
            continue
        dataset: Any = modality.lazy(frame)
        if dataset is None:
            block, present = modality.read(frame)
            tensors[name] = block
            tensors[f"{name}:mask"] = torch.as_tensor(present)
        elif on_unreadable == "mask":
            lazy[name] = MaskUnreadable(dataset, modality.input_shape)
        else:
            lazy[name] = dataset
    if lazy:
        return DatasetSource(_Rows(tensors, lazy), num_workers)
    return TensorSource(tensors)


def _single(modalities: Mapping[str, Modality]) -> list[tuple[str, Modality]]:
    """Give the modalities that are read, those of fused terms by their own keys."""
    found: list[tuple[str, Modality]] = []
    for name, modality in modalities.items():
        if isinstance(modality, FusedModality):
            found += modality.children.items()
        else:
            found.append((name, modality))
    return found


def subset(source: Source, rows: np.ndarray) -> Source:
    """Give some rows of a source as a source."""
    if isinstance(source, TensorSource):
        index = torch.as_tensor(rows)
        return TensorSource({name: t[index] for name, t in source.tensors.items()})
    part = _Part(source.dataset, rows.tolist())
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
