"""Fusions that weigh the modalities of each row: gates and attention.

Letters: B rows, M modalities, q_m length of a latent vector, d common length, L hidden
units of the attention.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from semistruct._core.validation import check_choice, check_number
from semistruct.fusion._base import Fusion, FusionModule, Projections, masked_softmax


class GatedFusion(Fusion):
    """Gated multimodal unit: every entry of every modality has a gate.

    h = Σ_m g_m ⊙ tanh(W_m x_m + b_m) over the modalities that are present, with the
    gates g_m = σ(V_m [x_1, …, x_M] + c_m), where a masked x_m is 0.

    Parameters
    ----------
    output_dim : int, optional
        Length d of h, at least 1; by default that of the longest latent vector.
    gate : {"sigmoid", "softmax"}, default="sigmoid"
        Whether gates are free of each other, or sum to 1 over the modalities that are
        present (for two: z and 1 − z, the bimodal unit of the source).

    Notes
    -----
    Arevalo, Solorio, Montes-y-Gómez & González (2017), arXiv:1702.01992,
    doi:10.48550/arXiv.1702.01992. The module's ``gates`` gives the g_m of any rows.

    Examples
    --------
    >>> import torch
    >>> from semistruct.fusion import GatedFusion
    >>> module = GatedFusion(output_dim=4, gate="softmax").build([3, 2])
    >>> latents = [torch.ones(5, 3), torch.ones(5, 2)]
    >>> masks = torch.tensor([[True, True]]).expand(5, 2)
    >>> module(latents, masks).shape
    torch.Size([5, 4])
    >>> module.gates(latents, masks).sum(dim=1).allclose(torch.ones(5, 4))
    True
    """

    def __init__(self, output_dim: int | None = None, gate: str = "sigmoid") -> None:
        self.output_dim = output_dim
        self.gate = gate

    def build(self, dims: Sequence[int]) -> FusionModule:
        """Make a module that maps M tensors (B, q_m) to (B, d).

        Parameters
        ----------
        dims : sequence of M int
            Lengths q_m.

        Returns
        -------
        FusionModule
            With ``gates(latents, masks)``, (B, M, d).
        """
        dims = self._check_dims(dims)
        kinds = ("sigmoid", "softmax")
        check_choice(self.gate, kinds, parameter="gate", owner="GatedFusion")
        length = self._common(self.output_dim, dims)
        return _Gated(dims, length, shared=self.gate == "softmax")


class _Gated(FusionModule):
    def __init__(self, dims: Sequence[int], length: int, *, shared: bool) -> None:
        super().__init__(dims, length)
        self.content = Projections(dims, length, always=True)
        self.gate = nn.Linear(sum(dims), len(dims) * length)
        self.shared = shared  # whether the gates of an entry sum to 1

    def gates(self, latents: Sequence[Tensor], masks: Tensor) -> Tensor:
        """Give the gates (B, M, d), in [0, 1]; 0 where masked."""
        return self._gates(self.clean(latents, masks), masks)

    def fuse(self, latents: Sequence[Tensor], masks: Tensor) -> Tensor:
        gates = self._gates(latents, masks)
        return (gates * self.content(latents).tanh()).sum(dim=1)

    def _gates(self, latents: Sequence[Tensor], masks: Tensor) -> Tensor:
        scores = self.gate(torch.cat(list(latents), dim=1))
        scores = scores.unflatten(1, (len(self.dims), self.output_dim))  # (B, M, d)
        present = masks[:, :, None]
        if self.shared:
            return masked_softmax(scores, present)
        return scores.sigmoid() * present


class AttentionFusion(Fusion):
    """Attention over modalities: a weighted mean whose weights the row decides.

    h = Σ_m a_m h_m with h_m = W_m x_m + b_m and a_m ∝ exp(w' tanh(V h_m + c)), which
    sum to 1 over the modalities that are present.

    Parameters
    ----------
    output_dim : int, optional
        Length d of h, at least 1; by default that of the longest latent vector.
    hidden : int, default=32
        Hidden units L of the attention (V is L × d), at least 1.

    Notes
    -----
    The attention is that of Ilse, Tomczak & Welling (2018), arXiv:1802.04712,
    doi:10.48550/arXiv.1802.04712, with modalities in the place of a bag's instances.
    The module's ``weights`` gives the a_m of any rows.

    Examples
    --------
    >>> import torch
    >>> from semistruct.fusion import AttentionFusion
    >>> module = AttentionFusion(output_dim=4).build([3, 2])
    >>> latents = [torch.ones(2, 3), torch.ones(2, 2)]
    >>> masks = torch.tensor([[True, True], [False, True]])
    >>> module(latents, masks).shape
    torch.Size([2, 4])
    >>> module.weights(latents, masks)[1].tolist()
    [0.0, 1.0]
    """

    def __init__(self, output_dim: int | None = None, hidden: int = 32) -> None:
        self.output_dim = output_dim
        self.hidden = hidden

    def build(self, dims: Sequence[int]) -> FusionModule:
        """Make a module that maps M tensors (B, q_m) to (B, d).

        Parameters
        ----------
        dims : sequence of M int
            Lengths q_m.

        Returns
        -------
        FusionModule
            With ``weights(latents, masks)``, (B, M).
        """
        dims = self._check_dims(dims)
        owner = "AttentionFusion"
        check_number(self.hidden, parameter="hidden", owner=owner, low=1, integer=True)
        return _Attention(dims, self._common(self.output_dim, dims), self.hidden)


class _Attention(FusionModule):
    def __init__(self, dims: Sequence[int], length: int, hidden: int) -> None:
        super().__init__(dims, length)
        self.project = Projections(dims, length, always=True)
        self.content = nn.Linear(length, hidden)
        self.score = nn.Linear(hidden, 1, bias=False)  # a softmax knows no constant

    def weights(self, latents: Sequence[Tensor], masks: Tensor) -> Tensor:
        """Give the weights (B, M); 0 where masked, otherwise they sum to 1."""
        vectors = self.project(self.clean(latents, masks))
        return self._weights(vectors, masks)

    def fuse(self, latents: Sequence[Tensor], masks: Tensor) -> Tensor:
        vectors = self.project(latents)  # (B, M, d)
        return (self._weights(vectors, masks)[:, :, None] * vectors).sum(dim=1)

    def _weights(self, vectors: Tensor, masks: Tensor) -> Tensor:
        scores = self.score(self.content(vectors).tanh()).squeeze(2)  # (B, M)
        return masked_softmax(scores, masks)
