"""Shapes and dispersions: derivatives of the criterion, estimates of other tools."""

from dataclasses import dataclass

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import optimize
from statsmodels.discrete.count_model import ZeroInflatedPoisson as PeerZeroInflated
from statsmodels.miscmodels.ordinal_model import OrderedModel
from statsmodels.othermod.betareg import BetaModel
from statsmodels.tools.numdiff import approx_hess

from semistruct.design import DenseDesign
from semistruct.families import (
    Bernoulli,
    Beta,
    Gamma,
    Gaussian,
    InverseGaussian,
    NegativeBinomial,
    Ordinal,
    Poisson,
    StudentT,
    Tweedie,
    ZeroInflatedPoisson,
)
from semistruct.solvers import fit_glm
from semistruct.solvers._criterion import Criterion
from semistruct.solvers._penalty import PenaltySystem
from semistruct.solvers._rows import RowLikelihood

N = 200
RNG = np.random.default_rng(3)
X = np.column_stack([np.ones(N), RNG.normal(size=(N, 5))])
ETA = X @ [0.4, 0.5, -0.3, 0.0, 0.2, 0.0]
WEIGHT = RNG.integers(0, 3, N).astype(float)
PRECISION = RNG.uniform(0.5, 2.0, N)


@dataclass(frozen=True)
class Penalty:
    start: int
    stop: int
    matrix: np.ndarray
    rank: int
    sp: float | None = None
    label: str = "s(x)"


RIDGES = [Penalty(1, 3, np.eye(2), 2), Penalty(3, 6, np.eye(3), 3)]


def draw(family, dispersion=1.0):
    return family.sample(ETA[:, None], np.random.default_rng(8), dispersion)


FAMILIES = {
    "negative_binomial": NegativeBinomial(),
    "student_t": StudentT(),
    "beta": Beta(),
    "tweedie": Tweedie(),
    "zero_inflated": ZeroInflatedPoisson(),
    "ordinal": Ordinal(4),
    "gamma": Gamma(),
    "inverse_gaussian": InverseGaussian(),
    "gaussian, log link": Gaussian(link="log"),
}
every = pytest.mark.parametrize("name", FAMILIES)


@every
@pytest.mark.parametrize("method", ["REML", "ML", "plain"])
def test_criterion_derivatives_in_all_outer_parameters(name, method):
    family = FAMILIES[name]
    x = X[:, 1:] if name == "ordinal" else X
    shift = -1 if name == "ordinal" else 0
    y = draw(family, 0.3)
    rows = RowLikelihood(
        [DenseDesign(x)], y, family, WEIGHT, np.zeros((N, 1)), PRECISION
    )
    rows = rows.with_shapes(rows.initial_shapes())
    pairs = [] if method == "plain" else [(shift, each) for each in RIDGES]
    system = PenaltySystem(pairs, x.shape[1])
    criterion = Criterion(rows, system, method)
    outer = np.concatenate([[1.0, 2.0][: len(pairs)], rows.shapes + 0.1])
    point = criterion.evaluate(outer, rows.start())
    assert point.optimum.status == "converged"
    h = 1e-4
    for j in range(len(outer)):
        step = h * np.eye(len(outer))[j]
        above = criterion.evaluate(outer + step, point.optimum.beta)
        below = criterion.evaluate(outer - step, point.optimum.beta)
        slope = (above.score - below.score) / (2 * h)
        assert point.gradient[j] == pytest.approx(slope, abs=2e-5)
        moved = (above.optimum.beta - below.optimum.beta) / (2 * h)
        np.testing.assert_allclose(point.jacobian[:, j], moved, atol=1e-6)
        bend = (above.gradient - below.gradient) / (2 * h)
        room = 2e-5 if method == "plain" else 0.25
        np.testing.assert_allclose(
            point.hessian[j], bend, atol=room * (1.0 + np.abs(bend).max())
        )


