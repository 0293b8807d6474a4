"""ss.GAM: families, bases, weights, methods, intervals, against independent tools."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import optimize, stats
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV

import semistruct as ss
from semistruct.exceptions import ColumnError, DataError, ParameterError
from semistruct.families import Ordinal, get_family

N = 300


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "x": rng.normal(size=N),
            "z": rng.uniform(size=N),
            "hour": rng.uniform(0, 24, N),
            "g": rng.choice(list("abc"), N),
        }
    )


def truth(X: pd.DataFrame) -> np.ndarray:
    return (0.5 * X["x"] + np.sin(6 * X["z"])).to_numpy()


@pytest.fixture(scope="module")
def y(table) -> np.ndarray:
    return truth(table) + np.random.default_rng(1).normal(0, 0.5, N)


def draw(family: str, X: pd.DataFrame) -> np.ndarray:
    """A response that is legal for the family, around the truth."""
    rng, eta = np.random.default_rng(2), truth(X)
    mu, p = np.exp(0.3 * eta + 0.5), 1 / (1 + np.exp(-eta))
    if family == "binomial":
        successes = rng.binomial(10, p)
        return np.column_stack([successes, 10 - successes])
    made: dict[str, Any] = {
        "gaussian": lambda: eta + rng.normal(size=N),
        "student_t": lambda: eta + rng.standard_t(4, N),
        "bernoulli": lambda: (rng.uniform(size=N) < p).astype(float),
        "categorical": lambda: rng.integers(0, 3, N),
        "ordinal": lambda: np.digitize(eta + rng.logistic(size=N), [-1, 1]),
        "poisson": lambda: rng.poisson(mu),
        "negative_binomial": lambda: rng.negative_binomial(2, 2 / (2 + mu)),
        "zero_inflated_poisson": lambda: (
            rng.poisson(2 * mu) * (rng.uniform(size=N) > 0.3)
        ),
        "zero_inflated_negative_binomial": lambda: (
            rng.negative_binomial(3, 1 / (1 + mu)) * (rng.uniform(size=N) > 0.2)
        ),
        "gamma": lambda: rng.gamma(3, mu / 3),
        "inverse_gaussian": lambda: rng.wald(mu, 3),
        "beta": lambda: rng.beta(5 * p, 5 * (1 - p)),
        "tweedie": lambda: np.array(
            [rng.gamma(2, 0.5, k).sum() for k in rng.poisson(mu)]
        ),
        "lognormal": lambda: np.exp(eta + 0.5 * rng.normal(size=N)),
        "logistic": lambda: eta + rng.logistic(size=N),
        "gumbel": lambda: eta + rng.gumbel(size=N),
        "laplace": lambda: eta + rng.laplace(size=N),
    }
    return made[family]()


CLASSES = ("categorical", "ordinal")
FAMILIES = (
    *("gaussian", "student_t", "bernoulli", "binomial", "categorical", "ordinal"),
    *("poisson", "negative_binomial", "zero_inflated_poisson"),
    *("zero_inflated_negative_binomial", "gamma", "inverse_gaussian", "beta"),
    *("tweedie", "lognormal", "logistic", "gumbel", "laplace"),
)


# -- families ----------------------------------------------------------------------


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_is_fitted_predicted_and_saved(name, table, tmp_path):
    family = get_family(name, n_classes=3) if name in CLASSES else name
    target = draw(name, table)
    model = ss.GAM("x + s(z, k=6)", family=family).fit(table, target)
    assert model.exact_.converged
    mean = model.predict(table)
    assert np.isfinite(mean).all()
    model.save(tmp_path / "m")
    again = ss.load(tmp_path / "m")
    np.testing.assert_array_equal(again.predict(table), mean)
    assert again.get_params()["family"] == family
    assert again.family_ == model.family_
    assert again.summary().as_text() == model.summary().as_text()
    assert again.exact_.shape_names == model.exact_.shape_names
    clone(again).fit(table, target)

    quantiles = model.predict_quantiles(table, [0.1, 0.5, 0.9])
    assert (np.diff(quantiles.to_numpy(), axis=1) >= 0).all()
    pd.testing.assert_frame_equal(
        again.predict_quantiles(table, [0.1, 0.5, 0.9]), quantiles
    )
    residuals = ss.analysis.quantile_residuals(model, table, target)
    assert stats.kstest(residuals, "norm").pvalue > 0.01 or name == "categorical"
    if name in CLASSES:
        assert mean.sum(axis=1) == pytest.approx(1.0)
        for refused in (
            lambda: model.score(table, target),
            lambda: model.predict(table, interval=0.9),
        ):
            with pytest.raises(ParameterError, match="mean is one number"):
                refused()
        return
    assert model.score(table, target) > 0
    interval = model.predict(table, interval=0.9)
    assert list(interval.columns) == ["mean", "lower", "upper"]
    assert interval["mean"].to_numpy() == pytest.approx(mean)
    if name not in ("bernoulli", "binomial"):
        inside = (interval["lower"] <= target) & (target <= interval["upper"])
        assert 0.85 <= inside.mean() <= 1.0


@pytest.mark.parametrize(
    ("name", "peer"),
    [
        ("poisson", sm.families.Poisson()),
        ("bernoulli", sm.families.Binomial()),
        ("binomial", sm.families.Binomial()),
        ("gamma", sm.families.Gamma(sm.families.links.Log())),
        ("inverse_gaussian", sm.families.InverseGaussian(sm.families.links.Log())),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_linear_models_are_those_of_statsmodels(name, peer, table):
    target = draw(name, table)
    ours = ss.GAM("x + z", family=name).fit(table, target)
    design = sm.add_constant(table[["x", "z"]].to_numpy())
    other = sm.GLM(target, design, family=peer).fit(tol=1e-12)
    assert ours.params_.to_numpy() == pytest.approx(other.params, rel=1e-6, abs=1e-8)
    errors = np.sqrt(np.diag(ours.cov_params_))
    assert errors == pytest.approx(other.bse, rel=1e-5)
    assert ours.predict(table) == pytest.approx(other.fittedvalues, rel=1e-6)


@pytest.mark.parametrize("link", ["probit", "cloglog"])
def test_links(link, table):
    target = draw("bernoulli", table)
    ours = ss.GAM("x + z", family=get_family("bernoulli", link=link)).fit(table, target)
    design = sm.add_constant(table[["x", "z"]].to_numpy())
    peer = {"probit": sm.families.links.Probit, "cloglog": sm.families.links.CLogLog}
    family = sm.families.Binomial(peer[link]())
    other = sm.GLM(target, design, family=family).fit(tol=1e-12)
    assert ours.params_.to_numpy() == pytest.approx(other.params, rel=1e-5, abs=1e-7)


def test_score_of_binomial_counts_trials(table):
    target = draw("binomial", table)
    model = ss.GAM("x + s(z)", family="binomial").fit(table, target)
    share, p = target[:, 0] / 10, model.predict(table)
    expected = 1 - ((share - p) ** 2).sum() / ((share - share.mean()) ** 2).sum()
    assert model.score(table, target) == pytest.approx(expected)


def test_ordinal_is_the_proportional_odds_model(table):
    from statsmodels.miscmodels.ordinal_model import OrderedModel

    target = draw("ordinal", table)
    ours = ss.GAM("x + z", family=Ordinal(3)).fit(table, target)
    other = OrderedModel(target, table[["x", "z"]].to_numpy(), distr="logit")
    fitted = other.fit(method="newton", disp=False)
    assert ours.params_.to_numpy() == pytest.approx(fitted.params[:2], abs=1e-4)
    assert ours.exact_.loglik == pytest.approx(fitted.llf, abs=1e-5)
    assert ours.predict(table) == pytest.approx(fitted.predict(), abs=1e-4)


# -- what GAM takes ----------------------------------------------------------------


def test_it_is_the_regressor_without_deep_terms(table, y):
    one = ss.GAM("x + s(z)").fit(table, y)
    two = ss.SemiStructuredRegressor("x + s(z)").fit(table, y)
    pd.testing.assert_series_equal(one.params_, two.params_)
    assert set(one.get_params()) == {
        *("terms", "family", "method", "firth", "missing", "max_bins"),
    }
    with pytest.raises(ParameterError, match="training__max_epochs"):
        one.set_params(training__max_epochs=3)


@pytest.mark.parametrize("terms", ["x + image(g)", {"loc": "x", "scale": "image(g)"}])
def test_deep_terms_are_refused(terms, table, y):
    with pytest.raises(ParameterError, match=r"image\(g\).*SemiStructuredRegressor"):
        ss.GAM(terms).fit(table, y)


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"max_bins": 3}, "max_bins"),
        ({"max_bins": 50.5}, "max_bins"),
        ({"method": "reml"}, "Did you mean 'REML'"),
        ({"family": "gausian"}, "Did you mean 'gaussian'"),
        ({"missing": "keep"}, "missing"),
    ],
)
def test_bad_parameters_are_named(params, text, table, y):
    with pytest.raises(ParameterError, match=text):
        ss.GAM("x", **params).fit(table, y)


def test_grid_search_over_formulas_and_methods(table, y):
    grid = {"terms": ["x", "x + s(z, k=6)"], "method": ["REML", "GCV"]}
    search = GridSearchCV(ss.GAM(), grid, cv=3).fit(table, y)
    assert search.best_params_["terms"] == "x + s(z, k=6)"


def test_missing_rows(table, y):
    holes = table.copy()
    holes.loc[[3, 8], "z"] = np.nan
    with pytest.raises(DataError, match="z"):
        ss.GAM("x + s(z)").fit(holes, y)
    with pytest.warns(UserWarning, match="dropped 2 of 300 rows"):
        dropped = ss.GAM("x + s(z)", missing="drop").fit(holes, y)
    rest = holes.dropna()
    kept = ss.GAM("x + s(z)").fit(rest, y[rest.index])
    pd.testing.assert_series_equal(dropped.params_, kept.params_)


# -- smoothing ---------------------------------------------------------------------


def test_methods_have_criteria_of_their_own(table, y):
    models = {
        m: ss.GAM("x + s(z)", method=m).fit(table, y) for m in ("REML", "ML", "GCV")
    }
    edf = {m: model.exact_.edf.sum() for m, model in models.items()}
    assert len({round(v, 3) for v in edf.values()}) == 3
    for method, model in models.items():
        assert model.exact_.method == method
        assert f"{method} score" in str(model.summary())
    gcv = models["GCV"]
    rss = ((y - gcv.predict(table)) ** 2).sum()
    assert gcv.exact_.score == pytest.approx(N * rss / (N - edf["GCV"]) ** 2, rel=1e-8)


def test_method_gcv_is_at_its_minimum(table, y):
    chosen = ss.GAM("s(z)", method="GCV").fit(table, y).exact_
    for factor in (0.8, 1.25):
        sp = float(chosen.sp[0] * factor)
        other = ss.GAM(f"s(z, sp={sp!r})", method="GCV").fit(table, y).exact_
        assert other.score > chosen.score


def test_a_given_smoothing_parameter_is_kept(table, y):
    fit = ss.GAM("s(z, sp=2.5) + s(x)").fit(table, y).exact_
    assert 2.5 in fit.sp.tolist()


@pytest.mark.parametrize("family", ["gaussian", "poisson"])
def test_bins_change_next_to_nothing(family, table, y):
    target = y if family == "gaussian" else draw(family, table)
    terms = "C(g) + s(x) + s(z) + ti(x, hour, k=4)"
    exact = ss.GAM(terms, family=family).fit(table, target)
    binned = ss.GAM(terms, family=family, max_bins=1000).fit(table, target)
    se = exact._linear_predictor_se(table)[:, 0]
    gap = exact._linear_predictor(table) - binned._linear_predictor(table)
    assert np.abs(gap[:, 0] / se).max() < 0.1
    assert binned.exact_.edf.sum() == pytest.approx(exact.exact_.edf.sum(), rel=0.01)


# -- bases -------------------------------------------------------------------------

LINE = {"a": ["b"], "b": ["a", "c"], "c": ["b"]}


@pytest.mark.parametrize(
    "terms",
    [
        "x + s(z, bs='cr')",
        "x + s(z, bs='tp')",
        "s(z, x, bs='tp', k=30)",
        "x + s(z) + s(hour, bs='cc')",
        "te(x, z, bs=('tp', 'cr'), k=(4, 8))",
        "s(x) + s(z) + ti(x, z, k=4)",
        "x + s(z) + ti(z, hour, bs=('cr', 'cc'), k=5)",
        "x + s(z, by=g)",
        "x + s(z) + re(g)",
        [
            ss.terms.Linear("x"),
            ss.terms.Smooth("z"),
            ss.terms.Smooth("g", bs="mrf", neighbours=LINE),
        ],
    ],
    ids=str,
)
def test_bases_recover_the_truth_and_are_saved(terms, table, y, tmp_path):
    model = ss.GAM(terms).fit(table, y)
    assert model.exact_.converged
    error = model.predict(table) - truth(table)
    assert np.sqrt((error**2).mean()) < 0.25
    model.save(tmp_path / "m")
    again = ss.load(tmp_path / "m")
    pd.testing.assert_frame_equal(
        again.predict_terms(table), model.predict_terms(table)
    )
    assert again.terms_ == model.terms_


def test_monotone_smooths_are_monotone(table):
    rng = np.random.default_rng(4)
    rising = np.log1p(20 * table["z"]) + rng.normal(0, 0.5, N)
    line = pd.DataFrame({"z": np.linspace(-0.2, 1.2, 400)})
    up = ss.GAM("s(z, bs='mpi', k=15)").fit(table, rising).predict(line)
    down = ss.GAM("s(z, bs='mpd', k=15)").fit(table, -rising).predict(line)
    assert np.diff(up).min() >= -1e-8
    assert up == pytest.approx(-down, abs=1e-6)
    inside = line["z"].between(0.05, 0.95)
    assert np.abs(up - np.log1p(20 * line["z"].clip(0)))[inside].max() < 0.4
    flat = ss.GAM("s(z, bs='mpd', k=15)").fit(table, rising)
    assert np.ptp(flat.predict(line)) < 1e-6  # the best that never rises is constant


def test_the_ends_of_a_cyclic_smooth_meet(table):
    rng = np.random.default_rng(5)
    wave = np.sin(2 * np.pi * table["hour"] / 24)
    model = ss.GAM("s(hour, bs='cc', k=12)").fit(table, wave + rng.normal(0, 0.3, N))
    low, high = table["hour"].min(), table["hour"].max()
    ends = model.predict(pd.DataFrame({"hour": [low, high, low + 1, high + 1]}))
    assert ends[0] == pytest.approx(ends[1])
    assert ends[2] == pytest.approx(ends[3])


def test_regions_without_rows_lie_between_their_neighbours(table):
    rows = table[table["g"] != "b"]
    level = rows["g"].map({"a": 0.0, "c": 2.0})
    target = level + np.random.default_rng(6).normal(0, 0.1, len(rows))
    terms = [ss.terms.Smooth("g", bs="mrf", neighbours=LINE)]
    model = ss.GAM(terms).fit(rows, target)
    a, b, c = model.predict(pd.DataFrame({"g": ["a", "b", "c"]}))
    assert b == pytest.approx((a + c) / 2)


# -- weights -----------------------------------------------------------------------


def test_var_weights_are_weighted_least_squares(table, y):
    weight = np.random.default_rng(7).uniform(0.2, 3, N)
    ours = ss.GAM("x + z").fit(table, y, var_weights=weight)
    other = sm.WLS(y, sm.add_constant(table[["x", "z"]].to_numpy()), weight).fit()
    assert ours.params_.to_numpy() == pytest.approx(other.params)
    assert np.sqrt(np.diag(ours.cov_params_)) == pytest.approx(other.bse)
    assert ours.exact_.dispersion == pytest.approx(other.scale)
    assert ours.exact_.loglik == pytest.approx(
        stats.norm.logpdf(
            y, other.fittedvalues, np.sqrt(ours.exact_.dispersion / weight)
        ).sum(),
        abs=1.0,
    )


def test_var_weights_of_gamma_are_those_of_statsmodels(table):
    target, weight = draw("gamma", table), np.random.default_rng(8).uniform(0.5, 2, N)
    ours = ss.GAM("x + z", family="gamma").fit(table, target, var_weights=weight)
    design = sm.add_constant(table[["x", "z"]].to_numpy())
    family = sm.families.Gamma(sm.families.links.Log())
    other = sm.GLM(target, design, family=family, var_weights=weight).fit(tol=1e-12)
    assert ours.params_.to_numpy() == pytest.approx(other.params, rel=1e-6, abs=1e-8)
    assert np.sqrt(np.diag(ours.cov_params_)) == pytest.approx(other.bse, rel=1e-5)


def test_the_unit_of_var_weights_does_not_matter(table, y):
    weight = np.random.default_rng(9).uniform(0.2, 3, N)
    one = ss.GAM("x + s(z)").fit(table, y, var_weights=weight)
    ten = ss.GAM("x + s(z)").fit(table, y, var_weights=10 * weight)
    assert one.predict(table) == pytest.approx(ten.predict(table), rel=1e-5, abs=1e-6)
    assert one.cov_params_.to_numpy() == pytest.approx(
        ten.cov_params_.to_numpy(), rel=1e-3, abs=1e-8
    )


def test_bad_var_weights_are_named(table, y):
    weight = np.ones(N)
    weight[3] = 0
    with pytest.raises(DataError, match="var_weights must be above 0; row 3"):
        ss.GAM("x").fit(table, y, var_weights=weight)
    with pytest.raises(DataError, match="var_weights must have shape"):
        ss.GAM("x").fit(table, y, var_weights=weight[1:])


# -- prediction --------------------------------------------------------------------


def test_prediction_interval_is_that_of_least_squares(table, y):
    model = ss.GAM("x + z").fit(table, y)
    other = sm.OLS(y, sm.add_constant(table[["x", "z"]].to_numpy())).fit()
    expected = other.get_prediction().summary_frame(alpha=0.1)
    found = model.predict(table, interval=0.9)
    assert found["mean"].to_numpy() == pytest.approx(expected["mean"].to_numpy())
    assert found["lower"].to_numpy() == pytest.approx(
        expected["obs_ci_lower"].to_numpy()
    )
    assert found["upper"].to_numpy() == pytest.approx(
        expected["obs_ci_upper"].to_numpy()
    )


def test_quantiles_are_those_of_the_distribution(table):
    target = draw("negative_binomial", table)
    model = ss.GAM("x + z", family="negative_binomial").fit(table, target)
    mean, size = model.predict(table), float(model.exact_.shape_values[0])
    found = model.predict_quantiles(table, [0.25, 0.975])
    for q in (0.25, 0.975):
        expected = stats.nbinom.ppf(q, size, size / (size + mean))
        np.testing.assert_array_equal(found[q], expected)
    assert model.predict_quantiles(table.head(2), 0.5).shape == (2, 1)
    for bad in (0, 1, [0.5, 1.2], "median"):
        with pytest.raises((ParameterError, ValueError), match=r"q|float"):
            model.predict_quantiles(table, bad)
    for bad in (0.0, 1.0, -0.5):
        with pytest.raises(ParameterError, match="interval"):
            model.predict(table, interval=bad)


def test_predictions_keep_the_index(table, y):
    model = ss.GAM("x + s(z)").fit(table, y)
    some = table.iloc[[5, 2]].set_axis(["p", "q"])
    for frame in (
        model.predict(some, interval=0.9),
        model.predict_quantiles(some, 0.5),
        model.predict_parameters(some),
        model.predict_terms(some),
        model.predict_terms(some, se=True),
    ):
        assert list(frame.index) == ["p", "q"]
    with pytest.raises(ColumnError, match="'z'"):
        model.predict_parameters(table[["x"]])


def test_standard_errors_of_terms(table, y):
    model = ss.GAM("x + s(z) + re(g)").fit(table, y)
    found = model.predict_terms(table, se=True)
    assert list(found.columns) == list(model.predict_terms(table).columns)
    cov = model.cov_params_
    assert found["x"].to_numpy() == pytest.approx(
        table["x"].abs().to_numpy() * np.sqrt(cov.loc["x", "x"])
    )
    (design,) = model.predictor_.matrices(table)
    at = [name.startswith("s(z)") for name in model.params_.index]
    part = design[:, at]
    expected = np.sqrt(np.diag(part @ cov.to_numpy()[np.ix_(at, at)] @ part.T))
    assert found["s(z)"].to_numpy() == pytest.approx(expected)


# -- Firth -------------------------------------------------------------------------


def test_firth_is_the_maximum_of_the_penalised_likelihood(table):
    some = table.iloc[:60]
    target = (some["x"] > 0.3).to_numpy()  # separated
    with pytest.warns(ConvergenceWarning, match="separation"):
        ss.SemiStructuredClassifier("x + z").fit(some, target)
    model = ss.SemiStructuredClassifier("x + z", firth=True).fit(some, target)
    design = np.column_stack([np.ones(60), some["x"], some["z"]])

    def negative(beta: np.ndarray) -> float:
        eta = design @ beta
        p = 1 / (1 + np.exp(-eta))
        information = (design.T * (p * (1 - p))) @ design
        value = target @ eta - np.logaddexp(0, eta).sum()
        return -(value + 0.5 * np.linalg.slogdet(information)[1])

    best = optimize.minimize(negative, np.zeros(3), method="BFGS", tol=1e-10)
    assert model.params_.to_numpy() == pytest.approx(best.x, rel=1e-4, abs=1e-4)
    assert np.isfinite(np.sqrt(np.diag(model.cov_params_))).all()


def test_firth_knows_no_smooths(table):
    with pytest.raises(ParameterError, match="firth"):
        ss.SemiStructuredClassifier("s(x)", firth=True).fit(table, table["g"] == "a")


# -- what cannot be determined -----------------------------------------------------


def test_redundant_columns_are_named(table, y):
    twice = table.assign(again=2 * table["x"] - 1)
    with pytest.raises(DataError, match="'again'"):
        ss.GAM("x + z + again").fit(twice, y)
