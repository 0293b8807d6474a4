"""Discrete-time families: their contract, and values by hand and by literal loops."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from semistruct.exceptions import ParameterError, TargetError
from semistruct.families import (
    MTLR,
    PMF,
    DiscreteTimeFamily,
    Family,
    LogisticHazard,
    get_discrete_time,
)
from semistruct.families._discrete_time_masses import DISCRETE_TIME

J = 4
MODELS = [
    LogisticHazard(J),
    LogisticHazard(J, link="cloglog"),
    PMF(J),
    PMF(3, n_causes=2),
    MTLR(J),
    LogisticHazard(1),
    PMF(1),
]
each = pytest.mark.parametrize("family", MODELS, ids=repr)
late = pytest.mark.parametrize("late", [False, True])


def every_target(family: DiscreteTimeFamily, late: bool) -> torch.Tensor:
    """All targets that there are."""
    J, C = family.n_intervals, family.n_causes
    rows = [(s, 0) for s in range(J + 1)]
    rows += [(s, c) for s in range(J) for c in range(1, C + 1)]
    if late:
        rows = [(s, c, e) for s, c in rows for e in range(s + 1)]
    return torch.tensor(rows, dtype=torch.float64)


def predictors(family: Family, n: int, scale: float = 1.0) -> torch.Tensor:
    rng = np.random.default_rng(0)
    return torch.from_numpy(scale * rng.normal(size=(n, family.n_predictors)))


def masses(family: DiscreteTimeFamily, eta) -> tuple[np.ndarray, float]:
    """Probabilities (C, J) of one row and of beyond, by the formulas of the papers."""
    J, C = family.n_intervals, family.n_causes
    if isinstance(family, LogisticHazard):
        if family.link == "logit":
            h = [1 / (1 + math.exp(-e)) for e in eta]
        else:
            h = [1 - math.exp(-math.exp(e)) for e in eta]
        left, found = 1.0, []
        for each in h:
            found.append(left * each)
            left *= 1 - each
        return np.array([found]), left
    odds = np.array(eta).reshape(C, J)
    if isinstance(family, MTLR):
        odds = np.array([[sum(eta[j:]) for j in range(J)]])
    total = 1.0 + sum(math.exp(o) for o in odds.ravel())
    return np.exp(odds) / total, 1.0 / total


def literal(family: DiscreteTimeFamily, y, eta) -> float:
    """Log-likelihood of one row."""
    cells, beyond = masses(family, eta)
    s, code, entered = int(y[0]), int(y[1]), int(y[2]) if len(y) == 3 else 0
    alive = beyond + cells[:, entered:].sum()
    there = cells[code - 1, s] if code else beyond + cells[:, s:].sum()
    return math.log(there / alive)


def numeric(function, point: torch.Tensor, step: float = 1e-4) -> torch.Tensor:
    """Central differences of fourth order; the result's last axis is the point's."""
    columns = []
    for k in range(point.shape[-1]):
        shift = torch.zeros_like(point)
        shift[..., k] = step
        near = function(point + shift) - function(point - shift)
        far = function(point + 2 * shift) - function(point - 2 * shift)
        columns.append((8 * near - far) / (12 * step))
    return torch.stack(columns, dim=-1)


def close(ours, theirs, tolerance=1e-10) -> None:
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance)


def test_all_are_under_contract():
    assert {family.name for family in MODELS} == DISCRETE_TIME.keys()


@each
@late
def test_likelihood_equals_the_literal_one(family, late):
    y = every_target(family, late)
    eta = predictors(family, len(y))
    expected = [literal(family, row, e.tolist()) for row, e in zip(y, eta, strict=True)]
    close(family.log_density(y, eta), expected, 1e-12)
    theta = family.theta(eta).values()
    close(family.log_prob(y, *theta), expected, 1e-12)
    close(family.deviance(y.numpy(), eta.numpy()), -2 * sum(expected))


@each
def test_probabilities_of_all_that_can_be_seen_add_up_to_one(family):
    """Events in each cell, and being alive at the end."""
    y = every_target(family, late=False)
    y = y[(y[:, 1] > 0) | (y[:, 0] == family.n_intervals)]
    for eta in predictors(family, 3):
        total = family.log_density(y, eta.expand(len(y), -1)).exp().sum()
        close(total, 1.0)


@each
@late
def test_derivatives_equal_finite_differences_and_autograd(family, late):
    y = every_target(family, late)
    eta = predictors(family, len(y))
    value, gradient, hessian = family.derivatives(y, eta)
    close(value, family.log_density(y, eta), 1e-14)
    close(gradient, numeric(lambda e: family.log_density(y, e), eta))
    close(hessian, numeric(lambda e: family.derivatives(y, e)[1], eta))
    half = torch.from_numpy(np.random.default_rng(2).normal(size=hessian.shape))
    direction = half + half.transpose(1, 2)

    def trace(e):
        return (family.derivatives(y, e)[2] * direction).sum(dim=(1, 2))

    third = family.third(y, eta, direction)
    close(third, numeric(trace, eta))
    for ours, autograd in zip(
        (value, gradient, hessian), Family.derivatives(family, y, eta), strict=True
    ):
        close(ours, autograd, 1e-13)
    close(third, Family.third(family, y, eta, direction), 1e-12)


@each
def test_curves_agree_with_the_literal_masses(family):
    eta = predictors(family, 5)
    C, J = family.n_causes, family.n_intervals
    cells = np.stack([masses(family, e.tolist())[0] for e in eta], axis=1)  # (C, n, J)
    whole = cells.sum(axis=0)
    survival = 1 - np.cumsum(whole, axis=1)
    close(family.survival(eta), survival, 1e-14)
    close(family.log_survival(eta), np.log(survival), 1e-12)
    close(family.pmf(eta), whole, 1e-14)
    close(family.cumulative_incidence(eta), np.cumsum(cells, axis=2), 1e-14)
    before = np.hstack([np.ones((5, 1)), survival[:, :-1]])
    close(family.hazard(eta), whole / before, 1e-13)
    flat = cells.transpose(1, 0, 2).reshape(5, C * J)
    mean = family.mean(eta)
    close(mean, np.hstack([flat, survival[:, -1:]]), 1e-14)
    close(family.variance(eta), mean * (1 - mean), 1e-15)
    index = np.arange(-1, J + 1)
    for row, curve in zip(eta, survival, strict=True):
        found = family.cdf(index, row.expand(J + 2, -1))
        close(found, [0.0, *(1 - curve), 1.0], 1e-14)
    level = family.cdf(np.ones(5), eta)
    close(family.quantile(level - 1e-9, eta), np.full(5, 1.0))
    close(family.quantile(np.full(5, 1 - 1e-12), eta), np.full(5, float(J)))


def test_hand_computed_values():
    """h = ½ in each interval; four equal masses; η of MTLR add up from the end."""
    zero = torch.zeros(3, 3, dtype=torch.float64)
    y = torch.tensor([[1.0, 1.0], [2.0, 0.0], [0.0, 0.0]])
    close(LogisticHazard(3).log_density(y, zero), np.log([0.25, 0.25, 1.0]))
    close(PMF(3).log_density(y, zero), np.log([0.25, 0.5, 1.0]))
    eta = torch.log(torch.tensor([[2.0, 3.0, 0.5]], dtype=torch.float64))
    # odds 2·3·½, 3·½, ½ against 1: 3, 1.5, 0.5, in all 6
    close(MTLR(3).pmf(eta), [[0.5, 0.25, 1 / 12]])
    entered = torch.tensor([[1.0, 1.0, 1.0]])
    close(PMF(3).log_density(entered, zero[:1]), [math.log(1 / 3)])
    close(LogisticHazard(3).log_density(entered, zero[:1]), [math.log(1 / 2)])


def test_grouped_proportional_hazards():
    """With the cloglog link a shift of all η raises S to the power e^shift."""
    family = LogisticHazard(J, link="cloglog")
    eta = predictors(family, 6) - 1.0
    close(family.survival(eta + 0.7), family.survival(eta) ** math.exp(0.7), 1e-14)


@each
def test_survival_falls_from_one_to_zero(family):
    eta = predictors(family, 200, 1.5)
    survival = family.survival(eta).numpy()
    assert (survival <= 1).all()
    assert (survival > 0).all()
    assert (np.diff(survival, axis=1) <= 0).all()


@each
@late
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_far_predictors_stay_finite(family, late, dtype):
    y = every_target(family, late).to(dtype)
    rng = np.random.default_rng(3)
    for far in (30.0, 1e4):
        signs = rng.choice([-far, far], (8, family.n_predictors))
        if getattr(family, "link", "") == "cloglog":
            signs = np.clip(signs, -far, 60.0)  # log S = −e^η, beyond floats later
        for row in signs:
            eta = torch.from_numpy(np.tile(row, (len(y), 1))).to(dtype)
            for part in family.derivatives(y, eta):
                assert part.isfinite().all()
                assert part.dtype == dtype
            point = eta.clone().requires_grad_(True)
            family.log_density(y, point).sum().backward()
            assert point.grad.isfinite().all()
            for curve in (family.survival, family.hazard, family.pmf):
                found = curve(eta)
                assert ((found >= 0) & (found <= 1 + 1e-6)).all()
            incidence = family.cumulative_incidence(eta)
            assert ((incidence >= 0) & (incidence <= 1 + 1e-6)).all()


@each
def test_single_precision_agrees_with_double(family):
    y = every_target(family, late=True)
    eta = predictors(family, len(y), 2.0)
    narrow = family.derivatives(y.float(), eta.float())
    for coarse, fine in zip(narrow, family.derivatives(y, eta), strict=True):
        close(coarse.double(), fine, 2e-5)


def test_a_log_likelihood_far_out_is_exact():
    """pycox's clamp of 1e-7 would say 16.1 at most."""
    y = torch.tensor([[0.0, 1.0]])
    eta = torch.tensor([[-1000.0, 3.0]])
    assert PMF(2).log_density(y, eta).item() == pytest.approx(-1003.0486, rel=1e-6)
    assert LogisticHazard(2).log_density(y, eta).item() == -1000.0
    low = torch.tensor([[-90.0, 0.0]])  # e^−90 is 0 in float32 below 1e-38
    found = LogisticHazard(2, link="cloglog").log_density(y, 2 * low)
    assert found.item() == pytest.approx(-180.0)


