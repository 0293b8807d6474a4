"""What every family of censored times must do, in every kind of row."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from semistruct.families import Family, get_censored
from semistruct.families._censored_registry import CENSORED

KINDS = ("weibull", "lognormal", "loglogistic")
CASES = [
    {},
    {"fixed": {"scale": 0.6}},
    {"formulas": ["loc", "scale"]},
    {"formulas": ["scale"]},
    {"formulas": ["loc", "scale"], "links": {"scale": "softplus"}},
]
MODELS = [(name, options) for name in KINDS for options in CASES]
ROWS = {
    "exact": (0.0, 1.7, 1.7),
    "right": (0.0, 1.4, np.inf),
    "left": (0.0, 0.0, 2.1),
    "interval": (0.0, 0.8, 2.4),
    "narrow": (0.0, 1.3, 1.301),
    "early": (0.0, 1e-4, 2e-4),
    "late": (0.0, 90.0, 95.0),
    "from-zero": (0.0, 1e-8, 50.0),
    "exact-entry": (0.5, 1.7, 1.7),
    "right-entry": (0.9, 1.4, np.inf),
    "interval-entry": (0.9, 0.9, 3.0),
}
Y = torch.tensor(list(ROWS.values()), dtype=torch.float64)

each = pytest.mark.parametrize(
    "model", MODELS, ids=lambda m: "-".join([m[0], *map(str, m[1].values())])
)
by_name = pytest.mark.parametrize("name", KINDS)
LOOSE = {"rtol": 1e-5, "atol": 1e-5}


def build(model):
    family = get_censored(model[0], **model[1])
    return family.with_shapes(family.shapes - 0.4)


def predictors(family):
    eta = 0.5 * np.random.default_rng(0).normal(size=(len(Y), family.n_predictors))
    return torch.from_numpy(eta)


def law(name, loc, scale):
    """SciPy's distribution of T."""
    laws = {
        "weibull": stats.weibull_min(1 / scale, scale=np.exp(loc)),
        "lognormal": stats.lognorm(scale, scale=np.exp(loc)),
        "loglogistic": stats.fisk(1 / scale, scale=np.exp(loc)),
    }
    return laws[name]


def literal(name, row, loc, scale):
    """The contribution of a row as a textbook has it."""
    entry, lower, upper = row
    d = law(name, loc, scale)
    late = d.sf(lower) < 0.5
    between = d.sf(lower) - d.sf(upper) if late else d.cdf(upper) - d.cdf(lower)
    return np.log((d.pdf(lower) if lower == upper else between) / d.sf(entry))


def numeric(function, point, step=1e-4):
    """Central differences of fourth order; the result's last axis is the point's."""
    columns = []
    for k in range(point.shape[-1]):
        shift = torch.zeros_like(point)
        shift[..., k] = step
        near = function(point + shift) - function(point - shift)
        far = function(point + 2 * shift) - function(point - 2 * shift)
        columns.append((8 * near - far) / (12 * step))
    return torch.stack(columns, dim=-1)


def close(ours, theirs, tolerance):
    """Row by row, relative to the row's own size, at least 1."""
    theirs = torch.as_tensor(theirs)
    size = theirs.abs().reshape(len(theirs), -1).amax(dim=1).clamp(min=1.0)
    error = (ours.detach() - theirs).abs().reshape(len(theirs), -1).amax(dim=1)
    assert (error / size).max() < tolerance, error / size


def test_every_family_is_under_contract():
    assert {get_censored(name).name for name in KINDS} == CENSORED.keys()


@by_name
def test_rows_are_those_of_the_textbook(name):
    family = get_censored(name, formulas=["loc", "scale"])
    rng = np.random.default_rng(1)
    eta = np.column_stack([rng.normal(size=len(Y)), rng.uniform(0.0, 0.6, len(Y))])
    eta[list(ROWS).index("late"), 0] = 2.0
    ours = family.log_density(Y, torch.from_numpy(eta)).numpy()
    theirs = [literal(name, y, e[0], np.exp(e[1])) for y, e in zip(Y, eta, strict=True)]
    np.testing.assert_allclose(ours, theirs, rtol=2e-9)


@each
def test_derivatives_equal_finite_differences(model):
    family = build(model)
    eta = predictors(family)
    value, gradient, hessian = family.derivatives(Y, eta)
    close(value, family.log_density(Y, eta), 1e-13)
    close(gradient, numeric(lambda e: family.log_density(Y, e), eta), 1e-8)
    close(hessian, numeric(lambda e: family.derivatives(Y, e)[1], eta), 1e-7)
    half = torch.from_numpy(np.random.default_rng(2).normal(size=hessian.shape))
    direction = half + half.transpose(1, 2)

    def trace(e):
        return (family.derivatives(Y, e)[2] * direction).sum(dim=(1, 2))

    close(family.third(Y, eta, direction), numeric(trace, eta), 1e-6)


