"""Designs that are never a matrix, and the memory that they leave alone."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest

from semistruct.design import DiscreteDesign, StructuredDesign, parse_formula
from semistruct.families import Bernoulli, Gamma, Gaussian
from semistruct.solvers import RankDeficiencyError, fit_glm

RNG = np.random.default_rng(17)


def table(n):
    return pd.DataFrame(
        {
            "x": RNG.integers(0, 300, n) / 300,
            "z": RNG.integers(0, 200, n) / 200,
            "w": RNG.normal(size=n),
            "g": RNG.choice(["a", "b", "c"], n),
        }
    )


FRAME = table(2000)
DESIGN = StructuredDesign.fit(parse_formula("w + C(g) + s(x, k=10) + s(z, k=8)"), FRAME)
DENSE, DISCRETE = DESIGN.matrix(FRAME), DiscreteDesign.from_design(DESIGN, FRAME)
ETA = np.sin(5 * FRAME["x"].to_numpy()) + 0.3 * FRAME["w"].to_numpy()
WEIGHT = RNG.integers(0, 3, len(FRAME)).astype(float)
CASES = {
    "gaussian": (Gaussian(), ETA + RNG.normal(size=2000)),
    "bernoulli": (Bernoulli(), (RNG.uniform(size=2000) < 1 / (1 + np.exp(-ETA))) * 1.0),
    "gamma": (Gamma(), RNG.gamma(2.0, np.exp(ETA))),
    "both": (Gaussian().with_formulas(("loc", "scale")), ETA + RNG.normal(size=2000)),
}


@pytest.mark.parametrize("name", CASES)
def test_discrete_designs_give_the_dense_fit(name):
    family, y = CASES[name]
    k = family.n_predictors
    options = {"penalties": [DESIGN.penalties] * k, "sample_weight": WEIGHT}
    dense = fit_glm([DENSE] * k, y, family, **options)
    fit = fit_glm([DISCRETE] * k, y, family, **options)
    assert fit.converged
    np.testing.assert_allclose(fit.coef, dense.coef, atol=1e-5)
    np.testing.assert_allclose(fit.cov, dense.cov, atol=1e-6)
    assert fit.score == pytest.approx(dense.score, abs=1e-7)
    np.testing.assert_allclose(fit.linear_predictor, dense.linear_predictor, atol=1e-5)


def test_dense_and_discrete_designs_side_by_side():
    family, y = CASES["both"]
    one = np.ones((2000, 1))
    options = {"penalties": [DESIGN.penalties, ()]}
    dense = fit_glm([DENSE, one], y, family, **options)
    fit = fit_glm([DISCRETE, one], y, family, **options)
    np.testing.assert_allclose(fit.coef, dense.coef, atol=1e-5)


def test_redundant_columns_of_a_discrete_design_are_named():
    frame = FRAME.assign(v=2.0 * FRAME["w"])
    design = StructuredDesign.fit(parse_formula("w + v + s(x, k=8)"), frame)
    with pytest.raises(RankDeficiencyError) as error:
        fit_glm(
            [DiscreteDesign.from_design(design, frame)],
            CASES["gaussian"][1],
            Gaussian(),
            penalties=[design.penalties],
        )
    assert error.value.columns == (2,)


def test_no_matrix_of_all_rows_is_made():
    n = 100_000
    frame = table(n)
    design = StructuredDesign.fit(parse_formula("s(x, k=20) + s(z, k=20)"), frame)
    discrete = DiscreteDesign.from_design(design, frame)
    y = np.sin(5 * frame["x"].to_numpy()) + RNG.normal(size=n)
    tracemalloc.start()
    fit_glm([discrete], y, Gaussian(), penalties=[design.penalties])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 0.35 * 8 * n * discrete.shape[1]
