"""Fusions without weights of their own: concatenation, and entry by entry.

Letters: B rows, M modalities, q_m length of a latent vector, d common length.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from semistruct._core.validation import check_choice
from semistruct.fusion._base import Fusion, FusionModule, Projections


class ConcatFusion(Fusion):
    """The latent vectors one after the other, (B, Σ q_m).

    With a linear head this is the sum of one contribution for each modality.

    Parameters
    ----------
    missing : {"zeros", "learned"}, default="zeros"
        What stands in the place of a masked modality: zeros, or a vector of its own
        that is learned (and begins at zero). Zeros are what a modality that is present
        may have too; a learned vector tells the two apart.

    Examples
    --------
    >>> import torch
    >>> from semistruct.fusion import ConcatFusion
    >>> module = ConcatFusion().build([1, 2])
    >>> latents = [torch.ones(2, 1), torch.full((2, 2), 5.0)]
    >>> module(latents, torch.tensor([[True, True], [True, False]]))
    tensor([[1., 5., 5.],
            [1., 0., 0.]])
    """

    def __init__(self, missing: str = "zeros") -> None:
        self.missing = missing

    def build(self, dims: Sequence[int]) -> FusionModule:
        """Make a module that maps M tensors (B, q_m) to (B, Σ q_m).

        Parameters
        ----------
        dims : sequence of M int
            Lengths q_m.

        Returns
        -------
        FusionModule
        """
        dims = self._check_dims(dims)
        kinds = ("zeros", "learned")
        check_choice(self.missing, kinds, parameter="missing", owner="ConcatFusion")
        return _Concat(dims) if self.missing == "zeros" else _ConcatLearned(dims)


class _Concat(FusionModule):
    def __init__(self, dims: Sequence[int]) -> None:
        super().__init__(dims, sum(dims))

    def fuse(self, latents: Sequence[Tensor], masks: Tensor) -> Tensor:
        return torch.cat(list(latents), dim=1)


class _ConcatLearned(_Concat):
    owners: Tensor

    def __init__(self, dims: Sequence[int]) -> None:
        super().__init__(dims)
        self.blank = nn.Parameter(torch.zeros(self.output_dim))
        owners = torch.arange(len(dims)).repeat_interleave(torch.tensor(dims))
        self.register_buffer("owners", owners, persistent=False)  # (Σ q_m,)

    def fuse(self, latents: Sequence[Tensor], masks: Tensor) -> Tensor:
        return torch.where(
            masks[:, self.owners], super().fuse(latents, masks), self.blank
        )


class _Entrywise(Fusion):
    """A fusion entry by entry of vectors of one length; abstract."""

    def __init__(self, output_dim: int | None = None) -> None:
        self.output_dim = output_dim

    def build(self, dims: Sequence[int]) -> FusionModule:
        """Make a module that maps M tensors (B, q_m) to (B, d).

        Parameters
        ----------
        dims : sequence of M int
            Lengths q_m.

        Returns
        -------
        FusionModule
            A modality whose length is not d goes through a linear map first.
        """
        dims = self._check_dims(dims)
        return self._module(dims, self._common(self.output_dim, dims))

    @abstractmethod
    def _module(self, dims: tuple[int, ...], length: int) -> _EntrywiseNet:
        """Make the module of vectors of a common length."""


class _EntrywiseNet(FusionModule):
    def __init__(self, dims: Sequence[int], length: int) -> None:
        super().__init__(dims, length)
        self.project = Projections(dims, length)

    def fuse(self, latents: Sequence[Tensor], masks: Tensor) -> Tensor:
        return self.combine(self.project(latents), masks[:, :, None])

    @abstractmethod
    def combine(self, vectors: Tensor, present: Tensor) -> Tensor:
        """Map vectors (B, M, d), where present (B, M, 1), to (B, d)."""


class SumFusion(_Entrywise):
    """The sum of the modalities that are present.

    Parameters
    ----------
    output_dim : int, optional
        Common length d, at least 1; by default that of the longest latent vector.

    Examples
    --------
    >>> import torch
    >>> from semistruct.fusion import SumFusion
    >>> module = SumFusion().build([2, 2])
    >>> latents = [torch.ones(2, 2), torch.full((2, 2), 5.0)]
    >>> module(latents, torch.tensor([[True, True], [True, False]]))
    tensor([[6., 6.],
            [1., 1.]])
    """

    def _module(self, dims: tuple[int, ...], length: int) -> _EntrywiseNet:
        return _Sum(dims, length)


class _Sum(_EntrywiseNet):
    def combine(self, vectors: Tensor, present: Tensor) -> Tensor:
        return vectors.masked_fill(~present, 0).sum(dim=1)


class MeanFusion(_Entrywise):
    """The mean over the modalities that are present.

    Parameters
    ----------
    output_dim : int, optional
        Common length d, at least 1; by default that of the longest latent vector.

    Notes
    -----
    Cheerla & Gevaert (2019), doi:10.1093/bioinformatics/btz342.

    Examples
    --------
    >>> import torch
    >>> from semistruct.fusion import MeanFusion
    >>> module = MeanFusion().build([2, 2])
    >>> latents = [torch.ones(2, 2), torch.full((2, 2), 5.0)]
    >>> module(latents, torch.tensor([[True, True], [True, False]]))
    tensor([[3., 3.],
            [1., 1.]])
    """

    def _module(self, dims: tuple[int, ...], length: int) -> _EntrywiseNet:
        return _Mean(dims, length)


class _Mean(_Sum):
    def combine(self, vectors: Tensor, present: Tensor) -> Tensor:
        return super().combine(vectors, present) / present.sum(dim=1).clamp_min(1)


class MaxFusion(_Entrywise):
    """The largest value of each entry over the modalities that are present.

    Parameters
    ----------
    output_dim : int, optional
        Common length d, at least 1; by default that of the longest latent vector.

    Notes
    -----
    Vale-Silva & Rohr (2021), doi:10.1038/s41598-021-92799-4.

    Examples
    --------
    >>> import torch
    >>> from semistruct.fusion import MaxFusion
    >>> module = MaxFusion().build([2, 2])
    >>> latents = [-torch.ones(2, 2), torch.full((2, 2), 5.0)]
    >>> module(latents, torch.tensor([[True, True], [True, False]]))
    tensor([[ 5.,  5.],
            [-1., -1.]])
    """

    def _module(self, dims: tuple[int, ...], length: int) -> _EntrywiseNet:
        return _Max(dims, length)


class _Max(_EntrywiseNet):
    def combine(self, vectors: Tensor, present: Tensor) -> Tensor:
        lowest = torch.finfo(vectors.dtype).min
        return vectors.masked_fill(~present, lowest).amax(dim=1)


class ProductFusion(_Entrywise):
    """The product, entry by entry, of the modalities that are present.

    Parameters
    ----------
    output_dim : int, optional
        Common length d, at least 1; by default that of the longest latent vector.

    Notes
    -----
    Vale-Silva & Rohr (2021), doi:10.1038/s41598-021-92799-4.

    Examples
    --------
    >>> import torch
    >>> from semistruct.fusion import ProductFusion
    >>> module = ProductFusion().build([2, 2])
    >>> latents = [torch.full((2, 2), 2.0), torch.full((2, 2), 5.0)]
    >>> module(latents, torch.tensor([[True, True], [True, False]]))
    tensor([[10., 10.],
            [ 2.,  2.]])
    """

    def _module(self, dims: tuple[int, ...], length: int) -> _EntrywiseNet:
        return _Product(dims, length)


class _Product(_EntrywiseNet):
    def combine(self, vectors: Tensor, present: Tensor) -> Tensor:
        return vectors.masked_fill(~present, 1).prod(dim=1)
