"""Sum of deep contributions on top of a known structured predictor.

Letters: B rows, K linear predictors, q length of a latent vector.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from semistruct.exceptions import ParameterError
from semistruct.fusion import ModalityDropout
from semistruct.networks._entries import Batch, entry, rates
from semistruct.networks._fused import FusedEncoder, FusedOutput


class NetworkOutput(NamedTuple):
    """What a semi-structured network says about a batch.

    Attributes
    ----------
    linear_predictor : Tensor of shape (B, K)
        Offset plus all contributions, on the scale of the link.
    contributions : dict of str to Tensor of shape (B, K)
        For each deep term what it adds; 0 where the modality is missing, or dropped in
        this step of training.
    latents : dict of str to Tensor of shape (B, q)
        For each deep term its encoder's output (``by`` not applied); 0 where missing.
    fused : dict of str to FusedOutput
        For each fused term its mask (``fused[name].mask``, any modality present) and
        the latent vectors of its modalities.
    """

    linear_predictor: Tensor
    contributions: dict[str, Tensor]
    latents: dict[str, Tensor]
    fused: dict[str, FusedOutput]


class SemiStructuredNetwork(nn.Module):
    """Deep contributions beside a structured predictor that enters as an offset.

    η = offset + Σ_m mask_m · by_m · scale · (W_m u_m + b_m), where u_m is the latent
    vector of deep term m. W_m and b_m start at zero, so that an untrained network is
    the structured model.

    Parameters
    ----------
    encoders : dict of str to torch.nn.Module
        For each deep term a module that maps its batch entry to (B, q), or a
        `FusedEncoder`, which reads the entries that it names itself.
    output_dims : dict of str to int
        For each deep term its q.
    n_predictors : int
        K, at least 1.
    targets : dict of str to sequence of int, optional
        For a deep term the linear predictors that it adds to; all if it is not named.
    scale : float or sequence of K floats, default=1.0
        Unit of the linear predictors (such as the residual standard deviation of a
        gaussian target), so that one learning rate suits every unit of y. A constant.
    modality_dropout : float or dict of str to float, default=0.0
        Probability that a deep term is left out of a row in training, in [0, 1]: one
        for all, or by name (0 for those not named). One at least of the terms that a
        row has is kept. Within a fused term its own rates hold.

    Notes
    -----
    Keys of a batch: ``name`` the input; ``name + ":mask"`` (B,) bool, True where the
    modality is present; ``name + ":by"`` (B,) a multiplier; ``"offset"`` (B, K) (zero
    when it is not there). Rows where the mask is False are replaced by zeros before
    they are encoded, whatever they hold, and what comes out is discarded: no value and
    no gradient of them reaches the result.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from semistruct.networks import SemiStructuredNetwork
    >>> network = SemiStructuredNetwork({"x": nn.Linear(3, 2)}, {"x": 2}, 1)
    >>> network({"x": torch.ones(4, 3)}).linear_predictor.shape
    torch.Size([4, 1])
    """

    scale: Tensor

    def __init__(
        self,
        encoders: Mapping[str, nn.Module],
        output_dims: Mapping[str, int],
        n_predictors: int,
        *,
        targets: Mapping[str, Sequence[int]] | None = None,
        scale: float | Sequence[float] = 1.0,
        modality_dropout: float | Mapping[str, float] = 0.0,
    ) -> None:
        super().__init__()
        if not encoders or set(encoders) != set(output_dims):
            raise ParameterError(
                parameter="output_dims",
                owner="SemiStructuredNetwork",
                allowed="one length for each of at least one encoder",
                given=dict(output_dims),
                hint=f"The encoders are {list(encoders)}.",
            )
        # lists and not ModuleDict: a column may have any name, ModuleDict's keys not
        self.names = tuple(encoders)
        self.n_predictors = n_predictors
        self.encoders = nn.ModuleList(encoders[name] for name in self.names)
        every = tuple(range(n_predictors))
        given = {} if targets is None else targets
        self.targets = {name: tuple(given.get(name, every)) for name in self.names}
        self.heads = nn.ModuleList(
            nn.Linear(output_dims[name], len(self.targets[name])) for name in self.names
        )
        for parameter in self.heads.parameters():
            nn.init.zeros_(parameter)
        units = torch.as_tensor(scale, dtype=torch.float32).expand(n_predictors)
        self.register_buffer("scale", units.clone())
        p = rates(modality_dropout, self.names, "SemiStructuredNetwork")
        self.modality_dropout = ModalityDropout(p, len(self.names))

    def encoder(self, name: str) -> nn.Module:
        """Give the encoder of a deep term, by the term's name."""
        return self.encoders[self.names.index(name)]

    def head(self, name: str) -> nn.Module:
        """Give the linear head of a deep term, by the term's name."""
        return self.heads[self.names.index(name)]

    def forward(self, batch: Batch) -> NetworkOutput:
        """Predict a batch.

        Parameters
        ----------
        batch : dict of str to Tensor
            See the notes of the class.

        Returns
        -------
        NetworkOutput
        """
        latents: dict[str, Tensor] = {}
        masks: dict[str, Tensor | None] = {}
        fused: dict[str, FusedOutput] = {}
        for name, encoder in zip(self.names, self.encoders, strict=True):
            if isinstance(encoder, FusedEncoder):
                fused[name] = encoder(batch)
                latents[name], masks[name] = fused[name].latent, fused[name].mask
            else:
                rows, mask = entry(batch, name)
                latents[name], masks[name] = _present(encoder(rows), mask), mask
        if self.training and self.modality_dropout.acts:
            masks = self._drop(masks, latents)
        contributions: dict[str, Tensor] = {}
        total = batch.get("offset")
        for name, head in zip(self.names, self.heads, strict=True):
            values = self._spread(head(latents[name]), name) * self.scale  # (B, K)
            by = batch.get(name + ":by")
            if by is not None:
                values = values * by[:, None]
            contributions[name] = _present(values, masks[name])
            total = (
                contributions[name] if total is None else total + contributions[name]
            )
        assert total is not None  # there is at least one encoder
        return NetworkOutput(total, contributions, latents, fused)

    def _drop(
        self, masks: Mapping[str, Tensor | None], latents: Mapping[str, Tensor]
    ) -> dict[str, Tensor | None]:
        """Hide terms at random."""
        columns = [
            torch.ones_like(latents[name][:, 0], dtype=torch.bool)
            if mask is None
            else mask
            for name, mask in masks.items()
        ]
        kept = self.modality_dropout(torch.stack(columns, dim=1))  # (B, M)
        return dict(zip(masks, kept.T, strict=True))

    def _spread(self, values: Tensor, name: str) -> Tensor:
        """Put a term's outputs (B, T) at its predictors: (B, K), 0 elsewhere."""
        if len(self.targets[name]) == self.n_predictors:
            return values
        columns = torch.tensor(self.targets[name], device=values.device)
        blank = values.new_zeros(len(values), self.n_predictors)
        return blank.index_copy(1, columns, values)


def _present(values: Tensor, mask: Tensor | None) -> Tensor:
    """Put zeros in the rows (B, …) that are masked."""
    return values if mask is None else values.masked_fill(~mask[:, None], 0)