@each
def test_closed_forms_equal_autograd(model):
    family = build(model)
    eta = predictors(family)
    for ours, autograd in zip(
        family.derivatives(Y, eta), Family.derivatives(family, Y, eta), strict=True
    ):
        close(ours, autograd, 1e-8)
    ones = torch.ones(len(Y), *2 * [family.n_predictors], dtype=torch.float64)
    theirs = Family.third(family, Y, eta, ones)
    close(family.third(Y, eta, ones), theirs, 1e-6)


@by_name
def test_shapes_are_differentiable(name):
    family = build((name, {}))
    eta = predictors(family)

    def slope(shapes):
        leaf = shapes.clone().requires_grad_(True)
        inner = eta.clone().requires_grad_(True)
        total = family.log_density_shapes(Y, inner, leaf).sum()
        return torch.autograd.grad(total, (leaf, inner), create_graph=True)

    at = torch.from_numpy(family.shapes)
    own, along = slope(at)
    value = numeric(lambda s: family.log_density_shapes(Y, eta, s).sum(), at)
    torch.testing.assert_close(own, value, rtol=1e-8, atol=1e-8)
    leaf = at.clone().requires_grad_(True)
    inner = eta.clone().requires_grad_(True)
    total = family.log_density_shapes(Y, inner, leaf).sum()
    (along,) = torch.autograd.grad(total, inner, create_graph=True)
    (mixed,) = torch.autograd.grad(along.sum(), leaf)
    change = numeric(lambda s: slope(s)[1].sum().detach(), at)
    torch.testing.assert_close(mixed, change, rtol=1e-6, atol=1e-6)


@by_name
def test_densities_integrate_to_one(name):
    family = get_censored(name, fixed={"scale": 0.7})
    eta = torch.tensor([[0.4]], dtype=torch.float64)

    def density(log_t):
        t = np.exp(log_t)
        y = torch.tensor([[0.0, t, t]], dtype=torch.float64)
        return t * float(family.log_density(y, eta).exp())

    assert integrate.quad(density, -30, 30, epsabs=1e-10)[0] == pytest.approx(1, 1e-8)


@by_name
def test_intervals_add_up(name):
    """Left, two intervals and right are all there is; a narrow one is a density."""
    family = get_censored(name)
    y = np.array([[0, 0, 1], [0, 1, 2.5], [0, 2.5, 4], [0, 4, np.inf]], dtype=float)
    eta = torch.full((4, 1), 0.8, dtype=torch.float64)
    total = family.log_density(torch.from_numpy(y), eta).exp().sum()
    assert float(total) == pytest.approx(1.0, abs=1e-14)
    pair = torch.tensor([[0.0, 2.0, 2.0], [0.0, 2 - 5e-6, 2 + 5e-6]]).double()
    pair[1, 1:] = torch.tensor([2 - 5e-6, 2 + 5e-6], dtype=torch.float64)
    exact, narrow = family.log_density(pair, eta[:2]).tolist()
    assert narrow - np.log(1e-5) == pytest.approx(exact, abs=1e-8)


@by_name
def test_a_change_of_unit_moves_the_location(name):
    family = get_censored(name, formulas=["loc", "scale"])
    eta = predictors(family)
    moved = eta.clone()
    moved[:, 0] += np.log(365.25)
    exact = (Y[:, 1] == Y[:, 2]).double() * np.log(365.25)
    torch.testing.assert_close(
        family.log_density(365.25 * Y, moved), family.log_density(Y, eta) - exact
    )


