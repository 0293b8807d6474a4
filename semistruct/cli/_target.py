"""Which columns of a table are the target."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from semistruct import Surv
from semistruct._core.validation import suggest
from semistruct.exceptions import ColumnError, DataError

__all__ = ["Target"]


@dataclass(frozen=True)
class Target:
    """Columns of the target: one number or label, or times and events.

    Parameters
    ----------
    target : str, optional
        Column of numbers or labels.
    time, event, cause, entry : str, optional
        Columns of a survival target, as `Surv` takes them.
    """

    target: str | None = None
    time: str | None = None
    event: str | None = None
    cause: str | None = None
    entry: str | None = None

    @classmethod
    def given(cls, arguments: Namespace) -> Target:
        """Take the columns from the command line, and check that they go together."""
        found = cls(**{name: getattr(arguments, name) for name in cls.names()})
        rest = [n for n in ("event", "cause", "entry") if getattr(found, n) is not None]
        if found.target is not None and (found.time is not None or rest):
            raise DataError(
                "--target is a number or a label, --time a survival time: give one."
            )
        if found.time is None and rest:
            raise DataError(f"--{rest[0]} is of a survival time: give --time too.")
        return found

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Name the options."""
        return tuple(cls.__dataclass_fields__)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Target:
        """Make of `to_state`."""
        return cls(**{name: state.get(name) for name in cls.names()})

    def to_state(self) -> dict[str, Any]:
        """Give JSON types."""
        return asdict(self)

    @property
    def survival(self) -> bool:
        """Whether the target is a survival time."""
        return self.time is not None

    def __bool__(self) -> bool:
        return self.survival or self.target is not None

    @property
    def columns(self) -> list[str]:
        """The columns that are given."""
        return [name for name in asdict(self).values() if name is not None]

    def read(self, frame: pd.DataFrame) -> Any:
        """Take the target from a table.

        Parameters
        ----------
        frame : DataFrame of n rows
            The table.

        Returns
        -------
        Surv or Series of n rows

        Raises
        ------
        ColumnError
            If a column is not there.
        DataError
            If a cell of it is empty.
        """
        for name in self.columns:
            if name not in frame:
                raise ColumnError(
                    f"The target's column {name!r} is not in the table."
                    f"{suggest(name, list(frame.columns))}"
                )
            missing = np.flatnonzero(frame[name].isna())
            if len(missing) and name != self.cause:
                raise DataError(
                    f"The target's column {name!r} is empty in {len(missing)} rows, "
                    f"first in row {missing[0]}, counted from 0. Take these rows out "
                    "of the table."
                )
        if not self.survival:
            return frame[self.target]
        event = None if self.event is None else frame[self.event]
        if self.event is None and self.cause is not None:
            event = frame[self.cause].notna()
        part = {n: frame[c] for n in ("cause", "entry") if (c := getattr(self, n))}
        return Surv(frame[self.time], event, **part)
