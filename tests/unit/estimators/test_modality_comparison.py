"""Comparison of modalities: the same folds, the right variance, plain words."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
from sklearn.base import BaseEstimator
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold

import semistruct as ss
from semistruct._core.randomness import generator
from semistruct.estimators import ModalityComparison, corrected_resampled_ttest
from semistruct.estimators._held_out_scores import fit_and_score, resolve_metrics
from semistruct.estimators._modality_subsets import (
    configurations,
    read_modalities,
    with_terms,
)
from semistruct.exceptions import (
    DataError,
    FormulaError,
    InferenceWarning,
    ParameterError,
)

PARTS = {"clinic": "x + z", "lab": "u", "noise": "e"}


def table(n: int = 240, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    rng = generator(seed)
    X = pd.DataFrame(rng.normal(size=(n, 4)), columns=["x", "z", "u", "e"])
    y = X["x"] + X["z"] + 0.7 * X["u"] + rng.normal(size=n)
    return X, y.to_numpy()


def model() -> ss.SemiStructuredRegressor:
    return ss.SemiStructuredRegressor("x + z + u + e")


def compare(*args: Any, **options: Any) -> Any:
    """Compare, whichever model is the best."""
    options = {"n_boot": 30, "random_state": 0, **options}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InferenceWarning)
        return ss.compare_modalities(*args, **options)


def test_scores_and_gains_are_those_of_fits_by_hand() -> None:
    X, y = table()
    cv = KFold(4, shuffle=True, random_state=3)
    found = compare(model(), X, y, PARTS, cv=cv, combinations=[("lab", "clinic")])
    columns = {
        "clinic": ["x", "z"],
        "lab": ["u"],
        "noise": ["e"],
        "clinic + lab": ["x", "z", "u"],
        "clinic + noise": ["x", "z", "e"],
        "lab + noise": ["u", "e"],
        "clinic + lab + noise": ["x", "z", "u", "e"],
    }
    assert list(found.scores.index) == list(columns)
    by_hand = {
        name: np.array(
            [
                LinearRegression()
                .fit(X.iloc[train][own], y[train])
                .score(X.iloc[test][own], y[test])
                for train, test in cv.split(X)
            ]
        )
        for name, own in columns.items()
    }
    for name, scores in by_hand.items():
        folds = found.folds.query("model == @name").sort_values("split")
        np.testing.assert_allclose(folds["score"], scores, rtol=1e-6)
        assert found.scores.loc[name, "r2"] == pytest.approx(scores.mean())
    gains = found.gains.set_index("modality")
    full = by_hand["clinic + lab + noise"]
    for part, rest in (("clinic", "lab + noise"), ("noise", "clinic + lab")):
        expected = corrected_resampled_ttest(full - by_hand[rest], 180, 60)
        for key, value in (("gain", expected.mean), ("p_value", expected.p_value)):
            assert gains.loc[part, key] == pytest.approx(value, rel=1e-5)


def test_resamples_are_the_same_for_every_model_and_cost_no_prediction() -> None:
    X, y = table(100)
    calls = []

    class Counting(BaseEstimator):
        def fit(self, X, y):
            return self

        def predict(self, X):
            calls.append(len(X))
            return X["x"].to_numpy()

    rows = (np.arange(60), np.arange(60, 100))
    given = (X, y, None, rows, {"r2": resolve_metrics("r2", None, y)["r2"]}, 25, 7)
    one, two = (fit_and_score(Counting(), *given) for _ in range(2))
    assert calls == [40, 40]
    assert (one.resampled == two.resampled).all()
    rng = generator(7)
    drawn = rng.integers(0, 40, 40)
    expected = r2_score(y[60:][drawn], X["x"].to_numpy()[60:][drawn])
    assert one.resampled[0, 0] == pytest.approx(expected)


def test_bootstrap_intervals_cover_the_gain_and_tell_signal_from_noise() -> None:
    X, y = table(400)
    found = compare(model(), X, y, PARTS, n_boot=200)
    gains = found.gains.set_index("modality")
    assert (gains["boot_lower"] < gains["gain"]).all()
    assert (gains["gain"] < gains["boot_upper"]).all()
    assert gains.loc["lab", "boot_lower"] > 0.05
    assert gains.loc["noise", "boot_lower"] < 0.0
    text = str(found)
    assert "lab adds" in text
    assert "noise: no change of r2 is shown" in text
    low = gains.loc["lab", "boot_lower"]
    assert f"95 % CI {low:.3f}" in text


def survival(n: int = 300) -> tuple[pd.DataFrame, ss.Surv]:
    X, _ = table(n, seed=4)
    rng = generator(5)
    time = rng.exponential(np.exp(-X["x"].to_numpy()))
    end = rng.exponential(2.0, size=n)
    y = ss.Surv(np.minimum(time, end), time <= end, id=np.arange(n))
    return X, y


def test_the_table_alone_may_win() -> None:
    X, y = survival()
    X = X.assign(**{f"rna_{j}": generator(j).normal(size=len(X)) for j in range(4)})
    terms = "x + omics('rna_*')"
    training = ss.Training(max_epochs=3, learning_rate=0.05, patience=None)
    estimator = ss.SemiStructuredSurvival(
        terms, training=training, orthogonalize="none", random_state=0
    )
    wide = {"table": "x", "genes": "omics('rna_*')"}
    options: dict[str, Any] = {"cv": 3, "n_boot": 20, "random_state": 0}
    found = compare(estimator, X, y, metrics=["harrell", "ibs"], **options)
    assert list(found.scores.index) == ["table", "rna_*", "table + rna_*"]
    assert found.table == "table"
    assert found.scores.loc["table", "harrell"] > 0.65
    named = compare(estimator, X, y, wide, **options)
    assert list(named.scores.index) == ["table", "genes", "table + genes"]
    np.testing.assert_allclose(named.scores, found.scores[["harrell"]].to_numpy())
    worse = found.scores.copy()
    worse.loc["table", "harrell"] = worse["harrell"].max() + 0.01
    text = str(replace(found, scores=worse))
    assert "The table alone wins: harrell" in text
    assert "picked on the folds" in text


def test_the_best_of_several_is_warned_of() -> None:
    X, y = table(60)
    y = X["x"].to_numpy() + generator(1).normal(size=60)
    parts = {"signal": "x", "noise": "z + u + e"}
    estimator = ss.SemiStructuredRegressor("x + z + u + e")
    with pytest.warns(InferenceWarning, match="'signal'.*picked on the folds"):
        found = ss.compare_modalities(estimator, X, y, parts, n_boot=10, random_state=0)
    assert found.best == "signal"
    strong, target = table(400)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ss.compare_modalities(
            ss.SemiStructuredRegressor("x + u"),
            strong,
            target,
            {"a": "x", "b": "u"},
            n_boot=10,
            random_state=0,
        )


def test_groups_are_never_torn_and_events_are_in_proportion() -> None:
    X, y = survival(120)
    person = np.repeat(np.arange(40), 3)
    seen: list[tuple[np.ndarray, np.ndarray]] = []

    class Spy(ss.SemiStructuredSurvival):
        def fit(self, X, y, sample_weight=None, groups=None):
            seen.append((X.index.to_numpy(), groups, y.event.mean()))
            return super().fit(X, y, sample_weight, groups)

    compare(Spy("x + z"), X, y, {"a": "x", "b": "z"}, groups=person, cv=4)
    assert len(seen) == 3 * 4
    for rows, groups, share in seen:
        left = np.setdiff1d(np.arange(120), rows)
        assert not set(person[left]) & set(person[rows])
        assert (groups == person[rows]).all()
        assert share == pytest.approx(y.event.mean(), abs=0.08)


def test_ids_of_the_target_are_the_groups() -> None:
    X, y = survival(120)
    own = np.repeat(np.arange(60), 2)
    entry = np.tile([0.0, 20.0], 60)  # the second spell begins where the first is over
    target = ss.Surv(np.minimum(y.time, 19.0) + entry, y.event, entry=entry, id=own)
    found = compare(
        ss.SemiStructuredSurvival("x + z"),
        X,
        target,
        {"a": "x", "b": "z"},
        cv=GroupKFold(3),  # refuses to split without groups
    )
    assert found.folds["n_test"].unique().tolist() == [40]


def test_every_combination_is_tuned_within_its_folds() -> None:
    X, y = table(90)
    sizes = []

    def search(estimator: Any) -> Any:
        grid = GridSearchCV(estimator, {"method": ["REML", "ML"]}, cv=2)
        sizes.append(grid)
        return grid

    found = compare(
        ss.SemiStructuredRegressor("s(x, k=5) + u"),
        X,
        y,
        {"a": "s(x, k=5)", "b": "u"},
        cv=3,
        search=search,
    )
    assert len(sizes) == 9
    assert all(grid.best_params_["method"] in ("REML", "ML") for grid in sizes)
    assert all(grid.n_features_in_ <= 4 for grid in sizes)
    assert np.isfinite(found.scores.to_numpy()).all()


def test_classifiers_and_their_metrics() -> None:
    X, y = table(200)
    classes = np.where(y > 0, "high", "low")
    found = compare(
        ss.SemiStructuredClassifier("x + z + u"),
        X,
        classes,
        {"a": "x + z", "b": "u"},
        metrics=["accuracy", "roc_auc", "neg_log_loss"],
        cv=3,
    )
    assert list(found.scores) == ["accuracy", "roc_auc", "neg_log_loss"]
    assert (found.scores.loc["a + b"] > found.scores.loc["b"]).all()
    plain = compare(
        ss.SemiStructuredClassifier("x + u"), X, classes, {"a": "x", "b": "u"}, cv=3
    )
    assert list(plain.scores) == ["accuracy"]
    assert plain.gains["boot_lower"].notna().all()


def test_repeats_deal_anew_and_processes_do_not_matter() -> None:
    X, y = table(80)
    parts = {"a": "x + z", "b": "u"}
    options: dict[str, Any] = {"cv": 2, "repeats": 3}
    one = compare(model(), X, y, parts, **options)
    with parallel_config(backend="threading"):
        two = compare(model(), X, y, parts, n_jobs=2, **options)
    assert one.folds["split"].nunique() == 6
    assert one.folds.groupby("split")["score"].first().nunique() == 6
    pd.testing.assert_frame_equal(one.gains, two.gains)


def test_fused_terms_stay_fused_with_what_is_left() -> None:
    terms = "age + fuse(image(scan), omics('rna_*'), tabular(bmi), how='mean')"
    estimator = ss.SemiStructuredSurvival(terms)
    parts = read_modalities(estimator, None, ["age"])
    assert list(parts) == ["table", "scan", "rna_*", "bmi"]
    labels = [
        [t.label for t in with_terms(estimator, parts, names).terms]
        for names in (("table",), ("scan",), ("table", "scan", "bmi"), tuple(parts))
    ]
    assert labels == [
        ["age"],
        ["image(scan)"],
        ["age", "fuse(image(scan), tabular(bmi))"],
        ["age", "fuse(image(scan), omics(rna_*), tabular(bmi))"],
    ]
    left = with_terms(estimator, parts, ("scan", "bmi")).terms[0]
    assert left.how == "mean"
    assert estimator.terms == terms


def test_systems_keep_their_structure() -> None:
    system = ss.systems.PancancerSurv("image(scan) + omics('rna_*')", "age")
    parts = read_modalities(system, None, ["age"])
    assert list(parts) == ["table", "scan", "rna_*"]
    both = with_terms(system, parts, ("scan", "rna_*"))
    assert [t.label for t in both.terms] == ["fuse(image(scan), omics(rna_*))"]
    assert [t.label for t in with_terms(system, parts, ("table",)).terms] == ["age"]
    one = with_terms(system, parts, ("table", "rna_*"))
    assert [t.label for t in one.terms] == ["age", "omics(rna_*)"]


def test_configurations_are_named_once_in_the_order_of_the_modalities() -> None:
    assert list(configurations(["a", "b"], [])) == ["a", "b", "a + b"]
    found = configurations(["a", "b", "c", "d"], [("c", "a"), "b"])
    assert list(found)[:5] == ["a", "b", "c", "d", "a + c"]
    assert list(found)[-1] == "a + b + c + d"
    assert len(found) == 4 + 1 + 4 + 1


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"modalities": {"a": "x"}}, ParameterError, "two modalities or more"),
        ({"modalities": ["x", "z"]}, ParameterError, "a dict from names"),
        ({"combinations": [("clinic", "labb")]}, ParameterError, "mean 'lab'"),
        ({"cv": 1}, ParameterError, "cv"),
        ({"cv": "five"}, ParameterError, "cv"),
        ({"cv": [([0, 1], [1, 2]), ([2], [0])]}, ParameterError, "trains and tests"),
        ({"cv": 3.5}, ParameterError, "splitter"),
        ({"repeats": 0}, ParameterError, "repeats"),
        ({"n_boot": 0}, ParameterError, "n_boot"),
        ({"metrics": "r22"}, ParameterError, "mean 'r2'"),
        ({"metrics": []}, ParameterError, "one or more"),
        ({"X": np.zeros((240, 4))}, ParameterError, "a DataFrame"),
        ({"y": np.zeros(3)}, DataError, "but y has 3"),
        ({"estimator": LinearRegression()}, ParameterError, "the parameter terms"),
        (
            {"estimator": ss.SemiStructuredRegressor({"loc": "x", "scale": "z"})},
            FormulaError,
            "one formula",
        ),
    ],
)
def test_what_cannot_be_compared_is_named(options, error, words) -> None:
    X, y = table()
    given = {"estimator": model(), "X": X, "y": y, "modalities": PARTS, **options}
    with pytest.raises(error, match=words):
        compare(**given)


@pytest.mark.parametrize(
    ("gain", "interval", "p", "words"),
    [
        (0.03, (0.01, 0.05), 0.01, "photo adds 0.030 r2 to the others (95 % CI 0.010"),
        (-0.03, (-0.05, -0.01), 0.01, "photo costs the others 0.030 r2 (95 % CI"),
        (0.03, (0.01, 0.05), 0.2, "photo may add 0.030 r2"),
        (-0.03, (-0.05, 0.01), 0.04, "photo may cost 0.030 r2"),
        (0.03, (-0.01, 0.05), 0.2, "photo: no change of r2 is shown"),
    ],
)
def test_a_gain_is_said_in_plain_words(gain, interval, p, words) -> None:
    row = {"modality": "photo", "metric": "r2", "gain": gain, "p_value": p}
    row |= {"boot_lower": interval[0], "boot_upper": interval[1]}
    scores = pd.DataFrame({"r2": [0.5, 0.4]}, index=["all", "table"])
    found = ModalityComparison(
        folds=pd.DataFrame({"split": [0]}),
        scores=scores,
        gains=pd.DataFrame([row]),
        full="all",
        table="table",
    )
    (sentence,) = found.sentences()
    assert sentence.startswith(words)


def test_a_metric_that_is_hardly_ever_defined_is_an_error() -> None:
    X, y = table(60)

    def brittle(estimator: Any, X: Any, y: Any) -> float:
        if len(set(X.index)) < len(X):  # a resample
            raise DataError("not defined")
        return r2_score(y, estimator.predict(X))

    with pytest.raises(DataError, match=r"brittle.*more than half"):
        compare(model(), X, y, PARTS, metrics={"brittle": brittle}, cv=2)
