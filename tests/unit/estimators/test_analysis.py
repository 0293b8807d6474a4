"""ss.compare, ss.pool and ss.analysis against statsmodels and literal definitions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats
from statsmodels.imputation.bayes_mi import MI

import semistruct as ss
from semistruct.exceptions import ColumnError, DataError, ParameterError

N = 300
analysis = ss.analysis


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"x": rng.normal(size=N), "z": rng.uniform(size=N)})
    X["site"] = rng.integers(0, 25, N)
    X["arm"] = pd.Categorical(rng.choice(["a", "b", "c"], N))
    return X


@pytest.fixture(scope="module")
def y(table) -> np.ndarray:
    rng = np.random.default_rng(1)
    site = rng.normal(0, 0.7, 25)[table["site"]]
    noise = np.exp(0.5 * table["x"]) * rng.normal(size=N)
    return (table["x"] + np.sin(6 * table["z"]) + site + noise).to_numpy()


def design(table: pd.DataFrame) -> np.ndarray:
    return sm.add_constant(table[["x", "z"]].to_numpy())


@pytest.fixture(scope="module")
def line(table, y):
    return ss.GAM("x + z").fit(table, y), sm.OLS(y, design(table)).fit()


@pytest.fixture(scope="module")
def logit(table, y):
    ours = ss.SemiStructuredClassifier("x + z").fit(table, y > 0)
    return ours, sm.Logit(y > 0, design(table)).fit(disp=False, tol=1e-12)


# -- robust covariance -------------------------------------------------------------


@pytest.mark.parametrize("hc", ["HC0", "HC1"])
def test_heteroscedastic_errors_of_least_squares(hc, line, table, y):
    ours, other = line
    found = analysis.robust_covariance(ours, table, y, hc=hc)
    robust = other.get_robustcov_results(hc)
    assert found["std err"].to_numpy() == pytest.approx(robust.bse, rel=1e-6)
    assert found.iloc[:, -2:].to_numpy() == pytest.approx(robust.conf_int(), rel=1e-6)
    assert found.attrs["cov"] == pytest.approx(robust.cov_params(), rel=1e-6)


def test_cluster_errors_of_least_squares(line, table, y):
    ours, other = line
    robust = other.get_robustcov_results("cluster", groups=table["site"])
    found = analysis.robust_covariance(ours, table, y, groups=table["site"])
    assert found["std err"].to_numpy() == pytest.approx(robust.bse, rel=1e-6)
    labels = table["site"].map(lambda v: f"site {v}")
    again = analysis.robust_covariance(ours, table, y, groups=labels)
    pd.testing.assert_frame_equal(found, again)


def test_robust_errors_of_other_families(logit, table, y):
    ours, _ = logit
    model = sm.Logit(y > 0, design(table))
    options = {"disp": False, "tol": 1e-12}
    found = analysis.robust_covariance(ours, table, y > 0, hc="HC0")
    other = model.fit(cov_type="HC0", **options)
    assert found["std err"].to_numpy() == pytest.approx(other.bse, rel=1e-5)
    groups = table["site"]
    found = analysis.robust_covariance(ours, table, y > 0, groups=groups)
    other = model.fit(cov_type="cluster", cov_kwds={"groups": groups}, **options)
    assert found["std err"].to_numpy() == pytest.approx(other.bse, rel=1e-5)

    counts = np.random.default_rng(2).poisson(np.exp(0.5 * table["x"]))
    model = ss.GAM("x + z", family="poisson").fit(table, counts)
    glm = sm.GLM(counts, design(table), family=sm.families.Poisson())
    other = glm.fit(cov_type="HC0", tol=1e-12)
    found = analysis.robust_covariance(model, table, counts, hc="HC0")
    assert found["std err"].to_numpy() == pytest.approx(other.bse, rel=1e-5)


def test_robust_errors_of_two_columns_of_counts(table):
    rng = np.random.default_rng(3)
    successes = rng.binomial(8, 1 / (1 + np.exp(-table["x"])))
    counts = np.column_stack([successes, 8 - successes])
    model = ss.GAM("x + z", family="binomial").fit(table, counts)
    family = sm.families.Binomial()
    other = sm.GLM(counts, design(table), family=family).fit(cov_type="HC0", tol=1e-12)
    found = analysis.robust_covariance(model, table, counts, hc="HC0")
    assert found["std err"].to_numpy() == pytest.approx(other.bse, rel=1e-5)


def test_robust_errors_with_weights_are_those_of_repetition(table, y):
    times = np.random.default_rng(4).integers(1, 4, N)
    again = np.repeat(np.arange(N), times)
    weighted = ss.GAM("x + z").fit(table, y, sample_weight=times)
    repeated = ss.GAM("x + z").fit(table.iloc[again], y[again])
    rows = pd.Series(np.arange(N))
    # by cluster, since a row and its copies are one of them
    found = analysis.robust_covariance(
        weighted, table, y, groups=rows, sample_weight=times, hc="HC0"
    )
    expected = analysis.robust_covariance(
        repeated, table.iloc[again], y[again], groups=rows.iloc[again], hc="HC0"
    )
    assert found["std err"].to_numpy() == pytest.approx(
        expected["std err"].to_numpy(), rel=1e-6
    )


def test_robust_errors_of_both_parameters(table, y):
    """Σ over rows of V s s' V, the scores by finite differences of the density."""
    model = ss.GAM({"loc": "x", "scale": "x"}).fit(table, y)
    base = model.params_.to_numpy()
    one = np.column_stack([np.ones(N), table["x"]])

    def density(beta):
        return stats.norm.logpdf(y, one @ beta[:2], np.exp(one @ beta[2:]))

    step = 1e-5 * np.eye(4)
    scores = np.stack(
        [(density(base + h) - density(base - h)) / 2e-5 for h in step], axis=1
    )
    v = model.cov_params_.to_numpy()
    expected = v @ scores.T @ scores @ v
    found = analysis.robust_covariance(model, table, y, hc="HC0")
    assert found.attrs["cov"] == pytest.approx(expected, rel=1e-5)


