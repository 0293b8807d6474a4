"""The reader of one image column: fitted once, it reads any rows in the same manner.

Letters: m rows, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.utils.data import Dataset

from semistruct.data._image_cells import (
    Header,
    NotFiniteError,
    array_header,
    is_path,
    read_cell,
    scale,
)
from semistruct.data._image_checks import (
    cells_of,
    check_size,
    compare,
    headers_of,
    is_readable,
    kind_of,
    located,
    moments,
    times,
)
from semistruct.data._tensor_array import TensorArray
from semistruct.exceptions import ImageError

__all__ = ["ImageColumn", "ImageRows"]

_SAMPLE = 512  # rows of a column of files that mean and std are estimated from
_CHUNK = 256  # rows that are read at once for mean and std
_STATE = ("owner", "column", "kind", "channels", "size", "resize", "rule", "layout")


class ImageColumn:
    """Reader of one image column; made by `ImageColumn.fit`.

    A cell is a path, a PIL image, an array of shape (H, W), (H, W, C) or (C, H, W) with
    1, 3 or 4 channels, or null (None, NaN, ``pandas.NA``); or the column is a
    `TensorArray`. Null cells give zeros and False in the mask.

    Numbers are scaled by a rule that is fixed at fit: uint8 by 1/255, uint16 by
    1/65535, all others are taken as they are. Then each channel is normalised by the
    mean and standard deviation that were estimated at fit, never by the image's own.

    Files and PIL images are read as RGB; the column has one channel only if every image
    at fit is grayscale. Alpha is composited on black; EXIF orientation is applied.
    Files with 16-bit or floating pixels have one channel. Arrays keep their channels, a
    fourth one included.

    Attributes
    ----------
    owner : str
        Term that reads the column, for messages.
    column : str
        Name of the column.
    kind : {"path", "pil", "array"}
        What the cells were at fit ("path" where any of them is a file).
    channels : int
        Number of channels C.
    size : (int, int)
        Height H and width W of what is read.
    resize : bool
        Whether images of other sizes are resized: files by Pillow's bilinear filter,
        arrays by antialiased bilinear interpolation.
    rule : {"uint8", "uint16", "as is"}
        How numbers are scaled.
    layout : {"HW", "HWC", "CHW", "PIL"}
        Where the channels of an array stand.
    mean, std : ndarray of shape (C,)
        Per channel, over all pixels of the training rows, after scaling; for columns of
        files over a fixed sample of at most 512 rows, spread evenly. ``std`` is 1 where
        a channel is constant.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from semistruct.data import ImageColumn, TensorArray
    >>> rng = np.random.default_rng(0)
    >>> scans = pd.Series(TensorArray(rng.random((10, 8, 8))), name="scan")
    >>> reader = ImageColumn.fit(scans, owner="image(scan)")
    >>> pixels, mask = reader.read(scans, rows=[0, 3])
    >>> tuple(pixels.shape), mask.tolist()
    ((2, 1, 8, 8), [True, True])
    """

    def __init__(
        self,
        *,
        owner: str,
        column: str,
        kind: str,
        channels: int,
        size: tuple[int, int],
        resize: bool,
        rule: str,
        layout: str,
        mean: Any,
        std: Any,
    ) -> None:
        self.owner = owner
        self.column = column
        self.kind = kind
        self.channels = int(channels)
        self.size = (int(size[0]), int(size[1]))
        self.resize = bool(resize)
        self.rule = rule
        self.layout = layout
        self.mean = np.asarray(mean, dtype=np.float64)
        self.std = np.asarray(std, dtype=np.float64)

    @classmethod
    def fit(
        cls,
        series: pd.Series,
        *,
        size: Any = None,
        owner: str,
        on_unreadable: str = "raise",
    ) -> ImageColumn:
        """Learn kind, channels, size and normalisation from the training rows.

        Parameters
        ----------
        series : Series of length n
            The column; its name and index are used in messages.
        size : int or (int, int), optional
            Height and width that every image is resized to. Default: the images' own
            size, which must be one.
        owner : str
            Term that reads the column, as ``"image(scan)"``.
        on_unreadable : {"raise", "mask"}, default="raise"
            Whether a file that cannot be read is an error or is passed over.

        Returns
        -------
        ImageColumn

        Raises
        ------
        ImageError
            If all cells are null; a file is missing or unreadable; images differ in
            size (without ``size``), channels, number type or kind; a value is NaN or
            infinite. It names the column, the row and, for a file, its path.
        """
        wanted = check_size(size, owner)
        column = str(series.name)
        cells, mask, labels = cells_of(series)
        place = f"{owner}: column {column!r}"
        rows = np.flatnonzero(mask)
        if not len(rows):
            raise ImageError(
                f"{place} has no image: all its {len(mask)} cells are null. Leave the "
                "term out, or give images."
            )
        if on_unreadable == "mask" and not isinstance(cells, TensorArray):
            rows = np.array([i for i in rows if is_readable(cells[i])], dtype=int)
            if not len(rows):
                raise ImageError(f"{place}: no image of it can be read.")
        headers = headers_of(cells, rows, labels, place)
        first = headers[0]
        for row, header in zip(rows, headers, strict=False):
            pair = (labels[rows[0]], labels[row], place)
            compare("kind", kind_of(first), kind_of(header), *pair)
            compare("number type", first.rule, header.rule, *pair)
            if first.layout != "PIL":
                compare("channels", first.channels, header.channels, *pair)
                compare("layout", first.layout, header.layout, *pair)
            if wanted is None:
                compare("size", first.size, header.size, *pair)
        kind = kind_of(first)
        if kind == "file":
            kind = "path" if any(is_path(cells[i]) for i in rows) else "pil"
        found = cls(
            owner=owner,
            column=column,
            kind=kind,
            channels=max(header.channels for header in headers),
            size=first.size if wanted is None else wanted,
            resize=wanted is not None,
            rule=first.rule,
            layout=first.layout,
            mean=[0.0],
            std=[1.0],
        )
        if kind == "path" and len(rows) > _SAMPLE:
            rows = rows[np.linspace(0, len(rows) - 1, _SAMPLE).round().astype(int)]
        if on_unreadable == "mask" and kind == "path":
            blocks = found._readable(cells, rows, labels)
        else:
            chunks = (rows[i : i + _CHUNK] for i in range(0, len(rows), _CHUNK))
            blocks = (found._scaled(cells, chunk, labels) for chunk in chunks)
        found.mean, found.std = moments(blocks)
        return found

    def _readable(self, cells: Any, rows: np.ndarray, labels: Any) -> Iterator[Any]:
        """Give the pixels of each row whose file can be read."""
        for row in rows:
            try:
                yield self._scaled(cells, rows[rows == row], labels)
            except ImageError:
                continue

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape (C, H, W) of one image as it is read."""
        return (self.channels, *self.size)

    @property
    def moments(self) -> tuple[np.ndarray, np.ndarray] | None:
        """``mean`` and ``std``, (C,) each, of pixels in [0, 1].

        None where numbers were taken as they are, so that their range is not known.
        """
        return None if self.rule == "as is" else (self.mean, self.std)

    def __repr__(self) -> str:
        return f"ImageColumn({self.column!r}, kind={self.kind!r}, shape={self.shape})"

    def in_memory(self, series: pd.Series) -> bool:
        """Tell whether no cell of a column is a file, so that it is read at once.

        Parameters
        ----------
        series : Series
            The column.
        """
        if isinstance(series.array, TensorArray):
            return True
        return not any(is_path(cell) for cell in series.array)

    def read(
        self, series: pd.Series, rows: Any = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Read rows, scaled, resized and normalised.

        Parameters
        ----------
        series : Series of length n
            The column, of the training or of other rows.
        rows : array-like of int of shape (m,), optional
            Positions (not labels) of the rows. Default: all.

        Returns
        -------
        pixels : Tensor of shape (m, C, H, W), float32
            Zero where the cell is null.
        mask : Tensor of bool of shape (m,)
            True where the image is present.

        Raises
        ------
        ImageError
            If an image does not fit what was fitted, or cannot be read.
        """
        cells, mask, labels = cells_of(series)
        chosen = np.arange(len(mask)) if rows is None else np.asarray(rows, np.intp)
        return self._read(cells, mask, labels, chosen)

    def _read(
        self, cells: Any, mask: np.ndarray, labels: Any, rows: np.ndarray
    ) -> tuple[torch.Tensor, torch.Tensor]:
        present = mask[rows]
        given = torch.from_numpy(present)  # indexed by an array, so it is a copy
        if not present.any():
            return torch.zeros((len(rows), *self.shape)), given
        mean = torch.as_tensor(self.mean, dtype=torch.float32)[:, None, None]
        std = torch.as_tensor(self.std, dtype=torch.float32)[:, None, None]
        images = self._scaled(cells, rows[present], labels).sub_(mean).div_(std)
        if present.all():
            return images, given
        pixels = torch.zeros((len(rows), *self.shape))
        pixels[given] = images
        return pixels, given

    def _scaled(self, cells: Any, rows: np.ndarray, labels: Any) -> torch.Tensor:
        if isinstance(cells, TensorArray):
            return self._scaled_block(cells, rows, labels)
        images = []
        for i in rows:
            try:
                image = read_cell(cells[i], self._fitting, self.size, self.layout)
                images.append(image)
            except ImageError as error:
                raise located(self._place, labels[i], error) from error
        # (m, C, H, W); one row, as a lazy reader asks for, needs no copy
        return images[0][None] if len(images) == 1 else torch.stack(images)

    def _scaled_block(
        self, cells: TensorArray, rows: np.ndarray, labels: Any
    ) -> torch.Tensor:
        dtype = cells.dtype
        block = cells.block[rows]
        try:
            header = array_header(dtype.shape, dtype.subdtype, self.layout)
            if header.layout == "HWC":
                block = block.transpose(0, 3, 1, 2)  # (m, H, W, C) -> (m, C, H, W)
            block = block.reshape(len(rows), header.channels, *header.size)
            return scale(block, self._fitting(header), self.size)
        except ImageError as error:
            row = error.row if isinstance(error, NotFiniteError) else 0
            raise located(self._place, labels[rows[row]], error) from error

    @property
    def _place(self) -> str:
        return f"{self.owner}: column {self.column!r}"

    def _fitting(self, header: Header) -> Header:
        """Check a header against what was fitted; give what the cell is read by."""
        if header.rule != self.rule:
            raise ImageError(
                f"the number type is {header.rule!r} where {self.rule!r} was fitted, "
                "so brightness could not be compared. Convert the images."
            )
        to_rgb = header.layout == "PIL" and header.channels == 1 and self.channels == 3
        if header.channels != self.channels and not to_rgb:
            raise ImageError(
                f"the image has {header.channels} channels where {self.channels} were "
                "fitted. Convert it."
            )
        if header.size != self.size and not self.resize:
            raise ImageError(
                f"the image is {times(header.size)} where {times(self.size)} was "
                "fitted. Give size= to the term and fit again, or resize the image."
            )
        return header._replace(channels=self.channels)

    def to_state(self) -> dict[str, Any]:
        """Give all that was learned, as JSON types and NumPy arrays."""
        state: dict[str, Any] = {name: getattr(self, name) for name in _STATE}
        return {**state, "size": list(self.size), "mean": self.mean, "std": self.std}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> ImageColumn:
        """Make the reader from what `to_state` gave."""
        return cls(**state)


class ImageRows(Dataset):
    """Map-style torch Dataset of the rows of an image column, each read when asked for.

    Parameters
    ----------
    column : ImageColumn
        Fitted reader.
    series : Series of length n
        The column.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from semistruct.data import ImageColumn, ImageRows, TensorArray
    >>> scans = pd.Series(TensorArray(np.eye(4)[None].repeat(3, axis=0)), name="scan")
    >>> rows = ImageRows(ImageColumn.fit(scans, owner="image(scan)"), scans)
    >>> pixels, present = rows[2]
    >>> tuple(pixels.shape), bool(present), len(rows)
    ((1, 4, 4), True, 3)
    """

    def __init__(self, column: ImageColumn, series: pd.Series) -> None:
        self.column = column
        self._cells, self._mask, self._labels = cells_of(series)

    def __len__(self) -> int:
        return len(self._mask)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, torch.Tensor]:
        if not -len(self) <= row < len(self):
            raise IndexError(f"row {row} of {len(self)} rows")
        rows = np.array([row % len(self)])
        pixels, present = self.column._read(self._cells, self._mask, self._labels, rows)
        return pixels[0], present[0]
