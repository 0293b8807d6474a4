"""A formula for each distribution parameter, structured and deep."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

import semistruct as ss
from semistruct.exceptions import ParameterError

N = 400
BOTH = {"loc": "x + s(z)", "scale": "x"}


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "x": rng.normal(size=N),
            "z": rng.uniform(size=N),
            "log_exposure": rng.uniform(0, 1, N),
        }
    )


@pytest.fixture(scope="module")
def y(table) -> np.ndarray:
    scale = np.exp(-0.5 + 0.6 * table["x"])
    noise = np.random.default_rng(1).normal(size=N)
    return (table["x"] + np.sin(6 * table["z"]) + scale * noise).to_numpy()


@pytest.fixture(scope="module")
def model(table, y) -> ss.GAM:
    return ss.GAM(BOTH).fit(table, y)


# -- what a fitted model says ------------------------------------------------------


def test_names_of_coefficients(model):
    index = model.params_.index
    assert index.names == ["predictor", "term"]
    assert index[0] == ("loc", "Intercept")
    assert list(index[-2:]) == [("scale", "Intercept"), ("scale", "x")]
    assert model.cov_params_.index.equals(index)
    assert model.coef_.shape == (len(index) - 2,)
    expected = model.params_[[("loc", "Intercept"), ("scale", "Intercept")]]
    assert model.intercept_ == pytest.approx(expected.to_numpy())
    rows = model.summary().coefficients.index
    assert list(rows) == [name for name in index if "s(z)" not in name[1]]
    assert list(model.summary().smooths.index) == ["loc: s(z)"]


def test_the_truth_is_found(model, table):
    assert model.params_["scale"].to_numpy() == pytest.approx([-0.5, 0.6], abs=0.12)
    found = model.predict_parameters(table)
    assert list(found.columns) == ["loc", "scale"]
    goal = np.exp(-0.5 + 0.6 * table["x"])
    assert np.abs(np.log(found["scale"] / goal)).max() < 0.3


def test_linear_models_are_the_maximum_of_the_likelihood(table, y):
    model = ss.GAM({"loc": "x + z", "scale": "x"}).fit(table, y)
    design = np.column_stack([np.ones(N), table["x"], table["z"]])

    def negative(beta: np.ndarray) -> float:
        scale = np.exp(design[:, :2] @ beta[3:])
        return -stats.norm.logpdf(y, design @ beta[:3], scale).sum()

    best = optimize.minimize(negative, np.zeros(5), method="BFGS", tol=1e-10)
    assert model.params_.to_numpy() == pytest.approx(best.x, abs=1e-4)
    assert model.exact_.loglik == pytest.approx(-best.fun, abs=1e-6)
    step = 1e-3 * np.eye(5)
    at = model.params_.to_numpy()
    hessian = np.array(
        [
            [
                negative(at + a + b)
                - negative(at + a - b)
                - negative(at - a + b)
                + negative(at - a - b)
                for b in step
            ]
            for a in step
        ]
    ) / (4e-6)
    expected = np.linalg.inv(hessian)
    assert model.cov_params_.to_numpy() == pytest.approx(expected, rel=1e-3, abs=1e-7)


def test_terms_add_up_in_each_predictor(model, table):
    terms, errors = model.predict_terms(table), model.predict_terms(table, se=True)
    assert list(terms.columns) == list(errors.columns)
    assert list(terms["scale"].columns) == ["Intercept", "x"]
    parameters = model.predict_parameters(table)
    assert terms["loc"].sum(axis=1).to_numpy() == pytest.approx(
        parameters["loc"].to_numpy()
    )
    assert np.exp(terms["scale"].sum(axis=1)).to_numpy() == pytest.approx(
        parameters["scale"].to_numpy()
    )


def test_interval_and_quantiles_follow_the_scale(model, table, y):
    loc, scale = model.predict_parameters(table).to_numpy().T
    found = model.predict(table, interval=0.8)
    assert found["mean"].to_numpy() == pytest.approx(loc)
    assert found["lower"].to_numpy() == pytest.approx(stats.norm.ppf(0.1, loc, scale))
    assert found["upper"].to_numpy() == pytest.approx(stats.norm.ppf(0.9, loc, scale))
    quantile = model.predict_quantiles(table, 0.5)
    assert quantile[0.5].to_numpy() == pytest.approx(loc)
    inside = (found["lower"] < y) & (y < found["upper"])
    for rows in (table["x"] < 0, table["x"] >= 0):  # in both halves, not on average
        assert inside[rows].mean() == pytest.approx(0.8, abs=0.06)


def test_saved_and_loaded(model, table, tmp_path):
    model.save(tmp_path / "m")
    again = ss.load(tmp_path / "m")
    pd.testing.assert_series_equal(again.params_, model.params_)
    pd.testing.assert_frame_equal(
        again.predict_parameters(table), model.predict_parameters(table)
    )
    assert again.terms == BOTH
    assert again.terms_ == model.terms_
    assert str(again.summary()) == str(model.summary())


# -- the dict ----------------------------------------------------------------------


def test_order_and_kind_of_the_dict_do_not_matter(model, table, y):
    turned = ss.GAM(dict(reversed(BOTH.items()))).fit(table, y)
    pd.testing.assert_series_equal(turned.params_, model.params_)
    listed = {"loc": [ss.terms.Linear("x"), ss.terms.Smooth("z")], "scale": "x"}
    pd.testing.assert_series_equal(ss.GAM(listed).fit(table, y).params_, model.params_)


def test_a_formula_of_one_is_a_constant(table, y):
    constant = ss.GAM({"loc": "x + s(z)", "scale": "1"}).fit(table, y)
    plain = ss.GAM("x + s(z)", method="ML").fit(table, y)
    sigma = float(np.exp(constant.params_["scale", "Intercept"]))
    assert sigma == pytest.approx(np.sqrt(plain.exact_.dispersion), rel=0.02)
    assert constant.predict(table) == pytest.approx(plain.predict(table), abs=0.05)


def test_one_of_two_parameters_may_be_constant(table):
    target = np.random.default_rng(2).negative_binomial(2, 0.4, N)
    only_size = ss.GAM({"size": "x"}, family="negative_binomial").fit(table, target)
    assert only_size.exact_.shape_names == ("mean",)
    assert only_size.predict(table) == pytest.approx(target.mean(), rel=0.05)


def test_weights_are_repetition(table, y):
    times = np.random.default_rng(3).integers(0, 3, N)
    weighted = ss.GAM(BOTH).fit(table, y, sample_weight=times)
    again = np.repeat(np.arange(N), times)
    repeated = ss.GAM(BOTH).fit(table.iloc[again], y[again])
    parameters = weighted.predict_parameters(table).to_numpy()
    assert parameters == pytest.approx(
        repeated.predict_parameters(table).to_numpy(), abs=5e-3
    )  # the knots and the constraint see every row once, or as often as it stands there


def test_an_offset_of_the_scale(table):
    scale = np.exp(0.3 * table["x"] + table["log_exposure"])
    target = 1 + scale * np.random.default_rng(4).normal(size=N)
    terms = {"loc": "1", "scale": "x + offset(log_exposure)"}
    model = ss.GAM(terms).fit(table, target)
    assert model.params_["scale", "x"] == pytest.approx(0.3, abs=0.1)
    columns = model.predict_terms(table)["scale"]
    assert columns["offset"].to_numpy() == pytest.approx(table["log_exposure"])


@pytest.mark.parametrize(
    ("terms", "text"),
    [
        ({"locc": "x"}, "Did you mean 'loc'"),
        ({"loc": "x", "size": "x"}, "'size'"),
        ({}, "dict from distribution parameters"),
        ({"loc": 3}, "loc|formula"),
    ],
)
def test_bad_dicts_are_named(terms, text, table, y):
    with pytest.raises((ParameterError, TypeError, ValueError), match=text):
        ss.GAM(terms).fit(table, y)


@pytest.mark.parametrize("name", ["SemiStructuredClassifier", "SemiStructuredSurvival"])
def test_other_estimators_take_one_formula(name, table):
    target = (table["x"] > 0) if "Classifier" in name else table["z"]
    with pytest.raises(ParameterError, match="one formula"):
        getattr(ss, name)({"loc": "x"}).fit(table, target)


# -- deep terms --------------------------------------------------------------------


@pytest.fixture(scope="module")
def scans():
    """An image that moves the location, and as much the scale."""
    X, _, truth = ss.datasets.make_regression_digits(
        600, return_truth=True, random_state=3
    )
    signal = np.asarray(truth["linear_predictor"])
    signal = (signal - signal.mean()) / signal.std()
    noise = np.random.default_rng(5).normal(size=600)
    return X, 3 * signal + np.exp(0.2 * signal) * noise


TRAINING = {"max_epochs": 4, "learning_rate": 5e-3}
DEEP = {"loc": "age + s(bmi, k=6) + image(scan)", "scale": "age + image(scan)"}


def fit(terms, scans):
    model = ss.SemiStructuredRegressor(
        terms, training=ss.Training(**TRAINING), random_state=0
    )
    return model.fit(*scans)


@pytest.fixture(scope="module")
def deep(scans):
    return fit(DEEP, scans)


def test_a_shared_deep_term_is_one_encoder_of_two_outputs(deep, scans):
    (part,) = deep.predictor_.parts.values()
    assert part.targets == (0, 1)
    assert part.weight.shape[1] == 2
    assert len(part.projections) == len(part.shifts) == 2
    terms = deep.predict_terms(scans[0])
    assert terms["loc", "image(scan)"].std() > 0
    assert terms["scale", "image(scan)"].std() > 0
    assert list(deep.summary().deep.index) == ["loc: image(scan)", "scale: image(scan)"]
    errors = deep.predict_terms(scans[0], se=True)
    assert (errors["loc", "image(scan)"] == 0).all()
    assert (errors["loc", "age"] > 0).all()


def test_a_shared_deep_term_is_orthogonal_in_each_metric(scans):
    """Nothing of a structured column is left, weighted by that predictor's W."""
    kept = {}

    class Spy(ss.SemiStructuredRegressor):
        def _make_head(self, *args):
            head = super()._make_head(*args)
            original = type(head).fit_exact

            def fit_exact(*call):
                found = original(head, *call)
                kept.setdefault("warm", found)
                return found

            object.__setattr__(head, "fit_exact", fit_exact)
            return head

    model = Spy(DEEP, training=ss.Training(**TRAINING), random_state=0).fit(*scans)
    matrices = model.predictor_.matrices(scans[0])
    terms = model.predict_terms(scans[0])
    for k, name in enumerate(["loc", "scale"]):
        d = terms[name, "image(scan)"].to_numpy()
        weight = kept["warm"].working_weight[:, k]
        left = (matrices[k].T * weight) @ d
        size = np.sqrt(((matrices[k] ** 2).T @ weight) * (weight @ d**2))
        assert np.abs(left / size).max() < 1e-6


