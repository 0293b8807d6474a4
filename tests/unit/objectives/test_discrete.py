"""DeepHit's and MultiSurv's losses against literal loops, and their objectives."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from semistruct._core.time_grid import TimeGrid
from semistruct.exceptions import ParameterError
from semistruct.families import MTLR, PMF, Gaussian, LogisticHazard
from semistruct.networks import SemiStructuredNetwork
from semistruct.objectives import (
    DeepHitObjective,
    LikelihoodObjective,
    MultiSurvObjective,
    deephit_ranking_loss,
    multisurv_loss,
)

B, J, C = 30, 4, 2


def rows(late=False, causes=C, seed=0):
    """Targets (B, 2) or (B, 3)."""
    rng = np.random.default_rng(seed)
    code = rng.integers(0, causes + 1, B)
    survived = np.where(code > 0, rng.integers(0, J, B), rng.integers(0, J + 1, B))
    parts = [survived, code]
    if late:
        parts.append((rng.uniform(size=B) * (survived + 1)).astype(int))
    return torch.from_numpy(np.column_stack(parts)).double()


def curves(seed=1, causes=C):
    eta = torch.from_numpy(np.random.default_rng(seed).normal(size=(B, causes * J)))
    return PMF(J, n_causes=causes).cumulative_incidence(eta)


def literal_ranking(incidence, y, sigma, weight):
    total, pairs = 0.0, 0.0
    for i, (s, code, *_) in enumerate(y.tolist()):
        if not code:
            continue
        own = incidence[int(code) - 1, :, int(s)].tolist()
        for j, (t, _, *entered) in enumerate(y.tolist()):
            if t > s and (not entered or entered[0] <= s):
                pair = float(weight[i] * weight[j])
                total += pair * math.exp(-(own[i] - own[j]) / sigma)
                pairs += pair
    return total / pairs


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("sigma", [0.1, 1.0])
def test_ranking_equals_the_loop_over_pairs(late, sigma):
    incidence, y = curves(), rows(late)
    ones = torch.ones(B, dtype=torch.float64)
    expected = literal_ranking(incidence, y, sigma, ones)
    found = deephit_ranking_loss(incidence, y, sigma)
    assert found.item() == pytest.approx(expected, rel=1e-12)
    weight = torch.from_numpy(np.random.default_rng(3).uniform(0, 2, B))
    weight[::7] = 0.0
    found = deephit_ranking_loss(incidence, y, sigma, weight)
    expected = literal_ranking(incidence, y, sigma, weight)
    assert found.item() == pytest.approx(expected, rel=1e-12)


def test_ranking_has_the_right_gradient():
    y = rows()
    eta = torch.from_numpy(np.random.default_rng(4).normal(size=(B, C * J)))

    def ranking(point):
        incidence = PMF(J, n_causes=C).cumulative_incidence(point)
        return deephit_ranking_loss(incidence, y, 0.3)

    assert torch.autograd.gradcheck(ranking, eta.requires_grad_(True))


def test_ranking_by_hand():
    """Row 0 fails first; rows 1 and 2 survive its interval; only it is an event."""
    incidence = torch.tensor([[[0.3, 0.4], [0.1, 0.2], [0.5, 0.6]]]).double()
    y = torch.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, 0.0]])
    expected = (math.exp(-0.2 / 0.5) + math.exp(0.2 / 0.5)) / 2
    assert deephit_ranking_loss(incidence, y, 0.5).item() == pytest.approx(expected)
    # the same interval is no later one: nothing to compare
    together = torch.tensor([[0.0, 1.0], [0.0, 1.0], [0.0, 0.0]])
    assert deephit_ranking_loss(incidence, together).item() == 0.0


@pytest.mark.parametrize("y", [[[0.0, 1.0], [0.0, 1.0]], [[1.0, 0.0], [2.0, 0.0]]])
def test_a_batch_without_pairs_has_no_ranking_and_a_finite_gradient(y):
    eta = torch.zeros(2, 2, requires_grad=True)
    incidence = PMF(2).cumulative_incidence(eta)
    loss = deephit_ranking_loss(incidence, torch.tensor(y))
    assert loss.item() == 0.0
    loss.backward()
    assert (eta.grad == 0).all()


def test_a_small_sigma_overflows_nothing_that_is_not_compared():
    """In float32 e^(1/σ) is infinite, but the compared pairs are well ordered."""
    incidence = torch.tensor([[[0.9, 1.0], [0.1, 1.0], [1.0, 1.0]]], requires_grad=True)
    y = torch.tensor([[0.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
    loss = deephit_ranking_loss(incidence, y, 0.005)
    loss.backward()
    assert loss.item() == pytest.approx(0.0, abs=1e-30)
    assert incidence.grad.isfinite().all()


@pytest.mark.parametrize("late", [False, True])
def test_multisurv_equals_the_literal_loss(late):
    y = rows(late, causes=1)
    q = torch.from_numpy(np.random.default_rng(5).uniform(size=(B, J)))
    q[0] = torch.tensor([0.0, 1.0, 0.0, 1.0])  # at the floor
    weight = torch.linspace(0, 2, B, dtype=torch.float64)
    expected = np.zeros(B)
    for i, (survived, code, *entered) in enumerate(y.tolist()):
        for j in range(J):
            s = float((entered[0] if entered else 0) <= j < survived)
            f = float(code > 0 and j == survived)
            expected[i] -= math.log(max(1 + s * (q[i, j] - 1), 1e-5)) / J
            expected[i] -= math.log(max(1 - f * q[i, j], 1e-5)) / J
    assert multisurv_loss(q, y).item() == pytest.approx(expected.mean(), rel=1e-12)
    weighted = np.average(expected, weights=weight)
    assert multisurv_loss(q, y, weight).item() == pytest.approx(weighted, rel=1e-12)
    assert multisurv_loss(q, y, 0 * weight).item() == 0.0


def test_multisurv_is_the_logistic_hazard_likelihood_of_midpoints():
    rng = np.random.default_rng(6)
    time, event = rng.exponential(2.0, B), rng.integers(0, 2, B)
    y = TimeGrid(np.arange(1.0, J + 1)).target(time, event, censored="midpoint")
    target = torch.from_numpy(y)
    eta = torch.from_numpy(rng.normal(size=(B, J)))
    nll = -LogisticHazard(J).log_density(target, eta).mean()
    loss = multisurv_loss(torch.sigmoid(-eta), target)
    assert loss.item() == pytest.approx(nll.item() / J, rel=1e-12)


OBJECTIVES = {
    "deephit": lambda net: DeepHitObjective(net, PMF(J)),
    "deephit_mtlr": lambda net: DeepHitObjective(net, MTLR(J), alpha=0.7, sigma=0.5),
    "multisurv": lambda net: MultiSurvObjective(net, LogisticHazard(J)),
    "multisurv_cloglog": lambda net: MultiSurvObjective(
        net, LogisticHazard(J, link="cloglog")
    ),
    "logistic_hazard": lambda net: LikelihoodObjective(net, LogisticHazard(J)),
    "pmf": lambda net: LikelihoodObjective(net, PMF(J)),
    "mtlr": lambda net: LikelihoodObjective(net, MTLR(J)),
}
each = pytest.mark.parametrize("name", OBJECTIVES)


def make(name):
    with torch.random.fork_rng():
        torch.manual_seed(3)
        encoder = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Dropout(0.5))
        network = SemiStructuredNetwork({"x": encoder}, {"x": 6}, J)
        for parameter in network.heads.parameters():
            nn.init.normal_(parameter)
    g = torch.Generator().manual_seed(2)
    batch = {"x": torch.randn(B, 4, generator=g), "y": rows(causes=1)}
    return OBJECTIVES[name](network), batch


def pick(batch, which):
    return {key: value[which] for key, value in batch.items()}


@each
def test_step_is_finite_and_reaches_every_parameter(name):
    objective, batch = make(name)
    loss, parts, n = objective.step(batch)
    assert loss.shape == ()
    assert n == B
    assert parts
    assert not any(part.requires_grad for part in parts.values())
    loss.backward()
    for key, parameter in objective.named_parameters():
        assert parameter.grad.isfinite().all(), key
        assert parameter.grad.abs().max() > 0, key


@each
def test_weights_and_order(name):
    objective, batch = make(name)
    objective.eval()
    plain = objective.step(batch).loss
    order = torch.randperm(B, generator=torch.Generator().manual_seed(5))
    torch.testing.assert_close(objective.step(pick(batch, order)).loss, plain)
    ones = torch.ones(B, dtype=torch.float64)
    same = objective.step(batch | {"weight": ones}).loss
    torch.testing.assert_close(same, plain, check_dtype=False)
    keep = torch.arange(B) < 20
    weighted = objective.step(batch | {"weight": ones * keep})
    fewer = objective.step(pick(batch, keep)).loss
    torch.testing.assert_close(weighted.loss, fewer, check_dtype=False)
    assert weighted.n == 20
    nothing = objective.step(batch | {"weight": 0 * ones})
    assert nothing.loss == 0
    nothing.loss.backward()
    assert all(p.grad.isfinite().all() for p in objective.parameters())


@each
def test_evaluate_does_not_depend_on_the_batches(name):
    objective, batch = make(name)
    whole = objective.evaluate([batch])
    parts = objective.evaluate([pick(batch, slice(0, 11)), pick(batch, slice(11, B))])
    assert whole == pytest.approx(parts, rel=1e-6)
    objective.eval()
    assert whole == pytest.approx(objective.step(batch).loss.item(), rel=1e-5)
    heavy = batch | {"weight": torch.full((B,), 2.0)}
    assert objective.evaluate([heavy]) == pytest.approx(whole, rel=1e-5)


def test_deephit_without_rows_scores_nothing():
    assert make("deephit")[0].evaluate([]) == 0.0


def test_alpha_one_is_the_likelihood_and_zero_the_ranking():
    objective, batch = make("deephit")
    objective.eval()
    parts = objective.step(batch).parts
    for alpha, part in ((1.0, "negative_log_likelihood"), (0.0, "ranking")):
        other = DeepHitObjective(objective.network, PMF(J), alpha=alpha).eval()
        torch.testing.assert_close(other.step(batch).loss.detach(), parts[part])


def test_ranking_learns_to_discriminate():
    """Rows with the greater x fail first; the ranking alone finds it."""
    x = torch.linspace(-1, 1, 40, dtype=torch.float64)[:, None]
    survived = torch.where(x > 0, 0.0, 2.0)
    y = torch.cat([survived, torch.where(x > 0, 1.0, 0.0)], dim=1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = SemiStructuredNetwork({"x": nn.Linear(1, 2)}, {"x": 2}, 2).double()
    objective = DeepHitObjective(network, PMF(2), alpha=0.0)
    optimiser = torch.optim.Adam(network.parameters(), lr=0.1)
    for _ in range(60):
        optimiser.zero_grad()
        objective.step({"x": x, "y": y}).loss.backward()
        optimiser.step()
    eta = network({"x": x}).linear_predictor
    early = PMF(2).cumulative_incidence(eta)[0, :, 0].detach()
    assert (early.diff() > 0).all()
    assert objective.step({"x": x, "y": y}).loss < 0.1


def test_what_the_objectives_refuse():
    network = nn.Identity()
    with pytest.raises(ParameterError, match="alpha"):
        DeepHitObjective(network, PMF(2), alpha=1.5)
    with pytest.raises(ParameterError, match="sigma"):
        DeepHitObjective(network, PMF(2), sigma=0.0)
    with pytest.raises(ParameterError, match="a discrete-time family"):
        DeepHitObjective(network, Gaussian())
    with pytest.raises(ParameterError, match="floor"):
        MultiSurvObjective(network, LogisticHazard(2), floor=0.0)
    with pytest.raises(ParameterError, match="a LogisticHazard"):
        MultiSurvObjective(network, PMF(2))
