"""Strategies, inference and estimands of semi-structured models."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LinearRegression

import semistruct as ss
from semistruct.exceptions import DataError, InferenceWarning, ParameterError

from .conftest import make_case, quick

PARAMETRIC = "x1 + x2 + tabular(u1, u2, u3)"
QUICK = ss.Training(max_epochs=15, learning_rate=1e-2, patience=5)


def table(n=400, seed=0, confounded=0.0, noise=1.0):
    """A network input u with an effect, correlated with x1."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.normal(size=(n, 3)), columns=["u1", "u2", "u3"])
    X["x1"] = confounded * X["u1"] + rng.normal(size=n)
    X["x2"] = rng.normal(size=n)
    signal = 1.5 * X["u1"] + np.sin(2 * X["u2"])
    eta = 0.5 * X["x1"] - X["x2"] + signal
    return X, eta.to_numpy() + noise * rng.normal(size=n), eta.to_numpy()


def fit(X, y, terms=PARAMETRIC, kind="Regressor", fit_params=None, **params):
    params = {"training": QUICK, "random_state": 0, **params}
    estimator = getattr(ss, f"SemiStructured{kind}")
    return estimator(terms, **params).fit(X, y, **(fit_params or {}))


def targets(seed=0, n=300):
    X, y, eta = table(n, seed)
    rng = np.random.default_rng(seed)
    time = rng.exponential(np.exp(-eta))
    limit = rng.exponential(2.0, n)
    yield "Regressor", X, y
    yield "Classifier", X, np.where(rng.logistic(size=n) < eta, "b", "a")
    yield "Survival", X, ss.Surv(np.minimum(time, limit), time <= limit)


# -- orthogonalisation -------------------------------------------------------------


@pytest.mark.parametrize("how", ["global", "batch", "post_hoc"])
def test_gaussian_coefficients_are_those_of_the_table(how) -> None:
    X, y, _ = table(confounded=0.7)
    model = fit(X, y, orthogonalize=how)
    alone = fit(X, y, "x1 + x2")
    assert model.predict_terms(X)["tabular(u1, u2, u3)"].std() > 0.3
    np.testing.assert_allclose(model.params_, alone.params_, rtol=1e-8, atol=1e-8)
    free = fit(X, y, orthogonalize="none")
    assert np.abs(free.coef_ - alone.coef_).max() > 1e-3  # so the test can fail


@pytest.mark.parametrize("kind", ["Regressor", "Classifier", "Survival"])
@pytest.mark.parametrize("terms", [PARAMETRIC, PARAMETRIC + " + s(u1, k=6)"])
def test_post_hoc_changes_no_prediction(kind, terms) -> None:
    X, y = next((X, y) for k, X, y in targets() if k == kind)
    moved = fit(X, y, terms, kind, orthogonalize="post_hoc")
    free = fit(X, y, terms, kind, orthogonalize="none")
    assert np.abs(moved.coef_ - free.coef_).max() > 1e-4
    np.testing.assert_allclose(
        moved.predict_linear(X)["estimate"],
        free.predict_linear(X)["estimate"],
        atol=1e-6,
    )
    new = X.sample(20, random_state=1) + 0.1
    np.testing.assert_allclose(
        moved.predict_linear(new)["estimate"],
        free.predict_linear(new)["estimate"],
        atol=1e-6,
    )
    if kind == "Survival":
        times = np.linspace(0.1, 2.0, 7)
        one, two = (m.predict_survival_function(new)[0](times) for m in (moved, free))
        np.testing.assert_allclose(one, two, atol=1e-6)


def test_post_hoc_moves_a_planted_smooth_into_the_smooth() -> None:
    """The network reads u1 and u2 and takes sin(2u2), until it is moved."""
    X, y, _ = table(800, noise=0.3)
    training = ss.Training(max_epochs=60, learning_rate=1e-2, patience=15)
    terms = "x1 + s(u2, k=10) + tabular(u1, u2, u3)"

    def share(model):
        d = model.predict_terms(X)["tabular(u1, u2, u3)"]
        bands = pd.cut(X["u2"], np.linspace(-1.6, 1.6, 9))
        by_band = (d - d.mean()).groupby(bands, observed=True)
        return by_band.mean().std()

    free = fit(X, y, terms, orthogonalize="none", training=training)
    moved = fit(X, y, terms, orthogonalize="post_hoc", training=training)
    assert share(moved) < 0.5 * share(free) or share(moved) < 0.12
    smooth = moved.predict_terms(X)["s(u2)"]
    assert np.corrcoef(smooth, np.sin(2 * X["u2"]))[0, 1] > 0.97
    np.testing.assert_allclose(moved.predict(X), free.predict(X), atol=1e-6)


