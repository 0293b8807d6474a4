"""Cross-attention: the tokens of each modality ask those of the others.

Letters: B rows, M modalities, T tokens of all modalities together, d common length, H
heads of d / H entries each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from semistruct._core.validation import check_number
from semistruct.exceptions import ParameterError
from semistruct.fusion._base import Fusion, FusionModule, Latent, Projections, Tokens


class CrossAttentionFusion(Fusion):
    """Cross-attention between modalities, then the mean over those present.

    Every modality is brought to tokens of length d: one, or many where its encoder
    gives `Tokens`. In each of ``depth`` blocks the tokens of a modality ask those of
    the other modalities that are present, x ← x + A(x), x ← x + F(x), where A is
    multi-head attention and F a perceptron, each after a layer norm. There is one more
    key, "none of them", of score 0 and value 0, so that a token may leave the others
    aside, and so that a modality alone in its row stays as it is. Then tokens are
    averaged within each modality, and modalities over those present.

    Parameters
    ----------
    output_dim : int, optional
        Length d, at least 2 (layer norm has nothing to compare in one entry) and a
        multiple of ``heads``; by default the smallest such length that is at least that
        of the longest latent vector.
    heads : int, default=4
        Heads H of the attention, at least 1.
    depth : int, default=1
        Blocks, at least 1.

    Notes
    -----
    Tsai, Bai, Liang, Kolter, Morency & Salakhutdinov (2019), doi:10.18653/v1/P19-1656,
    with all pairs of modalities in one attention. The module's ``weights`` says how
    much each modality attends to each other one.

    Examples
    --------
    >>> import torch
    >>> from semistruct.fusion import CrossAttentionFusion, Tokens
    >>> module = CrossAttentionFusion(output_dim=8, heads=2).build([3, 5])
    >>> words = Tokens(torch.ones(2, 7, 5), torch.ones(2, 7, dtype=torch.bool))
    >>> masks = torch.tensor([[True, True], [True, False]])
    >>> module([torch.ones(2, 3), words], masks).shape
    torch.Size([2, 8])
    >>> module.weights([torch.ones(2, 3), words], masks)[1].tolist()
    [[0.0, 0.0], [0.0, 0.0]]
    """

    def __init__(
        self, output_dim: int | None = None, heads: int = 4, depth: int = 1
    ) -> None:
        self.output_dim = output_dim
        self.heads = heads
        self.depth = depth

    def build(self, dims: Sequence[int]) -> FusionModule:
        """Make a module that maps M tensors (B, q_m), or `Tokens`, to (B, d).

        Parameters
        ----------
        dims : sequence of M int
            Lengths q_m.

        Returns
        -------
        FusionModule
            With ``weights(latents, masks)``, (B, M, M).
        """
        dims = self._check_dims(dims)
        owner = "CrossAttentionFusion"
        for name in ("heads", "depth"):
            value = getattr(self, name)
            check_number(value, parameter=name, owner=owner, low=1, integer=True)
        length = self._common(self.output_dim, dims)
        if self.output_dim is None:
            length = -(-max(length, 2) // self.heads) * self.heads
        if length % self.heads or length < 2:
            raise ParameterError(
                parameter="output_dim",
                owner=owner,
                allowed=f"None, or at least 2 and a multiple of {self.heads} heads",
                given=self.output_dim,
            )
        return _CrossAttention(dims, length, self.heads, self.depth)


class _CrossAttention(FusionModule):
    takes_tokens = True

    def __init__(
        self, dims: Sequence[int], length: int, heads: int, depth: int
    ) -> None:
        super().__init__(dims, length)
        self.project = Projections(dims, length, always=True)
        self.blocks = nn.ModuleList(_Block(length, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(length)

    def weights(self, latents: Sequence[Latent], masks: Tensor) -> Tensor:
        """Give how much each modality attends to each other one in the last block.

        Parameters
        ----------
        latents, masks
            As for ``forward``.

        Returns
        -------
        Tensor of shape (B, M, M)
            Entry (i, j): the mean over the tokens of i and over heads of the attention
            to the tokens of j; 0 for i = j and where one of them is missing. A row sums
            to at most 1: the rest goes to "none of them".
        """
        found = self._attend(self.clean(latents, masks), masks)
        shares = found.shares.mean(dim=1) @ found.members  # (B, T, M)
        return _means(shares, found.present, found.members)

    def fuse(self, latents: Sequence[Latent], masks: Tensor) -> Tensor:
        found = self._attend(latents, masks)
        each = _means(self.norm(found.vectors), found.present, found.members)
        each = each.masked_fill(~masks[:, :, None], 0)  # (B, M, d)
        return each.sum(dim=1) / masks.sum(dim=1, keepdim=True).clamp_min(1)

    def _attend(self, latents: Sequence[Latent], masks: Tensor) -> _Attended:
        """Put the tokens of all modalities in one row and run the blocks."""
        vectors = [v.vectors if isinstance(v, Tokens) else v[:, None] for v in latents]
        present = torch.cat(
            [
                v.present if isinstance(v, Tokens) else mask[:, None]
                for v, mask in zip(latents, masks.T, strict=True)
            ],
            dim=1,
        )
        tokens = torch.cat(self.project.each(vectors), dim=1)  # (B, T, d)
        counts = torch.tensor([v.shape[1] for v in vectors])
        owners = torch.arange(len(vectors)).repeat_interleave(counts).to(tokens.device)
        others = owners[:, None] != owners[None, :]  # (T, T)
        allowed = others & present[:, None, :]
        for block in self.blocks:
            tokens, shares = block(tokens, allowed)
        members = nn.functional.one_hot(owners, len(vectors)).to(tokens.dtype)
        return _Attended(tokens, present, members, shares)


class _Attended(NamedTuple):
    """Tokens after the blocks.

    ``vectors`` (B, T, d), where ``present`` (B, T); ``members`` (T, M) is 1 where a
    token is of a modality; ``shares`` (B, H, T, T) is the attention of the last block.
    """

    vectors: Tensor
    present: Tensor
    members: Tensor
    shares: Tensor


class _Block(nn.Module):
    """Attention to the tokens of other modalities, then a perceptron."""

    def __init__(self, length: int, heads: int) -> None:
        super().__init__()
        self.heads, self.width = heads, length // heads
        self.norm = nn.LayerNorm(length)
        self.query = nn.Linear(length, length)
        self.key = nn.Linear(length, length)
        self.value = nn.Linear(length, length)
        self.out = nn.Linear(length, length)
        self.perceptron = nn.Sequential(
            nn.LayerNorm(length),
            nn.Linear(length, 2 * length),
            nn.GELU(),
            nn.Linear(2 * length, length),
        )

    def forward(self, tokens: Tensor, allowed: Tensor) -> tuple[Tensor, Tensor]:
        """Let tokens (B, T, d) ask those allowed (B, T, T).

        Gives the tokens (B, T, d) and the attention (B, H, T, T).
        """
        normal = self.norm(tokens)
        query = self._split(self.query(normal))  # (B, H, T, d / H)
        key, value = self._split(self.key(normal)), self._split(self.value(normal))
        scores = query @ key.transpose(2, 3) / self.width**0.5
        scores = scores.masked_fill(~allowed[:, None], float("-inf"))
        scores = nn.functional.pad(scores, (0, 1))  # "none of them": score 0
        shares = scores.softmax(dim=3)[..., :-1]
        tokens = tokens + self.out((shares @ value).transpose(1, 2).flatten(2))
        return tokens + self.perceptron(tokens), shares

    def _split(self, tokens: Tensor) -> Tensor:
        """Map (B, T, d) to (B, H, T, d / H)."""
        return tokens.unflatten(2, (self.heads, self.width)).transpose(1, 2)


def _means(values: Tensor, present: Tensor, members: Tensor) -> Tensor:
    """Average values (B, T, k) over the present tokens of each modality: (B, M, k)."""
    values = values.masked_fill(~present[:, :, None], 0)
    total = members.T @ values  # (B, M, k)
    count = present.to(members.dtype) @ members  # (B, M)
    return total / count.clamp_min(1)[:, :, None]
