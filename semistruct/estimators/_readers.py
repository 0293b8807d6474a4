"""Readers: how the column or columns of a deep term become tensors.

What is learned of a modality (size, normalisation, columns) is fixed at fit and is
applied to any rows at all; a null cell becomes a mask, never a zero.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.utils.data import Dataset

from semistruct.data import (
    ImageBagColumn,
    ImageBagRows,
    ImageColumn,
    ImageRows,
    TableColumns,
    TextColumn,
)

__all__ = [
    "BagModality",
    "FusedModality",
    "ImageModality",
    "Modality",
    "NumericModality",
    "TextModality",
    "modality_from_state",
]


class Modality(ABC):
    """A fitted reader of the columns of one deep term; abstract."""

    input_shape: tuple[int, ...]
    columns: tuple[str, ...]
    moments: Any = None  # of images, for encoders with weights
    blank = torch.float32  # type of the tensor of an absent modality

    @property
    def facts(self) -> dict[str, Any]:
        """What an encoder may need to know of the rows beside their shape."""
        return {}

    @abstractmethod
    def read(self, frame: pd.DataFrame) -> tuple[torch.Tensor, np.ndarray]:
        """Give the rows as a tensor (n, *input_shape) and where they are present."""

    def lazy(self, frame: pd.DataFrame) -> Dataset | None:
        """Give a dataset of (tensor, present) where rows are read when needed."""
        return None

    @abstractmethod
    def to_state(self) -> dict[str, Any]:
        """Give what was learned as a state."""


class ImageModality(Modality):
    """One column of images."""

    def __init__(self, name: str, column: ImageColumn) -> None:
        self.name, self.column = name, column
        self.columns = (name,)
        self.input_shape = (column.channels, *column.size)
        self.moments = column.moments

    def read(self, frame: pd.DataFrame) -> tuple[torch.Tensor, np.ndarray]:
        block, present = self.column.read(frame[self.name])
        return torch.as_tensor(block), np.asarray(present)

    def lazy(self, frame: pd.DataFrame) -> Dataset | None:
        if self.column.in_memory(frame[self.name]):
            return None
        return ImageRows(self.column, frame[self.name])

    def to_state(self) -> dict[str, Any]:
        return {"kind": "image", "name": self.name, "column": self.column.to_state()}


class BagModality(Modality):
    """One column whose cells are lists of images: tiles, or several views."""

    def __init__(self, name: str, column: ImageBagColumn) -> None:
        self.name, self.column = name, column
        self.columns = (name,)
        self.input_shape = column.shape
        self.moments = column.moments

    def read(self, frame: pd.DataFrame) -> tuple[torch.Tensor, np.ndarray]:
        block, present = self.column.read(frame[self.name])
        return torch.as_tensor(block), np.asarray(present)

    def lazy(self, frame: pd.DataFrame) -> Dataset | None:
        if self.column.in_memory(frame[self.name]):
            return None
        return ImageBagRows(self.column, frame[self.name])

    def to_state(self) -> dict[str, Any]:
        return {"kind": "bag", "name": self.name, "column": self.column.to_state()}


class NumericModality(Modality):
    """Columns of a table as one block: numbers, then codes of categories."""

    def __init__(self, table: TableColumns) -> None:
        self.table = table
        self.columns = table.names
        self.input_shape = table.shape

    @property
    def facts(self) -> dict[str, Any]:
        return self.table.facts

    def read(self, frame: pd.DataFrame) -> tuple[torch.Tensor, np.ndarray]:
        block, present = self.table.read(frame)
        return torch.as_tensor(block), np.asarray(present)

    def to_state(self) -> dict[str, Any]:
        return {"kind": "table", "table": self.table.to_state()}


class TextModality(Modality):
    """One column of texts, as tokens."""

    blank = torch.int64

    def __init__(self, name: str, column: TextColumn) -> None:
        self.name, self.column = name, column
        self.columns = (name,)
        self.input_shape = column.shape

    @property
    def facts(self) -> dict[str, Any]:
        return self.column.facts

    def read(self, frame: pd.DataFrame) -> tuple[torch.Tensor, np.ndarray]:
        ids, present = self.column.read(frame[self.name])
        return torch.as_tensor(ids), np.asarray(present)

    def to_state(self) -> dict[str, Any]:
        return {"kind": "text", "name": self.name, "column": self.column.to_state()}


class FusedModality(Modality):
    """The modalities of a fused term, by key of the term within it."""

    input_shape = ()

    def __init__(self, children: Mapping[str, Modality]) -> None:
        self.children = dict(children)
        read = [c for child in self.children.values() for c in child.columns]
        self.columns = tuple(dict.fromkeys(read))

    def read(self, frame: pd.DataFrame) -> tuple[torch.Tensor, np.ndarray]:
        raise TypeError("A fused modality is read by its children.")

    def to_state(self) -> dict[str, Any]:
        children = {k: child.to_state() for k, child in self.children.items()}
        return {"kind": "fused", "children": children}


def modality_from_state(state: dict[str, Any]) -> Modality:
    """Rebuild a modality from its state."""
    kind = state["kind"]
    if kind == "fused":
        children = state["children"].items()
        return FusedModality({k: modality_from_state(v) for k, v in children})
    if kind == "table":
        return NumericModality(TableColumns.from_state(state["table"]))
    if kind == "text":
        return TextModality(state["name"], TextColumn.from_state(state["column"]))
    if kind == "bag":
        return BagModality(state["name"], ImageBagColumn.from_state(state["column"]))
    return ImageModality(state["name"], ImageColumn.from_state(state["column"]))
