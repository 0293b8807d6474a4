"""Smooth models against mgcv and lme4: score, edf, estimates, errors, p-values."""

import json
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from semistruct.design import StructuredDesign, parse_formula
from semistruct.families import Bernoulli, Gaussian, Poisson
from semistruct.inference import pointwise_band, smooth_table
from semistruct.solvers import fit_cox, fit_glm

HERE = Path(__file__).parent
GAM = json.loads((HERE / "gam.json").read_text())


class Case(NamedTuple):
    index: int
    data: str
    family: object
    target: str
    formula: str


CASES = [
    Case(0, "mcycle", Gaussian(), "accel", "s(times, k=20)"),
    Case(
        6,
        "airquality",
        Gaussian(),
        "Ozone",
        "s('Solar.R', k=10) + s(Wind, k=10) + s(Temp, k=10)",
    ),
    Case(
        7,
        "diabetes",
        Gaussian(),
        "target",
        "C(sex) + s(age, k=10) + s(bmi, k=10) + s(bp, k=10) + s(s5, k=10)",
    ),
    Case(8, "diabetes", Gaussian(), "target", "te(bmi, s5, k=5) + s(bp, k=10)"),
    Case(9, "diabetes", Gaussian(), "target", "C(sex) + s(bmi, by=group, k=10) + bp"),
    Case(
        10,
        "autos",
        Gaussian(),
        "city_mpg",
        "fuel + drive + s(weight, k=12) + s(hp, k=10)",
    ),
    Case(
        11,
        "randhie",
        Poisson(),
        "mdvis",
        "hlthf + hlthp + s(lpi, k=10) + s(disea, k=10)",
    ),
    Case(
        13,
        "fair",
        Bernoulli(),
        "any",
        "C(rate_marriage) + s(yrs_married, k=5) + s(age, k=5)",
    ),
    Case(14, "sleepstudy", Gaussian(), "Reaction", "Days + re(Subject)"),
    Case(15, "penicillin", Gaussian(), "diameter", "re(plate) + re(sample)"),
    Case(
        16,
        "rossi",
        "cox",
        "week arrest",
        "fin + race + wexp + mar + paro + s(age, k=10) + s(prio, k=10)",
    ),
    Case(
        17,
        "gbsg2",
        "cox",
        "time cens",
        "horTh + menostat + C(tgrade) + s(age, k=10) + s(tsize, k=10) "
        "+ s(pnodes, k=10) + s(progrec, k=10) + s(estrec, k=10)",
    ),
]
READS = {"airquality": ["Ozone", "Solar.R", "Wind", "Temp"]}
READS["autos"] = ["city_mpg", "fuel", "drive", "weight", "hp"]


def table(name):
    frame = pd.read_csv(HERE / "data" / f"{name}.csv")
    frame = frame.dropna(subset=READS.get(name)) if name in READS else frame
    if name == "diabetes":
        frame["group"] = frame["sex"].round(6).astype(str)
    if name == "fair":
        frame["any"] = (frame["affairs"] > 0).astype(float)
    if name == "sleepstudy":
        frame["Subject"] = frame["Subject"].astype(str)
    return frame.reset_index(drop=True)


@cache
def fitted(case):
    frame = table(case.data)
    terms = parse_formula(case.formula)
    design = StructuredDesign.fit(terms, frame, intercept=case.family != "cox")
    x = design.matrix(frame)
    if case.family == "cox":
        time, event = (frame[name].to_numpy(float) for name in case.target.split())
        fit = fit_cox(x, time, event, ties="breslow", penalties=design.penalties)
    else:
        y = frame[case.target].to_numpy(float)
        fit = fit_glm([x], y, case.family, penalties=[design.penalties])
    return design, x, fit


def reference(case):
    return GAM["gam"][case.index]


def parametric(design):
    kinds = ("intercept", "parametric")
    blocks = [block for block in design.blocks if block.kind in kinds]
    return [j for block in blocks for j in range(block.start, block.stop)]


every_case = pytest.mark.parametrize(
    "case", CASES, ids=lambda case: f"{case.index}-{case.data}"
)


@every_case
def test_same_data_and_call(case):
    assert reference(case)["data"] == case.data
    assert reference(case)["n"] == len(fitted(case)[1])


