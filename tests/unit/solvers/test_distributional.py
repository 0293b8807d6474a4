"""Several predictors with designs and penalties of their own."""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy import optimize, stats

from semistruct.design import DenseDesign
from semistruct.exceptions import ConvergenceWarning, DataError
from semistruct.families import (
    Beta,
    Gamma,
    Gaussian,
    Gumbel,
    NegativeBinomial,
    StudentT,
    ZeroInflatedNegativeBinomial,
    ZeroInflatedPoisson,
)
from semistruct.solvers import fit_glm
from semistruct.solvers._criterion import Criterion
from semistruct.solvers._penalty import PenaltySystem
from semistruct.solvers._rows import RowLikelihood

N = 300
RNG = np.random.default_rng(13)
X = np.column_stack([np.ones(N), RNG.normal(size=(N, 4))])
Z = np.column_stack([np.ones(N), RNG.uniform(size=(N, 2))])
LOC = X @ [1.0, 0.6, -0.4, 0.0, 0.2]
SPREAD = Z @ [-0.5, 0.8, 0.0]
BOTH = {
    "gaussian": Gaussian().with_formulas(("loc", "scale")),
    "gaussian, softplus": Gaussian(
        links={"scale": "softplus"}, formulas=("loc", "scale")
    ),
    "gamma": Gamma().with_formulas(("mean", "scale")),
    "beta": Beta().with_formulas(("mean", "precision")),
    "negative_binomial": NegativeBinomial().with_formulas(("mean", "size")),
    "zero_inflated": ZeroInflatedPoisson().with_formulas(("rate", "zero")),
    "gumbel": Gumbel().with_formulas(("loc", "scale")),
    "student_t with a shape": StudentT().with_formulas(("loc", "scale")),
}
every = pytest.mark.parametrize("name", BOTH)


@dataclass(frozen=True)
class Penalty:
    start: int
    stop: int
    matrix: np.ndarray
    rank: int
    sp: float | None = None


def draw(name):
    eta = np.column_stack([LOC, SPREAD])
    y = BOTH[name].sample(eta, np.random.default_rng(5))
    return np.clip(y, 1e-6, 1 - 1e-6) if name == "beta" else y


@every
def test_joint_maximum_likelihood(name):
    family, y = BOTH[name], draw(name)
    fit = fit_glm([X, Z], y, family)
    assert fit.converged
    assert fit.slices == (slice(0, 5), slice(5, 8))
    import torch

    target = torch.from_numpy(y)
    shapes = fit.shapes

    def negative(z):
        eta = np.column_stack([X @ z[:5], Z @ z[5:8]])
        at = family.with_shapes(z[8:])
        value = -at.log_density(target, torch.from_numpy(eta)).sum().item()
        return value if np.isfinite(value) else 1e10

    there = np.concatenate([fit.coef, shapes])
    assert negative(there) == pytest.approx(-fit.loglik, abs=1e-9)
    start = there + 0.05 * np.random.default_rng(0).normal(size=len(there))
    best = optimize.minimize(negative, start, method="BFGS", options={"gtol": 1e-5})
    assert -fit.loglik <= best.fun + 1e-6
    np.testing.assert_allclose(there, best.x, atol=2e-3)


def test_standard_errors_of_the_location_scale_model():
    y = draw("gaussian")
    fit = fit_glm([X, Z], y, BOTH["gaussian"])
    scale = np.exp(Z @ fit.coef[5:])
    residual = (y - X @ fit.coef[:5]) / scale
    block = np.zeros((8, 8))
    block[:5, :5] = X.T @ (X / scale[:, None] ** 2)
    block[:5, 5:] = X.T @ (Z * (2 * residual / scale)[:, None])
    block[5:, :5] = block[:5, 5:].T
    block[5:, 5:] = Z.T @ (Z * (2 * residual**2)[:, None])
    np.testing.assert_allclose(fit.cov, np.linalg.inv(block), rtol=1e-6, atol=1e-12)
    assert fit.loglik == pytest.approx(
        stats.norm(X @ fit.coef[:5], scale).logpdf(y).sum(), abs=1e-8
    )


@every
def test_criterion_with_a_penalty_on_each_predictor(name):
    family, y = BOTH[name], draw(name)
    rows = RowLikelihood(
        [DenseDesign(X), DenseDesign(Z)], y, family, None, np.zeros((N, 2))
    )
    rows = rows.with_shapes(rows.initial_shapes())
    pairs = [(0, Penalty(1, 5, np.eye(4), 4)), (5, Penalty(1, 3, np.eye(2), 2))]
    criterion = Criterion(rows, PenaltySystem(pairs, 8))
    outer = np.concatenate([[1.0, 1.5], rows.shapes])
    point = criterion.evaluate(outer, rows.start())
    assert point.optimum.status == "converged"
    for j in range(len(outer)):
        step = 1e-4 * np.eye(len(outer))[j]
        above = criterion.evaluate(outer + step, point.optimum.beta).score
        below = criterion.evaluate(outer - step, point.optimum.beta).score
        slope = (above - below) / 2e-4
        assert point.gradient[j] == pytest.approx(slope, abs=2e-5)


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_starts_find_the_scale_of_the_data(unit):
    """Dummies without an intercept have no constant column."""
    y = unit * (draw("gaussian") + 5.0)
    dummies = np.column_stack([Z[:, 1] < 0.5, Z[:, 1] >= 0.5]).astype(float)
    fit = fit_glm([dummies, dummies], y, BOTH["gaussian"])
    assert fit.converged
    for k in range(2):
        part = y[dummies[:, k] > 0]
        assert fit.coef[k] == pytest.approx(part.mean(), rel=1e-8)
        assert np.exp(fit.coef[2 + k]) == pytest.approx(part.std(), rel=1e-6)


def test_a_parameter_that_runs_to_its_end_is_named():
    y = RNG.poisson(np.full(N, 8.0)).astype(float)  # no extra zeros
    family = ZeroInflatedNegativeBinomial(fixed={"size": 50.0})
    family = family.with_formulas(("mean", "zero"))
    one = np.ones((N, 1))
    with pytest.warns(ConvergenceWarning, match="run to infinity"):
        fit = fit_glm([one, one], y, family)
    assert fit.diverging == (1,)
    assert np.isfinite(fit.coef).all()


def test_number_of_designs_is_explained():
    with pytest.raises(DataError, match="loc, scale"):
        fit_glm([X], LOC, BOTH["gaussian"])
