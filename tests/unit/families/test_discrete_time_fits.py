"""Discrete-time families in the exact path, against other models of the same rows."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import torch
from torch import nn

from semistruct._core.time_grid import TimeGrid
from semistruct.design import StructuredDesign, parse_formula
from semistruct.families import MTLR, PMF, LogisticHazard, get_family
from semistruct.networks import SemiStructuredNetwork
from semistruct.objectives import LikelihoodObjective
from semistruct.solvers import fit_glm

J = 4


def data(n=600, seed=0, late=False):
    """A design (n, 3), times, codes of two causes, and entries."""
    rng = np.random.default_rng(seed)
    x = np.column_stack([np.ones(n), rng.normal(size=(n, 2))])
    death = rng.exponential(np.exp(0.6 * x[:, 1] - 0.3 * x[:, 2]))
    end = rng.uniform(0.1, 2.5, n)
    code = np.where(death <= end, 1 + (rng.uniform(size=n) < 0.4), 0)
    time = np.minimum(death, end)
    begin = np.maximum(rng.uniform(-0.3, 1.0, size=n), 0.0) * time
    return x, time, code, begin if late else None


def exploded(y):
    """Rows and intervals at risk, and the event there: the person-period table."""
    rows, periods, events = [], [], []
    for i, (survived, code, *entered) in enumerate(y.astype(int)):
        for j in range(entered[0] if entered else 0, min(survived + (code > 0), J)):
            rows.append(i)
            periods.append(j)
            events.append(float(code > 0 and j == survived))
    return np.array(rows), np.array(periods), np.array(events)


@pytest.mark.parametrize("family", [LogisticHazard(J), PMF(J), MTLR(J)], ids=repr)
@pytest.mark.parametrize("late", [False, True])
def test_intercepts_give_the_kaplan_meier_estimate_of_the_grouped_data(family, late):
    _, time, code, entry = data(late=late)
    grid = TimeGrid.fit(time, code, J)
    y = grid.target(time, code > 0, entry)
    ones = np.ones((len(y), 1))
    fit = fit_glm([ones] * J, y, family)
    _, periods, events = exploded(y)
    hazards = [events[periods == j].mean() for j in range(J)]
    found = family.survival(torch.from_numpy(fit.coef)[None])[0]
    np.testing.assert_allclose(found, np.cumprod(1 - np.array(hazards)), rtol=1e-9)
    # Greenwood's variance of log S, by the delta method
    at_risk = np.array([(periods == j).sum() for j in range(J)])
    odds = np.array(hazards) / (1 - np.array(hazards))
    greenwood = np.cumsum(odds / at_risk)
    eta = torch.from_numpy(fit.coef).requires_grad_(True)
    for j in range(J):
        value = family.log_survival(eta[None])[0, j]
        (slope,) = torch.autograd.grad(value, eta)
        variance = slope.numpy() @ fit.cov @ slope.numpy()
        assert variance == pytest.approx(greenwood[j], rel=1e-6)


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("link", ["logit", "cloglog"])
def test_hazards_equal_the_binary_model_of_persons_and_periods(link, late):
    x, time, code, entry = data(late=late)
    y = TimeGrid.fit(time, code, J).target(time, code, entry)
    y[:, 1] = y[:, 1] > 0
    fit = fit_glm([x] * J, y, LogisticHazard(J, link=link))
    rows, periods, events = exploded(y)
    dummies = periods[:, None] == np.arange(J)
    wide = (dummies[:, :, None] * x[rows][:, None, :]).reshape(len(rows), -1)
    links = {"logit": sm.families.links.Logit(), "cloglog": sm.families.links.CLogLog()}
    binomial = sm.families.Binomial(links[link])
    peer = sm.GLM(events, wide, family=binomial).fit(method="newton", tol=1e-12)
    np.testing.assert_allclose(fit.coef, peer.params, rtol=1e-6, atol=1e-8)
    assert fit.loglik == pytest.approx(peer.llf, rel=1e-10)
    if link == "logit":
        np.testing.assert_allclose(np.sqrt(np.diag(fit.cov)), peer.bse, rtol=1e-6)


def multinomial(x, cells, beyond):
    """statsmodels' coefficients with ``beyond`` as the reference, predictor by one."""
    order = np.where(cells == beyond, 0, cells + 1)
    peer = sm.MNLogit(order, x).fit(method="newton", disp=False, tol=1e-12)
    return peer.params.T, peer.llf


def test_masses_without_censoring_are_a_multinomial_logit():
    x, time, code, _ = data()
    dead = code > 0
    x, time, code = x[dead], time[dead], code[dead]
    grid = TimeGrid.fit(time, code, J, last=1.2)
    y = grid.target(time, code)
    one = y.copy()
    one[:, 1] = one[:, 1] > 0
    coefs, loglik = multinomial(x, one[:, 0].astype(int), J)
    fit = fit_glm([x] * J, one, PMF(J))
    np.testing.assert_allclose(fit.coef, coefs.ravel(), rtol=1e-6, atol=1e-8)
    assert fit.loglik == pytest.approx(loglik, rel=1e-10)
    # η of MTLR are differences of the log-odds
    steps = -np.diff(np.vstack([coefs, np.zeros(3)]), axis=0)
    fit = fit_glm([x] * J, one, MTLR(J))
    np.testing.assert_allclose(fit.coef, steps.ravel(), rtol=1e-6, atol=1e-7)
    cells = np.where(y[:, 1] > 0, (y[:, 1] - 1) * J + y[:, 0], 2 * J).astype(int)
    coefs, loglik = multinomial(x, cells, 2 * J)
    fit = fit_glm([x] * (2 * J), y, PMF(J, n_causes=2))
    np.testing.assert_allclose(fit.coef, coefs.ravel(), rtol=1e-5, atol=1e-7)
    assert fit.loglik == pytest.approx(loglik, rel=1e-10)


