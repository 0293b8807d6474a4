"""Mass, moments, distribution functions and information by sums and quadrature."""

import itertools

import numpy as np
import pytest
import torch
from scipy import integrate, special

from semistruct.families import get_family
from semistruct.families._registry import FAMILIES

PHI = 0.6
SCALAR = [name for name in FAMILIES if name != "binomial"]
each = pytest.mark.parametrize("name", SCALAR)


def make(name, every=False):
    """A family whose shapes are none of its defaults, or with formulas for all."""
    options = {"n_classes": 4} if name in ("categorical", "ordinal") else {}
    family = get_family(name, **options)
    if every and name != "ordinal":
        return family.with_formulas(family.all_parameters)
    return family.with_shapes(family.shapes + 0.3)


def rows(family, n=3):
    eta = 0.8 * np.random.default_rng(0).normal(size=(n, 1, family.n_predictors))
    for k, parameter in enumerate(family.parameters):
        eta[:, :, k] += 2.5 * (parameter in ("df", "precision"))  # no wild tails
    return list(torch.from_numpy(eta))  # each (1, K)


def density_at(family, row):
    def density(y):
        target = torch.tensor([float(y)], dtype=torch.float64)
        return float(family.log_density(target, row, PHI).exp())

    return density


def cuts(family, row, upper=np.inf):
    """Where to split the line, so that quadrature sees the mass."""
    atom = density_at(family, row)(0.0) if family.name == "tweedie" else 0.0
    levels = [1e-9, 1e-4, 0.05, 0.3, 0.5, 0.7, 0.95, 0.999, 1 - 1e-6, 1 - 1e-10]
    inner = [float(family.quantile(p, row, PHI)[0]) for p in levels if p > atom]
    low = -np.inf if family.support == "real" else 0.0
    high = 1.0 if family.support == "unit" else np.inf
    return [low, *(cut for cut in inner if cut < upper), min(upper, high)]


def integral(family, function, ends):
    """∫ function(y) dy piece by piece; in log y for y > 0, in logit y for shares."""
    scales = {
        "real": (lambda y: y, lambda u: u, lambda y: 1.0),
        "unit": (special.logit, special.expit, lambda y: y * (1 - y)),
    }
    to, back, slope = scales.get(family.support, (np.log, np.exp, lambda y: y))

    def transformed(u):
        y = float(back(u))
        inside = family.support == "real" or 1e-150 < slope(y) < 1e100
        return function(y) * slope(y) if inside else 0.0

    with np.errstate(divide="ignore", over="ignore"):
        return sum(
            integrate.quad(transformed, a, b, epsabs=1e-9, epsrel=1e-7, limit=200)[0]
            for a, b in itertools.pairwise(np.asarray(to(np.array(ends)), float))
        )


def total(family, row, power=0, upper=np.inf):
    """Σ or ∫ of y^power times the density, up to ``upper``."""
    density = density_at(family, row)
    if family.discrete:
        top = getattr(family, "n_classes", 2 if family.support == "binary" else 1500)
        points = np.arange(float(top))
        points = torch.from_numpy(points[points <= upper])
        mass = family.log_density(points, row.expand(len(points), -1), PHI).exp()
        return float((points**power * mass).sum())
    atom = density(0.0) if family.name == "tweedie" and power == 0 else 0.0
    ends = cuts(family, row, upper)
    return atom + integral(family, lambda y: y**power * density(y), ends)


@each
@pytest.mark.parametrize("every", [False, True], ids=["constant", "formulas"])
def test_mass_mean_and_variance(name, every):
    family = make(name, every)
    for row in rows(family):
        assert total(family, row) == pytest.approx(1.0, abs=1e-7)
        mean = family.mean(row, PHI)[0]
        variance = family.variance(row, PHI)[0]
        if mean.dim():
            masses = [density_at(family, row)(k) for k in range(len(mean))]
            np.testing.assert_allclose(mean, masses, rtol=1e-12)
            np.testing.assert_allclose(variance, mean * (1 - mean))
            continue
        if name == "student_t" and family.theta(row)["df"] < 4.5:
            continue  # tails too heavy for quadrature
        first, second = total(family, row, 1), total(family, row, 2)
        assert first == pytest.approx(float(mean), rel=1e-5, abs=1e-6)
        assert second - first**2 == pytest.approx(float(variance), rel=1e-4)


