"""What a design is made of: blocks of columns, penalties and constraints."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Block", "Constraint", "Penalty"]


@dataclass(frozen=True)
class Penalty:
    """A quadratic penalty λ β[start:stop]' matrix β[start:stop].

    Parameters
    ----------
    label : str
        Name of the block, for a tensor product with the column in brackets.
    start, stop : int
        Coefficients that it acts on; a tensor product has one penalty for each column
        with the same range.
    matrix : ndarray of shape (stop - start, stop - start)
        Symmetric, positive semi-definite.
    sp : float or None
        Given smoothing parameter λ; None where it is to be estimated.
    rank : int
        Rank of ``matrix``.
    """

    label: str
    start: int
    stop: int
    matrix: np.ndarray
    sp: float | None
    rank: int


@dataclass(frozen=True)
class Block:
    """Adjacent columns of the design that belong to one term.

    Parameters
    ----------
    label : str
        Name of the term, for instance ``"s(bmi)"`` or ``"s(bmi):g[a]"``.
    kind : {"intercept", "parametric", "smooth", "tensor", "random"}
        What it is.
    start, stop : int
        Range of its coefficients.
    names : tuple of str
        Names of its coefficients.
    columns : tuple of str
        Columns of the table that it reads.
    """

    label: str
    kind: str
    start: int
    stop: int
    names: tuple[str, ...]
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Constraint:
    """Linear inequalities matrix β[start:stop] >= 0.

    Parameters
    ----------
    label : str
        Name of the block.
    start, stop : int
        Coefficients that they bind.
    matrix : ndarray of shape (m, stop - start)
        One inequality in each row; the sum-to-zero constraint is absorbed in it.
    """

    label: str
    start: int
    stop: int
    matrix: np.ndarray