def test_causes_give_the_aalen_johansen_estimate_of_the_grouped_data():
    _, time, code, _ = data()
    grid = TimeGrid.fit(time, code, J)
    y = grid.target(time, code)
    family = PMF(J, n_causes=2)
    fit = fit_glm([np.ones((len(y), 1))] * (2 * J), y, family)
    found = family.cumulative_incidence(torch.from_numpy(fit.coef)[None])[:, 0]
    left, total = 1.0, np.zeros(2)
    for j in range(J):
        risk = ((y[:, 0] > j) | ((y[:, 0] == j) & (y[:, 1] > 0))).sum()
        shares = [((y[:, 0] == j) & (y[:, 1] == c)).sum() / risk for c in (1, 2)]
        total = total + left * np.array(shares)
        left *= 1 - sum(shares)
        np.testing.assert_allclose(found[:, j], total, rtol=1e-8)


def test_weights_are_repetitions():
    x, time, code, entry = data(200, late=True)
    y = TimeGrid.fit(time, code, 3).target(time, code > 0, entry)
    weight = np.random.default_rng(5).integers(0, 3, len(y))
    for family in (LogisticHazard(3), PMF(3)):
        one = fit_glm([x] * 3, y, family, sample_weight=weight)
        rows, many = np.repeat(y, weight, axis=0), np.repeat(x, weight, axis=0)
        two = fit_glm([many] * 3, rows, family)
        np.testing.assert_allclose(one.coef, two.coef, rtol=1e-7, atol=1e-9)


def smooth_data():
    """A smooth's design with its penalties, and targets in 2 intervals."""
    rng = np.random.default_rng(6)
    z, end = rng.uniform(size=(2, 800))
    time = rng.exponential(np.exp(1.5 * np.sin(9 * z)))
    table = pd.DataFrame({"z": z})
    design = StructuredDesign.fit(parse_formula("s(z, k=8)"), table, intercept=True)
    y = TimeGrid([0.4, 1.5]).target(np.minimum(time, 4 * end), time <= 4 * end)
    return design.matrix(table), design.penalties, y


def test_smooth_hazards_are_a_binary_model_for_each_interval():
    """The criterion is a sum over intervals, so smoothing parameters are theirs too."""
    x, penalties, y = smooth_data()
    fit = fit_glm([x, x], y, LogisticHazard(2), penalties=[penalties] * 2)
    for j in range(2):
        risk = (y[:, 0] > j) | ((y[:, 0] == j) & (y[:, 1] > 0))
        event = (y[risk, 0] == j).astype(float)
        own = fit_glm([x[risk]], event, get_family("bernoulli"), penalties=[penalties])
        np.testing.assert_allclose(fit.sp[j], own.sp[0], rtol=1e-4)
        np.testing.assert_allclose(fit.coef[fit.slices[j]], own.coef, atol=1e-5)
        assert fit.edf[fit.slices[j]].sum() > 2.5


def test_smooth_masses_without_censoring_are_a_multinomial_model():
    x, penalties, y = smooth_data()
    known = (y[:, 1] > 0) | (y[:, 0] == 2)
    x, y = x[known], y[known]
    code = np.where(y[:, 1] > 0, y[:, 0] + 1, 0)
    groups, family = [penalties] * 2, get_family("categorical", n_classes=3)
    peer = fit_glm([x, x], code, family, penalties=groups)
    fit = fit_glm([x, x], y, PMF(2), penalties=groups)
    np.testing.assert_allclose(fit.sp, peer.sp, rtol=1e-4)
    np.testing.assert_allclose(fit.coef, peer.coef, atol=1e-5)
    assert fit.loglik == pytest.approx(peer.loglik, rel=1e-8)


@pytest.mark.parametrize("family", [PMF(2), MTLR(2)], ids=repr)
def test_reml_is_at_its_optimum_with_censored_rows(family):
    """No smoothing parameter near the one that is found does better."""
    x, (penalty,), y = smooth_data()
    fit = fit_glm([x, x], y, family, penalties=[[penalty]] * 2)
    assert fit.converged
    for k in range(2):
        for factor in (0.8, 1.25):
            sp = fit.sp.copy()
            sp[k] *= factor
            groups = [[dataclasses.replace(penalty, sp=float(value))] for value in sp]
            other = fit_glm([x, x], y, family, penalties=groups)
            assert other.score > fit.score


@pytest.mark.parametrize("family", [LogisticHazard(J), PMF(J), MTLR(J)], ids=repr)
def test_a_linear_network_finds_the_exact_fit(family):
    x, time, code, _ = data(300)
    y = TimeGrid.fit(time, code, J).target(time, code > 0)
    exact = fit_glm([x] * J, y, family)
    network = SemiStructuredNetwork({"x": nn.Identity()}, {"x": 2}, J).double()
    objective = LikelihoodObjective(network, family)
    batch = {"x": torch.from_numpy(x[:, 1:]), "y": torch.from_numpy(y)}
    optimiser = torch.optim.LBFGS(
        network.parameters(), max_iter=300, line_search_fn="strong_wolfe"
    )

    def loss():
        optimiser.zero_grad()
        value = objective.step(batch).loss
        value.backward()
        return value

    optimiser.step(loss)
    assert len(y) * loss().item() == pytest.approx(-exact.loglik, rel=1e-6)
