"""The reader of a column whose cells hold several images each.

Letters: n rows, m rows that are read, T tiles of a row, N tiles of all rows, C
channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch.utils.data import Dataset

from semistruct._core.validation import check_number
from semistruct.data._image_cells import is_path
from semistruct.data._image_checks import cells_of
from semistruct.data._images import ImageColumn
from semistruct.data._tensor_array import TensorArray
from semistruct.data._tensor_cells import is_null
from semistruct.exceptions import ImageError

__all__ = ["ImageBagColumn", "ImageBagRows", "holds_bags", "join_views"]


class ImageBagColumn:
    """Reader of a column of bags of images; made by `ImageBagColumn.fit`.

    A cell is a list or tuple of what a cell of `ImageColumn` is (paths, PIL images,
    arrays; null for a tile that is missing), an array with the tiles along its first
    axis, a single path or PIL image (a bag of one), or null; or the column is a
    `TensorArray` of such arrays. All tiles are read as one column of images is: one
    size, one number of channels, one normalisation.

    A row becomes a tensor (T, C + 1, H, W): its tiles, zeros to fill it up, and a last
    channel that is 1 where there is a tile and 0 elsewhere. T is the largest number of
    tiles in the column that is read, so it may differ from call to call.

    Attributes
    ----------
    tiles : ImageColumn
        Reader of the single tiles.
    n_tiles : int
        T of the column of fit.
    max_tiles : int or None
        Rows with more tiles are thinned to so many, spread evenly over their list.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from semistruct.data import ImageBagColumn
    >>> rng = np.random.default_rng(0)
    >>> cells = [list(rng.random((3, 8, 8))), list(rng.random((1, 8, 8))), None]
    >>> slides = pd.Series(cells, name="slide")
    >>> reader = ImageBagColumn.fit(slides, owner="image(slide)")
    >>> bags, mask = reader.read(slides)
    >>> tuple(bags.shape), mask.tolist()
    ((3, 3, 2, 8, 8), [True, True, False])
    >>> bags[:, :, -1, 0, 0].tolist()
    [[1.0, 1.0, 1.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """

    def __init__(
        self, *, tiles: ImageColumn, n_tiles: int, max_tiles: int | None
    ) -> None:
        self.tiles = tiles
        self.n_tiles = int(n_tiles)
        self.max_tiles = max_tiles

    @classmethod
    def fit(
        cls,
        series: pd.Series,
        *,
        size: Any = None,
        max_tiles: int | None = None,
        owner: str,
    ) -> ImageBagColumn:
        """Learn kind, channels, size and normalisation from the tiles of all rows.

        Parameters
        ----------
        series : Series of length n
            The column; its name and index are used in messages.
        size : int or (int, int), optional
            Height and width that every tile is resized to. Default: the tiles' own
            size, which must be one.
        max_tiles : int, optional
            Largest number of tiles of a row that are read. Default: all.
        owner : str
            Term that reads the column, as ``"image(slide)"``.

        Returns
        -------
        ImageBagColumn

        Raises
        ------
        ImageError
            If a cell is no bag, or for what `ImageColumn.fit` refuses; it names the
            column, the row and the tile.
        ParameterError
            If ``max_tiles`` or ``size`` is not what it may be.
        """
        check_number(
            max_tiles,
            parameter="max_tiles",
            owner=owner,
            low=1,
            integer=True,
            none=True,
        )
        bags = _flatten(series, max_tiles, owner)
        tiles = ImageColumn.fit(bags.tiles, size=size, owner=owner)
        return cls(tiles=tiles, n_tiles=bags.largest, max_tiles=max_tiles)

    @property
    def column(self) -> str:
        """Name of the column."""
        return self.tiles.column

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape (T, C + 1, H, W) of one row of the column of fit as it is read."""
        channels, height, width = self.tiles.shape
        return (self.n_tiles, channels + 1, height, width)

    @property
    def moments(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Mean and standard deviation of the tiles, see `ImageColumn.moments`."""
        return self.tiles.moments

    def __repr__(self) -> str:
        return f"ImageBagColumn({self.column!r}, shape={self.shape})"

    def in_memory(self, series: pd.Series) -> bool:
        """Tell whether no tile of a column is a file, so that it is read at once.

        Parameters
        ----------
        series : Series
            The column.
        """
        return self.tiles.in_memory(self._flat(series).tiles)

    def read(
        self, series: pd.Series, rows: Any = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Read rows, their tiles scaled, resized and normalised.

        Parameters
        ----------
        series : Series of length n
            The column, of the training or of other rows.
        rows : array-like of int of shape (m,), optional
            Positions (not labels) of the rows. Default: all.

        Returns
        -------
        bags : Tensor of shape (m, T, C + 1, H, W), float32
            Zero where there is no tile; the last channel is 1 where there is one.
        mask : Tensor of bool of shape (m,)
            True where the row has at least one tile.

        Raises
        ------
        ImageError
            If a tile does not fit what was fitted, or cannot be read.
        """
        lazy = ImageBagRows(self, series)
        chosen = np.arange(len(lazy)) if rows is None else np.asarray(rows, np.intp)
        return lazy.read(chosen)

    def _flat(self, series: pd.Series) -> _Flat:
        return _flatten(series, self.max_tiles, self.tiles.owner)

    def to_state(self) -> dict[str, Any]:
        """Give all that was learned, as JSON types and NumPy arrays."""
        counts = {"n_tiles": self.n_tiles, "max_tiles": self.max_tiles}
        return {"tiles": self.tiles.to_state(), **counts}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> ImageBagColumn:
        """Make the reader from what `to_state` gave."""
        return cls(**{**state, "tiles": ImageColumn.from_state(state["tiles"])})


class ImageBagRows(Dataset):
    """Map-style torch Dataset of rows of a column of bags, each read when asked for.

    All items have the same number T of tiles, so that they can be stacked.

    Parameters
    ----------
    column : ImageBagColumn
        Fitted reader.
    series : Series of length n
        The column.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from semistruct.data import ImageBagColumn, ImageBagRows
    >>> slides = pd.Series([[np.eye(4)], [np.eye(4), np.ones((4, 4))]], name="slide")
    >>> reader = ImageBagColumn.fit(slides, owner="image(slide)")
    >>> bag, present = ImageBagRows(reader, slides)[0]
    >>> tuple(bag.shape), bool(present)
    ((2, 2, 4, 4), True)
    """

    def __init__(self, column: ImageBagColumn, series: pd.Series) -> None:
        self.column = column
        flat = column._flat(series)
        self._starts, self._largest = flat.starts, flat.largest
        self._cells, self._mask, self._labels = cells_of(flat.tiles)

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, row: int) -> tuple[torch.Tensor, torch.Tensor]:
        if not -len(self) <= row < len(self):
            raise IndexError(f"row {row} of {len(self)} rows")
        bags, present = self.read(np.array([row % len(self)]))
        return bags[0], present[0]

    def read(self, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Read rows.

        Parameters
        ----------
        rows : ndarray of int of shape (m,)
            Positions of the rows.

        Returns
        -------
        bags : Tensor of shape (m, T, C + 1, H, W), float32
        mask : Tensor of bool of shape (m,)
        """
        starts, counts = self._starts[rows], np.diff(self._starts)[rows]
        owner = np.repeat(np.arange(len(rows)), counts)  # (N,) row of each tile
        place = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
        chosen = np.repeat(starts, counts) + place
        reader = self.column.tiles
        pixels, given = reader._read(self._cells, self._mask, self._labels, chosen)
        channels, height, width = reader.shape
        bags = torch.zeros((len(rows), self._largest, channels + 1, height, width))
        at = (torch.from_numpy(owner), torch.from_numpy(place))
        bags[:, :, :channels][at] = pixels
        bags[:, :, channels][at] = given.float()[:, None, None].expand(
            -1, height, width
        )
        return bags, bags[:, :, channels, 0, 0].any(dim=1)


def holds_bags(series: pd.Series) -> bool:
    """Tell whether cells of a column are lists or tuples, so that they hold bags.

    Parameters
    ----------
    series : Series
        The column. A `TensorArray` is taken to hold single images.

    Examples
    --------
    >>> import pandas as pd
    >>> from semistruct.data import holds_bags
    >>> holds_bags(pd.Series([None, ["a.png", "b.png"]])), holds_bags(pd.Series(["a"]))
    (True, False)
    """
    if isinstance(series.array, TensorArray):
        return False
    return any(isinstance(cell, list | tuple) for cell in series.array)


def join_views(frame: pd.DataFrame, columns: Sequence[str]) -> pd.Series:
    """Make one column of bags from several columns of images.

    Parameters
    ----------
    frame : DataFrame of n rows
        The table.
    columns : sequence of str
        Columns of images, in the order of the views.

    Returns
    -------
    Series of length n
        Each cell a list of as many images, null where one is missing; null where all
        are.

    Examples
    --------
    >>> import pandas as pd
    >>> from semistruct.data import join_views
    >>> table = pd.DataFrame({"front": ["a.png", None], "side": ["b.png", None]})
    >>> join_views(table, ["front", "side"]).tolist()
    [['a.png', 'b.png'], None]
    """
    cells = np.empty(len(frame), dtype=object)
    for i, views in enumerate(zip(*(frame[c].array for c in columns), strict=True)):
        cells[i] = None if all(is_null(view) for view in views) else list(views)
    return pd.Series(cells, index=frame.index, name=", ".join(columns), dtype=object)


class _Flat(NamedTuple):
    """The tiles of all rows, one below the other."""

    tiles: pd.Series  # (N,), its index says the row and the tile
    starts: np.ndarray  # (n + 1,), where the tiles of a row begin
    largest: int  # T, at least 1


def _flatten(series: pd.Series, max_tiles: int | None, owner: str) -> _Flat:
    """Take the bags of a column apart."""
    if isinstance(series.array, TensorArray):
        return _flatten_block(series, max_tiles, owner)
    flat: list[Any] = []
    labels: list[str] = []
    counts = np.zeros(len(series), dtype=np.intp)
    for i, (label, cell) in enumerate(zip(series.index, series.array, strict=True)):
        tiles = _tiles(cell, f"{owner}: column {str(series.name)!r}, row {label}")
        kept = _thinned(len(tiles), max_tiles)
        counts[i] = len(kept)
        flat += [tiles[k] for k in kept]
        labels += [f"{label}, tile {k}" for k in kept]
    cells = np.empty(len(flat), dtype=object)
    for i, tile in enumerate(flat):  # NumPy would stack arrays of one shape
        cells[i] = tile
    stacked = pd.Series(cells, index=labels, name=series.name, dtype=object)
    return _flat(stacked, counts)


def _flatten_block(series: pd.Series, max_tiles: int | None, owner: str) -> _Flat:
    """Take a tensor column (n, T, …) apart: tiles of a null row are null."""
    array: Any = series.array
    if array.block.ndim < 4:
        raise ImageError(
            f"{owner}: column {str(series.name)!r} holds cells of shape "
            f"{array.dtype.shape}, where a bag has (tiles, H, W), (tiles, H, W, C) or "
            "(tiles, C, H, W). Use an encoder of single images, or stack the tiles."
        )
    kept = _thinned(array.block.shape[1], max_tiles)
    block = array.block[:, kept]
    tiles = block.reshape(-1, *block.shape[2:])
    mask = np.repeat(array.mask, len(kept))
    labels = [f"{label}, tile {k}" for label in series.index for k in kept]
    stacked = pd.Series(TensorArray(tiles, mask), index=labels, name=series.name)
    return _flat(stacked, np.full(len(series), len(kept), dtype=np.intp))


def _flat(tiles: pd.Series, counts: np.ndarray) -> _Flat:
    starts = np.concatenate([[0], np.cumsum(counts)])
    return _Flat(tiles, starts, max(1, int(counts.max(initial=0))))


def _thinned(count: int, max_tiles: int | None) -> list[int]:
    """Give the places of at most so many tiles, spread evenly."""
    if max_tiles is None or count <= max_tiles:
        return list(range(count))
    return np.linspace(0, count - 1, max_tiles).round().astype(int).tolist()


def _tiles(cell: Any, place: str) -> Sequence[Any]:
    """Give the tiles of one cell."""
    if isinstance(cell, list | tuple):
        return cell
    if is_null(cell):
        return ()
    if is_path(cell) or isinstance(cell, Image.Image):
        return (cell,)
    if isinstance(cell, np.ndarray | torch.Tensor) and cell.ndim in (3, 4):
        if cell.ndim == 3 and cell.shape[-1] in (1, 3, 4):
            raise ImageError(
                f"{place}: an array of shape {tuple(cell.shape)} can be one image "
                "(H, W, C) or tiles (T, H, W). Give a list of images."
            )
        return list(cell)
    raise ImageError(
        f"{place}: a bag is a list of images, an array with the tiles along its first "
        f"axis, or null; got {type(cell).__name__} {str(cell)[:40]!r}."
    )
