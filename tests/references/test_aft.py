"""Accelerated failure time models against R's survreg and lifelines."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import semistruct as ss
from semistruct.design import StructuredDesign, parse_formula
from semistruct.families import get_censored
from semistruct.solvers import fit_glm

HERE = Path(__file__).parent
FITS = json.loads((HERE / "aft.json").read_text())["fits"]
FORMULAS = {
    "lung": "age + sex + ecog",
    "veteran": "trt + C(celltype) + karno",
    "gbsg2": "C(horTh) + age + tsize + C(tgrade) + pnodes",
    "veteran_strata": "trt + karno",
    "interval": "x",
    "interval_weights": "x",
}
EVENTS = {"lung": "status", "veteran": "status", "gbsg2": "cens"}
BOTH = ("loc", "scale")


def table(name: str) -> tuple[pd.DataFrame, ss.Surv]:
    stem = name.split("_")[0]
    frame = pd.read_csv(HERE / "data" / f"{stem}.csv")
    if stem == "interval":
        return frame, ss.Surv.interval(frame["lower"], frame["upper"])
    if stem == "lung":
        frame = frame.dropna(subset=["time", "status", "age", "sex", "ph.ecog"])
        frame = frame.rename(columns={"ph.ecog": "ecog"})
    return frame, ss.Surv(frame["time"], frame[EVENTS[stem]])


def design(formula: str, frame: pd.DataFrame) -> np.ndarray:
    return StructuredDesign.fit(parse_formula(formula), frame).matrix(frame)


def fit(reference: dict):
    name, kind = reference["name"], reference["dist"]
    frame, y = table(name)
    weight = frame["w"] if name == "interval_weights" else None
    designs = [design(FORMULAS[name], frame)]
    family = get_censored(kind)
    if name == "veteran_strata":
        family = family.with_formulas(BOTH)
        designs.append(design("0 + C(celltype)", frame))
    return fit_glm(designs, y, family, sample_weight=weight), family, designs


@pytest.mark.parametrize("both", [False, True], ids=["shape", "formula"])
@pytest.mark.parametrize("reference", FITS, ids=lambda f: f"{f['name']}-{f['dist']}")
def test_fits_are_those_of_survreg(reference, both):
    found, family, designs = fit(reference)
    if both:
        if reference["name"] == "veteran_strata" or reference["dist"] == "exponential":
            return
        frame, y = table(reference["name"])
        weight = frame["w"] if reference["name"] == "interval_weights" else None
        family = family.with_formulas(BOTH)
        designs = [*designs, np.ones((len(y), 1))]
        found = fit_glm(designs, y, family, sample_weight=weight)
    assert found.converged
    assert found.loglik == pytest.approx(reference["loglik"], rel=1e-9)
    size = len(reference["coef"])
    coef, error = found.coef[:size], np.sqrt(np.diag(found.cov))
    se = np.array(reference["se"])
    np.testing.assert_allclose(coef, reference["coef"], rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(error[:size], se[:size], rtol=1e-6)
    if reference["dist"] == "exponential":
        return
    log_scale = found.coef[size:] if family.n_predictors == 2 else found.shapes
    np.testing.assert_allclose(
        log_scale, np.atleast_1d(reference["log_scale"]), rtol=1e-6, atol=1e-8
    )
    spread = error[size:]
    if family.n_predictors == 1:
        spread = np.sqrt(np.diag(found.shape_cov))
    np.testing.assert_allclose(spread, se[size:], rtol=2e-6)
    at = family if family.n_predictors == 2 else family.with_shapes(found.shapes)
    p = np.array([[0.1], [0.5], [0.9]])
    quantiles = at.quantile(p, found.linear_predictor[[0, 4, 8]]).T
    np.testing.assert_allclose(quantiles, reference["quantile"], rtol=1e-6)


@pytest.mark.parametrize("kind", ["weibull", "lognormal", "loglogistic"])
def test_formulas_for_both_parameters_are_those_of_lifelines(kind):
    import lifelines

    X, y = ss.datasets.load_rossi()
    names = {
        "weibull": ("WeibullAFTFitter", "lambda_", "rho_"),
        "lognormal": ("LogNormalAFTFitter", "mu_", "sigma_"),
        "loglogistic": ("LogLogisticAFTFitter", "alpha_", "beta_"),
    }
    fitter, loc, shape = names[kind]
    data = X[["fin", "age", "prio"]].assign(week=y.time, arrest=y.event)
    theirs = getattr(lifelines, fitter)()
    theirs.fit(data, "week", "arrest", formula="fin + age + prio", ancillary="age")
    family = get_censored(kind, formulas=BOTH)
    designs = [design(formula, X) for formula in ("fin + age + prio", "age")]
    found = fit_glm(designs, y, family)
    # lifelines stops up to 1e-4 below the maximum
    assert found.loglik == pytest.approx(theirs.log_likelihood_, abs=2e-4)
    assert found.loglik >= theirs.log_likelihood_ - 1e-9
    # its shapes of weibull and loglogistic are 1 / scale
    sign = 1.0 if kind == "lognormal" else -1.0
    terms = ["Intercept", "fin", "age", "prio"]
    params, errors = theirs.params_, theirs.standard_errors_
    expected = [params[loc][t] for t in terms]
    expected += [sign * params[shape][t] for t in ("Intercept", "age")]
    spread = [errors[loc][t] for t in terms]
    spread += [errors[shape][t] for t in ("Intercept", "age")]
    error = np.sqrt(np.diag(found.cov))
    np.testing.assert_allclose(error, spread, rtol=2e-3)
    np.testing.assert_allclose((found.coef - expected) / error, 0.0, atol=2e-2)
