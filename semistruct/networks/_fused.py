"""Several modalities, their encoders and a joint fusion: one deep term.

Letters: B rows, M modalities, q_m length of a modality's latent vector, q that of the
term's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from semistruct._core.validation import check_choice, check_number
from semistruct.encoders import MLP, Encoder, build_encoder
from semistruct.exceptions import ParameterError
from semistruct.fusion import Fusion, FusionModule, ModalityDropout, Tokens, get_fusion
from semistruct.networks._entries import Batch, entry, rates


class FusedOutput(NamedTuple):
    """What a `FusedEncoder` says about a batch.

    Attributes
    ----------
    latent : Tensor of shape (B, q)
        What the linear head of the term reads; 0 for a row without any modality.
    mask : Tensor of bool of shape (B,)
        True where at least one modality is present.
    modalities : dict of str to Tensor of shape (B, q_m)
        Each modality's own latent vector, dropped in this step or not; 0 where missing.
    present : Tensor of bool of shape (B, M)
        Which modalities the batch holds.
    kept : Tensor of bool of shape (B, M)
        Those that were fused: in training modality dropout takes some away.
    """

    latent: Tensor
    mask: Tensor
    modalities: dict[str, Tensor]
    present: Tensor
    kept: Tensor


class FusedEncoder(nn.Module):
    """The encoder of a fused term, which reads several entries of a batch.

    The modalities are encoded, some are dropped in training (never the last of a row),
    those left are fused, and the fused vector goes through dropout and ``top``. What
    comes out is the latent vector of the term.

    Parameters
    ----------
    encoders : dict of str to torch.nn.Module
        By key of the batch: a module that maps this entry to (B, q_m). The mask of a
        modality is the entry ``key + ":mask"``, (B,) bool; without it the modality is
        there in every row. Two fused terms may read one entry.
    fusion : FusionModule
        Built for the q_m, in the order of ``encoders``.
    top : torch.nn.Module, optional
        Maps the fused vector (B, ·) to (B, q).
    dropout : float, default=0.0
        Share of the fused vector's entries that are dropped in training, in [0, 1).
    modality_dropout : float or dict of str to float, default=0.0
        Probability that a modality is dropped in training, in [0, 1]: one for all, or
        by key (0 for those not named). See `drop_modalities`.

    Notes
    -----
    Where the fusion takes tokens and an encoder has a method ``tokens``, which maps its
    input to vectors (B, T, q_m) and where they are present (B, T), these are fused, and
    the modality's own latent vector is their mean. Any other encoder gives one token.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from semistruct.fusion import MeanFusion
    >>> from semistruct.networks import FusedEncoder
    >>> encoders = {"scan": nn.Linear(4, 2), "genes": nn.Linear(9, 2)}
    >>> fused = FusedEncoder(encoders, MeanFusion().build([2, 2]))
    >>> batch = {"scan": torch.ones(3, 4), "genes": torch.ones(3, 9),
    ...          "genes:mask": torch.tensor([True, False, True])}
    >>> output = fused(batch)
    >>> output.latent.shape, list(output.modalities)
    (torch.Size([3, 2]), ['scan', 'genes'])
    """

    def __init__(
        self,
        encoders: Mapping[str, nn.Module],
        fusion: FusionModule,
        *,
        top: nn.Module | None = None,
        dropout: float = 0.0,
        modality_dropout: float | Mapping[str, float] = 0.0,
    ) -> None:
        super().__init__()
        owner = "FusedEncoder"
        if len(encoders) != len(fusion.dims):
            raise ParameterError(
                parameter="encoders",
                owner=owner,
                allowed=f"one module for each of the {len(fusion.dims)} modalities "
                "that the fusion was built for",
                given=list(encoders),
            )
        check_number(
            dropout, parameter="dropout", owner=owner, low=0, high=1, closed="left"
        )
        self.names = tuple(encoders)
        self.encoders = nn.ModuleList(encoders.values())
        given = rates(modality_dropout, self.names, owner)
        self.modality_dropout = ModalityDropout(given, len(self.names))
        self.fusion = fusion
        self.dropout = nn.Dropout(dropout)
        self.top = nn.Identity() if top is None else top

    def encoder(self, key: str) -> nn.Module:
        """Give the encoder of a modality, by its key."""
        return self.encoders[self.names.index(key)]

    def encode(self, batch: Batch) -> tuple[list[Tensor | Tokens], Tensor]:
        """Encode each modality.

        Parameters
        ----------
        batch : dict of str to Tensor
            See ``encoders``.

        Returns
        -------
        latents : list of M Tensor (B, q_m) or Tokens
            What the fusion takes, so that ``fusion.weights(*fused.encode(batch))``
            reads the attention, where the fusion has it.
        present : Tensor of bool of shape (B, M)
        """
        latents: list[Tensor | Tokens] = []
        masks: list[Tensor] = []
        for key, encoder in zip(self.names, self.encoders, strict=True):
            rows, mask = entry(batch, key)
            if mask is None:
                mask = torch.ones(len(rows), dtype=torch.bool, device=rows.device)
            tokens = getattr(encoder, "tokens", None)
            if self.fusion.takes_tokens and tokens is not None:
                latents.append(Tokens(*tokens(rows)))
            else:
                latents.append(encoder(rows))
            masks.append(mask)
        present = torch.stack(masks, dim=1)
        return self.fusion.clean(latents, present), present

    def forward(self, batch: Batch) -> FusedOutput:
        """Encode and fuse a batch.

        Parameters
        ----------
        batch : dict of str to Tensor
            See ``encoders``.

        Returns
        -------
        FusedOutput
        """
        latents, present = self.encode(batch)
        kept = self.modality_dropout(present)
        mask = present.any(dim=1)
        latent = self.top(self.dropout(self.fusion(latents, kept)))
        return FusedOutput(
            latent.masked_fill(~mask[:, None], 0),
            mask,
            {key: _vector(v) for key, v in zip(self.names, latents, strict=True)},
            present,
            kept,
        )


def build_fused(
    encoders: Mapping[str, Encoder | nn.Module],
    shapes: Mapping[str, tuple[int, ...]],
    how: str | Fusion = "concat",
    *,
    head: str | MLP = "linear",
    dropout: float = 0.0,
    modality_dropout: float | Mapping[str, float] = 0.0,
    moments: Mapping[str, tuple[Any, Any]] | None = None,
    facts: Mapping[str, Mapping[str, Any]] | None = None,
) -> tuple[FusedEncoder, int]:
    """Make the encoder of a fused term from specifications.

    Parameters
    ----------
    encoders : dict of str to Encoder or torch.nn.Module
        For each modality, by its key in batches.
    shapes : dict of str to tuple of int
        Shape of one row of each modality, without the batch.
    how : str or Fusion, default="concat"
        The fusion.
    head : {"linear", "mlp"} or MLP, default="linear"
        What stands between the fused vector and the linear map to the predictors:
        nothing, so that the term is linear in the fused vector (with
        ``how="concat"``: a sum of one contribution for each modality), or a perceptron,
        so that modalities, structured columns as ``tabular(…)`` among them, interact.
    dropout : float, default=0.0
        As for `FusedEncoder`.
    modality_dropout : float or dict of str to float, default=0.0
        As for `FusedEncoder`.
    moments, facts : dict of str to object, optional
        As for `build_encoder`, by key.

    Returns
    -------
    module : FusedEncoder
    output_dim : int
        q, the length of its latent vector.

    Examples
    --------
    >>> from semistruct.encoders import CNN, MLP
    >>> from semistruct.networks import build_fused
    >>> encoders = {"scan": CNN(width=8), "clinic": MLP()}
    >>> shapes = {"scan": (1, 8, 8), "clinic": (3,)}
    >>> module, q = build_fused(encoders, shapes, "gated", head="mlp")
    >>> q
    16
    """
    if set(encoders) != set(shapes):
        raise ParameterError(
            parameter="shapes",
            owner="build_fused",
            allowed=f"one shape for each of {list(encoders)}",
            given=dict(shapes),
        )
    given = {} if moments is None else moments
    known = {} if facts is None else facts
    built = {
        key: build_encoder(spec, shapes[key], given.get(key), known.get(key))
        for key, spec in encoders.items()
    }
    fusion = get_fusion(how).build([q for _, q in built.values()])
    top, q = _top(head, fusion.output_dim)
    module = FusedEncoder(
        {key: encoder for key, (encoder, _) in built.items()},
        fusion,
        top=top,
        dropout=dropout,
        modality_dropout=modality_dropout,
    )
    return module, q


def _top(head: str | MLP, length: int) -> tuple[nn.Module | None, int]:
    """Make what an argument ``head`` puts on vectors of a length; its output's length.

    The linear map after it is not a part of it.
    """
    if not isinstance(head, MLP):
        check_choice(head, ("linear", "mlp"), parameter="head", owner="build_fused")
        if head == "linear":
            return None, length
        head = MLP()
    return head.build((length,)), head.output_dim


def _vector(latent: Tensor | Tokens) -> Tensor:
    """Give one vector (B, q_m) for each row: tokens are averaged."""
    if isinstance(latent, Tokens):
        count = latent.present.sum(dim=1, keepdim=True).clamp_min(1)
        return latent.vectors.sum(dim=1) / count
    return latent