def test_what_robust_covariance_refuses(line, table, y):
    ours, _ = line
    with pytest.raises(ParameterError, match="HC3"):
        analysis.robust_covariance(ours, table, y, hc="HC3")
    with pytest.raises(DataError, match="only one cluster"):
        analysis.robust_covariance(ours, table, y, groups=np.zeros(N))
    with pytest.raises(DataError, match="groups is missing in row 0"):
        analysis.robust_covariance(ours, table, y, groups=np.full(N, np.nan))
    survival = ss.SemiStructuredSurvival("x").fit(table, np.exp(y))
    with pytest.raises(DataError, match="SemiStructuredSurvival"):
        analysis.robust_covariance(survival, table, np.exp(y))


# -- effects -----------------------------------------------------------------------


def test_average_slope_is_the_marginal_effect_of_statsmodels(logit, table):
    ours, other = logit
    margins = other.get_margeff(at="overall").summary_frame()
    for j, column in enumerate(["x", "z"]):
        found = analysis.average_slope(ours, table, column)
        expected = margins.iloc[j].to_numpy()
        assert found.estimate == pytest.approx(expected[0], rel=1e-6)
        assert found.std_error == pytest.approx(expected[1], rel=1e-5)
        assert found.lower == pytest.approx(expected[4], rel=1e-4)
        assert found.upper == pytest.approx(expected[5], rel=1e-4)


def test_average_comparison_is_the_discrete_change_of_statsmodels(table, y):
    X = table.assign(treated=(table["arm"] == "b").astype(float))
    ours = ss.SemiStructuredClassifier("x + treated").fit(X, y > 0)
    columns = sm.add_constant(X[["x", "treated"]].to_numpy())
    other = sm.Logit(y > 0, columns).fit(disp=False, tol=1e-12)
    margins = other.get_margeff(at="overall", dummy=True).summary_frame()
    found = analysis.average_comparison(ours, X, "treated", 0, 1)
    assert found.estimate == pytest.approx(margins.iloc[1, 0], rel=1e-6)
    assert found.std_error == pytest.approx(margins.iloc[1, 1], rel=1e-5)


