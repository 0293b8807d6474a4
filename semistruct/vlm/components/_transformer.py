"""Blocks of attention and feed-forward, and stacks of them.

Letters: B rows, L tokens, D width of a token, M tokens of a context, E experts,
T = B·L tokens of a batch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from semistruct._core.validation import check_number
from semistruct.vlm.components._attention import Attention

__all__ = ["Block", "FeedForward", "MixtureOfExperts", "Transformer"]


class FeedForward(nn.Sequential):
    """Linear, GELU, linear.

    Parameters
    ----------
    dim : int
        D.
    ratio : float, default=4.0
        Hidden units, as a multiple of D.

    Examples
    --------
    >>> import torch
    >>> from semistruct.vlm.components import FeedForward
    >>> FeedForward(8)(torch.zeros(2, 3, 8)).shape
    torch.Size([2, 3, 8])
    """

    def __init__(self, dim: int, ratio: float = 4.0) -> None:
        hidden = int(dim * ratio)
        super().__init__(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim))


class MixtureOfExperts(nn.Module):
    """Feed-forwards of which each token takes the best few, weighted by a router.

    y = Σ_e g_e F_e(x), with g the router's softmax over the ``top`` largest scores and
    0 elsewhere. `route` gives what `load_balance` needs.

    Parameters
    ----------
    dim : int
        D.
    experts : int
        E, at least 1.
    top : int, default=1
        Experts that a token takes, in [1, E].
    ratio : float, default=4.0
        Hidden units of an expert, as a multiple of D.

    Notes
    -----
    Shazeer et al. (2017), doi:10.48550/arXiv.1701.06538. With ``top=1`` the gate is the
    full softmax's largest entry (Fedus et al. 2022, doi:10.48550/arXiv.2101.03961), so
    that the router has a gradient.

    Examples
    --------
    >>> import torch
    >>> from semistruct.vlm.components import MixtureOfExperts
    >>> MixtureOfExperts(8, experts=4, top=2)(torch.zeros(2, 3, 8)).shape
    torch.Size([2, 3, 8])
    """

    def __init__(
        self, dim: int, experts: int, top: int = 1, ratio: float = 4.0
    ) -> None:
        super().__init__()
        owner = "MixtureOfExperts"
        check_number(experts, parameter="experts", owner=owner, low=1, integer=True)
        check_number(
            top, parameter="top", owner=owner, low=1, high=experts, integer=True
        )
        self.top = top
        self.router = nn.Linear(dim, experts)
        self.experts = nn.ModuleList(FeedForward(dim, ratio) for _ in range(experts))

    def route(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Give the router's probabilities and the gates.

        Parameters
        ----------
        tokens : Tensor of shape (T, D)

        Returns
        -------
        probability : Tensor of shape (T, E)
        gates : Tensor of shape (T, E)
            0 for experts that are not taken.
        """
        probability = self.router(tokens).softmax(dim=1)
        best = probability.topk(self.top, dim=1)
        kept = best.values
        if self.top > 1:
            kept = kept / kept.sum(dim=1, keepdim=True)
        gates = torch.zeros_like(probability).scatter(1, best.indices, kept)
        return probability, gates

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (B, L, D) to (B, L, D)."""
        flat = tokens.flatten(0, 1)  # (T, D)
        gates = self.route(flat)[1]
        mixed = torch.zeros_like(flat)
        for e, expert in enumerate(self.experts):
            rows = gates[:, e].nonzero()[:, 0]
            share = gates[rows, e, None] * expert(flat[rows])
            mixed = mixed.index_add(0, rows, share.to(mixed.dtype))
        return mixed.view_as(tokens)


class Block(nn.Module):
    """A pre-norm block: self-attention, perhaps attention to a context, feed-forward.

    x ← x + A(norm x); x ← x + C(norm x, context), where there is a C;
    x ← x + F(norm x).

    Parameters
    ----------
    dim : int
        D.
    attention : Attention
        A.
    feedforward : torch.nn.Module
        F, from (B, L, D) to (B, L, D): a `FeedForward` or a `MixtureOfExperts`.
    cross : Attention, optional
        C.
    dropout : float, default=0.0
        Share of what each part adds that is dropped in training, in [0, 1).

    Notes
    -----
    Xiong et al. (2020), doi:10.48550/arXiv.2002.04745.

    Examples
    --------
    >>> import torch
    >>> from semistruct.vlm.components import Attention, Block, FeedForward
    >>> Block(8, Attention(8, 2), FeedForward(8))(torch.zeros(2, 3, 8)).shape
    torch.Size([2, 3, 8])
    """

    def __init__(
        self,
        dim: int,
        attention: Attention,
        feedforward: nn.Module,
        cross: Attention | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.attention, self.feedforward = attention, feedforward
        self.first, self.last = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.cross = cross
        self.middle = None if cross is None else nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        tokens: Tensor,
        context: Tensor | None = None,
        *,
        mask: Tensor | None = None,
        present: Tensor | None = None,
        context_present: Tensor | None = None,
    ) -> Tensor:
        """Map tokens (B, L, D) to (B, L, D); masks as in `Attention`.

        ``mask`` and ``present`` concern the tokens, ``context_present`` the context.
        """
        seen = self.attention(self.first(tokens), mask=mask, present=present)
        tokens = tokens + self.dropout(seen)
        if self.cross is not None and self.middle is not None:
            seen = self.cross(self.middle(tokens), context, present=context_present)
            tokens = tokens + self.dropout(seen)
        return tokens + self.dropout(self.feedforward(self.last(tokens)))


class Transformer(nn.Module):
    """A stack of blocks and a layer norm.

    Parameters
    ----------
    dim : int
        D, a multiple of ``heads``.
    depth : int
        Blocks, at least 1.
    heads : int
        Heads of the attention, at least 1.
    dropout : float, default=0.0
        As in `Attention` and `Block`.
    experts : int, default=0
        Experts of each block's `MixtureOfExperts`; 0 for one `FeedForward`.
    context_dim : int, optional
        Width of a context that each block attends to; no block does when not given.

    Examples
    --------
    >>> import torch
    >>> from semistruct.vlm.components import Transformer
    >>> Transformer(8, depth=2, heads=2)(torch.zeros(2, 3, 8)).shape
    torch.Size([2, 3, 8])
    """

    def __init__(
        self,
        dim: int,
        depth: int,
        heads: int,
        *,
        dropout: float = 0.0,
        experts: int = 0,
        context_dim: int | None = None,
    ) -> None:
        super().__init__()
        owner = "Transformer"
        check_number(depth, parameter="depth", owner=owner, low=1, integer=True)
        check_number(experts, parameter="experts", owner=owner, low=0, integer=True)
        self.dim = dim
        crossed = context_dim is not None
        self.blocks = nn.ModuleList(
            Block(
                dim,
                Attention(dim, heads, dropout=dropout),
                MixtureOfExperts(dim, experts) if experts else FeedForward(dim),
                Attention(dim, heads, context_dim=context_dim, dropout=dropout)
                if crossed
                else None,
                dropout,
            )
            for _ in range(depth)
        )
        self.norm = nn.LayerNorm(dim)

    def states(
        self, tokens: Tensor, context: Tensor | None = None, **masks: Tensor | None
    ) -> list[Tensor]:
        """Give what each block gives, without the last norm.

        Parameters
        ----------
        tokens : Tensor of shape (B, L, D)
        context : Tensor of shape (B, M, context_dim), optional
        **masks : Tensor
            As in `Block`.

        Returns
        -------
        list of Tensor of shape (B, L, D)
        """
        found = []
        for block in self.blocks:
            tokens = block(tokens, context, **masks)
            found.append(tokens)
        return found

    def forward(
        self, tokens: Tensor, context: Tensor | None = None, **masks: Tensor | None
    ) -> Tensor:
        """Map (B, L, D) to (B, L, D)."""
        return self.norm(self.states(tokens, context, **masks)[-1])
