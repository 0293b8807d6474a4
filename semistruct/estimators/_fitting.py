"""The semi-structured fit: warm start, deep terms, orthogonalisation, refit.

1. The structured part alone, by the exact path.
2. The deep terms on the engine, the structured part as an offset; early stopping on
   held-out rows, where "no deep term at all" is a candidate.
3. The deep terms orthogonalised against the structured columns over all rows of fit.
4. The structured part again, by the exact path, the deep part as an offset.

Source: Rügamer, Kolb & Klein (2024), The American Statistician 78, 88-99,
doi:10.1080/00031305.2022.2164054 (the orthogonalisation cell; here it is global).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch

from semistruct._core.randomness import RandomState, spawn
from semistruct._core.terms import DeepTerm
from semistruct._core.validation import suggest
from semistruct.design import DiscreteDesign, StructuredDesign
from semistruct.encoders import build_encoder, get_encoder
from semistruct.engine import Callback, Training, TrainResult, train
from semistruct.exceptions import ParameterError
from semistruct.fusion import fit_projection
from semistruct.networks import SemiStructuredNetwork
from semistruct.solvers import ExactFit

from ._additive import (
    AdditivePredictor,
    DeepPart,
    Predictor,
    offsets,
)
from ._heads import Head
from ._modalities import (
    expand,
    fit_modality,
    key_of,
    make_source,
    subset,
)

__all__ = ["AdditiveFit", "build_network", "fit_additive"]


@dataclass(frozen=True)
class AdditiveFit:
    """What a fit gives: the predictor, the exact fits before and after, the training.

    ``held_out`` are the rows that early stopping looked at; empty without deep terms.
    ``shares`` is Cov(d, η) / Var(η) over the rows of fit, (T,) for each deep term.
    """

    predictor: AdditivePredictor
    structured_only: ExactFit
    exact: ExactFit
    training: TrainResult | None
    held_out: np.ndarray
    shares: dict[str, np.ndarray]


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


def fit_additive(
    head: Head,
    designs: Sequence[StructuredDesign],
    deep: Sequence[tuple[DeepTerm, tuple[int, ...]]],
    frame: pd.DataFrame,
    settings: DeepSettings,
) -> AdditiveFit:
    """Fit structured and deep terms to the target that ``head`` holds.

    Parameters
    ----------
    head : Head
        The target of n rows.
    designs : sequence of K StructuredDesign
        One for each linear predictor, fitted on ``frame``.
    deep : sequence of (DeepTerm, tuple of int)
        Each with the linear predictors that it adds to. May be empty: then the engine
        is not started.
    frame : DataFrame of n rows
        The table.
    settings : DeepSettings
        How the deep terms are fitted.
    """
    offset = offsets(designs, frame)
    if not deep and settings.max_bins is not None:
        discrete = DiscreteDesign.from_designs(designs, frame, settings.max_bins)
        warm = head.fit_exact(discrete, designs, offset)
    else:
        matrices = head.evaluate(designs, frame)
        warm = head.fit_exact(matrices, designs, offset)
    if not deep:
        predictor = AdditivePredictor(
            _predictors(head, designs, warm), {}, None, provided=head.provided
        )
        return AdditiveFit(predictor, warm, warm, None, np.empty(0, dtype=np.int64), {})

    terms = [term for term, _ in deep]
    targets = {key_of(term): at for term, at in deep}
    _check_encoders(settings.encoders, terms)
    modalities = {
        key_of(term): fit_modality(term, expand(term, list(frame.columns)), frame)
        for term in terms
    }
    init_seed, split_seed, order_seed = spawn(settings.random_state, 3)
    network = build_network(
        {key_of(t): _encoder_of(settings.encoders, t) for t in terms},
        {key: modality.input_shape for key, modality in modalities.items()},
        head.n_predictors,
        targets=targets,
        scale=head.units(warm).tolist(),
        seed=init_seed,
    )
    by = {key_of(t): b for t in terms if (b := getattr(t, "by", None)) is not None}
    extra = head.tensors(warm)
    source = make_source(modalities, by, frame, extra, settings.training.num_workers)
    rows, held_out = head.split(
        settings.training.validation_fraction, split_seed, settings.groups
    )
    result = train(
        head.objective(network, warm),
        subset(source, rows),
        subset(source, held_out) if len(held_out) else None,
        training=settings.training,
        seed=order_seed,
        callbacks=settings.callbacks,
    )

    bare = {
        key_of(term): DeepPart(
            term,
            modalities[key_of(term)],
            copy.deepcopy(_encoder_of(settings.encoders, term)),
            targets[key_of(term)],
            _last_layer(network, key_of(term)),
        )
        for term in terms
    }
    device = settings.training.device
    unprojected = AdditivePredictor(
        _predictors(head, designs, warm), bare, network, device, head.provided
    )
    latents = unprojected.latents(frame, num_workers=settings.training.num_workers)
    columns = head.projected(designs, matrices, frame)
    parts, contributions, total = {}, {}, offset.copy()
    for name, part in bare.items():
        u, present = latents[name]
        if settings.orthogonalize == "global":
            part = _project(part, u, present, columns, head, warm)
        parts[name] = part
        contributions[part.term.label] = part.contribution(u, present, columns)
        total[:, part.targets] += contributions[part.term.label]
    exact = head.fit_exact(matrices, designs, total)
    exact = head.held_out_dispersion(exact, held_out)
    predictor = AdditivePredictor(
        _predictors(head, designs, exact), parts, network, device, head.provided
    )
    shares = {
        part.term.label: _share(
            contributions[part.term.label], exact.linear_predictor[:, part.targets]
        )
        for part in parts.values()
    }
    return AdditiveFit(predictor, warm, exact, result, held_out, shares)


def build_network(
    encoders: Mapping[str, Any],
    shapes: Mapping[str, tuple[int, ...]],
    n_predictors: int,
    *,
    targets: Mapping[str, tuple[int, ...]],
    scale: Sequence[float],
    seed: int = 0,
) -> SemiStructuredNetwork:
    """Build the untrained network; torch's global random state is left alone."""
    built, dims = {}, {}
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # and no GPU's
        for key, spec in encoders.items():
            built[key], dims[key] = build_encoder(spec, shapes[key])
        return SemiStructuredNetwork(
            built, dims, n_predictors, targets=targets, scale=scale
        )