def test_comparison_of_levels_and_its_ratio(table):
    counts = np.random.default_rng(5).poisson(np.exp(0.4 * (table["arm"] == "c")))
    model = ss.GAM("C(arm) + s(x)", family="poisson").fit(table, counts)
    difference = analysis.average_comparison(model, table, "arm", "a", "c")
    means = [model.predict(table.assign(arm=level)).mean() for level in "ac"]
    assert difference.estimate == pytest.approx(means[1] - means[0])
    ratio = analysis.average_comparison(model, table, "arm", "a", "c", kind="ratio")
    assert ratio.estimate == pytest.approx(means[1] / means[0])
    # log link: the ratio is exp of the coefficient, with the interval of the logarithm
    beta = model.params_["C(arm)[T.c]"]
    se = np.sqrt(model.cov_params_.loc["C(arm)[T.c]", "C(arm)[T.c]"])
    assert ratio.estimate == pytest.approx(np.exp(beta))
    assert ratio.lower == pytest.approx(np.exp(beta - 1.959964 * se), rel=1e-5)
    assert ratio.upper == pytest.approx(np.exp(beta + 1.959964 * se), rel=1e-5)


def test_slope_of_a_smooth_is_its_mean_difference(table, y):
    model = ss.GAM("s(z) + x").fit(table, y)
    h = 1e-4
    high, low = (model.predict(table.assign(z=table["z"] + d)) for d in (h, -h))
    found = analysis.average_slope(model, table, "z")
    assert found.estimate == pytest.approx(((high - low) / (2 * h)).mean(), rel=1e-4)
    assert 0 < found.std_error < 1


def test_effects_hold_offsets_and_the_image_fixed():
    X, y = ss.datasets.make_regression_digits(200, random_state=0)
    X = X.assign(shift=np.linspace(0, 1, 200))
    training = ss.Training(max_epochs=2)
    terms = "age + C(stage) + offset(shift) + image(scan)"
    model = ss.SemiStructuredRegressor(terms, training=training, random_state=0)
    model.fit(X, y)
    # what the image says of age and stage is in the coefficients: it is orthogonal
    slope = analysis.average_slope(model, X, "age")
    assert slope.estimate == pytest.approx(model.params_["age"])
    assert slope.std_error == pytest.approx(
        np.sqrt(model.cov_params_.loc["age", "age"]), rel=1e-6
    )
    change = analysis.average_comparison(model, X, "stage", "I", "II")
    assert change.estimate == pytest.approx(model.params_["C(stage)[T.II]"])
    # and with a link that is not linear, the offset and the image are where they were
    counts = np.random.default_rng(0).poisson(np.exp(0.02 * X["age"]))
    model = ss.SemiStructuredRegressor(
        terms, family="poisson", training=training, random_state=0
    ).fit(X, counts)
    eta, beta = np.log(model.predict(X)), model.params_["C(stage)[T.II]"]
    level = model.predict_terms(X)["C(stage)"]
    at = [np.exp(eta - level + move).mean() for move in (0.0, beta)]
    change = analysis.average_comparison(model, X, "stage", "I", "II")
    assert change.estimate == pytest.approx(at[1] - at[0])


def test_what_effects_refuse(line, table, y):
    ours, _ = line
    with pytest.raises(ColumnError, match="Did you mean 'x'"):
        analysis.average_slope(ours, table, "xx")
    with pytest.raises(ParameterError, match="kind"):
        analysis.average_comparison(ours, table, "x", 0, 1, kind="odds")
    several = ss.SemiStructuredClassifier("x").fit(table, table["arm"])
    with pytest.raises(DataError, match="no mean response of one number"):
        analysis.average_slope(several, table, "x")
    survival = ss.SemiStructuredSurvival("x").fit(table, np.exp(y))
    with pytest.raises(DataError, match="no mean response of one number"):
        analysis.average_comparison(survival, table, "x", 0, 1)


