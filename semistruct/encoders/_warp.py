"""Augmentations that have a name here: a draw of parameters, and one pass over a batch.

A transform maps uniform numbers u in [0, 1) to the parameters of a `Draw`; u = 0 leaves
the image as it is. What several transforms draw is merged, so that a batch is sampled
once, with bilinear weights; beyond the border the nearest pixel stands in.

Letters: B images, C channels, H height, W width, m draws (B, or 1 for all), d numbers
that a transform takes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["TRANSFORMS", "Draw", "Transform", "apply", "merge"]


class Draw(NamedTuple):
    """Parameters of m images; None where no transform touches them.

    Attributes
    ----------
    mirror : Tensor of bool of shape (m, 2) or None
        Whether columns, and whether rows, are reversed; comes before the matrix.
    matrix : Tensor of shape (m, 3, 3) or None
        From the pixels of the result to those of the image: (x, y, 1), in pixels from
        the centre.
    shade : Tensor of shape (m, 2) or None
        Factor of the contrast about the channel's mean, and what is added.
    """

    mirror: Tensor | None = None
    matrix: Tensor | None = None
    shade: Tensor | None = None


class Transform(NamedTuple):
    """A named transform.

    Attributes
    ----------
    numbers : int
        How many uniform numbers d it takes for an image.
    draw : callable
        From u (m, d), (H, W) and the strength to a `Draw`.
    """

    numbers: int
    draw: Callable[[Tensor, tuple[int, int], float], Draw]


def apply(images: Tensor, draw: Draw) -> Tensor:
    """Transform images (B, C, H, W) by B draws, or all of them by one.

    Parameters
    ----------
    images : Tensor of shape (B, C, H, W)
        Floating; never changed in place.
    draw : Draw
        Of m = B or m = 1.

    Returns
    -------
    Tensor of shape (B, C, H, W)
    """
    if draw.mirror is not None:
        for axis in (0, 1):
            chosen = draw.mirror[:, axis, None, None, None]
            images = torch.where(chosen, images.flip(3 - axis), images)
    if draw.matrix is not None:
        images = _sample(images, draw.matrix)
    if draw.shade is not None:
        gain, shift = draw.shade[:, :, None, None, None].unbind(1)  # (m, 1, 1, 1) each
        mean = images.mean((2, 3), keepdim=True)
        images = mean + gain * (images - mean) + shift
    return images


def merge(draws: Sequence[Draw]) -> Draw:
    """Merge draws of the same images, the first one applied first.

    Mirrors go before everything, shades after it.
    """
    mirrors = [d.mirror for d in draws if d.mirror is not None]
    matrices = [d.matrix for d in draws if d.matrix is not None]
    shades = [d.shade for d in draws if d.shade is not None]
    mirror, matrix, shade = None, None, None
    for one in mirrors:
        mirror = one if mirror is None else mirror ^ one
    for one in matrices:
        matrix = one if matrix is None else matrix @ one
    for one in shades:
        shade = (
            one
            if shade is None
            else torch.stack([shade[:, 0] * one[:, 0], shade[:, 1] + one[:, 1]], dim=1)
        )
    return Draw(mirror, matrix, shade)


def _sample(images: Tensor, matrix: Tensor) -> Tensor:
    """Sample images (B, C, H, W) where the matrices (m, 3, 3) point to."""
    height, width = images.shape[2:]
    half = matrix.new_tensor([width / 2, height / 2, 1.0])
    theta = (matrix * half / half[:, None])[:, :2]  # pixels -> [-1, 1]
    theta = theta.expand(len(images), -1, -1).to(images.dtype)
    size = list(images.shape)
    grid = functional.affine_grid(theta, size, align_corners=False)
    return functional.grid_sample(
        images, grid, padding_mode="border", align_corners=False
    )


def _signed(u: Tensor) -> Tensor:
    """Map [0, 1) to [-1, 1), uniformly, with 0 at 0."""
    return 2 * ((u + 0.5) % 1.0) - 1


def _matrix(
    u: Tensor, rows: Sequence[Sequence[Tensor | float]]
) -> Tensor:  # u (m, d) says how many and where
    """Stack entries, each (m,) or a number, to (m, 3, 3)."""
    blank = u.new_zeros(len(u))
    entries = [blank + entry for row in (*rows, (0.0, 0.0, 1.0)) for entry in row]
    return torch.stack(entries, dim=1).reshape(-1, 3, 3)


def _rotation(u: Tensor, angle: Tensor) -> Tensor:
    cos, sin = angle.cos(), angle.sin()
    return _matrix(u, [(cos, -sin, 0.0), (sin, cos, 0.0)])


def _flip(u: Tensor, size: tuple[int, int], strength: float) -> Draw:
    chosen = u[:, :1] >= 0.5
    return Draw(mirror=torch.cat([chosen, torch.zeros_like(chosen)], dim=1))


def _vertical_flip(u: Tensor, size: tuple[int, int], strength: float) -> Draw:
    chosen = u[:, :1] >= 0.5
    return Draw(mirror=torch.cat([torch.zeros_like(chosen), chosen], dim=1))


def _rotate(u: Tensor, size: tuple[int, int], strength: float) -> Draw:
    """Turn by up to 15°."""
    angle = math.radians(15.0) * strength * _signed(u[:, 0])
    return Draw(matrix=_rotation(u, angle))


def _crop(u: Tensor, size: tuple[int, int], strength: float) -> Draw:
    """Enlarge a window of at least 3/4 of the side, wherever it lies."""
    side = 1 - min(0.25 * strength, 0.9) * u[:, 0]
    height, width = size
    x = width / 2 * (1 - side) * _signed(u[:, 1])
    y = height / 2 * (1 - side) * _signed(u[:, 2])
    return Draw(matrix=_matrix(u, [(side, 0.0, x), (0.0, side, y)]))


def _jitter(u: Tensor, size: tuple[int, int], strength: float) -> Draw:
    """Change contrast by up to a quarter, brightness by up to a quarter of the SD."""
    amount = 0.25 * strength * _signed(u)
    return Draw(shade=torch.stack([1 + amount[:, 0], amount[:, 1]], dim=1))


_RAND_OPERATIONS = 8  # of _rand_augment, the first of them nothing


def _rand_augment(u: Tensor, size: tuple[int, int], strength: float) -> Draw:
    """Two operations of eight, each with its own amount."""
    return merge([_rand_one(u[:, 2 * i : 2 * i + 2], size, strength) for i in (0, 1)])


def _rand_one(u: Tensor, size: tuple[int, int], strength: float) -> Draw:
    """Do the operation that u[:, 0] picks: none, turn, shear, move or shade."""
    height, width = size
    chosen = (u[:, 0] * _RAND_OPERATIONS).floor()
    amount = strength * _signed(u[:, 1])
    # where an operation is not the chosen one, its amount is 0
    amounts = [amount * (chosen == i) for i in range(_RAND_OPERATIONS)]
    _, turn, shear_x, shear_y, x, y, bright, contrast = amounts
    shear: list[tuple[Tensor | float, ...]] = [
        (1.0, 0.3 * shear_x, 0.2 * width * x),
        (0.3 * shear_y, 1.0, 0.2 * height * y),
    ]
    matrix = _rotation(u, math.radians(30.0) * turn) @ _matrix(u, shear)
    shade = torch.stack([1 + 0.4 * contrast.clamp(-2.0, 2.0), 0.4 * bright], dim=1)
    return Draw(matrix=matrix, shade=shade)


TRANSFORMS: Mapping[str, Transform] = MappingProxyType(
    {
        "flip": Transform(1, _flip),
        "vertical_flip": Transform(1, _vertical_flip),
        "crop": Transform(3, _crop),
        "rotate": Transform(1, _rotate),
        "jitter": Transform(2, _jitter),
        "randaugment": Transform(4, _rand_augment),
    }
)
