"""Captioned coloured shapes: images whose words are known.

Letters: n rows, S side of an image in pixels, P pairs of a colour and a shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from semistruct._core.randomness import RandomState, generator
from semistruct._core.validation import check_bool, check_number, suggest
from semistruct.data._tensor_array import TensorArray
from semistruct.exceptions import ParameterError

__all__ = ["SHAPE_COLOURS", "SHAPE_NAMES", "make_captioned_shapes"]

_OWNER = "make_captioned_shapes"
SHAPE_COLOURS = ("red", "green", "blue", "yellow", "purple", "cyan")
SHAPE_NAMES = ("circle", "square", "triangle", "ring", "diamond")
_RGB = np.array(
    [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1]], dtype=np.float32
)
_COUNTS = ("one", "two", "three")
_SIZES = {"small": 0.11, "large": 0.16}  # half the side, as a share of the image's
_PLACES = ("top", "middle", "bottom")
_BACKGROUND = 0.15  # mean brightness of what is behind
_CHUNK = 512  # rows that are drawn at once


def make_captioned_shapes(
    n: int = 1000,
    *,
    size: int = 32,
    pairs: Sequence[tuple[str, str]] | None = None,
    detailed: bool = True,
    mismatched: float = 0.0,
    random_state: RandomState = 0,
    return_truth: bool = False,
) -> Any:
    """Draw coloured shapes, and say in a caption what is in the image.

    An image shows one to three shapes of one kind, colour and size side by side, at the
    top, in the middle or at the bottom, on noise; its caption is such as ``"two small
    red circles at the top"``.

    Parameters
    ----------
    n : int, default=1000
        Rows.
    size : int, default=32
        Side S in pixels, at least 16.
    pairs : sequence of (colour, shape), optional
        What is drawn, each with the same probability. Default: all 30. Leaving some out
        is how pairs are made that a model has not seen.
    detailed : bool, default=True
        Whether captions say count, size and place; otherwise they are such as ``"a red
        circle"``, so that many are the same.
    mismatched : float in [0, 1), default=0.0
        Expected share of rows whose caption is drawn anew, so that it fits the image by
        chance only.
    random_state : int, Generator, RandomState or None, default=0
        Where the randomness comes from.
    return_truth : bool, default=False
        Whether to return the truth too.

    Returns
    -------
    X : DataFrame of n rows
        ``image`` (`TensorArray` of uint8, (S, S, 3)), ``caption`` (str).
    truth : DataFrame of n rows, only if ``return_truth``
        ``colour``, ``shape``, ``count``, ``size``, ``place`` of the image, and
        ``matched``, False where the caption was drawn anew.

    Raises
    ------
    ParameterError
        If a pair is none that can be drawn, or a number is out of its range.

    Examples
    --------
    >>> from semistruct.data.datasets import make_captioned_shapes
    >>> X = make_captioned_shapes(3, detailed=False)
    >>> X["image"].dtype, X["caption"].iloc[0].startswith("a ")
    (tensor[uint8, (32, 32, 3)], True)
    """
    check_number(n, parameter="n", owner=_OWNER, low=1, integer=True)
    check_number(size, parameter="size", owner=_OWNER, low=16, integer=True)
    check_bool(detailed, parameter="detailed", owner=_OWNER)
    check_number(
        mismatched,
        parameter="mismatched",
        owner=_OWNER,
        low=0,
        high=1,
        closed="left",
    )
    known = list(product(SHAPE_COLOURS, SHAPE_NAMES))
    chosen = known if pairs is None else _checked(pairs, known)
    rng = generator(random_state)
    codes = _draw(n, chosen, rng)
    block = np.concatenate(
        [_render(codes.iloc[i : i + _CHUNK], size, rng) for i in range(0, n, _CHUNK)]
    )
    wrong = rng.random(n) < mismatched
    said = codes.mask(pd.Series(wrong), _draw(n, chosen, rng))
    captions = _captions(said, detailed)
    X = pd.DataFrame({"image": TensorArray(block), "caption": captions})
    if not return_truth:
        return X
    truth = _in_words(codes)
    return X, truth.assign(matched=~wrong)


def _checked(
    pairs: Sequence[tuple[str, str]], known: list[tuple[str, str]]
) -> list[tuple[str, str]]:
    given = [tuple(pair) for pair in pairs]
    odd = [pair for pair in given if pair not in known]
    if odd or not given:
        words = " ".join(map(str, odd[0])) if odd else ""
        raise ParameterError(
            parameter="pairs",
            owner=_OWNER,
            allowed=f"pairs of a colour of {SHAPE_COLOURS} and a shape of "
            f"{SHAPE_NAMES}, at least one",
            given=odd[0] if odd else pairs,
            hint=suggest(words, (" ".join(pair) for pair in known)) if odd else "",
        )
    return [(str(colour), str(shape)) for colour, shape in given]


def _draw(
    n: int, pairs: list[tuple[str, str]], rng: np.random.Generator
) -> pd.DataFrame:
    """Draw what is in each image, as codes."""
    which = rng.integers(len(pairs), size=n)
    table = np.array(
        [[SHAPE_COLOURS.index(c), SHAPE_NAMES.index(s)] for c, s in pairs]
    )[which]
    return pd.DataFrame(
        {
            "colour": table[:, 0],
            "shape": table[:, 1],
            "count": rng.integers(1, 4, size=n),
            "size": rng.integers(len(_SIZES), size=n),
            "place": rng.integers(len(_PLACES), size=n),
        }
    )


def _in_words(codes: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "colour": np.array(SHAPE_COLOURS, dtype=object)[codes["colour"]],
            "shape": np.array(SHAPE_NAMES, dtype=object)[codes["shape"]],
            "count": codes["count"].to_numpy(),
            "size": np.array(list(_SIZES), dtype=object)[codes["size"]],
            "place": np.array(_PLACES, dtype=object)[codes["place"]],
        }
    )


def _captions(codes: pd.DataFrame, detailed: bool) -> list[str]:
    words = _in_words(codes)
    thing = words["colour"] + " " + words["shape"]
    if not detailed:
        return ("a " + thing).tolist()
    several = codes["count"].gt(1)
    suffix = np.where(several, "s", "")
    count = np.array(_COUNTS, dtype=object)[codes["count"] - 1]
    where = np.where(words["place"] == "middle", " in the ", " at the ")
    text = count + " " + words["size"] + " " + thing + suffix + where + words["place"]
    return text.tolist()


def _render(codes: pd.DataFrame, size: int, rng: np.random.Generator) -> np.ndarray:
    """Draw images (m, S, S, 3) of uint8."""
    m = len(codes)
    half = np.array(list(_SIZES.values()))[codes["size"]][:, None]  # (m, 1)
    slots = rng.permuted(np.tile(np.arange(3), (m, 1)), axis=1)  # of three beside
    there = np.arange(3) < codes["count"].to_numpy()[:, None]  # (m, 3)
    jitter = rng.uniform(-0.015, 0.015, size=(2, m, 3))
    across = (slots + 0.5) / 3 + jitter[0]
    down = (codes["place"].to_numpy()[:, None] + 0.5) / 3 + jitter[1]
    pixel = (np.arange(size, dtype=np.float32) + 0.5) / size
    dx = (pixel - across[..., None]) / half[..., None]  # (m, 3, S), in half sides
    dy = (pixel - down[..., None]) / half[..., None]
    inside = _inside(dx[:, :, None, :], dy[..., None], codes["shape"].to_numpy())
    hit = np.any(inside & there[..., None, None], axis=1)[..., None]  # (m, S, S, 1)
    brightness = rng.uniform(0.75, 1.0, size=(m, 1, 1, 1)).astype(np.float32)
    colour = brightness * _RGB[codes["colour"]][:, None, None]
    image = np.where(hit, colour, np.float32(_BACKGROUND))
    image = image + rng.normal(0.0, 0.05, size=image.shape).astype(np.float32)
    return np.rint(255 * image.clip(0, 1)).astype(np.uint8)


def _inside(x: np.ndarray, y: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """Tell which places are inside a shape; x and y in half sides from its centre."""
    wide, high = np.abs(x), np.abs(y)
    box = (wide <= 1) & (high <= 1)
    tests = [
        x**2 + y**2 <= 1,
        (wide <= 0.9) & (high <= 0.9),
        box & (wide <= (y + 1) / 2),
        (x**2 + y**2 <= 1.1) & (x**2 + y**2 >= 0.3),
        wide + high <= 1,
    ]
    return np.stack(tests)[shape, np.arange(len(shape))]
