"""Generalised linear, additive and distributional models of independent rows."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from numpy.typing import ArrayLike

from semistruct._core.validation import check_choice
from semistruct.design import DesignOperator
from semistruct.exceptions import ConvergenceWarning, DataError, ParameterError
from semistruct.families import Family
from semistruct.solvers._checks import as_design, as_offset, as_precision, as_weight
from semistruct.solvers._constraints import solve_constrained
from semistruct.solvers._problem import Problem, solve
from semistruct.solvers._result import ExactFit

METHODS = ("REML", "ML", "GCV", "UBRE")


def fit_glm(
    designs: Sequence[ArrayLike | DesignOperator],
    y: ArrayLike,
    family: Family,
    *,
    penalties: Sequence[Sequence[Any]] | None = None,
    sample_weight: ArrayLike | None = None,
    var_weights: ArrayLike | None = None,
    offset: ArrayLike | None = None,
    method: str = "REML",
    constraints: Sequence[Sequence[Any]] | None = None,
    firth: bool = False,
    corrected: bool = True,
) -> ExactFit:
    """Fit a model of independent rows by penalised maximum likelihood.

    Coefficients maximise Σ_i w_i ℓ(y_i, η_i) − ½ Σ_j λ_j β'S_jβ / φ, with
    η_ik = x_ik'β_k + offset_ik for each distribution parameter k that has a formula.
    Smoothing parameters that are not given, and shapes (distribution parameters that
    are one constant each), minimise the Laplace REML criterion (Wood 2011,
    doi:10.1111/j.1467-9868.2010.00749.x; Wood, Pya and Säfken 2016,
    doi:10.1080/01621459.2016.1180986). Without penalties this is plain maximum
    likelihood of coefficients and shapes.

    Where the family has a dispersion and states its Fisher weights, covariances and
    edf use those and the dispersion is Pearson's; the criterion uses observed weights
    and its own φ.

    Laplace rows (median regression) have no second derivative: coefficients of the
    location solve a convex program, certified by its duality gap, and Fisher weights
    serve the criterion too. With a formula for the scale, smoothing parameters are
    estimated with these weights held, until they no longer change.

    Parameters
    ----------
    designs : sequence of K DesignOperator or array-like of shape (n, p_k)
        One design for each linear predictor (``family.parameters``); intercepts are
        columns.
    y : array-like of shape (n,)
        Targets that the family allows (see ``Family.check_target``).
    family : Family
    penalties : sequence of K sequences of Penalty, optional
        Penalties of each predictor, in the columns of its own design. ``sp`` given
        is kept, None is estimated.
    sample_weight : array-like of shape (n,), optional
        Frequencies ≥ 0: a row of weight 2 counts as two rows; n = Σw.
    var_weights : array-like of shape (n,), optional
        Precisions v > 0: the dispersion of a row is φ/v (the weights of weighted least
        squares); n does not change. They multiply ℓ where φ is known.
    offset : array-like of shape (n,) or (n, K), optional
        Known part of the linear predictors.
    method : {"REML", "ML", "GCV", "UBRE"}, default "REML"
        What smoothing parameters minimise. "GCV" needs a dispersion and "UBRE" (AIC)
        none; "GCV" means "UBRE" for families without one.
    constraints : sequence of K sequences of Constraint, optional
        Linear inequalities matrix @ β[start:stop] ≥ 0 in the columns of each design.
    firth : bool, default False
        Whether to add ½ log|X'WX| (Jeffreys' prior; bernoulli and binomial with logit
        link, poisson with log link, without penalties). Estimates stay finite under
        separation.
    corrected : bool, default True
        Whether to compute ``cov_corrected``.

    Returns
    -------
    ExactFit

    Raises
    ------
    RankDeficiencyError
        When unpenalised columns are redundant; names them.
    DataError
        When shapes disagree, weights are illegal or there are too few rows.
    ParameterError
        When the method, ``firth`` or the constraints do not go with the family.

    Warns
    -----
    ConvergenceWarning
        When the optimum is not certified, or the classes are separated.

    Examples
    --------
    >>> import numpy as np
    >>> from semistruct.families import Gaussian
    >>> from semistruct.solvers import fit_glm
    >>> x = np.column_stack([np.ones(4), [0.0, 1.0, 2.0, 3.0]])
    >>> fit = fit_glm([x], [1.0, 3.0, 5.0, 7.5], Gaussian())
    >>> fit.coef.round(2)
    array([0.9 , 2.15])

    With a formula for the standard deviation too, on its log scale:

    >>> family = Gaussian().with_formulas(("loc", "scale"))
    >>> y = np.array([1.0, 3.2, 5.0, 7.5])
    >>> fit_glm([x, np.ones((4, 1))], y, family).slices
    (slice(0, 2, None), slice(2, 3, None))
    """
    size = family.n_predictors
    if len(designs) != size:
        raise DataError(
            f"The {family.name} family has {size} linear predictor(s) "
            f"({', '.join(family.parameters)}), got {len(designs)} design(s)."
        )
    operators = _operators(designs)
    target = family.check_target(y, "fit_glm")
    n = len(target)
    for k, operator in enumerate(operators):
        if operator.shape[0] != n:
            raise DataError(
                f"Design {k} has {operator.shape[0]} rows and y has {n}: they must "
                "agree."
            )
    groups = tuple(penalties) if penalties is not None else ((),) * size
    problem = Problem(
        designs=operators,
        y=target,
        family=family,
        penalties=groups,
        frequency=as_weight(sample_weight, n),
        precision=as_precision(var_weights, n),
        offset=as_offset(offset, n, size),
        method=_method(method, family),
        corrected=corrected,
        firth=firth,
    )
    if firth:
        _check_firth(problem)
    bounded = constraints is not None and any(len(group) for group in constraints)
    if problem.is_median:
        _check_median(problem, bounded)
    if constraints is not None and bounded:
        fit = solve_constrained(problem, constraints)
    else:
        fit = solve(problem)
    if not fit.converged:
        warnings.warn(fit.message, ConvergenceWarning, stacklevel=2)
    return fit


def _operators(
    designs: Sequence[ArrayLike | DesignOperator],
) -> tuple[DesignOperator, ...]:
    """Return one operator for each design, the same one for the same object."""
    known = {id(design): as_design(design) for design in designs}
    return tuple(known[id(design)] for design in designs)


def _method(method: str, family: Family) -> str:
    """Return the criterion that a method means for a family."""
    check_choice(method, METHODS, parameter="method", owner="fit_glm")
    if method in ("REML", "ML"):
        return method
    if family.n_shapes:
        raise ParameterError(
            parameter="method",
            owner="fit_glm",
            allowed=f"'REML' or 'ML': {family.name} has shapes to estimate "
            f"({', '.join(family.shape_names)})",
            given=method,
            hint="Or give their values by fixed=.",
        )
    if method == "UBRE" and family.has_dispersion:
        raise ParameterError(
            parameter="method",
            owner="fit_glm",
            allowed=f"'GCV', 'REML' or 'ML': {family.name} has a dispersion",
            given=method,
        )
    return "GCV" if family.has_dispersion else "UBRE"


def _check_median(problem: Problem, bounded: bool) -> None:
    """Refuse what a log-density with a kink does not allow."""
    family = problem.family
    first = family.all_parameters[0]
    link = family.links[first].name
    if first not in family.parameters or link != "identity":
        raise ParameterError(
            parameter="family",
            owner="fit_glm",
            allowed=f"{family.name} with a formula for {first!r} and the identity link",
            given=f"formulas {family.parameters}, link {link!r}",
            hint="Use 'student_t' for heavy tails.",
        )
    if problem.method not in ("REML", "ML"):
        raise ParameterError(
            parameter="method",
            owner="fit_glm",
            allowed=f"'REML' or 'ML' for {family.name}",
            given=problem.method,
        )
    if bounded:
        raise ParameterError(
            parameter="constraints",
            owner="fit_glm",
            allowed=f"none for {family.name}: its monotone smooths are not built",
            given="linear inequalities",
            hint="Use 'student_t' for heavy tails.",
        )


def _check_firth(problem: Problem) -> None:
    """Refuse Firth's penalty where observed and expected information differ."""
    family = problem.family
    name = family.links[family.parameters[0]].name
    canonical = {"bernoulli": "logit", "binomial": "logit", "poisson": "log"}
    if canonical.get(family.name) != name or problem.system.roots:
        raise ParameterError(
            parameter="firth",
            owner="fit_glm",
            allowed="True only for bernoulli, binomial (logit) and poisson (log) "
            "models without penalties",
            given=f"{family.name} with {len(problem.system)} penalties",
        )