def test_post_hoc_needs_the_modality_in_every_row() -> None:
    case = make_case("SemiStructuredRegressor", 60)
    X = case.X.copy()
    X["scan"] = X["scan"].where(np.arange(60) != 7)
    with pytest.raises(DataError, match="row 7 lacks it"):
        case.make(orthogonalize="post_hoc").fit(X, case.y)


def test_the_cell_needs_batches_above_the_columns() -> None:
    X, y, _ = table(80)
    with pytest.raises(ParameterError, match=r"'training__batch_size' .* above 3"):
        fit(X, y, orthogonalize="batch", training=quick(batch_size=3))


def test_the_cell_keeps_the_network_off_the_columns() -> None:
    """y is x1 alone, the network sees it, the offset is wrong: it may not learn x1."""
    X, y, _ = table(300)
    X["x1"] = X["u1"]
    model = fit(X, 3 * X["x1"] + 0 * y, "x1 + tabular(u1)", orthogonalize="batch")
    assert model.predict_terms(X)["tabular(u1)"].abs().max() < 1e-6


# -- strategies --------------------------------------------------------------------


def test_two_stage_leaves_the_first_stage_alone() -> None:
    for kind, X, y in targets():
        staged = fit(X, y, kind=kind, strategy="two_stage")
        alone = fit(X, y, "x1 + x2", kind)
        np.testing.assert_array_equal(staged.coef_, alone.coef_)
        np.testing.assert_array_equal(staged.cov_params_, alone.cov_params_)
        assert staged.predict_terms(X)["tabular(u1, u2, u3)"].std() > 0.05
        assert staged.score(X, y) > alone.score(X, y)
        assert "Two stages" in str(staged.summary())


def test_backfitting_trains_on() -> None:
    X, y = next((X, y) for k, X, y in targets() if k == "Classifier")
    short = ss.Training(max_epochs=3, learning_rate=1e-2)
    once = fit(X, y, kind="Classifier", training=short)
    turns = fit(X, y, kind="Classifier", training=short, strategy="backfit")
    assert len(turns.history_) > len(once.history_)
    assert turns.history_["epoch"].is_monotonic_increasing
    best = turns.history_["validation_loss"].min()
    assert best < once.history_["validation_loss"].min()
    d = turns.predict_terms(X)["tabular(u1, u2, u3)"]
    assert d.std() > once.predict_terms(X)["tabular(u1, u2, u3)"].std()
    assert "Backfitting" in str(turns.summary())


def test_backfitting_ends_when_nothing_is_gained() -> None:
    X, _, _ = table(200)
    y = np.random.default_rng(5).normal(size=200)  # nothing to learn
    model = fit(X, y, strategy="backfit", training=quick(max_epochs=2))
    np.testing.assert_allclose(model.coef_, fit(X, y, "x1 + x2").coef_, rtol=1e-6)


# -- the last layer ----------------------------------------------------------------


@pytest.mark.parametrize("kind", ["Regressor", "Classifier", "Survival"])
def test_the_last_layer_in_the_same_fit(kind) -> None:
    X, y = next((X, y) for k, X, y in targets() if k == kind)
    model = fit(X, y, kind=kind, inference="last_layer")
    (edf,) = model.inference_.deep_edf["tabular(u1, u2, u3)"]
    assert 0.5 < edf < 64
    summary = model.summary()
    assert summary.deep["edf"].iloc[0] == edf
    assert summary.statistics["Effective df"] > edf
    assert "ridge block" in str(summary)
    alone = fit(X, y, "x1 + x2", kind)
    if kind == "Regressor":  # projected: still those of the table
        np.testing.assert_allclose(model.coef_, alone.coef_, rtol=1e-6)
    comparison = ss.compare(alone, model)
    assert comparison["delta AIC"].iloc[0] > 2  # the deep term pays
    assert comparison["edf"].iloc[1] > comparison["edf"].iloc[0] + 0.5 * edf


def test_the_last_layer_beside_smooths_and_several_parameters() -> None:
    X, y, _ = table()
    terms = {"loc": PARAMETRIC + " + s(u1, k=6)", "scale": "x1"}
    model = fit(X, y, terms, inference="last_layer")
    assert list(model.params_.index.get_level_values(0).unique()) == ["loc", "scale"]
    smooths = model.summary().smooths
    assert (smooths["edf"] > 0).all()
    assert np.isfinite(smooths.to_numpy(dtype=float)).all()


# -- cross-fitting -----------------------------------------------------------------


