"""A small convolutional network.

Letters: B rows, C channels, H and W height and width, F feature maps.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from semistruct._core.validation import check_number
from semistruct.encoders._augment import augmented
from semistruct.encoders._base import Encoder

_STAGE_SIDE = 32  # the stem halves longer sides until they are at most this
_FLAT_SIDE = 4  # maps of at most this side keep their positions


class CNN(Encoder):
    """Small convolutional network for images from 8×8 to 256×256 and beyond.

    A stem of strided convolutions brings the longer side down to 32; then come
    ``depth`` stages of two 3×3 convolutions, each with group norm and GELU, halved by
    max pooling between stages while the width doubles. Final maps of at most 4×4 are
    flattened (the place of a stroke counts in a tiny image); larger ones are pooled to
    their mean and maximum. Group norm alone would hide how bright an image is: hence
    convolutions have a bias, and the mean and the spread of each input channel join the
    features before the last linear layer.

    Parameters
    ----------
    width : int, default=16
        Feature maps of the first stage, at least 1.
    depth : int, default=2
        Number of stages, at least 1.
    output_dim : int, default=16
        Length q of the latent vector, at least 1.
    dropout : float, default=0.0
        Share of the pooled features that are dropped in training, in [0, 1).
    augment : Augment, str, callable or sequence of them, optional
        Changes of training images, see `Augment`.

    Notes
    -----
    Group norm (Wu & He 2018, doi:10.1007/978-3-030-01261-8_1) treats each image by
    itself, so a prediction never depends on the images beside it.

    Examples
    --------
    >>> import torch
    >>> from semistruct.encoders import CNN
    >>> module = CNN(width=8, output_dim=4).build((1, 8, 8))
    >>> module(torch.zeros(5, 1, 8, 8)).shape
    torch.Size([5, 4])
    """

    def __init__(
        self,
        width: int = 16,
        depth: int = 2,
        output_dim: int = 16,
        dropout: float = 0.0,
        augment: Any = None,
    ) -> None:
        self.width = width
        self.depth = depth
        self.output_dim = output_dim
        self.dropout = dropout
        self.augment = augment

    def build(self, input_shape: tuple[int, ...]) -> nn.Module:
        """Make an untrained module that maps (B, C, H, W) to (B, output_dim).

        Parameters
        ----------
        input_shape : tuple of three int
            (C, H, W).

        Returns
        -------
        torch.nn.Module
        """
        self._check_common(self.dropout)
        check_number(self.width, parameter="width", owner="CNN", low=1, integer=True)
        check_number(self.depth, parameter="depth", owner="CNN", low=1, integer=True)
        self._check_rank(input_shape, 3, "(channels, height, width)")
        channels, height, width = input_shape
        network = _ConvNet(
            channels,
            (height, width),
            self.width,
            self.depth,
            self.output_dim,
            self.dropout,
        )
        return augmented(network, self.augment)


class _ConvNet(nn.Module):
    """The module of `CNN`: ``maps`` and ``features`` are separable from ``head``."""

    def __init__(
        self,
        channels: int,
        size: tuple[int, int],
        width: int,
        depth: int,
        output_dim: int,
        dropout: float,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = channels
        while max(size) > _STAGE_SIDE:
            layers += _block(before, width, stride=2)
            before = width
            size = (_half(size[0]), _half(size[1]))
        for stage in range(depth):
            after = width * 2**stage
            if stage > 0 and max(size) > 2:
                layers.append(nn.MaxPool2d(2, ceil_mode=True))
                size = (_half(size[0]), _half(size[1]))
            layers += _block(before, after) + _block(after, after)
            before = after
        self.maps = nn.Sequential(*layers)
        self.flat = max(size) <= _FLAT_SIDE
        features = before * (size[0] * size[1] if self.flat else 2)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(features + 2 * channels, output_dim)

    def features(self, images: Tensor) -> Tensor:
        """Map (B, C, H, W) to the features that ``head`` reads."""
        maps = self.maps(images)  # (B, F, h, w)
        if self.flat:
            parts = [maps.flatten(1)]  # (B, F·h·w)
        else:
            parts = [maps.mean((2, 3)), maps.amax((2, 3))]  # (B, F) twice
        pixels = images.flatten(2)  # (B, C, H·W)
        spread = (pixels.var(2, unbiased=False) + 1e-6).sqrt()
        return torch.cat([*parts, pixels.mean(2), spread], dim=1)

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, q)."""
        return self.head(self.dropout(self.features(images)))


def _block(before: int, after: int, stride: int = 1) -> list[nn.Module]:
    """3×3 convolution, group norm, GELU."""
    convolution = nn.Conv2d(before, after, kernel_size=3, stride=stride, padding=1)
    return [convolution, nn.GroupNorm(_groups(after), after), nn.GELU()]


def _groups(channels: int) -> int:
    """Largest of 8, 4, 2, 1 groups that have at least four channels each."""
    for groups in (8, 4, 2):
        if channels % groups == 0 and channels // groups >= 4:
            return groups
    return 1


def _half(side: int) -> int:
    return (side + 1) // 2
