"""How structured part and deep terms are fitted together: one run, by its strategy.

Letters: n rows, K linear predictors, T of them that a deep term adds to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from semistruct._core.randomness import RandomState, spawn
from semistruct.design import StructuredDesign
from semistruct.engine import TrainResult
from semistruct.networks import SemiStructuredNetwork
from semistruct.solvers import ExactFit

from ._additive import DeepPart
from ._batch_cell import BatchCell, cell_tensors
from ._deep_stage import DeepStage
from ._heads import Head
from ._last_layer import refit_last_layer
from ._projection import move, project, projected_places

__all__ = ["Run", "Structured", "run"]

Latents = dict[str, tuple[np.ndarray, np.ndarray]]

ROUNDS = 3  # of backfitting, at most
SETTLED = 0.01  # of a standard error: no coefficient moves by more


@dataclass(frozen=True)
class Structured:
    """The structured part of a fit: the head, its designs evaluated, the offset.

    ``columns`` are those that deep terms lose, ``warm`` the fit without deep terms.
    """

    head: Head
    designs: Sequence[StructuredDesign]
    matrices: Sequence[Any]
    offset: np.ndarray
    columns: Sequence[np.ndarray]
    warm: ExactFit


@dataclass(frozen=True)
class Run:
    """One fit of structured part and deep terms.

    ``contributions`` (n, T) are those of the deep terms by label, ``deep_edf`` the
    effective degrees of freedom of their last layers where they were counted.
    """

    network: SemiStructuredNetwork
    parts: dict[str, DeepPart]
    contributions: dict[str, np.ndarray]
    exact: ExactFit
    training: TrainResult
    held_out: np.ndarray
    latents: Latents
    deep_edf: dict[str, list[float]]


def run(structured: Structured, stage: DeepStage, random_state: RandomState) -> Run:
    """Train deep terms beside the structured part, and fit that again."""
    head, warm, settings = structured.head, structured.warm, stage.settings
    init_seed, split_seed, order_seed = spawn(random_state, 3)
    units = head.units(warm).tolist()
    network = stage.network(head.n_predictors, units, init_seed)
    rows, held_out = head.split(
        settings.training.validation_fraction, split_seed, settings.groups
    )
    result = train_beside(
        structured, stage, network, warm, structured.offset, rows, held_out, order_seed
    )
    found = _finish(structured, stage, network, result, held_out, warm)
    if settings.strategy == "backfit":
        for _ in range(ROUNDS - 1):
            before = found
            found = _round(structured, stage, before, rows, order_seed)
            if found is before or _settled(before.exact, found.exact):
                break
    return found


def train_beside(
    structured: Structured,
    stage: DeepStage,
    network: SemiStructuredNetwork,
    fit: ExactFit,
    offset: np.ndarray,
    rows: np.ndarray,
    held_out: np.ndarray,
    seed: int,
) -> TrainResult:
    """Train a network with the structured part of ``fit`` as its offset."""
    head, settings = structured.head, stage.settings
    extra = head.tensors(fit, structured.matrices, offset)
    inner: Any = network
    if settings.orthogonalize == "batch":
        inner = BatchCell(network)
        extra |= cell_tensors(
            structured.columns,
            head.projection_columns(),
            structured.warm.working_weight,
            settings.training.batch_size,
            settings.owner,
        )
    objective = head.objective(inner, fit)
    if settings.auxiliary is not None:
        objective = settings.auxiliary.prepare(
            stage, network, objective, extra, rows, held_out, seed
        )
    return stage.train(objective, extra, rows, held_out, seed)


def _finish(
    structured: Structured,
    stage: DeepStage,
    network: SemiStructuredNetwork,
    result: TrainResult,
    held_out: np.ndarray,
    metric: ExactFit,
) -> Run:
    """Project the deep terms of a trained network and fit the structured part."""
    head, settings = structured.head, stage.settings
    latents = stage.latents(network)
    parts = stage.parts(network)
    if settings.orthogonalize in ("global", "batch"):
        extra = head.projection_columns()
        for name, (u, present) in latents.items():
            parts[name] = project(
                parts[name],
                u,
                present,
                structured.columns,
                extra,
                metric.working_weight,
            )
    deep_edf: dict[str, list[float]] = {}
    if settings.inference == "last_layer":
        parts, exact, deep_edf = refit_last_layer(
            head,
            structured.designs,
            structured.matrices,
            structured.offset,
            structured.columns,
            parts,
            latents,
            held_out,
            settings.owner,
        )
        contributions, total = _contributions(structured, parts, latents)
    else:
        contributions, total = _contributions(structured, parts, latents)
        exact = _refit(structured, settings.strategy, total, held_out)
    if settings.orthogonalize == "post_hoc":
        for name, (u, present) in latents.items():
            parts[name], moved = move(
                parts[name],
                u,
                present,
                structured.columns,
                structured.designs,
                metric.working_weight,
                head.provided,
                settings.owner,
            )
            exact = _with_moved(structured, exact, moved, head.provided)
        contributions, _ = _contributions(structured, parts, latents)
    return Run(
        network, parts, contributions, exact, result, held_out, latents, deep_edf
    )


def _contributions(
    structured: Structured, parts: dict[str, DeepPart], latents: Latents
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Give what each deep term adds (n, T), and the offset with all of them (n, K)."""
    contributions, total = {}, structured.offset.copy()
    for name, part in parts.items():
        d = part.contribution(*latents[name], structured.columns)
        contributions[part.term.label] = d
        total[:, part.targets] += d
    return contributions, total


