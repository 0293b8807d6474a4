"""Families: densities, derivatives, legal targets, registry."""

import numpy as np
import pytest
import torch
from scipy import stats

from semistruct.exceptions import ParameterError, TargetError
from semistruct.families import (
    Bernoulli,
    Categorical,
    Family,
    Gaussian,
    Poisson,
    get_family,
)

FAMILIES = [Gaussian(), Bernoulli(), Categorical(4), Poisson()]
by_name = pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.name)


def sample(family, n=40, seed=0):
    rng = np.random.default_rng(seed)
    eta = rng.normal(size=(n, family.n_predictors))
    y = {
        "gaussian": rng.normal(size=n),
        "bernoulli": rng.integers(0, 2, n),
        "categorical": rng.integers(0, 4, n),
        "poisson": rng.poisson(2.0, n),
    }[family.name]
    return torch.as_tensor(y, dtype=torch.float64), torch.from_numpy(eta)


def test_log_densities_are_scipys():
    y, eta = sample(Gaussian())
    expected = stats.norm.logpdf(y, eta[:, 0], np.sqrt(2.5))
    np.testing.assert_allclose(Gaussian().log_density(y, eta, 2.5), expected)
    y, eta = sample(Bernoulli())
    p = 1 / (1 + np.exp(-eta[:, 0].numpy()))
    np.testing.assert_allclose(
        Bernoulli().log_density(y, eta), stats.bernoulli.logpmf(y, p)
    )
    y, eta = sample(Poisson())
    expected = stats.poisson.logpmf(y, np.exp(eta[:, 0].numpy()))
    np.testing.assert_allclose(Poisson().log_density(y, eta), expected)
    y, eta = sample(Categorical(4))
    full = np.column_stack([np.zeros(len(y)), eta.numpy()])
    p = np.exp(full) / np.exp(full).sum(axis=1, keepdims=True)
    expected = np.log(p[np.arange(len(y)), y.long()])
    np.testing.assert_allclose(Categorical(4).log_density(y, eta), expected)
    np.testing.assert_allclose(Categorical(4).mean(eta), p)


@by_name
def test_closed_derivatives_equal_autograd(family):
    y, eta = sample(family)
    closed = family.derivatives(y, eta, 1.7)
    generic = Family.derivatives(family, y, eta, 1.7)
    for ours, autograd in zip(closed, generic, strict=True):
        np.testing.assert_allclose(ours, autograd, atol=1e-12)
    rng = np.random.default_rng(1)
    matrix = torch.from_numpy(rng.normal(size=closed[2].shape))
    direction = matrix + matrix.transpose(1, 2)
    np.testing.assert_allclose(
        family.third(y, eta, direction),
        Family.third(family, y, eta, direction),
        atol=1e-12,
    )


@by_name
def test_derivatives_equal_finite_differences(family):
    y, eta = sample(family)
    _, gradient, hessian = family.derivatives(y, eta)
    step = 1e-6
    for k in range(family.n_predictors):
        shift = torch.zeros_like(eta)
        shift[:, k] = step
        rise = family.log_density(y, eta + shift) - family.log_density(y, eta - shift)
        np.testing.assert_allclose(gradient[:, k], rise / (2 * step), atol=1e-7)
        above, below = (family.derivatives(y, eta + s)[1] for s in (shift, -shift))
        np.testing.assert_allclose(
            hessian[:, k], (above - below) / (2 * step), atol=1e-7
        )


@by_name
def test_extreme_predictors_stay_finite(family):
    y, eta = sample(family)
    for far in (300.0 * eta.sign(), -300.0 * eta.sign()):
        _, gradient, hessian = family.derivatives(y, far)
        assert torch.isfinite(family.log_density(y, far)).all()
        assert torch.isfinite(gradient).all()
        assert torch.isfinite(hessian).all()


@by_name
def test_deviance_is_zero_only_at_the_saturated_fit(family):
    y, eta = sample(family)
    weight = np.linspace(0.0, 2.0, len(y))
    value = family.deviance(y.numpy(), eta.numpy(), weight)
    rows = 2 * (family.saturated(y) - family.log_density(y, eta)).numpy()
    assert value == pytest.approx(weight @ rows)
    assert (rows >= 0).all()


@by_name
def test_initial_is_the_intercept_only_fit(family):
    y, _ = sample(family, n=4000)
    weight = np.ones(len(y))
    start = torch.from_numpy(np.tile(family.initial(y.numpy(), weight), (len(y), 1)))
    _, gradient, _ = family.derivatives(y, start)
    np.testing.assert_allclose(gradient.mean(dim=0), 0.0, atol=1e-3)


@by_name
def test_states_rebuild_the_family(family):
    assert get_family(**family.to_state()) == family
    assert hash(get_family(family)) == hash(family)
    assert len(family.parameters) == family.n_predictors


def test_illegal_targets_are_named():
    cases = [
        (Gaussian(), [0.0, np.nan], "row 1"),
        (Gaussian(), [["a"]], "one-dimensional"),
        (Gaussian(), ["a", "b"], "numeric"),
        (Bernoulli(), [0, 1, 2], "row 2 holds 2"),
        (Categorical(3), [0, 3], "class code 0 to 2"),
        (Categorical(3), [0, 0.5], "row 1"),
        (Poisson(), [0, -1], "count"),
        (Poisson(), [0.5], "row 0"),
    ]
    for family, y, text in cases:
        with pytest.raises(TargetError, match=text) as error:
            family.check_target(np.array(y), "Model")
        assert "Model" in str(error.value)


def test_unknown_family_names_the_nearest():
    with pytest.raises(ParameterError, match="poisson"):
        get_family("poison")
    with pytest.raises(ParameterError, match="n_classes"):
        Categorical(1)
    with pytest.raises(ParameterError, match="options"):
        get_family("gaussian", n_classes=3)


def test_recession_knows_which_rows_hold_a_direction_back():
    y = torch.tensor([0.0, 1.0, 1.0])
    along = torch.tensor([[-1.0], [2.0], [-3.0]])
    np.testing.assert_allclose(Bernoulli().recession(y, along), [1, 2, -3])
    np.testing.assert_allclose(Poisson().recession(y, along), [1, -2, -3])
    codes, along = torch.tensor([0.0, 2.0]), torch.tensor([[-1.0, -2.0], [0.0, 3.0]])
    np.testing.assert_allclose(Categorical(3).recession(codes, along), [0, 0])
    assert Gaussian().recession(y, along) is None
