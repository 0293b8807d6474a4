"""Fits of censored times: literal maximisation, weights, offsets, smooths, errors."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import optimize, stats
from torch import nn

import semistruct as ss
from semistruct.design import StructuredDesign, parse_formula
from semistruct.exceptions import ConvergenceWarning, ParameterError, TargetError
from semistruct.families import LogNormal, LogNormalAFT, WeibullAFT, get_censored
from semistruct.networks import SemiStructuredNetwork
from semistruct.objectives import LikelihoodObjective
from semistruct.solvers import fit_glm

KINDS = ("weibull", "lognormal", "loglogistic")
BOTH = ("loc", "scale")
by_name = pytest.mark.parametrize("name", KINDS)


def data(n=300, seed=0):
    """Covariates (n, 3), times with late entry, censored in every way."""
    rng = np.random.default_rng(seed)
    x = np.column_stack([np.ones(n), rng.normal(size=(n, 2))])
    life = np.exp(x @ [0.5, 0.4, -0.3] + 0.6 * np.log(rng.exponential(size=n)))
    entry = np.where(rng.uniform(size=n) < 0.5, rng.uniform(0, 1, n), 0.0)
    kept = life > entry
    x, life, entry = x[kept], life[kept], entry[kept]
    n = len(life)
    step = np.floor(life / 0.4) * 0.4
    kind = rng.integers(0, 4, n)
    lower = np.select([kind == 1, kind == 2], [np.maximum(step, entry), 0.6 * life], 0)
    upper = np.select([kind == 1, kind == 2], [step + 0.4, np.inf], life + 0.5)
    exact = (kind == 0) | ((kind == 2) & (lower <= entry)) | ((kind == 3) & (entry > 0))
    lower, upper = np.where(exact, life, lower), np.where(exact, life, upper)
    return x, np.column_stack([entry, lower, upper])


def law(name, loc, scale):
    laws = {
        "weibull": stats.weibull_min(1 / scale, scale=np.exp(loc)),
        "lognormal": stats.lognorm(scale, scale=np.exp(loc)),
        "loglogistic": stats.fisk(1 / scale, scale=np.exp(loc)),
    }
    return laws[name]


def literal(name, point, x, y):
    """Negative log-likelihood as the textbook has it."""
    entry, lower, upper = y.T
    d = law(name, x @ point[:-1], np.exp(point[-1]))
    exact = lower == upper
    density = d.pdf(np.where(exact, lower, 1.0))
    mass = np.where(exact, density, d.sf(lower) - d.sf(upper))
    return -np.sum(np.log(mass) - d.logsf(entry))


@by_name
def test_every_kind_of_row_against_a_literal_maximum(name):
    x, y = data()
    assert len(np.unique(ss.Surv.interval(y[:, 1], y[:, 2]).kind)) == 4
    fit = fit_glm([x], y, get_censored(name))
    point = np.append(fit.coef, fit.shapes)
    assert fit.converged
    assert fit.loglik == pytest.approx(-literal(name, point, x, y), rel=1e-10)
    found = optimize.minimize(
        lambda p: literal(name, p, x, y), np.zeros(4), method="BFGS", tol=1e-7
    )
    np.testing.assert_allclose(point, found.x, atol=2e-4)
    assert -fit.loglik <= found.fun + 1e-9
    # both as formulas: the same maximum and the same covariance
    both = get_censored(name, formulas=BOTH)
    joint = fit_glm([x, np.ones((len(y), 1))], y, both)
    np.testing.assert_allclose(joint.coef, point, atol=1e-7)
    np.testing.assert_allclose(joint.cov[:3, :3], fit.cov, rtol=1e-5, atol=1e-9)


@by_name
@pytest.mark.parametrize("formulas", [("loc",), BOTH])
def test_weights_are_repetition(name, formulas):
    x, y = data(120, seed=1)
    family = get_censored(name, formulas=formulas)
    weight = np.random.default_rng(0).integers(0, 4, len(y))
    many = np.repeat(np.arange(len(y)), weight)
    designs = [x, x[:, :2]][: len(formulas)]
    once = fit_glm(designs, y, family, sample_weight=weight)
    repeated = fit_glm([d[many] for d in designs], y[many], family)
    np.testing.assert_allclose(once.coef, repeated.coef, atol=1e-8)
    np.testing.assert_allclose(once.cov, repeated.cov, rtol=1e-6, atol=1e-10)
    assert once.loglik == pytest.approx(repeated.loglik)


@by_name
def test_offsets_and_units(name):
    x, y = data(150, seed=2)
    family = get_censored(name)
    fit = fit_glm([x], y, family)
    known = fit_glm([x], y, family, offset=0.7 * x[:, 1])
    np.testing.assert_allclose(known.coef, fit.coef - [0, 0.7, 0], atol=1e-7)
    days = fit_glm([x], y * [365.25], family)
    shift = [np.log(365.25), 0, 0]
    np.testing.assert_allclose(days.coef, fit.coef + shift, atol=1e-6)
    np.testing.assert_allclose(days.shapes, fit.shapes, atol=1e-6)


def smooth(formula, frame):
    design = StructuredDesign.fit(parse_formula(formula), frame)
    return design.matrix(frame), design.penalties


def test_smooths_of_exact_times_are_those_of_the_log_normal_family():
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"x": rng.uniform(size=300), "z": rng.normal(size=300)})
    spread = np.exp(-1.0 + 0.5 * frame["x"])
    t = np.exp(np.sin(6 * frame["x"]) + spread * rng.normal(size=300)).to_numpy()
    (a, p), (b, q) = (smooth(f, frame) for f in ("s(x) + z", "s(x, k=6)"))
    ours = fit_glm([a, b], ss.Surv(t), LogNormalAFT(formulas=BOTH), penalties=[p, q])
    theirs = fit_glm([a, b], t, LogNormal(formulas=BOTH), penalties=[p, q])
    assert ours.converged
    assert ours.score == pytest.approx(theirs.score, abs=1e-7)
    np.testing.assert_allclose(ours.coef, theirs.coef, atol=1e-5)
    np.testing.assert_allclose(ours.edf, theirs.edf, atol=1e-4)


@by_name
def test_smooths_of_censored_times(name):
    """REML finds the curve; its gradient in log λ and log σ is that of differences."""
    rng = np.random.default_rng(4)
    n = 600
    frame = pd.DataFrame({"x": rng.uniform(size=n)})
    truth = np.sin(6 * frame["x"]).to_numpy()
    life = law(name, truth, 0.5).rvs(random_state=rng)
    end = rng.exponential(3.0, size=n)
    y = ss.Surv(np.minimum(life, end), life <= end)
    x, penalties = smooth("s(x)", frame)
    fit = fit_glm([x], y, get_censored(name), penalties=[penalties])
    assert fit.converged
    assert fit.gradient_norm < 1e-5
    assert 4 < fit.edf.sum() < 10
    error = fit.linear_predictor[:, 0] - truth
    assert np.sqrt(np.mean((error - error.mean()) ** 2)) < 0.12
    assert fit.shape_values[0] == pytest.approx(0.5, rel=0.12)
    # nothing near is better
    for change in (0.9, 1.1):
        scale = float(fit.shape_values[0])
        moved = get_censored(name, fixed={"scale": scale * change})
        near = fit_glm([x], y, moved, penalties=[penalties])
        assert near.score > fit.score


def test_a_family_without_events_runs_away_with_a_warning():
    y = np.column_stack([np.zeros(20), np.linspace(1, 2, 20), np.full(20, np.inf)])
    with pytest.warns(ConvergenceWarning, match="infinity"):
        fit_glm([np.ones((20, 1))], y, get_censored("exponential"))


@by_name
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_objective_takes_three_columns(name, dtype):
    _, y = data(40, seed=5)
    family = get_censored(name, formulas=BOTH)
    torch.manual_seed(0)
    network = SemiStructuredNetwork({"x": nn.Linear(3, 2)}, {"x": 2}, 2).to(dtype)
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(len(y), 3))).to(dtype)
    batch = {"x": x, "y": torch.from_numpy(y).to(dtype)}
    out = LikelihoodObjective(network, family).step(batch)
    out.loss.backward()
    gradients = [p.grad for p in network.parameters()]
    assert all(g is not None and torch.isfinite(g).all() for g in gradients)
    eta = network(batch).linear_predictor.detach().double()
    exact = -float(family.log_density(torch.from_numpy(y), eta).mean())
    assert float(out.loss.detach()) == pytest.approx(exact, rel=1e-5)


# -- targets ------------------------------------------------------------------------


def test_targets_from_a_surv():
    y = ss.Surv([5.0, 8.0, 3.0], [1, 0, 1], entry=[1.0, 0.0, 2.0])
    rows = WeibullAFT().check_target(y, "Model")
    assert rows.tolist() == [[1, 5, 5], [0, 8, np.inf], [2, 3, 3]]
    again = WeibullAFT().check_target(rows.tolist(), "Model")
    np.testing.assert_array_equal(again, rows)
    inside = ss.Surv.interval([0, 2, 3], [4, np.nan, 3])
    rows = WeibullAFT().check_target(inside, "Model")
    assert rows.tolist() == [[0, 0, 4], [0, 2, np.inf], [0, 3, 3]]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ((0, 0, 0), "above 0"),
        ((0, 0, np.inf), "above 0"),
        ((0, np.nan, 2), "no NaN"),
        ((0, 1, np.nan), "upper=inf"),
        ((-1, 1, 2), "0 <= entry"),
        ((0, -1, 2), "0 <= lower"),
        ((0, np.inf, np.inf), "finite"),
        ((0, 3, 2), "lower <= upper"),
        ((2, 2, 2), "entry before"),
        ((2, 2, np.inf), "entry before"),
        ((2, 0, 3), "lower = entry"),
    ],
)
def test_illegal_rows_are_named(row, words):
    y = [(0.0, 1.0, 1.0), row, row]
    with pytest.raises(TargetError, match=words) as error:
        fit_glm([np.ones((3, 1))], y, WeibullAFT())
    text = str(error.value)
    assert "Row 1" in text
    assert "2 such row" in text
    assert "fit_glm" in text
    assert "weibull_aft" in text


def test_a_time_of_zero_in_a_surv_is_named():
    for event in ([1, 1], [1, 0]):
        with pytest.raises(TargetError, match=r"logarithm of the time.*Row 1"):
            WeibullAFT().check_target(ss.Surv([1.0, 0.0], event), "Model")


@pytest.mark.parametrize("y", [[1.0, 2.0], [[1.0, 2.0]], np.zeros((2, 3, 1))])
def test_other_shapes_are_refused(y):
    with pytest.raises(TargetError, match=r"Surv\.interval"):
        WeibullAFT().check_target(y, "Model")


def test_texts_are_refused():
    with pytest.raises(TargetError, match="numeric"):
        WeibullAFT().check_target([["a", "b", "c"]], "Model")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"weights": [1, 2]}, "weights"),
        ({"strata": [1, 2]}, "strata"),
        ({"cause": [1, 2]}, "several causes"),
    ],
)
def test_what_rows_would_leave_out_is_refused(fields, words):
    y = ss.Surv([1.0, 2.0], **fields)
    with pytest.raises(TargetError, match=words):
        WeibullAFT().check_target(y, "Model")
    assert len(WeibullAFT().check_target(y.bounds(), "Model")) == 2


# -- names and times ----------------------------------------------------------------


def test_names():
    assert get_censored("exponential") == WeibullAFT(fixed={"scale": 1.0})
    assert get_censored("weibull", formulas=BOTH).n_predictors == 2
    with pytest.raises(ParameterError, match="weibull"):
        get_censored("weibul")
    with pytest.raises(ParameterError, match="one of"):
        get_censored(3)
    with pytest.raises(ParameterError, match="options"):
        get_censored("weibull", colour=1)
    with pytest.raises(ParameterError, match="without a formula"):
        get_censored("exponential", formulas=BOTH)


@pytest.mark.parametrize("times", [[-1.0], [np.nan], 3.0, np.ones((2, 2))])
def test_times_of_curves_are_checked(times):
    with pytest.raises(ParameterError, match="times"):
        WeibullAFT().survival(times, np.zeros((3, 1)))