# -- contrasts ---------------------------------------------------------------------


def test_contrasts_are_t_tests(line):
    ours, other = line
    weights = {"sum": {"x": 1, "z": 1}, "ten": {"x": 10}}
    found = analysis.contrasts(ours, weights)
    test = other.t_test(np.array([[0, 1, 1], [0, 10, 0]]))
    assert found["coef"].to_numpy() == pytest.approx(test.effect)
    assert found["std err"].to_numpy() == pytest.approx(test.sd.ravel())
    assert found["P>|t|"].to_numpy() == pytest.approx(test.pvalue, rel=1e-6)
    assert found.iloc[:, -2:].to_numpy() == pytest.approx(test.conf_int())


def test_adjusted_contrasts(table, y):
    model = ss.GAM("C(arm) + x").fit(table, y)
    b, c = "C(arm)[T.b]", "C(arm)[T.c]"
    weights = {"b-a": {b: 1}, "c-a": {c: 1}, "c-b": {c: 1, b: -1}}
    plain = analysis.contrasts(model, weights)
    p = plain["P>|t|"].to_numpy()
    found = {
        how: analysis.contrasts(model, weights, adjust=how)
        for how in ("bonferroni", "holm", "simultaneous")
    }
    assert found["bonferroni"]["P>|t|"].to_numpy() == pytest.approx(
        np.minimum(1, 3 * p)
    )
    order = np.argsort(p)
    holm = np.maximum.accumulate(np.array([3, 2, 1]) * p[order]).clip(max=1)
    assert found["holm"]["P>|t|"].to_numpy()[order] == pytest.approx(holm)
    width = {k: np.ptp(v.iloc[:, -2:].to_numpy(), axis=1) for k, v in found.items()}
    assert (width["simultaneous"] > np.ptp(plain.iloc[:, -2:].to_numpy(), axis=1)).all()
    assert (width["simultaneous"] < width["bonferroni"]).all()


def test_contrasts_name_what_they_do_not_know(line):
    with pytest.raises(ParameterError, match="Did you mean 'x'"):
        analysis.contrasts(line[0], {"one": {"xx": 1.0}})


# -- comparison --------------------------------------------------------------------


def test_compare_is_the_likelihood_ratio_test(logit, table, y):
    large, other = logit
    small = ss.SemiStructuredClassifier("x").fit(table, y > 0)
    nested = sm.Logit(y > 0, design(table)[:, :2]).fit(disp=False, tol=1e-12)
    found = ss.compare(small, large)
    assert found["loglik"].to_numpy() == pytest.approx([nested.llf, other.llf])
    assert found["AIC"].to_numpy() == pytest.approx([nested.aic, other.aic])
    assert found["BIC"].to_numpy() == pytest.approx([nested.bic, other.bic])
    ratio = 2 * (other.llf - nested.llf)
    last = found.iloc[1]
    assert last["LR"] == pytest.approx(ratio)
    assert last["LR df"] == pytest.approx(1)
    assert last["P>chi2"] == pytest.approx(stats.chi2.sf(ratio, 1), rel=1e-6)


def test_aic_counts_the_dispersion_and_the_shapes(line, table, y):
    ours, other = line
    maximum = stats.norm.logpdf(y, other.fittedvalues, np.sqrt(other.ssr / N)).sum()
    found = ss.compare(ours).iloc[0]
    # 3 coefficients and the dispersion, at the likelihood of the fit's own dispersion
    assert found["AIC"] == pytest.approx(-2 * ours.exact_.loglik + 2 * 4)
    assert found["loglik"] == pytest.approx(maximum, abs=0.1)
    counts = np.random.default_rng(6).negative_binomial(2, 0.4, N)
    model = ss.GAM("x + z", family="negative_binomial").fit(table, counts)
    other = sm.NegativeBinomial(counts, design(table)).fit(disp=False, maxiter=200)
    assert ss.compare(model)["AIC"].iloc[0] == pytest.approx(other.aic, abs=0.5)