@each
def test_the_distribution_function_is_the_integral(name):
    family = make(name)
    for row, p in zip(rows(family), (0.05, 0.4, 0.93), strict=True):
        y = family.quantile(p, row, PHI)
        at, left = family.cdf(y, row, PHI)[0], family.cdf_left(y, row, PHI)[0]
        assert at == pytest.approx(total(family, row, upper=y[0]), abs=1e-7)
        assert left - 1e-9 <= p <= at + 1e-9
        if family.discrete:
            mass = density_at(family, row)(y[0])
            assert at - left == pytest.approx(mass, rel=1e-6)
        elif y[0] > 0 or family.support == "real":
            assert at == left == pytest.approx(p, rel=1e-8)


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog"])
def test_binomial_sums(link):
    family = get_family("binomial", link=link)
    s = torch.arange(8.0, dtype=torch.float64)
    y = torch.stack([s, 7 - s], dim=1)
    eta = torch.tensor([[0.4]], dtype=torch.float64).expand(8, 1)
    mass = family.log_density(y, eta).exp().numpy()
    assert mass.sum() == pytest.approx(1.0)
    mean, variance = family.mean(eta)[0].item(), family.variance(eta)[0].item()
    assert mass @ s.numpy() == pytest.approx(7 * mean)
    assert mass @ s.numpy() ** 2 - (7 * mean) ** 2 == pytest.approx(7 * variance)
    np.testing.assert_allclose(family.cdf(y, eta), np.cumsum(mass))
    np.testing.assert_allclose(family.cdf_left(y, eta), np.cumsum(mass) - mass)
    middle = family.quantile(np.cumsum(mass) - 1e-9, eta, trials=7)
    np.testing.assert_array_equal(middle, s)


INFORMED = [
    ("gaussian", {}),
    ("gaussian", {"link": "log"}),
    ("gaussian", {"formulas": ["loc", "scale"]}),
    ("gaussian", {"formulas": ["loc", "scale"], "links": {"scale": "logb"}}),
    ("bernoulli", {}),
    ("bernoulli", {"link": "probit"}),
    ("bernoulli", {"link": "cloglog"}),
    ("poisson", {}),
    ("poisson", {"link": "sqrt"}),
    ("negative_binomial", {}),
    ("negative_binomial", {"link": "softplus"}),
    ("gamma", {}),
    ("gamma", {"link": "softplus", "fixed": {"scale": 0.5}}),
    ("inverse_gaussian", {}),
]


@pytest.mark.parametrize(("name", "options"), INFORMED)
def test_fisher_weights_are_the_expected_information(name, options):
    family = get_family(name, **options)
    phi = PHI if family.has_dispersion else 1.0
    for row in rows(family, 2):
        weight = family.fisher_weight(row)
        assert weight.shape == (1, family.n_predictors)
        for k in range(family.n_predictors):

            def square(y, row=row, k=k):
                target = torch.tensor([float(y)], dtype=torch.float64)
                value, gradient, _ = family.derivatives(target, row, PHI)
                return float(value.exp() * gradient[0, k] ** 2)

            if family.discrete:
                top = 2 if family.support == "binary" else 200
                expected = sum(square(y) for y in range(top))
            else:
                expected = integral(family, square, cuts(family, row))
            assert weight[0, k].item() == pytest.approx(phi * expected, rel=1e-5)


def test_fisher_weights_stay_finite_far_out():
    eta = torch.tensor([[-30.0], [30.0]], dtype=torch.float64)
    for link in ("logit", "probit", "cloglog"):
        weight = get_family("bernoulli", link=link).fisher_weight(eta)
        assert torch.isfinite(weight).all()
    binomial = get_family("binomial").fisher_weight(eta)
    np.testing.assert_allclose(binomial[:, 0], np.exp(-30.0), rtol=1e-12)


def test_families_that_state_no_expected_information():
    eta = torch.zeros(2, 1, dtype=torch.float64)
    assert get_family("student_t").fisher_weight(eta) is None
    both = get_family("gamma").with_formulas(("mean", "scale"))
    assert both.fisher_weight(torch.zeros(2, 2)) is None
    laplace = get_family("laplace", fixed={"scale": 2.0})
    np.testing.assert_allclose(laplace.fisher_weight(eta), 0.25)
