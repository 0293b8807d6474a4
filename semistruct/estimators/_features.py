"""Columns that are computed from the table before the terms see it.

What is learned for them is learned in ``fit``, from the rows of fit alone, and is kept
in the fitted model: a table that is predicted gets its columns from there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import pandas as pd

from semistruct.exceptions import ColumnError, FormulaError

__all__ = ["Feature", "Features", "register_feature"]


class Feature(ABC):
    """Some computed columns; abstract.

    ``names`` are the columns that are made and ``sources`` those that are read.
    """

    kind: ClassVar[str]
    names: tuple[str, ...]
    sources: tuple[str, ...]

    @abstractmethod
    def make(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Compute the columns for any rows, with the index of the table."""

    @abstractmethod
    def to_state(self) -> dict[str, Any]:
        """Give what was learned as a state, ``kind`` among it."""

    @classmethod
    @abstractmethod
    def from_state(cls, state: Mapping[str, Any], given: Mapping[str, Any]) -> Feature:
        """Make it from its state; ``given`` are encoders whose code is not stored."""


class Features:
    """All computed columns of a model.

    Parameters
    ----------
    parts : iterable of Feature
        In the order in which they are computed.
    """

    def __init__(self, parts: Iterable[Feature] = ()) -> None:
        self.parts = tuple(parts)

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that are made."""
        return tuple(name for part in self.parts for name in part.names)

    def origins(self, columns: Iterable[str]) -> list[str]:
        """Put for computed columns those that they are computed from."""
        found: dict[str, None] = {}
        made = {name: part.sources for part in self.parts for name in part.names}
        for column in columns:
            found |= dict.fromkeys(made.get(column, (column,)))
        return list(found)

    def check_free(self, columns: Sequence[Any]) -> None:
        """Refuse a table that has a column of a name that is made."""
        names = self.names
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise FormulaError(
                f"Two terms make the column {twice[0]!r}. Leave one of them out."
            )
        taken = [name for name in names if name in columns]
        if taken:
            raise ColumnError(
                f"The terms make a column {taken[0]!r}, which the table has. Rename it."
            )

    def transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Add the computed columns to a table, which is not changed.

        A table that has them and lacks what they are computed from keeps its own.
        """
        made = [
            part.make(frame)
            for part in self.parts
            if any(c in frame.columns for c in part.sources)
            or not all(name in frame.columns for name in part.names)
        ]
        if not made:
            return frame
        old = [name for table in made for name in table.columns if name in frame]
        return pd.concat([frame.drop(columns=old) if old else frame, *made], axis=1)

    def to_state(self) -> list[dict[str, Any]]:
        """Give the state, as JSON types and arrays."""
        return [part.to_state() for part in self.parts]

    @classmethod
    def from_state(
        cls, state: Sequence[Mapping[str, Any]], given: Mapping[str, Any]
    ) -> Features:
        """Make it from its state; KeyError for a kind that is not known."""
        return cls(_KINDS[str(part["kind"])].from_state(part, given) for part in state)


_KINDS: dict[str, type[Feature]] = {}


def register_feature(cls: type[Feature]) -> type[Feature]:
    """Let `Features.from_state` make features of this class."""
    _KINDS[cls.kind] = cls
    return cls
