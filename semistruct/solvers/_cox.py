"""Proportional hazards regression with penalties."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semistruct._core.validation import check_choice
from semistruct.exceptions import (
    ConvergenceWarning,
    DataError,
    ParameterError,
    TargetError,
)
from semistruct.solvers._checks import as_matrix, as_offset, as_weight
from semistruct.solvers._cox_firth import FirthCoxLikelihood
from semistruct.solvers._cox_likelihood import CoxLikelihood
from semistruct.solvers._estimate import estimate
from semistruct.solvers._linalg import check_rank
from semistruct.solvers._penalty import PenaltySystem
from semistruct.solvers._report import assemble
from semistruct.solvers._result import ExactFit
from semistruct.solvers._risk_sets import RiskSets

FloatArray = NDArray[np.float64]


def fit_cox(
    design: ArrayLike,
    time: ArrayLike,
    event: ArrayLike,
    *,
    entry: ArrayLike | None = None,
    strata: ArrayLike | None = None,
    ties: str = "efron",
    penalties: Sequence[Any] = (),
    sample_weight: ArrayLike | None = None,
    offset: ArrayLike | None = None,
    firth: bool = False,
    corrected: bool = True,
) -> ExactFit:
    """Fit a Cox model by penalised partial likelihood.

    Coefficients maximise the log partial likelihood less ½ Σ_j λ_j β'S_jβ; smoothing
    parameters that are not given minimise the Laplace REML criterion (Wood, Pya and
    Säfken 2016, doi:10.1080/01621459.2016.1180986). The information costs
    O((n + m) p²) for n rows and m event times.

    Parameters
    ----------
    design : array-like of shape (n, p)
        No intercept column.
    time : array-like of shape (n,)
        End of follow-up.
    event : array-like of shape (n,)
        True for an event at ``time``.
    entry : array-like of shape (n,), optional
        Start of being at risk, below ``time``.
    strata : array-like of shape (n,), optional
        Labels of strata with baseline hazards of their own.
    ties : {"efron", "breslow"}, default "efron"
    penalties : sequence of Penalty
        ``sp`` given is kept, None is estimated.
    sample_weight : array-like of shape (n,), optional
        Case weights ≥ 0; tied deaths enter with their mean weight (Efron).
    offset : array-like of shape (n,), optional
        Known part of the log relative hazard.
    firth : bool, default False
        Whether to add ½ log|I(β)|, I the information (Jeffreys' prior; models without
        penalties only): estimates stay finite where the likelihood is monotone. Give
        intervals by :func:`semistruct.inference.profile_interval`, as Wald's are poor
        there (Heinze and Schemper 2001, doi:10.1111/j.0006-341X.2001.00114.x).
    corrected : bool, default True
        Whether to compute ``cov_corrected``.

    Returns
    -------
    ExactFit
        ``working_weight`` is the expected number of events of each row.

    Raises
    ------
    RankDeficiencyError
        When a column does not vary within strata, or is a combination of others.
    TargetError
        When times are not finite, entry ≥ time, or nobody has an event.
    ParameterError
        When ``firth`` meets penalties.

    Warns
    -----
    ConvergenceWarning
        When the optimum is not certified, or the likelihood is monotone.

    Examples
    --------
    >>> from semistruct.solvers import fit_cox
    >>> x = [[0.0], [1.0], [0.0], [1.0], [1.0]]
    >>> fit = fit_cox(x, [5.0, 3.0, 4.0, 6.0, 1.0], [1, 1, 1, 0, 1])
    >>> fit.coef.round(4)
    array([0.0692])
    """
    sets = risk_sets(
        time,
        event,
        entry=entry,
        strata=strata,
        sample_weight=sample_weight,
        ties=ties,
    )
    return _fit(as_matrix(design), sets, penalties, offset, firth, corrected, "fit_cox")


def fit_cox_on(
    sets: RiskSets,
    design: ArrayLike,
    *,
    penalties: Sequence[Any] = (),
    offset: ArrayLike | None = None,
    firth: bool = False,
    corrected: bool = True,
) -> ExactFit:
    """Fit a Cox model on risk sets that are known, so that nothing is sorted again.

    Parameters
    ----------
    sets : RiskSets
        Of n rows, see :func:`risk_sets`.
    design, penalties, offset, firth, corrected
        As for :func:`fit_cox`.

    Returns
    -------
    ExactFit

    Raises
    ------
    RankDeficiencyError, DataError, TargetError, ParameterError
        As :func:`fit_cox`.

    Examples
    --------
    >>> from semistruct.solvers import baseline_hazard_on, fit_cox_on, risk_sets
    >>> sets = risk_sets([5.0, 3.0, 4.0, 6.0, 1.0], [1, 1, 1, 0, 1])
    >>> fit = fit_cox_on(sets, [[0.0], [1.0], [0.0], [1.0], [1.0]])
    >>> fit.coef.round(4)
    array([0.0692])
    >>> baseline_hazard_on(sets, fit.linear_predictor)[None][1].round(3).tolist()
    [0.192, 0.433, 0.759, 1.241]
    """
    return _fit(
        as_matrix(design), sets, penalties, offset, firth, corrected, "fit_cox_on"
    )


def _fit(
    x: FloatArray,
    sets: RiskSets,
    penalties: Sequence[Any],
    offset: ArrayLike | None,
    firth: bool,
    corrected: bool,
    owner: str,
) -> ExactFit:
    n, p = x.shape
    if n != sets.n_rows:
        raise DataError(f"{owner}: the design has {n} rows, the times {sets.n_rows}.")
    if not len(sets.dead):
        raise TargetError(
            f"{owner}: no row with a positive weight has an event; a Cox model needs "
            "at least one."
        )
    if firth and len(penalties):
        raise ParameterError(
            parameter="firth",
            owner=owner,
            allowed="True only for models without penalties",
            given=f"True with {len(penalties)} penalties",
            hint="A smooth is shrunk by its own penalty.",
        )
    shift = as_offset(offset, n, 1)
    kind = FirthCoxLikelihood if firth else CoxLikelihood
    likelihood = kind(x, sets, shift[:, 0])
    columns = likelihood.columns
    system = PenaltySystem([(0, penalty) for penalty in penalties], p)
    found = estimate(
        likelihood,
        system,
        check_rank=lambda root: check_rank(columns.at(sets.rows), root),
        column_reach=lambda: columns.reach(sets.rows),
        corrected=corrected,
        trouble="monotone likelihood",
    )
    working = np.zeros((n, 1))
    working[sets.rows, 0] = likelihood.expected(found.beta)
    fit = assemble(
        found,
        slices=(slice(0, p),),
        loglik=likelihood.log_likelihood(found.beta),
        linear_predictor=(x @ found.beta)[:, None] + shift,
        working_weight=working,
        n_effective=sets.mass,
        dispersion=1.0,
    )
    if not fit.converged:
        warnings.warn(fit.message, ConvergenceWarning, stacklevel=3)
    return fit


def risk_sets(
    time: ArrayLike,
    event: ArrayLike,
    *,
    entry: ArrayLike | None = None,
    strata: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    ties: str = "efron",
) -> RiskSets:
    """Check censored times and index their risk sets, once for all that reads them.

    Parameters
    ----------
    time : array-like of shape (n,)
        End of follow-up.
    event : array-like of shape (n,)
        True for an event at ``time``.
    entry : array-like of shape (n,), optional
        Start of being at risk, below ``time``.
    strata : array-like of shape (n,), optional
        Labels of strata with baseline hazards of their own.
    sample_weight : array-like of shape (n,), optional
        Case weights ≥ 0; tied deaths enter with their mean weight (Efron).
    ties : {"efron", "breslow"}, default "efron"

    Returns
    -------
    RiskSets
        For :func:`fit_cox_on` and :func:`baseline_hazard_on`.

    Raises
    ------
    DataError
        When lengths disagree.
    TargetError
        When times are not finite, an event is not 0 or 1, or entry ≥ time.

    Examples
    --------
    >>> from semistruct.solvers import risk_sets
    >>> risk_sets([3.0, 1.0, 2.0], [1, 1, 0]).times.tolist()
    [1.0, 3.0]
    """
    check_choice(ties, ("efron", "breslow"), parameter="ties", owner="risk_sets")
    n = len(np.asarray(time))
    stop, dead, start, groups = check_survival(
        time, event, entry=entry, strata=strata, n=n, owner="risk_sets"
    )
    weight = as_weight(sample_weight, n)
    return RiskSets.build(
        stop, dead, entry=start, strata=groups, weight=weight, ties=ties
    )


def check_survival(
    time: ArrayLike,
    event: ArrayLike,
    *,
    entry: ArrayLike | None,
    strata: ArrayLike | None,
    n: int,
    owner: str,
) -> tuple[FloatArray, NDArray[np.bool_], FloatArray | None, NDArray | None]:
    """Return time, event, entry and strata as arrays of length n.

    Raises
    ------
    DataError
        When lengths disagree.
    TargetError
        When times are not finite, an event is not 0 or 1, or entry ≥ time.
    """
    stop = np.asarray(time, dtype=np.float64)
    dead = np.asarray(event)
    start = None if entry is None else np.asarray(entry, dtype=np.float64)
    groups = None if strata is None else np.asarray(strata)
    for name, values in (
        ("time", stop),
        ("event", dead),
        ("entry", start),
        ("strata", groups),
    ):
        if values is not None and values.shape != (n,):
            raise DataError(f"{owner}: {name} has shape {values.shape}, need ({n},).")
    bad = np.flatnonzero(~np.isfinite(stop))
    if bad.size:
        raise TargetError(f"{owner}: time is not finite, first in row {bad[0]}.")
    if dead.dtype != bool:
        bad = np.flatnonzero(~np.isin(dead, (0, 1)))
        if bad.size:
            raise TargetError(
                f"{owner}: event must be 0 or 1; row {bad[0]} holds {dead[bad[0]]!r}."
            )
    if start is not None:
        bad = np.flatnonzero(~(start < stop))
        if bad.size:
            row = bad[0]
            raise TargetError(
                f"{owner}: entry must lie below time; row {row} enters at "
                f"{start[row]:g} and leaves at {stop[row]:g}."
            )
    return stop, dead.astype(bool), start, groups
