"""Piecewise exponential additive models against pammtools and mgcv (gam.json)."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from semistruct.design import (
    PersonPeriod,
    PersonPeriodDesign,
    fit_person_period,
    parse_formula,
)
from semistruct.families import Poisson
from semistruct.solvers import fit_glm

HERE = Path(__file__).parent
PAMM = json.loads((HERE / "gam.json").read_text())["pamm"]
FORMULAS = {
    "pamm": "s(time, k=10) + trt + s(karno, k=8)",
    "pamm_tve": "s(time, k=10) + trt + s(time, by=karno, k=6)",
}
every_case = pytest.mark.parametrize("name", FORMULAS)


def veteran():
    return pd.read_csv(HERE / "data" / "veteran.csv")


def fit_long(formula, frame, long):
    terms = parse_formula(formula)
    design = fit_person_period(terms, frame, long)
    x = PersonPeriodDesign.from_design(design, frame, long)
    fit = fit_glm(
        [x],
        long.event,
        Poisson(),
        penalties=[design.penalties],
        offset=np.log(long.exposure),
    )
    assert fit.converged
    return design, x, fit


@cache
def of(name):
    table = veteran()
    frame = table[["trt", "karno", "age"]]
    long = PersonPeriod.build(table.time, table.status)
    return PAMM[name], long, *fit_long(FORMULAS[name], frame, long)


@every_case
def test_long_rows(name):
    ref, long, *_ = of(name)
    assert len(long) == ref["n"] == PAMM["rows"] == 5959


@every_case
def test_score_and_effective_degrees_of_freedom(name):
    ref, _, design, _, fit = of(name)
    assert fit.score == pytest.approx(ref["score"], abs=1e-4)
    assert fit.loglik == pytest.approx(ref["loglik"], abs=1e-3)
    assert fit.edf.sum() == pytest.approx(ref["edf_total"], abs=1e-3)
    smooths = [b for b in design.blocks if b.kind == "smooth"]
    for block, edf in zip(smooths, ref["edf_terms"], strict=True):
        assert fit.edf[block.start : block.stop].sum() == pytest.approx(edf, abs=1e-3)
    # the first smooth is linear, its λ flat
    assert fit.sp[1] == pytest.approx(ref["sp"][1], rel=1e-3)


@every_case
def test_parametric_estimates_and_errors(name):
    ref, _, _, _, fit = of(name)
    own = ref["parametric"]
    np.testing.assert_allclose(fit.coef[:2], own["estimate"], atol=1e-3)
    np.testing.assert_allclose(np.sqrt(np.diag(fit.cov))[:2], own["se"], rtol=1e-3)


@every_case
def test_linear_predictors_of_first_rows(name):
    """Mgcv's predict leaves the offset argument out of them."""
    ref, _, _, x, fit = of(name)
    goal = np.array(ref["first_rows_linear_predictor"])[:, 0]
    error = np.array(ref["first_rows_se"])[:, 0]
    rows = x.rows(slice(0, len(goal)))
    np.testing.assert_allclose(rows @ fit.coef, goal, atol=1e-3)
    own = np.sqrt(x.row_quadratic(fit.cov)[: len(goal)])
    np.testing.assert_allclose(own, error, rtol=1e-3)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_row_that_is_cut_in_two_changes_nothing(seed):
    """Left truncation: the same subject in pieces, at cuts and anywhere else."""
    rng = np.random.default_rng(seed)
    table = veteran()
    formula = "s(time, k=6) + trt + s(karno, k=6) + s(time, by=age, k=5)"
    cuts = np.quantile(table.time[table.status == 1], np.linspace(0.1, 1.0, 12))
    whole = PersonPeriod.build(table.time, table.status, cuts=cuts)
    frame = table[["trt", "karno", "age"]]
    _, x, fit = fit_long(formula, frame, whole)

    pieces = rng.integers(1, 4, len(table))
    row = np.repeat(np.arange(len(table)), pieces)
    time = table.time.to_numpy(float)
    ends = time[row] * rng.uniform(0.05, 0.95, len(row))
    ends = np.where(rng.uniform(size=len(row)) < 0.3, rng.choice(cuts, len(row)), ends)
    ends = np.minimum(ends, 0.97 * time[row])
    ends = ends[np.lexsort((ends, row))]
    last = np.append(row[1:] != row[:-1], True)
    ends[last] = time
    entry = np.where(np.append(True, last[:-1]), 0.0, np.roll(ends, 1))
    held = entry < ends
    row, ends, entry, last = row[held], ends[held], entry[held], last[held]
    event = table.status.to_numpy()[row] * last
    split = PersonPeriod.build(ends, event, entry, cuts)
    assert len(split) > len(whole)
    assert split.exposure.sum() == pytest.approx(whole.exposure.sum())
    _, other, again = fit_long(formula, frame.iloc[row], split)

    finite = fit.sp < 1e6  # the others are linear, their λ flat
    np.testing.assert_allclose(again.sp[finite], fit.sp[finite], rtol=1e-3)
    np.testing.assert_allclose(again.edf.sum(), fit.edf.sum(), atol=1e-4)
    assert finite.sum() >= 2
    key = row[split.row] * len(cuts) + split.interval
    known = whole.row * len(cuts) + whole.interval
    at = np.searchsorted(known, key)
    np.testing.assert_array_equal(known[at], key)
    eta, errors = x.dot(fit.coef), np.sqrt(x.row_quadratic(fit.cov))
    np.testing.assert_allclose(other.dot(again.coef), eta[at], atol=1e-4)
    own = np.sqrt(other.row_quadratic(again.cov))
    np.testing.assert_allclose(own, errors[at], rtol=1e-3)