@every
def test_profile_of_the_dispersion(name):
    family = FAMILIES[name]
    x = X[:, 1:] if name == "ordinal" else X
    rows = RowLikelihood([DenseDesign(x)], draw(family), family, None, np.zeros((N, 1)))
    beta = rows.start()
    profile = rows.profile(beta, rows.value(beta), 3.0, 2)
    if not family.has_dispersion:
        assert profile.dispersion == 1.0
        return

    def objective(log_phi):
        value, _, _ = rows._in_constants(beta, np.array([log_phi]), 0)
        bend = 1.5 * np.exp(-log_phi)
        return bend - value - np.log(2 * np.pi) - log_phi

    best = optimize.minimize_scalar(objective, (-1.0, 1.0), tol=1e-10)
    assert profile.objective == pytest.approx(best.fun, abs=1e-8)
    assert np.log(profile.dispersion) == pytest.approx(best.x, abs=1e-4)
    h = 1e-3
    bends = [objective(best.x + t) for t in (-h, 0.0, h)]
    assert profile.curvature == pytest.approx(np.diff(bends, 2)[0] / h**2, rel=1e-4)


def errors(fit):
    return np.sqrt(np.diag(fit.cov))


def test_negative_binomial_equals_statsmodels():
    y = draw(NegativeBinomial())
    fit = fit_glm([X], y, NegativeBinomial())
    peer = sm.NegativeBinomial(y, X).fit(
        disp=0, method="newton", maxiter=200, tol=1e-12
    )
    assert fit.converged
    np.testing.assert_allclose(fit.coef, peer.params[:-1], atol=1e-5)
    assert fit.shape_values[0] == pytest.approx(1 / peer.params[-1], rel=1e-5)
    np.testing.assert_allclose(errors(fit), peer.bse[:-1], rtol=1e-4)
    relative = peer.bse[-1] / peer.params[-1]  # of alpha; the same for log θ
    assert np.sqrt(fit.shape_cov[0, 0]) == pytest.approx(relative, rel=1e-4)
    assert fit.loglik == pytest.approx(peer.llf, abs=1e-6)
    assert fit.score == pytest.approx(-peer.llf, abs=1e-6)


def test_beta_equals_statsmodels():
    y = draw(Beta())
    fit, peer = fit_glm([X], y, Beta()), BetaModel(y, X).fit(disp=0)
    np.testing.assert_allclose(fit.coef, peer.params[:-1], atol=1e-4)
    assert fit.shapes[0] == pytest.approx(peer.params[-1], abs=1e-4)
    np.testing.assert_allclose(errors(fit), peer.bse[:-1], rtol=1e-3)
    assert np.sqrt(fit.shape_cov[0, 0]) == pytest.approx(peer.bse[-1], rel=1e-3)
    assert fit.loglik == pytest.approx(peer.llf, abs=1e-5)


def test_zero_inflated_poisson_equals_statsmodels():
    family = ZeroInflatedPoisson(fixed={"zero": 0.4})
    y = draw(family)
    fit = fit_glm([X], y, ZeroInflatedPoisson())
    model = PeerZeroInflated(y, X)
    peer = model.fit(disp=0, method="bfgs", maxiter=500, gtol=1e-8)
    np.testing.assert_allclose(fit.coef, peer.params[1:], atol=1e-5)
    assert fit.shapes[0] == pytest.approx(peer.params[0], abs=1e-5)
    # its analytic Hessian lacks a part between the two predictors
    error = np.sqrt(np.diag(np.linalg.inv(-approx_hess(peer.params, model.loglike))))
    np.testing.assert_allclose(errors(fit), error[1:], rtol=1e-4)
    assert np.sqrt(fit.shape_cov[0, 0]) == pytest.approx(error[0], rel=1e-4)


def test_ordinal_equals_statsmodels():
    y = draw(Ordinal(4))
    fit = fit_glm([X[:, 1:]], y, Ordinal(4))
    peer = OrderedModel(y, X[:, 1:], distr="logit").fit(
        disp=0, method="bfgs", gtol=1e-8, maxiter=500
    )
    np.testing.assert_allclose(fit.coef, peer.params[:5], atol=1e-5)
    np.testing.assert_allclose(fit.shapes, peer.params[5:], atol=1e-5)
    np.testing.assert_allclose(errors(fit), peer.bse[:5], rtol=1e-4)
    np.testing.assert_allclose(np.sqrt(np.diag(fit.shape_cov)), peer.bse[5:], rtol=1e-4)


