"""The torch partial likelihood against a literal transcription of its definition."""

import itertools

import numpy as np
import pytest
import torch

from semistruct.exceptions import ParameterError
from semistruct.families import cox_log_likelihood


def literal(eta, time, event, entry=None, strata=None, weight=None, ties="efron"):
    n = len(eta)
    entry = np.full(n, -np.inf) if entry is None else entry
    strata = np.zeros(n) if strata is None else strata
    weight = np.ones(n) if weight is None else weight
    total = 0.0
    for group in np.unique(strata):
        mine = (strata == group) & (weight > 0)
        for moment in np.unique(time[mine & (event == 1)]):
            risk = mine & (entry < moment) & (time >= moment)
            dead = risk & (time == moment) & (event == 1)
            everyone = np.sum(weight[risk] * np.exp(eta[risk]))
            dying = np.sum(weight[dead] * np.exp(eta[dead]))
            total += np.sum(weight[dead] * eta[dead])
            for k in range(dead.sum()):
                share = k / dead.sum() if ties == "efron" else 0.0
                total -= weight[dead].mean() * np.log(everyone - share * dying)
    return total


def draw(n, seed, entry=False, strata=False, weight=False):
    rng = np.random.default_rng(seed)
    time = rng.integers(1, 12, n).astype(float)
    options = {}
    if entry:
        options["entry"] = np.minimum(rng.integers(0, 6, n), time - 1).astype(float)
    if strata:
        options["strata"] = rng.integers(0, 3, n)
    if weight:
        options["weight"] = rng.integers(0, 3, n).astype(float)
    return 2.0 * rng.normal(size=n), time, rng.integers(0, 2, n), options


VARIANTS = list(itertools.product([False, True], repeat=3))


@pytest.mark.parametrize("ties", ["efron", "breslow"])
@pytest.mark.parametrize(("entry", "strata", "weight"), VARIANTS)
@pytest.mark.parametrize("n", [1, 3, 40])
def test_value_and_gradient(n, entry, strata, weight, ties):
    eta, time, event, options = draw(n, 7 * n, entry, strata, weight)
    point = torch.tensor(eta, requires_grad=True)
    value = cox_log_likelihood(point, time, event, ties=ties, **options)
    assert value.item() == pytest.approx(
        literal(eta, time, event, ties=ties, **options), rel=1e-10, abs=1e-10
    )
    value.backward()
    for i in range(n):
        step = np.zeros(n)
        step[i] = 1e-6
        above = literal(eta + step, time, event, ties=ties, **options)
        below = literal(eta - step, time, event, ties=ties, **options)
        slope = (above - below) / 2e-6
        assert point.grad[i].item() == pytest.approx(slope, abs=2e-7)


@pytest.mark.parametrize(("entry", "strata", "weight"), VARIANTS)
def test_float32_and_row_order(entry, strata, weight):
    eta, time, event, options = draw(60, 3, entry, strata, weight)
    exact = literal(eta, time, event, **options)
    single = torch.tensor(eta, dtype=torch.float32)
    value = cox_log_likelihood(single, time, event, **options)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(exact, rel=1e-5)
    order = np.random.default_rng(0).permutation(60)
    moved = {name: column[order] for name, column in options.items()}
    shuffled = cox_log_likelihood(
        torch.tensor(eta[order]), time[order], event[order], **moved
    )
    assert shuffled.item() == pytest.approx(exact, rel=1e-12)


def test_without_events_zero_with_zero_gradient():
    eta = torch.randn(5, requires_grad=True)
    value = cox_log_likelihood(eta, np.arange(5.0), np.zeros(5))
    value.backward()
    assert value.item() == 0.0
    assert (eta.grad == 0).all()


@pytest.mark.parametrize("strata", [None, np.array([0, 0, 0, 1, 1, 1])])
@pytest.mark.parametrize("entry", [None, np.array([0.0, 0.5, 1.5, 0.0, 0.5, 1.5])])
def test_shifts_of_thousands_change_nothing(strata, entry):
    eta = torch.tensor([0.3, -0.2, 0.9, 0.1, 0.0, 2.0], dtype=torch.float64)
    time, event = np.array([1.0, 2.0, 2.0, 1.0, 2.0, 3.0]), np.ones(6)
    options = {"strata": strata, "entry": entry}
    base = cox_log_likelihood(eta, time, event, **options)
    far = (eta + 5000.0).requires_grad_(True)
    value = cox_log_likelihood(far, time, event, **options)
    assert value.item() == pytest.approx(base.item(), abs=1e-8)
    value.backward()
    assert torch.isfinite(far.grad).all()


def test_strata_of_very_different_scale_do_not_disturb_each_other():
    eta = torch.tensor([400.0, 400.5, -300.0, -300.5], dtype=torch.float64)
    time, event = np.array([1.0, 2.0, 1.0, 2.0]), np.ones(4)
    value = cox_log_likelihood(eta, time, event, strata=np.array(["b", "b", "a", "a"]))
    expected = -np.log1p(np.exp(0.5)) - np.log1p(np.exp(-0.5))
    assert value.item() == pytest.approx(expected, rel=1e-12)


def test_a_late_giant_does_not_swallow_early_risk_sets():
    eta = torch.tensor([0.0, 1.0, 60.0], dtype=torch.float64)
    time, event = np.array([1.0, 2.0, 9.0]), np.array([1, 1, 0])
    value = cox_log_likelihood(eta, time, event, entry=np.array([0.0, 0.0, 5.0]))
    assert value.item() == pytest.approx(-np.log1p(np.exp(1.0)), rel=1e-12)


def test_time_keeps_its_own_precision():
    time = np.array([1.0, 1.0 + 1e-12, 3.0])
    eta = torch.tensor([0.5, -0.5, 0.0])
    value = cox_log_likelihood(eta, time, np.ones(3))
    expected = literal(eta.double().numpy(), time, np.ones(3))
    assert value.item() == pytest.approx(expected, rel=1e-6)


def test_unknown_ties():
    with pytest.raises(ParameterError, match="efron"):
        cox_log_likelihood(torch.zeros(1), [1.0], [1], ties="efronn")