@pytest.mark.parametrize("kind", ["Regressor", "Classifier", "Survival"])
def test_the_projection_is_cross_fitted(kind) -> None:
    X, y = next((X, y) for k, X, y in targets() if k == kind)
    model = fit(X, y, kind=kind, inference="cross_fit")
    assert model.inference_.n_refits == 5
    assert np.isfinite(model.cov_params_.to_numpy()).all()
    assert np.linalg.eigvalsh(model.cov_params_).min() > 0
    text = " ".join(str(model.summary()).split())
    assert "cross-fitted: no row met one of the 5 networks" in text
    assert "Estimand: projection" in text
    assert model.score(X, y) > fit(X, y, "x1 + x2", kind).score(X, y)
    np.testing.assert_array_equal(
        model.coef_, fit(X, y, kind=kind, inference="cross_fit").coef_
    )


def test_gaussian_projection_has_the_sandwich_of_the_table() -> None:
    """The influence function of the total effect does not know the image."""
    X, y, _ = table(confounded=0.7)
    model, alone = fit(X, y, inference="cross_fit"), fit(X, y, "x1 + x2")
    np.testing.assert_allclose(model.coef_, alone.coef_, rtol=1e-8)
    robust = ss.analysis.robust_covariance(alone, X, y)
    se = np.sqrt(np.diag(model.cov_params_))
    np.testing.assert_allclose(se, robust["std err"], rtol=1e-6)
    naive = np.sqrt(np.diag(fit(X, y).cov_params_))
    assert (se > 1.1 * naive).all()


def test_the_effect_at_a_fixed_image() -> None:
    """A confounding input: truth .5; projected it is the total effect."""
    X, y, _ = table(1000, confounded=1.0)
    training = ss.Training(max_epochs=40, learning_rate=1e-2, patience=8)
    adjusted = fit(X, y, inference="cross_fit", estimand="adjusted", training=training)
    total = fit(X, y, inference="cross_fit", training=training)
    se = np.sqrt(np.diag(adjusted.cov_params_))[1:]
    assert (np.abs(adjusted.coef_ - [0.5, -1.0]) < 3 * se).all()
    assert total.coef_[0] > 1.0
    share = adjusted.inference_.residual_share
    assert share["x1"] == pytest.approx(0.5, abs=0.12)
    assert share["x2"] > 0.9
    assert adjusted.score(X, y) > 0.75  # and it predicts, by g of all rows
    terms = adjusted.predict_terms(X)
    assert abs(terms["tabular(u1, u2, u3)"].mean()) < 1e-8
    residual = y - adjusted.predict(X)
    assert abs(residual.mean()) < 0.02
    text = " ".join(str(adjusted.summary()).split())
    assert "Estimand: adjusted" in text
    assert "(1 - R², out of fold): x1 0." in text


def test_adjusted_with_a_smooth_weights_and_a_learner() -> None:
    X, y, _ = table(300)
    y = y + np.sin(2 * X["x2"])
    model = fit(
        X,
        y,
        "x1 + s(x2, k=8) + tabular(u1, u2, u3)",
        estimand="adjusted",
        inference=ss.CrossFit(folds=2, learner=LinearRegression()),
        fit_params={"sample_weight": np.r_[np.ones(150), np.full(150, 2.0)]},
    )
    assert model.summary().smooths["edf"].iloc[0] > 1.5
    assert np.isfinite(model.predict_linear(X)["std err"]).all()


def test_repeated_splits_give_the_median_and_say_the_spread() -> None:
    X, y, _ = table(200, confounded=0.5)
    option = ss.CrossFit(folds=2, repeats=3)
    model = fit(X, y, inference=option, estimand="adjusted")
    assert model.inference_.spread > 0
    assert model.inference_.n_refits == 6
    assert "Over the repeated splits" in " ".join(str(model.summary()).split())
    alone = fit(X, y, inference=ss.CrossFit(folds=2), estimand="adjusted")
    assert alone.inference_.spread == 0


def test_groups_are_clusters() -> None:
    X, _, eta = table(300)
    g = np.repeat(np.arange(60), 5)
    X["x1"] = X["x1"].to_numpy()[g]  # a covariate of the centre
    shared = np.random.default_rng(1).normal(size=60)[g]
    y = eta + 2 * shared
    plain = fit(X, y, inference="cross_fit")
    grouped = fit(X, y, inference="cross_fit", fit_params={"groups": g})
    variances = [m.cov_params_.loc["x1", "x1"] for m in (grouped, plain)]
    assert variances[0] > 2 * variances[1]
    assert "summed by group" in str(grouped.summary())
    adjusted = fit(
        X, y, inference="cross_fit", estimand="adjusted", fit_params={"groups": g}
    )
    assert adjusted.cov_params_.loc["x1", "x1"] > 2 * variances[1]


