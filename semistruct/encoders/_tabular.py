"""Encoders of tables.

Letters: B rows, p columns, k of them (the last ones) codes, D width, T = p + 1 tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from semistruct._core.validation import check_number
from semistruct.encoders._base import Encoder
from semistruct.encoders._blocks import Block, check_sizes
from semistruct.encoders._categories import (
    Categories,
    Embedded,
    check_cardinalities,
)

__all__ = ["FTTransformer", "ResNetMLP"]

_WORDS = "(p,), the number of columns"


class ResNetMLP(Encoder):
    """Perceptron of residual blocks x + linear(dropout(ReLU(linear(norm(x))))).

    Parameters
    ----------
    dim : int, default=128
        Width D of a block, at least 2.
    depth : int, default=2
        Number of blocks, at least 1.
    factor : float, default=2.0
        Hidden units of a block, as a multiple of D; above 0.
    output_dim : int, default=16
        Length q of the latent vector, at least 1.
    dropout : float, default=0.1
        Share of the hidden units that are dropped in training, in [0, 1).
    embedding_dim : int, optional
        As for `MLP`.

    Notes
    -----
    Gorishniy, Rubachev, Khrulkov & Babenko (2021), doi:10.48550/arXiv.2106.11959. The
    norm here is layer norm, there it is batch norm: a row does not depend on the rows
    beside it, in training neither.

    Examples
    --------
    >>> import torch
    >>> from semistruct.encoders import ResNetMLP
    >>> module = ResNetMLP(output_dim=4).build((10,), cardinalities=(3,))
    >>> module(torch.zeros(5, 10)).shape
    torch.Size([5, 4])
    """

    needs: ClassVar[tuple[str, ...]] = ("cardinalities",)

    def __init__(
        self,
        dim: int = 128,
        depth: int = 2,
        factor: float = 2.0,
        output_dim: int = 16,
        dropout: float = 0.1,
        embedding_dim: int | None = None,
    ) -> None:
        self.dim = dim
        self.depth = depth
        self.factor = factor
        self.output_dim = output_dim
        self.dropout = dropout
        self.embedding_dim = embedding_dim

    def build(
        self, input_shape: tuple[int, ...], cardinalities: Sequence[int] = ()
    ) -> nn.Module:
        """Make an untrained module that maps (B, p) to (B, output_dim).

        Parameters
        ----------
        input_shape : tuple of one int
            (p,), the number of columns.
        cardinalities : sequence of k int, default=()
            For each of the last k columns, which hold codes, the number of codes.

        Returns
        -------
        torch.nn.Module
        """
        owner = "ResNetMLP"
        self._check_common(self.dropout)
        self._check_rank(input_shape, 1, _WORDS)
        check_cardinalities(cardinalities, input_shape, owner)
        check_number(self.dim, parameter="dim", owner=owner, low=2, integer=True)
        check_number(self.depth, parameter="depth", owner=owner, low=1, integer=True)
        check_number(
            self.factor, parameter="factor", owner=owner, low=0, closed="neither"
        )
        check_number(
            self.embedding_dim,
            parameter="embedding_dim",
            owner=owner,
            low=1,
            integer=True,
            none=True,
        )
        inputs = Embedded(input_shape[0], cardinalities, self.embedding_dim)
        hidden = max(1, round(self.factor * self.dim))
        blocks = [_Residual(self.dim, hidden, self.dropout) for _ in range(self.depth)]
        return nn.Sequential(
            inputs,
            nn.Linear(inputs.width, self.dim),
            *blocks,
            nn.LayerNorm(self.dim),
            nn.ReLU(),
            nn.Linear(self.dim, self.output_dim),
        )


class FTTransformer(Encoder):
    """Feature tokenizer and transformer: each column becomes a token.

    A number x_j becomes x_j·w_j + b_j, a category c of column j the embedding e_jc +
    b_j. Pre-norm blocks follow (ReGLU units, 4/3·D of them; no norm before the first
    attention), and the state of an additional token goes through layer norm, ReLU and a
    linear map.

    Parameters
    ----------
    dim : int, default=64
        Width D of a token, a multiple of ``heads``.
    depth : int, default=2
        Number of blocks, at least 1.
    heads : int, default=4
        Heads of the attention, at least 1.
    output_dim : int, default=16
        Length q of the latent vector, at least 1.
    dropout : float, default=0.1
        Share of the attention's weights, of the hidden units and of what each half of a
        block adds that is dropped in training, in [0, 1).

    Notes
    -----
    Gorishniy, Rubachev, Khrulkov & Babenko (2021), doi:10.48550/arXiv.2106.11959. Its
    cost grows with p²: it is for tens of columns, not for thousands.

    Examples
    --------
    >>> import torch
    >>> from semistruct.encoders import FTTransformer
    >>> module = FTTransformer(output_dim=4).build((10,), cardinalities=(3, 5))
    >>> module(torch.zeros(5, 10)).shape
    torch.Size([5, 4])
    """

    needs: ClassVar[tuple[str, ...]] = ("cardinalities",)

    def __init__(
        self,
        dim: int = 64,
        depth: int = 2,
        heads: int = 4,
        output_dim: int = 16,
        dropout: float = 0.1,
    ) -> None:
        self.dim = dim
        self.depth = depth
        self.heads = heads
        self.output_dim = output_dim
        self.dropout = dropout

    def build(
        self, input_shape: tuple[int, ...], cardinalities: Sequence[int] = ()
    ) -> nn.Module:
        """Make an untrained module that maps (B, p) to (B, output_dim).

        Parameters
        ----------
        input_shape : tuple of one int
            (p,), the number of columns.
        cardinalities : sequence of k int, default=()
            For each of the last k columns, which hold codes, the number of codes.

        Returns
        -------
        torch.nn.Module
            ``tokenizer`` maps (B, p) to the tokens (B, T, D), the additional one first.
        """
        self._check_common(self.dropout)
        self._check_rank(input_shape, 1, _WORDS)
        check_cardinalities(cardinalities, input_shape, "FTTransformer")
        check_sizes(self.dim, self.depth, self.heads, "FTTransformer")
        return _FTNet(
            _FeatureTokenizer(input_shape[0], cardinalities, self.dim),
            [self._block(first=i == 0) for i in range(self.depth)],
            nn.LayerNorm(self.dim),
            nn.Linear(self.dim, self.output_dim),
        )

    def _block(self, *, first: bool) -> Block:
        dim, hidden = self.dim, max(1, round(self.dim * 4 / 3))
        feedforward = nn.Sequential(
            nn.Linear(dim, 2 * hidden),
            _ReGLU(),
            nn.Dropout(self.dropout),
            nn.Linear(hidden, dim),
        )
        norm = nn.Identity() if first else nn.LayerNorm(dim)
        return Block(dim, self.heads, norm, feedforward, self.dropout)


class _Residual(nn.Module):
    """One block of `ResNetMLP`."""

    def __init__(self, dim: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.LayerNorm(dim),
            nn.Linear(dim, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, dim),
            nn.Dropout(dropout),
        )

    def forward(self, rows: Tensor) -> Tensor:
        """Map (B, D) to (B, D)."""
        return rows + self.body(rows)


class _ReGLU(nn.Module):
    """The first half times the ReLU of the second (Shazeer 2020, arXiv:2002.05202)."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (…, 2h) to (…, h)."""
        value, gate = x.chunk(2, dim=-1)
        return value * gate.relu()