@each
@late
def test_recession_tells_where_the_density_falls(family, late):
    y = every_target(family, late)
    eta = predictors(family, len(y), 0.5)
    for seed in range(5):
        rng = np.random.default_rng(seed)
        direction = torch.from_numpy(rng.choice([-1.0, 0.0, 1.0], eta.shape))
        near, far = (family.log_density(y, eta + t * direction) for t in (20.0, 25.0))
        margin = family.recession(y, direction)
        assert not margin.isnan().any()
        np.testing.assert_array_equal(far < near - 1e-3, margin < 0)


@each
def test_draws_have_the_probabilities(family):
    n = 20_000
    eta = predictors(family, 1)
    y = family.sample(eta.expand(n, -1), np.random.default_rng(1))
    np.testing.assert_array_equal(family.check_target(y, "test"), y)
    cell = np.where(y[:, 1] > 0, (y[:, 1] - 1) * family.n_intervals + y[:, 0], -1)
    p = family.mean(eta)[0].numpy()
    shares = [(cell == k).mean() for k in range(len(p) - 1)] + [(cell == -1).mean()]
    assert (np.abs(shares - p) < 5 * np.sqrt(p * (1 - p) / n) + 1e-12).all()


@each
@late
def test_starts_are_near_the_life_table(family, late):
    rng = np.random.default_rng(4)
    rows = every_target(family, late).numpy()
    y = rows[rng.integers(0, len(rows), 5000)]
    start = family.initial(y, np.ones(len(y)))
    assert np.isfinite(start).all()
    hazard = family.hazard(torch.from_numpy(start)[None])[0].numpy()
    for j in range(family.n_intervals):
        risk = (y[:, 0] >= j) & ((y[:, 0] > j) | (y[:, 1] > 0))
        if late:
            risk &= y[:, 2] <= j
        share = ((y[:, 0] == j) & (y[:, 1] > 0))[risk].mean()
        assert hazard[j] == pytest.approx(share, abs=2e-3)
    nobody = family.initial(y, np.zeros(len(y)))
    assert np.isfinite(nobody).all()