def test_rows_that_are_never_at_risk_add_nothing() -> None:
    X, y = next((X, y) for k, X, y in targets() if k == "Survival")
    time, event = y.time.copy(), y.event.copy()
    time[0], event[0] = 1e-9, False  # censored before the first event
    model = fit(X, ss.Surv(time, event), kind="Survival", inference="cross_fit")
    assert np.isfinite(model.cov_params_.to_numpy()).all()


def test_ids_of_the_target_are_clusters() -> None:
    X, y = next((X, y) for k, X, y in targets() if k == "Survival")
    ids = np.repeat(np.arange(100), 3)
    own = ss.Surv(y.time, y.event, id=ids)
    model = fit(X, own, kind="Survival", inference="cross_fit")
    assert model.inference_.clustered


# -- the bootstrap -----------------------------------------------------------------


def test_the_bootstrap_refits_everything() -> None:
    X, y, _ = table(200)
    training = quick(max_epochs=2)
    model = fit(X, y, inference=ss.Bootstrap(30), training=training)
    plain = fit(X, y, training=training)
    np.testing.assert_array_equal(model.coef_, plain.coef_)
    se = np.sqrt(np.diag(model.cov_params_))
    alone = ss.analysis.robust_covariance(fit(X, y, "x1 + x2"), X, y)["std err"]
    assert (np.abs(np.log(se / alone)) < 0.5).all()  # 30 replicates
    assert "those of 30 refits" in str(model.summary())
    again = fit(X, y, inference=ss.Bootstrap(30), training=training)
    np.testing.assert_array_equal(model.cov_params_, again.cov_params_)


def test_groups_are_drawn_whole() -> None:
    X, _, eta = table(200)
    g = np.repeat(np.arange(20), 10)
    X["x1"] = X["x1"].to_numpy()[g]
    y = eta + 3 * np.random.default_rng(1).normal(size=20)[g]
    training = quick(max_epochs=1)
    options = {"inference": ss.Bootstrap(20), "training": training}
    grouped = fit(X, y, fit_params={"groups": g}, **options)
    plain = fit(X, y, **options)
    ratio = grouped.cov_params_.loc["x1", "x1"] / plain.cov_params_.loc["x1", "x1"]
    assert ratio > 1.5


def test_replicates_without_a_level_are_left_out() -> None:
    X, y, _ = table(60)
    X["g"] = np.where(np.arange(60) < 2, "b", "a")
    with pytest.warns(InferenceWarning, match="of 40 bootstrap replicates could not"):
        model = fit(
            X,
            y,
            "C(g) + tabular(u1)",
            inference=ss.Bootstrap(40),
            training=quick(max_epochs=1),
        )
    assert model.inference_.n_refits < 40


# -- life of the parameters --------------------------------------------------------


@pytest.mark.parametrize(
    "params",
    [
        {"strategy": "two_stage", "orthogonalize": "post_hoc"},
        {"inference": "last_layer"},
        {"inference": ss.CrossFit(folds=2), "estimand": "adjusted"},
        {"inference": ss.Bootstrap(3), "orthogonalize": "batch"},
    ],
    ids=lambda params: next(iter(params)),
)
def test_parameters_survive_clone_and_saving(params, tmp_path) -> None:
    X, y, _ = table(120)
    model = fit(X, y, training=quick(max_epochs=1), **params)
    copy = clone(model)
    assert str(copy.get_params()) == str(model.get_params())
    model.save(tmp_path / "model")
    loaded = ss.load(tmp_path / "model")
    assert str(loaded.get_params()) == str(model.get_params())
    assert str(loaded.summary()) == str(model.summary())
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    assert loaded.inference_ == model.inference_


def test_options_are_parameters() -> None:
    model = ss.SemiStructuredRegressor("x", inference=ss.CrossFit())
    assert model.get_params()["inference__folds"] == 5
    assert model.set_params(inference__folds=3).inference.folds == 3
    with pytest.raises(ParameterError, match="inference__fold"):
        model.set_params(inference__fold=3)


def test_the_summary_counts_events_for_each_degree_of_freedom() -> None:
    X, y = next((X, y) for k, X, y in targets() if k == "Survival")
    statistics = fit(X, y, kind="Survival", inference="last_layer").summary().statistics
    ratio = statistics["Events"] / statistics["Effective df"]
    assert statistics["Events per df"] == pytest.approx(ratio)