def test_a_deep_term_of_the_scale_alone(scans):
    model = fit({"loc": "age", "scale": "image(scan)"}, scans)
    (part,) = model.predictor_.parts.values()
    assert part.targets == (1,)
    terms = model.predict_terms(scans[0])
    assert ("loc", "image(scan)") not in terms
    assert terms["scale", "image(scan)"].std() > 0


def test_deep_distributional_models_are_saved(deep, scans, tmp_path):
    deep.save(tmp_path / "m")
    again = ss.load(tmp_path / "m")
    for call in ("predict_parameters", "predict_terms"):
        pd.testing.assert_frame_equal(
            getattr(again, call)(scans[0]), getattr(deep, call)(scans[0])
        )
    pd.testing.assert_frame_equal(
        again.predict(scans[0], interval=0.9), deep.predict(scans[0], interval=0.9)
    )


def test_an_image_that_is_missing_contributes_nothing(deep, scans):
    without = deep.predict_terms(scans[0].drop(columns="scan"))
    assert (without["loc", "image(scan)"] == 0).all()
    assert (without["scale", "image(scan)"] == 0).all()


def test_two_encoders_need_two_columns(scans):
    """One column is one encoder; other terms of the same column are refused."""
    terms = {"loc": "image(scan)", "scale": "image(scan, by=age)"}
    with pytest.raises(ValueError, match="scan"):
        fit(terms, scans)