def _refit(
    structured: Structured, strategy: str, total: np.ndarray, held_out: np.ndarray
) -> ExactFit:
    """Fit the structured part beside the deep terms, or leave it as it was."""
    head, warm = structured.head, structured.warm
    if strategy != "two_stage":
        exact = head.fit_exact(structured.matrices, structured.designs, total)
        return head.held_out_dispersion(exact, held_out)
    eta = warm.linear_predictor + (total - structured.offset)
    exact = head.held_out_dispersion(replace(warm, linear_predictor=eta), held_out)
    # of the structured part alone, which is what was fitted
    return replace(exact, cov=warm.cov, cov_frequentist=warm.cov_frequentist)


def _with_moved(
    structured: Structured,
    exact: ExactFit,
    moved: dict[int, np.ndarray],
    without: Any,
) -> ExactFit:
    coef = exact.coef.copy()
    for k, change in moved.items():
        places = np.flatnonzero(projected_places(structured.designs[k], without))
        coef[exact.slices[k].start + places] += change
    return replace(exact, coef=coef)


def _round(
    structured: Structured,
    stage: DeepStage,
    before: Run,
    rows: np.ndarray,
    seed: int,
) -> Run:
    """Train on, the refitted structured part as the offset, and fit that again.

    The network adds its own, unprojected contribution to its offset; what was projected
    out of it stands in the offset with the other sign.
    """
    own = np.zeros_like(structured.offset)
    for name, part in before.parts.items():
        own[:, part.targets] += before.latents[name][0] @ part.weight
    deep = np.zeros_like(own)
    for part in before.parts.values():
        deep[:, part.targets] += before.contributions[part.term.label]
    fit = replace(before.exact, linear_predictor=before.exact.linear_predictor - own)
    with torch.no_grad():  # training changes the network in place
        state = {k: v.clone() for k, v in before.network.state_dict().items()}
    result = train_beside(
        structured,
        stage,
        before.network,
        fit,
        structured.offset + deep - own,
        rows,
        before.held_out,
        seed,
    )
    if len(before.held_out) and result.best_epoch == 0:
        before.network.load_state_dict(state)
        return before
    metric = before.exact
    found = _finish(structured, stage, before.network, result, before.held_out, metric)
    return replace(found, training=_appended(before.training, result))


def _settled(before: ExactFit, after: ExactFit) -> bool:
    error = np.sqrt(np.diag(after.cov).clip(min=0.0))
    return bool((np.abs(after.coef - before.coef) <= SETTLED * error).all())


def _appended(first: TrainResult, second: TrainResult) -> TrainResult:
    """Give one history of two trainings, epochs counted on."""
    rows = [{**row, "epoch": row["epoch"] + first.n_epochs} for row in second.history]
    rows = [row for row in rows if row["epoch"] > first.n_epochs]
    return replace(
        second,
        history=[*first.history, *rows],
        best_epoch=second.best_epoch + first.n_epochs,
        n_epochs=second.n_epochs + first.n_epochs,
    )
