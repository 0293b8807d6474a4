"""Random effects as columns of the design."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from semistruct._core.terms import RandomEffect
from semistruct.design._columns import Levels, read_numeric
from semistruct.exceptions import DataError

__all__ = ["RandomPart"]

_Read = dict[str, np.ndarray]


class RandomPart:
    """A fitted `RandomEffect`: indicators of all levels (times the slope), and a ridge.

    The penalty is the identity, unscaled, so that the variance of the effects is φ/λ.
    """

    kind = "random"

    def __init__(self, term: RandomEffect, levels: Levels) -> None:
        self.term = term
        self.levels = levels

    @classmethod
    def fit(cls, term: RandomEffect, frame: pd.DataFrame) -> RandomPart:
        """Find the levels."""
        levels = Levels.fit(frame, term.group, term.label)
        if len(levels) < 2:
            raise DataError(
                f"The column {term.group!r} of {term.label} has one level only; a "
                "variance between levels needs two or more. Leave the term out."
            )
        if term.slope is not None:
            read_numeric(frame, term.slope, term.label)
        return cls(term, levels)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the table that it reads."""
        return self.term.columns

    @property
    def labels(self) -> tuple[str, ...]:
        """Label of its block."""
        return (self.term.label,)

    @property
    def n_block(self) -> int:
        """Coefficients of its block."""
        return len(self.levels)

    def names(self, block: int) -> tuple[str, ...]:
        """Names of the coefficients: the label with the level in brackets."""
        return tuple(f"{self.term.label}[{value}]" for value in self.levels.values)

    def penalties(self) -> list[tuple[str, np.ndarray, float | None, int]]:
        """Suffix of the label, matrix, given λ and rank of the penalty."""
        return [("", np.eye(self.n_block), self.term.sp, self.n_block)]

    def read(self, frame: pd.DataFrame) -> _Read:
        """Read and check the columns of a table; an unseen level is code -1."""
        term = self.term
        read = {"group": self.levels.codes(frame, term.label, unseen=True)}
        if term.slope is not None:
            read["slope"] = read_numeric(frame, term.slope, term.label)
        return read

    def write(self, read: _Read, rows: slice, out: np.ndarray) -> None:
        """Write some rows of the design into ``out`` of shape (m, q)."""
        codes = read["group"][rows]
        out[:] = 0.0
        seen = np.flatnonzero(codes >= 0)
        out[seen, codes[seen]] = read["slope"][rows][seen] if "slope" in read else 1.0

    def to_state(self) -> dict[str, Any]:
        """Give the state, as JSON types."""
        return {"levels": self.levels.to_state()}

    @classmethod
    def from_state(cls, term: RandomEffect, state: Mapping[str, Any]) -> RandomPart:
        """Make the part from its term and its state."""
        return cls(term, Levels.from_state(state["levels"]))