def test_compare_corrects_for_smoothing(table, y):
    models = ss.GAM("x").fit(table, y), ss.GAM("x + s(z)").fit(table, y)
    found = ss.compare(*models, names=["line", "curve"])
    assert list(found.index) == ["line", "curve"]
    assert found.loc["curve", "edf corrected"] > found.loc["curve", "edf"]
    assert found.loc["curve", "AIC"] > found.loc["curve", "AIC conditional"]
    assert found.loc["line", "AIC"] == pytest.approx(
        found.loc["line", "AIC conditional"]
    )
    assert found.loc["curve", "delta AIC"] == 0


def test_what_cannot_be_compared(line, logit, table, y):
    ours = line[0]
    with pytest.raises(DataError, match="other targets"):
        ss.compare(ours, logit[0])
    fewer = ss.GAM("x").fit(table.head(50), y[:50])
    with pytest.raises(DataError, match="rows"):
        ss.compare(ours, fewer)
    with pytest.raises(DataError, match="names"):
        ss.compare(ours, names=["a", "b"])
    with pytest.raises(DataError, match="at least one"):
        ss.compare()


# -- multiple imputation -----------------------------------------------------------


class Completed:
    """Completed tables for statsmodels' MI, one after the other."""

    def __init__(self, tables):
        self.tables = iter(tables)
        self.update()

    def update(self):
        self.data = next(self.tables, None)


def test_pool_is_rubins_rules_of_statsmodels(table, y):
    rng = np.random.default_rng(7)
    tables = []
    for _ in range(5):
        X = table[["x", "z"]].copy()
        X.loc[:60, "z"] = rng.uniform(size=61)
        tables.append(X.assign(one=1.0, y=y))
    models = [ss.GAM("x + z").fit(X, X["y"]) for X in tables]
    pooled = ss.pool(models)

    imputed = Completed([tables[0], *tables])
    mi = MI(
        imputed,
        sm.OLS,
        model_args_fn=lambda X: (X["y"], X[["one", "x", "z"]]),
        nrep=5,
        skip=0,
        burn=0,
    )
    other = mi.fit()
    assert pooled["coef"].to_numpy() == pytest.approx(np.asarray(other.params))
    assert pooled["std err"].to_numpy() == pytest.approx(np.asarray(other.bse))
    assert list(pooled.index) == ["Intercept", "x", "z"]


def test_pool_by_its_definition(table, y):
    rng = np.random.default_rng(8)
    tables = [table.assign(z=table["z"] + rng.normal(0, 0.2, N)) for _ in range(4)]
    models = [ss.GAM("x + z").fit(X, y) for X in tables]
    found = ss.pool(models)
    estimates = np.stack([m.params_ for m in models])
    within = np.mean([np.diag(m.cov_params_) for m in models], axis=0)
    between = estimates.var(axis=0, ddof=1)
    total = within + 1.25 * between
    share = 1.25 * between / total
    complete = N - 3
    old = 3 / share**2
    observed = (complete + 1) / (complete + 3) * complete * (1 - share)
    df = 1 / (1 / old + 1 / observed)  # Barnard & Rubin
    assert found["std err"].to_numpy() == pytest.approx(np.sqrt(total))
    assert found["df"].to_numpy() == pytest.approx(df)
    t = estimates.mean(axis=0) / np.sqrt(total)
    assert found["P>|t|"].to_numpy() == pytest.approx(2 * stats.t.sf(np.abs(t), df))


def test_what_cannot_be_pooled(line, table, y):
    other = ss.GAM("x").fit(table, y)
    with pytest.raises(DataError, match="other coefficients"):
        ss.pool([line[0], other])
    for few in ([], [line[0]]):
        with pytest.raises(DataError, match="two"):
            ss.pool(few)


# -- diagnostics -------------------------------------------------------------------


