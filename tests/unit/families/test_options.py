"""What has a formula, what is a shape, what is given; links by name; states."""

import numpy as np
import pytest
import torch

from semistruct.exceptions import ParameterError
from semistruct.families import (
    Bernoulli,
    Binomial,
    Gamma,
    Gaussian,
    NegativeBinomial,
    Ordinal,
    StudentT,
    Tweedie,
    ZeroInflatedPoisson,
    get_family,
    get_link,
)


def test_roles_follow_the_formulas():
    family = StudentT()
    assert family.all_parameters == ("loc", "scale", "df")
    assert family.parameters == ("loc",)
    assert family.shape_names == ("scale", "df")
    assert not family.has_dispersion
    both = family.with_formulas(["scale", "loc"])  # declared order, whatever is given
    assert both.parameters == ("loc", "scale")
    assert both.shape_names == ("df",)
    assert family.parameters == ("loc",)  # the first object is as it was


def test_a_constant_scale_is_the_dispersion_where_there_is_one():
    for family in (Gaussian(), Gamma(), Tweedie()):
        assert family.has_dispersion
        assert "scale" not in family.shape_names
        assert not family.with_formulas(family.all_parameters[:2]).has_dispersion
        assert not type(family)(fixed={"scale": 2.0}).has_dispersion
    assert Tweedie().shape_names == ("power",)
    assert Tweedie(fixed={"power": 1.5}).n_shapes == 0
    y, eta = torch.tensor([1.5]), torch.zeros(1, 1)
    given = Gaussian(fixed={"scale": 2.0}).log_density(y, eta, 99.0)
    torch.testing.assert_close(given, Gaussian().log_density(y, eta, 4.0))


def test_least_squares_is_recognised():
    assert Gaussian().is_least_squares
    assert not Gaussian(link="log").is_least_squares
    assert not Gaussian().with_formulas(("loc", "scale")).is_least_squares
    assert not Gaussian(fixed={"scale": 1.0}).is_least_squares


def test_shapes_are_on_their_link_scale():
    family = NegativeBinomial().with_shapes([np.log(3.0)])
    np.testing.assert_allclose(family.shapes, [np.log(3.0)])
    assert family.shape_values == pytest.approx({"size": 3.0})
    soft = NegativeBinomial(links={"size": "softplus"}).with_shapes([0.0])
    assert soft.shape_values == pytest.approx({"size": np.log(2.0)})
    power = Tweedie().with_shapes([-40.0])
    assert power.shape_values == pytest.approx({"power": 1.01})
    kept = StudentT().with_shapes([0.5, 1.5]).with_formulas(("loc", "scale"))
    np.testing.assert_allclose(kept.shapes, [1.5])


def test_starts_are_near_the_truth():
    rng = np.random.default_rng(0)
    y, weight = rng.negative_binomial(2.0, 0.4, 5000).astype(float), np.ones(5000)
    family = NegativeBinomial()
    assert family.initial(y, weight)[0] == pytest.approx(np.log(3.0), abs=0.1)
    assert family.initial_shapes(y, weight)[0] == pytest.approx(np.log(2.0), abs=0.3)
    y = rng.gamma(4.0, 0.5, 5000)
    assert Gamma().initial_dispersion(y, weight) == pytest.approx(0.25, abs=0.05)
    assert NegativeBinomial().initial_dispersion(y, weight) == 1.0
    y = np.where(rng.uniform(size=5000) < 0.3, 0, rng.poisson(2.5, 5000)).astype(float)
    zip_ = ZeroInflatedPoisson().with_formulas(("rate", "zero"))
    start = zip_.initial(y, weight)
    assert start == pytest.approx([np.log(2.5), np.log(0.3 / 0.7)], abs=0.15)


def test_ordinal_thresholds_rise():
    family = Ordinal(4).with_shapes([-1.0, 0.0, np.log(2.0)])
    np.testing.assert_allclose(family.thresholds, [-1.0, 0.0, 2.0])
    assert not family.needs_intercept
    with pytest.raises(ParameterError, match="formulas"):
        family.with_formulas(("loc", "threshold"))
    y = np.repeat([0.0, 1.0, 2.0, 3.0], [10, 20, 30, 40])
    fitted = family.with_shapes(family.initial_shapes(y, np.ones(100)))
    mean = fitted.mean(torch.zeros(1, 1, dtype=torch.float64))
    np.testing.assert_allclose(mean[0], [0.1, 0.2, 0.3, 0.4], atol=0.01)