def _encoder_of(encoders: Mapping[str, Any], term: DeepTerm) -> Any:
    """Find the encoder of a term: given under its name or label, or the default."""
    key = term.label if term.label in encoders else term.name
    return get_encoder(encoders.get(key, getattr(term, "encoder", None)), term)


def _check_encoders(encoders: Mapping[str, Any], deep: Sequence[DeepTerm]) -> None:
    known = [key for term in deep for key in (term.name, term.label)]
    for key in encoders:
        if key not in known:
            raise ParameterError(
                parameter="encoders",
                owner="the estimator",
                allowed=f"a dict with keys among {sorted(set(known))}",
                given=key,
                hint=suggest(str(key), known),
            )


def _share(d: np.ndarray, eta: np.ndarray) -> np.ndarray:
    """Give Cov(d, η) / Var(η) for each predictor; 0 where η is constant."""
    eta = eta - eta.mean(axis=0)
    variance = (eta**2).mean(axis=0)
    covariance = ((d - d.mean(axis=0)) * eta).mean(axis=0)
    return np.divide(
        covariance, variance, out=np.zeros_like(variance), where=variance > 0
    )


def _predictors(
    head: Head, designs: Sequence[StructuredDesign], fit: ExactFit
) -> list[Predictor]:
    """Put the coefficients to their designs."""
    triples = zip(head.names, designs, fit.slices, strict=True)
    return [Predictor(name, design, fit.coef[at]) for name, design, at in triples]


def _last_layer(network: SemiStructuredNetwork, key: str) -> np.ndarray:
    """Give the last layer with its bias, (q + 1, T), in units of the predictors."""
    layer = network.head(key)
    weight = layer.weight.detach().double().cpu().numpy()  # type: ignore[operator]
    bias = layer.bias.detach().double().cpu().numpy()  # type: ignore[operator]
    units = network.scale.double().cpu().numpy()[list(network.targets[key])]
    return np.ascontiguousarray(np.vstack([weight.T, bias]) * units)


def _project(
    part: DeepPart,
    latents: np.ndarray,
    present: np.ndarray,
    columns: Sequence[np.ndarray],
    head: Head,
    warm: ExactFit,
) -> DeepPart:
    """Take the structured columns out of a deep term, in the metric of each η_k."""
    extra = head.projection_columns()
    slopes, shifts = [], []
    for k in part.targets:
        basis = np.hstack([columns[k], extra])
        p = columns[k].shape[1]
        # observed weights may be negative (student_t, zero-inflated): not a metric
        weight = warm.working_weight[:, k].clip(min=0.0)
        a = fit_projection(basis, latents, weight, present.astype(bool))
        slopes.append(a[:p])
        # dummies of strata: a constant per stratum does not touch a partial likelihood
        share = (weight * present) @ extra
        total = share.sum()
        shifts.append(share @ a[p:] / total if total > 0 else np.zeros(a.shape[1]))
    return replace(part, projections=tuple(slopes), shifts=tuple(shifts))
