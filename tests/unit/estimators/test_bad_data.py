"""Bad tables, targets and weights: each is a named error that says what and where."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import semistruct as ss
from semistruct.exceptions import (
    ColumnError,
    DataError,
    ImageError,
    NotFittedError,
    TargetError,
    UnseenLevelError,
)


@pytest.mark.parametrize("missing", ["error", "drop"])
@pytest.mark.parametrize(
    ("terms", "column", "near"),
    [
        ("agee + C(stage)", "agee", "age"),
        ("age + C(stge)", "stge", "stage"),
        ("age + s(bmj)", "bmj", "bmi"),
        ("age + image(scam)", "scam", "scan"),
        ("age + image(scan, by=bmx)", "bmx", "bmi"),
        ("age + omics('bmii_*')", r"bmii_\*", "bmi"),
        ("age + offset(sbmi)", "sbmi", "bmi"),
    ],
)
def test_unknown_column(case, terms, column, near, missing):
    message = rf"{column}'.*Did you mean '{near}'\?"
    with pytest.raises(ColumnError, match=message):
        case.make(terms, missing=missing).fit(case.X, case.y)


def test_column_that_is_gone_at_prediction(case):
    model = case.make().fit(case.X, case.y)
    with pytest.raises(ColumnError, match=r"no column 'bmi'.*Did you mean 'bm'\?"):
        model.predict(case.X.rename(columns={"bmi": "bm"}))
    with pytest.raises(ColumnError, match="two columns 'age'; rename one"):
        model.predict(pd.concat([case.X, case.X[["age"]]], axis=1))


@pytest.mark.parametrize("column", ["age", "stage", "bmi"])
def test_nan_in_a_structured_column(case, column):
    X = case.X.set_axis([f"row{i}" for i in range(len(case.X))])
    X.loc["row17", column] = None
    X.loc["row30", column] = None
    message = rf"'{column}' .*2 missing values, the first in row 'row17'"
    with pytest.raises(DataError, match=message):
        case.make().fit(X, case.y)
    model = case.make().fit(case.X, case.y)
    with pytest.raises(DataError, match=message):
        model.predict(X)


def test_missing_drop_says_how_many(case):
    X = case.X.copy()
    X.loc[X.index[[4, 9]], "age"] = np.nan
    X.loc[X.index[9:11], "stage"] = None
    X.loc[X.index[20:25], "scan"] = None  # a missing scan drops no row
    weight = np.linspace(0.5, 1.5, len(X))
    model = case.make(missing="drop")
    with pytest.warns(UserWarning, match="dropped 3 of 240 rows") as caught:
        model.fit(X, case.y, sample_weight=weight, groups=np.arange(len(X)) // 2)
    assert caught[0].filename == __file__
    keep = ~np.isin(np.arange(len(X)), [4, 9, 10])
    whole = case.make().fit(
        X[keep], case.y[keep], weight[keep], (np.arange(len(X)) // 2)[keep]
    )
    np.testing.assert_array_equal(model.coef_, whole.coef_)
    assert model.n_rows_ == 237
    with pytest.raises(DataError, match="1 missing value, the first in row 4"):
        model.predict(X.head(6))
    with pytest.raises(DataError, match="leaves no row"):
        model.fit(X.assign(age=np.nan), case.y)


def test_dropped_rows_may_lack_the_target_too(regression):
    X, y = regression.X.copy(), regression.y.copy()
    X.loc[X.index[3], "age"] = np.nan
    y[3] = np.nan
    with pytest.warns(UserWarning, match="dropped 1 of 240"):
        model = regression.make("age", missing="drop").fit(X, y)
    assert model.n_rows_ == 239


def test_infinite_values(case):
    X = case.X.copy()
    X.loc[X.index[5], "bmi"] = np.inf
    with pytest.raises(DataError, match=r"'bmi'.*infinite value.*row 5"):
        case.make().fit(X, case.y)
    negative = case.X.assign(age=case.X["age"].where(case.X.index != 2, -1.0))
    with pytest.raises(DataError, match=r"np.log\(age\).*row 2"):
        case.make("np.log(age)").fit(negative, case.y)


def test_unseen_level(case):
    model = case.make().fit(case.X, case.y)
    new = case.X.head(5).assign(stage=["I", "II", "III", "IV", "V"])
    message = r"'stage'.*level 'IV' in row 3 \(2 rows in all\).*'I', 'II', 'III'"
    with pytest.raises(UnseenLevelError, match=message):
        model.predict(new)
    plain = model.predict(case.X.head(3).assign(stage=["I", "II", "III"]))
    assert plain.shape == (3,)


def test_numbers_where_levels_stand_and_the_reverse(case):
    with pytest.raises(DataError, match=r"s\(stage\) needs numbers.*C\(stage\)"):
        case.make("s(stage)").fit(case.X, case.y)
    with pytest.raises(DataError, match=r"'stage' of omics\(stage\) must be numeric"):
        case.make("age + omics(stage)").fit(case.X, case.y)


def test_omics_rows_that_lack_a_part(case):
    X = case.X.assign(g1=1.0, g2=np.arange(len(case.X), dtype=float))
    X.loc[X.index[7], "g1"] = np.nan
    message = r"omics\(g\*\): row 7 lacks the column 'g1' but has others"
    with pytest.raises(DataError, match=message):
        case.make("age + omics('g*')").fit(X, case.y)
    X["g2"] = X["g2"].where(X.index != 3, np.inf)
    X.loc[X.index[7], "g1"] = 0.0
    with pytest.raises(DataError, match=r"'g2' of omics\(g\*\) is infinite in row 3"):
        case.make("age + omics('g*')").fit(X, case.y)
    with pytest.raises(DataError, match="every row of its columns is missing"):
        case.make("age + omics('g*')").fit(X.assign(g1=np.nan, g2=np.nan), case.y)


def test_no_image_at_all(case):
    blank = ss.TensorArray(np.zeros((240, 8, 8), "uint8"), np.zeros(240, dtype=bool))
    with pytest.raises(ImageError, match=r"image\(scan\): column 'scan' has no image"):
        case.make().fit(case.X.assign(scan=blank), case.y)
    with pytest.raises(ImageError, match=r"column 'age', row 0: a cell is a path"):
        case.make("bmi + image(age)").fit(case.X, case.y)


def test_constant_column(case):
    X = case.X.assign(one=2.5, same="a")
    with pytest.raises(DataError, match=r"'one'.*is 2.5 in every row"):
        case.make("age + one").fit(X, case.y)
    with pytest.raises(DataError, match=r"'same'.*one level only, 'a'"):
        case.make("age + C(same)").fit(X, case.y)
    with pytest.raises(DataError, match=r"'one' of s\(one\) has"):
        case.make("age + s(one)").fit(X, case.y)
    with pytest.raises(DataError, match="x1 is constant"):
        case.make(None).fit(np.column_stack([case.X["age"], X["one"]]), case.y)


def test_collinear_columns_are_named(case):
    X = case.X.assign(twice=2 * case.X["age"] + (case.X["stage"] == "II"))
    with pytest.raises(DataError, match=r"'twice'.*linear combinations"):
        case.make("age + C(stage) + twice").fit(X, case.y)
    with pytest.raises(DataError, match=r"'twice'.*linear combinations"):
        case.make("age + C(stage) + twice + image(scan)").fit(X, case.y)


def test_collinear_columns_of_many_classes():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(90, 2)), columns=["a", "b"])
    with pytest.raises(DataError, match=r"the columns 'c' are linear combinations"):
        ss.SemiStructuredClassifier("a + b + c").fit(
            X.assign(c=X["a"] + X["b"]), rng.integers(3, size=90)
        )


def test_fewer_rows_than_columns(case):
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(20, 30)))
    count = 30 if case.name.endswith("Survival") else 31
    y = case.y[:20]
    with pytest.raises(DataError, match=f"n_samples = 20 is not enough for {count}"):
        case.make(None).fit(X, y)
    weight = np.r_[np.ones(3), np.zeros(17)]
    with pytest.raises(DataError, match="n_samples = 3 is not enough for"):
        case.make("age + bmi + C(stage)").fit(case.X.head(20), y, sample_weight=weight)
    terms = "s(bmi, k=15) + s(age, k=15)"  # 28 coefficients, but penalised ones
    penalised = case.make(terms).fit(case.X.head(26), case.y[:26])
    assert np.isfinite(penalised.coef_).all()


@pytest.mark.parametrize("X", [np.ones((1, 3)), pd.DataFrame({"age": [1.0]})])
def test_one_row(case, X):
    with pytest.raises(ValueError, match=r"1 sample\(s\).*minimum of 2 is required"):
        case.make(None).fit(X, case.y[:1])
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        case.make(None).fit(X[:0], case.y[:0])


def test_no_target(case):
    with pytest.raises(TargetError, match="requires y to be passed, but the target y"):
        case.make().fit(case.X, None)


def test_target_of_another_length(case):
    with pytest.raises(DataError, match="X has 240 rows, but y has 100"):
        case.make().fit(case.X, case.y[:100])
    if case.name.endswith("Survival"):
        with pytest.raises(DataError, match="X has 240 rows, but y has 100"):
            case.make().fit(case.X, case.y.time[:100])


def test_target_of_two_columns(case):
    with pytest.raises(TargetError, match=rf"{case.name}: y should be a 1d array"):
        case.make().fit(case.X, np.ones((240, 2)))


def test_strings_for_a_regressor(regression):
    y = np.where(regression.y > 5, "high", "low")
    with pytest.raises(
        TargetError, match=r"SemiStructuredRegressor: y must be numeric"
    ):
        regression.make().fit(regression.X, y)
    with pytest.raises(TargetError, match=r"SemiStructuredRegressor: y must be"):
        regression.make().fit(regression.X, ss.Surv(np.abs(regression.y)))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_in_the_target(case, value):
    if case.name.endswith("Regressor"):
        y, message = case.y.to_numpy(copy=True), "y contains NaN or infinity.*row 7"
    elif case.name.endswith("Survival"):
        y, message = case.y.time.copy(), "time must be finite.*row 7"
    else:
        y, message = np.repeat([0.0, 1.0], 120), "missing or infinite in 1 row.* row 7"
    y[7] = value
    with pytest.raises(TargetError, match=message):
        case.make().fit(case.X, y)


def test_missing_labels(classification):
    y = classification.y.astype(object)
    y[11] = None
    with pytest.raises(
        TargetError, match=r"missing or infinite in 1 row.* first at row 11"
    ):
        classification.make().fit(classification.X, y)


def test_continuous_target_for_a_classifier(classification):
    y = np.linspace(0.1, 0.9, 240)
    with pytest.raises(TargetError, match="Unknown label type: continuous"):
        classification.make().fit(classification.X, y)


def test_one_class(classification):
    message = "y has one class only, np.str_|y has one class only, 'a'"
    with pytest.raises(TargetError, match=message):
        classification.make().fit(classification.X, np.repeat("a", 240))
    weight = (classification.y == "a").astype(float)
    with pytest.raises(TargetError, match="one class only"):
        classification.make().fit(classification.X, classification.y, weight)


def test_counts_for_poisson(regression):
    for y, message in (
        (regression.y, "y must be a count"),
        (-np.arange(240), "y must be a count .*row 1 holds -1"),
    ):
        with pytest.raises(TargetError, match=message):
            regression.make("age", family="poisson").fit(regression.X, y)


def test_survival_targets(survival):
    X, y = survival.X, survival.y
    with pytest.raises(TargetError, match=r"no event: all 240 rows are censored"):
        survival.make().fit(X, ss.Surv(y.time, np.zeros(240)))
    with pytest.raises(TargetError, match="no event"):
        survival.make().fit(X, y, sample_weight=(~y.event).astype(float))
    with pytest.raises(TargetError, match=r"time must be numbers; got texts"):
        survival.make().fit(X, np.repeat("a", 240))
    with pytest.raises(
        TargetError, match=r"time must be finite and not negative.*row 0"
    ):
        survival.make().fit(X, -y.time)
    weighted = ss.Surv(y.time, y.event, weights=np.ones(240))
    with pytest.raises(TargetError, match=r"both sample_weight and the weights of y"):
        survival.make().fit(X, weighted, sample_weight=np.ones(240))
    pairs = np.array(
        list(zip(y.event, y.time, strict=True)), dtype=[("e", bool), ("t", float)]
    )
    one = survival.make("age").fit(X, pairs)
    two = survival.make("age").fit(X, y)
    np.testing.assert_array_equal(one.coef_, two.coef_)
    assert one.score(X, pairs) == two.score(X, y)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.r_[-1.0, np.ones(239)], r"not negative; row 0 has -1.0"),
        (np.r_[1.0, np.nan, np.ones(238)], r"must be finite.*row 1 has nan"),
        (np.zeros(240), "zero in every row"),
        (np.ones(10), r"must have shape \(240,\); got \(10,\)"),
        (np.ones((240, 1)), r"must have shape \(240,\); got \(240, 1\)"),
        (["heavy"] * 240, "must be numbers"),
    ],
)
def test_sample_weight(case, weight, message):
    with pytest.raises(DataError, match=rf"{case.name}: sample_weight .*{message}"):
        case.make().fit(case.X, case.y, sample_weight=weight)


def test_a_number_is_every_rows_weight(case):
    one = case.make("age").fit(case.X, case.y, sample_weight=2.0)
    two = case.make("age").fit(case.X, case.y)
    np.testing.assert_allclose(one.coef_, two.coef_, rtol=1e-6)


def test_before_fit(case):
    model = case.make()
    for use in (
        lambda: model.predict(case.X),
        lambda: model.predict_terms(case.X),
        lambda: model.score(case.X, case.y),
        lambda: model.summary(),
        lambda: model.save("nowhere"),
        lambda: model.coef_,
        lambda: model.intercept_,
        lambda: model.cov_params_,
    ):
        with pytest.raises((NotFittedError, AttributeError), match="not fitted yet"):
            use()


def test_no_table(case):
    with pytest.raises(ValueError, match="2D array"):
        case.make(None).fit(np.arange(240.0), case.y)
    mixed = case.X[["age", "bmi"]].set_axis(["age", 3], axis=1)
    with pytest.raises(TypeError, match="all input features have string names"):
        case.make(None).fit(mixed, case.y)
