"""Low-rank tensor fusion. Letters: B rows, M modalities, R rank, d length."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from semistruct._core.validation import check_number
from semistruct.fusion._base import Fusion, FusionModule, Projections


class TensorFusion(Fusion):
    """Low-rank tensor fusion: products of all modalities, in O(R d Σ q_m).

    h = b + Σ_r Π_m W_mr [x_m, 1], r = 1, …, R: a linear map of the outer product of the
    [x_m, 1], its tensor of weights a sum of R products. The 1 keeps the terms of fewer
    modalities; a masked modality is [0, 1], so that exactly the terms without it stay.

    Parameters
    ----------
    output_dim : int, optional
        Length d of h, at least 1; by default that of the longest latent vector.
    rank : int, default=4
        R, at least 1.

    Notes
    -----
    Liu, Shen, Lakshminarasimhan, Liang, Bagher Zadeh & Morency (2018),
    doi:10.18653/v1/P18-1209.

    Examples
    --------
    >>> import torch
    >>> from semistruct.fusion import TensorFusion
    >>> module = TensorFusion(output_dim=4, rank=2).build([3, 2])
    >>> masks = torch.tensor([[True, True]]).expand(5, 2)
    >>> module([torch.ones(5, 3), torch.ones(5, 2)], masks).shape
    torch.Size([5, 4])
    """

    def __init__(self, output_dim: int | None = None, rank: int = 4) -> None:
        self.output_dim = output_dim
        self.rank = rank

    def build(self, dims: Sequence[int]) -> FusionModule:
        """Make a module that maps M tensors (B, q_m) to (B, d).

        Parameters
        ----------
        dims : sequence of M int
            Lengths q_m.

        Returns
        -------
        FusionModule
        """
        dims = self._check_dims(dims)
        owner = "TensorFusion"
        check_number(self.rank, parameter="rank", owner=owner, low=1, integer=True)
        return _LowRank(dims, self._common(self.output_dim, dims), self.rank)


class _LowRank(FusionModule):
    def __init__(self, dims: Sequence[int], length: int, rank: int) -> None:
        super().__init__(dims, length)
        self.rank = rank
        # the weight of the 1 is the bias of a linear map
        self.factors = Projections(dims, rank * length, always=True)
        self.bias = nn.Parameter(torch.zeros(length))
        # so that h has about unit variance where the latents have
        spread = rank ** (-0.5 / len(dims))
        for parameter in self.factors.parameters():
            inputs = parameter.shape[1] if parameter.ndim == 2 else 1
            nn.init.normal_(parameter, std=spread * (0.5 / inputs) ** 0.5)

    def fuse(self, latents: Sequence[Tensor], masks: Tensor) -> Tensor:
        factors = self.factors(latents).unflatten(2, (self.rank, self.output_dim))
        return factors.prod(dim=1).sum(dim=1) + self.bias
