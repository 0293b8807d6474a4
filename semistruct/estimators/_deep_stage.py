"""The deep terms of one fit: what they read, how their networks are trained."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch

from semistruct._core.randomness import RandomState
from semistruct._core.terms import DeepTerm
from semistruct.engine import Callback, Training, TrainResult, train
from semistruct.networks import SemiStructuredNetwork
from semistruct.objectives import Objective

from ._additive import AdditivePredictor, DeepPart, Predictor
from ._branches import build_branch, check_encoders, encoder_of
from ._modalities import (
    Modality,
    expand,
    fit_modality,
    key_of,
    make_source,
    subset,
)

__all__ = ["DeepSettings", "DeepStage", "build_network"]


@dataclass(frozen=True)
class DeepSettings:
    """How deep terms are fitted; see the parameters of the estimators."""

    encoders: Mapping[str, Any]
    training: Training
    orthogonalize: str
    random_state: RandomState
    callbacks: Sequence[Callback]
    groups: np.ndarray | None
    max_bins: int | None = None
    modality_dropout: float | Mapping[str, float] = 0.0
    strategy: str = "joint"
    inference: Any = "conditional"  # resolved
    estimand: str = "projection"
    owner: str = "the estimator"
    auxiliary: Any = None  # an Auxiliary: a further loss of the deep terms


@dataclass(frozen=True)
class DeepStage:
    """Deep terms, by their keys, and the table that they read.

    ``targets`` are the linear predictors that each adds to, ``specs`` the encoders'
    specifications; ``provided`` are columns that a head adds to the table.
    """

    terms: dict[str, DeepTerm]
    targets: dict[str, tuple[int, ...]]
    specs: dict[str, Any]
    modalities: dict[str, Modality]
    frame: pd.DataFrame
    settings: DeepSettings
    provided: dict[str, float] = field(default_factory=dict)

    @classmethod
    def fit(
        cls,
        deep: Sequence[tuple[DeepTerm, tuple[int, ...]]],
        frame: pd.DataFrame,
        settings: DeepSettings,
        provided: Mapping[str, float],
    ) -> DeepStage:
        """Read the columns of the rows of fit."""
        terms = {key_of(term): term for term, _ in deep}
        check_encoders(settings.encoders, list(terms.values()))
        specs = {key: encoder_of(settings.encoders, t) for key, t in terms.items()}
        known, on_unreadable = list(frame.columns), settings.training.on_unreadable
        modalities = {
            key: fit_modality(t, expand(t, known), frame, specs[key], on_unreadable)
            for key, t in terms.items()
        }
        targets = {key_of(term): at for term, at in deep}
        return cls(terms, targets, specs, modalities, frame, settings, dict(provided))

    def network(
        self,
        n_predictors: int,
        scale: Sequence[float],
        seed: int,
        targets: Mapping[str, tuple[int, ...]] | None = None,
    ) -> SemiStructuredNetwork:
        """Build the untrained network."""
        branches = {
            key: (term, self.specs[key], self.modalities[key])
            for key, term in self.terms.items()
        }
        return build_network(
            branches,
            n_predictors,
            targets=self.targets if targets is None else targets,
            scale=scale,
            seed=seed,
            modality_dropout=self.settings.modality_dropout,
        )

    def train(
        self,
        objective: Objective,
        extra: Mapping[str, torch.Tensor],
        rows: np.ndarray,
        held_out: np.ndarray,
        seed: int,
    ) -> TrainResult:
        """Train on some rows and stop early by others."""
        training = self.settings.training
        pairs = self.terms.items()
        by = {k: b for k, t in pairs if (b := getattr(t, "by", None)) is not None}
        source = make_source(
            self.modalities,
            by,
            self.frame,
            extra,
            training.num_workers,
            training.on_unreadable,
        )
        return train(
            objective,
            subset(source, rows),
            subset(source, held_out) if len(held_out) else None,
            training=training,
            seed=seed,
            callbacks=self.settings.callbacks,
        )

    def parts(self, network: SemiStructuredNetwork) -> dict[str, DeepPart]:
        """Give the terms with the last layers of a network, nothing projected."""
        return {
            key: DeepPart(
                term,
                self.modalities[key],
                copy.deepcopy(self.specs[key]),
                self.targets[key],
                _last_layer(network, key),
            )
            for key, term in self.terms.items()
        }

    def predictor(
        self,
        predictors: Sequence[Predictor],
        parts: dict[str, DeepPart],
        network: SemiStructuredNetwork,
    ) -> AdditivePredictor:
        """Put fitted parts together."""
        training = self.settings.training
        return AdditivePredictor(
            predictors,
            parts,
            network,
            training.device,
            provided=self.provided,
            on_unreadable=training.on_unreadable,
        )

    def latents(
        self, network: SemiStructuredNetwork
    ) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Give by·mask·[U, 1] (n, q + 1) and the mask (n,) of each term."""
        whole = self.predictor((), self.parts(network), network)
        return whole.latents(self.frame, num_workers=self.settings.training.num_workers)


def build_network(
    branches: Mapping[str, tuple[DeepTerm, Any, Modality]],
    n_predictors: int,
    *,
    targets: Mapping[str, tuple[int, ...]],
    scale: Sequence[float],
    seed: int = 0,
    modality_dropout: float | Mapping[str, float] = 0.0,
) -> SemiStructuredNetwork:
    """Build the untrained network; torch's global random state is left alone."""
    built, dims = {}, {}
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # and no GPU's
        for key, branch in branches.items():
            built[key], dims[key] = build_branch(*branch)
        return SemiStructuredNetwork(
            built,
            dims,
            n_predictors,
            targets=targets,
            scale=scale,
            modality_dropout=modality_dropout,
        )


def _last_layer(network: SemiStructuredNetwork, key: str) -> np.ndarray:
    """Give the last layer with its bias, (q + 1, T), in units of the predictors."""
    layer = network.head(key)
    weight = layer.weight.detach().double().cpu().numpy()  # type: ignore[operator]
    bias = layer.bias.detach().double().cpu().numpy()  # type: ignore[operator]
    units = network.scale.double().cpu().numpy()[list(network.targets[key])]
    return np.ascontiguousarray(np.vstack([weight.T, bias]) * units)
