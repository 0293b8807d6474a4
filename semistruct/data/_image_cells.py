"""One cell of an image column: a file, a PIL image or an array, read as numbers.

Letters: C channels, H height, W width. Errors here say what is wrong with the cell; the
column that calls adds its own name and the row.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from semistruct.exceptions import ImageError

__all__ = [
    "SCALES",
    "Header",
    "NotFiniteError",
    "array_header",
    "is_path",
    "read_cell",
    "read_header",
    "scale",
]

SCALES = {"uint8": 255.0, "uint16": 65535.0, "as is": 1.0}  # rule -> divisor
_CHANNELS = (1, 3, 4)
_GRAY = {"1", "L", "LA", "La"}
_ROTATED = {5, 6, 7, 8}  # EXIF orientations that swap height and width
_EXIF_IN_HEADER = {"JPEG", "MPO", "TIFF", "WEBP"}


class NotFiniteError(ImageError):
    """An image of a block holds NaN or infinite values; ``row`` says which."""

    def __init__(self, row: int) -> None:
        super().__init__("the image holds NaN or infinite values. Clean or drop it.")
        self.row = row


class Header(NamedTuple):
    """What is known of an image before its pixels are read."""

    size: tuple[int, int]  # (H, W)
    channels: int
    rule: str  # key of SCALES
    layout: str  # "HW", "HWC" or "CHW"; "PIL" for files and PIL images


def is_path(cell: Any) -> bool:
    """Tell whether a cell is the path of a file."""
    return isinstance(cell, (str, os.PathLike))


def read_header(cell: Any, layout: str | None = None) -> Header:
    """Read size, channels and number type of a cell, without decoding a file.

    Parameters
    ----------
    cell : str, path, PIL image, ndarray or Tensor
        The cell.
    layout : {"HW", "HWC", "CHW"}, optional
        Which axis of an array holds the channels, where both would fit.
    """
    if is_path(cell):
        with _open(cell) as image:
            return _pil_header(image)
    if isinstance(cell, Image.Image):
        return _pil_header(cell)
    array = _as_array(cell)
    return array_header(array.shape, array.dtype, layout)


def array_header(
    shape: tuple[int, ...], dtype: np.dtype, layout: str | None = None
) -> Header:
    """Read size, channels and number type off the shape and dtype of an array."""
    rule = dtype.name if dtype.name in SCALES else "as is"
    if dtype.kind not in "biuf":
        raise ImageError(f"an image holds numbers; this array has dtype {dtype}.")
    if len(shape) == 2:
        return Header((shape[0], shape[1]), 1, rule, "HW")
    options = {}
    if len(shape) == 3 and shape[2] in _CHANNELS:
        options["HWC"] = Header((shape[0], shape[1]), shape[2], rule, "HWC")
    if len(shape) == 3 and shape[0] in _CHANNELS:
        options["CHW"] = Header((shape[1], shape[2]), shape[0], rule, "CHW")
    if not options:
        raise ImageError(
            f"an array of shape {shape} is no image; give (H, W), (H, W, C) or "
            "(C, H, W) with 1, 3 or 4 channels."
        )
    if len(options) == 2:
        if layout not in options:
            raise ImageError(
                f"an array of shape {shape} can be read as (H, W, C) and as (C, H, W); "
                "pad the image, or give (H, W), so that one reading is left."
            )
        return options[layout]
    return next(iter(options.values()))


def read_cell(
    cell: Any,
    check: Callable[[Header], Header],
    size: tuple[int, int],
    layout: str | None = None,
) -> torch.Tensor:
    """Read the pixels of a cell, scaled by its rule and resized.

    Parameters
    ----------
    cell : str, path, PIL image, ndarray or Tensor
        The cell; a file is opened once.
    check : callable
        Raises if the cell's header does not fit; gives the header to read it by.
    size : (int, int)
        Height and width of the result.
    layout : {"HW", "HWC", "CHW"}, optional
        Which axis of an array holds the channels, where both would fit.

    Returns
    -------
    Tensor of shape (C, H, W), float32
    """
    if is_path(cell):
        with _open(cell) as image:
            header = check(_pil_header(image))
            array = _pil_pixels(image, header.channels, size)
    elif isinstance(cell, Image.Image):
        header = check(_pil_header(cell))
        array = _pil_pixels(cell, header.channels, size)
    else:
        array = _as_array(cell)
        header = check(array_header(array.shape, array.dtype, layout))
    if array.ndim == 2:
        array = array[None]  # (1, H, W)
    elif header.layout != "CHW":
        array = array.transpose(2, 0, 1)  # (H, W, C) -> (C, H, W)
    return scale(array[None], header, size)[0]


def scale(block: np.ndarray, header: Header, size: tuple[int, int]) -> torch.Tensor:
    """Scale arrays (m, C, h, w) by the rule of the header and resize them to (H, W).

    Raises
    ------
    NotFiniteError
        If a pixel is NaN or infinite.
    """
    numbers = block.astype(np.float32, order="C")  # else later steps go in strides
    pixels = torch.from_numpy(numbers).div_(SCALES[header.rule])
    if block.dtype.kind == "f":
        bad = ~torch.isfinite(pixels).flatten(1).all(dim=1)
        if bad.any():
            raise NotFiniteError(int(bad.nonzero()[0]))
    if tuple(pixels.shape[2:]) == tuple(size):
        return pixels
    return torch.nn.functional.interpolate(
        pixels, size=size, mode="bilinear", antialias=True
    )


def _as_array(cell: Any) -> np.ndarray:
    if isinstance(cell, torch.Tensor):
        return cell.detach().cpu().numpy()
    if isinstance(cell, np.ndarray):
        return cell
    raise ImageError(
        "a cell is a path, a PIL image, an array or null; got "
        f"{type(cell).__name__} {str(cell)[:40]!r}."
    )


def _open(path: Any) -> Image.Image:
    name = os.fspath(path)
    if not os.path.exists(name):
        raise ImageError(
            f"there is no file {name!r}. Correct the path or make it null."
        )
    try:
        return Image.open(name)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise _unreadable(name, error) from error


def _unreadable(name: str, error: Exception) -> ImageError:
    reason = (
        "it is not an image that Pillow knows"
        if isinstance(error, UnidentifiedImageError)
        else str(error)
    )
    return ImageError(f"the file {name!r} cannot be read ({reason}). Replace it.")


def _pil_header(image: Image.Image) -> Header:
    rule = "uint8"
    if image.mode.startswith("I;16"):
        rule = "uint16"
    elif image.mode in ("I", "F"):
        rule = "as is"
    gray = rule != "uint8" or image.mode in _GRAY
    width, height = image.size
    if _orientation(image) in _ROTATED:
        width, height = height, width
    return Header((height, width), 1 if gray else 3, rule, "PIL")


def _orientation(image: Image.Image) -> int:
    if image.format not in _EXIF_IN_HEADER:  # for others it may need the pixels
        return 1
    return int(image.getexif().get(0x0112, 1))


def _pil_pixels(
    image: Image.Image, channels: int, size: tuple[int, int]
) -> np.ndarray:  # (H, W) or (H, W, 3)
    try:
        image.load()
    except (OSError, ValueError, SyntaxError) as error:
        raise _unreadable(str(getattr(image, "filename", "")), error) from error
    if _orientation(image) != 1:
        image = ImageOps.exif_transpose(image)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return np.asarray(image)
    if "transparency" in image.info or image.mode in ("LA", "PA", "RGBA", "La", "RGBa"):
        clear = image.convert("RGBA")
        black = Image.new("RGBA", clear.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, clear)
    image = image.convert("L" if channels == 1 else "RGB")
    if (image.height, image.width) != tuple(size):
        image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(image)
