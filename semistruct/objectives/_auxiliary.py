"""Losses of a fused term's latent vectors, before or beside the loss of the target.

Letters: B rows, M modalities, q length of a latent vector.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from itertools import combinations

from torch import Tensor, nn

from semistruct._core.validation import check_choice, check_number
from semistruct.networks import FusedOutput, SemiStructuredNetwork

from ._base import Batch, Objective, StepOutput
from ._correlation import canonical_correlation, pearson_correlation
from ._cross_reconstruction import cross_reconstruction_loss
from ._similarity import similarity_loss

__all__ = [
    "AuxiliaryObjective",
    "CorrelationLoss",
    "CrossReconstructionLoss",
    "FusedLoss",
    "FusedObjective",
    "SimilarityLoss",
]


class FusedLoss(nn.Module, ABC):
    """A loss of what a fused term says of a batch; abstract."""

    name: str

    @abstractmethod
    def forward(self, output: FusedOutput, batch: Batch) -> Tensor:
        """Score the modalities' latent vectors, whether they were dropped or not."""


class SimilarityLoss(FusedLoss):
    """`similarity_loss` of the modalities' latent vectors.

    Parameters
    ----------
    margin : float, default=0.1
        At least 0.

    Examples
    --------
    >>> from semistruct.objectives import SimilarityLoss
    >>> SimilarityLoss().name
    'similarity'
    """

    name = "similarity"

    def __init__(self, margin: float = 0.1) -> None:
        super().__init__()
        self.margin = margin

    def forward(self, output: FusedOutput, batch: Batch) -> Tensor:
        """Score a batch."""
        latents = list(output.modalities.values())
        return similarity_loss(latents, output.present, self.margin)


class CorrelationLoss(FusedLoss):
    """Minus the correlation of the modalities' latent vectors, summed over pairs.

    Parameters
    ----------
    how : {"pearson", "canonical"}, default="pearson"
        `pearson_correlation` or `canonical_correlation`.

    Examples
    --------
    >>> from semistruct.objectives import CorrelationLoss
    >>> CorrelationLoss("canonical").name
    'correlation'
    """

    name = "correlation"

    def __init__(self, how: str = "pearson") -> None:
        check_choice(
            how, ("pearson", "canonical"), parameter="how", owner="CorrelationLoss"
        )
        super().__init__()
        self.how = how

    def forward(self, output: FusedOutput, batch: Batch) -> Tensor:
        """Score a batch."""
        measure = (
            pearson_correlation if self.how == "pearson" else canonical_correlation
        )
        latents, there = list(output.modalities.values()), output.present
        total = latents[0].new_zeros(())
        for i, j in combinations(range(len(latents)), 2):
            both = there[:, i] & there[:, j]
            total = total - measure(latents[i], latents[j], both)
        return total


class CrossReconstructionLoss(FusedLoss):
    """`cross_reconstruction_loss` of the modalities, with decoders of its own.

    Parameters
    ----------
    decoders : sequence of torch.nn.Module
        One for each modality, maps (B, q) to (B, p_m).
    cross : bool, default=True
        Whether each modality is read from the codes of the others, too.

    Examples
    --------
    >>> from torch import nn
    >>> from semistruct.objectives import CrossReconstructionLoss
    >>> loss = CrossReconstructionLoss([nn.Linear(2, 5), nn.Linear(2, 3)])
    >>> len(loss.decoders)
    2
    """

    name = "reconstruction"

    def __init__(self, decoders: Sequence[nn.Module], cross: bool = True) -> None:
        super().__init__()
        self.decoders = nn.ModuleList(decoders)
        self.cross = cross

    def forward(self, output: FusedOutput, batch: Batch) -> Tensor:
        """Score a batch."""
        rows = [batch[key] for key in output.modalities]
        codes = list(output.modalities.values())
        return cross_reconstruction_loss(
            rows, codes, list(self.decoders), output.present, cross=self.cross
        )


