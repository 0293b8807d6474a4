"""Links and their inverses; weights equal repetition."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from semistruct.families import get_family, get_link
from semistruct.families._links import LINKS, Logit
from semistruct.families._registry import FAMILIES

LINK = st.sampled_from([*(get_link(name) for name in LINKS), Logit(1.01, 1.99)])
ETA = st.floats(-25.0, 25.0)
NAME = st.sampled_from(sorted(FAMILIES))


def scalar(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


@given(LINK, ETA)
def test_the_link_undoes_its_inverse(link, eta):
    if link.name in ("inverse", "sqrt"):
        eta = abs(eta) + 1e-3
    if link.name == "cloglog":
        eta = min(eta, 2.5)  # beyond it θ is 1 in double precision
    if link.name == "probit":
        eta = max(-7.0, min(eta, 5.0))
    theta = link.inverse(scalar(eta))
    low, high = link.domain
    assert low <= theta.item() <= high
    slope = link.derivative(scalar(eta)).abs().item()
    rounding = 4e-16 * max(abs(theta.item()), 1e-300) / max(slope, 1e-300)
    back = link.link(theta).item()
    assert back == pytest.approx(eta, rel=1e-9, abs=1e-9 + 10 * rounding)


@given(LINK, ETA)
def test_the_derivative_is_the_slope(link, eta):
    if link.name in ("inverse", "sqrt"):
        eta = abs(eta) + 0.1
    step = 1e-5
    rise = link.inverse(scalar(eta + step)) - link.inverse(scalar(eta - step))
    theta, slope = link.inverse(scalar(eta)), link.derivative(scalar(eta))
    noise = 1e-15 * abs(theta.item()) / step
    assert slope.item() == pytest.approx(rise.item() / (2 * step), rel=1e-6, abs=noise)


@given(LINK, st.floats(-8.0, 8.0))
def test_logarithms_agree_with_the_inverse(link, eta):
    if link.name in ("inverse", "sqrt"):
        eta = abs(eta) + 0.1
    theta = link.inverse(scalar(eta)).item()
    if link.name != "identity":
        again = link.log_inverse(scalar(eta)).exp().item()
        assert again == pytest.approx(theta, rel=1e-12)
    if link.domain == (0.0, 1.0):
        complement = link.log_complement(scalar(eta)).exp().item()
        assert complement == pytest.approx(1 - theta, rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("name", LINKS)
def test_links_are_differentiable_three_times(name):
    link = get_link(name)
    eta = torch.linspace(0.3, 2.0, 5, dtype=torch.float64, requires_grad=True)
    value = link.inverse(eta)
    for _ in range(3):
        if not value.requires_grad:
            return
        (value,) = torch.autograd.grad(value.sum(), eta, create_graph=True)
        assert torch.isfinite(value).all()
    assert get_link(link.to_state()) == link


@given(NAME, st.lists(st.integers(0, 3), min_size=12, max_size=12), st.integers(0, 99))
def test_a_weight_is_a_repetition(name, counts, seed):
    counts = np.array([max(counts[0], 1), *counts[1:]])
    options = {"n_classes": 3} if name in ("categorical", "ordinal") else {}
    family = get_family(name, **options)
    rng = np.random.default_rng(seed)
    eta = rng.normal(size=(12, family.n_predictors))
    y, weight = family.sample(eta, rng), counts.astype(float)
    many, ones = np.repeat(y, counts, axis=0), np.ones(counts.sum())
    once = family.deviance(y, eta, weight)
    again = family.deviance(many, np.repeat(eta, counts, axis=0), ones)
    assert once == pytest.approx(again, rel=1e-9, abs=1e-9)
    np.testing.assert_allclose(
        family.initial(y, weight), family.initial(many, ones), rtol=1e-9, atol=1e-9
    )
    np.testing.assert_allclose(
        family.initial_shapes(y, weight),
        family.initial_shapes(many, ones),
        rtol=1e-9,
        atol=1e-9,
    )


@given(NAME, st.permutations(range(10)))
def test_rows_are_strangers(name, order):
    options = {"n_classes": 3} if name in ("categorical", "ordinal") else {}
    family = get_family(name, **options)
    rng = np.random.default_rng(0)
    eta = rng.normal(size=(10, family.n_predictors))
    y, eta = (torch.from_numpy(a) for a in (family.sample(eta, rng), eta))
    straight, shuffled = (family.derivatives(y[o], eta[o]) for o in (range(10), order))
    for part, moved in zip(straight, shuffled, strict=True):
        torch.testing.assert_close(part[order], moved, rtol=1e-11, atol=1e-12)