def test_a_link_may_leave_the_domain():
    poisson = get_family("poisson", link="identity")
    y = torch.tensor([1.0, 1.0], dtype=torch.float64)
    eta = torch.tensor([[2.0], [-2.0]], dtype=torch.float64)
    value, gradient, hessian = poisson.derivatives(y, eta)
    assert value[0] == pytest.approx(np.log(2.0) - 2.0)
    assert value[1] == -np.inf
    assert torch.isfinite(gradient).all()
    assert torch.isfinite(hessian).all()
    log_binomial = Bernoulli(link="log")
    value = log_binomial.log_density(y, torch.tensor([[-1.0], [0.5]]).double())
    np.testing.assert_allclose(value, [-1.0, -np.inf])


def test_what_cannot_be_is_named():
    cases = [
        ("negative_binomail", {}, "negative_binomial"),
        ("gaussian", {"formulas": ["location"]}, "'loc'"),
        ("gaussian", {"formulas": []}, "at least one"),
        ("gaussian", {"links": {"scales": "log"}}, "'scale'"),
        ("gaussian", {"link": "logt"}, "log"),
        ("gaussian", {"link": "logit"}, "identity"),
        ("student_t", {"fixed": {"df": -1.0}}, "df"),
        ("student_t", {"fixed": {"df": "5"}}, "df"),
        ("student_t", {"fixed": {"loc": 0.0}}, "without a formula"),
        ("student_t", {"shapes": {"df": np.nan}}, "finite"),
        ("student_t", {"shapes": {"loc": 1.0}}, "shapes"),
        ("ordinal", {"n_classes": 1}, "n_classes"),
        ("ordinal", {"n_classes": True}, "n_classes"),
        ("poisson", {"n_classes": 2}, "options"),
    ]
    for name, options, text in cases:
        with pytest.raises(ParameterError, match=text):
            get_family(name, **options)
    with pytest.raises(ParameterError, match="with_shapes"):
        NegativeBinomial().with_shapes([1.0, 2.0])
    with pytest.raises(ParameterError, match="object"):
        get_family(Gaussian(), link="log")
    with pytest.raises(ParameterError, match="cloglog"):
        get_link("clogog")
    with pytest.raises(ParameterError, match="logb"):
        get_link({"name": "logb", "c": 1})


def test_names_and_aliases():
    assert get_family("multinomial", n_classes=3).name == "categorical"
    family = get_family("bernoulli", link=get_link("probit"))
    assert family == get_family("bernoulli", link="probit")
    assert family != Bernoulli()
    assert repr(family) == "Bernoulli(links={'prob': 'probit'})"
    assert repr(Gaussian()) == "Gaussian()"
    assert Bernoulli() != Binomial()
    wide = get_family(
        "gaussian", formulas=["loc", "scale"], links={"scale": {"name": "logb", "b": 1}}
    )
    assert get_family(**wide.to_state()) == wide
    assert wide.links["scale"].b == 1.0


def test_theta_names_all_parameters():
    family = StudentT().with_shapes(np.log([2.0, 5.0]))
    theta = family.theta(torch.tensor([[1.0], [3.0]], dtype=torch.float64))
    assert {name: value.tolist() for name, value in theta.items()} == {
        "loc": [1.0, 3.0],
        "scale": pytest.approx([2.0, 2.0]),
        "df": pytest.approx([5.0, 5.0]),
    }
    gamma = Gamma().theta(torch.zeros(1, 1), dispersion=4.0)
    assert gamma["scale"].item() == pytest.approx(2.0)


def test_binomial_draws_and_refuses():
    family = Binomial()
    eta = np.zeros((3, 1))
    y = family.sample(eta, np.random.default_rng(0), trials=[1, 5, 9])
    np.testing.assert_array_equal(y.sum(axis=1), [1, 5, 9])
    assert family.check_target(y, "Model").shape == (3, 2)
    for bad in ([[1, 1], [0, 0]], [[1, 1], [0.5, 1]], [[1, 1], [np.nan, 1]]):
        with pytest.raises(ValueError, match="row 1"):
            family.check_target(bad, "Model")
    with pytest.raises(ValueError, match="2 columns"):
        family.check_target([0, 1], "Model")
