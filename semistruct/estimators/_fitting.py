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

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from semistruct._core.randomness import spawn
from semistruct._core.terms import DeepTerm
from semistruct.design import DiscreteDesign, StructuredDesign
from semistruct.engine import TrainResult
from semistruct.exceptions import InferenceWarning, ParameterError
from semistruct.solvers import ExactFit

from ._additive import AdditivePredictor, Predictor, offsets
from ._adjusted import check_adjustable, fit_adjusted
from ._bootstrap import bootstrap
from ._cross_fit import cross_fit_projection, units_of
from ._deep_stage import DeepSettings, DeepStage, build_network
from ._heads import Head
from ._inference import Bootstrap, CrossFit, InferenceReport
from ._shares import deep_share, left_by_deep
from ._strategies import Structured, run

__all__ = ["AdditiveFit", "DeepSettings", "build_network", "fit_additive"]


@dataclass(frozen=True)
class AdditiveFit:
    """What a fit gives: the predictor, the exact fits before and after, the training.

    ``matrices`` are the designs evaluated on the rows of fit, as the head takes them.
    ``held_out`` are the rows that early stopping looked at; empty without deep terms.
    ``shares`` is Cov(d, η) / Var(η) over the rows of fit, (T,) for each deep term;
    ``report`` says what the standard errors rest on.
    """

    predictor: AdditivePredictor
    structured_only: ExactFit
    exact: ExactFit
    matrices: Sequence[Any]
    training: TrainResult | None
    held_out: np.ndarray
    shares: dict[str, np.ndarray]
    report: InferenceReport = field(default_factory=InferenceReport)


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
    kind = getattr(settings.inference, "kind", settings.inference)
    if not deep and kind != "conditional":
        raise ParameterError(
            parameter="inference",
            owner=settings.owner,
            allowed="'conditional' where no term is deep: the fit is exact",
            given=kind,
        )
    offset = offsets(designs, frame)
    if not deep and settings.max_bins is not None:
        matrices: Any = DiscreteDesign.from_designs(designs, frame, settings.max_bins)
    else:
        matrices = head.evaluate(designs, frame)
    warm = head.fit_exact(matrices, designs, offset)
    if not deep:
        predictor = AdditivePredictor(
            _predictors(head, designs, warm), {}, None, provided=head.provided
        )
        nobody = np.empty(0, dtype=np.int64)
        return AdditiveFit(predictor, warm, warm, matrices, None, nobody, {})

    if settings.estimand == "adjusted":
        check_adjustable(head, settings.owner)
    stage = DeepStage.fit(deep, frame, settings, head.provided)
    columns = head.projected(designs, matrices, frame)
    structured = Structured(head, designs, matrices, offset, columns, warm)
    report = InferenceReport(
        settings.strategy,
        kind,
        settings.estimand,
        clustered=kind != "conditional" and units_of(head, settings.groups) is not None,
    )
    option = settings.inference
    if settings.estimand == "adjusted":
        (seed,) = spawn(settings.random_state, 1)
        found: Any = fit_adjusted(structured, stage, option, seed)
        contributions = found.contributions
        report = replace(report, residual_share=found.share)
        report = _refitted(report, found.exact, found.spread, found.n_networks)
    else:
        with warnings.catch_warnings():
            if isinstance(option, CrossFit):  # the dispersion is replaced
                warnings.simplefilter("ignore", InferenceWarning)
            found = run(structured, stage, settings.random_state)
        contributions = found.contributions
        share = left_by_deep(designs, matrices, found.latents, warm)
        report = replace(report, residual_share=share, deep_edf=found.deep_edf)
        if isinstance(option, CrossFit):
            seed = _seed_after(settings.random_state)
            crossed = cross_fit_projection(structured, stage, option, seed)
            found = replace(found, exact=crossed.exact)
            contributions = crossed.contributions
            report = _refitted(
                report, crossed.exact, crossed.spread, crossed.n_networks
            )
        elif isinstance(option, Bootstrap):
            seed = _seed_after(settings.random_state)
            drawn = bootstrap(structured, stage, option, seed)
            exact = replace(found.exact, cov=drawn.cov, cov_frequentist=drawn.cov)
            found = replace(found, exact=exact)
            report = replace(report, n_refits=drawn.n_refits)
    predictor = stage.predictor(
        _predictors(head, designs, found.exact), found.parts, found.network
    )
    shares = {
        part.term.label: deep_share(
            contributions[part.term.label],
            found.exact.linear_predictor[:, part.targets],
        )
        for part in found.parts.values()
    }
    return AdditiveFit(
        predictor,
        warm,
        found.exact,
        matrices,
        found.training,
        found.held_out,
        shares,
        report,
    )


def _refitted(
    report: InferenceReport, exact: ExactFit, spread: np.ndarray, n_networks: int
) -> InferenceReport:
    """Say how many networks there were and how far the splits moved coefficients."""
    error = np.sqrt(np.diag(exact.cov).clip(min=0.0))
    ratio = np.divide(spread, error, out=np.zeros_like(spread), where=error > 0)
    return replace(report, spread=float(ratio.max(initial=0.0)), n_refits=n_networks)


def _seed_after(random_state: Any) -> int:
    """Give a seed of the refits that is none of the fit's own."""
    return spawn(random_state, 4)[3]


def _predictors(
    head: Head, designs: Sequence[StructuredDesign], fit: ExactFit
) -> list[Predictor]:
    """Put the coefficients to their designs."""
    triples = zip(head.names, designs, fit.slices, strict=True)
    return [Predictor(name, design, fit.coef[at]) for name, design, at in triples]
