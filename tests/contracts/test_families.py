"""What every family must do, over the registry and over what has a formula."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from semistruct.exceptions import TargetError
from semistruct.families import Family, get_family
from semistruct.families._registry import FAMILIES

# family -> models that differ in what has a formula, what is given, and in links
CASES: dict[str, list[dict]] = {
    "gaussian": [
        {},
        {"formulas": ["loc", "scale"]},
        {"formulas": ["loc", "scale"], "links": {"scale": "logb"}},
        {"link": "softplus", "fixed": {"scale": 0.7}},
        {"formulas": ["scale"]},
    ],
    "student_t": [{}, {"formulas": ["loc", "scale", "df"]}, {"fixed": {"df": 5.0}}],
    "bernoulli": [{}, {"link": "probit"}, {"link": "cloglog"}],
    "binomial": [{}, {"link": "probit"}, {"link": "cloglog"}],
    "categorical": [{"n_classes": 4}, {"n_classes": 3, "formulas": ["logit_2"]}],
    "ordinal": [{"n_classes": 4}, {"n_classes": 2}],
    "poisson": [{}, {"link": "sqrt"}, {"link": "softplus"}],
    "negative_binomial": [
        {},
        {"formulas": ["mean", "size"]},
        {"link": "softplus", "fixed": {"size": 2.5}},
    ],
    "zero_inflated_poisson": [{}, {"formulas": ["rate", "zero"]}],
    "zero_inflated_negative_binomial": [{}, {"formulas": ["mean", "size", "zero"]}],
    "gamma": [
        {},
        {"formulas": ["mean", "scale"]},
        {"link": "sqrt"},
        {"fixed": {"scale": 1.0}},
    ],
    "inverse_gaussian": [{}, {"formulas": ["mean", "scale"]}, {"link": "softplus"}],
    "beta": [
        {},
        {"formulas": ["mean", "precision"]},
        {"link": "cloglog", "links": {"precision": "sqrt"}},
    ],
    "tweedie": [
        {},
        {"formulas": ["mean", "scale"], "fixed": {"power": 1.3}},
        {"formulas": ["mean", "scale", "power"]},
    ],
    "lognormal": [{}, {"formulas": ["loc", "scale"]}],
    "logistic": [{}, {"formulas": ["loc", "scale"]}],
    "laplace": [{}, {"formulas": ["loc", "scale"]}],
    "gumbel": [{}, {"formulas": ["loc", "scale"]}],
}
ILLEGAL = {
    "real": [0.0, np.inf],
    "positive": [1.0, 0.0],
    "nonnegative": [0.0, -0.1],
    "unit": [0.5, 1.0],
    "binary": [1.0, 2.0],
    "count": [2.0, 0.5],
}
MODELS = [(name, options) for name, cases in CASES.items() for options in cases]
PHI = 0.6  # dispersion of the families that have one


def label(model: tuple[str, dict]) -> str:
    name, options = model
    return "-".join([name, *options.get("formulas", []), options.get("link", "")])


def build(model: tuple[str, dict]) -> Family:
    """A family whose shapes are none of its defaults."""
    family = get_family(model[0], **model[1])
    return family.with_shapes(family.shapes + 0.3)


def predictors(family: Family, n: int = 15) -> torch.Tensor:
    eta = 0.8 * np.random.default_rng(0).normal(size=(n, family.n_predictors))
    if family.links[family.parameters[0]].name == "sqrt":
        eta[:, 0] = 1.0 + np.abs(eta[:, 0])
    return torch.from_numpy(eta)


def draw(family: Family, eta: torch.Tensor) -> torch.Tensor:
    extra = {"trials": 7.0} if family.name == "binomial" else {}
    rng = np.random.default_rng(1)
    return torch.from_numpy(family.sample(eta, rng, PHI, **extra))


def numeric(function, point: torch.Tensor, step: float = 1e-5) -> torch.Tensor:
    """Central differences of fourth order; the result's last axis is the point's."""
    columns = []
    for k in range(point.shape[-1]):
        shift = torch.zeros_like(point)
        shift[..., k] = step
        near = function(point + shift) - function(point - shift)
        far = function(point + 2 * shift) - function(point - 2 * shift)
        columns.append((8 * near - far) / (12 * step))
    return torch.stack(columns, dim=-1)


def close(ours, theirs, tolerance=2e-7) -> None:
    scale = max(1.0, float(torch.as_tensor(theirs).abs().max()))
    np.testing.assert_allclose(
        torch.as_tensor(ours).detach(), theirs, rtol=0, atol=tolerance * scale
    )


each = pytest.mark.parametrize("model", MODELS, ids=label)
first_of_each = pytest.mark.parametrize(
    "model", [(name, cases[0]) for name, cases in CASES.items()], ids=label
)


def test_every_family_is_under_contract():
    assert CASES.keys() == FAMILIES.keys()


@each
def test_derivatives_equal_finite_differences(model):
    family = build(model)
    eta = predictors(family)
    y = draw(family, eta)
    value, gradient, hessian = family.derivatives(y, eta, PHI)
    close(value, family.log_density(y, eta, PHI), 1e-14)
    close(gradient, numeric(lambda e: family.log_density(y, e, PHI), eta))
    close(hessian, numeric(lambda e: family.derivatives(y, e, PHI)[1], eta))
    rng = np.random.default_rng(2)
    half = torch.from_numpy(rng.normal(size=hessian.shape))
    direction = half + half.transpose(1, 2)

    def trace(e):
        return (family.derivatives(y, e, PHI)[2] * direction).sum(dim=(1, 2))

    close(family.third(y, eta, direction, PHI), numeric(trace, eta))


@each
def test_closed_forms_equal_autograd(model):
    family = build(model)
    eta = predictors(family)
    y = draw(family, eta)
    for ours, autograd in zip(
        family.derivatives(y, eta, PHI),
        Family.derivatives(family, y, eta, PHI),
        strict=True,
    ):
        close(ours, autograd, 1e-12)
    ones = torch.ones(len(eta), *2 * [family.n_predictors], dtype=torch.float64)
    close(
        family.third(y, eta, ones, PHI), Family.third(family, y, eta, ones, PHI), 1e-11
    )


@each
def test_shapes_and_dispersion_are_differentiable(model):
    family = build(model)
    eta = predictors(family)
    y = draw(family, eta)
    # shapes and log φ together, as outer parameters
    outer = torch.from_numpy(np.append(family.shapes, np.log(PHI)))

    def density(point, e):
        return family.log_density_shapes(y, e, point[:-1], torch.exp(point[-1]))

    close(density(outer, eta), family.log_density(y, eta, PHI), 1e-14)

    def slopes(point):
        leaf, inner = point.clone().requires_grad_(True), eta.requires_grad_(True)
        total = density(leaf, inner).sum()
        return torch.autograd.grad(total, (leaf, inner), allow_unused=True)

    own, _ = slopes(outer)
    assert (own is None) == (family.n_shapes == 0 and not family.has_dispersion) or (
        not own.any()
    )
    if own is None:
        return
    close(own, numeric(lambda p: density(p, eta.detach()).sum(), outer))
    leaf, inner = outer.clone().requires_grad_(True), eta.clone().requires_grad_(True)
    (along,) = torch.autograd.grad(density(leaf, inner).sum(), inner, create_graph=True)
    if not along.sum().requires_grad:
        return
    (mixed,) = torch.autograd.grad(along.sum(), leaf, allow_unused=True)
    if mixed is not None:
        close(mixed, numeric(lambda p: slopes(p)[1].sum(), outer))


@each
def test_samples_have_the_mean_and_variance(model):
    family = build(model)
    n = 40_000
    eta = predictors(family, 1).expand(n, -1)
    y = draw(family, eta).numpy()
    mean, variance = (
        m(eta[:1], PHI)[0].numpy() for m in (family.mean, family.variance)
    )
    if family.name == "binomial":
        y = y[:, 0]
        mean, variance = 7 * mean, 7 * variance
    elif hasattr(family, "n_classes"):
        y = (y[:, None] == np.arange(family.n_classes)).astype(float)
    assert (np.abs(y.mean(axis=0) - mean) < 5 * np.sqrt(variance / n)).all()
    if family.name == "student_t" and family.theta(eta[:1])["df"] < 4.5:
        return
    square = (y - mean) ** 2
    error = square.std(axis=0) / np.sqrt(n)
    assert (np.abs(square.mean(axis=0) - variance) < 6 * error + 1e-12).all()


@each
def test_states_rebuild_the_family(model):
    family = build(model)
    state = json.loads(json.dumps(family.to_state()))
    again = get_family(**state)
    assert again == family
    assert hash(again) == hash(family)
    assert repr(again) == repr(family)
    eta = predictors(family)
    y = draw(family, eta)
    torch.testing.assert_close(
        again.log_density(y, eta, PHI), family.log_density(y, eta, PHI), rtol=0, atol=0
    )
    assert family.with_formulas(family.parameters) == family


@each
def test_roles_cover_all_parameters_once(model):
    family = build(model)
    roles = [*family.parameters, *family.shape_names, *family.fixed]
    roles += [family.dispersion_parameter] if family.has_dispersion else []
    assert sorted(roles) == sorted(family.all_parameters)
    assert family.n_predictors == len(family.parameters)
    assert family.shapes.shape == (family.n_shapes,)


@each
def test_starts_are_finite_and_legal(model):
    family = build(model)
    eta = predictors(family, 200)
    y = draw(family, eta).numpy()
    weight = np.linspace(0.0, 2.0, 200)
    start, shapes = family.initial(y, weight), family.initial_shapes(y, weight)
    assert start.shape == (family.n_predictors,)
    assert np.isfinite(start).all()
    there = family.with_shapes(shapes)
    value, gradient, hessian = there.derivatives(
        torch.from_numpy(y),
        torch.from_numpy(np.tile(start, (200, 1))),
        family.initial_dispersion(y, weight),
    )
    assert all(torch.isfinite(t).all() for t in (value, gradient, hessian))


@each
def test_extreme_predictors_stay_finite(model):
    family = build(model)
    y = draw(family, predictors(family))
    low = -30.0
    if family.name == "gumbel" and "scale" in family.parameters:
        low = 0.0  # exp(−z) is beyond any float at scale e^−30
    for sign in np.random.default_rng(3).choice([low, 30.0], (8, family.n_predictors)):
        eta = torch.from_numpy(np.tile(sign, (len(y), 1)))
        if "sqrt" in {link.name for link in family.links.values()}:
            eta = eta.abs()
        parts = family.derivatives(y, eta, PHI)
        assert all(torch.isfinite(part).all() for part in parts), sign


@each
def test_single_precision_agrees_with_double(model):
    family = build(model)
    eta = predictors(family)
    y = draw(family, eta)
    exact = family.derivatives(y, eta, PHI)
    narrow = family.derivatives(y.float(), eta.float(), PHI)
    for coarse, fine in zip(narrow, exact, strict=True):
        assert coarse.dtype == torch.float32
        close(coarse.double(), fine, 2e-3)
    far = torch.full_like(eta, 8.0).float()
    assert torch.isfinite(family.log_density(y.float(), far, PHI)).all()


@each
def test_deviance_is_never_negative(model):
    family = build(model)
    eta = predictors(family)
    y = draw(family, eta)
    rows = 2 * (family.saturated(y) - family.log_density(y, eta))
    weight = np.linspace(0.0, 2.0, len(y))
    value = family.deviance(y.numpy(), eta.numpy(), weight)
    assert value == pytest.approx(float(torch.from_numpy(weight) @ rows))
    if family.parameters == family.all_parameters[:1]:
        assert (rows >= -1e-12).all()
        # nothing on a fine grid beats it, something comes close
        grid = torch.linspace(-12, 12, 4001, dtype=torch.float64)
        for row, best in zip(y, family.saturated(y), strict=True):
            many = row.expand(4001, *row.shape)
            top = family.log_density(many, grid[:, None]).max()
            assert best - 1e-2 <= top <= best + 1e-9


@each
def test_recession_tells_where_the_density_falls(model):
    family = build(model)
    eta = predictors(family)
    y = draw(family, eta)
    direction = torch.sign(predictors(family) + 0.1)
    margin = family.recession(y, direction)
    if margin is None:
        return
    near, far = (family.log_density(y, eta + t * direction) for t in (20.0, 25.0))
    falls = far < near - 1e-3
    np.testing.assert_array_equal(falls, margin < 0)


@first_of_each
def test_illegal_targets_name_owner_and_row(model):
    family = build(model)
    bad = ILLEGAL[family.support]
    if family.name == "binomial":
        bad = [[1, 2], [-1, 2]]
    elif hasattr(family, "n_classes"):
        bad = [0, family.n_classes]
    with pytest.raises(TargetError, match="row 1") as error:
        family.check_target(bad, "Model")
    assert "Model" in str(error.value)
    with pytest.raises(TargetError, match=r"numeric|columns"):
        family.check_target(["a", "b"], "Model")
    legal = draw(family, predictors(family)).numpy()
    np.testing.assert_array_equal(family.check_target(legal, "Model"), legal)