def test_quantile_residuals(line, table, y):
    ours, other = line
    found = analysis.quantile_residuals(ours, table, y)
    expected = (y - other.fittedvalues) / np.sqrt(other.scale)
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-8)
    counts = np.random.default_rng(9).poisson(np.exp(0.5 * table["x"]))
    model = ss.GAM("x", family="poisson").fit(table, counts)
    found = analysis.quantile_residuals(model, table, counts, random_state=1)
    mean = model.predict(table)
    low, high = (
        stats.norm.ppf(stats.poisson.cdf(c, mean)) for c in (counts - 1, counts)
    )
    assert ((low <= found) & (found <= high)).all()
    again = analysis.quantile_residuals(model, table, counts, random_state=1)
    np.testing.assert_array_equal(found, again)


def test_worm_and_pit_see_a_wrong_distribution(table):
    rng = np.random.default_rng(10)
    heavy = 1 + rng.standard_t(2, size=N)
    wrong = ss.GAM("x").fit(table, heavy)
    right = ss.GAM("x", family="student_t").fit(table, heavy)
    share = []
    for model in (wrong, right):
        worm = analysis.worm(model, table, heavy)
        outside = (worm.deviation < worm.lower) | (worm.deviation > worm.upper)
        share.append(outside.mean())
        pit = analysis.pit_histogram(model, table, heavy, bins=5)
        assert len(pit.density) == 5
        assert len(pit.edges) == 6
        assert (pit.density * np.diff(pit.edges)).sum() == pytest.approx(1.0)
    assert share[0] > 0.4 > 0.15 > share[1]


def test_k_check_finds_a_basis_that_is_too_small(table):
    rng = np.random.default_rng(11)
    target = np.sin(25 * table["z"]) + rng.normal(0, 0.3, N)
    few, many = (ss.GAM(f"s(z, k={k}) + s(x)").fit(table, target) for k in (5, 25))
    small, large = (analysis.k_check(m, table, target) for m in (few, many))
    assert list(small.columns) == ["k", "edf", "k-index", "p-value"]
    assert list(small.index) == ["s(z)", "s(x)"]
    assert small.loc["s(z)", "p-value"] < 0.01
    assert large.loc["s(z)", "p-value"] > 0.05
    assert small.loc["s(z)", "k-index"] < large.loc["s(z)", "k-index"]
    with pytest.raises(DataError, match="no smooth"):
        analysis.k_check(ss.GAM("x").fit(table, target), table, target)


def test_concurvity_finds_a_curve_of_another_column(table, y):
    bent = table.assign(
        w=np.sin(3 * table["z"]) + np.random.default_rng(12).normal(0, 0.02, N)
    )
    alone = analysis.concurvity(ss.GAM("s(x) + s(z)").fit(table, y), table)
    model = ss.GAM("s(x) + s(z) + s(w)").fit(bent, y)
    beside = analysis.concurvity(model, bent)
    assert list(beside.columns) == ["worst", "observed", "estimate"]
    assert beside.to_numpy().min() >= 0
    assert beside.to_numpy().max() <= 1 + 1e-12
    assert (alone.loc[["s(x)", "s(z)"], "estimate"] < 0.3).all()
    assert beside.loc["s(w)", "estimate"] > 0.8
    assert beside.loc["s(x)", "estimate"] < 0.3


def test_diagnostics_are_of_numbers(logit, table, y):
    for call in (analysis.quantile_residuals, analysis.worm, analysis.pit_histogram):
        with pytest.raises(DataError, match="no distribution of a number"):
            call(logit[0], table, y > 0)


def test_nothing_is_asked_of_a_model_that_is_not_fitted(table, y):
    from sklearn.exceptions import NotFittedError

    blank = ss.GAM("x")
    for call in (
        lambda: ss.compare(blank),
        lambda: ss.pool([blank, blank]),
        lambda: analysis.contrasts(blank, {}),
        lambda: analysis.average_slope(blank, table, "x"),
        lambda: analysis.robust_covariance(blank, table, y),
        lambda: analysis.quantile_residuals(blank, table, y),
        lambda: analysis.concurvity(blank, table),
        lambda: blank.predict_parameters(table),
        lambda: blank.predict(table, interval=0.9),
    ):
        with pytest.raises(NotFittedError):
            call()