@pytest.mark.parametrize(
    ("family", "peer"),
    [
        (Gamma(), sm.families.Gamma(sm.families.links.Log())),
        (InverseGaussian(), sm.families.InverseGaussian(sm.families.links.Log())),
        (Gaussian(link="log"), sm.families.Gaussian(sm.families.links.Log())),
        (Bernoulli(link="probit"), sm.families.Binomial(sm.families.links.Probit())),
    ],
    ids=["gamma", "inverse_gaussian", "gaussian", "probit"],
)
def test_fisher_weights_and_pearson_scale_as_glm(family, peer):
    y = draw(family, 0.2)
    fit = fit_glm([X], y, family)
    other = sm.GLM(y, X, family=peer).fit(tol=1e-14, maxiter=200, start_params=fit.coef)
    np.testing.assert_allclose(fit.coef, other.params, atol=1e-7)
    np.testing.assert_allclose(errors(fit), other.bse, rtol=1e-6)
    assert fit.dispersion == pytest.approx(other.scale, rel=1e-7)


def test_student_t_equals_a_direct_maximisation():
    y = draw(StudentT(fixed={"df": 4.0}))
    fit = fit_glm([X], y, StudentT())

    def negative(z):
        from scipy import stats

        t = stats.t(np.exp(z[7]), X @ z[:6], np.exp(z[6]))
        return -t.logpdf(y).sum()

    start = np.r_[np.zeros(6), 0.0, 1.5]
    best = optimize.minimize(negative, start, method="BFGS", options={"gtol": 1e-6})
    assert fit.loglik == pytest.approx(-best.fun, abs=1e-6)
    np.testing.assert_allclose(fit.coef, best.x[:6], atol=1e-4)
    np.testing.assert_allclose(fit.shapes, best.x[6:], atol=1e-3)


def test_shape_at_the_end_of_its_range_has_no_error():
    y = np.full(N, 3.0)  # varies less than any Poisson count
    fit = fit_glm([X[:, :1]], y, NegativeBinomial())
    assert fit.converged
    assert np.isnan(fit.shape_cov).all()
    assert "'size'" in fit.message
    poisson = fit_glm([X[:, :1]], y, Poisson())
    np.testing.assert_allclose(fit.coef, poisson.coef, atol=1e-4)
    np.testing.assert_allclose(errors(fit), errors(poisson), rtol=1e-3)


def test_tweedie_power_and_scale_are_recovered():
    rng = np.random.default_rng(4)
    x = np.column_stack([np.ones(3000), rng.normal(size=3000)])
    eta = x @ [0.5, 0.4]
    y = Tweedie(fixed={"power": 1.4}).sample(eta[:, None], rng, 0.6)
    fit = fit_glm([x], y, Tweedie())
    np.testing.assert_allclose(fit.coef, [0.5, 0.4], atol=0.06)
    assert fit.shape_values[0] == pytest.approx(1.4, abs=0.04)
    assert fit.dispersion == pytest.approx(0.6, rel=0.08)


def test_penalised_shapes_add_to_the_corrected_covariance():
    y = draw(NegativeBinomial())
    fit = fit_glm([X], y, NegativeBinomial(), penalties=[RIDGES])
    assert fit.converged
    assert fit.method == "REML"
    assert np.linalg.eigvalsh(fit.cov_corrected - fit.cov).min() > -1e-10
    given = [Penalty(p.start, p.stop, p.matrix, p.rank, 2.0) for p in RIDGES]
    fixed = fit_glm([X], y, NegativeBinomial(), penalties=[given])
    np.testing.assert_array_equal(fixed.sp, 2.0)
    assert fixed.converged
