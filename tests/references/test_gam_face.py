"""All fits of gam.json by the estimators: what a user of ss.GAM reads off.

The numbers of the exact path beneath are in test_exact_gam.py and test_exact_glm.py.
"""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import semistruct as ss
from semistruct.families import Gaussian

HERE = Path(__file__).parent
REFERENCE = json.loads((HERE / "gam.json").read_text())
NEAR_ONE = 1.1  # effective degrees of freedom at which the criterion is flat

pytestmark = pytest.mark.filterwarnings("ignore:.*'drop' dropped:UserWarning")


# table, response, terms, options; a response of two columns is a survival time
CALLS = [
    ("mcycle", "accel", "s(times, k=20)", {}),
    ("mcycle", "accel", "s(times, k=20, bs='cr')", {}),
    ("mcycle", "accel", "s(times, k=20, bs='tp')", {}),
    ("mcycle", "accel", "s(times, k=20)", {"method": "ML"}),
    (
        "mcycle",
        "accel",
        {"loc": "s(times, k=20)", "scale": "s(times, k=10)"},
        {"family": Gaussian(links={"scale": "logb"})},
    ),
    ("trees", "Volume", "s(Height, k=8) + s(Girth, k=8)", {"family": "gamma"}),
    (
        "airquality",
        "Ozone",
        "s('Solar.R', k=10) + s(Wind, k=10) + s(Temp, k=10)",
        {"missing": "drop"},
    ),
    (
        "diabetes",
        "target",
        "C(sex) + s(age, k=10) + s(bmi, k=10) + s(bp, k=10) + s(s5, k=10)",
        {},
    ),
    ("diabetes", "target", "te(bmi, s5, k=5) + s(bp, k=10)", {}),
    ("diabetes", "target", "C(sex) + s(bmi, by=group, k=10) + bp", {}),
    (
        "autos",
        "city_mpg",
        "fuel + drive + s(weight, k=12) + s(hp, k=10)",
        {"missing": "drop"},
    ),
    (
        "randhie",
        "mdvis",
        "hlthf + hlthp + s(lpi, k=10) + s(disea, k=10)",
        {"family": "poisson"},
    ),
    (
        "randhie",
        "mdvis",
        "hlthf + hlthp + s(lpi, k=10) + s(disea, k=10)",
        {"family": "negative_binomial"},
    ),
    (
        "fair",
        "any",
        "C(rate_marriage) + s(yrs_married, k=5) + s(age, k=5)",
        {"family": "bernoulli"},
    ),
    ("sleepstudy", "Reaction", "Days + re(Subject)", {}),
    ("penicillin", "diameter", "re(plate) + re(sample)", {}),
    (
        "rossi",
        "week arrest",
        "fin + race + wexp + mar + paro + s(age, k=10) + s(prio, k=10)",
        {},
    ),
    (
        "gbsg2",
        "time cens",
        "horTh + menostat + C(tgrade) + s(age, k=10) + s(tsize, k=10) "
        "+ s(pnodes, k=10) + s(progrec, k=10) + s(estrec, k=10)",
        {},
    ),
]
every_fit = pytest.mark.parametrize(
    "index", range(18), ids=[f"{i}-{call[0]}" for i, call in enumerate(CALLS)]
)


def table(name):
    frame = pd.read_csv(HERE / "data" / f"{name}.csv")
    if name == "diabetes":
        frame["group"] = frame["sex"].round(6).astype(str)
    if name == "fair":
        frame["any"] = (frame["affairs"] > 0).astype(float)
    if name == "sleepstudy":
        frame["Subject"] = frame["Subject"].astype(str)
    return frame


@cache
def fitted(index):
    data, target, terms, options = CALLS[index]
    names = target.split()
    frame = table(data).dropna(subset=names)
    if len(names) == 2:
        model = ss.SemiStructuredSurvival(terms, ties="breslow")
        y = ss.Surv(*(frame[name].to_numpy() for name in names))
    else:
        model, y = ss.GAM(terms, **options), frame[target].to_numpy(float)
    model.fit(frame, y)
    return model, frame.dropna(subset=list(model.predictor_.columns)).head(8)


def of(index):
    return REFERENCE["gam"][index], *fitted(index)


def smooths_of(model):
    table = model.summary().smooths
    return table[~table.index.str.startswith("re(")]


def test_there_is_a_call_for_each_fit():
    named = [entry["data"] for entry in REFERENCE["gam"]]
    assert named == [data for data, *_ in CALLS]


@every_fit
def test_score_and_convergence(index):
    ref, model, _ = of(index)
    fit = model.exact_
    assert model.n_rows_ == ref["n"]
    assert fit.method == ref["method"]
    assert fit.converged
    goal = 1e-3 if ref.get("warnings") else 1e-4
    assert fit.score == pytest.approx(ref["score"], abs=goal)
    assert fit.dispersion == pytest.approx(ref["scale"], rel=1e-4)


@every_fit
def test_effective_degrees_of_freedom(index):
    ref, model, _ = of(index)
    assert model.exact_.edf.sum() == pytest.approx(ref["edf_total"], abs=2e-3)
    found = smooths_of(model)["edf"]
    expected = np.atleast_1d(ref["edf_terms"])
    assert len(found) == len(expected)
    for edf, goal in zip(found, expected, strict=True):
        assert edf == pytest.approx(goal, abs=2e-2 if goal < NEAR_ONE else 2e-3)