class FusedObjective(Objective):
    """A loss of a fused term alone: the stage of training that needs no target.

    Parameters
    ----------
    network : SemiStructuredNetwork
        Holds the fused term; its encoders are changed in place.
    key : str
        Name of the fused term.
    loss : FusedLoss
        What is minimised.

    Examples
    --------
    >>> import torch
    >>> from semistruct.encoders import MLP
    >>> from semistruct.networks import SemiStructuredNetwork, build_fused
    >>> from semistruct.objectives import FusedObjective, SimilarityLoss
    >>> shapes = {"a": (3,), "b": (5,)}
    >>> module, q = build_fused({"a": MLP(), "b": MLP()}, shapes)
    >>> network = SemiStructuredNetwork({"ab": module}, {"ab": q}, 1)
    >>> batch = {"a": torch.randn(4, 3), "b": torch.randn(4, 5)}
    >>> FusedObjective(network, "ab", SimilarityLoss()).step(batch).n
    4
    """

    network: SemiStructuredNetwork

    def __init__(
        self, network: SemiStructuredNetwork, key: str, loss: FusedLoss
    ) -> None:
        super().__init__(network)
        self.key = key
        self.loss = loss

    def step(self, batch: Batch) -> StepOutput:
        """Score one batch."""
        output = self.network.encoder(self.key)(batch)
        value = self.loss(output, batch)
        return StepOutput(value, {self.loss.name: value.detach()}, len(output.mask))


class AuxiliaryObjective(Objective):
    """An objective plus ``weight`` times a loss of a fused term, in one forward pass.

    Rows that are held out are scored by the objective alone.

    Parameters
    ----------
    objective : Objective
        The loss of the target.
    network : SemiStructuredNetwork
        The network within it that holds the fused term.
    key : str
        Name of the fused term.
    loss : FusedLoss
        What is added.
    weight : float
        Its weight, at least 0.

    Examples
    --------
    >>> import torch
    >>> from semistruct.encoders import MLP
    >>> from semistruct.networks import SemiStructuredNetwork, build_fused
    >>> from semistruct.objectives import (
    ...     AuxiliaryObjective, CoxObjective, SimilarityLoss)
    >>> shapes = {"a": (3,), "b": (5,)}
    >>> module, q = build_fused({"a": MLP(), "b": MLP()}, shapes)
    >>> network = SemiStructuredNetwork({"ab": module}, {"ab": q}, 1)
    >>> objective = AuxiliaryObjective(
    ...     CoxObjective(network), network, "ab", SimilarityLoss(), 0.3)
    >>> batch = {"a": torch.randn(4, 3), "b": torch.randn(4, 5),
    ...          "time": torch.arange(1.0, 5.0), "event": torch.ones(4)}
    >>> sorted(objective.step(batch).parts)
    ['negative_log_likelihood', 'similarity']
    """

    network: SemiStructuredNetwork

    def __init__(
        self,
        objective: Objective,
        network: SemiStructuredNetwork,
        key: str,
        loss: FusedLoss,
        weight: float,
    ) -> None:
        check_number(weight, parameter="weight", owner="AuxiliaryObjective", low=0)
        super().__init__(network)
        self.objective = objective
        self.key = key
        self.loss = loss
        self.weight = weight

    def step(self, batch: Batch) -> StepOutput:
        """Score one batch."""
        seen: list[FusedOutput] = []
        handle = self.network.encoder(self.key).register_forward_hook(
            lambda module, inputs, output: seen.append(output)
        )
        try:
            main = self.objective.step(batch)
        finally:
            handle.remove()
        value = self.loss(seen[-1], batch)
        parts = {**main.parts, self.loss.name: value.detach()}
        return StepOutput(main.loss + self.weight * value, parts, main.n)

    def _score(self, batches: Iterable[Batch]) -> float:
        return self.objective._score(batches)
