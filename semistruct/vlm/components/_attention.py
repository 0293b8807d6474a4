"""Attention over tokens, and the masks that say who sees whom.

Letters: B rows, L tokens that ask, M tokens that are asked, D width of a token, H
heads, m memory slots.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from semistruct._core.validation import check_number
from semistruct.exceptions import ParameterError

__all__ = ["Attention", "causal_mask", "local_mask"]


class Attention(nn.Module):
    """Scaled dot-product attention of several heads, to itself or to a context.

    softmax(Q Kᵀ / √(D/H)) V for each head, then a linear map.

    Parameters
    ----------
    dim : int
        D, a multiple of ``heads``.
    heads : int
        H, at least 1.
    context_dim : int, optional
        Width of the context's tokens; D when not given.
    dropout : float, default=0.0
        Share of the attention's weights that are dropped in training, in [0, 1).
    memory : int, default=0
        m learned keys and values that every token sees beside the context.
    gated : bool, default=False
        Whether the result is multiplied by tanh(g), g learned from 0, so that a block
        that is put into a trained network changes nothing at first.

    Notes
    -----
    Vaswani et al. (2017), doi:10.48550/arXiv.1706.03762; memory slots: Cornia et al.
    (2020), doi:10.1109/CVPR42600.2020.01059; gate: Alayrac et al. (2022),
    doi:10.48550/arXiv.2204.14198.

    Examples
    --------
    >>> import torch
    >>> from semistruct.vlm.components import Attention
    >>> Attention(8, 2)(torch.zeros(3, 5, 8), torch.zeros(3, 4, 8)).shape
    torch.Size([3, 5, 8])
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        *,
        context_dim: int | None = None,
        dropout: float = 0.0,
        memory: int = 0,
        gated: bool = False,
    ) -> None:
        super().__init__()
        for name, value, low in (("heads", heads, 1), ("memory", memory, 0)):
            check_number(
                value, parameter=name, owner="Attention", low=low, integer=True
            )
        if dim % heads:
            raise ParameterError(
                parameter="dim",
                owner="Attention",
                allowed=f"a multiple of the {heads} heads",
                given=dim,
            )
        self.heads, self.dropout = heads, dropout
        self.query = nn.Linear(dim, dim)
        self.key_value = nn.Linear(context_dim or dim, 2 * dim)
        self.out = nn.Linear(dim, dim)
        slots = torch.randn(2, memory, dim) / dim**0.5
        self.memory = nn.Parameter(slots) if memory else None
        self.gate = nn.Parameter(torch.zeros(())) if gated else None

    def forward(
        self,
        tokens: Tensor,
        context: Tensor | None = None,
        *,
        mask: Tensor | None = None,
        present: Tensor | None = None,
    ) -> Tensor:
        """Mix what the tokens see.

        Parameters
        ----------
        tokens : Tensor of shape (B, L, D)
            Who asks.
        context : Tensor of shape (B, M, context_dim), optional
            Who is asked; the tokens themselves when not given.
        mask : Tensor of bool of shape (L, M) or (B, L, M), optional
            True where a token may see another.
        present : Tensor of bool of shape (B, M), optional
            False for padding, which nobody sees.

        Returns
        -------
        Tensor of shape (B, L, D)
        """
        context = tokens if context is None else context
        key, value = self.key_value(context).chunk(2, dim=2)  # (B, M, D) each
        if self.memory is not None:
            slots = self.memory[:, None].expand(-1, len(context), -1, -1)
            key, value = (
                torch.cat([s.to(part.dtype), part], dim=1)
                for s, part in zip(slots, (key, value), strict=True)
            )
        mixed = functional.scaled_dot_product_attention(
            self._split(self.query(tokens)),
            self._split(key),
            self._split(value),
            attn_mask=self._seen(mask, present),
            dropout_p=self.dropout if self.training else 0.0,
        )
        mixed = self.out(mixed.transpose(1, 2).flatten(2))
        return mixed if self.gate is None else mixed * self.gate.tanh()

    def _split(self, tokens: Tensor) -> Tensor:
        """Map (B, L, D) to (B, H, L, D/H)."""
        return tokens.unflatten(2, (self.heads, -1)).transpose(1, 2)

    def _seen(self, mask: Tensor | None, present: Tensor | None) -> Tensor | None:
        """Join the masks to (B or 1, 1, L or 1, m + M); memory is always seen."""
        seen = None
        if mask is not None:
            seen = (mask if mask.ndim == 3 else mask[None])[:, None]
        if present is not None:
            there = present[:, None, None, :]
            seen = there if seen is None else seen & there
        if seen is not None and self.memory is not None:
            seen = functional.pad(seen, (self.memory.shape[1], 0), value=True)
        return seen


def causal_mask(length: int, device: torch.device | None = None) -> Tensor:
    """Mask with which a token sees itself and those before it.

    Parameters
    ----------
    length : int
        L.
    device : torch.device, optional
        Where the mask lies.

    Returns
    -------
    Tensor of bool of shape (L, L)

    Examples
    --------
    >>> from semistruct.vlm.components import causal_mask
    >>> causal_mask(2).tolist()
    [[True, False], [True, True]]
    """
    return torch.ones(length, length, dtype=torch.bool, device=device).tril()


def local_mask(length: int, window: int, device: torch.device | None = None) -> Tensor:
    """Mask with which a token sees those at most ``window`` places away.

    Parameters
    ----------
    length : int
        L.
    window : int
        At least 0.
    device : torch.device, optional
        Where the mask lies.

    Returns
    -------
    Tensor of bool of shape (L, L)

    Examples
    --------
    >>> from semistruct.vlm.components import local_mask
    >>> local_mask(3, 1).tolist()
    [[True, True, False], [True, True, True], [False, True, True]]
    """
    check_number(window, parameter="window", owner="local_mask", low=0, integer=True)
    place = torch.arange(length, device=device)
    return (place[:, None] - place).abs() <= window
