"""What the bases of a smooth are evaluated at: columns, rows of several, regions."""

from __future__ import annotations

import numpy as np
import pandas as pd

from semistruct._core.terms import Smooth, Tensor
from semistruct.design._bases import BASES
from semistruct.design._basis import Basis
from semistruct.design._columns import Levels, read_numeric, row_label
from semistruct.design._markov import MarkovField
from semistruct.design._specification import basis_names, basis_sizes
from semistruct.design._thin_plate import is_degenerate, null_dimension
from semistruct.exceptions import DataError, UnseenLevelError

__all__ = ["arguments", "check_known", "find_regions", "fit_bases", "read_columns"]

_Read = dict[str, np.ndarray]


def find_regions(term: Smooth | Tensor) -> Levels | None:
    """Give the levels of a Markov random field, in the order of its neighbours."""
    if isinstance(term, Tensor) or not BASES[term.bs].factor:
        return None
    return Levels(term.names[0], [region for region, _ in term.neighbours])


def read_columns(
    term: Smooth | Tensor, frame: pd.DataFrame, regions: Levels | None
) -> _Read:
    """Read the columns that the function is of; regions as their codes."""
    if regions is not None:
        return {term.names[0]: regions.codes(frame, term.label)}
    return {name: read_numeric(frame, name, term.label) for name in term.names}


def arguments(term: Smooth | Tensor, read: _Read) -> list[np.ndarray]:
    """Give what each basis is evaluated at: columns (n,), or several of them (n, d)."""
    if isinstance(term, Smooth) and len(term.names) > 1:
        return [np.column_stack([read[name] for name in term.names])]
    return [read[name] for name in term.names]


def fit_bases(term: Smooth | Tensor, frame: pd.DataFrame) -> tuple[_Read, list[Basis]]:
    """Read the columns, check that they can carry the bases, and fit these."""
    regions = find_regions(term)
    if regions is not None:
        _check_regions(term, regions, frame)
    read = read_columns(term, frame, regions)
    sizes, kinds = basis_sizes(term), basis_names(term)
    values = arguments(term, read)
    if regions is None:
        for j, (x, k) in enumerate(zip(values, sizes, strict=True)):
            _check_distinct(x, k, j, term)
    neighbours = getattr(term, "neighbours", None)
    bases = [
        BASES[kind].fit(x, k, neighbours=neighbours)
        for kind, x, k in zip(kinds, values, sizes, strict=True)
    ]
    return read, bases


def _check_regions(term: Smooth | Tensor, regions: Levels, frame: pd.DataFrame) -> None:
    found = Levels.fit(frame, regions.column, term.label).values
    unknown = [value for value in found if value not in regions.values]
    if unknown:
        raise DataError(
            f"The column {regions.column!r} of {term.label} has the level "
            f"{unknown[0]!r}, which is no region of neighbours= ({len(unknown)} such "
            f"level{'s' if len(unknown) > 1 else ''}). Add it, with an empty list if "
            "it has no neighbours, or recode it."
        )
    if len(found) < 2:
        raise DataError(
            f"The column {regions.column!r} of {term.label} has one level only. Leave "
            "the term out."
        )


def _check_distinct(x: np.ndarray, k: int, j: int, term: Smooth | Tensor) -> None:
    count = len(np.unique(x, axis=0))
    several = x.ndim > 1
    if count < k:
        values = "one distinct value" if count == 1 else f"{count} distinct values"
        what = f"columns {term.names} of {term.label} have"
        least = null_dimension(len(term.names)) + 1
        if not several:
            what = f"column {term.names[j]!r} of {term.label} has"
            least = BASES[basis_names(term)[j]].least_k
        advice = f"Write k={count}" if count >= least else "Use it as it is or as C()"
        raise DataError(
            f"The {what} {values}, but a basis of dimension k={k} needs as many. "
            f"{advice}, or leave the term out."
        )
    if several and is_degenerate(x):
        raise DataError(
            f"The columns {term.names} of {term.label} do not span a surface: one of "
            "them is constant, has too few distinct values or follows from the others. "
            f"Leave it out, or write te({', '.join(term.names)})."
        )


def check_known(
    basis: Basis,
    regions: Levels,
    codes: np.ndarray,
    frame: pd.DataFrame,
    term: Smooth | Tensor,
) -> None:
    """Refuse regions of a connected part of the map that had no data in fit."""
    if not isinstance(basis, MarkovField):
        return
    bad = basis.columns[codes] < 0
    if bad.any():
        region = regions.values[codes[bad][0]]
        raise UnseenLevelError(
            f"The column {regions.column!r} of {term.label} has the level {region!r} "
            f"in row {row_label(frame, bad)}: neither it nor any region that is "
            "connected to it had data in fit, so that nothing is known of it."
        )
