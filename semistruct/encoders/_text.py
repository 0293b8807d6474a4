"""Encoders of texts that learn from scratch.

Letters: B rows, L tokens of a row, V ids, D width of a token, F features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from semistruct._core.validation import check_choice, check_number
from semistruct.encoders._base import Encoder
from semistruct.encoders._blocks import Block, check_sizes
from semistruct.encoders._mlp import MLP
from semistruct.exceptions import ParameterError

__all__ = ["TextBag", "TextTransformer", "masked_mean"]

_WORDS = "(L,), the number of tokens"


class TextTransformer(Encoder):
    """Transformer over the ids of a text.

    Embeddings of ids and of positions, pre-norm blocks with a hidden layer of 4·D GELU
    units, layer norm, pooling. Padding is seen by no token and is left out of the mean.

    Parameters
    ----------
    output_dim : int, default=16
        Length q of the latent vector, at least 1.
    dim : int, default=64
        Width D of a token, a multiple of ``heads``.
    depth : int, default=2
        Number of blocks, at least 1.
    heads : int, default=4
        Heads of the attention, at least 1.
    dropout : float, default=0.1
        Share of the embeddings, of the attention's weights and of what each half of a
        block adds that is dropped in training, in [0, 1).
    pooling : {"mean", "cls"}, default="mean"
        What a text's features are: the mean of its tokens, or the first token,
        ``[CLS]``.

    Notes
    -----
    Vaswani et al. (2017), doi:10.48550/arXiv.1706.03762; pre-norm: Xiong et al. (2020),
    doi:10.48550/arXiv.2002.04745.

    Examples
    --------
    >>> import torch
    >>> from semistruct.encoders import TextTransformer
    >>> module = TextTransformer(output_dim=4).build((12,), vocabulary=100)
    >>> module(torch.randint(1, 100, (5, 12))).shape
    torch.Size([5, 4])
    """

    needs: ClassVar[tuple[str, ...]] = ("vocabulary", "pad_id")

    def __init__(
        self,
        output_dim: int = 16,
        dim: int = 64,
        depth: int = 2,
        heads: int = 4,
        dropout: float = 0.1,
        pooling: str = "mean",
    ) -> None:
        self.output_dim = output_dim
        self.dim = dim
        self.depth = depth
        self.heads = heads
        self.dropout = dropout
        self.pooling = pooling

    def build(
        self,
        input_shape: tuple[int, ...],
        vocabulary: int | None = None,
        pad_id: int = 0,
    ) -> nn.Module:
        """Make an untrained module that maps ids (B, L) to (B, output_dim).

        Parameters
        ----------
        input_shape : tuple of one int
            (L,), the number of tokens, at most; fewer may come.
        vocabulary : int
            V, the number of ids.
        pad_id : int, default=0
            Id of padding.

        Returns
        -------
        torch.nn.Module
            ``features`` maps to (B, D), and ``head`` is linear.
        """
        owner = "TextTransformer"
        self._check_common(self.dropout)
        self._check_rank(input_shape, 1, _WORDS)
        check_sizes(self.dim, self.depth, self.heads, owner)
        kinds = ("mean", "cls")
        check_choice(self.pooling, kinds, parameter="pooling", owner=owner)
        size = _checked(vocabulary, owner)
        return _TransformerNet(
            nn.Embedding(size, self.dim),
            torch.randn(input_shape[0], self.dim),
            [self._block() for _ in range(self.depth)],
            nn.Linear(self.dim, self.output_dim),
            pad_id=pad_id,
            dropout=self.dropout,
            mean=self.pooling == "mean",
        )

    def _block(self) -> Block:
        dim = self.dim
        hidden = nn.Sequential(
            nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim)
        )
        return Block(dim, self.heads, nn.LayerNorm(dim), hidden, self.dropout)


class TextBag(Encoder):
    """Mean of the embeddings of a text's ids, then a perceptron; the order is ignored.

    Parameters
    ----------
    output_dim : int, default=16
        Length q of the latent vector, at least 1.
    dim : int, default=64
        Width D of an embedding, at least 1.
    hidden : sequence of int, default=(64,)
        Widths of the hidden layers, as for `MLP`.
    dropout : float, default=0.1
        Share of the hidden units that are dropped in training, in [0, 1).

    Notes
    -----
    After Joulin et al. (2017), doi:10.18653/v1/E17-2068.

    Examples
    --------
    >>> import torch
    >>> from semistruct.encoders import TextBag
    >>> module = TextBag(output_dim=4).build((12,), vocabulary=100)
    >>> module(torch.randint(1, 100, (5, 12))).shape
    torch.Size([5, 4])
    """

    needs: ClassVar[tuple[str, ...]] = ("vocabulary", "pad_id")

    def __init__(
        self,
        output_dim: int = 16,
        dim: int = 64,
        hidden: Sequence[int] = (64,),
        dropout: float = 0.1,
    ) -> None:
        self.output_dim = output_dim
        self.dim = dim
        self.hidden = hidden
        self.dropout = dropout

    def build(
        self,
        input_shape: tuple[int, ...],
        vocabulary: int | None = None,
        pad_id: int = 0,
    ) -> nn.Module:
        """Make an untrained module that maps ids (B, L) to (B, output_dim).

        Parameters
        ----------
        input_shape : tuple of one int
            (L,), the number of tokens.
        vocabulary : int
            V, the number of ids.
        pad_id : int, default=0
            Id of padding.

        Returns
        -------
        torch.nn.Module
        """
        owner = "TextBag"
        self._check_common(self.dropout)
        self._check_rank(input_shape, 1, _WORDS)
        check_number(self.dim, parameter="dim", owner=owner, low=1, integer=True)
        size = _checked(vocabulary, owner)
        perceptron = MLP(self.hidden, self.output_dim, self.dropout).build((self.dim,))
        return nn.Sequential(_Mean(size, self.dim, pad_id), perceptron)


def masked_mean(tokens: Tensor, present: Tensor) -> Tensor:
    """Mean over the tokens (B, L, D) that are present (B, L): (B, D), 0 without any."""
    share = present.to(tokens.dtype)
    share = share / share.sum(dim=1, keepdim=True).clamp_min(1.0)
    return (tokens * share[:, :, None]).sum(dim=1)


class _TransformerNet(nn.Module):
    """The module of `TextTransformer`."""

    def __init__(
        self,
        embedding: nn.Embedding,
        positions: Tensor,
        blocks: Sequence[nn.Module],
        head: nn.Linear,
        *,
        pad_id: int,
        dropout: float,
        mean: bool,
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.positions = nn.Parameter(positions)
        nn.init.normal_(self.embedding.weight, std=0.02)
        nn.init.normal_(self.positions, std=0.02)
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(positions.shape[1])
        self.dropout = nn.Dropout(dropout)
        self.head = head
        self.pad_id, self.mean = pad_id, mean

    def features(self, ids: Tensor) -> Tensor:
        """Map ids (B, L) to (B, D)."""
        ids = ids.long()
        present = ids != self.pad_id
        present[:, 0] = True  # so that each row has a token; a text begins with [CLS]
        tokens = self.embedding(ids) + self.positions[: ids.shape[1]]
        tokens = self.dropout(tokens)
        for block in self.blocks:
            tokens = block(tokens, present)
        tokens = self.norm(tokens)
        return masked_mean(tokens, present) if self.mean else tokens[:, 0]

    def forward(self, ids: Tensor) -> Tensor:
        """Map ids (B, L) to (B, q)."""
        return self.head(self.features(ids))


class _Mean(nn.Module):
    """Mean of embeddings."""

    def __init__(self, vocabulary: int, dim: int, pad_id: int) -> None:
        super().__init__()
        self.bag = nn.EmbeddingBag(vocabulary, dim, mode="mean", padding_idx=pad_id)

    def forward(self, ids: Tensor) -> Tensor:
        """Map ids (B, L) to (B, D); 0 where all is padding."""
        return self.bag(ids.long())


def _checked(vocabulary: int | None, owner: str) -> int:
    if vocabulary is None:
        raise ParameterError(
            parameter="vocabulary",
            owner=owner,
            allowed="the number of ids",
            given=None,
            hint="Give build_encoder the facts of the reader, TextColumn.facts.",
        )
    check_number(vocabulary, parameter="vocabulary", owner=owner, low=2, integer=True)
    return vocabulary
