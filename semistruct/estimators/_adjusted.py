"""Coefficients at fixed deep features: the partially linear model, cross-fitted.

Letters: n rows, c structured columns without the intercept, q latent features.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from semistruct._core.randomness import spawn
from semistruct.exceptions import ParameterError
from semistruct.families import Gaussian
from semistruct.inference import (
    check_clusters,
    check_share,
    cross_folds,
    cross_residuals,
    median_of_splits,
    residual_share,
    ridge_block,
    sandwich,
)
from semistruct.networks import SemiStructuredNetwork
from semistruct.objectives import Objective, StepOutput
from semistruct.solvers import ExactFit, RankDeficiencyError, fit_glm

from ._additive import DeepPart
from ._cross_fit import fold_split, units_of
from ._deep_stage import DeepStage
from ._heads import GlmHead, Head
from ._strategies import Structured

__all__ = ["Adjusted", "check_adjustable", "fit_adjusted"]


@dataclass(frozen=True)
class Adjusted:
    """A fit of the adjusted estimand; see `CrossFitted` and `Run`."""

    network: SemiStructuredNetwork
    parts: dict[str, DeepPart]
    contributions: dict[str, np.ndarray]
    exact: ExactFit
    training: Any
    held_out: np.ndarray
    spread: np.ndarray
    share: dict[str, float]
    n_networks: int


class ConditionalMeans(Objective):
    """Mean squared error of several responses in their own units.

    The network learns E[y | image] and E[x | image] together, so that its latent
    features know both; ``"means"`` (B, C) in a batch are the standardised responses.
    """

    def step(self, batch: Mapping[str, Tensor]) -> StepOutput:
        """Score one batch."""
        found = self.network(batch).linear_predictor
        rows = (batch["means"] - found).square().mean(dim=1)
        weight = batch.get("weight")
        n: int | Tensor = len(rows)
        if weight is None:
            loss = rows.mean()
        else:
            n = weight.sum()
            loss = (weight * rows).sum() / n.clamp(min=1e-30)
        return StepOutput(loss, {"square": loss.detach()}, n)


def check_adjustable(head: Head, owner: str) -> None:
    """Refuse heads for which residuals on residuals are not the effect."""
    family = getattr(head, "family", None)
    plain = type(head) is GlmHead and getattr(family, "name", None) == "gaussian"
    link = family.links["loc"].name if plain and family is not None else None
    if not plain or head.n_predictors > 1 or link != "identity":
        given = type(head).__name__ if family is None else family.name
        raise ParameterError(
            parameter="estimand",
            owner=owner,
            allowed="'projection', unless the family is gaussian with the identity "
            "link and one formula",
            given="adjusted",
            hint=f"For {given} a residual on a residual is not the effect at a fixed "
            "image: an offset is not Neyman-orthogonal, and logits and hazard ratios "
            "are not collapsible.",
        )


def fit_adjusted(
    structured: Structured, stage: DeepStage, option: Any, seed: int
) -> Adjusted:
    """Fit y = Xβ + g(U) + ε by cross-fitted residuals on residuals, then g for all."""
    head: Any = structured.head
    owner = stage.settings.owner
    check_adjustable(head, owner)
    design, matrix = structured.designs[0], structured.matrices[0]
    units = units_of(head, stage.settings.groups)
    check_clusters(units, head.n_rows, owner)
    slopes = np.ones(matrix.shape[1], dtype=bool)
    parametric = []
    for block in design.blocks:
        if block.kind == "intercept":
            slopes[block.start : block.stop] = False
        elif block.kind == "parametric":
            parametric += list(range(block.start, block.stop))
    target = head.y - structured.offset[:, 0]
    columns = np.column_stack([matrix[:, slopes], target])
    weight = _product(head.weight, head.var_weight, head.n_rows)
    places = np.cumsum(slopes) - 1  # of the kept columns
    final_seed, *seeds = spawn(seed, 1 + option.repeats)
    coefs, covs, shares = [], [], []
    for own in seeds:
        folds = cross_folds(head.n_rows, option.folds, own, groups=units)
        latents = [
            _learn(stage, columns, weight, units, np.flatnonzero(folds != k), s)[1]
            for k, s in enumerate(spawn(own, option.folds))
        ]
        left = cross_residuals(
            columns, latents, folds, weight=weight, learner=option.learner
        )
        at = places[parametric]
        shares.append(residual_share(columns[:, at], left[:, at], weight))
        check_share(shares[-1], [design.names[j] for j in parametric], owner)
        fit = _regress(left, head, design, slopes)
        scores = left[:, :-1] * (weight * _rest(left, fit))[:, None] / fit.dispersion
        edf = float(fit.edf.sum())
        coefs.append(fit.coef)
        covs.append(sandwich(scores, fit.cov, units, n_parameters=edf))
    pooled = median_of_splits(coefs, covs)
    network, u, training, held_out = _final(stage, columns, weight, units, final_seed)
    parts, contributions, level = _deep_part(
        stage, network, u, target - matrix[:, slopes] @ pooled.coef, head
    )
    rest = _rest(left, fit)
    exact = _with_intercept(
        fit, pooled.coef, pooled.cov, matrix, slopes, level, (target - rest, weight)
    )
    exact = replace(exact, linear_predictor=(head.y - rest)[:, None])
    share = np.median(shares, axis=0) if parametric else np.zeros(0)
    names = [design.names[j] for j in parametric]
    spread = np.zeros(matrix.shape[1])
    spread[slopes] = pooled.spread
    return Adjusted(
        network,
        parts,
        contributions,
        exact,
        training,
        held_out,
        spread,
        dict(zip(names, share.tolist(), strict=True)),
        option.folds * option.repeats,
    )


def _learn(
    stage: DeepStage,
    columns: np.ndarray,
    weight: np.ndarray,
    units: np.ndarray | None,
    rows: np.ndarray,
    seed: int,
) -> tuple[SemiStructuredNetwork, np.ndarray, Any, np.ndarray]:
    """Learn features of some rows; gives them (n, q) for all."""
    init_seed, split_seed, order_seed = spawn(seed, 3)
    fraction = stage.settings.training.validation_fraction
    train, held_out = fold_split(rows, fraction, units, None, split_seed)
    share = weight[train] / weight[train].sum()
    level = share @ columns[train]
    spread = np.sqrt(share @ (columns[train] - level) ** 2)
    means = (columns - level) / np.where(spread > 0, spread, 1.0)
    every = tuple(range(columns.shape[1]))
    network = stage.network(
        len(every), [1.0] * len(every), init_seed, dict.fromkeys(stage.terms, every)
    )
    extra = {"means": torch.as_tensor(means, dtype=torch.float32)}
    if not (weight == weight[0]).all():
        extra["weight"] = torch.as_tensor(weight, dtype=torch.float32)
    result = stage.train(ConditionalMeans(network), extra, train, held_out, order_seed)
    whole = replace(stage, targets=dict.fromkeys(stage.terms, every))
    latents = whole.latents(network)
    return network, np.hstack([u for u, _ in latents.values()]), result, held_out


def _final(
    stage: DeepStage,
    columns: np.ndarray,
    weight: np.ndarray,
    units: np.ndarray | None,
    seed: int,
) -> tuple[SemiStructuredNetwork, dict[str, Any], Any, np.ndarray]:
    """Learn features of all rows, in a network of the model's one predictor."""
    every = np.arange(len(columns))
    learned, _, result, held_out = _learn(stage, columns, weight, units, every, seed)
    network = stage.network(1, [1.0], seed)
    network.encoders.load_state_dict(learned.encoders.state_dict())
    network.eval()
    return network, stage.latents(network), result, held_out


