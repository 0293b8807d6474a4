"""Reports of every kind of model: complete, true to the model, without network."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

import semistruct as ss
from semistruct.exceptions import DataError, NotFittedError, ParameterError
from semistruct.reporting._facts import formatted, is_of_fit, sized

FEW = ss.Training(max_epochs=2)


def _read(path):
    return path.read_text(encoding="utf-8")


def _simulated(n=160):
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(n, 15)), columns=[f"g{i}" for i in range(15)])
    X = X.assign(age=rng.normal(size=n), site=rng.choice(list("abc"), n))
    return X, X["age"].to_numpy() + X["g0"].to_numpy(), rng


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """A survival model with a scan, and the text of its report on other rows."""
    X, y = ss.datasets.make_survival_digits(240, random_state=0)
    model = ss.SemiStructuredSurvival(
        "age + C(stage) + s(bmi) + image(scan)", training=FEW, random_state=3
    ).fit(X[:160], y[:160])
    path = tmp_path_factory.mktemp("report") / "new" / "page.html"
    assert ss.report(model, path, X[160:], y[160:], title="A <scan>") == path
    return model, X, y, _read(path)


def test_a_page_holds_every_part(scans):
    *_, text = scans
    assert "<title>A &lt;scan&gt;</title>" in text
    found = re.findall(r"<h2[^>]*>(.*?)</h2>", text)
    assert found == [
        "Data",
        "Model",
        "Coefficients",
        "Smooth and random terms",
        "Deep terms",
        "Scores",
        "Calibration",
        "Curves over time",
        "Single rows",
        "What the numbers rest on",
        "Versions, seed and settings",
    ]
    assert text.count('src="data:image/png;base64,') == text.count("<img") == 10
    assert "cannot be shown" not in text


def test_a_page_needs_no_network_and_can_be_dark(scans):
    *_, text = scans
    assert not re.search(r"(src|href)=\"(?!data:|#)", text)
    assert "@import" not in text
    assert "prefers-color-scheme: dark" in text


def test_numbers_of_the_page_are_those_of_the_model(scans):
    model, X, y, text = scans
    summary = model.summary()
    assert f"<td>{sized(summary.coefficients.loc['age', 'coef'])}</td>" in text
    assert f"<td>{sized(model.score(X[160:], y[160:]))}</td>" in text
    assert f"<td>{sized(summary.deep['share'].iloc[0])}</td>" in text
    assert "<td>3</td>" in text  # the seed
    assert "conditional on the deep terms" in text
    assert str(model.target_digest_) in text


def test_rows_of_the_fit_are_told_from_others(scans):
    model, _, y, text = scans
    assert "not that of the fit (160" in text
    assert is_of_fit(model, y[:160])
    assert not is_of_fit(model, y[80:])
    assert not is_of_fit(model, y[:160][::-1])


@pytest.mark.parametrize("head", ["cox", "pamm", "discrete", "weibull"])
def test_every_survival_head_knows_its_rows(head, tmp_path):
    X, y = ss.datasets.load_rossi()
    terms = "s(time) + fin + age" if head == "pamm" else "fin + age"
    model = ss.SemiStructuredSurvival(terms, head=head).fit(X[:200], y[:200])
    text = _read(ss.report(model, tmp_path / "p.html", X[:200], y[:200]))
    assert "those that the model was fitted to" in text
    assert "cannot be shown" not in text
    assert "Curves over time" in text


@pytest.mark.parametrize("head", ["cox", ss.heads.FineGray(cause="a")])
def test_competing_risks(head, tmp_path):
    X, y = ss.datasets.load_rossi()
    cause = np.where(np.random.default_rng(0).random(len(y)) < 0.5, "a", "b")
    y = ss.Surv(y.time, y.event, cause=cause)
    model = ss.SemiStructuredSurvival("fin + age", head=head).fit(X, y)
    text = _read(ss.report(model, tmp_path / "p.html", X, y))
    assert "C of a" in text
    assert "incidence" in text
    assert "cannot be shown" not in text


def test_strata_have_their_own_curves(tmp_path):
    X, y = ss.datasets.load_rossi()
    y = ss.Surv(y.time, y.event, strata=X["wexp"])
    model = ss.SemiStructuredSurvival("fin + age").fit(X, y)
    text = _read(ss.report(model, tmp_path / "p.html", X, y))
    assert "cannot be shown" not in text


def test_classes_and_columns(tmp_path):
    X, eta, rng = _simulated()
    y = np.array(["x", "y", "z"])[np.searchsorted([-1, 1], eta + rng.normal(size=160))]
    model = ss.SemiStructuredClassifier(
        "age + re(site) + omics('g*')", training=FEW, random_state=0
    ).fit(X[:120], y[:120])
    text = _read(ss.report(model, tmp_path / "p.html", X[120:], y[120:], n_boot=20))
    assert "15 columns" in text
    assert "log loss" in text
    assert text.count("Predicted and observed risk of") == 3 * 2  # alt and caption
    assert "largest mean attributions" in text
    assert "cannot be shown" not in text


@pytest.mark.parametrize("family", ["gaussian", "poisson", "binomial", "ordinal"])
def test_responses(family, tmp_path):
    X, eta, rng = _simulated()
    y = {
        "gaussian": eta + rng.normal(size=160),
        "poisson": rng.poisson(np.exp(eta / 2)),
        "binomial": np.column_stack(
            [p := rng.binomial(9, 1 / (1 + np.exp(-eta))), 9 - p]
        ),
        "ordinal": np.searchsorted([-1, 1], eta + rng.logistic(size=160)),
    }[family]
    model = ss.SemiStructuredRegressor("s(age) + g0", family=family).fit(X, y)
    text = _read(ss.report(model, tmp_path / "p.html", X, y, n_boot=20))
    assert "those that the model was fitted to" in text
    assert ("accuracy" if family == "ordinal" else "R²") in text
    assert "cannot be shown" not in text


def test_two_formulas_and_computed_columns(tmp_path):
    X, eta, rng = _simulated()
    y = eta + rng.normal(size=160)
    terms = {"loc": "s(age) + pca(omics('g*'), 3)", "scale": "age"}
    model = ss.SemiStructuredRegressor(terms).fit(X, y)
    text = _read(ss.report(model, tmp_path / "p.html", X, y, n_boot=20))
    assert "scale: age" in text
    assert "cannot be shown" not in text


def test_an_array(tmp_path):
    X, eta, rng = _simulated()
    array = X[["age", "g0"]].to_numpy()
    y = eta + rng.normal(size=160)
    model = ss.SemiStructuredRegressor().fit(array, y)
    text = _read(ss.report(model, tmp_path / "p.html", array, y, n_boot=20))
    assert "cannot be shown" not in text


def test_what_cannot_be_shown_says_why(tmp_path):
    X, y = ss.datasets.load_rossi()
    low = np.floor(y.time / 10) * 10
    y = ss.Surv.interval(low, np.where(y.event, low + 10, np.inf))
    model = ss.SemiStructuredSurvival("fin + age", head="weibull").fit(X, y)
    text = _read(ss.report(model, tmp_path / "p.html", X, y))
    assert "Scores cannot be shown: y: exact and right-censored times" in text


def test_without_captum_the_page_says_what_to_install(scans, monkeypatch, tmp_path):
    model, X, y, _ = scans
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    text = _read(ss.report(model, tmp_path / "p.html", X[160:], y[160:]))
    assert "semistruct[attribution]" in text


def test_the_same_call_gives_the_same_page(tmp_path):
    X, y = ss.datasets.load_mcycle()
    model = ss.SemiStructuredRegressor("s(times)").fit(X, y)
    first, second = (
        _read(ss.report(model, tmp_path / f"{i}.html", X, y)) for i in range(2)
    )
    assert first == second


def test_bad_input(tmp_path):
    X, y = ss.datasets.load_mcycle()
    path = tmp_path / "p.html"
    model = ss.SemiStructuredRegressor("times")
    with pytest.raises(NotFittedError):
        ss.report(model, path, X, y)
    model.fit(X, y)
    with pytest.raises(DataError, match="at least 2"):
        ss.report(model, path, X[:1], y[:1])
    with pytest.raises(ParameterError, match="'level' of report"):
        ss.report(model, path, X, y, level=1.0)
    with pytest.raises(ParameterError, match="'n_boot' of report"):
        ss.report(model, path, X, y, n_boot=0)
    late = ss.LateFusion([("one", ss.SemiStructuredRegressor("times"))]).fit(X, y)
    with pytest.raises(ParameterError, match="one of its members"):
        ss.report(late, path, X, y)
    cox = ss.datasets.load_rossi()
    with pytest.raises(DataError, match="400 rows, but y has 432"):
        ss.report(
            ss.SemiStructuredSurvival("age").fit(*cox), path, cox[0][:400], cox[1]
        )
    assert not path.exists()


def test_cells_are_written_to_be_read():
    frame = pd.DataFrame(
        {"coef": [0.04123456, 1234567.0, np.nan], "P>|z|": [1e-9, 0.0456, np.nan]},
        index=[("loc", "age"), "b", "c"],
    )
    out = formatted(frame)
    assert out["coef"].tolist() == ["0.04123", "1,234,567", ""]
    assert out["P>|z|"].tolist() == ["< 0.001", "0.046", ""]
    assert out.index.tolist() == ["loc: age", "b", "c"]
    assert sized(np.inf) == "inf"
    assert sized(0.00001234) == "1.23e-05"
