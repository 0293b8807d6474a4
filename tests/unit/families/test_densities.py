"""Densities against SciPy, or against slow literal transcriptions where it has none."""

import math

import numpy as np
import pytest
import torch
from scipy import special, stats

from semistruct.families import get_family
from semistruct.families._registry import FAMILIES

N_CLASSES = 4


def ordinal(y, loc, threshold, *gaps):
    edges = [-math.inf, *np.cumsum([threshold, *gaps]), math.inf]
    upper, lower = (special.expit(edges[int(y) + k] - loc) for k in (1, 0))
    return math.log(upper - lower)


def categorical(y, *odds):
    mass = np.exp([0.0, *odds])
    return math.log(mass[int(y)] / mass.sum())


def zip_mass(y, rate, zero):
    mass = (1 - zero) * math.exp(-rate) * rate**y / math.factorial(int(y))
    return math.log(mass + (zero if y == 0 else 0.0))


def zinb_mass(y, mean, size, zero):
    log_ways = math.lgamma(y + size) - math.lgamma(size) - math.lgamma(y + 1)
    odds = (size / (size + mean)) ** size * (mean / (size + mean)) ** y
    mass = (1 - zero) * math.exp(log_ways) * odds
    return math.log(mass + (zero if y == 0 else 0.0))


def tweedie(y, mean, scale, power):
    """Poisson mixture of gamma densities, term by term."""
    phi = scale**2
    rate = mean ** (2 - power) / (phi * (2 - power))
    if y == 0:
        return -rate
    shape, unit = (2 - power) / (power - 1), phi * (power - 1) * mean ** (power - 1)
    terms = (
        (j * math.log(rate) - rate - math.lgamma(j + 1))
        + ((j * shape - 1) * math.log(y) - y / unit - j * shape * math.log(unit))
        - math.lgamma(j * shape)
        for j in range(1, 500)
    )
    return math.log(math.fsum(math.exp(term) for term in terms))


LITERAL = {
    "ordinal": ordinal,
    "categorical": categorical,
    "zero_inflated_poisson": zip_mass,
    "zero_inflated_negative_binomial": zinb_mass,
    "tweedie": tweedie,
}
SCIPY = {
    "gaussian": lambda y, *t: stats.norm.logpdf(y, *t),
    "student_t": lambda y, loc, scale, df: stats.t.logpdf(y, df, loc, scale),
    "bernoulli": lambda y, p: stats.bernoulli.logpmf(y, p),
    "binomial": lambda y, p: stats.binom.logpmf(y[0], y.sum(), p),
    "poisson": lambda y, rate: stats.poisson.logpmf(y, rate),
    "negative_binomial": lambda y, m, s: stats.nbinom.logpmf(y, s, s / (s + m)),
    "gamma": lambda y, m, s: stats.gamma.logpdf(y, s**-2, scale=m * s**2),
    "inverse_gaussian": lambda y, m, s: stats.invgauss.logpdf(y, m * s**2, scale=s**-2),
    "beta": lambda y, m, p: stats.beta.logpdf(y, m * p, (1 - m) * p),
    "lognormal": lambda y, m, s: stats.lognorm.logpdf(y, s, scale=np.exp(m)),
    "logistic": lambda y, *t: stats.logistic.logpdf(y, *t),
    "laplace": lambda y, *t: stats.laplace.logpdf(y, *t),
    "gumbel": lambda y, *t: stats.gumbel_r.logpdf(y, *t),
}
TARGETS = {
    "real": [-3.0, -0.4, 0.0, 0.7, 2.5],
    "positive": [0.05, 0.6, 1.0, 2.5, 8.0],
    "nonnegative": [0.0, 0.05, 1.0, 2.5, 8.0],
    "unit": [0.01, 0.3, 0.5, 0.8, 0.98],
    "binary": [0.0, 1.0],
    "count": [0.0, 1.0, 2.0, 7.0, 40.0],
}
VALUES = {
    "real": [-1.5, 0.0, 0.8],
    "positive": [0.3, 1.0, 4.0],
    "unit": [0.02, 0.5, 0.9],
    "power": [1.1, 1.5, 1.9],
}


