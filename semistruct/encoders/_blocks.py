"""The transformer block of texts and of tables.

Letters: B rows, L tokens, D width of a token, H heads.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from semistruct._core.validation import check_number
from semistruct.exceptions import ParameterError

__all__ = ["Block", "check_sizes"]


class Attention(nn.Module):
    """Self-attention of several heads.

    Parameters
    ----------
    dim : int
        D, a multiple of ``heads``.
    heads : int
        H.
    dropout : float
        Share of the attention's weights that are dropped in training.
    """

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.project = nn.Linear(dim, 3 * dim)  # queries, keys, values
        self.out = nn.Linear(dim, dim)

    def forward(self, tokens: Tensor, present: Tensor | None = None) -> Tensor:
        """Map (B, L, D) to (B, L, D); tokens that are not present (B, L) are unseen."""
        heads = self.project(tokens).unflatten(2, (3, self.heads, -1))  # (B,L,3,H,D/H)
        query, key, value = heads.permute(2, 0, 3, 1, 4).unbind(0)  # (B, H, L, D/H)
        mixed = functional.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=None if present is None else present[:, None, None, :],
            dropout_p=self.dropout if self.training else 0.0,
        )
        return self.out(mixed.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """A pre-norm block: x + attention(norm(x)), then x + feedforward(norm(x)).

    Parameters
    ----------
    dim, heads : int
        D and H.
    norm : torch.nn.Module
        Before the attention.
    feedforward : torch.nn.Module
        Maps (B, L, D) to (B, L, D).
    dropout : float
        Share of the attention's weights, and of what each half adds, that is dropped.

    Notes
    -----
    Xiong et al. (2020), On layer normalization in the transformer architecture, PMLR
    119, doi:10.48550/arXiv.2002.04745.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        norm: nn.Module,
        feedforward: nn.Module,
        dropout: float,
    ) -> None:
        super().__init__()
        self.attention = Attention(dim, heads, dropout)
        self.first, self.second = norm, nn.LayerNorm(dim)
        self.feedforward = feedforward
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, present: Tensor | None = None) -> Tensor:
        """Map (B, L, D) to (B, L, D); tokens that are not present (B, L) are unseen."""
        seen = self.attention(self.first(tokens), present)
        tokens = tokens + self.dropout(seen)
        return tokens + self.dropout(self.feedforward(self.second(tokens)))


def check_sizes(dim: object, depth: object, heads: object, owner: str) -> None:
    """Raise ParameterError unless the sizes of a transformer go together."""
    for name, value in (("dim", dim), ("depth", depth), ("heads", heads)):
        check_number(value, parameter=name, owner=owner, low=1, integer=True)
    if dim % heads:  # type: ignore[operator]
        raise ParameterError(
            parameter="dim",
            owner=owner,
            allowed=f"a multiple of the {heads} heads",
            given=dim,
        )
