"""Distributional models, shapes, dispersions and ML against mgcv and gamlss.

mgcv's numbers stand in gam.json. Those of gamlss are global deviances and coefficients
of fits in which both parameters have a formula: engel (normal, log σ), diabetes (its
"GA": gamma with mean and coefficient of variation, both with log link).
"""

import json
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from semistruct.design import StructuredDesign, parse_formula
from semistruct.families import Gamma, Gaussian, NegativeBinomial
from semistruct.solvers import fit_glm

HERE = Path(__file__).parent
GAM = json.loads((HERE / "gam.json").read_text())["gam"]


class Case(NamedTuple):
    index: int
    data: str
    family: object
    target: str
    formulas: tuple
    method: str = "REML"


BOTH = ("loc", "scale")
CASES = [
    Case(1, "mcycle", Gaussian(), "accel", ("s(times, k=20, bs='cr')",)),
    Case(2, "mcycle", Gaussian(), "accel", ("s(times, k=20, bs='tp')",)),
    Case(3, "mcycle", Gaussian(), "accel", ("s(times, k=20)",), "ML"),
    Case(
        4,
        "mcycle",
        Gaussian(links={"scale": "logb"}, formulas=BOTH),
        "accel",
        ("s(times, k=20)", "s(times, k=10)"),
    ),
    Case(5, "trees", Gamma(), "Volume", ("s(Height, k=8) + s(Girth, k=8)",)),
    Case(
        12,
        "randhie",
        NegativeBinomial(),
        "mdvis",
        ("hlthf + hlthp + s(lpi, k=10) + s(disea, k=10)",),
    ),
]
every_case = pytest.mark.parametrize(
    "case", CASES, ids=lambda case: f"{case.index}-{case.data}"
)


@cache
def fitted(data, family, target, formulas, method="REML"):
    frame = pd.read_csv(HERE / "data" / f"{data}.csv")
    designs = [StructuredDesign.fit(parse_formula(text), frame) for text in formulas]
    fit = fit_glm(
        [design.matrix(frame) for design in designs],
        frame[target].to_numpy(float),
        family,
        penalties=[design.penalties for design in designs],
        method=method,
    )
    return designs, fit


def of(case):
    return GAM[case.index], *fitted(*case[1:])


@every_case
def test_score_and_effective_degrees_of_freedom(case):
    ref, designs, fit = of(case)
    assert ref["data"] == case.data
    assert ref["method"] == case.method == fit.method
    assert len(fit.linear_predictor) == ref["n"]
    assert fit.converged
    assert fit.gradient_norm < 1e-5
    assert fit.score == pytest.approx(ref["score"], abs=1e-4)
    assert fit.edf.sum() == pytest.approx(ref["edf_total"], abs=2e-3)
    edf = iter(np.atleast_1d(ref["edf_terms"]))
    for part, design in zip(fit.slices, designs, strict=True):
        for block in design.blocks:
            if block.kind == "smooth":
                own = slice(part.start + block.start, part.start + block.stop)
                assert fit.edf[own].sum() == pytest.approx(next(edf), abs=2e-3)
    assert next(edf, None) is None


@every_case
def test_parametric_estimates_and_errors(case):
    ref, designs, fit = of(case)
    at = [
        part.start + j
        for part, design in zip(fit.slices, designs, strict=True)
        for block in design.blocks
        if block.kind in ("intercept", "parametric")
        for j in range(block.start, block.stop)
    ]
    error = np.atleast_1d(ref["parametric"]["se"])
    estimate = np.atleast_1d(ref["parametric"]["estimate"])
    np.testing.assert_allclose((fit.coef[at] - estimate) / error, 0, atol=2e-3)
    np.testing.assert_allclose(np.sqrt(np.diag(fit.cov))[at], error, rtol=1e-3)
    assert fit.dispersion == pytest.approx(ref["scale"], rel=1e-6)


@every_case
def test_linear_predictors_of_first_rows(case):
    ref, _, fit = of(case)
    goal = np.array(ref["first_rows_linear_predictor"])
    error = np.array(ref["first_rows_se"])
    miss = (fit.linear_predictor[: len(goal)] - goal) / error
    np.testing.assert_allclose(miss, 0, atol=2e-3)


def test_size_of_the_negative_binomial():
    ref, _, fit = of(CASES[-1])
    assert ref["family"] == f"Negative Binomial({fit.shape_values[0]:.3f})"
    assert fit.loglik == pytest.approx(ref["loglik"], abs=1e-6)
    assert fit.shape_names == ("size",)
    assert 0 < fit.shape_cov[0, 0] < 0.001


@pytest.mark.parametrize(
    ("data", "family", "target", "formulas", "deviance"),
    [
        (
            "engel",
            Gaussian().with_formulas(BOTH),
            "foodexp",
            ("income", "np.log(income)"),
            2705.83178,
        ),
        (
            "diabetes",
            Gamma().with_formulas(("mean", "scale")),
            "target",
            ("bmi + bp + s5", "bmi + bp"),
            4769.46932,
        ),
    ],
    ids=["engel", "diabetes"],
)
def test_global_deviance_of_gamlss(data, family, target, formulas, deviance):
    _, fit = fitted(data, family, target, formulas)
    assert fit.converged
    assert -2.0 * fit.loglik == pytest.approx(deviance, abs=1e-5)
    if data == "engel":
        goal = [59.0838134, 0.583860342, -3.71539645, 1.18675971]
        error = np.sqrt(np.diag(fit.cov))
        np.testing.assert_allclose((fit.coef - goal) / error, 0, atol=2e-3)