def points(family):
    """Targets and parameters, each pair of them once."""
    if family.name == "binomial":
        y = [[0, 5], [3, 4], [6, 0], [1, 0]]
    elif hasattr(family, "n_classes"):
        y = [[k] for k in range(family.n_classes)]
    else:
        y = TARGETS[family.support]
    columns = [VALUES[p.domain] for p in family.declared]
    grid = np.stack(np.meshgrid(*columns, indexing="ij"), axis=-1)
    for theta in grid.reshape(-1, len(columns)):
        for row in y:
            yield np.ravel(np.asarray(row, float)), theta


@pytest.mark.parametrize("name", FAMILIES)
def test_log_prob_equals_the_oracle(name):
    classes = name in ("categorical", "ordinal")
    family = get_family(name, **({"n_classes": N_CLASSES} if classes else {}))
    truth = LITERAL.get(name) or SCIPY[name]
    for y, theta in points(family):
        target = torch.from_numpy(y)[None] if name == "binomial" else torch.tensor(y)
        ours = family.log_prob(target, *theta).item()
        row = y if name == "binomial" else y[0]
        expected = float(truth(row, *theta))
        assert ours == pytest.approx(expected, rel=1e-10, abs=1e-12), (y, theta)


def test_every_family_has_an_oracle():
    assert set(FAMILIES) == LITERAL.keys() | SCIPY.keys()


@pytest.mark.parametrize(
    ("y", "theta", "expected"),
    [  # 50-digit direct sums of the series (mpmath 1.3)
        (1.01, (1.0, 0.03, 1.5), 2.5247931484859154),
        (10.1, (10.0, 0.03, 1.1), 0.8760312717978167),
        (102.0, (100.0, 0.1, 1.02), -2.7868407363132808),
        (1.1, (1.0, 0.1, 1.98), 0.8191717349846749),
        (3.0, (1.0, 0.25, 1.6), -16.958939684198338),
    ],
)
def test_tweedie_keeps_its_digits_where_the_series_is_long(y, theta, expected):
    target = torch.tensor([y], dtype=torch.float64)
    ours = get_family("tweedie").log_prob(target, *theta)
    assert ours.item() == pytest.approx(expected, abs=1e-12)


def test_limits_are_reached_without_cancellation():
    y = torch.arange(6.0, dtype=torch.float64)
    mean, huge = torch.tensor(2.5, dtype=torch.float64), 1e13
    poisson = get_family("poisson").log_prob(y, mean)
    close = get_family("negative_binomial").log_prob(y, mean, huge)
    np.testing.assert_allclose(close, poisson, atol=1e-11)
    normal = get_family("gaussian").log_prob(y, mean, 1.0)
    close = get_family("student_t").log_prob(y, mean, 1.0, huge)
    np.testing.assert_allclose(close, normal, atol=1e-11)
    near = 1.0 + 1e-5 * (y - 2.0)  # gamma with a small φ is nearly normal
    normal = get_family("gaussian").log_prob(near, 1.0, 1e-5)
    close = get_family("gamma").log_prob(near, 1.0, 1e-5)
    np.testing.assert_allclose(close, normal, atol=2e-4)


def test_the_zeros_of_a_bernoulli_keep_their_logarithm():
    eta = torch.tensor([[40.0], [-40.0], [-800.0]], dtype=torch.float64)
    y = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
    np.testing.assert_allclose(
        get_family("bernoulli").log_density(y, eta), [-40.0, -40.0, 0.0]
    )
    zero = torch.zeros(1, dtype=torch.float64)
    assert get_family("poisson").log_density(zero, eta[2:]).item() == 0.0