@every_fit
def test_parametric_estimates_and_errors(index):
    ref, model, _ = of(index)
    rows = model.summary().coefficients
    error = np.atleast_1d(ref["parametric"]["se"])
    miss = (rows["coef"] - np.atleast_1d(ref["parametric"]["estimate"])) / error
    np.testing.assert_allclose(miss, 0, atol=2e-3)
    np.testing.assert_allclose(rows["std err"], error, rtol=1e-3)


@every_fit
def test_linear_predictor_of_first_rows(index):
    ref, model, X = of(index)
    terms, expected = model.predict_terms(X), ref["first_rows_linear_predictor"]
    if terms.columns.nlevels == 2:
        names = list(dict.fromkeys(terms.columns.get_level_values(0)))
        eta = np.column_stack([terms[name].sum(axis=1) for name in names])
    else:
        eta = terms.sum(axis=1).to_numpy()[:, None]
    error = np.reshape(ref["first_rows_se"], eta.shape)
    miss = (eta - np.reshape(expected, eta.shape)) / error
    np.testing.assert_allclose(miss, 0, atol=2e-3)
    np.testing.assert_allclose(model._linear_predictor_se(X), error, rtol=1e-3)


@every_fit
def test_smooth_terms_of_first_rows(index):
    ref, model, X = of(index)
    terms, errors = model.predict_terms(X), model.predict_terms(X, se=True)
    blocks = [block for design in model.predictor_.designs for block in design.blocks]
    kinds = ("intercept", "parametric")
    smooth = [block.kind not in kinds for block in blocks]
    expected = np.array(ref["first_rows_terms"])[:, -sum(smooth) :]
    found, error = terms.loc[:, smooth].to_numpy(), errors.loc[:, smooth].to_numpy()
    np.testing.assert_allclose(
        (found - expected) / np.maximum(error, 1e-9), 0, atol=2e-3
    )


def exact_height(model):
    """The p-value that mgcv's 8.34e-6 stands for; see README.md."""
    row = model.summary().smooths.loc["s(Height)"]
    assert row["edf"] == pytest.approx(1.0, abs=1e-4)  # so that the mixture is one χ²
    df_residual = model.exact_.n_effective - model.exact_.edf.sum()
    assert stats.f.sf(row["F"], 1, 26) == pytest.approx(7.2207e-6, rel=1e-4)
    p_value = stats.f.sf(row["F"], 1, df_residual)
    assert row["p-value"] == pytest.approx(p_value, rel=1e-4)
    return p_value


@every_fit
def test_p_values_of_smooths(index):
    ref, model, _ = of(index)
    found = smooths_of(model)["p-value"]
    for p_value, goal in zip(found, np.atleast_1d(ref["smooth_p"]), strict=True):
        if goal > 1e-6:
            # mgcv integrates to an absolute tolerance; see README.md
            expected = exact_height(model) if index == 5 else goal
            assert p_value == pytest.approx(expected, rel=1e-2, abs=1e-6)
        else:
            assert p_value < 2e-6


@pytest.mark.parametrize("data", ["penicillin", "sleepstudy"])
def test_standard_deviations_of_lme4(data):
    index = [call[0] for call in CALLS].index(data)
    model, _ = fitted(index)
    fit, goals = model.exact_, dict(REFERENCE["lme4"][data]["sd"])
    residual = goals.pop("Residual")
    assert np.sqrt(fit.dispersion) == pytest.approx(residual, rel=1e-3)
    found = np.sqrt(fit.dispersion / fit.sp)
    assert found == pytest.approx(np.array(list(goals.values())), rel=1e-3)
    fixed = REFERENCE["lme4"][data].get("fixef")
    if fixed is not None:
        assert model.params_[["Intercept", "Days"]].to_numpy() == pytest.approx(
            np.array(list(fixed.values())), rel=1e-6
        )


@pytest.mark.parametrize(
    ("data", "target", "family", "terms", "deviance"),
    [
        (
            "engel",
            "foodexp",
            "gaussian",
            {"loc": "income", "scale": "np.log(income)"},
            2705.83178,
        ),
        (
            "diabetes",
            "target",
            "gamma",
            {"mean": "bmi + bp + s5", "scale": "bmi + bp"},
            4769.46932,
        ),
    ],
    ids=["engel", "diabetes"],
)
def test_distributional_regression_of_gamlss(data, target, family, terms, deviance):
    frame = table(data)
    model = ss.GAM(terms, family=family).fit(frame, frame[target])
    assert model.exact_.converged
    assert -2.0 * model.exact_.loglik == pytest.approx(deviance, abs=1e-5)
    if data == "engel":
        expected = pd.Series(
            [59.0838134, 0.583860342, -3.71539645, 1.18675971], model.params_.index
        )
        error = np.sqrt(np.diag(model.cov_params_))
        assert ((model.params_ - expected).abs() / error).max() < 2e-3
        assert model.params_.index[3] == ("scale", "np.log(income)")
