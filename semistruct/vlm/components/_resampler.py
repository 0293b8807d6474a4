"""A fixed number of tokens from any number of them.

Letters: B rows, M tokens, D width of a token, K latents.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from semistruct._core.validation import check_number
from semistruct.vlm.components._attention import Attention
from semistruct.vlm.components._transformer import FeedForward

__all__ = ["LatentResampler"]


class LatentResampler(nn.Module):
    """Learned latents that ask tokens, and one another, several times.

    Each layer: z ← z + A(norm z, [norm x; norm z]); z ← z + F(norm z).

    Parameters
    ----------
    dim : int
        D, a multiple of ``heads``.
    latents : int
        K, at least 1.
    depth : int, default=2
        Layers, at least 1.
    heads : int, default=4
        Heads of the attention.

    Notes
    -----
    Jaegle et al. (2021), doi:10.48550/arXiv.2103.03206; Alayrac et al. (2022),
    doi:10.48550/arXiv.2204.14198.

    Examples
    --------
    >>> import torch
    >>> from semistruct.vlm.components import LatentResampler
    >>> LatentResampler(8, latents=3)(torch.rand(2, 50, 8)).shape
    torch.Size([2, 3, 8])
    """

    def __init__(self, dim: int, latents: int, depth: int = 2, heads: int = 4) -> None:
        super().__init__()
        for name, value in (("latents", latents), ("depth", depth)):
            check_number(
                value, parameter=name, owner="LatentResampler", low=1, integer=True
            )
        self.latents = nn.Parameter(torch.randn(latents, dim) / dim**0.5)
        self.layers = nn.ModuleList(_Layer(dim, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)

    def forward(self, tokens: Tensor, present: Tensor | None = None) -> Tensor:
        """Map (B, M, D) to (B, K, D); tokens that are not present (B, M) are unseen."""
        latents = self.latents.expand(len(tokens), -1, -1)
        if present is not None:
            own = present.new_ones(len(tokens), latents.shape[1])
            present = torch.cat([present, own], dim=1)
        for layer in self.layers:
            latents = layer(latents, tokens, present)
        return self.norm(latents)


class _Layer(nn.Module):
    """One layer of `LatentResampler`."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.of_latents, self.of_tokens = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention = Attention(dim, heads)
        self.norm, self.feedforward = nn.LayerNorm(dim), FeedForward(dim)

    def forward(
        self, latents: Tensor, tokens: Tensor, present: Tensor | None
    ) -> Tensor:
        """Map latents (B, K, D) and tokens (B, M, D) to (B, K, D)."""
        asked = self.of_latents(latents)
        context = torch.cat([self.of_tokens(tokens), asked], dim=1)
        latents = latents + self.attention(asked, context, present=present)
        return latents + self.feedforward(self.norm(latents))
