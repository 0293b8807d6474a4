"""Missing cells: typical values with indicators, and what prediction says."""

import types

import numpy as np
import pandas as pd
import pytest

import semistruct as ss
from semistruct._core.terms import Linear
from semistruct.design import factor_columns, parse_formula
from semistruct.estimators._missing import MissingIndicator, check_no_missing
from semistruct.exceptions import ColumnError, DataError

TERMS = parse_formula("s(x, k=5) + z + C(code) + g")


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "x": rng.uniform(size=80),
            "z": rng.normal(size=80),
            "code": rng.integers(0, 3, size=80).astype(float),
            "g": rng.choice(["a", "b"], size=80),
            "other": rng.normal(size=80),
        }
    )
    frame.loc[[3, 5, 7], "x"] = np.nan
    frame.loc[[2, 5, 11], "code"] = np.nan
    frame["g"] = frame["g"].astype("category")
    frame.loc[[1, 5, 60], "g"] = None
    frame.loc[4, "other"] = np.nan
    return frame


def test_cells_are_filled_and_marked(table):
    filler = MissingIndicator.fit(TERMS, table)
    filled = filler.transform(table)
    assert filler.means == {"x": pytest.approx(table["x"].mean())}
    assert set(filler.factors) == {"code", "g"}
    assert filled["x_missing"].sum() == 3
    assert filled["x_missing"][[3, 5, 7]].all()
    assert filled["x"][3] == pytest.approx(table["x"].mean())
    assert (filled["code"][[2, 5, 11]] == "missing").all()
    assert (filled["g"][[1, 5, 60]] == "missing").all()
    assert filled["other"].isna().sum() == 1
    assert table["x"].isna().sum() == 3  # what was given is left alone
    again = MissingIndicator.from_state(filler.to_state())
    pd.testing.assert_frame_equal(again.transform(table), filled)
    assert again.indicators == {"x_missing": "x"}


def test_the_mean_counts_weights(table):
    weight = np.arange(80.0)
    filler = MissingIndicator.fit(TERMS, table, weight)
    known = table["x"].notna()
    expected = np.average(table["x"][known], weights=weight[known])
    assert filler.means["x"] == pytest.approx(expected)


def test_the_fit_is_that_of_a_table_filled_by_hand(table):
    y = np.nan_to_num(table["x"]) + np.random.default_rng(1).normal(size=80)
    filler = MissingIndicator.fit(TERMS, table)
    terms = list(filler.terms(TERMS))
    model = ss.GAM(terms).fit(filler.transform(table), y)
    by_hand = table.assign(
        m=table["x"].isna() * 1.0,
        x=table["x"].fillna(table["x"].mean()),
        code=[3 if np.isnan(v) else int(v) for v in table["code"]],
        g=table["g"].astype(object).fillna("missing"),
    )
    peer = ss.GAM("s(x, k=5) + z + C(code) + g + m").fit(by_hand, y)
    for rows in (slice(None), slice(5, 6)):
        found = model.predict(filler.transform(table.iloc[rows]))
        np.testing.assert_allclose(found, peer.predict(by_hand.iloc[rows]))


def test_terms_take_the_indicators_of_their_own_columns(table):
    filler = MissingIndicator.fit(TERMS, table)
    assert filler.terms(parse_formula("z")) == parse_formula("z")
    assert filler.terms(parse_formula("x"))[-1] == Linear("x_missing")


def test_names_with_spaces(table):
    table = table.rename(columns={"x": "my x"})
    filler = MissingIndicator.fit(parse_formula("`my x`"), table)
    terms = list(filler.terms(parse_formula("`my x`")))
    model = ss.GAM(terms).fit(filler.transform(table), table["z"])
    assert "my x_missing" in model.params_.index[-1]


def test_factor_columns():
    terms = parse_formula("C(a) + b + np.log(d):C(e) + re(h) + s(u, by=v)")
    assert factor_columns(terms) == {"a", "e", "h"}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"x": np.nan}, DataError, "'x' has no cell at all"),
        ({"x_missing": 0.0}, ColumnError, "makes a column 'x_missing'"),
        ({"g": ["missing", None] * 40}, DataError, "the level 'missing' beside"),
    ],
)
def test_what_is_refused(table, change, error, message):
    with pytest.raises(error, match=message):
        MissingIndicator.fit(TERMS, table.assign(**change))


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("drop", "drops rows in fit only"),
        ("error", "'error' allows none"),
        ("indicator", "it had none in fit"),
    ],
)
def test_prediction_says_what_the_policy_does(table, missing, message):
    model = types.SimpleNamespace(missing=missing)
    text = rf"'x' has 3 missing values, the first in row 3.*{message}"
    with pytest.raises(DataError, match=text):
        check_no_missing(model, table, ["z", "x"])
    check_no_missing(model, table, ["z", "not there"])


@pytest.mark.parametrize("task", ["GAM", "survival"])
def test_fits_with_missing_cells(task, tmp_path):
    rng = np.random.default_rng(5)
    n = 400
    X = pd.DataFrame({"x": rng.normal(size=n), "g": rng.choice(["a", "b"], n)})
    y = 2 * X["x"] + (X["g"] == "b") + 0.1 * rng.normal(size=n)
    X.loc[rng.random(n) < 0.2, "x"] = np.nan
    X.loc[rng.random(n) < 0.1, "g"] = None
    # the same by hand
    filled = X.assign(
        x=X["x"].fillna(X["x"].mean()), gone=X["x"].isna() * 1.0, g=X["g"].fillna("no")
    )
    if task == "GAM":
        model = ss.GAM("x + C(g)", missing="indicator").fit(X, y)
        slow = ss.GAM("x + C(g) + gone").fit(filled, y)
    else:
        times = ss.Surv(np.exp(-y))
        kind = ss.SemiStructuredSurvival
        model = kind("x + C(g)", missing="indicator").fit(X, times)
        slow = kind("x + C(g) + gone").fit(filled, times)
    np.testing.assert_allclose(model.predict(X), slow.predict(filled), rtol=1e-6)
    assert "x_missing" in str(model.summary())
    assert list(model.feature_names_in_) == ["x", "g"]
    model.save(tmp_path / "model")
    again = ss.load(tmp_path / "model")
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    whole = X.dropna()
    other = model.fit(whole, y[whole.index] if task == "GAM" else times[whole.index])
    with pytest.raises(DataError, match="it had none in fit"):
        other.predict(X)
