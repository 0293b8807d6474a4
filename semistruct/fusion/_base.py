"""The contract of joint fusion: a specification, and the module that it builds.

Letters: B rows, M modalities, q_m length of a modality's latent vector, T tokens of a
modality, d common length, q length of the fused vector.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from sklearn.base import BaseEstimator
from torch import Tensor, nn

from semistruct._core.validation import check_number
from semistruct.exceptions import DataError, ParameterError


class Tokens(NamedTuple):
    """Several vectors of each row of one modality, such as words or patches.

    Attributes
    ----------
    vectors : Tensor of shape (B, T, q_m)
    present : Tensor of bool of shape (B, T)
        False where a row has no such token; what ``vectors`` holds there is not read.
    """

    vectors: Tensor
    present: Tensor


Latent = Tensor | Tokens


class FusionModule(nn.Module, ABC):
    """What a `Fusion` builds; a subclass writes `fuse`.

    Parameters
    ----------
    dims : sequence of M int
        Length q_m of each modality's latent vector.
    output_dim : int
        Length q of the fused vector.
    """

    takes_tokens: ClassVar[bool] = False  # whether a modality may come as `Tokens`

    def __init__(self, dims: Sequence[int], output_dim: int) -> None:
        super().__init__()
        self.dims = tuple(dims)
        self.output_dim = output_dim

    @abstractmethod
    def fuse(self, latents: Sequence[Any], masks: Tensor) -> Tensor:
        """Fuse latents that are 0 where they are masked: (B, q).

        What it gives for a row without any modality is not read. Latents are tensors,
        and may be `Tokens` only where ``takes_tokens`` is True.
        """

    def forward(self, latents: Sequence[Latent], masks: Tensor) -> Tensor:
        """Fuse the modalities of each row.

        Parameters
        ----------
        latents : sequence of M Tensor of shape (B, q_m)
            One for each modality, in the order of ``dims``; `Tokens` where the fusion
            takes them.
        masks : Tensor of bool of shape (B, M)
            True where the modality is present. Nothing that a masked latent holds, NaN
            included, reaches the result or gets a gradient.

        Returns
        -------
        Tensor of shape (B, q)
            0 for a row without any modality.
        """
        fused = self.fuse(self.clean(latents, masks), masks)
        return fused.masked_fill(~masks.any(dim=1, keepdim=True), 0)

    def clean(self, latents: Sequence[Latent], masks: Tensor) -> list[Any]:
        """Check latents and put zeros where they are masked.

        Parameters
        ----------
        latents, masks
            As for `forward`.

        Returns
        -------
        list of Tensor or Tokens
        """
        owner = type(self).__name__
        expected = (len(masks), len(self.dims))
        if masks.dtype != torch.bool or masks.shape != expected:
            raise DataError(
                f"{owner}: masks must be bool with one column for each of the "
                f"{len(self.dims)} modalities, got {masks.dtype} of shape "
                f"{tuple(masks.shape)}."
            )
        if len(latents) != len(self.dims):
            raise DataError(
                f"{owner}: it was built for {len(self.dims)} modalities, got "
                f"{len(latents)} latents."
            )
        return [
            self._clean_one(latent, mask, m)
            for m, (latent, mask) in enumerate(zip(latents, masks.T, strict=True))
        ]

    def _clean_one(self, latent: Latent, mask: Tensor, m: int) -> Latent:
        owner = type(self).__name__
        if isinstance(latent, Tokens):
            if not self.takes_tokens:
                raise DataError(
                    f"{owner} takes one vector for each row of modality {m}, got "
                    "tokens. Pool them first, or use cross_attention."
                )
            present = latent.present & mask[:, None]
            vectors = latent.vectors.masked_fill(~present[:, :, None], 0)
            self._check_shape(vectors, (len(mask), present.shape[1], self.dims[m]), m)
            return Tokens(vectors, present)
        self._check_shape(latent, (len(mask), self.dims[m]), m)
        return latent.masked_fill(~mask[:, None], 0)

    def _check_shape(self, latent: Tensor, expected: tuple[int, ...], m: int) -> None:
        if latent.shape != expected:
            raise DataError(
                f"{type(self).__name__}: the latent of modality {m} must have the "
                f"shape {expected}, got {tuple(latent.shape)}."
            )


class Fusion(BaseEstimator, ABC):
    """What a joint fusion is to be; `build` makes the torch module.

    A specification only stores its parameters, so that ``get_params``, ``clone`` and
    grids over them work.

    Examples
    --------
    >>> import torch
    >>> from semistruct.fusion import MeanFusion
    >>> module = MeanFusion().build([2, 2])
    >>> latents = [torch.ones(2, 2), torch.tensor([[3.0, 5.0], [torch.nan, 0.0]])]
    >>> module(latents, torch.tensor([[True, True], [True, False]]))
    tensor([[2., 3.],
            [1., 1.]])
    """

    @abstractmethod
    def build(self, dims: Sequence[int]) -> FusionModule:
        """Make an untrained module.

        Parameters
        ----------
        dims : sequence of M int
            Length q_m of each modality's latent vector; M is at least 2.

        Returns
        -------
        FusionModule
            Maps M tensors (B, q_m) and masks (B, M) to (B, ``module.output_dim``). A
            row's result does not depend on the rows beside it.
        """

    def _check_dims(self, dims: Sequence[int]) -> tuple[int, ...]:
        """Refuse fewer than two modalities, and lengths that are none."""
        owner = type(self).__name__
        if len(dims) < 2:
            raise ParameterError(
                parameter="dims",
                owner=owner,
                allowed="the lengths of two or more latent vectors",
                given=tuple(dims),
                hint="One modality needs no fusion.",
            )
        for q in dims:
            check_number(q, parameter="dims", owner=owner, low=1, integer=True)
        return tuple(int(q) for q in dims)

    def _common(self, output_dim: int | None, dims: Sequence[int]) -> int:
        """Give the common length: ``output_dim``, or that of the longest latent."""
        check_number(
            output_dim,
            parameter="output_dim",
            owner=type(self).__name__,
            low=1,
            integer=True,
            none=True,
        )
        return max(dims) if output_dim is None else int(output_dim)


class Projections(nn.Module):
    """One linear map for each modality, to vectors of one length.

    Parameters
    ----------
    dims : sequence of M int
        Lengths q_m.
    length : int
        The common length d.
    always : bool, default=False
        Whether modalities that have the length already are mapped too.
    """

    def __init__(
        self, dims: Sequence[int], length: int, *, always: bool = False
    ) -> None:
        super().__init__()
        # a ModuleDict: its modules stand side by side, they are no layers
        self.maps = nn.ModuleDict(
            {
                str(m): nn.Linear(q, length) if always or q != length else nn.Identity()
                for m, q in enumerate(dims)
            }
        )

    def each(self, latents: Sequence[Tensor]) -> list[Tensor]:
        """Map M tensors (…, q_m) to M tensors (…, d)."""
        return [
            project(latent)
            for project, latent in zip(self.maps.values(), latents, strict=True)
        ]

    def forward(self, latents: Sequence[Tensor]) -> Tensor:
        """Map M tensors (B, q_m) to (B, M, d)."""
        return torch.stack(self.each(latents), dim=1)


def masked_softmax(scores: Tensor, present: Tensor) -> Tensor:
    """Softmax along the second axis over what is present; 0 elsewhere."""
    lowest = torch.finfo(scores.dtype).min
    return scores.masked_fill(~present, lowest).softmax(dim=1) * present
