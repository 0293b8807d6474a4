"""Linear inequalities against a general-purpose optimiser at the same λ."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from scipy import optimize

from semistruct.design import StructuredDesign, parse_formula
from semistruct.exceptions import DataError
from semistruct.families import Bernoulli, Gaussian, NegativeBinomial, Poisson
from semistruct.solvers import fit_glm

N, K = 200, 9
RNG = np.random.default_rng(21)
T = np.sort(RNG.uniform(size=N))
KNOTS = np.linspace(0, 1, K)
HATS = np.maximum(1 - np.abs(T[:, None] - KNOTS) * (K - 1), 0.0)
Z = RNG.normal(size=N)
X = np.column_stack([Z, HATS])
BENDS = np.diff(np.eye(K), 2, axis=0)
STEPS = np.diff(np.eye(K), axis=0)
WAVE = 2 * T + 0.5 * np.sin(12 * T)  # rises and falls
TARGETS = {
    "gaussian": (Gaussian(), WAVE + 0.4 * RNG.normal(size=N)),
    "poisson": (Poisson(), RNG.poisson(np.exp(WAVE)).astype(float)),
    "bernoulli": (
        Bernoulli(),
        (RNG.uniform(size=N) < 1 / (1 + np.exp(1 - WAVE))) * 1.0,
    ),
}
every = pytest.mark.parametrize("name", TARGETS)


@dataclass(frozen=True)
class Penalty:
    start: int
    stop: int
    matrix: np.ndarray
    rank: int
    sp: float | None = None
    label: str = "s(t)"


@dataclass(frozen=True)
class Constraint:
    start: int
    stop: int
    matrix: np.ndarray
    label: str = "s(t)"


BEND = Penalty(1, 1 + K, BENDS.T @ BENDS, K - 2)
RISE = Constraint(1, 1 + K, STEPS)


def fitted(name, sign=1.0, **options):
    family, y = TARGETS[name]
    rise = Constraint(1, 1 + K, sign * STEPS)
    sp = 0.01 if name == "bernoulli" else None  # the estimate would be a line
    bend = Penalty(1, 1 + K, BENDS.T @ BENDS, K - 2, sp)
    return fit_glm([X], y, family, penalties=[[bend]], constraints=[[rise]], **options)


def quadratic_programme(name, sp, sign=1.0):
    """Penalised maximum likelihood under the constraints, by SLSQP."""
    _, y = TARGETS[name]

    def negative(beta):
        eta = X @ beta
        bend = 0.5 * sp * np.sum((BENDS @ beta[1:]) ** 2)
        pull = np.concatenate([[0.0], sp * BENDS.T @ (BENDS @ beta[1:])])
        if name == "gaussian":
            value, slope = 0.5 * np.sum((y - eta) ** 2), eta - y
        elif name == "poisson":
            value, slope = np.sum(np.exp(eta) - y * eta), np.exp(eta) - y
        else:
            value = np.sum(np.logaddexp(0, eta) - y * eta)
            slope = 1 / (1 + np.exp(-eta)) - y
        return value + bend, X.T @ slope + pull

    rule = {
        "type": "ineq",
        "fun": lambda beta: sign * STEPS @ beta[1:],
        "jac": lambda beta: np.hstack([np.zeros((K - 1, 1)), sign * STEPS]),
    }
    best = optimize.minimize(
        negative,
        np.zeros(1 + K),
        jac=True,
        constraints=[rule],
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 1000},
    )
    return best.x, best.fun


@every
@pytest.mark.parametrize("sign", [1.0, -1.0], ids=["rising", "falling"])
def test_same_optimum_as_slsqp(name, sign):
    fit = fitted(name, sign)
    assert fit.converged
    assert fit.active
    sp = fit.sp[0] if np.isfinite(fit.sp[0]) else 0.0
    beta, _ = quadratic_programme(name, sp, sign)
    steps = sign * STEPS @ fit.coef[1:]
    assert steps.min() >= -1e-7
    np.testing.assert_allclose(steps[list(fit.active)], 0, atol=1e-10)
    np.testing.assert_allclose(fit.coef, beta, atol=2e-5)
    np.testing.assert_allclose(fit.linear_predictor[:, 0], X @ fit.coef, atol=1e-9)


def test_reports_live_on_the_active_face():
    fit = fitted("gaussian")
    rows = np.zeros((len(fit.active), 1 + K))
    rows[:, 1:] = STEPS[list(fit.active)]
    for cov in (fit.cov, fit.cov_frequentist, fit.cov_corrected):
        np.testing.assert_allclose(rows @ cov, 0, atol=1e-10)
    share = np.diag(fit.cov @ fit.information) / fit.dispersion
    assert fit.edf.sum() == pytest.approx(share.sum())
    assert fit.edf.sum() < 1 + K - len(fit.active)
    assert fit.slices == (slice(0, 1 + K),)


def test_constraints_that_do_not_bind_change_nothing():
    family, y = TARGETS["gaussian"]
    y = y - WAVE + 5 * T
    free = fit_glm([X], y, family, penalties=[[BEND]])
    fit = fit_glm([X], y, family, penalties=[[BEND]], constraints=[[RISE]])
    assert fit.active == ()
    np.testing.assert_array_equal(fit.coef, free.coef)


def test_constraints_beside_shapes_and_in_the_second_predictor():
    rng = np.random.default_rng(0)
    y = NegativeBinomial(fixed={"size": 2.0}).sample(WAVE[:, None], rng)
    fit = fit_glm([X], y, NegativeBinomial(), penalties=[[BEND]], constraints=[[RISE]])
    assert fit.converged
    assert (STEPS @ fit.coef[1:]).min() >= -1e-7
    both = Gaussian().with_formulas(("loc", "scale"))
    target = WAVE + rng.normal(size=N) * np.exp(T - 1)
    fit = fit_glm(
        [X, HATS],
        target,
        both,
        penalties=[[BEND], [Penalty(0, K, BENDS.T @ BENDS, K - 2)]],
        constraints=[[], [Constraint(0, K, -STEPS)]],
    )
    assert fit.converged
    assert (-STEPS @ fit.coef[1 + K :]).min() >= -1e-7
    assert fit.edf[1 + K :].sum() < 1.5
    assert fit.slices == (slice(0, 1 + K), slice(1 + K, 1 + 2 * K))


def test_groups_must_agree_with_the_predictors():
    family, y = TARGETS["gaussian"]
    with pytest.raises(DataError, match="2 groups"):
        fit_glm([X], y, family, constraints=[[RISE], []])


def test_smoothing_parameters_that_go_in_circles_are_held():
    rng = np.random.default_rng(5)
    t = pd.DataFrame({"x": rng.uniform(size=120), "z": rng.uniform(size=120)})
    wave = np.sin(7 * t["x"]) * rng.uniform(0, 1.5) + t["x"] * rng.uniform(-1, 2)
    y = (wave + np.cos(5 * t["z"])).to_numpy() + 0.5 * rng.normal(size=120)
    terms = parse_formula("s(x, k=15, bs='mpi') + s(z, k=12, bs='mpd')")
    design = StructuredDesign.fit(terms, t)
    fit = fit_glm(
        [design.matrix(t)],
        y,
        Gaussian(),
        penalties=[design.penalties],
        constraints=[design.constraints],
    )
    assert fit.converged
    assert "neighbouring" in fit.message
    for each in design.constraints:
        assert (each.matrix @ fit.coef[each.start : each.stop]).min() > -1e-6