@by_name
def test_curves_and_quantiles_are_those_of_scipy(name):
    family = get_censored(name, formulas=["loc", "scale"])
    eta = np.array([[0.3, -0.8], [-1.0, 0.2], [2.0, -1.0]])
    laws = [law(name, loc, np.exp(s)) for loc, s in eta]
    times = np.array([0.0, 1e-3, 0.7, 3.0, 40.0, np.inf])
    survival = family.survival(times, eta)
    assert survival.shape == (3, 6)
    np.testing.assert_allclose(survival, [d.sf(times) for d in laws], rtol=1e-9)
    hazard = family.cumulative_hazard(times[1:5], eta)
    logs = [-d.logsf(times[1:5]) for d in laws]
    np.testing.assert_allclose(hazard, logs, rtol=1e-8)
    assert (np.diff(family.cumulative_hazard(np.linspace(0, 9, 50), eta)) > 0).all()
    own = np.array([[0.5, 1.0], [2.0, 3.0], [0.1, 9.0]])
    np.testing.assert_allclose(
        family.survival(own, eta),
        [d.sf(t) for d, t in zip(laws, own, strict=True)],
        rtol=1e-9,
    )
    np.testing.assert_allclose(
        family.cdf(own[:, 1], eta),
        [d.cdf(t) for d, t in zip(laws, own[:, 1], strict=True)],
        rtol=1e-9,
    )
    assert family.cdf([-1.0, 0.0, 0.0], eta).tolist() == [0.0, 0.0, 0.0]
    p = np.array([[0.01], [0.5], [0.99]])
    expected = [[d.ppf(q) for d in laws] for q in p[:, 0]]
    np.testing.assert_allclose(family.quantile(p, eta), expected, rtol=1e-9)
    np.testing.assert_allclose(family.median(eta), expected[1], rtol=1e-9)
    at = torch.from_numpy(eta)
    expected = [[d.mean(), d.var()] for d in laws]
    moments = np.column_stack([family.mean(at), family.variance(at)])
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(np.isfinite(moments), finite)
    np.testing.assert_allclose(moments[finite], np.array(expected)[finite], rtol=1e-8)


@by_name
def test_samples_follow_the_distribution(name):
    family = get_censored(name, fixed={"scale": 0.3})
    t = family.sample(np.full((4000, 1), 0.7), np.random.default_rng(0))
    assert stats.kstest(t, law(name, 0.7, 0.3).cdf).pvalue > 0.01


@each
def test_states_rebuild_the_family(model):
    family = build(model)
    again = get_censored(**json.loads(json.dumps(family.to_state())))
    assert again == family
    assert repr(again) == repr(family)
    eta = predictors(family)
    torch.testing.assert_close(
        again.log_density(Y, eta), family.log_density(Y, eta), rtol=0, atol=0
    )


@each
def test_starts_are_finite(model):
    family = build(model)
    for rows in (Y, Y[:1].repeat(11, 1), Y[1:2].repeat(11, 1), Y[2:3].repeat(11, 1)):
        y, weight = rows.numpy(), np.linspace(0.0, 2.0, 11)
        start, shapes = family.initial(y, weight), family.initial_shapes(y, weight)
        there = family.with_shapes(shapes)
        eta = torch.from_numpy(np.tile(start, (11, 1)))
        for part in there.derivatives(rows, eta):
            assert torch.isfinite(part).all()


@each
def test_single_precision_agrees_with_double(model):
    family = build(model)
    eta = predictors(family)
    wide = torch.tensor([k != "narrow" for k in ROWS])
    y, eta = Y[wide], eta[wide]
    narrow = family.derivatives(y.float(), eta.float())
    for coarse, fine in zip(narrow, family.derivatives(y, eta), strict=True):
        assert coarse.dtype == torch.float32
        close(coarse.double(), fine, 2e-3)


@by_name
def test_a_wide_target_widens_narrow_predictors(name):
    family = get_censored(name, formulas=["loc", "scale"])
    eta = predictors(family)
    for y, narrow in ((Y, eta.float()), (Y.float(), eta)):
        mixed = family.log_density(y, narrow)
        assert mixed.dtype == torch.float64
        torch.testing.assert_close(mixed[:3], family.log_density(Y, eta)[:3], **LOOSE)
        assert family.derivatives(y, narrow)[2].dtype == torch.float64


@by_name
def test_recession_tells_where_the_density_falls(name):
    family = build((name, {}))
    eta = predictors(family)
    for sign in (-1.0, 1.0):
        direction = torch.full_like(eta, sign)
        margin = family.recession(Y, direction)
        near, far = (family.log_density(Y, eta + t * direction) for t in (40.0, 44.0))
        falls = torch.isneginf(far) | (far < near - 1e-3)
        np.testing.assert_array_equal(falls, margin < 0)
    both = family.with_formulas(("loc", "scale"))
    assert both.recession(Y, torch.ones(len(Y), 2)) is None


@by_name
def test_the_deviance_is_minus_twice_the_log_likelihood(name):
    family = get_censored(name)
    eta = predictors(family)
    weight = np.linspace(0.0, 2.0, len(Y))
    expected = -2.0 * weight @ family.log_density(Y, eta).numpy()
    assert family.deviance(Y.numpy(), eta.numpy(), weight) == pytest.approx(expected)
    assert family.fisher_weight(eta) is None
