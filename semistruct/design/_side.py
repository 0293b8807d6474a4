"""Side conditions: a tensor product beside smooths of some of its columns.

Legend: n rows, p columns of the lower smooths, q columns of the tensor product.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import pandas as pd
from scipy import linalg

from semistruct._core.terms import Tensor
from semistruct.design._smooth import SmoothPart

__all__ = ["dependent_columns", "side_conditions", "take_out"]

TOLERANCE = float(np.finfo(float).eps) ** 0.5

_Part = TypeVar("_Part")


def side_conditions(parts: Sequence[_Part], frame: pd.DataFrame) -> list[_Part]:
    """Take out of each ``te()`` the columns that smooths of its columns can write.

    ``te(x, z)`` holds every function of x alone and of z alone, so that beside ``s(x)``
    it is not determined. Columns of it that are linear combinations of the constant, of
    the lower smooths and of its other columns over the rows of fit are set to zero, and
    its penalties lose their rows and columns (Wood 2017, doi:10.1201/9781315370279,
    5.6.3). Lower smooths have a part of the columns, and the same ``by``.

    Parameters
    ----------
    parts : sequence of parts of a design
    frame : DataFrame of n rows
        The rows of fit.

    Returns
    -------
    list of parts
        In the same order.
    """
    return take_out(parts, np.ones((len(frame), 1)), lambda j: _once(parts[j], frame))


def take_out(
    parts: Sequence[_Part], one: np.ndarray, columns: Callable[[int], np.ndarray]
) -> list[_Part]:
    """Apply `side_conditions` to columns that are given.

    Parameters
    ----------
    parts : sequence of parts of a design
    one : ndarray of shape (n, 1)
        The constant.
    columns : callable of j
        Columns (n, q) of the part j, as if its ``by`` were one. Rows may be those of a
        triangular factor of all columns.

    Returns
    -------
    list of parts
        In the same order.
    """
    found = list(parts)
    smooths = [j for j, part in enumerate(found) if isinstance(part, SmoothPart)]
    for j in sorted(smooths, key=lambda j: len(_names(found[j]))):
        part = found[j]
        if not isinstance(part, SmoothPart) or not _is_full_tensor(part):
            continue
        lower = [i for i in smooths if _is_below(found[i], part)]
        if not lower:
            continue
        left = np.hstack([one, *(columns(i) for i in lower)])
        drop = dependent_columns(left, columns(j))
        if len(drop):
            keep = np.ones(part.n_block, dtype=bool)
            keep[drop] = False
            found[j] = part.reduced(keep)  # type: ignore[assignment]
    return found


def dependent_columns(
    left: np.ndarray, right: np.ndarray, tolerance: float = TOLERANCE
) -> np.ndarray:
    """Give the columns of ``right`` (n, q) that ``left`` (n, p) and others span.

    What is left of ``right`` after projecting ``left`` out is taken apart by a QR with
    pivots; the last columns, whose diagonals are nothing beside the first, go.

    Examples
    --------
    >>> import numpy as np
    >>> from semistruct.design._side import dependent_columns
    >>> x = np.arange(4.0)[:, None]
    >>> dependent_columns(np.ones((4, 1)), np.hstack([x, x**2, 3 * x + 1.0])).tolist()
    [0]
    """
    basis, upper = linalg.qr(left, mode="economic", pivoting=True)[:2]
    diagonal = np.abs(np.diag(upper))
    basis = basis[:, diagonal > tolerance * diagonal.max(initial=0.0)]
    rest = right - basis @ (basis.T @ right)
    rest = rest - basis @ (basis.T @ rest)
    upper, pivot = linalg.qr(rest, mode="r", pivoting=True)
    diagonal = np.zeros(right.shape[1])
    held = np.abs(np.diag(upper))
    diagonal[: len(held)] = held
    size = float(np.linalg.norm(right, axis=0).max(initial=0.0))
    return np.sort(pivot[diagonal <= tolerance * size])


def _once(part: object, frame: pd.DataFrame) -> np.ndarray:
    """Columns of a smooth as if its ``by`` were one, (n, q)."""
    assert isinstance(part, SmoothPart)
    x = part.unconstrained(part.read(frame), slice(0, len(frame)))
    return x if part.constraint is None else x @ part.constraint


def _names(part: object) -> tuple[str, ...]:
    return part.term.names if isinstance(part, SmoothPart) else ()


def _is_full_tensor(part: SmoothPart) -> bool:
    return isinstance(part.term, Tensor) and not part.term.interaction


def _is_below(lower: object, part: SmoothPart) -> bool:
    """Whether a smooth has some of the columns of another, and the same ``by``."""
    if not isinstance(lower, SmoothPart) or lower.term.by != part.term.by:
        return False
    return set(lower.term.names) < set(part.term.names)
