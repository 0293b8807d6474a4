"""The Laplace family by the exact path: median regression with smooths."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import optimize

from semistruct.design import DenseDesign, StructuredDesign, parse_formula
from semistruct.exceptions import ConvergenceWarning, DataError, ParameterError
from semistruct.families import Laplace
from semistruct.solvers import RankDeficiencyError, fit_glm
from semistruct.solvers._criterion import Criterion
from semistruct.solvers._median import MedianLikelihood
from semistruct.solvers._penalty import PenaltySystem

N = 300
RNG = np.random.default_rng(0)
X = np.column_stack([np.ones(N), RNG.normal(size=(N, 3))])
Y = X @ [1.0, 2.0, -1.0, 0.5] + RNG.laplace(size=N) * 0.7
TABLE = pd.DataFrame({"x": RNG.uniform(size=N), "z": RNG.uniform(size=N)})
SCALE = 0.1 + 0.4 * TABLE["x"].to_numpy()
TRUTH = np.sin(6 * TABLE["x"].to_numpy())
WAVE = TRUTH + RNG.laplace(size=N) * SCALE


def design(formula):
    fitted = StructuredDesign.fit(parse_formula(formula), TABLE, intercept=True)
    return fitted.matrix(TABLE), fitted.penalties


def test_plain_model_is_quantile_regression_with_laplace_errors():
    fit = fit_glm([X], Y, Laplace())
    peer = sm.QuantReg(Y, X).fit(q=0.5, p_tol=1e-10, max_iter=5000)
    scale = np.abs(Y - X @ fit.coef).mean()
    assert fit.converged
    assert fit.gradient_norm < 1e-6
    np.testing.assert_allclose(fit.coef, peer.params, atol=1e-6)
    np.testing.assert_allclose(fit.shape_values, scale, rtol=1e-8)
    np.testing.assert_allclose(fit.cov, scale**2 * np.linalg.inv(X.T @ X), rtol=1e-6)
    assert fit.loglik == pytest.approx(-N * (np.log(2 * scale) + 1), rel=1e-10)
    np.testing.assert_allclose(fit.shape_cov, [[1 / N]], rtol=1e-6)


def test_the_objective_is_that_of_a_linear_program():
    fit = fit_glm([X], Y, Laplace())
    found = optimize.linprog(
        np.concatenate([np.zeros(4), np.ones(2 * N)]),
        A_eq=np.hstack([X, np.eye(N), -np.eye(N)]),
        b_eq=Y,
        bounds=[(None, None)] * 4 + [(0, None)] * (2 * N),
    )
    assert np.abs(Y - X @ fit.coef).sum() == pytest.approx(found.fun, rel=1e-10)


def test_weights_are_repetitions():
    times = RNG.integers(0, 3, size=N)
    weighted = fit_glm([X], Y, Laplace(), sample_weight=times)
    rows = np.repeat(np.arange(N), times)
    repeated = fit_glm([X[rows]], Y[rows], Laplace())
    np.testing.assert_allclose(weighted.coef, repeated.coef, atol=1e-8)
    np.testing.assert_allclose(weighted.cov, repeated.cov, rtol=1e-6)
    assert weighted.loglik == pytest.approx(repeated.loglik)


def test_offset_and_given_scale():
    given = Laplace(fixed={"scale": 2.0})
    plain = fit_glm([X], Y, given)
    moved = fit_glm([X], Y + TRUTH, given, offset=TRUTH)
    np.testing.assert_allclose(moved.coef, plain.coef, atol=1e-8)
    np.testing.assert_allclose(plain.cov, 4.0 * np.linalg.inv(X.T @ X), rtol=1e-8)
    assert not len(plain.shapes)


@pytest.mark.parametrize("method", ["REML", "ML"])
def test_the_gradient_of_the_criterion_is_exact(method):
    matrix, penalties = design("s(x) + s(z)")
    rows = MedianLikelihood(
        [DenseDesign(matrix)], WAVE, Laplace(), None, np.zeros((N, 1))
    )
    system = PenaltySystem([(0, p) for p in penalties], matrix.shape[1])
    criterion = Criterion(rows, system, method)
    for outer in ([3.7, 8.0, -1.2], [-2.0, 0.0, -0.5]):
        outer = np.array(outer)
        point = criterion.evaluate(outer, np.zeros(matrix.shape[1]))
        for j, step in enumerate(1e-5 * np.eye(3)):
            ahead = criterion.evaluate(outer + step, point.optimum.beta).score
            behind = criterion.evaluate(outer - step, point.optimum.beta).score
            slope = (ahead - behind) / 2e-5
            assert slope == pytest.approx(point.gradient[j], abs=1e-6)


def test_a_smooth_is_recovered_and_its_scale_knows_the_degrees_of_freedom():
    matrix, penalties = design("s(x) + s(z)")
    fit = fit_glm([matrix], WAVE, Laplace(), penalties=[penalties])
    residual = WAVE - matrix @ fit.coef
    assert fit.converged
    assert fit.gradient_norm < 1e-5
    assert np.sqrt(np.mean((matrix @ fit.coef - TRUTH) ** 2)) < 0.08
    # the criterion's own estimate of b, and the number of rows that are met exactly
    free = N - fit.edf.sum()
    assert fit.shape_values[0] == pytest.approx(np.abs(residual).sum() / free, rel=1e-5)
    assert abs((np.abs(residual) < 1e-7).sum() - fit.edf.sum()) < 3
    assert fit.edf[10:].sum() < 2.0  # z does nothing
    assert np.linalg.eigvalsh(fit.cov_corrected - fit.cov).min() > -1e-10


def test_scale_with_a_formula():
    matrix, penalties = design("s(x)")
    line = np.column_stack([np.ones(N), TABLE["x"]])
    family = Laplace(formulas=("loc", "scale"))
    fit = fit_glm([matrix, line], WAVE, family, penalties=[penalties, ()])
    eta = fit.linear_predictor
    assert fit.converged
    assert np.sqrt(np.mean((eta[:, 0] - TRUTH) ** 2)) < 0.06
    assert np.corrcoef(np.exp(eta[:, 1]), SCALE)[0, 1] > 0.98
    # stationary in the scale, and a subgradient of the location is zero
    size = np.abs(WAVE - eta[:, 0]) * np.exp(-eta[:, 1])
    np.testing.assert_allclose(line.T @ (size - 1.0), 0.0, atol=1e-6)
    weight = np.exp(-2.0 * eta[:, 1])
    np.testing.assert_allclose(fit.working_weight[:, 0], weight, rtol=1e-4)
    np.testing.assert_allclose(fit.working_weight[:, 1], 1.0, rtol=1e-10)


def test_scale_with_a_smooth_settles():
    matrix, penalties = design("s(x)")
    family = Laplace(formulas=("loc", "scale"))
    fit = fit_glm([matrix, matrix], WAVE, family, penalties=[penalties, penalties])
    assert fit.converged
    assert 2.0 <= fit.edf[10:].sum() < 6.0
    # λ b'Sb = rank − λ tr(VS): the fixed point of Fellner and Schall
    inverse = fit.cov
    for part, sp, penalty in zip(
        fit.slices, fit.sp, [penalties[0], penalties[0]], strict=True
    ):
        span = slice(part.start + penalty.start, part.start + penalty.stop)
        b = fit.coef[span]
        bend = sp * b @ penalty.matrix @ b
        trace = sp * np.sum(inverse[span, span] * penalty.matrix)
        assert bend == pytest.approx(penalty.rank - trace, abs=1e-4)


def test_a_scale_that_runs_to_zero_is_told():
    group = np.zeros(N)
    group[0] = 1.0
    both = np.column_stack([np.ones(N), group])
    family = Laplace(formulas=("loc", "scale"))
    with pytest.warns(ConvergenceWarning, match="separation"):
        fit = fit_glm([both, both], Y, family)
    assert 3 in fit.diverging


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"family": Laplace("log")}, "identity link"),
        ({"family": Laplace(formulas=("scale",))}, "formula for 'loc'"),
        ({"family": Laplace(fixed={"scale": 1.0}), "method": "GCV"}, "method"),
        ({"constraints": [[type("C", (), {})()]]}, "monotone"),
        ({"firth": True}, "firth"),
    ],
)
def test_what_is_refused(options, message):
    options = {"family": Laplace(), **options}
    with pytest.raises(ParameterError, match=message):
        fit_glm([X], np.abs(Y) + 1.0, **options)


def test_a_scale_alone_needs_no_median():
    family = Laplace(formulas=("scale",), fixed={"loc": 0.0})
    fit = fit_glm([np.ones((N, 1))], Y, family)
    assert np.exp(fit.coef[0]) == pytest.approx(np.abs(Y).mean(), rel=1e-8)


def test_too_few_and_redundant_columns():
    with pytest.raises(DataError, match="cannot estimate"):
        fit_glm([X[:4]], Y[:4], Laplace())
    with pytest.raises(RankDeficiencyError):
        fit_glm([np.column_stack([X, X[:, 1]])], Y, Laplace())
