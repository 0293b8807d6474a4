"""Two looks at one image: random changes that leave its meaning as it is.

Letters: B images, C channels, H height, W width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from semistruct._core.validation import check_number

__all__ = ["Views"]


@dataclass(frozen=True)
class Views:
    """Random changes of images, each with a draw of its own.

    Parameters
    ----------
    rotate : float, default=15.0
        Largest angle in degrees, either way, in [0, 180].
    shift : float, default=0.1
        Largest shift, either way, as a share of the side, in [0, 1].
    scale : float, default=0.15
        Largest change of the size, in [0, 1): factors 1 − scale to 1 + scale.
    shear : float, default=0.1
        Largest shear, either way, in [0, 1].
    contrast : float, default=0.2
        Largest change of the contrast about the image's mean, in [0, 1].
    brightness : float, default=0.2
        Largest shift of all pixels, in standard deviations of the column, ≥ 0.
    noise : float, default=0.1
        Standard deviation of what is added to each pixel, ≥ 0.
    erase : float, default=0.0
        Share of the side of a square that is set to the image's mean, in [0, 1).
    flip : bool, default=False
        Whether every second image is mirrored, left and right.

    Examples
    --------
    >>> import torch
    >>> from semistruct.vlm.components import Views
    >>> Views()(torch.rand(4, 1, 8, 8)).shape
    torch.Size([4, 1, 8, 8])
    """

    rotate: float = 15.0
    shift: float = 0.1
    scale: float = 0.15
    shear: float = 0.1
    contrast: float = 0.2
    brightness: float = 0.2
    noise: float = 0.1
    erase: float = 0.0
    flip: bool = False

    def check(self, owner: str) -> None:
        """Check the ranges.

        Parameters
        ----------
        owner : str
            Who is named in messages.
        """
        for name, high in _HIGHEST.items():
            check_number(
                getattr(self, name),
                parameter=name,
                owner=f"Views ({owner})",
                low=0,
                high=high,
                closed="left" if name in ("scale", "erase") else "both",
            )

    def __call__(
        self, images: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """Change images.

        Parameters
        ----------
        images : Tensor of shape (B, C, H, W)
            Standardised; not changed in place.
        generator : torch.Generator, optional
            On the images' device; torch's global one when not given.

        Returns
        -------
        Tensor of shape (B, C, H, W)
        """
        u = torch.rand(len(images), 10, generator=generator, device=images.device)
        u = 2 * u - 1  # (B, 10), in [−1, 1)
        images = self._moved(images, u)
        mean = images.mean(dim=(1, 2, 3), keepdim=True)
        gain, lift = (v[:, None, None, None] for v in (u[:, 6], u[:, 7]))
        images = mean + (1 + self.contrast * gain) * (images - mean)
        images = images + self.brightness * lift
        if self.erase > 0:
            images = torch.where(self._hole(images, u[:, 8:]), mean, images)
        if self.noise > 0:
            noise = torch.randn(images.shape, generator=generator, device=images.device)
            images = images + self.noise * noise
        return images

    def _moved(self, images: Tensor, u: Tensor) -> Tensor:
        """Rotate, scale, shear and shift, in one pass of bilinear interpolation."""
        angle = math.radians(self.rotate) * u[:, 0]
        size = 1 / (1 + self.scale * u[:, 1])
        shear = self.shear * u[:, 2]
        mirror = torch.where(u[:, 5] < 0, -1.0, 1.0) if self.flip else 1.0
        cos, sin = size * angle.cos(), size * angle.sin()
        across = torch.stack([cos * mirror, shear - sin, 2 * self.shift * u[:, 3]], 1)
        down = torch.stack([sin * mirror, cos, 2 * self.shift * u[:, 4]], 1)
        matrix = torch.stack([across, down], dim=1)  # (B, 2, 3)
        grid = functional.affine_grid(matrix, list(images.shape), align_corners=False)
        return functional.grid_sample(
            images, grid.to(images.dtype), padding_mode="border", align_corners=False
        )

    def _hole(self, images: Tensor, u: Tensor) -> Tensor:
        """Mark a square in each image, (B, 1, H, W)."""
        inside = images.new_ones(len(images), 1, 1, 1, dtype=torch.bool)
        for axis, side in enumerate(images.shape[2:]):
            width = max(1, round(self.erase * side))
            start = ((u[:, axis] + 1) / 2 * (side - width + 1)).floor()[:, None]
            place = torch.arange(side, device=images.device)
            hit = (place >= start) & (place < start + width)  # (B, side)
            inside = inside & (
                hit[:, None, :, None] if axis == 0 else hit[:, None, None]
            )
        return inside


_HIGHEST = {
    "rotate": 180.0,
    "shift": 1.0,
    "scale": 1.0,
    "shear": 1.0,
    "contrast": 1.0,
    "brightness": math.inf,
    "noise": math.inf,
    "erase": 1.0,
}