def _deep_part(
    stage: DeepStage,
    network: SemiStructuredNetwork,
    latents: dict[str, tuple[np.ndarray, np.ndarray]],
    target: np.ndarray,
    head: Any,
) -> tuple[dict[str, DeepPart], dict[str, np.ndarray], float]:
    """Fit g(U) by ridge regression; gives the parts, centred, and the level."""
    pieces, penalties, blocks = [np.ones((len(target), 1))], [], []
    start = 1
    for key, (u, _) in latents.items():
        block = ridge_block(u, stage.terms[key].label, start)
        blocks.append(block)
        pieces.append(block.columns)
        start += block.columns.shape[1]
        if block.columns.shape[1]:
            penalties.append(block.penalty)
    fit = fit_glm(
        [np.hstack(pieces)],
        target,
        Gaussian(),
        penalties=[penalties],
        sample_weight=head.weight,
        var_weights=head.var_weight,
        corrected=False,
    )
    parts, contributions = stage.parts(network), {}
    level, start = float(fit.coef[0]), 1
    for (key, (u, present)), block in zip(latents.items(), blocks, strict=True):
        stop = start + block.columns.shape[1]
        w = block.weights(fit.coef[start:stop])[:, None]
        if np.ptp(u[:, -1]) == 0 and u[0, -1] == 1:  # no by=, nobody without it
            mean = float((u @ w).mean())
            w[-1, 0] -= mean
            level += mean
        parts[key] = replace(parts[key], weight=w)
        label = stage.terms[key].label
        contributions[label] = parts[key].contribution(u, present, ())
        start = stop
    return parts, contributions, level