class _FeatureTokenizer(nn.Module):
    """Tokens of a block of columns."""

    def __init__(self, p: int, cardinalities: Sequence[int], dim: int) -> None:
        super().__init__()
        self.n_numeric = p - len(cardinalities)
        self.first = nn.Parameter(torch.empty(1, 1, dim))
        self.bias = nn.Parameter(torch.empty(p, dim))
        self.slope = (
            nn.Parameter(torch.empty(self.n_numeric, dim)) if self.n_numeric else None
        )
        self.categories = Categories(cardinalities, [dim] * len(cardinalities))
        bound = dim**-0.5
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def forward(self, rows: Tensor) -> Tensor:
        """Map (B, p) to (B, T, D)."""
        found = self.categories(rows[:, self.n_numeric :])
        tokens = [category[:, None] for category in found]
        if self.slope is not None:
            numbers = rows[:, : self.n_numeric, None] * self.slope
            tokens = [numbers, *tokens]
        first = self.first.expand(len(rows), -1, -1)
        return torch.cat([first, torch.cat(tokens, dim=1) + self.bias], dim=1)


class _FTNet(nn.Module):
    """The module of `FTTransformer`."""

    def __init__(
        self,
        tokenizer: _FeatureTokenizer,
        blocks: Sequence[nn.Module],
        norm: nn.Module,
        head: nn.Linear,
    ) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self.blocks = nn.ModuleList(blocks)
        self.norm = norm
        self.head = head

    def features(self, rows: Tensor) -> Tensor:
        """Map (B, p) to (B, D)."""
        tokens = self.tokenizer(rows)
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens[:, 0]).relu()

    def forward(self, rows: Tensor) -> Tensor:
        """Map (B, p) to (B, q)."""
        return self.head(self.features(rows))