@every_case
def test_score_edf_and_smoothing(case):
    ref, (design, _, fit) = reference(case), fitted(case)
    newton_warning = bool(ref.get("warnings"))
    assert fit.converged
    assert fit.gradient_norm < 1e-4
    assert fit.score == pytest.approx(
        ref["score"], abs=1e-3 if newton_warning else 1e-4
    )
    assert fit.edf.sum() == pytest.approx(ref["edf_total"], abs=2e-3)
    smooth = [b for b in design.blocks if b.kind in ("smooth", "tensor")]
    for block, edf in zip(smooth, np.atleast_1d(ref["edf_terms"]), strict=False):
        goal = 2e-2 if edf < 1.1 else 2e-3
        assert fit.edf[block.start : block.stop].sum() == pytest.approx(edf, abs=goal)
    assert np.size(ref["edf_terms"]) in (0, len(smooth))
    for sp, given in zip(fit.sp, np.atleast_1d(ref["sp"]), strict=True):
        if given < 1e6:  # beyond, the criterion is flat
            assert sp == pytest.approx(given, rel=1e-3)


@every_case
def test_parametric_estimates_and_errors(case):
    ref, (design, _, fit) = reference(case), fitted(case)
    at = parametric(design)
    error = np.atleast_1d(ref["parametric"]["se"])
    estimate = np.atleast_1d(ref["parametric"]["estimate"])
    np.testing.assert_allclose((fit.coef[at] - estimate) / error, 0, atol=2e-3)
    np.testing.assert_allclose(np.sqrt(np.diag(fit.cov))[at], error, rtol=1e-3)


@every_case
def test_linear_predictor_of_first_rows(case):
    ref, (_, x, fit) = reference(case), fitted(case)
    band = pointwise_band(x[:8], fit.coef, fit.cov)
    error = np.ravel(ref["first_rows_se"])
    predictor = np.ravel(ref["first_rows_linear_predictor"])
    np.testing.assert_allclose((band.estimate - predictor) / error, 0, atol=2e-3)
    np.testing.assert_allclose(band.std_error, error, rtol=1e-3)


@every_case
def test_dispersion_and_log_likelihood(case):
    ref, (_, _, fit) = reference(case), fitted(case)
    assert fit.dispersion == pytest.approx(ref["scale"], rel=1e-4)
    assert fit.loglik == pytest.approx(ref["loglik"], abs=1e-3)


@every_case
def test_p_values_of_smooths(case):
    ref, (design, _, fit) = reference(case), fitted(case)
    residual = None
    if isinstance(case.family, Gaussian):
        residual = fit.n_effective - fit.edf.sum()
    rows = smooth_table(fit, [design.blocks], residual)
    tested = rows[~rows.index.str.startswith("re(")]
    given = np.atleast_1d(ref["smooth_p"])
    assert len(given) == len(tested)
    for p_value, goal in zip(tested["p-value"], given, strict=True):
        if goal > 1e-6:
            # mgcv integrates to an absolute tolerance; see README.md
            assert p_value == pytest.approx(goal, rel=1e-2, abs=1e-6)
        else:
            assert p_value < 2e-6


def test_standard_deviations_of_lme4():
    for case in CASES:
        if case.data not in GAM["lme4"]:
            continue
        design, _, fit = fitted(case)
        expected = GAM["lme4"][case.data]["sd"]
        random = [block for block in design.blocks if block.kind == "random"]
        for block, sp in zip(random, fit.sp, strict=True):
            name = block.label.removeprefix("re(").removesuffix(")")
            deviation = np.sqrt(fit.dispersion / sp)
            assert deviation == pytest.approx(expected[name], rel=1e-3)
        residual = np.sqrt(fit.dispersion)
        assert residual == pytest.approx(expected["Residual"], rel=1e-3)


def test_corrected_covariance_adds_to_the_bayesian_one():
    for case in CASES:
        _, _, fit = fitted(case)
        extra = np.linalg.eigvalsh(fit.cov_corrected - fit.cov)
        size = np.linalg.norm(fit.cov, 2)
        assert extra.min() >= -1e-8 * size
        spread = np.linalg.eigvalsh(fit.cov - fit.cov_frequentist)
        assert spread.min() >= -1e-8 * size