@each
def test_states_rebuild_the_family(family):
    state = json.loads(json.dumps(family.to_state()))
    again = get_discrete_time(**state)
    assert again == family
    assert hash(again) == hash(family)
    assert repr(again) == repr(family)
    assert type(again) is type(family)
    assert family.with_formulas(family.parameters) == family
    assert family.with_shapes([]) == family
    assert get_discrete_time(family) is family
    assert family.n_predictors == len(family.all_parameters)


def test_what_the_families_refuse():
    for make in (LogisticHazard, PMF, MTLR):
        with pytest.raises(ParameterError, match="n_intervals"):
            make(0)
        with pytest.raises(ParameterError, match="all intervals have a formula"):
            make(2, formulas=make(2).parameters[:1])
        with pytest.raises(ParameterError, match="links"):
            make(2, links={make(2).parameters[0]: make(2).links.popitem()[1]})
        with pytest.raises(ParameterError, match="fixed"):
            make(2, fixed={make(2).parameters[0]: 0.5})
    with pytest.raises(ParameterError, match="'logit', 'cloglog'"):
        LogisticHazard(2, link="probit")
    with pytest.raises(ParameterError, match="n_causes"):
        PMF(2, n_causes=0)
    with pytest.raises(ParameterError, match="Did you mean 'mtlr'"):
        get_discrete_time("mltr", n_intervals=2)
    with pytest.raises(ParameterError, match="n_causes"):
        get_discrete_time("mtlr", n_intervals=2, n_causes=2)
    with pytest.raises(ParameterError, match="object without options"):
        get_discrete_time(PMF(2), n_intervals=2)


@pytest.mark.parametrize(
    ("y", "words"),
    [
        ([[0, 0], [1, 2]], r"event code 0 to 1\); row 1 holds \[1 2\]"),
        ([[0, 0], [3, 1]], r"at most 3 intervals survived \(2 for events\); row 1"),
        ([[4, 0]], "at most 3 intervals survived"),
        ([[0, 0], [0.5, 1]], "whole numbers from 0 on; row 1"),
        ([[0, -1]], "whole numbers"),
        ([[1, 1, 2]], "begun before entry; row 0"),
        ([[0, np.nan]], "NaN .* row 0"),
        ([0.0, 1.0], "2 columns"),
        ([["a", "b"]], "numeric"),
        (np.empty((0, 2)), "no rows"),
    ],
)
def test_illegal_targets_name_owner_and_row(y, words):
    with pytest.raises(TargetError, match=words) as error:
        LogisticHazard(3).check_target(y, "Model")
    assert "Model" in str(error.value)
