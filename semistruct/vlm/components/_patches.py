"""From arrays to tokens and back, in one, two or three dimensions; positions.

Letters: B rows, C channels, k dimensions, S sides of an array, P sides of a patch,
N = ∏ ⌈S/P⌉ patches, D width of a token.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from semistruct._core.validation import suggest
from semistruct.exceptions import ParameterError

__all__ = [
    "ModalityEmbedding",
    "PatchEmbed",
    "patch_grid",
    "patchify",
    "sincos_positions",
    "unpatchify",
]

_AXES = (1, 2, 3)
_CONVOLUTION: dict[int, Any] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


def patch_grid(size: Sequence[int], patch: Sequence[int]) -> tuple[int, ...]:
    """Count patches along each side; the last one may reach beyond the border.

    Parameters
    ----------
    size, patch : sequence of int of the same length k
        S and P.

    Returns
    -------
    tuple of k int

    Examples
    --------
    >>> from semistruct.vlm.components import patch_grid
    >>> patch_grid((8, 9), (4, 4))
    (2, 3)
    """
    return tuple(-(-s // p) for s, p in zip(size, patch, strict=True))


def _filled(images: Tensor, patch: Sequence[int]) -> Tensor:
    """Fill up with zeros at the ends, to whole patches."""
    short = [-s % p for s, p in zip(images.shape[2:], patch, strict=True)]
    ends = [n for s in reversed(short) for n in (0, s)]
    return functional.pad(images, ends) if any(short) else images


def patchify(images: Tensor, patch: Sequence[int]) -> Tensor:
    """Cut arrays into patches, row by row of the grid.

    Parameters
    ----------
    images : Tensor of shape (B, C, *S)
        With one to three sides.
    patch : sequence of int
        P.

    Returns
    -------
    Tensor of shape (B, N, ∏P · C)
        Within a patch the channels come last.

    Examples
    --------
    >>> import torch
    >>> from semistruct.vlm.components import patchify
    >>> patchify(torch.arange(4.0).view(1, 1, 4), (2,)).tolist()
    [[[0.0, 1.0], [2.0, 3.0]]]
    """
    images = _filled(images, patch)
    k = len(patch)
    pieces = images
    for axis in range(k):  # (B, C, N1, P1, N2, P2, …)
        pieces = pieces.unflatten(2 + 2 * axis, (-1, patch[axis]))
    grid, within = range(2, 2 + 2 * k, 2), range(3, 3 + 2 * k, 2)
    return pieces.permute(0, *grid, *within, 1).flatten(1, k).flatten(2)


def unpatchify(patches: Tensor, size: Sequence[int], patch: Sequence[int]) -> Tensor:
    """Put patches together, the inverse of `patchify`.

    Parameters
    ----------
    patches : Tensor of shape (B, N, ∏P · C)
    size, patch : sequence of int
        S and P.

    Returns
    -------
    Tensor of shape (B, C, *S)

    Examples
    --------
    >>> import torch
    >>> from semistruct.vlm.components import patchify, unpatchify
    >>> x = torch.rand(2, 3, 5, 4)
    >>> torch.equal(unpatchify(patchify(x, (2, 2)), (5, 4), (2, 2)), x)
    True
    """
    k, grid = len(patch), patch_grid(size, patch)
    pieces = patches.unflatten(2, (*patch, -1)).unflatten(1, grid)
    order = [axis for i in range(k) for axis in (1 + i, 1 + k + i)]
    whole = pieces.permute(0, 1 + 2 * k, *order)  # (B, C, N1, P1, N2, P2, …)
    for axis in range(k):
        whole = whole.flatten(2 + axis, 3 + axis)
    for axis in range(k):
        whole = whole.narrow(2 + axis, 0, size[axis])
    return whole


class PatchEmbed(nn.Module):
    """Linear map of each patch of a signal, an image or a volume.

    Arrays are filled up with zeros at their ends to whole patches.

    Parameters
    ----------
    channels : int
        C.
    patch : sequence of 1, 2 or 3 int
        P, each at least 1.
    dim : int
        D.

    Notes
    -----
    Dosovitskiy et al. (2021), doi:10.48550/arXiv.2010.11929.

    Examples
    --------
    >>> import torch
    >>> from semistruct.vlm.components import PatchEmbed
    >>> PatchEmbed(1, (4, 4, 4), 16)(torch.zeros(2, 1, 8, 8, 4)).shape
    torch.Size([2, 4, 16])
    """

    def __init__(self, channels: int, patch: Sequence[int], dim: int) -> None:
        super().__init__()
        if len(patch) not in _AXES or min(patch) < 1:
            raise ParameterError(
                parameter="patch",
                owner="PatchEmbed",
                allowed="one to three sides, each at least 1",
                given=tuple(patch),
            )
        self.patch = tuple(patch)
        kind = _CONVOLUTION[len(patch)]
        self.project = kind(channels, dim, kernel_size=self.patch, stride=self.patch)

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, C, *S) to (B, N, D)."""
        return self.project(_filled(images, self.patch)).flatten(2).transpose(1, 2)


def sincos_positions(grid: Sequence[int], dim: int) -> Tensor:
    """Give fixed positions on a grid: sines and cosines of each coordinate.

    Each of k axes has ⌊dim / 2k⌋ frequencies 10000^(−j/⌊dim / 2k⌋), j = 0, 1, …: first
    the sines, then the cosines; what is left of ``dim`` is 0.

    Parameters
    ----------
    grid : sequence of int
        Tokens along each axis.
    dim : int
        D, at least 2k.

    Returns
    -------
    Tensor of shape (∏ grid, D)

    Notes
    -----
    Vaswani et al. (2017), doi:10.48550/arXiv.1706.03762.

    Examples
    --------
    >>> from semistruct.vlm.components import sincos_positions
    >>> sincos_positions((2, 3), 8).shape
    torch.Size([6, 8])
    """
    k = len(grid)
    count = dim // (2 * k)
    if count < 1:
        raise ParameterError(
            parameter="dim",
            owner="sincos_positions",
            allowed=f"at least {2 * k} for {k} axes",
            given=dim,
        )
    rates = 10000.0 ** (-torch.arange(count) / count)
    axes = [torch.arange(n, dtype=torch.float32) for n in grid]
    places = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).reshape(-1, k)
    angles = places[:, :, None] * rates  # (N, k, count)
    waves = torch.cat([angles.sin(), angles.cos()], dim=2).flatten(1)
    return functional.pad(waves, (0, dim - waves.shape[1]))


class ModalityEmbedding(nn.Module):
    """A learned vector for each modality, added to its tokens.

    Parameters
    ----------
    names : sequence of str
        The modalities.
    dim : int
        D.

    Examples
    --------
    >>> import torch
    >>> from semistruct.vlm.components import ModalityEmbedding
    >>> ModalityEmbedding(["image", "text"], 8)(torch.zeros(2, 3, 8), "text").shape
    torch.Size([2, 3, 8])
    """

    def __init__(self, names: Sequence[str], dim: int) -> None:
        super().__init__()
        self.vectors = nn.ParameterDict(
            {name: nn.Parameter(torch.randn(dim) / math.sqrt(dim)) for name in names}
        )

    def forward(self, tokens: Tensor, name: str) -> Tensor:
        """Map tokens (B, L, D) of the modality ``name`` to (B, L, D)."""
        if name not in self.vectors:
            raise ParameterError(
                parameter="name",
                owner="ModalityEmbedding",
                allowed=f"one of {sorted(self.vectors)}",
                given=name,
                hint=suggest(name, self.vectors),
            )
        return tokens + self.vectors[name]
