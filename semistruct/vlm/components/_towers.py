"""Towers: what turns one modality into features, as specifications and as modules.

Letters: B rows, C channels, H height, W width, N patches, L tokens, D width of a token,
F features.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from semistruct._core.validation import check_choice, check_number
from semistruct.encoders import CNN
from semistruct.exceptions import DataError
from semistruct.vlm.components._patches import (
    PatchEmbed,
    patch_grid,
    sincos_positions,
)
from semistruct.vlm.components._transformer import Transformer

__all__ = [
    "ConvTower",
    "Facts",
    "ImageTower",
    "PatchModule",
    "PatchTower",
    "TextModule",
    "TextTower",
]


@dataclass(frozen=True)
class Facts:
    """What the data say, and a configuration does not.

    Parameters
    ----------
    image : tuple of three int, optional
        (C, H, W) of the images.
    vocabulary : int, optional
        Number of ids of the texts.
    length : int, optional
        Tokens L of a text.
    pad_id : int, default=0
        Id of padding.

    Examples
    --------
    >>> from semistruct.vlm.components import Facts
    >>> Facts(image=(1, 8, 8)).channels
    1
    """

    image: tuple[int, int, int] | None = None
    vocabulary: int | None = None
    length: int | None = None
    pad_id: int = 0

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W), which must be there."""
        if self.image is None:
            raise DataError("This system reads images, and there are none.")
        return self.image

    @property
    def channels(self) -> int:
        """C."""
        return self.shape[0]

    @property
    def text(self) -> tuple[int, int]:
        """(vocabulary, length), which must be there."""
        if self.vocabulary is None or self.length is None:
            raise DataError("This system reads texts, and there are none.")
        return self.vocabulary, self.length


@dataclass(frozen=True)
class ConvTower:
    """Image tower of convolutions, `semistruct.encoders.CNN`.

    Parameters
    ----------
    dim : int, default=64
        F.
    width : int, default=16
        Feature maps of the first stage.
    depth : int, default=2
        Stages.
    """

    dim: int = 64
    width: int = 16
    depth: int = 2

    def features(self, facts: Facts) -> int:
        """Give F.

        Parameters
        ----------
        facts : Facts

        Returns
        -------
        int
        """
        return self.dim

    def build(self, facts: Facts) -> nn.Module:
        """Make a module from (B, C, H, W) to (B, F).

        Parameters
        ----------
        facts : Facts

        Returns
        -------
        torch.nn.Module
        """
        encoder = CNN(width=self.width, depth=self.depth, output_dim=self.dim)
        return encoder.build(facts.shape)


@dataclass(frozen=True)
class PatchTower:
    """Image tower of patches, a small vision transformer.

    Parameters
    ----------
    dim : int, default=64
        D, a multiple of ``heads``.
    depth : int, default=2
        Blocks.
    heads : int, default=4
        Heads of the attention.
    patch : int, default=4
        Side of a patch in pixels.
    pool : {"mean", "flat"}, default="mean"
        What an image's features are: the mean of its tokens, F = D; or all of them side
        by side, F = N·D, for tiny images, in which the place of a stroke counts.
    """

    dim: int = 64
    depth: int = 2
    heads: int = 4
    patch: int = 4
    pool: str = "mean"

    def features(self, facts: Facts) -> int:
        """Give F.

        Parameters
        ----------
        facts : Facts

        Returns
        -------
        int
        """
        if self.pool == "mean":
            return self.dim
        return self.dim * math.prod(patch_grid(facts.shape[1:], (self.patch,) * 2))

    def build(self, facts: Facts) -> PatchModule:
        """Make a module from (B, C, H, W) to (B, F).

        Parameters
        ----------
        facts : Facts

        Returns
        -------
        PatchModule
        """
        check_number(
            self.patch, parameter="patch", owner="PatchTower", low=1, integer=True
        )
        kinds = ("mean", "flat")
        check_choice(self.pool, kinds, parameter="pool", owner="PatchTower")
        return PatchModule(self, facts)


ImageTower = ConvTower | PatchTower


@dataclass(frozen=True)
class TextTower:
    """Text tower, a small transformer over ids.

    Parameters
    ----------
    dim : int, default=64
        D and F, a multiple of ``heads``.
    depth : int, default=2
        Blocks.
    heads : int, default=4
        Heads of the attention.
    """

    dim: int = 64
    depth: int = 2
    heads: int = 4

    def build(self, facts: Facts) -> TextModule:
        """Make a module from ids (B, L) to (B, F).

        Parameters
        ----------
        facts : Facts

        Returns
        -------
        TextModule
        """
        return TextModule(self, facts)


class PatchModule(nn.Module):
    """The module of `PatchTower`: patches, fixed positions, a transformer, pooling.

    Parameters
    ----------
    spec : PatchTower
    facts : Facts

    Notes
    -----
    Dosovitskiy et al. (2021), doi:10.48550/arXiv.2010.11929, without a class token.
    """

    positions: Tensor

    def __init__(self, spec: PatchTower, facts: Facts) -> None:
        super().__init__()
        self.patch = (spec.patch, spec.patch)
        self.grid = patch_grid(facts.shape[1:], self.patch)
        self.embed = PatchEmbed(facts.channels, self.patch, spec.dim)
        self.register_buffer(
            "positions", sincos_positions(self.grid, spec.dim), persistent=False
        )
        self.transformer = Transformer(spec.dim, spec.depth, spec.heads)
        self.flat = spec.pool == "flat"

    def tokens(self, images: Tensor) -> Tensor:
        """Map (B, C, H, W) to tokens (B, N, D), positions not yet in them."""
        return self.embed(images)

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, F)."""
        tokens = self.transformer(self.tokens(images) + self.positions)
        return tokens.flatten(1) if self.flat else tokens.mean(dim=1)


class TextModule(nn.Module):
    """The module of `TextTower`: ids, learned positions, a transformer, their mean.

    Parameters
    ----------
    spec : TextTower
    facts : Facts
    """

    def __init__(self, spec: TextTower, facts: Facts) -> None:
        super().__init__()
        vocabulary, length = facts.text
        self.pad_id = facts.pad_id
        self.embedding = nn.Embedding(vocabulary, spec.dim)
        self.positions = nn.Parameter(torch.empty(length, spec.dim))
        for weight in (self.embedding.weight, self.positions):
            nn.init.normal_(weight, std=0.02)
        self.transformer = Transformer(spec.dim, spec.depth, spec.heads)

    def present(self, ids: Tensor) -> Tensor:
        """Tell which tokens are there, (B, L); the first always is."""
        present = ids != self.pad_id
        return torch.cat([torch.ones_like(present[:, :1]), present[:, 1:]], dim=1)

    def tokens(self, ids: Tensor) -> Tensor:
        """Map ids (B, L) to tokens (B, L, D), positions not yet in them."""
        return self.embedding(ids.long())

    def forward(self, ids: Tensor) -> Tensor:
        """Map ids (B, L) to (B, F)."""
        present = self.present(ids)
        tokens = self.tokens(ids) + self.positions[: ids.shape[1]]
        tokens = self.transformer(tokens, present=present)
        share = present.to(tokens.dtype)
        share = share / share.sum(dim=1, keepdim=True)
        return (tokens * share[:, :, None]).sum(dim=1)
