"""EmbraceNet. Letters: B rows, M modalities, d length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from semistruct._core.validation import check_number
from semistruct.exceptions import ParameterError
from semistruct.fusion._base import Fusion, FusionModule, Projections


class EmbraceFusion(Fusion):
    """EmbraceNet: each entry comes from one modality, drawn anew in each training step.

    With h_m = max(0, W_m x_m + b_m), entry j of h is that of h_m, m drawn with
    probability p_m / Σ p over the modalities that are present. In evaluation h is its
    expectation Σ p_m h_m / Σ p, so that predictions are not random.

    Parameters
    ----------
    output_dim : int, optional
        Length d of h, at least 1; by default that of the longest latent vector.
    probabilities : sequence of M float, optional
        p_m > 0, up to a common factor; equal by default.

    Notes
    -----
    Choi & Lee (2019), doi:10.1016/j.inffus.2019.02.010. Draws come from torch's global
    generator, as those of ``torch.nn.Dropout`` do.

    Examples
    --------
    >>> import torch
    >>> from semistruct.fusion import EmbraceFusion
    >>> module = EmbraceFusion(output_dim=4).build([3, 2]).eval()
    >>> masks = torch.tensor([[True, True]]).expand(5, 2)
    >>> module([torch.ones(5, 3), torch.ones(5, 2)], masks).shape
    torch.Size([5, 4])
    """

    def __init__(
        self, output_dim: int | None = None, probabilities: Any = None
    ) -> None:
        self.output_dim = output_dim
        self.probabilities = probabilities

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
        length = self._common(self.output_dim, dims)
        return _Embrace(dims, length, self._probabilities(len(dims)))

    def _probabilities(self, n: int) -> list[float]:
        given = self.probabilities
        if given is None:
            return [1.0] * n
        owner, name = "EmbraceFusion", "probabilities"
        if isinstance(given, str) or not isinstance(given, Sequence) or len(given) != n:
            raise ParameterError(
                parameter=name,
                owner=owner,
                allowed=f"a sequence of {n} numbers, one for each modality",
                given=given,
            )
        for p in given:
            check_number(p, parameter=name, owner=owner, low=0, closed="neither")
        return [float(p) for p in given]


class _Embrace(FusionModule):
    probabilities: Tensor

    def __init__(
        self, dims: Sequence[int], length: int, probabilities: Sequence[float]
    ) -> None:
        super().__init__(dims, length)
        self.dock = Projections(dims, length, always=True)
        p = torch.tensor(probabilities)
        self.register_buffer("probabilities", p / p.sum(), persistent=False)

    def fuse(self, latents: Sequence[Tensor], masks: Tensor) -> Tensor:
        docked = self.dock(latents).relu()  # (B, M, d)
        p = self.probabilities * masks  # (B, M)
        # a row without any modality draws from the first; it is not read
        p[:, 0] = p[:, 0].masked_fill(~masks.any(dim=1), 1)
        p = p / p.sum(dim=1, keepdim=True)
        if not self.training:
            return (p[:, :, None] * docked).sum(dim=1)
        chosen = torch.multinomial(p, docked.shape[2], replacement=True)  # (B, d)
        return docked.gather(1, chosen[:, None]).squeeze(1)
