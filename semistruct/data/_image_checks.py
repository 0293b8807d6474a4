"""What an image column checks and estimates at fit.

Letters: n rows, m rows of a chunk, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import torch

from semistruct.data._image_cells import Header, array_header, read_header
from semistruct.data._tensor_array import TensorArray
from semistruct.data._tensor_cells import is_null
from semistruct.exceptions import ImageError, ParameterError

__all__ = [
    "cells_of",
    "check_size",
    "compare",
    "headers_of",
    "kind_of",
    "located",
    "moments",
    "times",
]


def cells_of(series: pd.Series) -> tuple[Any, np.ndarray, Any]:
    """Give the cells (n,), the mask (n,) of those present, and the rows' labels."""
    if isinstance(series.array, TensorArray):
        return series.array, series.array.mask, series.index
    cells = series.astype(object).to_numpy()
    mask = np.array([not is_null(cell) for cell in cells], dtype=bool)
    return cells, mask, series.index


def headers_of(cells: Any, rows: np.ndarray, labels: Any, place: str) -> list[Header]:
    """Read the headers of rows; the one header of a tensor column only once."""
    if isinstance(cells, TensorArray):
        try:
            return [array_header(cells.dtype.shape, cells.dtype.subdtype)]
        except ImageError as error:
            raise located(place, labels[rows[0]], error) from error
    headers = []
    for i in rows:
        try:
            headers.append(read_header(cells[i]))
        except ImageError as error:
            raise located(place, labels[i], error) from error
    return headers


def is_readable(cell: Any) -> bool:
    """Whether the header of a cell can be read."""
    try:
        read_header(cell)
    except ImageError:
        return False
    return True


def kind_of(header: Header) -> str:
    """Tell files and PIL images, which mix in a column, from arrays."""
    return "file" if header.layout == "PIL" else "array"


def located(place: str, label: Any, error: Exception) -> ImageError:
    """Give an error with the column and the row's label before its message."""
    return ImageError(f"{place}, row {label}: {error}")


def compare(
    what: str, first: Any, other: Any, first_row: Any, row: Any, place: str
) -> None:
    """Raise ImageError if a property of two rows' images differs."""
    if first == other:
        return
    if what == "size":
        raise ImageError(
            f"{place} holds images of different sizes: {times(first)} in row "
            f"{first_row} and {times(other)} in row {row}. Give size= to the term, "
            f"for instance size={first}, and they are resized."
        )
    raise ImageError(
        f"{place} holds images that differ in {what}: {first!r} in row {first_row} and "
        f"{other!r} in row {row}. Convert them to one."
    )


def times(size: tuple[int, int]) -> str:
    """Show a size as ``8×8``."""
    return f"{size[0]}×{size[1]}"


def check_size(size: Any, owner: str) -> tuple[int, int] | None:
    """Give the parameter ``size`` as (H, W), or raise ParameterError."""
    if size is None:
        return None
    pair = (size, size) if isinstance(size, (int, np.integer)) else size
    good = isinstance(pair, (tuple, list)) and len(pair) == 2
    if good and all(isinstance(s, (int, np.integer)) and s >= 1 for s in pair):
        return (int(pair[0]), int(pair[1]))
    raise ParameterError(
        parameter="size",
        owner=owner,
        allowed="an int >= 1, or (height, width)",
        given=size,
    )


def moments(chunks: Iterator[torch.Tensor]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation per channel over chunks (m, C, H, W).

    Chunks are merged by the pairwise update of Chan, Golub & LeVeque (1983,
    10.1080/00031305.1983.10483115).
    """
    count, mean, square = 0, np.zeros(1), np.zeros(1)
    for chunk in chunks:
        pixels = chunk.double().transpose(0, 1).flatten(1).numpy()  # (C, pixels)
        m = pixels.shape[1]
        own = pixels.mean(axis=1)
        shift = own - mean
        square = square + ((pixels - own[:, None]) ** 2).sum(axis=1)
        square = square + shift**2 * (count * m / (count + m))
        mean = mean + shift * (m / (count + m))
        count += m
    std = np.sqrt(square / count)
    return mean, np.where(std > 1e-12 * np.maximum(1.0, np.abs(mean)), std, 1.0)
