"""Encoders of rows that hold several images: bags of tiles, and views.

Letters: B rows, T tiles or views of a row, N of them that are present in a batch, C
channels, H height, W width, d length of a tile's vector, q of a row's.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from semistruct._core.validation import check_choice, check_number
from semistruct.encoders._base import Encoder
from semistruct.encoders._build import build_encoder
from semistruct.encoders._cnn import CNN
from semistruct.encoders._pooling import Attention, Max, Mean, Pooling
from semistruct.exceptions import ParameterError


class _Bags(Encoder):
    """An encoder of rows with several images each; abstract."""

    bags: ClassVar[bool] = True

    encoder: Any
    dropout: float

    def build(self, input_shape: tuple[int, ...]) -> nn.Module:
        r"""Make a module that maps (B, T, C + 1, H, W) to (B, output_dim).

        Parameters
        ----------
        input_shape : tuple of four int
            (T, C + 1, H, W); the last channel is 1 where there is a tile and else 0.

        Returns
        -------
        torch.nn.Module
            ``features`` maps to (B, d), ``head`` is linear, and ``attention`` gives the
            weights (B, T). T may be any number in each call.
        """
        owner = type(self).__name__
        self._check_common(self.dropout)
        words = "(tiles, channels + 1, height, width), at least one channel"
        self._check_rank(input_shape, 4, words)
        if input_shape[1] < 2:
            self._check_rank((), 4, words)
        encoder = CNN() if self.encoder is None else self.encoder
        known = isinstance(encoder, Encoder | nn.Module)
        if not known or getattr(encoder, "bags", False):
            raise ParameterError(
                parameter="encoder",
                owner=owner,
                allowed="an Encoder or a torch.nn.Module for single images, or None",
                given=encoder,
            )
        channels, height, width = input_shape[1] - 1, *input_shape[2:]
        tile, d = build_encoder(encoder, (channels, height, width))
        return BagNet(tile, self._pooling(d), d, self.output_dim, self.dropout)

    @abstractmethod
    def _pooling(self, d: int) -> Pooling:
        """Make the pooling of vectors of length d."""


class PatchBag(_Bags):
    """Bag of tiles, pooled by attention: slides, or any number of images for a row.

    An encoder gives each tile its vector h_k (GELU of what it puts out), and the bag is
    z = Σ a_k h_k, with a_k ∝ exp(w'[tanh(V h_k) ⊙ σ(U h_k)]), Σ a_k = 1: which tiles
    matter is learned from the rows' targets alone. The order of tiles does not count.

    Parameters
    ----------
    encoder : Encoder or torch.nn.Module, optional
        Of tiles; one for all. Default: `CNN`.
    attention : {"gated", "plain"}, default="gated"
        Whether the attention has the gate σ(U h_k).
    hidden : int, default=64
        Hidden units L of the attention, at least 1.
    output_dim : int, default=16
        Length q of the latent vector, at least 1.
    dropout : float, default=0.0
        Share of the pooled features that are dropped in training, in [0, 1).

    Notes
    -----
    Ilse, Tomczak & Welling (2018), PMLR 80, doi:10.48550/arXiv.1802.04712. A row is a
    tensor (T, C + 1, H, W): tiles, filled up to a common number T, and a last channel
    that is 1 where there is a tile. Only tiles that are there are encoded. A row
    without tiles has features of zeros.

    Examples
    --------
    >>> import torch
    >>> from semistruct.encoders import CNN, PatchBag
    >>> module = PatchBag(CNN(width=8), output_dim=4).build((6, 2, 8, 8))
    >>> bags = torch.randn(5, 6, 2, 8, 8)
    >>> bags[:, :, -1] = 1.0
    >>> bags[0, 4:] = 0.0  # the first row has four tiles
    >>> module(bags).shape
    torch.Size([5, 4])
    >>> module.attention(bags)[0, 4:].tolist()
    [0.0, 0.0]
    """

    def __init__(
        self,
        encoder: Any = None,
        attention: str = "gated",
        hidden: int = 64,
        output_dim: int = 16,
        dropout: float = 0.0,
    ) -> None:
        self.encoder = encoder
        self.attention = attention
        self.hidden = hidden
        self.output_dim = output_dim
        self.dropout = dropout

    def _pooling(self, d: int) -> Pooling:
        owner = "PatchBag"
        kinds = ("gated", "plain")
        check_choice(self.attention, kinds, parameter="attention", owner=owner)
        check_number(self.hidden, parameter="hidden", owner=owner, low=1, integer=True)
        return Attention(d, self.hidden, gated=self.attention == "gated")


class MultiView(_Bags):
    """Several photos of each row, one encoder for all of them, pooled.

    Photos that are missing are left out. Their order does not count; where it should,
    give each column a term of its own.

    Parameters
    ----------
    encoder : Encoder or torch.nn.Module, optional
        Of photos; one for all. Default: `CNN`.
    pooling : {"mean", "max", "attention"}, default="mean"
        How the photos' vectors become one; ``"attention"`` is that of `PatchBag`,
        gated, with 64 hidden units.
    output_dim : int, default=16
        Length q of the latent vector, at least 1.
    dropout : float, default=0.0
        Share of the pooled features that are dropped in training, in [0, 1).

    Notes
    -----
    The maximum over views: Su, Maji, Kalogerakis & Learned-Miller (2015),
    doi:10.1109/ICCV.2015.114. Rows are tensors as for `PatchBag`.

    Examples
    --------
    >>> import torch
    >>> from semistruct.encoders import MultiView
    >>> module = MultiView(pooling="max", output_dim=4).build((2, 4, 16, 16))
    >>> module(torch.ones(5, 2, 4, 16, 16)).shape
    torch.Size([5, 4])
    """

    def __init__(
        self,
        encoder: Any = None,
        pooling: str = "mean",
        output_dim: int = 16,
        dropout: float = 0.0,
    ) -> None:
        self.encoder = encoder
        self.pooling = pooling
        self.output_dim = output_dim
        self.dropout = dropout

    def _pooling(self, d: int) -> Pooling:
        kinds = ("mean", "max", "attention")
        check_choice(self.pooling, kinds, parameter="pooling", owner="MultiView")
        if self.pooling == "attention":
            return Attention(d, 64, gated=True)
        return Mean() if self.pooling == "mean" else Max()


class BagNet(nn.Module):
    """The module of `PatchBag` and `MultiView`.

    Parameters
    ----------
    tile : torch.nn.Module
        Maps (N, C, H, W) to (N, d).
    pooling : Pooling
        Maps (B, T, d) to (B, d).
    d : int
        Length of a tile's vector.
    output_dim : int
        q.
    dropout : float
        Share of the d pooled features that are dropped in training.
    """

    def __init__(
        self,
        tile: nn.Module,
        pooling: Pooling,
        d: int,
        output_dim: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.tile = tile
        self.pooling = pooling
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(d, output_dim)

    def tiles(self, bags: Tensor) -> tuple[Tensor, Tensor]:
        """Encode the tiles that are there.

        Parameters
        ----------
        bags : Tensor of shape (B, T, C + 1, H, W)

        Returns
        -------
        vectors : Tensor of shape (B, T, d)
            0 where there is no tile.
        present : Tensor of bool of shape (B, T)
        """
        present = bags[:, :, -1, 0, 0] > 0.5
        chosen = present.flatten()
        if not chosen.any():  # encode one blank, so that gradients have a way
            chosen = torch.zeros_like(chosen)
            chosen[0] = True
        images = bags[:, :, :-1].flatten(0, 1)[chosen]  # (N, C, H, W)
        found = nn.functional.gelu(self.tile(images))  # (N, d)
        vectors = found.new_zeros(len(chosen), found.shape[1])
        vectors[chosen] = found
        return vectors.reshape(*present.shape, -1), present

    def attention(self, bags: Tensor) -> Tensor:
        """Give the weights of tiles (B, T); they sum to 1 over those of a row.

        For the pooling ``"max"``: the share of features that a tile decides.
        """
        return self.pooling.weights(*self.tiles(bags))

    def features(self, bags: Tensor) -> Tensor:
        """Map (B, T, C + 1, H, W) to (B, d)."""
        return self.pooling(*self.tiles(bags))

    def forward(self, bags: Tensor) -> Tensor:
        """Map (B, T, C + 1, H, W) to (B, q)."""
        return self.head(self.dropout(self.features(bags)))
