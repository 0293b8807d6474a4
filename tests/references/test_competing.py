"""Competing risks against R's survival and cmprsk, on mgus2."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from semistruct.inference import (
    CoxBaseline,
    CoxRows,
    cox_incidence,
    cox_incidence_band,
    fine_gray_incidence,
)
from semistruct.solvers import baseline_hazard, combine_fits, fit_cox, fit_fine_gray
from semistruct.solvers._fine_gray_influence import _scores

HERE = Path(__file__).parent
MORE = json.loads((HERE / "competing.json").read_text())
COLUMNS = ["age", "male", "mspike"]
LABELS = {0: "censored", 1: "pcm", 2: "death"}


@cache
def mgus2():
    return pd.read_csv(HERE / "data" / "mgus2.csv")


def fitted(case):
    table = mgus2()
    columns = ["age", "mspike"] if case["strata"] else COLUMNS
    return fit_fine_gray(
        table[columns],
        table["etime"],
        table["cause"] > 0,
        table["cause"].map(LABELS),
        of=case["of"],
        ties=case["ties"],
        entry=table["entry"] if case["entry"] else None,
        strata=table["male"] if case["strata"] else None,
    )


@pytest.mark.parametrize("number", range(len(MORE["fine_gray"])))
def test_fine_gray_is_finegray_with_coxph(number):
    case = MORE["fine_gray"][number]
    found = fitted(case)
    np.testing.assert_allclose(found.fit.coef, case["coef"], rtol=1e-8)
    np.testing.assert_allclose(found.fit.cov, case["naive"], rtol=1e-7)
    assert found.fit.loglik == pytest.approx(case["loglik"], rel=1e-10)
    # R's sandwich takes the weights of censoring as known: the first part of ours
    source = found._source
    weighted = _scores(source.likelihood, found.fit.coef) @ found.fit.cov
    np.testing.assert_allclose(weighted.T @ weighted, case["robust"], rtol=1e-6)
    error = np.sqrt(np.diag(found.cov_robust))
    known = np.sqrt(np.diag(np.array(case["robust"])))
    assert 1e-6 < np.abs(error / known - 1).max() < 0.01
    if case["baseline"]:
        eta = found.fit.coef @ [70.0, 1.0, 1.0] - found.level
        curve = fine_gray_incidence(found.baseline, [eta], case["baseline"]["time"])
        expected = -np.expm1(-np.array(case["baseline"]["hazard"]))
        np.testing.assert_allclose(curve[0], expected, rtol=1e-8)


@pytest.mark.parametrize("number", [0, 1])
def test_fine_gray_is_crr(number):
    """On ranks: crr has another order of censorings and events at a tie."""
    case, table = MORE["crr"][number], mgus2()
    rank = np.empty(len(table))
    order = np.lexsort((table["id"], table["cause"] == 0, table["etime"]))
    rank[order] = np.arange(1.0, len(table) + 1)
    found = fit_fine_gray(
        table[COLUMNS], rank, table["cause"] > 0, table["cause"], of=case["of"]
    )
    np.testing.assert_allclose(found.fit.coef, case["coef"], rtol=1e-8)
    assert found.fit.loglik == pytest.approx(case["loglik"], rel=1e-10)
    # crr divides the censoring martingales by r where ours have r − d
    scale = np.sqrt(np.outer(*2 * [np.diag(case["var"])]))
    assert np.abs((found.cov_robust - case["var"]) / scale).max() < 1e-3
    eta = found.fit.coef @ [70.0, 1.0, 1.0] - found.level
    curve = fine_gray_incidence(found.baseline, [eta], case["time"])
    np.testing.assert_allclose(curve[0], case["incidence"], rtol=1e-8)


@cache
def cause_specific():
    table = mgus2()
    return [
        fit_cox(table[COLUMNS], table["etime"], table["cause"] == k, ties="breslow")
        for k in (1, 2)
    ]


@pytest.mark.parametrize("form", ["exponential", "product"])
def test_curves_are_those_of_a_multi_state_coxph(form):
    table, fits = mgus2(), cause_specific()
    np.testing.assert_allclose(combine_fits(fits).coef, MORE["coef"], rtol=1e-7)
    rows = np.array([[60.0, 0.0, 0.5], [80.0, 1.0, 2.5]])
    levels = np.array([fit.linear_predictor.mean() for fit in fits])
    bases = [
        baseline_hazard(
            fit.linear_predictor - level,
            table["etime"],
            table["cause"] == k,
            ties="breslow",
        )
        for k, fit, level in zip((1, 2), fits, levels, strict=True)
    ]
    case = MORE["cause_specific"][form]
    ratio = np.column_stack([rows @ fit.coef for fit in fits]) - levels
    found = cox_incidence(bases, ratio, case["time"], form=form)
    for i in (0, 1):
        expected = np.array(case[f"row{i + 1}"])
        np.testing.assert_allclose(found.survival[i], expected[:, 0], atol=1e-9)
        np.testing.assert_allclose(found.causes[0, i], expected[:, 1], atol=1e-9)
        np.testing.assert_allclose(found.causes[1, i], expected[:, 2], atol=1e-9)


@pytest.mark.parametrize("cause", [0, 1])
def test_error_without_covariates_is_near_that_of_aalen_johansen(cause):
    """Ours has the variance of Poisson increments, survfit's is a jackknife."""
    table, case = mgus2(), MORE["aalen_johansen"]
    none = np.zeros((len(table), 0))
    bases = [
        CoxBaseline.from_rows(
            CoxRows(none, np.zeros(len(table)), table["etime"], table["cause"] == k)
        )
        for k in (1, 2)
    ]
    times = np.array(case["time"])
    band = cox_incidence_band(
        bases, [none[:1]] * 2, np.zeros((1, 2)), np.zeros((0, 0)), cause, times
    )
    error = np.array(case["error"])[:, cause + 1]
    seen = error > 0
    np.testing.assert_allclose(band.std_error.values[0, seen], error[seen], rtol=0.04)
