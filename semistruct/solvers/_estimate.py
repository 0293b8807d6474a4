"""From a likelihood and its penalties to coefficients with covariances."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semistruct.solvers._criterion import Criterion
from semistruct.solvers._likelihood import Likelihood
from semistruct.solvers._linalg import CLEAR_RCOND, Factor
from semistruct.solvers._newton import Optimum
from semistruct.solvers._penalty import PenaltySystem
from semistruct.solvers._prediction_error import PredictionError
from semistruct.solvers._search import Search, outer_covariance, search, start_rho

FloatArray = NDArray[np.float64]


@dataclass
class Estimate:
    """Coefficients with everything that depends on coefficient space only.

    ``inverse`` is V = (X'WX + S_λ)⁻¹, ``corrected`` is J V_θ J' or None, ``added`` the
    same for models without penalties, whose covariance is that of joint maximum
    likelihood; ``likelihood`` stands at the estimated shapes. See
    :class:`semistruct.solvers.ExactFit` for the rest.
    """

    likelihood: Likelihood
    beta: FloatArray
    inverse: FloatArray
    information: FloatArray
    edf: FloatArray
    sp: FloatArray
    score: float
    dispersion: float
    corrected: FloatArray | None
    added: FloatArray | None
    shape_cov: FloatArray
    n_iter: int
    converged: bool
    gradient_norm: float
    message: str
    nullity: int
    diverging: tuple[int, ...]
    penalised: bool
    method: str


def estimate(
    likelihood: Likelihood,
    penalties: PenaltySystem,
    *,
    check_rank: Callable[[FloatArray], None],
    column_reach: Callable[[], FloatArray],
    method: str = "REML",
    corrected: bool = True,
    trouble: str = "separation",
) -> Estimate:
    """Fit coefficients, and smoothing parameters and shapes where there are any.

    Parameters
    ----------
    likelihood : Likelihood
        At first shapes.
    penalties : PenaltySystem
    check_rank : callable
        Takes a root E of S_λ (r, p); raises ``RankDeficiencyError``. Called only when
        the information looks singular.
    column_reach : callable
        Returns the largest absolute value of each column (p,), to name diverging
        coefficients.
    method : {"REML", "ML", "GCV", "UBRE"}
        The criterion; without penalties shapes maximise the likelihood itself.
    corrected : bool
        Whether to compute the correction for the uncertainty of the outer parameters.
    trouble : str
        Word for coefficients that run away.
    """
    beta = likelihood.start()
    _, information = likelihood.derivatives(beta)
    rho = start_rho(penalties, information)
    smoothing = penalties.smoothing(rho)
    if Factor(information + penalties.total(smoothing)).rcond < CLEAR_RCOND:
        check_rank(penalties.stacked_root(smoothing))
    outer = np.concatenate([rho, likelihood.shapes])
    penalised = bool(penalties.roots)
    criterion = _criterion(likelihood, penalties, method)
    found: Search | None = None
    if len(outer):
        found = search(criterion, outer, beta)
        solved = found.point.solved
    else:
        solved = criterion.solve(outer, beta)
    optimum = solved.optimum
    inverse = optimum.factor.inverse()
    edf = np.ones(len(beta))
    if penalised:
        edf = np.einsum("ij,ji->i", inverse, optimum.information)
    count = len(rho)
    correction, added = None, None
    shape_cov = np.full((len(outer) - count, len(outer) - count), np.nan)
    wanted = corrected or len(outer) > count
    if found is not None and wanted and optimum.status != "diverging":
        spread, loose = outer_covariance(criterion, found)
        held = np.flatnonzero(loose[count:])
        shape_cov = spread[count:, count:].copy()
        shape_cov[held], shape_cov[:, held] = np.nan, np.nan
        extra = found.point.jacobian @ spread @ found.point.jacobian.T
        if not penalised:
            added = extra
        elif corrected and isinstance(criterion, PredictionError) is False:
            correction = extra
    certified = optimum.status == "converged" and not optimum.factor.repaired
    norm = optimum.gradient_norm
    if found is not None:
        certified = certified and found.converged
        norm = max(norm, found.gradient_norm)
    diverging = _diverging(optimum, column_reach)
    if certified:
        message = "converged" + _undetermined(likelihood, shape_cov)
    else:
        message = _message(optimum, criterion, found, diverging, norm, trouble)
    return Estimate(
        likelihood=solved.likelihood,
        beta=optimum.beta,
        inverse=inverse,
        information=optimum.information,
        edf=edf,
        sp=solved.smoothing,
        score=criterion.report(criterion.score(solved)),
        dispersion=criterion.profile(solved).dispersion,
        corrected=correction,
        added=added,
        shape_cov=shape_cov,
        n_iter=criterion.n_steps,
        converged=certified,
        gradient_norm=norm,
        message=message,
        nullity=penalties.nullity,
        diverging=diverging,
        penalised=penalised,
        method=method,
    )


def _criterion(
    likelihood: Likelihood, penalties: PenaltySystem, method: str
) -> Criterion:
    """Return the criterion of a method."""
    if method in ("GCV", "UBRE"):
        return PredictionError(likelihood, penalties, method)
    if len(likelihood.shapes) and not penalties.roots:
        return Criterion(likelihood, penalties, "plain")
    return Criterion(likelihood, penalties, method)


def _diverging(
    optimum: Optimum, column_reach: Callable[[], FloatArray]
) -> tuple[int, ...]:
    """Coefficients that take part in the runaway direction."""
    if optimum.runaway is None:
        return ()
    size = np.abs(optimum.runaway) * column_reach()
    return tuple(int(j) for j in np.flatnonzero(size > 1e-3 * size.max()))


def _names(criterion: Criterion) -> list[str]:
    """Say what the outer parameters belong to."""
    system = criterion.penalties
    names = [
        f"the smoothing parameter of {system.labels[j]}"
        for j in np.flatnonzero(system.free)
    ]
    return names + [f"the shape {name!r}" for name in criterion.likelihood.shape_names]


def _undetermined(likelihood: Likelihood, shape_cov: FloatArray) -> str:
    """Name the shapes that the data do not determine."""
    held = np.flatnonzero(np.isnan(np.diag(shape_cov)))
    if not len(held):
        return ""
    listed = ", ".join(repr(likelihood.shape_names[j]) for j in held)
    return (
        f"; the data fit the limiting distribution of {listed} best, which has no "
        "standard error"
    )


def _message(
    optimum: Optimum,
    criterion: Criterion,
    found: Search | None,
    diverging: tuple[int, ...],
    norm: float,
    trouble: str,
) -> str:
    """Say what went wrong and what to try."""
    if optimum.status == "diverging":
        return (
            f"{trouble}: the likelihood has no maximum, coefficients "
            f"{list(diverging)} run to infinity and were stopped where it is flat; "
            "their estimates and standard errors mean nothing. Remove or merge what "
            "predicts the outcome perfectly, or penalise it."
        )
    if optimum.status != "converged":
        return (
            f"The coefficients did not converge (gradient norm {norm:.2e}). Scale the "
            "columns, look for extreme values or simplify the model."
        )
    if optimum.factor.repaired or found is None:
        return (
            "The information matrix is not positive definite at the optimum; standard "
            "errors are not reliable. Simplify the model."
        )
    slope = np.where(found.moving, np.abs(found.point.gradient), 0.0)
    worst = int(np.argmax(slope))
    advice = "Give sp= for this term, or lower its k."
    if worst >= criterion.penalties.n_free:
        advice = "Give its value (fixed=), or a simpler family."
    return (
        f"{_names(criterion)[worst].capitalize()} did not converge (at "
        f"{found.point.outer[worst]:.2f} on the log or link scale, gradient norm "
        f"{norm:.2e}). {advice}"
    )