def _regress(left: np.ndarray, head: Any, design: Any, slopes: np.ndarray) -> ExactFit:
    """Regress residuals of y, the last column, on residuals of X."""
    shift = np.concatenate([[0], np.cumsum(slopes)])

    def moved(spans: Iterable[Any]) -> list[Any]:
        return [
            replace(v, start=int(shift[v.start]), stop=int(shift[v.stop]))
            for v in spans
        ]

    try:
        return fit_glm(
            [left[:, :-1]],
            left[:, -1],
            Gaussian(),
            penalties=[moved(design.penalties)],
            constraints=[moved(design.constraints)],
            sample_weight=head.weight,
            var_weights=head.var_weight,
            method=head.method,
        )
    except RankDeficiencyError as error:
        own = np.flatnonzero(slopes)  # in the places of the whole design

        def places(columns: Iterable[int]) -> list[int]:
            return [int(own[j]) for j in columns]

        raise RankDeficiencyError(
            places(error.columns), places(error.involved)
        ) from error


def _rest(left: np.ndarray, fit: ExactFit) -> np.ndarray:
    return np.asarray(left[:, -1] - left[:, :-1] @ fit.coef)


def _product(
    weight: np.ndarray | None, precision: np.ndarray | None, n: int
) -> np.ndarray:
    out = np.ones(n)
    for factor in (weight, precision):
        if factor is not None:
            out = out * factor
    return out


def _with_intercept(
    fit: ExactFit,
    coef: np.ndarray,
    cov: np.ndarray,
    matrix: np.ndarray,
    slopes: np.ndarray,
    level: float,
    rows: tuple[np.ndarray, np.ndarray],
) -> ExactFit:
    """Give the fit with the places of the whole design, the intercept among them.

    The intercept is the level of y at x = 0 and an average image: its variance is that
    of a mean and of x̄'β.
    """
    p = len(slopes)
    _, weight = rows
    inside = np.ix_(slopes, slopes)
    beta, whole, information = np.zeros(p), np.zeros((p, p)), np.zeros((p, p))
    beta[slopes], whole[inside], information[inside] = coef, cov, fit.information
    edf = np.zeros(p)
    edf[slopes] = fit.edf
    constant = ~slopes
    if constant.any():
        mean = np.average(matrix[:, slopes], axis=0, weights=weight)
        beta[constant] = level
        across = -cov @ mean
        whole[np.ix_(slopes, constant)] = across[:, None]
        whole[np.ix_(constant, slopes)] = across[None, :]
        own = fit.dispersion / weight.sum() + mean @ cov @ mean
        whole[np.ix_(constant, constant)] = own
        information[np.ix_(constant, constant)] = weight.sum()
        edf[constant] = 1.0
    return replace(
        fit,
        coef=beta,
        slices=(slice(0, p),),
        cov=whole,
        cov_frequentist=whole,
        cov_corrected=None,
        information=information,
        edf=edf,
    )
