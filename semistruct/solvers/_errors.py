"""Errors of the exact path."""

from __future__ import annotations

from collections.abc import Sequence

from semistruct.exceptions import DataError


class RankDeficiencyError(DataError):
    """Some columns are linear combinations of others and carry no penalty.

    Parameters
    ----------
    columns : sequence of int
        Indices (over all coefficients) of the redundant columns: each is a
        combination of columns to its left.
    involved : sequence of int, default=()
        Indices of every column that takes part in one of those combinations,
        the redundant ones included.
    hint : str, default=""
        What to do about it.

    Examples
    --------
    >>> from semistruct.solvers import RankDeficiencyError
    >>> RankDeficiencyError([2], [0, 2]).columns
    (2,)
    """

    def __init__(
        self, columns: Sequence[int], involved: Sequence[int] = (), hint: str = ""
    ) -> None:
        self.columns = tuple(int(column) for column in columns)
        self.involved = tuple(int(column) for column in involved)
        self.hint = hint
        text = f"The design matrix is rank deficient: column(s) {list(self.columns)} "
        text += "are constant where they may not be, or linear combinations of others"
        if self.involved:
            text += f" (columns involved: {list(self.involved)})"
        text += ". Drop the redundant columns or give them a penalty."
        super().__init__(f"{text} {hint}".strip())

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.columns, self.involved, self.hint)
