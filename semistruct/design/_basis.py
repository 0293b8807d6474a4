"""What a basis is: functions of a column, and a penalty."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping
from typing import Any, ClassVar

import numpy as np

__all__ = ["Basis", "Neighbours"]

Neighbours = tuple[tuple[Hashable, tuple[Hashable, ...]], ...]


class Basis(ABC):
    """A basis of functions of one column (or several), fitted to its values.

    A new basis is a subclass that is listed in `BASES`; nothing else has to change.

    Attributes
    ----------
    name : str
        What ``bs=`` takes.
    least_k : int
        Smallest ``k`` for one column.
    several : bool
        Whether it takes several columns.
    marginal : bool
        Whether it can be a margin of ``te`` and ``ti``.
    at_knots : bool
        Whether coefficients are values of the function already, so that ``np=True``
        leaves it as it is.
    factor : bool
        Whether it reads levels, as integer codes, instead of numbers.
    k : int
        Number of functions, before any constraint.
    """

    name: ClassVar[str]
    least_k: ClassVar[int]
    several: ClassVar[bool] = False
    marginal: ClassVar[bool] = True
    at_knots: ClassVar[bool] = False
    factor: ClassVar[bool] = False
    k: int

    @classmethod
    @abstractmethod
    def fit(
        cls, x: np.ndarray, k: int, *, neighbours: Neighbours | None = None
    ) -> Basis:
        """Place the knots.

        Parameters
        ----------
        x : ndarray of shape (n,) or (n, d)
            Finite values with at least ``k`` distinct ones; where ``factor`` is set,
            integer codes of levels.
        k : int
            Dimension that was asked for, at least ``least_k``.
        neighbours : tuple of (level, neighbours), optional
            Read where ``factor`` is set, and by no other basis.
        """

    @abstractmethod
    def evaluate(self, x: np.ndarray) -> np.ndarray:
        """Evaluate the functions.

        Parameters
        ----------
        x : ndarray of shape (n,) or (n, d)
            Any finite values (or known codes).

        Returns
        -------
        ndarray of shape (n, k)
        """

    @property
    @abstractmethod
    def penalty(self) -> np.ndarray:
        """Penalty of shape (k, k), before any scaling."""

    @property
    @abstractmethod
    def rank(self) -> int:
        """Rank of the penalty."""

    @property
    def inequality(self) -> np.ndarray | None:
        """Matrix A of shape (m, k) of a constraint Aβ >= 0, or None."""
        return None

    @abstractmethod
    def to_state(self) -> dict[str, Any]:
        """Give the state, ``name`` included."""

    @classmethod
    @abstractmethod
    def from_state(cls, state: Mapping[str, Any]) -> Basis:
        """Make the basis from its state."""
