"""Losses of a fused term: a stage before the target is learned, or beside its loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from sklearn.base import clone

from semistruct._core.randomness import spawn
from semistruct._core.terms import Fuse
from semistruct.engine import TrainResult
from semistruct.networks import FusedEncoder, SemiStructuredNetwork
from semistruct.objectives import (
    AuxiliaryObjective,
    FusedLoss,
    FusedObjective,
    Objective,
)

from ._deep_stage import DeepStage
from ._readers import FusedModality

__all__ = ["Auxiliary"]

Shapes = Sequence[tuple[int, ...]]


@dataclass(frozen=True)
class Auxiliary:
    """A loss of the fused term of a model.

    Parameters
    ----------
    make : callable
        ``make(shapes, output_dims)`` gives the `FusedLoss`, from the shape of a row of
        each modality and the length of its latent vector.
    weight : float, default=0.0
        Its weight beside the loss of the target; with 0 it is not there.
    epochs : int, default=0
        Epochs of a stage before, in which it is the only loss.
    """

    make: Callable[[Shapes, Sequence[int]], FusedLoss]
    weight: float = 0.0
    epochs: int = 0
    results: list[TrainResult] = field(default_factory=list)  # of the stage before

    def prepare(
        self,
        stage: DeepStage,
        network: SemiStructuredNetwork,
        objective: Objective,
        extra: Mapping[str, torch.Tensor],
        rows: np.ndarray,
        held_out: np.ndarray,
        seed: int,
    ) -> Objective:
        """Train the stage before; give the objective with what stands beside it."""
        key = next((k for k, t in stage.terms.items() if isinstance(t, Fuse)), None)
        if key is None:  # a single modality
            return objective
        loss = self._loss(stage, network, key, seed)
        if self.epochs > 0:
            training = clone(stage.settings.training).set_params(
                max_epochs=self.epochs, stages=None, checkpoint=None
            )
            before = replace(stage, settings=replace(stage.settings, training=training))
            first = FusedObjective(network, key, loss)
            self.results.append(before.train(first, extra, rows, held_out, seed))
        if self.weight == 0:
            return objective
        return AuxiliaryObjective(objective, network, key, loss, self.weight)

    def _loss(
        self, stage: DeepStage, network: SemiStructuredNetwork, key: str, seed: int
    ) -> FusedLoss:
        """Make the loss; torch's global random state is left alone."""
        modality, fused = stage.modalities[key], network.encoder(key)
        assert isinstance(modality, FusedModality)
        assert isinstance(fused, FusedEncoder)
        shapes = [child.input_shape for child in modality.children.values()]
        dims = fused.fusion.dims
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(spawn(seed, 1)[0])
            return self.make(shapes, dims)
